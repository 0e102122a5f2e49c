package storagetsv

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"

	"github.com/dbbasic/station/sdk/storage"
)

// journal is the write side of journal/. A segment begins with a header line
//
//	journal  1  <segment>  <number of the last batch before>  <chain>  crc
//
// and goes on with batches. A batch is what one fsync makes durable: the lines
// of its commits and one line that ends it
//
//	batch  <number>  <offset in the segment that was durable before>  <chain>
//
// whose chain is the CRC-32C of the batch's bytes up to the tab before it, begun
// with the chain of the batch before. A segment whose torn tail was cut off ends
// in the line "cut". What follows its last line is newlines; segment.go says why.
type journal struct {
	active   file   // nil: the next commit begins a segment
	size     int64  // of what the active segment holds
	durable  int64  // of it, what has been synced
	broken   error  // of an fsync: there is no other
	segment  uint64 // number of the active segment, or of the last one
	batch    uint64 // number of the last batch
	chain    uint32 // of the last batch
	sealed   []uint64
	replayed int   // commits, at the start
	found    int   // segments, at the start
	torn     int64 // bytes that were cut off at the start
}

// segmentName gives the path of a segment.
func segmentName(n uint64) string { return fmt.Sprintf("journal/%06d.tsv", n) }

// begin makes the next segment and its name durable, its header in the mode always
// alone. Any error but an fsyncError means that there is none.
func (s *Store) begin() error {
	j := &s.journal
	name := segmentName(j.segment + 1)
	f, err := s.openSegment(name)
	if err != nil {
		return err
	}
	b := append([]byte("journal\t1\t"), strconv.FormatUint(j.segment+1, 10)...)
	b = append(appendNumber(append(b, '\t'), j.batch), '\t')
	b = seal(appendHex32(b, j.chain), 0)
	if _, err := f.WriteAt(b, 0); err != nil {
		return errors.Join(err, f.Close(), s.fs.Remove(name))
	}
	j.active, j.size, j.durable = f, int64(len(b)), 0
	if s.fsync == fsyncAlways {
		if err := s.syncJournal(); err != nil {
			return err
		}
	}
	if err := s.fs.SyncDir("journal"); err != nil {
		if fe, ok := errors.AsType[fsyncError](err); ok {
			j.broken = fe
			return fe
		}
		j.active, j.size = nil, 0
		return errors.Join(err, f.Close(), s.fs.Remove(name)) // one that stays holds no batch, and the next takes its place
	}
	j.segment++
	s.countSegments()
	return nil
}

// fsyncError is a failed fsync: the store must end.
type fsyncError struct{ error }

func (e fsyncError) Unwrap() error { return e.error }

// write writes the lines of the batch and in the mode always makes them durable.
// Where it fails with an fsyncError the outcome is unknown; any other error means
// that nothing is stored.
func (s *Store) write() error {
	j := &s.journal
	if j.broken != nil {
		return j.broken
	}
	if j.active == nil {
		if err := s.begin(); err != nil {
			return err
		}
	}
	b := append(appendNumber(append(s.batch.lines, "batch\t"...), j.batch+1), '\t')
	b = appendNumber(b, uint64(j.durable))
	chain := crc32.Update(j.chain, castagnoli, b)
	b = append(appendHex32(append(b, '\t'), chain), '\n')
	s.batch.lines = b // which may have grown
	if _, err := j.active.WriteAt(b, j.size); err != nil {
		// What was written of it must not be found by a later start.
		if back := errors.Join(j.active.Truncate(j.size), j.active.Sync()); back != nil {
			j.broken = fsyncError{errors.Join(err, back)}
			return j.broken
		}
		j.durable = j.size
		return err
	}
	j.batch++
	j.chain = chain
	j.size += int64(len(b))
	s.seen.written.Add(uint64(len(b)))
	if s.fsync == fsyncAlways {
		if err := s.syncJournal(); err != nil {
			return err
		}
	}
	if j.size >= s.segmentSize {
		return s.sealActive()
	}
	return nil
}

// sealActive ends the active segment, durably: the next commit begins another,
// which must not outlive a part of this one.
func (s *Store) sealActive() error {
	j := &s.journal
	if j.active == nil {
		return nil
	}
	if err := s.syncJournal(); err != nil {
		return err
	}
	_ = j.active.Close() // all of it has been synced
	j.active = nil
	j.sealed = append(j.sealed, j.segment)
	return nil
}

// low reports whether the next segment will soon be needed, is not ready, and may be
// made now.
func (s *Store) low() bool {
	j := &s.journal
	return s.fsync == fsyncAlways && !s.spare.ready.Load() && !s.spare.waits() && (j.active == nil || j.size > s.segmentSize/2)
}

// release closes the active segment.
func (j *journal) release() {
	if j.active != nil {
		_ = j.active.Close()
		j.active = nil
	}
}

// appendCommit appends the lines of a commit: one that says how many follow,
// and one per change, entry and version. Each has a checksum of its own, so that
// damage costs the commits it touches and not those that share their batch. entries
// grows by where the columns of each log entry stand, which are those of the log.
func appendCommit(b []byte, c *storage.Commit, entries []span) ([]byte, []span) {
	start := len(b)
	b = append(append(append(b, "commit\t"...), c.Object...), '\t')
	b = append(appendNumber(b, c.Incarnation), '\t')
	b = append(appendNumber(b, c.Sequence), '\t')
	b = append(c.Stamp.AppendTo(b), '\t')
	b = append(appendText(b, c.RequestID), '\t')
	b = append(appendNumber(b, c.Source), '\t')
	b = append(appendNumber(b, c.HomeEpoch), '\t')
	lines := len(c.State) + len(c.Entries) + len(c.Files)
	if c.Version != nil {
		lines++
	}
	if c.Working > 0 {
		lines++
	}
	b = seal(appendNumber(b, uint64(lines)), start)
	for i := range c.State {
		start = len(b)
		b = seal(appendJournalChange(b, &c.State[i]), start)
	}
	for i := range c.Entries {
		start = len(b)
		b = append(b, "log\t"...)
		from := len(b)
		b = appendEntry(b, &c.Entries[i])
		entries = append(entries, span{from, len(b)})
		b = seal(b, start)
	}
	if v := c.Version; v != nil {
		start = len(b)
		b = append(appendVersion(append(b, "version\t"...), v), '\t')
		b = seal(appendText(b, v.Text), start)
	}
	if c.Working > 0 {
		start = len(b)
		b = seal(appendNumber(append(b, "working\t"...), c.Working), start)
	}
	for i := range c.Files {
		start = len(b)
		b = append(appendFile(append(b, "file\t"...), &c.Files[i].File), '\t')
		b = seal(append(b, c.Files[i].Upload...), start)
	}
	return b, entries
}

const commitColumns = 9

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
// in the line "cut".
type journal struct {
	active   file   // nil: the next commit begins a segment
	size     int64  // of the active segment, all of it durable
	segment  uint64 // number of the active segment, or of the last one
	batch    uint64 // number of the last batch
	chain    uint32 // of the last batch
	sealed   []uint64
	replayed int // commits, at the start
}

// segmentName gives the path of a segment.
func segmentName(n uint64) string { return fmt.Sprintf("journal/%06d.tsv", n) }

// begin makes the next segment, durable with its name.
func (s *Store) begin() error {
	j := &s.journal
	name := segmentName(j.segment + 1)
	f, err := s.fs.Open(name, toCreate)
	if err != nil {
		return err
	}
	b := append([]byte("journal\t1\t"), strconv.FormatUint(j.segment+1, 10)...)
	b = append(appendNumber(append(b, '\t'), j.batch), '\t')
	b = seal(appendHex32(b, j.chain), 0)
	if _, err := f.WriteAt(b, 0); err != nil {
		return errors.Join(err, f.Close(), s.fs.Remove(name))
	}
	if err := errors.Join(f.Sync(), s.fs.SyncDir("journal")); err != nil {
		_ = f.Close()
		return fsyncError{err}
	}
	j.active, j.size = f, int64(len(b))
	j.segment++
	return nil
}

// fsyncError is a failed fsync: the store must end.
type fsyncError struct{ error }

func (e fsyncError) Unwrap() error { return e.error }

// write makes the lines of a batch durable. Where it fails with an fsyncError
// the outcome is unknown; any other error means that nothing is stored.
func (s *Store) write(lines []byte) error {
	j := &s.journal
	if j.active == nil {
		if err := s.begin(); err != nil {
			return err
		}
	}
	b := append(appendNumber(append(lines, "batch\t"...), j.batch+1), '\t')
	b = appendNumber(b, uint64(j.size))
	chain := crc32.Update(j.chain, castagnoli, b)
	b = append(appendHex32(append(b, '\t'), chain), '\n')
	if _, err := j.active.WriteAt(b, j.size); err != nil {
		// What was written of it must not be found by a later start.
		if back := errors.Join(j.active.Truncate(j.size), j.active.Sync()); back != nil {
			return fsyncError{errors.Join(err, back)}
		}
		return err
	}
	if err := j.active.Sync(); err != nil {
		return fsyncError{err}
	}
	j.batch++
	j.chain = chain
	j.size += int64(len(b))
	if j.size >= s.segmentSize {
		s.sealActive()
	}
	return nil
}

// sealActive ends the active segment; the next commit begins another.
func (s *Store) sealActive() {
	j := &s.journal
	if j.active == nil {
		return
	}
	_ = j.active.Close() // all of it has been synced
	j.active = nil
	j.sealed = append(j.sealed, j.segment)
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
// damage costs the commits it touches and not those that share their batch.
func appendCommit(b []byte, c *storage.Commit) []byte {
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
	b = seal(appendNumber(b, uint64(lines)), start)
	for i := range c.State {
		start = len(b)
		b = seal(appendJournalChange(b, &c.State[i]), start)
	}
	for i := range c.Entries {
		start = len(b)
		b = seal(appendEntry(append(b, "log\t"...), &c.Entries[i]), start)
	}
	if v := c.Version; v != nil {
		start = len(b)
		b = append(appendVersion(append(b, "version\t"...), v), '\t')
		b = seal(appendText(b, v.Text), start)
	}
	for i := range c.Files {
		start = len(b)
		b = append(appendFile(append(b, "file\t"...), &c.Files[i].File), '\t')
		b = seal(append(b, c.Files[i].Upload...), start)
	}
	return b
}

const commitColumns = 9

func appendNumber(b []byte, n uint64) []byte { return strconv.AppendUint(b, n, 10) }

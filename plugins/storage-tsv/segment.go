package storagetsv

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// A segment is filled with newlines before the first batch goes into it: its
// size and its blocks are then on disk already, and the fsync of a batch writes
// the batch and nothing else. One spare is kept ready under spareFile, a name
// that no replay reads and that says that every byte of it is a newline on the
// disk too: the file gets the name after its fsync.
const (
	spareFile  = "journal/spare.tsv"
	spareMaker = "journal/spare.tmp" // removed at a start
)

// spare is the segment that is kept ready. Whoever needs one while it is being
// made waits for it. mu is taken after journalMu, and never before it.
type spare struct {
	mu     sync.Mutex
	ready  atomic.Bool               // changed with mu held
	looked bool                      // what a process before left has been looked at
	held   bool                      // spareMaker is a segment whose old name may not be gone for good
	after  atomic.Pointer[time.Time] // no other attempt before, because one failed; nil where none has
	told   bool                      // that the disk has no room for it
}

// waits says that it is not time yet for another attempt.
func (p *spare) waits() bool {
	after := p.after.Load()
	return after != nil && time.Now().Before(*after)
}

// spareRetry is how long segments are begun without filling after the disk had
// no room for it: to try costs as much as a segment.
const spareRetry = time.Minute

// openSegment gives a new file under the name of a segment, filled where the
// disk has room for that and commits are synced one by one. Its name is not
// durable yet.
func (s *Store) openSegment(name string) (file, error) {
	if s.fsync != fsyncAlways {
		return s.fs.Open(name, toCreate)
	}
	p := &s.spare
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := s.readySpare(); err != nil {
		return nil, err
	}
	if !p.ready.Load() {
		return s.fs.Open(name, toCreate)
	}
	p.ready.Store(false)
	if err := s.fs.Rename(spareFile, name); err != nil {
		s.log.Warn("the spare journal segment cannot be taken; one is begun without it", "error", err)
		return s.fs.Open(name, toCreate)
	}
	return s.fs.Open(name, toWrite)
}

// keepSpare makes a spare if there is none.
func (s *Store) keepSpare() error {
	s.spare.mu.Lock()
	defer s.spare.mu.Unlock()
	return s.readySpare()
}

// readySpare sees to it that there is a spare, with spare.mu held. Where the
// disk has no room or fails there is none, which is no error but that of an fsync.
func (s *Store) readySpare() error {
	p := &s.spare
	if p.ready.Load() || p.held || p.waits() {
		return nil
	}
	if !p.looked {
		p.looked = true
		if s.isSpare() {
			p.ready.Store(true)
			return nil
		}
	}
	return s.makeSpare()
}

// isSpare reports whether a process before has left a spare.
func (s *Store) isSpare() bool {
	f, err := s.fs.Open(spareFile, toRead)
	if err != nil {
		return false
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil || size != s.segmentSize {
		return false
	}
	used, err := usedOf(f, size)
	return err == nil && used == 0
}

// makeSpare fills spareMaker, which may hold an old segment, and then gives it
// its name, with spare.mu held.
func (s *Store) makeSpare() error {
	p := &s.spare
	err := s.fillSpare()
	if _, ok := errors.AsType[fsyncError](err); ok {
		return err
	}
	if err != nil {
		p.after.Store(new(time.Now().Add(spareRetry)))
		err = errors.Join(err, unlessMissing(s.fs.Remove(spareMaker)))
		if !p.told {
			s.log.Warn("journal segments are not filled ahead: commits take longer", "error", err)
		}
		p.told = true
		return nil
	}
	p.told = false
	p.ready.Store(true)
	return nil
}

func (s *Store) fillSpare() error {
	f, err := s.fs.Open(spareMaker, toWrite)
	if err != nil {
		return err
	}
	if err := fill(f, s.segmentSize); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return fsyncError{err}
	}
	return errors.Join(f.Close(), s.fs.Rename(spareMaker, spareFile))
}

// newlines is a block of a segment that holds nothing.
var newlines = bytes.Repeat([]byte{'\n'}, blockSize)

// fill makes a file size newlines. It writes only blocks that hold anything
// else, so that a segment of which little was used costs little.
func fill(f file, size int64) error {
	have, err := f.Size()
	if err != nil {
		return err
	}
	if have > size {
		if err := f.Truncate(size); err != nil {
			return err
		}
	}
	b := make([]byte, blockSize)
	for pos := int64(0); pos < size; pos += blockSize {
		n := min(blockSize, size-pos)
		if pos+n <= have {
			if err := readFull(f, b[:n], pos); err != nil {
				return err
			}
			if bytes.Equal(b[:n], newlines[:n]) {
				continue
			}
		}
		if _, err := f.WriteAt(newlines[:n], pos); err != nil {
			return err
		}
	}
	return nil
}

// usedOf gives the length of what stands in a file before the newlines that
// fill its end, with one of them: the end of the last line.
func usedOf(f file, size int64) (int64, error) {
	b := make([]byte, blockSize)
	for end := size; end > 0; {
		n := min(blockSize, end)
		if err := readFull(f, b[:n], end-n); err != nil {
			return 0, err
		}
		if !bytes.Equal(b[:n], newlines[:n]) {
			last := len(bytes.TrimRight(b[:n], "\n"))
			return min(end-n+int64(last)+1, size), nil
		}
		end -= n
	}
	return 0, nil
}

// readSegment reads what a segment holds, without its unused part.
func (s *Store) readSegment(name string) ([]byte, error) {
	f, err := s.fs.Open(name, toRead)
	if err != nil {
		return nil, unlessMissing(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size, err = usedOf(f, size); err != nil {
		return nil, err
	}
	b := make([]byte, size)
	return b, readFull(f, b, 0)
}

// nextFilled gives the next line that is not empty: newlines within a segment
// are sectors that were never written. data is what lines reads.
func nextFilled(lines *forward, data []byte) (line []byte, at int64, err error) {
	for {
		line, at, err = lines.next()
		if err != nil || len(line) > 0 {
			return line, at, err
		}
		to := at
		for to < lines.end && data[to] == '\n' {
			to++
		}
		if to-at > blockSize {
			*lines = *readForward(bytes.NewReader(data), to, lines.end)
		}
	}
}

// clearSpare removes at a start what cannot be a spare: one that was being made,
// and any where segments are not filled.
func (s *Store) clearSpare(names []string) error {
	for _, name := range names {
		name = "journal/" + name
		if name == spareMaker || name == spareFile && s.fsync != fsyncAlways {
			if err := s.fs.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeSegments takes segments out of the journal, durably. The last of them
// becomes the spare where there is none: it loses its name, durably, before its
// first byte is changed, so that no start meets it half refilled.
func (s *Store) removeSegments(sealed []uint64) error {
	p := &s.spare
	p.mu.Lock()
	defer p.mu.Unlock()
	again := s.fsync == fsyncAlways && !p.ready.Load() && !p.waits()
	for i, n := range sealed {
		name := segmentName(n)
		var err error
		if again && i == len(sealed)-1 {
			err = s.fs.Rename(name, spareMaker)
			p.held = p.held || err == nil
		} else {
			err = s.fs.Remove(name)
		}
		if unlessMissing(err) != nil {
			return err
		}
	}
	if err := s.fs.SyncDir("journal"); err != nil {
		return err
	}
	if !p.held {
		return nil
	}
	p.held, p.looked = false, true
	return s.makeSpare()
}

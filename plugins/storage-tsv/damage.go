package storagetsv

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// maxReports is how many bad lines of one file are reported one by one. A log
// that was damaged as a whole must not fill the station's own log, and memory.
const maxReports = 100

// cheapCount is how far into a file a line is counted to. Further on its offset
// alone is reported: a bad line must not cost a pass over a long log.
const cheapCount = 4 << 20

// damage remembers what has been reported, so that reading the same bad line
// again does not report it again.
type damage struct {
	mu    sync.Mutex
	seen  map[string]map[int64]bool // by file: where the lines begin, maxReports and one more at most
	lines int                       // reported

	byHand   map[string]bool // files that hold lines without checksum
	unsorted map[string]bool // files of which it was said that they are not sorted

	copies   sync.Mutex  // orders the writes of damaged/lines.tsv
	unsynced atomic.Bool // damaged/ has been given names that are not durable yet

	edited atomic.Int64 // lines without checksum that were read; for the start-up report
}

// tookEdited counts a line without checksum that was taken. Of each file the first one
// tells that it may hold other keys or entries than it was given.
func (s *Store) tookEdited(name string) {
	s.damage.edited.Add(1)
	s.damage.mu.Lock()
	first := !s.damage.byHand[name]
	if first {
		if s.damage.byHand == nil {
			s.damage.byHand = map[string]bool{}
		}
		s.damage.byHand[name] = true
	}
	s.damage.mu.Unlock()
	if first {
		s.distrustFile(name)
	}
}

// add counts damage that is reported elsewhere.
func (d *damage) add() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines++
}

func (d *damage) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lines
}

// note counts a bad line unless it is known. Report says that it is to be
// reported, more that it is the first one too many of its file.
func (d *damage) note(name string, at int64) (report, more bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known := d.seen[name]
	if known[at] || len(known) > maxReports {
		return false, false
	}
	if known == nil {
		if d.seen == nil {
			d.seen = map[string]map[int64]bool{}
		}
		known = map[int64]bool{}
		d.seen[name] = known
	}
	known[at] = true
	d.lines++
	more = len(known) > maxReports
	return !more, more
}

// noteUnsorted reports whether it is news that a file is not sorted.
func (d *damage) noteUnsorted(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unsorted[name] {
		return false
	}
	if d.unsorted == nil {
		d.unsorted = map[string]bool{}
	}
	d.unsorted[name] = true
	return true
}

// forget is for a file that was replaced: what was noted of its lines is of others.
func (d *damage) forget(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.seen, name)
	delete(d.unsorted, name)
}

// setAside reports a line that is left out, once, and keeps a copy in
// damaged/lines.tsv. f is where it stands, to count the lines before it; line is
// its number where that is known, else 0. Of one file's lines the first
// maxReports are reported.
func (s *Store) setAside(name string, f io.ReaderAt, at int64, line int, raw []byte, why string) {
	report, more := s.damage.note(name, at)
	if more {
		s.log.Warn("damage: and more of this file, left out without a report each", "file", name)
	}
	if report || more {
		s.distrustFile(name)
	}
	if report {
		_ = s.report(name, f, at, line, raw, why, false) // it stays in its file
	}
}

// keepAside reports bytes that are about to be cut off or dropped. Where the
// copy could not be written it gives the error: what is the last of its kind
// must then stay where it is.
func (s *Store) keepAside(name string, f io.ReaderAt, at int64, raw []byte, why string) error {
	s.damage.add()
	s.distrustFile(name)
	return s.report(name, f, at, 0, raw, why, true)
}

func (s *Store) report(name string, f io.ReaderAt, at int64, line int, raw []byte, why string, durable bool) error {
	if line == 0 && at <= cheapCount {
		line = lineNumber(f, at)
	}
	where := []any{"file", name}
	if line > 0 {
		where = append(where, "line", line)
	}
	where = append(where, "offset", at)
	s.log.Warn("damage: left out, a copy is in damaged/lines.tsv", append(where, "bytes", len(raw), "why", why)...)
	err := s.keepCopy(name, at, line, raw, why, durable)
	if err != nil {
		s.log.Error("the copy of a damaged line could not be written", append(where, "error", err)...)
	}
	return err
}

const damagedHeader = "time\tfile\toffset\tline\twhy\ttext\tcrc\n"

// keepCopy appends a line to damaged/lines.tsv. Where it is going to be the only
// copy it is durable before it may be. A failed fsync is an fsyncError.
func (s *Store) keepCopy(name string, at int64, line int, raw []byte, why string, durable bool) error {
	s.damage.copies.Lock()
	defer s.damage.copies.Unlock()
	if err := s.fs.Mkdir("damaged"); err != nil {
		return err
	}
	f, err := s.fs.Open("damaged/lines.tsv", toWrite)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	var b []byte
	if size == 0 {
		b = append(b, damagedHeader...)
	}
	start := len(b)
	b = append(appendTime(b, time.Now()), '\t')
	b = append(appendText(b, name), '\t')
	b = append(appendNumber(b, uint64(at)), '\t')
	if line > 0 {
		b = appendNumber(b, uint64(line))
	}
	b = append(appendText(append(b, '\t'), why), '\t')
	b = seal(appendText(b, raw), start)
	if _, err = f.WriteAt(b, size); err != nil || !durable {
		return err
	}
	if err := f.Sync(); err != nil {
		return fsyncError{err}
	}
	if err := s.fs.SyncDir("damaged"); err != nil {
		return err
	}
	return s.fs.SyncDir(".")
}

package storagetsv

import (
	"io"
	"sync"
	"time"
)

// damage remembers what has been reported, so that reading the same bad line
// again does not report it again.
type damage struct {
	mu    sync.Mutex
	seen  map[place]bool
	hand  map[place]bool
	lines int
}

// place is where a line begins.
type place struct {
	file string
	at   int64
}

func (d *damage) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lines
}

func (d *damage) edited() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.hand)
}

// editedByHand counts a line that is taken though it has no checksum.
func (s *Store) editedByHand(name string, at int64) {
	s.damage.mu.Lock()
	defer s.damage.mu.Unlock()
	if s.damage.hand == nil {
		s.damage.hand = map[place]bool{}
	}
	s.damage.hand[place{name, at}] = true
}

// setAside reports a line, or a stretch of bytes, that is left out, by file and
// line, and keeps a copy in damaged/lines.tsv. f is where it stands, to count
// the lines before it; line is its number where that is known, else 0. The
// report comes once; where the copy cannot be written the log says so.
func (s *Store) setAside(name string, f io.ReaderAt, at int64, line int, raw []byte, why string) {
	s.damage.mu.Lock()
	defer s.damage.mu.Unlock()
	p := place{name, at}
	if s.damage.seen[p] {
		return
	}
	if s.damage.seen == nil {
		s.damage.seen = map[place]bool{}
	}
	s.damage.seen[p] = true
	s.damage.lines++
	if line == 0 {
		line = lineNumber(f, at)
	}
	s.log.Warn("damage: left out, a copy is in damaged/lines.tsv", "file", name, "line", line, "bytes", len(raw), "why", why)
	if err := s.keepCopy(name, line, raw, why); err != nil {
		s.log.Error("the copy of a damaged line could not be written", "file", name, "line", line, "error", err)
	}
}

const damagedHeader = "time\tfile\tline\twhy\ttext\tcrc\n"

func (s *Store) keepCopy(name string, line int, raw []byte, why string) error {
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
	b = append(appendNumber(b, uint64(line)), '\t')
	b = append(appendText(b, why), '\t')
	b = seal(appendText(b, raw), start)
	_, err = f.WriteAt(b, size)
	return err
}

package prototype

import (
	"bytes"
	"errors"
	"io"
)

// maxRow is the most bytes of a row, and of a source text: far above what a
// station takes of a value (256 KiB) or an entry (64 KiB), and small enough that
// what is made of it fits into one commit. It bounds the reader's memory.
const maxRow = 4 << 20

// form says how a row stood in its file.
type form int

const (
	whole      form = iota
	unbalanced      // a quote that no writer of the dialect leaves: the line is taken as it stands
	tooLong         // more than maxRow bytes; cells is empty, raw its beginning
)

// row is one row. Its slices are good until the next one is read.
type row struct {
	line  int // its first line, from 1
	form  form
	torn  bool // the file ends without ending the row's line
	cells [][]byte
	raw   []byte // as it stood, without the line end
}

// rows reads the dialect of Python's csv module with a tab as the delimiter
// and minimal quoting, as a stream.
//
// It is no encoding/csv: that one either ends at a stray quote or, with
// LazyQuotes, swallows all lines up to the next one; it drops the carriage
// returns of a quoted field, and cannot tell a torn line or give a row's bytes.
//
// A quoted field may hold tabs and line ends. It ends at a quote that a tab, a
// line end or the end of the file follows. A quote anywhere else means that
// one was lost or written by hand: then the row is the one line, cut at its tabs
// (quoted fields that are well-formed within the line are read as such), and
// reading goes on behind it. In no case does one quote cost another line.
//
// A row ends at "\n"; carriage returns right before it belong to the line end
// (text mode on Windows doubles them). A carriage return elsewhere is data.
// Empty lines are no rows. A byte order mark at the start is skipped.
type rows struct {
	src   io.Reader
	read  int64 // bytes taken from src
	buf   []byte
	start int // of the row to come, in buf
	eof   bool
	line  int // of the row to come
	row   row
	arena []byte // unquoted text of the present row
	ends  []int  // where in arena, for each cell; -1 for one that lies in raw

	mark       bool // there was a byte order mark
	crlf, lf   int  // rows by their line end
	firstOther int  // line of the first row that ends differently from the first row
}

func newRows(src io.Reader) *rows { return &rows{src: src, line: 1, buf: make([]byte, 0, 64<<10)} }

// next gives the next row, and io.EOF behind the last.
func (r *rows) next() (*row, error) {
	if r.read == 0 && !r.eof {
		if err := r.begin(); err != nil {
			return nil, err
		}
	}
	for {
		b := r.buf[r.start:]
		if len(b) == 0 && r.eof {
			return nil, io.EOF
		}
		n, ok := r.parse(b)
		if !ok && len(b) < maxRow {
			if err := r.fill(); err != nil {
				return nil, err
			}
			continue
		}
		if !ok {
			if n, ok = r.literal(b); !ok {
				return r.skip()
			}
		}
		r.start += n
		r.row.line = r.line
		r.line += bytes.Count(b[:n], []byte{'\n'})
		if len(r.row.raw) == 0 {
			continue
		}
		r.count(b[:n])
		return &r.row, nil
	}
}

// begin skips a byte order mark.
func (r *rows) begin() error {
	for len(r.buf) < 3 && !r.eof {
		if err := r.fill(); err != nil {
			return err
		}
	}
	if bytes.HasPrefix(r.buf, []byte("\ufeff")) {
		r.start, r.mark = 3, true
	}
	return nil
}

// fill reads more into the buffer, which grows while one row fills it, up to
// maxRow. The row in it is shorter than that.
func (r *rows) fill() error {
	if r.start > 0 {
		r.buf = r.buf[:copy(r.buf, r.buf[r.start:])]
		r.start = 0
	}
	if len(r.buf) == cap(r.buf) {
		r.buf = append(make([]byte, 0, min(2*cap(r.buf), maxRow)), r.buf...)
	}
	for range 100 {
		n, err := r.src.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+n]
		r.read += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			r.eof = true
			return nil
		case err != nil:
			return err
		case n > 0:
			return nil
		}
	}
	return io.ErrNoProgress
}

// parse reads the row at the start of b and says how long it is, line end
// included. It is false where b ends before the row does.
func (r *rows) parse(b []byte) (int, bool) {
	r.reset()
	for i := 0; ; {
		var end int // of the field, where its tab or line end stands
		if i < len(b) && b[i] == '"' {
			n, state := r.quoted(b[i:], r.eof)
			switch state {
			case more:
				return 0, false
			case wrong:
				return r.literal(b)
			}
			end = i + n
		} else {
			n := bytes.IndexAny(b[i:], "\t\n\"")
			switch {
			case n < 0 && !r.eof:
				return 0, false
			case n < 0:
				n = len(b) - i
			case b[i+n] == '"':
				return r.literal(b)
			}
			end = i + n
			r.plain(trimCR(b[i:end], end == len(b) || b[end] == '\n'))
		}
		if end < len(b) && b[end] == '\t' {
			i = end + 1
			continue
		}
		n, _ := lineEnd(b[end:], true)
		r.close(b[:end], end+n == len(b) && (n == 0 || b[end+n-1] != '\n'))
		return end + n, true
	}
}

const (
	ended = iota
	more  // the field may go on behind what is there
	wrong // a quote stands where none can
)

// quoted reads a quoted field at the start of b into the row and says where
// the tab or line end behind it is.
func (r *rows) quoted(b []byte, all bool) (int, int) {
	from := len(r.arena)
	for i := 1; ; {
		n := bytes.IndexByte(b[i:], '"')
		switch {
		case n < 0 && all:
			r.arena = r.arena[:from]
			return 0, wrong
		case n < 0:
			r.arena = r.arena[:from]
			return 0, more
		}
		r.arena = append(r.arena, b[i:i+n]...)
		i += n + 1
		if i < len(b) && b[i] == '"' {
			r.arena = append(r.arena, '"')
			i++
			continue
		}
		_, at := lineEnd(b[i:], all)
		if at == more {
			r.arena = r.arena[:from]
			return 0, more
		}
		if i < len(b) && b[i] != '\t' && at == wrong {
			r.arena = r.arena[:from]
			return 0, wrong
		}
		r.ends = append(r.ends, len(r.arena))
		r.row.cells = append(r.row.cells, nil)
		return i, ended
	}
}

// lineEnd measures the line end that b begins with. all says that nothing
// follows b; then carriage returns alone are one, whose newline is missing.
func lineEnd(b []byte, all bool) (int, int) {
	n := 0
	for n < len(b) && b[n] == '\r' {
		n++
	}
	switch {
	case n < len(b) && b[n] == '\n':
		return n + 1, ended
	case n == len(b) && all:
		return n, ended
	case n == len(b):
		return 0, more
	}
	return 0, wrong
}

// literal reads the line at the start of b as an unbalanced row. It is false
// where the line does not end in b and more may follow.
func (r *rows) literal(b []byte) (int, bool) {
	n := bytes.IndexByte(b, '\n')
	if n < 0 && !r.eof {
		return 0, false
	}
	end, next := n, n+1
	if n < 0 {
		end, next = len(b), len(b)
	}
	line := trimCR(b[:end], true)
	r.reset()
	for i := 0; ; {
		cut := -1
		if i < len(line) && line[i] == '"' {
			if n, state := r.quoted(line[i:], true); state == ended {
				cut = i + n
			}
		}
		if cut < 0 {
			cut = len(line)
			if n := bytes.IndexByte(line[i:], '\t'); n >= 0 {
				cut = i + n
			}
			r.plain(line[i:cut])
		}
		if cut == len(line) {
			break
		}
		i = cut + 1
	}
	r.close(line, n < 0)
	r.row.form = unbalanced
	return next, true
}

// skip passes over a line that is longer than maxRow. Its beginning is kept.
func (r *rows) skip() (*row, error) {
	line := r.line
	head := bytes.Clone(r.buf[r.start:][:maxRaw])
	for {
		b := r.buf[r.start:]
		n := bytes.IndexByte(b, '\n')
		if n >= 0 || r.eof {
			if n >= 0 {
				r.line++
				r.start += n + 1
			} else {
				r.start = len(r.buf)
			}
			r.reset()
			r.row.line, r.row.form, r.row.raw, r.row.torn = line, tooLong, head, n < 0
			return &r.row, nil
		}
		r.start = len(r.buf)
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

func (r *rows) reset() {
	r.row.cells, r.row.form, r.row.torn, r.row.raw = r.row.cells[:0], whole, false, nil
	r.arena, r.ends = r.arena[:0], r.ends[:0]
}

func (r *rows) plain(cell []byte) {
	r.row.cells = append(r.row.cells, cell)
	r.ends = append(r.ends, -1)
}

// close ends a row. The arena no longer moves, so its cells can be cut.
func (r *rows) close(raw []byte, torn bool) {
	r.row.raw, r.row.torn = trimCR(raw, true), torn
	from := 0
	for i, end := range r.ends {
		if end >= 0 {
			r.row.cells[i] = r.arena[from:end:end]
			from = end
		}
	}
}

// count notes how the row's line ends. Line ends of two kinds in one file are reported.
func (r *rows) count(b []byte) {
	if b[len(b)-1] != '\n' {
		return
	}
	other := r.lf
	if bytes.HasSuffix(b, []byte("\r\n")) {
		r.crlf++
	} else {
		other = r.crlf
		r.lf++
	}
	if r.firstOther == 0 && other > 0 {
		r.firstOther = r.row.line
	}
}

func trimCR(b []byte, last bool) []byte {
	if last {
		return bytes.TrimRight(b, "\r")
	}
	return b
}

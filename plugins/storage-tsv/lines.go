package storagetsv

import (
	"bytes"
	"errors"
	"io"
	"sort"
)

// blockSize is how much the line readers read at a time.
const blockSize = 64 << 10

// forward reads the lines of r between two offsets, first to last.
type forward struct {
	r        io.ReaderAt
	pos, end int64 // pos is the offset of the next line
	buf      []byte
	used     int // buf[:used] has been given out
	block    int // how much to read next where that is less than blockSize; doubles
}

func readForward(r io.ReaderAt, from, to int64) *forward {
	return &forward{r: r, pos: from, end: to}
}

// next gives a line without its newline, valid until the next call, and its
// offset; a last line need not have a newline. After that the error is io.EOF.
func (f *forward) next() (line []byte, at int64, err error) {
	seen := 0
	for {
		if i := bytes.IndexByte(f.buf[f.used+seen:], '\n'); i >= 0 {
			line, at = f.buf[f.used:f.used+seen+i], f.pos
			f.used += seen + i + 1
			f.pos += int64(seen+i) + 1
			return line, at, nil
		}
		seen = len(f.buf) - f.used
		more, err := f.fill()
		if err != nil {
			return nil, 0, err
		}
		if !more {
			break
		}
	}
	if seen == 0 {
		return nil, 0, io.EOF
	}
	line, at = f.buf[f.used:], f.pos
	f.used, f.pos = len(f.buf), f.end
	return line, at, nil
}

// fill reads another block behind what has not been given out.
func (f *forward) fill() (more bool, err error) {
	left := len(f.buf) - f.used
	from := f.pos + int64(left)
	block := blockSize
	if f.block > 0 && f.block < blockSize {
		block = f.block
		f.block *= 2
	}
	n := int(min(int64(max(block, left)), f.end-from)) // doubles within a long line
	if n <= 0 {
		return false, nil
	}
	buf := make([]byte, left+n)
	copy(buf, f.buf[f.used:])
	if err := readFull(f.r, buf[left:], from); err != nil {
		return false, err
	}
	f.buf, f.used = buf, 0
	return true, nil
}

// backward reads the lines of r between two offsets, last to first. All lines
// end in a newline.
type backward struct {
	r          io.ReaderAt
	start, pos int64  // the next line ends at pos
	buf        []byte // of the bytes before pos
}

func readBackward(r io.ReaderAt, from, to int64) *backward {
	return &backward{r: r, start: from, pos: to}
}

// next gives the line before, without its newline, valid until the next call,
// and its offset. Before the first line the error is io.EOF.
func (b *backward) next() (line []byte, at int64, err error) {
	if b.pos <= b.start {
		return nil, 0, io.EOF
	}
	for {
		if n := len(b.buf); n > 0 {
			if i := bytes.LastIndexByte(b.buf[:n-1], '\n'); i >= 0 || b.pos-int64(n) == b.start {
				line = b.buf[i+1 : n-1]
				b.buf = b.buf[:i+1]
				b.pos -= int64(n - i - 1)
				return line, b.pos, nil
			}
		}
		n := min(int64(max(blockSize, len(b.buf))), b.pos-int64(len(b.buf))-b.start)
		buf := make([]byte, n, n+int64(len(b.buf)))
		if err := readFull(b.r, buf, b.pos-int64(len(b.buf))-n); err != nil {
			return nil, 0, err
		}
		b.buf = append(buf, b.buf...)
	}
}

// readFull reads exactly len(b) bytes.
func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// chain reads parts that lie one behind the other as one.
type chain struct {
	parts []part
	size  int64
}

// part is a piece of a chain that begins at offset at.
type part struct {
	at int64
	r  io.ReaderAt
}

func (c *chain) add(r io.ReaderAt, size int64) {
	if size > 0 {
		c.parts = append(c.parts, part{c.size, r})
		c.size += size
	}
}

// ReadAt implements io.ReaderAt.
func (c *chain) ReadAt(b []byte, at int64) (n int, err error) {
	i := sort.Search(len(c.parts), func(i int) bool { return c.parts[i].at > at }) - 1
	for ; i >= 0 && i < len(c.parts) && n < len(b); i++ {
		end := c.size
		if i+1 < len(c.parts) {
			end = c.parts[i+1].at
		}
		want := b[n:min(int64(len(b)), int64(n)+end-at)]
		if err := readFull(c.parts[i].r, want, at-c.parts[i].at); err != nil {
			return n, err
		}
		n += len(want)
		at += int64(len(want))
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// ended gives the file's size where its last byte is a newline, or where it is
// empty; otherwise tail is what stands behind the last newline.
func ended(f file) (size int64, tail []byte, err error) {
	size, err = f.Size()
	if err != nil || size == 0 {
		return size, nil, err
	}
	last := make([]byte, 1)
	if err := readFull(f, last, size-1); err != nil || last[0] == '\n' {
		return size, nil, err
	}
	for n := int64(blockSize); ; n *= 2 {
		n = min(n, size)
		b := make([]byte, n)
		if err := readFull(f, b, size-n); err != nil {
			return 0, nil, err
		}
		if i := bytes.LastIndexByte(b, '\n'); i >= 0 || n == size {
			return size, b[i+1:], nil
		}
	}
}

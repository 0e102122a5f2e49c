package shim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of the fields of pb.Frame and pb.Part.
const (
	fieldParts   = 1
	fieldCall    = 1
	fieldMessage = 2
	fieldTimeout = 3
	fieldGone    = 4
	fieldStatus  = 5
)

// prefix is the bytes before a frame: its length, big-endian.
const prefix = 4

// headroom is the most bytes of a part before its message or status, and the prefix.
const headroom = 48 + prefix

// buffers keeps what frames and messages are encoded into.
var buffers = &bufferPool{}

type bufferPool struct{ pool sync.Pool }

const (
	minBuffer = 4 << 10
	maxBuffer = 64 << 10 // what is larger is left to the collector
)

// Get gives a buffer of n bytes.
func (p *bufferPool) Get(n int) *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok && cap(*b) >= n {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, max(n, minBuffer))
	return &b
}

// Put takes a buffer that nobody uses any more.
func (p *bufferPool) Put(b *[]byte) {
	if cap(*b) >= minBuffer && cap(*b) <= maxBuffer {
		p.pool.Put(b)
	}
}

// part is a pb.Part.
type part struct {
	call            uint64
	timeout         time.Duration
	gone            bool
	message, status []byte
}

// seal makes a part of b, whose first headroom bytes are free and whose others are a
// message or a status. It gives the end of b that is the part, its length before it.
func seal(b []byte, field protowire.Number, call uint64, timeout time.Duration) []byte {
	var space [2 * headroom]byte
	inner := AppendNumber(space[:0], fieldCall, call)
	if timeout > 0 {
		inner = AppendNumber(inner, fieldTimeout, uint64(timeout/time.Microsecond)+1) // up: a deadline is never 0
	}
	n := len(b) - headroom
	if n > 0 {
		inner = protowire.AppendVarint(protowire.AppendTag(inner, field, protowire.BytesType), uint64(n))
	}
	outer := protowire.AppendTag(space[headroom:headroom], fieldParts, protowire.BytesType)
	outer = protowire.AppendVarint(outer, uint64(len(inner)+n))
	start := headroom - len(inner) - len(outer)
	copy(b[start:], outer)
	copy(b[start+len(outer):], inner)
	return b[start:]
}

// appendGone appends the part that says that nobody waits for a call any more.
func appendGone(b []byte, call uint64) []byte {
	var space [headroom]byte
	inner := AppendNumber(AppendNumber(space[:0], fieldCall, call), fieldGone, 1)
	return protowire.AppendBytes(protowire.AppendTag(b, fieldParts, protowire.BytesType), inner)
}

// nextPart takes the first part of a frame. What it gives lies in b.
func nextPart(b []byte) (p part, rest []byte, err error) {
	r := Reader{B: b}
	if r.Next() != fieldParts {
		return p, nil, errMalformed
	}
	inner := Reader{B: r.Bytes()}
	for field := inner.Next(); field != 0; field = inner.Next() {
		switch field {
		case fieldCall:
			p.call = inner.Number()
		case fieldMessage:
			p.message = inner.Bytes()
		case fieldTimeout:
			p.timeout = time.Duration(inner.Number()) * time.Microsecond
		case fieldGone:
			p.gone = inner.Number() != 0
		case fieldStatus:
			p.status = inner.Bytes()
		default:
			inner.Skip()
		}
	}
	return p, r.B, errors.Join(r.Err(), inner.Err())
}

const (
	// readSize is how many bytes are read at once, and kept for it: a frame of small
	// messages, and the beginning of what comes behind.
	readSize = 64 << 10
	// trusted is up to which size a frame has its memory before its bytes are there.
	trusted = 1<<20 + 64<<10 // an answer of the most bytes, and its headers
)

// receive reads frames and gives each of their parts to take, until one of the two
// fails. Behind those that came at once it calls taken.
func receive(r io.Reader, take func(part) error, taken func()) error {
	space := make([]byte, readSize)
	for b, n := space, 0; ; {
		got, readErr := r.Read(b[n:])
		n += got
		used, err := takeFrames(b[:n], take)
		taken()
		if err == nil {
			err = readErr
		}
		if err != nil {
			return err
		}
		if used == 0 && n < len(b) {
			continue
		}
		rest := b[used:n]
		size, _ := sizeOfFrame(rest) // takeFrames has seen it
		if b = space; size > len(b) {
			b = make([]byte, min(size, max(trusted, 2*n)))
		}
		n = copy(b, rest)
	}
}

// takeFrames gives the parts of those frames to take that are whole, and says how many
// bytes these have.
func takeFrames(b []byte, take func(part) error) (used int, err error) {
	for {
		size, err := sizeOfFrame(b[used:])
		if err != nil || size == 0 || used+size > len(b) {
			return used, err
		}
		for f := b[used+prefix : used+size]; len(f) > 0; {
			p, rest, err := nextPart(f)
			if err == nil {
				err = take(p)
			}
			if err != nil {
				return used, err
			}
			f = rest
		}
		used += size
	}
}

// sizeOfFrame is the bytes of the frame with which b begins and of its prefix, 0 where that is not there.
func sizeOfFrame(b []byte) (int, error) {
	if len(b) < prefix {
		return 0, nil
	}
	n := binary.BigEndian.Uint32(b)
	if n == 0 || n > maxFrame {
		return 0, fmt.Errorf("the other side sent what is no frame: one of %d bytes", n)
	}
	return prefix + int(n), nil
}

// finish writes the prefix of a frame that is whole.
func finish(b []byte) { binary.BigEndian.PutUint32(b, uint32(len(b)-prefix)) }

package shim

import (
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
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

// headroom is the most bytes of a part before its message or status.
const headroom = 48

// frame is a pb.Frame as its bytes: parts are put together and taken apart without
// messages of protobuf between.
type frame struct {
	b    *[]byte    // to send; goes back to buffers once gRPC has written it
	read mem.Buffer // received; to be freed
}

// codec is gRPC's codec of protobuf, and passes the bytes of frames.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(grpcproto.Name)} }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*frame); ok {
		return mem.BufferSlice{mem.NewBuffer(f.b, buffers)}, nil
	}
	return c.CodecV2.Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if f, ok := v.(*frame); ok {
		f.read = data.MaterializeToBuffer(buffers)
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

// buffers keeps what frames and messages are encoded into. gRPC's own pool fills
// with zeros what it gives, 32 KiB at a time.
var buffers = &bufferPool{}

type bufferPool struct{ pool sync.Pool }

const (
	minBuffer = 4 << 10  // gRPC gives back nothing below 1 KiB
	maxBuffer = 64 << 10 // what is larger is left to the collector
)

// Get implements mem.BufferPool.
func (p *bufferPool) Get(n int) *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok && cap(*b) >= n {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, max(n, minBuffer))
	return &b
}

// Put implements mem.BufferPool.
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

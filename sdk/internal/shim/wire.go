package shim

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// errMalformed is bytes that are no message of protobuf.
var errMalformed = errors.New("the other side sent what is no message")

// Reader takes the fields of an encoded message one after the other:
//
//	for field := r.Next(); field != 0; field = r.Next() { switch field { … default: r.Skip() } }
//
// After bytes that are no message it gives no more fields, and Err says so.
type Reader struct {
	B   []byte // what is left
	typ protowire.Type
	bad bool
}

// Next gives the number of the next field, 0 at the end.
func (r *Reader) Next() protowire.Number {
	if len(r.B) == 0 || r.bad {
		return 0
	}
	field, typ, n := protowire.ConsumeTag(r.B)
	if !r.take(n) {
		return 0
	}
	r.typ = typ
	return field
}

func (r *Reader) take(n int) bool {
	if n < 0 {
		r.bad, r.B = true, nil
		return false
	}
	r.B = r.B[n:]
	return true
}

// Number takes a field that is a number; a signed one is converted.
func (r *Reader) Number() uint64 {
	if r.typ != protowire.VarintType {
		r.take(-1)
		return 0
	}
	v, n := protowire.ConsumeVarint(r.B)
	r.take(n)
	return v
}

// Bytes takes a field of bytes, which lie in B.
func (r *Reader) Bytes() []byte {
	if r.typ != protowire.BytesType {
		r.take(-1)
		return nil
	}
	v, n := protowire.ConsumeBytes(r.B)
	r.take(n)
	return v
}

// String takes a field of bytes as a string of its own.
func (r *Reader) String() string { return string(r.Bytes()) }

// Copy takes a field of bytes as bytes of its own, nil where there are none.
func (r *Reader) Copy() []byte {
	b := r.Bytes()
	if len(b) == 0 {
		return nil
	}
	return append([]byte(nil), b...)
}

// Skip passes over a field that a newer side may know.
func (r *Reader) Skip() {
	r.take(protowire.ConsumeFieldValue(0, r.typ, r.B))
}

// Err says whether what was read was a message.
func (r *Reader) Err() error {
	if r.bad {
		return errMalformed
	}
	return nil
}

// Inner takes a field that is a message, to be read in the same way and then closed.
func (r *Reader) Inner() Reader { return Reader{B: r.Bytes()} }

// Close says of what Inner gave that all was read; r is none where inner is none.
func (r *Reader) Close(inner *Reader) { r.bad = r.bad || inner.bad }

// Message takes a field that is a message into m.
func (r *Reader) Message(m proto.Message) {
	if b := r.Bytes(); !r.bad && proto.Unmarshal(b, m) != nil {
		r.take(-1)
	}
}

// AppendNumber appends a field, but not one of 0.
func AppendNumber(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

// AppendText appends a field of bytes, but not an empty one.
func AppendText[T ~string | ~[]byte](b []byte, field protowire.Number, v T) []byte {
	if len(v) == 0 {
		return b
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(len(v)))
	return append(b, v...)
}

// AppendTexts appends a field that repeats, empty ones too.
func AppendTexts[T ~string](b []byte, field protowire.Number, list []T) []byte {
	for _, v := range list {
		b = protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), string(v))
	}
	return b
}

// AppendMessage appends a field that is a message, which fill appends.
func AppendMessage(b []byte, field protowire.Number, fill func([]byte) []byte) []byte {
	b = append(protowire.AppendTag(b, field, protowire.BytesType), 0) // the length of most
	start := len(b)
	b = fill(b)
	n := len(b) - start
	more := protowire.SizeVarint(uint64(n)) - 1
	if more > 0 {
		var space [8]byte
		b = append(b, space[:more]...)
		copy(b[start+more:], b[start:start+n])
	}
	protowire.AppendVarint(b[:start-1], uint64(n))
	return b
}

// One of the words that come all the time is the same string each time.
var words = func() map[string]string {
	m := map[string]string{}
	for _, w := range []string{
		"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "operator",
		"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Content-Length", "Content-Type", "Dnt", "Host", "If-None-Match", "Origin", "Pragma", "Referer",
		"Sec-Ch-Ua", "Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User",
		"Upgrade-Insecure-Requests", "User-Agent", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-Id",
		"application/json", "text/html; charset=utf-8", "text/plain; charset=utf-8",
	} {
		m[w] = w
	}
	return m
}()

// Word takes a field of bytes as a string of its own, without memory of its own where it
// is one of those that come all the time.
func (r *Reader) Word() string {
	b := r.Bytes()
	if w, ok := words[string(b)]; ok {
		return w
	}
	return string(b)
}

// AppendProto appends a field that is the message m.
func AppendProto(b []byte, field protowire.Number, m proto.Message) ([]byte, error) {
	var err error
	b = AppendMessage(b, field, func(b []byte) []byte {
		b, err = proto.MarshalOptions{}.MarshalAppend(b, m)
		return b
	})
	return b, err
}

package shim

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
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

// Err says whether what was read was a message. Each of rest is a Reader of a field of it.
func (r *Reader) Err() error {
	if r.bad {
		return errMalformed
	}
	return nil
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

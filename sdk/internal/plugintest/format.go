package plugintest

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/dbbasic/station/sdk/internal/shim"
)

// Through sends v through a format of bytes, and through the message of protobuf that it
// says it is: a field with another number or type is one that the message does not know.
func Through[M any, T any, P interface {
	*M
	proto.Message
}](t testing.TB, f *shim.Format[T], v *T) T {
	t.Helper()
	b, err := f.Append([]byte("before"), v)
	if err != nil {
		t.Fatal(err)
	}
	b = b[len("before"):]
	if size := f.Size(v); len(b) > size {
		t.Errorf("%T has %d bytes, said to be at most about %d", v, len(b), size)
	}
	m := P(new(M))
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, m); err != nil {
		t.Fatal(err)
	}
	known, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if len(known) != len(b) {
		t.Errorf("%T has %d bytes, of which %T knows %d", v, len(b), m, len(known))
	}
	out, err := f.Parse(known)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

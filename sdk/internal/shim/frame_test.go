package shim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/dbbasic/station/sdk/internal/pb"
)

// Frames are what protobuf takes them for, and no part needs more than the headroom.
func TestParts(t *testing.T) {
	if maxFrame < MaxMessage+headroom-prefix {
		t.Errorf("a frame has at most %d bytes, its message and headroom %d", maxFrame, MaxMessage+headroom)
	}
	b := append(make([]byte, headroom), "message"...)
	f := seal(b, fieldMessage, math.MaxUint64, math.MaxInt64)
	f = append(f, seal(append(make([]byte, headroom), "status"...), fieldStatus, 7, 0)...)
	f = append(f, seal(make([]byte, headroom), fieldMessage, 8, time.Nanosecond)...)
	f = appendGone(f, math.MaxUint64)
	want := &pb.Frame{Parts: []*pb.Part{
		{Call: math.MaxUint64, Message: []byte("message"), TimeoutUs: math.MaxInt64/1000 + 1}, {Call: 7, Status: []byte("status")}, {Call: 8, TimeoutUs: 1},
		{Call: math.MaxUint64, Gone: true},
	}}
	got := &pb.Frame{}
	if err := proto.Unmarshal(f, got); err != nil || !proto.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	f, err := proto.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want.GetParts() {
		var p part
		if p, f, err = nextPart(f); err != nil || p.call != w.GetCall() || string(p.message) != string(w.GetMessage()) || string(p.status) != string(w.GetStatus()) ||
			p.gone != w.GetGone() || p.timeout != time.Duration(w.GetTimeoutUs())*time.Microsecond {
			t.Errorf("%v is read as %+v, %v", w, p, err)
		}
	}
	if len(f) != 0 {
		t.Errorf("%d bytes are left", len(f))
	}
	for _, w := range want.GetParts() {
		if m := proto.Size(&pb.Frame{Parts: []*pb.Part{w}}) - len(w.GetMessage()) - len(w.GetStatus()); m > headroom-prefix {
			t.Errorf("%v needs %d bytes beside its message", w, m)
		}
	}
}

// FuzzFrame: no bytes end a process, and what is read is what protobuf reads.
func FuzzFrame(f *testing.F) {
	f.Add([]byte("this is no frame"))
	f.Add(appendGone(seal(append(make([]byte, headroom), "message"...), fieldMessage, 1, time.Second), 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		var frame pb.Frame
		want := proto.Unmarshal(b, &frame)
		for n := 0; len(b) > 0; n++ {
			p, rest, err := nextPart(b)
			if err != nil {
				return // also unknown fields of a Frame, which there are none of
			}
			if want == nil && (n >= len(frame.GetParts()) || frame.GetParts()[n].GetCall() != p.call || string(frame.GetParts()[n].GetMessage()) != string(p.message)) {
				t.Fatalf("part %d is read as %+v; protobuf: %v", n, p, &frame)
			}
			b = rest
		}
	})
}

// FuzzReceive: whatever comes, in whatever pieces, ends no process, and gives the same parts.
func FuzzReceive(f *testing.F) {
	whole := appendGone(seal(append(make([]byte, headroom), "message"...), fieldMessage, 1, time.Second), 2)
	one := append(binary.BigEndian.AppendUint32(nil, uint32(len(whole))), whole...)
	f.Add(append(one, one...))
	f.Add([]byte("this is no frame"))
	f.Add(append(binary.BigEndian.AppendUint32(nil, maxFrame), whole...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var first string
		for i, r := range []io.Reader{bytes.NewReader(b), iotest.OneByteReader(bytes.NewReader(b)), iotest.HalfReader(bytes.NewReader(b)), iotest.DataErrReader(bytes.NewReader(b))} {
			var got strings.Builder
			err := receive(r, func(p part) error {
				fmt.Fprintf(&got, "%+v\n", p)
				return nil
			}, func() {})
			if fmt.Fprint(&got, err); i == 0 {
				first = got.String()
			} else if got.String() != first {
				t.Fatalf("%T gives\n%s\nwant\n%s", r, &got, first)
			}
		}
	})
}

// Frames of any size arrive, wherever they are cut.
func TestFrameSizes(t *testing.T) {
	var sent []byte
	sizes := []int{0, 1, readSize - prefix, readSize, trusted + 1, 7, 3*trusted + 5, readSize + 1, 2}
	for i, n := range sizes {
		b := make([]byte, headroom+n)
		f := seal(b, fieldMessage, uint64(i+1), 0)
		b = b[len(b)-len(f)-prefix:]
		finish(b)
		sent = append(sent, b...)
	}
	for _, piece := range []int{1 << 30, readSize - 1, 1000} {
		n := 0
		err := receive(&pieces{sent, piece}, func(p part) error {
			if len(p.message) != sizes[n] || p.call != uint64(n+1) {
				t.Errorf("part %d has %d bytes, want %d", p.call, len(p.message), sizes[n])
			}
			n++
			return nil
		}, func() {})
		if n != len(sizes) || !errors.Is(err, io.EOF) {
			t.Errorf("%d parts, %v", n, err)
		}
	}
}

// pieces gives n bytes at once.
type pieces struct {
	b []byte
	n int
}

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.b[:min(len(p.b), p.n)])
	p.b = p.b[n:]
	return n, nil
}

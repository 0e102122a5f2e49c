package shim

import (
	"math"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/dbbasic/station/sdk/internal/pb"
)

// Frames are what protobuf takes them for, and no part needs more than the headroom.
func TestParts(t *testing.T) {
	if maxFrame < MaxMessage+headroom {
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
		if m := proto.Size(&pb.Frame{Parts: []*pb.Part{w}}) - len(w.GetMessage()) - len(w.GetStatus()); m > headroom {
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

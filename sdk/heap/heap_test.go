package heap

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

// TestDue is a life of a process, look by look, in MiB.
func TestDue(t *testing.T) {
	var w Watch
	for i, look := range []struct {
		held, allocated uint64
		left            uint64 // where it is due: what is held after
		why             string
	}{
		{10, 10, 0, "a small process"},
		{25, 4, 12, "it has grown from nothing to more than 16"},
		{27, 1, 0, "grown by less than 16"},
		{28, 4, 0, "grown by 16, of which 4 are new"},
		{28, 3, 28, "grown by 16, and quiet; all of it is alive"},
		{28, 0, 0, "not grown"},
		{200, 172, 0, "busy"},
		{300, 100, 0, "busy still"},
		{300, 50, 200, "quiet"},
		{299, 1, 0, "grown by less than half"},
		{300, 1, 300, "grown by half"},
		{310, 1, 0, "not grown by much"},
		{100, 1, 0, "another gave back"},
		{150, 1, 100, "grown by half of what it then held"},
	} {
		got := w.due(look.held<<20, w.total+look.allocated<<20)
		if got != (look.left > 0) {
			t.Errorf("look %d, %s: %v", i, look.why, got)
		}
		if got {
			w.base = look.left << 20
		}
	}
}

// TestTend: a process that is quiet gives back what it let go of, and goes on
// until it is told to end.
func TestTend(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the collector would do it some day
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			Tend(ctx)
		}()
		for range 2 {
			before := litter()
			time.Sleep(2*every + time.Second)
			if after, _ := read(); before-min(before, after) < 60<<20 {
				t.Errorf("the process held %d bytes, of which 64 MiB are garbage, and %d after", before, after)
			}
		}
		end()
		<-ended
	})
}

// TestSpare: a small process allocates 12 MiB, and the collector stays away.
func TestSpare(t *testing.T) {
	Spare()
	defer func() { spared = nil }()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 12 << 10 {
		kept = make([]byte, 1<<10)
	}
	runtime.ReadMemStats(&after)
	if n := after.NumGC - before.NumGC; n > 0 {
		t.Errorf("the collector ran %d times", n)
	}
}

// litter leaves 64 MiB of garbage, and gives what the heap then holds.
func litter() uint64 {
	for range 64 {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = b
	}
	kept = nil
	held, _ := read()
	return held
}

var kept []byte // so that it is allocated

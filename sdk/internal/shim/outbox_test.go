package shim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// stuck is a connection that takes at once as much as it is told, and the rest when it is told.
type stuck struct {
	mu      sync.Mutex
	atOnce  int
	got     bytes.Buffer
	waiting chan struct{} // gets one when somebody waits for the connection
	goOn    chan struct{}
}

func newStuck(atOnce int) *stuck {
	return &stuck{atOnce: atOnce, waiting: make(chan struct{}, 1), goOn: make(chan struct{})}
}

func (s *stuck) take(b []byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, _ := s.got.Write(b)
	return n
}

func (s *stuck) try(b []byte) (int, error) { return s.take(b[:min(len(b), s.atOnce)]), nil }

func (s *stuck) Write(b []byte) (int, error) {
	select {
	case s.waiting <- struct{}{}:
	default:
	}
	<-s.goOn
	return s.take(b), nil
}

// frames gives the texts of the messages of each frame that was taken.
func (s *stuck) frames(t *testing.T) (all [][]string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for b := s.got.Bytes(); len(b) > 0; {
		size := prefix + int(binary.BigEndian.Uint32(b))
		var texts []string
		used, err := takeFrames(b[:size], func(p part) error {
			texts = append(texts, string(p.message))
			return nil
		})
		if err != nil || used != size {
			t.Fatalf("%d of %d bytes are read, %v", used, size, err)
		}
		all, b = append(all, texts), b[size:]
	}
	return all
}

func put(t *testing.T, o *outbox, s string) {
	t.Helper()
	out, err := pack(t.Context(), o, &text, &s)
	if err != nil {
		t.Fatal(err)
	}
	out.part = seal(*out.buffer, fieldMessage, 1, 0)
	o.mu.Lock()
	o.put(&out)
	lead := o.lead()
	o.mu.Unlock()
	if lead {
		o.send(true)
	}
}

func shut(o *outbox) {
	o.mu.Lock()
	o.close()
	o.mu.Unlock()
	o.rest.Wait()
}

// What the connection takes at once is written by who puts it.
func TestAloneWritesItself(t *testing.T) {
	s := newStuck(1 << 30)
	o := newOutbox(s)
	put(t, o, "first")
	put(t, o, strings.Repeat("l", frameSize+1))
	if got := s.frames(t); len(got) != 2 || got[0][0] != "first" || len(got[1][0]) != frameSize+1 || !empty(o) {
		t.Errorf("%d frames were written", len(got))
	}
	shut(o)
}

// Who puts something does not wait for the connection, also not in the middle of a frame;
// what comes meanwhile goes in one frame.
func TestWhatWaitsIsOneFrame(t *testing.T) {
	for _, atOnce := range []int{0, 1, 10} {
		s := newStuck(atOnce)
		o := newOutbox(s)
		put(t, o, "first")
		within(t, s.waiting)
		for range 64 {
			put(t, o, "another!")
		}
		close(s.goOn)
		until(t, "all is written", func() bool { return empty(o) })
		if got := s.frames(t); len(got) != 2 || len(got[0]) != 1 || len(got[1]) != 64 || got[1][63] != "another!" {
			t.Errorf("%d bytes at once: the frames are %q", atOnce, got)
		}
		shut(o)
	}
}

// Who puts something sends what others put meanwhile, but not for ever.
func TestTurnsAreBounded(t *testing.T) {
	s := newStuck(1 << 30)
	o := newOutbox(s)
	o.writing = true // as if somebody was about to send
	for range 3 * maxTurns {
		put(t, o, strings.Repeat("s", frameSize*2/3))
	}
	o.send(true)
	within(t, s.waiting)
	if got := s.frames(t); len(got) != maxTurns {
		t.Errorf("who put something has sent %d frames, want %d", len(got), maxTurns)
	}
	close(s.goOn)
	until(t, "all is written", func() bool { return empty(o) })
	shut(o)
}

// A small message waits for one large one at most, and large ones are not kept out by small ones.
func TestLanesTakeTurns(t *testing.T) {
	s := newStuck(0)
	o := newOutbox(s)
	o.writing = true
	for range 3 {
		put(t, o, strings.Repeat("l", frameSize+1))
		for range 2 {
			put(t, o, strings.Repeat("s", frameSize*2/3))
		}
	}
	close(s.goOn)
	o.send(true)
	until(t, "all is written", func() bool { return empty(o) })
	var order strings.Builder
	for _, f := range s.frames(t) {
		order.WriteByte(f[0][0])
	}
	if got := order.String(); got != "lslslssss" && got != "slslslsss" {
		t.Errorf("frames of large and small messages went as %q", got)
	}
	shut(o)
}

// TestGoneComesBehindItsCall: who is told that a call is given up has the call, however
// large it is and whatever waits.
func TestGoneComesBehindItsCall(t *testing.T) {
	link := newStuck(0)
	o := newOutbox(link)
	c := &calls[string]{out: o, waiting: map[uint64]waiting[string]{}}
	call := func(size int) uint64 {
		s := strings.Repeat("x", size)
		out, err := pack(t.Context(), o, &text, &s)
		if err != nil {
			t.Fatal(err)
		}
		number, err := c.send(&out, 0, waiting[string]{answered: make(chan answered[string], 1)})
		if err != nil {
			t.Fatal(err)
		}
		return number
	}
	call(frameSize + 1)
	<-link.waiting
	given := []uint64{call(frameSize + 1), call(1), call(frameSize + 1)}
	for _, number := range given {
		if !c.forget(number) {
			t.Fatalf("call %d is not there", number)
		}
	}
	close(link.goOn)
	o.rest.Wait()
	var seen []string
	if _, err := takeFrames(link.got.Bytes(), func(p part) error {
		seen = append(seen, fmt.Sprint(p.call, p.gone))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, number := range given {
		if sent, gone := slices.Index(seen, fmt.Sprint(number, false)), slices.Index(seen, fmt.Sprint(number, true)); sent < 0 || gone < sent {
			t.Errorf("call %d: %v", number, seen)
		}
	}
	shut(o)
}

// What waits for a connection that is closed is dropped, and gives back its room.
func TestCloseDropsWhatWaits(t *testing.T) {
	s := newStuck(0)
	o := newOutbox(s)
	for range 10 {
		put(t, o, "text")
	}
	within(t, s.waiting)
	o.mu.Lock()
	o.close()
	o.mu.Unlock()
	close(s.goOn)
	o.rest.Wait()
	if got := s.frames(t); len(got) != 1 || !empty(o) {
		t.Errorf("%q were written", got)
	}
}

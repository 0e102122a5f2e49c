package shim

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
)

// A side that is silent holds no caller beyond its context: neither one whose call is
// on its way, nor one that found no room. What waits is bounded.
func TestSilentSide(t *testing.T) {
	_, ours := pair(t)
	w := NewCaller(ours, &echoes)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var sent, unsent atomic.Int64
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			s := strings.Repeat("x", 20<<10)
			if i%10 == 0 {
				s = strings.Repeat("x", 400<<10)
			}
			_, err := w.Call(ctx, &s)
			switch kind := errs.KindOf(Lost(err, "op")); kind {
			case errs.Unknown:
				sent.Add(1)
			case errs.Unavailable:
				unsent.Add(1)
			default:
				t.Errorf("a call gives %v", err)
			}
		})
	}
	until(t, "the lanes are full", func() bool {
		s := w
		s.out.mu.Lock()
		defer s.out.mu.Unlock()
		for i := range s.out.lanes {
			n := 0
			for _, q := range s.out.lanes[i].frames {
				n += len(*q.b)
			}
			if n > waitingSize+frameSize {
				t.Errorf("%d bytes wait", n)
			}
			if n < waitingSize/3 {
				return false
			}
		}
		return true
	})
	cancel()
	all.Wait()
	if sent.Load() == 0 || unsent.Load() == 0 {
		t.Errorf("%d calls may have been sent and %d were not", sent.Load(), unsent.Load())
	}
}

// The end of a link ends the calls that run, on both sides, and leaves their outcome open.
// Both sides say why, and no call can be made any more.
func TestLinkBreaks(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	w := serve(t, &wire{}, func(ctx context.Context, _ string) (string, error) {
		close(began)
		<-ctx.Done()
		close(ended)
		return "", ctx.Err()
	})
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := w.Last(short); err != nil {
		t.Errorf("a link that is whole has ended: %v", err)
	}
	go func() {
		<-began
		w.answers.link.close()
	}()
	if _, err := w.Call(t.Context(), new("x")); !errs.Is(Lost(err, "op"), errs.Unknown) {
		t.Errorf("the caller got %v, want errs.Unknown", err)
	}
	within(t, ended)
	if err := within(t, w.ended); err == nil || !strings.Contains(err.Error(), "it was closed") {
		t.Errorf("the answering side ends with %v", err)
	}
	if err := w.Last(t.Context()); err == nil || !strings.Contains(err.Error(), "the other side closed it") {
		t.Errorf("the calling side ends with %v", err)
	}
	if _, err := w.Call(t.Context(), new("x")); !errs.Is(Lost(err, "op"), errs.Unavailable) {
		t.Errorf("a call without a link gives %v, want errs.Unavailable", err)
	}
}

// Of the calls of a link that breaks, those of which the connection may have a byte may
// have run, and those that waited have not.
func TestUnsentCallsAreKnown(t *testing.T) {
	theirs, ours := pair(t)
	c := NewCaller(ours, &echoes)
	var all sync.WaitGroup
	call := func(s string, want errs.Kind) {
		all.Go(func() {
			if _, err := c.Call(t.Context(), &s); !errs.Is(Lost(err, "op"), want) {
				t.Errorf("a call of %d bytes gives %v, want kind %v", len(s), err, want)
			}
		})
	}
	waiting := func(calls int, handed uint64) {
		t.Helper()
		until(t, "the calls wait", func() bool {
			c.out.mu.Lock()
			defer c.out.mu.Unlock()
			return len(c.waiting) == calls && c.out.lanes[0].handed+c.out.lanes[1].handed == handed
		})
	}
	call(strings.Repeat("l", 10<<20), errs.Unknown) // much more than the connection takes
	waiting(1, 1)
	call("unsent", errs.Unavailable)
	call("unsent as well", errs.Unavailable)
	waiting(3, 1)
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
}

// Bytes that are no frame end the link, on whichever side they arrive, and both sides say why.
func TestMalformedFrames(t *testing.T) {
	number := func(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }
	for what, bytes := range map[string]string{
		"a frame of nothing":     number(0),
		"a frame too large":      number(maxFrame + 1),
		"text":                   "HTTP/1.1 400 Bad Request",
		"a part that is none":    number(4) + "none",
		"a part longer than all": number(2) + "\n\x7f",
	} {
		for _, side := range []string{"caller", "answering side"} {
			theirs, ours := pair(t)
			ended := make(chan error, 1)
			if side == "caller" {
				c := NewCaller(ours, &echoes)
				go func() { ended <- c.Last(context.Background()) }()
			} else {
				go func() { ended <- Answer(ours, &echoes, echo) }()
			}
			if _, err := theirs.Write([]byte(bytes)); err != nil {
				t.Fatal(err)
			}
			if err := within(t, ended); err == nil || !strings.Contains(err.Error(), "what is no ") {
				t.Errorf("%s to the %s ends the link with %v", what, side, err)
			}
			if n, err := theirs.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("%s to the %s: its link is open", what, side)
			}
		}
	}
}

// A frame that breaks off is no end in order, and one that is announced takes no memory
// before it comes.
func TestFrameBreaksOff(t *testing.T) {
	theirs, ours := pair(t)
	ended := make(chan error, 1)
	go func() { ended <- Answer(ours, &echoes, echo) }()
	if _, err := theirs.Write(binary.BigEndian.AppendUint32(nil, maxFrame)); err != nil {
		t.Fatal(err)
	}
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	if err := within(t, ended); err == nil || !strings.Contains(err.Error(), "the other side closed it") {
		t.Errorf("the link ends with %v", err)
	}
	r := &announces{}
	if err := receive(r, nil, func() {}); !errors.Is(err, io.ErrNoProgress) || r.largest > trusted {
		t.Errorf("there is room for %d bytes when 64 KiB have come; %v", r.largest, err)
	}
}

// announces is a connection from which comes the beginning of the largest frame.
type announces struct {
	reads, largest int
}

// Read implements io.Reader.
func (r *announces) Read(b []byte) (int, error) {
	r.largest = max(r.largest, len(b))
	if r.reads++; r.reads > 2 {
		return 0, io.ErrNoProgress
	}
	if r.reads == 1 {
		binary.BigEndian.PutUint32(b, maxFrame)
		return len(b), nil
	}
	return 1, nil
}

// Calls that are done together are done one after the other, with all that came at once, and
// an error of one is no other's.
func TestTogether(t *testing.T) {
	theirs, ours := pair(t)
	release, first := make(chan struct{}), make(chan struct{})
	var sizes []int
	var calls atomic.Int64
	ended := make(chan error, 1)
	go func() {
		ended <- AnswerTogether(theirs, &echoes, func(list []string) []string {
			if calls.Add(1) == 1 {
				close(first)
				<-release
			}
			sizes = append(sizes, len(list))
			if list[0] == "panic" {
				panic("on purpose")
			}
			return append([]string(nil), list...)
		})
	}()
	c := NewCaller(ours, &echoes)
	w := &wire{Caller: c}
	var all sync.WaitGroup
	all.Go(func() { w.must(t, "first") })
	<-first
	for range 50 {
		all.Go(func() { w.must(t, "another") })
	}
	all.Go(func() {
		if _, err := c.Call(t.Context(), new("malformed")); !errs.Is(err, errs.Invalid) {
			t.Errorf("what is malformed gives %v", err)
		}
	})
	gone, cancel := context.WithCancel(t.Context())
	var leaver sync.WaitGroup
	leaver.Go(func() {
		if _, err := c.Call(gone, new("another")); !errs.Is(Lost(err, "op"), errs.Unknown) {
			t.Errorf("who goes away gets %v", err)
		}
	})
	until(t, "all calls are sent", func() bool {
		c.out.mu.Lock()
		defer c.out.mu.Unlock()
		return len(c.waiting) == 53 && !c.out.writing
	})
	cancel()
	leaver.Wait()
	close(release)
	all.Wait()
	if _, err := c.Call(t.Context(), new("panic")); !errs.Is(err, errs.Internal) {
		t.Errorf("a panic gives %v", err)
	}
	w.must(t, "after")
	if err := ours.Close(); err != nil {
		t.Fatal(err)
	}
	if err := within(t, ended); err == nil {
		t.Error("the answering side has ended and does not say why")
	}
	if len(sizes) < 3 || sizes[1] < 50 {
		t.Errorf("calls were done together by %v", sizes)
	}
}

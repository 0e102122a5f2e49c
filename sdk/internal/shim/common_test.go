package shim

import (
	"cmp"
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// text is the format of a message that is a text.
var text = Format[string]{
	Size: func(s *string) int { return len(*s) },
	Append: func(b []byte, s *string) ([]byte, error) {
		if *s == "no message" {
			panic("on purpose")
		}
		return append(b, *s...), nil
	},
	Parse: func(b []byte) (string, error) {
		if string(b) == "malformed" {
			return "", errMalformed
		}
		return string(b), nil
	},
}

var echoes = Method[string, string]{Name: "test.Echo", Req: text, Result: text}

// pair gives the two ends of a link.
func pair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	a, f, err := NewLink()
	if err != nil {
		t.Fatal(err)
	}
	if b, err = OpenLink(f); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = a.Close() // either may be closed already
		_ = b.Close()
	})
	return a, b
}

// wire is the two sides of a link.
type wire struct {
	*Caller[string, string]
	answers *answers[string, string]
	ended   chan error // what the answering side gives
	most    int        // calls at once, if not maxCalls
	limit   int        // of an answer, if not MaxMessage
}

// serve answers a method with do.
func serve(t *testing.T, w *wire, do func(context.Context, string) (string, error)) *wire {
	t.Helper()
	theirs, ours := pair(t)
	w.answers = newAnswers(theirs, &echoes)
	w.answers.do = do
	w.answers.most = cmp.Or(w.most, w.answers.most)
	w.answers.out.limit = cmp.Or(w.limit, w.answers.out.limit)
	w.ended = make(chan error, 1)
	var ended atomic.Bool
	go func() {
		w.ended <- w.answers.serve()
		ended.Store(true)
	}()
	w.Caller = NewCaller(ours, &echoes)
	t.Cleanup(func() {
		_ = ours.Close()
		until(t, "the answering side has ended", ended.Load)
		within(t, w.broken)
	})
	return w
}

func echo(_ context.Context, s string) (string, error) { return s, nil }

// must makes a call that is echoed.
func (w *wire) must(t *testing.T, s string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if got, err := w.Call(ctx, &s); err != nil || got != s {
		t.Errorf("%.20q gives %.20q, %v", s, got, err)
	}
}

// free checks that neither side holds anything of a call.
func (w *wire) free(t *testing.T) {
	t.Helper()
	until(t, "both sides hold nothing", func() bool {
		s, a := w.Caller, w.answers
		s.out.mu.Lock()
		defer s.out.mu.Unlock()
		a.out.mu.Lock()
		defer a.out.mu.Unlock()
		return len(s.waiting) == 0 && len(a.running) == 0 && a.calls == 0 && empty(s.out) && empty(a.out)
	})
}

func empty(o *outbox) bool {
	for i := range o.lanes {
		if !o.lanes[i].room.TryAcquire(waitingSize) {
			return false
		}
		o.lanes[i].room.Release(waitingSize)
	}
	return true
}

// until waits for what happens elsewhere.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// within takes what comes from elsewhere.
func within[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(time.Minute):
		t.Fatal("nothing came within a minute")
	}
	return v
}

package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dbbasic/station/sdk/errs"
)

// Calls of every size, many at once, go over one link, and each gets its own answer.
func TestCallsShareALink(t *testing.T) {
	w := serve(t, &wire{}, echo)
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			for j := range 50 {
				w.must(t, fmt.Sprint(i, j))
			}
			w.must(t, strings.Repeat(fmt.Sprint(i, " "), 1000*i)) // up to 190 KB, and nothing at all
		})
	}
	all.Wait()
	w.free(t)
}

// The answering side knows how long the caller waits; the caller returns at that time,
// whatever the other side does, and the answering side is told.
func TestDeadline(t *testing.T) {
	left, ended, told := make(chan time.Duration, 1), make(chan error, 1), make(chan struct{})
	w := serve(t, &wire{}, func(ctx context.Context, s string) (string, error) {
		if s == "echo" {
			return s, nil
		}
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
		<-ctx.Done()
		ended <- ctx.Err()
		<-told // else its answer may be as early as the caller's deadline
		return "", ctx.Err()
	})
	w.must(t, "echo")
	const most = 2 * time.Second // on a busy machine, time to be sent
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	s := "slow"
	_, err := w.Call(ctx, &s)
	close(told)
	if !errors.Is(err, context.DeadlineExceeded) && !errs.Is(err, errs.Timeout) || !errs.Is(Lost(err, "op"), errs.Unknown) {
		t.Errorf("the caller got %v", err)
	}
	if d := within(t, left); d <= 0 || d > most {
		t.Errorf("the call had %v left", d)
	}
	if err := within(t, ended); err == nil {
		t.Error("the handler's context has not ended")
	}
	w.free(t)
}

// A call without a deadline has none on the other side.
func TestNoDeadline(t *testing.T) {
	w := serve(t, &wire{}, func(ctx context.Context, _ string) (string, error) {
		_, has := ctx.Deadline()
		return fmt.Sprint(has), nil
	})
	if got, err := w.Call(context.Background(), new("x")); err != nil || got != "false" {
		t.Errorf("%q, %v", got, err)
	}
}

// A caller that goes away ends the handler's context and leaves nothing behind.
func TestCancel(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	w := serve(t, &wire{}, func(ctx context.Context, _ string) (string, error) {
		close(began)
		<-ctx.Done()
		ended <- ctx.Err()
		return "", ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-began
		cancel()
	}()
	if _, err := w.Call(ctx, new("x")); !errs.Is(Lost(err, "op"), errs.Unknown) {
		t.Errorf("the caller got %v", err)
	}
	if err := within(t, ended); !errors.Is(err, context.Canceled) {
		t.Errorf("the handler's context ended with %v", err)
	}
	w.free(t)
}

// A context that has ended already sends nothing.
func TestCancelledBefore(t *testing.T) {
	w := serve(t, &wire{}, echo)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Call(ctx, new("x")); !errs.Is(Lost(err, "op"), errs.Unavailable) {
		t.Errorf("the caller got %v", err)
	}
	w.free(t)
}

// A panic, an error of any kind and a message that is none are that call's alone.
func TestErrorsAreOfTheCall(t *testing.T) {
	full := &errs.Error{
		Kind: errs.Refused, Code: "no_way", Message: "not today", Status: 409, Line: 7, Traceback: "at 7", Allow: []string{"GET"},
		RetryAfter: time.Second, Op: "test", Err: errors.New("cause"),
	}
	release := make(chan struct{})
	w := serve(t, &wire{}, func(_ context.Context, s string) (string, error) {
		switch s {
		case "wait":
			<-release
		case "panic":
			panic("on purpose")
		case "full":
			return "", full
		case "plain":
			return "", errors.New("plain")
		case "answer":
			return "malformed", nil
		case "encode":
			return "no message", nil
		case "nothing":
			var e *errs.Error
			return "", e
		case "error":
			return "", panics{}
		case "bytes":
			return "", fmt.Errorf("\xff: %w", status.Error(codes.NotFound, "of another call"))
		}
		return s, nil
	})
	var beside sync.WaitGroup
	beside.Go(func() { w.must(t, "wait") })
	for what, want := range map[string]errs.Kind{
		"panic": errs.Internal, "full": errs.Refused, "plain": errs.Internal, "malformed": errs.Invalid, "answer": errs.Unknown,
		"encode": errs.Internal, "nothing": errs.Internal, "error": errs.Internal, "bytes": errs.Unknown, "no message": errs.Internal,
	} {
		_, err := w.Call(t.Context(), &what)
		if err = Lost(err, "op"); !errs.Is(err, want) {
			t.Errorf("%s gives %v, want kind %v", what, err, want)
		}
		e := errs.From(err)
		if what == "full" && (e.Code != full.Code || e.Message != full.Message || e.Status != full.Status || e.Line != full.Line || e.Traceback != full.Traceback ||
			len(e.Allow) != 1 || e.RetryAfter != full.RetryAfter || e.Op != full.Op || e.Err == nil || e.Err.Error() != "cause") {
			t.Errorf("%+v arrived as %+v", full, e)
		}
	}
	close(release)
	beside.Wait()
	w.must(t, "after")
	w.free(t)
}

// panics is an error that cannot be asked.
type panics struct{}

func (panics) Error() string { panic("on purpose") }

// A call that waits until its answer has room is one that runs, until its caller is gone.
func TestCallsThatWaitForRoomCount(t *testing.T) {
	const most = 8
	theirs, ours := pair(t)
	s := newAnswers(theirs, &echoes)
	s.most = most
	large := strings.Repeat("x", waitingSize)
	s.do = func(context.Context, string) (string, error) { return large, nil }
	ended := make(chan error, 1)
	go func() { ended <- s.serve() }()
	for i := range uint64(most) {
		sendPart(t, ours, seal(make([]byte, headroom), fieldMessage, i+1, 0))
	}
	running := func() (calls, waited int) {
		s.out.mu.Lock()
		defer s.out.mu.Unlock()
		return s.calls, len(s.running)
	}
	until(t, "one answer has all the room of the lane", func() bool { calls, waited := running(); return calls == most-1 && waited == most-1 })
	for i := range uint64(most) {
		sendPart(t, ours, appendGone(nil, i+1))
	}
	until(t, "calls that nobody waits for end", func() bool { calls, waited := running(); return calls == 0 && waited == 0 })
	if err := ours.Close(); err != nil {
		t.Fatal(err)
	}
	if err := within(t, ended); err == nil {
		t.Error("the answering side does not say why it ended")
	}
}

// sendPart sends a frame of one part.
func sendPart(t *testing.T, to io.Writer, part []byte) {
	t.Helper()
	frame := append(make([]byte, prefix), part...)
	finish(frame)
	if _, err := to.Write(frame); err != nil {
		t.Fatal(err)
	}
}

// Calls that take long hold up no others, up to a bound beyond which calls are refused.
func TestSlowHandlers(t *testing.T) {
	const most = 200
	release := make(chan struct{})
	var running atomic.Int64
	w := serve(t, &wire{most: most}, func(_ context.Context, s string) (string, error) {
		if s == "slow" {
			running.Add(1)
			<-release
		}
		return s, nil
	})
	var all sync.WaitGroup
	for range most - 1 {
		all.Go(func() { w.must(t, "slow") })
	}
	until(t, "all slow calls run", func() bool { return running.Load() == most-1 })
	w.must(t, "quick")
	all.Go(func() { w.must(t, "slow") })
	until(t, "as many calls run as may", func() bool { return running.Load() == most })
	if _, err := w.Call(t.Context(), new("one too many")); !errs.Is(err, errs.Busy) {
		t.Errorf("a call beyond the bound gives %v, want errs.Busy", err)
	}
	close(release)
	all.Wait()
	w.must(t, "after")
	w.free(t)
}

// The limit of a message holds on both ways, to the byte, and what is above it costs the
// link nothing. (What a frame may have is that limit and the headroom: TestParts.)
func TestMessageLimit(t *testing.T) {
	const limit = 1 << 20
	large := strings.Repeat("x", limit+1)
	w := serve(t, &wire{limit: limit}, func(_ context.Context, s string) (string, error) {
		if s == "large" {
			return large, nil
		}
		return s, nil
	})
	w.out.limit = limit
	for _, s := range []string{large, "large"} {
		if _, err := w.Call(t.Context(), &s); !errs.Is(Lost(err, "op"), errs.TooLarge) {
			t.Errorf("%.10q gives %v, want errs.TooLarge", s, err)
		}
	}
	w.must(t, large[:limit])
	w.free(t)
}

package shim

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/dbbasic/station/sdk/errs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// text is the format of a message that is a text.
var text = Format[string]{
	Size:   func(s *string) int { return len(*s) },
	Append: func(b []byte, s *string) ([]byte, error) { return append(b, *s...), nil },
	Parse: func(b []byte) (string, error) {
		if string(b) == "malformed" {
			return "", errMalformed
		}
		return string(b), nil
	},
}

var echoes = Method[string, string]{Name: "/test.Calls/Echo", Req: text, Result: text}

// wire is a server and a connection to it.
type wire struct {
	*Caller[string, string]
	conn    *grpc.ClientConn
	server  *grpc.Server
	streams atomic.Int64 // that were opened
	answers atomic.Pointer[answers[string, string]]
	most    int // calls at once, if not maxCalls
	limit   int // of an answer, if not MaxMessage
}

// serve answers a method with do; where do is nil, stream serves the streams.
func serve(t *testing.T, w *wire, do func(context.Context, string) (string, error), stream func(grpc.ServerStream) error) *wire {
	t.Helper()
	if stream == nil {
		stream = func(s grpc.ServerStream) error {
			a := newAnswers(s.Context(), &echoes, do)
			a.most = cmp.Or(w.most, a.most)
			a.out.limit = cmp.Or(w.limit, a.out.limit)
			w.answers.Store(a)
			return a.serve(s)
		}
	}
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	w.server = NewServer(nil)
	w.server.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Calls", Streams: []grpc.StreamDesc{{
		StreamName: "Echo", ServerStreams: true, ClientStreams: true,
		Handler: func(_ any, s grpc.ServerStream) error {
			w.streams.Add(1)
			return stream(s)
		},
	}}}, nil)
	var served sync.WaitGroup
	served.Go(func() { _ = w.server.Serve(ln) })
	conn, err := grpc.NewClient("unix:"+ln.Addr().String(), append(DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	w.conn, w.Caller = conn, NewCaller(conn, &echoes)
	t.Cleanup(func() {
		_ = conn.Close()
		w.server.Stop()
		served.Wait()
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
		s := w.open()
		s.out.mu.Lock()
		defer s.out.mu.Unlock()
		a := w.answers.Load()
		if a == nil {
			return len(s.waiting) == 0
		}
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

// Calls of every size, many at once, go over one stream, and each gets its own answer.
func TestCallsShareAStream(t *testing.T) {
	w := serve(t, &wire{}, echo, nil)
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
	if n := w.streams.Load(); n != 1 {
		t.Errorf("%d streams were opened, want 1", n)
	}
	w.free(t)
}

// What one side sends while the connection takes nothing goes in one frame.
func TestWhatWaitsIsOneFrame(t *testing.T) {
	o := newOutbox()
	put(t, o, "first")
	sending, goOn := make(chan int, 10), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_ = o.write(func(f *frame) error {
			sending <- bytes.Count(*f.b, []byte("!"))
			<-goOn
			return nil
		})
	})
	<-sending
	for range 64 {
		put(t, o, "another!")
	}
	close(goOn)
	if n := within(t, sending); n != 64 {
		t.Errorf("the second frame has %d messages, want 64", n)
	}
	o.mu.Lock()
	o.close()
	o.mu.Unlock()
	all.Wait()
}

func put(t *testing.T, o *outbox, s string) {
	t.Helper()
	out, err := pack(t.Context(), o, &text, &s)
	if err != nil {
		t.Fatal(err)
	}
	out.part = seal(*out.buffer, fieldMessage, 1, 0)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.put(&out)
}

// A small message waits for one large one at most, and large ones are not kept out by small ones.
func TestLanesTakeTurns(t *testing.T) {
	o := newOutbox()
	for range 3 {
		put(t, o, strings.Repeat("l", frameSize+1))
		for range 2 {
			put(t, o, strings.Repeat("s", frameSize*2/3))
		}
	}
	var order strings.Builder
	for {
		l, q, _ := o.take()
		if l == nil {
			break
		}
		order.WriteByte((*q.b)[len(*q.b)-1])
	}
	if got := order.String(); got != "lslslssss" && got != "slslslsss" {
		t.Errorf("frames of large and small messages went as %q", got)
	}
}

// The answering side knows how long the caller waits; the caller returns at that time,
// whatever the other side does, and the answering side is told.
func TestDeadline(t *testing.T) {
	left, ended := make(chan time.Duration, 1), make(chan error, 1)
	w := serve(t, &wire{}, func(ctx context.Context, s string) (string, error) {
		if s == "echo" {
			return s, nil
		}
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
		<-ctx.Done()
		ended <- ctx.Err()
		return "", ctx.Err()
	}, nil)
	w.must(t, "echo")
	const most = 2 * time.Second // on a busy machine, time to be sent
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	s := "slow"
	_, err := w.Call(ctx, &s)
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
	}, nil)
	if got, err := w.Call(context.Background(), new("x")); err != nil || got != "false" {
		t.Errorf("%q, %v", got, err)
	}
}

// A side that is silent holds no caller beyond its deadline: neither one whose call is
// on its way, nor one that found no room. What waits is bounded.
func TestSilentSide(t *testing.T) {
	release := make(chan struct{})
	w := serve(t, &wire{}, nil, func(grpc.ServerStream) error {
		<-release
		return nil
	})
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // in which the lanes are full, on a busy machine too
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
		s := w.open()
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
	all.Wait()
	if sent.Load() == 0 || unsent.Load() == 0 {
		t.Errorf("%d calls may have been sent and %d were not", sent.Load(), unsent.Load())
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
	}, nil)
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
	w := serve(t, &wire{}, echo, nil)
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
		}
		return s, nil
	}, nil)
	var beside sync.WaitGroup
	beside.Go(func() { w.must(t, "wait") })
	for what, want := range map[string]errs.Kind{
		"panic": errs.Internal, "full": errs.Refused, "plain": errs.Internal, "malformed": errs.Invalid, "answer": errs.Unknown,
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
	if n := w.streams.Load(); n != 1 {
		t.Errorf("%d streams were opened, want 1", n)
	}
	w.free(t)
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
	}, nil)
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
// stream nothing. (What gRPC takes is that limit and the headroom: TestParts.)
func TestMessageLimit(t *testing.T) {
	const limit = 1 << 20
	large := strings.Repeat("x", limit+1)
	w := serve(t, &wire{limit: limit}, func(_ context.Context, s string) (string, error) {
		if s == "large" {
			return large, nil
		}
		return s, nil
	}, nil)
	w.open().out.limit = limit
	for _, s := range []string{large, "large"} {
		if _, err := w.Call(t.Context(), &s); !errs.Is(Lost(err, "op"), errs.TooLarge) {
			t.Errorf("%.10q gives %v, want errs.TooLarge", s, err)
		}
	}
	w.must(t, large[:limit])
	if n := w.streams.Load(); n != 1 {
		t.Errorf("%d streams were opened, want 1", n)
	}
	w.free(t)
}

// The end of a connection ends the calls that run, on both sides, and leaves their
// outcome open.
func TestStreamBreaks(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	w := serve(t, &wire{}, func(ctx context.Context, _ string) (string, error) {
		close(began)
		<-ctx.Done()
		close(ended)
		return "", ctx.Err()
	}, nil)
	go func() {
		<-began
		w.server.Stop()
	}()
	if _, err := w.Call(t.Context(), new("x")); !errs.Is(Lost(err, "op"), errs.Unknown) {
		t.Errorf("the caller got %v, want errs.Unknown", err)
	}
	within(t, ended)
	if _, err := w.Call(t.Context(), new("x")); !errs.Is(Lost(err, "op"), errs.Unavailable) {
		t.Errorf("a call without a server gives %v, want errs.Unavailable", err)
	}
}

// A stream that ends alone is opened again by the next call.
func TestStreamIsOpenedAgain(t *testing.T) {
	w := &wire{}
	serve(t, w, nil, func(s grpc.ServerStream) error {
		if w.streams.Load()%2 == 0 {
			return Answer(s, &echoes, echo)
		}
		if err := s.RecvMsg(new(frame)); err != nil {
			return err
		}
		if w.streams.Load() == 1 {
			return nil
		}
		b := []byte("this is no frame")
		return errors.Join(s.SendMsg(&frame{b: &b}), s.RecvMsg(new(frame)))
	})
	for range 2 {
		if _, err := w.Call(t.Context(), new("lost")); !errs.Is(Lost(err, "op"), errs.Unknown) {
			t.Errorf("the caller got %v, want errs.Unknown", err)
		}
		w.must(t, "again")
		w.Caller = NewCaller(w.conn, &echoes)
	}
}

// A caller whose bytes are no frame loses its stream; the server goes on.
func TestMalformedFrame(t *testing.T) {
	w := serve(t, &wire{}, echo, nil)
	s, err := w.conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, echoes.Name, grpc.ForceCodecV2(newCodec()))
	if err != nil {
		t.Fatal(err)
	}
	b := []byte("this is no frame")
	if err := s.SendMsg(&frame{b: &b}); err != nil {
		t.Fatal(err)
	}
	if err := s.RecvMsg(new(frame)); err == nil {
		t.Error("there was an answer")
	}
	w.must(t, "after")
}

// held is a connection whose stream takes one frame and then no other until it breaks.
type held struct {
	grpc.ClientConnInterface
	grpc.ClientStream
	taken, broken chan struct{}
	opens         error
}

func (h *held) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return h, h.opens
}

func (h *held) SendMsg(any) error {
	h.taken <- struct{}{}
	<-h.broken
	return errors.New("broken")
}

func (h *held) RecvMsg(any) error {
	<-h.broken
	return errors.New("broken")
}

// Of the calls of a stream that breaks, those that were given to the connection may have
// run, and those that waited have not.
func TestUnsentCallsAreKnown(t *testing.T) {
	h := &held{taken: make(chan struct{}), broken: make(chan struct{})}
	c := NewCaller[string, string](h, &echoes)
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := c.Call(t.Context(), new("sent")); !errs.Is(Lost(err, "op"), errs.Unknown) {
			t.Errorf("a call that was sent gives %v, want errs.Unknown", err)
		}
	})
	<-h.taken
	for _, s := range []string{"unsent", strings.Repeat("l", frameSize+1)} {
		all.Go(func() {
			if _, err := c.Call(t.Context(), &s); !errs.Is(Lost(err, "op"), errs.Unavailable) {
				t.Errorf("a call that was not sent gives %v, want errs.Unavailable", err)
			}
		})
	}
	s := c.open()
	until(t, "three calls wait", func() bool {
		s.out.mu.Lock()
		defer s.out.mu.Unlock()
		return len(s.waiting) == 3
	})
	close(h.broken)
	all.Wait()
}

// A stream that cannot be opened has sent nothing.
func TestStreamThatDoesNotOpen(t *testing.T) {
	c := NewCaller[string, string](&held{opens: errors.New("no")}, &echoes)
	for range 3 {
		if _, err := c.Call(t.Context(), new("x")); !errs.Is(Lost(err, "op"), errs.Unavailable) {
			t.Errorf("the caller got %v, want errs.Unavailable", err)
		}
	}
}

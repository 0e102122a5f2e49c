package transporttest

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/transport"
)

// checkDrain: once its context ends, a transport takes no new client, lets
// the call in flight have its answer, and returns nil.
func checkDrain(t testing.TB, h Harness) {
	s := newStation(t, h)
	r := s.serve()
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	defer release()
	s.host.Answer("slow", Answer{Hold: hold, Echo: true})
	s.host.Answer("late", Answer{Echo: true})
	slow := begin(t, s.dial(), Request{Object: "slow", Method: "POST", Body: []byte("slow")})
	eventually(t, "the call reaches the host", func() bool { return len(s.host.Calls("slow")) == 1 })

	began := time.Now()
	do(t, s.dial(), Request{Object: "late", Method: "GET"})
	served := time.Since(began)
	r.cancel()
	late := refusedCall(t, s, served)
	select {
	case <-r.done:
		t.Errorf("Serve returned while a call was in flight")
	case o := <-slow:
		t.Fatalf("the call in flight was given up: %d, error %v", o.Status, o.err)
	default:
	}
	before := len(s.host.Calls("late"))
	release()
	if res := wait(t, "the call in flight", slow); res.Status != 200 || string(res.Body) != "slow" {
		t.Errorf("the call in flight got %d %q, want 200 %q", res.Status, res.Body, "slow")
	}
	select {
	case <-r.done:
	case <-time.After(transport.DrainTime):
		t.Fatalf("Serve did not return though no call is in flight")
	}
	if n := len(s.host.Calls("late")) - before; n > 0 {
		t.Errorf("%d calls were taken after the end", n)
	}

	s.serve()
	if res := wait(t, "the client that waited for the next transport", late); res.Status != 200 {
		t.Errorf("the client that waited for the next transport got %d", res.Status)
	}
}

// refusedCall connects new clients until one is left to wait, for much longer than
// those were that have been served, if any: the end of a context is seen soon, not at once.
func refusedCall(t testing.TB, s *station, served time.Duration) <-chan outcome {
	t.Helper()
	for end := time.Now().Add(patience(t)); time.Now().Before(end); {
		began := time.Now()
		call := begin(t, s.dial(), Request{Object: "late", Method: "GET"})
		select {
		case <-call:
			served = max(served, time.Since(began))
		case <-time.After(min(500*time.Millisecond+20*served, transport.DrainTime/3)): // the call in flight has DrainTime
			return call
		}
	}
	t.Fatalf("new clients are still served %v after the end", patience(t))
	return nil
}

// checkHandover: the listener outlives the transport. Clients that come while
// none serves wait for the next one.
func checkHandover(t testing.TB, h Harness) {
	s := newStation(t, h)
	s.host.Answer("a", Answer{Echo: true})
	for round := range 3 {
		waiting := begin(t, s.dial(), Request{Object: "a", Method: "POST", Body: []byte("waiting")})
		conn, err := s.connect()
		if err != nil {
			t.Fatalf("round %d: nobody listens between two transports: %v", round, err)
		}
		_ = conn.Close()
		r := s.serve()
		if res := wait(t, "a client that came before the transport", waiting); string(res.Body) != "waiting" {
			t.Errorf("round %d: a client that came before the transport got %d %q", round, res.Status, res.Body)
		}
		if res := do(t, s.dial(), Request{Object: "a", Method: "GET"}); res.Status != 200 {
			t.Errorf("round %d: a client of the running transport got %d", round, res.Status)
		}
		r.stop()
	}
}

// checkFailedListener: a transport that can take no clients says so.
func checkFailedListener(t testing.TB, h Harness) {
	s := newStation(t, h)
	ln := s.lend()
	must(t, ln.Close())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	failed := make(chan error, 1)
	tr := configured(t, h)
	go func() { failed <- tr.Serve(ctx, ln, s.host) }()
	select {
	case err := <-failed:
		if err == nil {
			t.Errorf("Serve = nil on a listener that failed")
		}
	case <-time.After(patience(t)):
		t.Fatalf("Serve goes on with a listener that failed")
	}
}

// checkClientGone: a call goes on when its client goes away, and serves others
// meanwhile.
func checkClientGone(t testing.TB, h Harness) {
	s := newStation(t, h)
	s.serve()
	release := make(chan struct{})
	s.host.Answer("slow", Answer{Hold: release, Echo: true})
	s.host.Answer("a", Answer{Echo: true})
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	gone := s.dial()
	left := make(chan struct{})
	go func() {
		defer close(left)
		_, _ = gone.Do(ctx, Request{Object: "slow", Method: "POST", Body: []byte("slow")})
	}()
	eventually(t, "the call reaches the host", func() bool { return len(s.host.Calls("slow")) == 1 })
	leave()
	<-left
	gone.Close()
	c := s.dial()
	for range 50 { // in which time a transport sees that the client is gone
		do(t, c, Request{Object: "a", Method: "GET"})
	}
	if n := s.host.Ended("slow"); n > 0 {
		t.Errorf("the call ended when its client went away")
	}
	close(release)
	eventually(t, "the call ends", func() bool { return s.host.Ended("slow") == 1 })
}

// checkNoLeak: a transport leaves no goroutine behind, whatever its clients did.
func checkNoLeak(t testing.TB, h Harness) {
	before := goleak.IgnoreCurrent()
	s := newStation(t, h)
	r := s.serve()
	release := make(chan struct{})
	s.host.Answer("slow", Answer{Hold: release, Echo: true})
	s.host.Answer("a", Answer{Echo: true})

	ctx, leave := context.WithCancel(context.Background())
	gone := s.dial()
	left := make(chan struct{})
	go func() {
		defer close(left)
		_, _ = gone.Do(ctx, Request{Object: "slow", Method: "GET"})
	}()
	eventually(t, "the call reaches the host", func() bool { return len(s.host.Calls("slow")) == 1 })
	leave()
	<-left
	gone.Close()
	idle, err := s.connect()
	must(t, err)
	c := s.dial()
	for _, object := range []id.Object{"a", "slow", "none"} {
		if object == "slow" {
			close(release)
		}
		do(t, c, Request{Object: string(object), Method: "POST", Body: allBytes(64)})
	}
	r.stop()
	c.Close()
	_ = idle.Close()
	// A plugin server of go-plugin in the test's own process leaves its pipes, and
	// the goroutines that read them, to the garbage collector.
	for end := time.Now().Add(patience(t)); time.Now().Before(end); {
		runtime.GC()
		if err = goleak.Find(before); err == nil {
			return
		}
	}
	t.Errorf("goroutines are left: %v", err)
}

package lines

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// TestBadLines: what is no request is answered, and the connection goes on.
func TestBadLines(t *testing.T) {
	s := serve(t, func(l *limits) { l.line = 500 << 10 })
	s.host.Answer("a", transporttest.Answer{Echo: true})
	c := s.dial()
	for _, bad := range []struct {
		line string
		id   uint64
		kind errs.Kind
		code string
	}{
		{"{", 0, errs.Invalid, "bad_line"}, {"", 0, errs.Invalid, "bad_line"},
		{`{"ID":0,"Do":"identity"}`, 0, errs.Invalid, "bad_id"}, {`{"ID":3,"Do":"dance"}`, 3, errs.Invalid, "bad_action"}, {`{"ID":3}`, 3, errs.Invalid, "bad_action"},
		{strings.Repeat(" ", 600<<10), 0, errs.TooLarge, "too_large"}, {`{"ID":4,"Do":"source","Object":"A"}`, 4, errs.Invalid, "bad_object_id"},
		{`{"ID":5,"Do":"source","Object":"a@there"}`, 5, errs.NotFound, "no_such_station"},
		{`{"ID":6,"Do":"state","Object":"a","Limit":1001}`, 6, errs.Invalid, "bad_parameter"},
		{`{"ID":7,"Do":"version","Object":"a"}`, 7, errs.Invalid, "bad_version"}, {`{"ID":8,"Do":"rollback","Object":"a"}`, 8, errs.Invalid, "bad_version"},
		{`{"ID":9,"Do":"invoke","Object":"a","Call":{"Method":"get"}}`, 9, errs.MethodNotAllowed, "method_not_allowed"},
		{`{"ID":9,"Do":"invoke","Object":"a","Call":{"Method":"POST","Body":"YQ==","Form":[{}]}}`, 9, errs.Invalid, "bad_body"},
	} {
		_, err := c.Write([]byte(bad.line + "\n"))
		must(t, err)
		c.refused(bad.id, bad.kind, bad.code)
	}
	many := call(1, "a", "")
	many.Call.Query = make([]host.Field, MaxFields+1)
	c.say(many)
	c.refused(1, errs.TooLarge, "too_large")
	c.say(call(1, "a", "still here"))
	if a := c.hear(); a.ID != 1 || a.Result == nil || string(a.Result.Body) != "still here" {
		t.Errorf("after bad lines a call got %+v", a)
	}
}

// TestCalls: more requests than a connection may have are refused, not queued, and
// an id is free again with its answer.
func TestCalls(t *testing.T) {
	s := serve(t, func(l *limits) { l.calls = 2 })
	release := make(chan struct{})
	s.host.Answer("slow", transporttest.Answer{Hold: release, Echo: true})
	s.host.Answer("fast", transporttest.Answer{Echo: true})
	c := s.dial()
	c.say(call(1, "slow", ""))
	eventually(t, "the call reaches the host", func() bool { return len(s.host.Calls("slow")) == 1 })
	c.say(call(1, "fast", ""))
	c.refused(1, errs.Invalid, "bad_id")
	for range 100 {
		c.say(call(2, "fast", "x"))
		if a := c.hear(); a.ID != 2 || a.Err != nil {
			t.Fatalf("beside a slow call a fast one got %+v", a)
		}
	}
	c.say(call(2, "slow", ""))
	eventually(t, "the call reaches the host", func() bool { return len(s.host.Calls("slow")) == 2 })
	c.say(call(3, "fast", ""))
	c.refused(3, errs.Busy, "busy")
	other := s.dial()
	other.say(call(3, "fast", ""))
	if a := other.hear(); a.Err != nil {
		t.Errorf("another connection got %+v", a)
	}
	close(release)
	for range 2 {
		if a := c.hear(); a.Err != nil || a.ID > 2 {
			t.Errorf("a slow call got %+v", a)
		}
	}
}

// TestHeld: large lines that wait for their calls share what there is of memory.
func TestHeld(t *testing.T) {
	s := serve(t, func(l *limits) { l.held = 1 << 20 })
	release := make(chan struct{})
	s.host.Answer("slow", transporttest.Answer{Hold: release, Echo: true})
	c := s.dial()
	large := strings.Repeat("x", 600<<10) // 800 KiB in base64
	c.say(call(1, "slow", large))
	eventually(t, "the call reaches the host", func() bool { return len(s.host.Calls("slow")) == 1 })
	c.say(call(2, "slow", large))
	c.refused(0, errs.Busy, "busy")
	c.say(call(3, "slow", strings.Repeat("x", 40<<10)))
	close(release)
	for range 2 {
		if a := c.hear(); a.Err != nil {
			t.Errorf("a call that there is memory for got %+v", a)
		}
	}
	c.say(call(4, "slow", large))
	if a := c.hear(); a.Err != nil || len(a.Result.Body) != len(large) {
		t.Errorf("a large call alone got %+v", a)
	}
}

// TestConns: connections beyond the limit wait for one that ends.
func TestConns(t *testing.T) {
	s := serve(t, func(l *limits) { l.conns = 1 })
	s.host.Answer("a", transporttest.Answer{Echo: true})
	first, second := s.dial(), s.dial()
	first.say(call(1, "a", ""))
	first.hear()
	second.say(call(1, "a", ""))
	must(t, second.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	if _, err := second.in.Peek(1); err == nil {
		t.Error("a second connection is answered beside the one that there may be")
	}
	must(t, first.Close())
	must(t, second.SetReadDeadline(time.Now().Add(patience)))
	if a := second.hear(); a.ID != 1 {
		t.Errorf("the second connection got %+v", a)
	}
}

// TestSilentClients: who says nothing, or not the rest, or does not read, is let go.
func TestSilentClients(t *testing.T) {
	const short = 50 * time.Millisecond
	t.Run("idle", func(t *testing.T) {
		serve(t, func(l *limits) { l.idle = short }).dial().over()
	})
	t.Run("half a line", func(t *testing.T) {
		c := serve(t, func(l *limits) { l.crossing = short }).dial()
		_, err := c.Write([]byte(`{"ID":`))
		must(t, err)
		c.over()
	})
	t.Run("does not read", func(t *testing.T) {
		s := serve(t, func(l *limits) { l.crossing = short })
		release := make(chan struct{})
		s.host.Answer("a", transporttest.Answer{Hold: release, Result: host.Result{Status: 200, Body: make([]byte, 4<<20)}})
		c := s.dial()
		for i := range uint64(4) {
			c.say(call(i+1, "a", ""))
		}
		eventually(t, "the calls have begun", func() bool { return len(s.host.Calls("a")) == 4 })
		close(release)
		eventually(t, "the calls end", func() bool { return s.host.Ended("a") == 4 })
		c.deaf()
	})
}

// TestHostThatHangs: a client has an answer though the host gives none.
func TestHostThatHangs(t *testing.T) {
	s := serve(t, func(l *limits) { l.call = 50 * time.Millisecond })
	s.host.Answer("a", transporttest.Answer{Hold: make(chan struct{})})
	c := s.dial()
	c.say(call(1, "a", ""))
	c.refused(1, errs.Timeout, "timeout")
}

// TestOneWay: a client that has said its last line gets all its answers.
func TestOneWay(t *testing.T) {
	s := serve(t, nil)
	release := make(chan struct{})
	s.host.Answer("slow", transporttest.Answer{Hold: release, Echo: true})
	c := s.dial()
	c.say(call(1, "slow", "one"))
	c.say(Request{ID: 2, Do: Identity})
	must(t, c.CloseWrite())
	if a := c.hear(); a.ID != 2 || a.Err != nil {
		t.Errorf("got %+v first, want the answer to 2", a)
	}
	close(release)
	if a := c.hear(); a.ID != 1 || string(a.Result.Body) != "one" {
		t.Errorf("got %+v then, want the answer to 1", a)
	}
	c.over()
}

// TestTheEnd: once it has been told to stop, a transport takes no new request of the
// connections that it has, and those that have begun go on, files included.
func TestTheEnd(t *testing.T) {
	s := serve(t, nil)
	s.host.Answer("u", transporttest.Answer{Result: host.Result{Status: 201}})
	idle, c := s.dial(), s.dial()
	idle.say(Request{ID: 1, Do: Identity})
	idle.hear()
	c.say(Request{ID: 1, Do: Invoke, Object: "u", Call: host.Call{Method: "POST"}, Files: []host.Uploaded{{Name: "f"}}})
	if a := c.hear(); !a.Send {
		t.Fatalf("got %+v, want to be asked for a piece", a)
	}
	s.stop()
	idle.over()
	eventually(t, "new requests are refused", func() bool {
		c.say(Request{ID: 2, Do: Identity})
		return c.hear().Err != nil
	})
	c.say(Request{ID: 3, Do: Identity})
	c.refused(3, errs.Unavailable, "unavailable")
	c.say(Request{ID: 1, Piece: &Piece{Bytes: []byte("all of it")}})
	if a := c.hear(); a.Err != nil || a.Result.Status != 201 {
		t.Errorf("the request that had begun got %+v", a)
	}
	c.over()
	s.end()
}

// TestUnixAlone: over TCP, any page in a browser could call.
func TestUnixAlone(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = ln.Close() }()
	s := serve(t, nil)
	if err := s.srv.Serve(context.Background(), ln, s.host); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "unix:PATH") {
		t.Errorf("Serve on TCP = %v, want errs.Invalid that says what to write", err)
	}
}

package transporthttp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// metered is a connection that counts what would be calls of the system.
type metered struct {
	net.Conn
	reads, writes, deadlines atomic.Int64
}

func (c *metered) Read(b []byte) (int, error)  { c.reads.Add(1); return c.Conn.Read(b) }
func (c *metered) Write(b []byte) (int, error) { c.writes.Add(1); return c.Conn.Write(b) }
func (c *metered) SetReadDeadline(t time.Time) error {
	c.deadlines.Add(1)
	return c.Conn.SetReadDeadline(t)
}
func (c *metered) SetWriteDeadline(t time.Time) error {
	c.deadlines.Add(1)
	return c.Conn.SetWriteDeadline(t)
}

// takesTime is a host that answers after a while.
type takesTime struct {
	hello
	time time.Duration
}

func (h takesTime) Invoke(ctx context.Context, c host.Call) (host.Result, error) {
	time.Sleep(h.time)
	return h.hello.Invoke(ctx, c)
}

// TestCallsOfTheSystem: a request costs one read and one write of its connection, with a
// body too, and no deadline.
func TestCallsOfTheSystem(t *testing.T) {
	for request, method := range map[string]string{
		"GET /objects/a HTTP/1.1\r\nHost: localhost\r\n\r\n":                        "GET",
		"POST /objects/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1": "POST",
	} {
		synctest.Test(t, func(t *testing.T) {
			ln := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
			h := newHandler(slog.New(slog.DiscardHandler), "here", takesTime{time: restTime / 2}, context.Background())
			srv := newServer(slog.New(slog.DiscardHandler), h)
			go func() { _ = srv.Serve(limitConns(ln, 1)) }()
			client, server := net.Pipe()
			c := &metered{Conn: server}
			ln.conns <- c
			const n = 100 // for 5 s, within which no deadline passes
			for range n {
				go func() { _, _ = io.WriteString(client, request) }()
				readAnswer(t, client, method)
			}
			synctest.Wait()
			if got := c.reads.Load(); got != n+1 { // one waits for the next request
				t.Errorf("%d requests %s cost %d reads", n, method, got)
			}
			if got := c.writes.Load(); got != n {
				t.Errorf("%d requests %s cost %d writes", n, method, got)
			}
			if got := c.deadlines.Load(); got > 2 {
				t.Errorf("%d requests %s moved %d deadlines", n, method, got)
			}
			_ = client.Close()
			_ = srv.Close()
		})
	}
}

// TestDeadlinesOfOneRequest: what a request or an answer may take does not depend on what
// its connection did before.
func TestDeadlinesOfOneRequest(t *testing.T) {
	inTime(t, func(t *testing.T, fake *transporttest.Host, dial func() net.Conn, _ func() time.Duration) {
		fake.Answer("hello", transporttest.Answer{Result: helloResult})
		const begin, rest = "GET /objects/hello HTTP/1.1\r\nHost:", " localhost\r\n\r\n"
		conn := dial()
		defer func() { _ = conn.Close() }()
		for range 5 { // each begins in the time of the one before
			if _, err := io.WriteString(conn, begin); err != nil {
				t.Fatal(err)
			}
			time.Sleep(headerTime - time.Second)
			if _, err := io.WriteString(conn, rest); err != nil {
				t.Fatal(err)
			}
			time.Sleep(graceTime - time.Second) // before it takes the answer
			if got, _ := readAnswer(t, conn, "GET"); got.body != string(helloResult.Body) {
				t.Errorf("got %d %q", got.StatusCode, got.body)
			}
		}
		if _, err := io.WriteString(conn, begin+rest); err != nil {
			t.Fatal(err)
		}
		time.Sleep(allowance(4096) + time.Millisecond) // more than the answer has bytes
		if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("after %v an answer still came: %d bytes, %v", graceTime, n, err)
		}
	})
}

// TestReaderGone: what looks for a client that has gone away ends soon, also where that
// came before the look began; and one that asks for more meanwhile gets it.
func TestReaderGone(t *testing.T) {
	inTime(t, func(t *testing.T, fake *transporttest.Host, dial func() net.Conn, _ func() time.Duration) {
		const tail = "GET /objects/a?tail=true HTTP/1.1\r\nHost: localhost\r\n\r\n"
		fake.Add(transporttest.Data{Info: host.ObjectInfo{Object: "a"}})
		for _, stays := range []time.Duration{0, time.Minute} {
			conn := dial()
			_, _ = io.WriteString(conn, tail)
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			synctest.Wait()
			if fake.Following("a") != 1 {
				t.Fatal("nothing follows")
			}
			time.Sleep(stays)
			_ = conn.Close()
			time.Sleep(2*restTime + time.Millisecond)
			synctest.Wait()
			if n := fake.Following("a"); n != 0 {
				t.Errorf("%v after its client had gone, which stayed %v, a tail still follows", 2*restTime, stays)
			}
		}
		held := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(held) })
		fake.Answer("slow", transporttest.Answer{Result: helloResult, Hold: held})
		const request = "GET /objects/slow HTTP/1.1\r\nHost: localhost\r\n\r\n"
		conn := dial()
		defer func() { _ = conn.Close() }()
		go func() {
			for _, pause := range []time.Duration{0, restTime / 2, 4 * restTime} { // one while the read rests, one when it does no more
				time.Sleep(pause)
				_, _ = io.WriteString(conn, request)
			}
		}()
		for range 3 {
			if got, _ := readAnswer(t, conn, "GET"); got.body != string(helloResult.Body) {
				t.Errorf("got %d %q", got.StatusCode, got.body)
			}
		}
	})
}

// TestReadAfterClose: a read that looks for the client's end and begins behind Close does
// not rest, since nothing looks at those of a connection that is closed.
func TestReadAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer func() { _ = client.Close() }()
		l := limitConns(nil, 1)
		l.slots <- struct{}{}
		c := l.track(server)
		c.state(http.StateActive)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		failed := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			failed <- err
		}()
		select {
		case err := <-failed:
			if err == nil {
				t.Error("a connection that is closed gives bytes")
			}
		case <-time.After(time.Hour):
			t.Error("a read of a connection that is closed rests for ever")
			_ = c.SetReadDeadline(time.Now())
		}
	})
}

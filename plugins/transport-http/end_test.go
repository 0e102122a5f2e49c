package transporthttp

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbbasic/station/sdk/transport"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// TestDrainIsBounded: a call that does not end is given up after DrainTime.
func TestDrainIsBounded(t *testing.T) {
	inTime(t, func(t *testing.T, fake *transporttest.Host, dial func() net.Conn, end func() time.Duration) {
		fake.Answer("slow", transporttest.Answer{Hold: make(chan struct{})})
		conn := dial()
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "GET /objects/slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
		synctest.Wait()
		if took := end(); took != transport.DrainTime {
			t.Errorf("Serve returned after %v, want %v", took, transport.DrainTime)
		}
	})
}

// TestSilentAtTheEnd: a connection that never spoke does not hold up the end.
func TestSilentAtTheEnd(t *testing.T) {
	inTime(t, func(t *testing.T, _ *transporttest.Host, dial func() net.Conn, end func() time.Duration) {
		silent := dial()
		defer func() { _ = silent.Close() }()
		synctest.Wait()
		if took := end(); took > time.Second {
			t.Errorf("Serve returned after %v", took)
		}
	})
}

// TestIdleAtTheEnd: a kept connection that waits for its next request does not hold
// up the end. One on which that arrives just then gets its answer, and is told that
// it was the last one.
func TestIdleAtTheEnd(t *testing.T) {
	inTime(t, func(t *testing.T, _ *transporttest.Host, dial func() net.Conn, end func() time.Duration) {
		const request = "GET /objects/a HTTP/1.1\r\nHost: localhost\r\n\r\n"
		idle, late := dial(), dial()
		for _, c := range []net.Conn{idle, late} {
			defer func() { _ = c.Close() }()
			go func() { _, _ = io.WriteString(c, request) }()
			if got, _ := readAnswer(t, c, "GET"); got.StatusCode != http.StatusOK || got.Close {
				t.Errorf("before the end: %d, the last %v", got.StatusCode, got.Close)
			}
		}
		synctest.Wait()
		took := make(chan time.Duration)
		go func() { took <- end() }()
		time.Sleep(silentTime / 2)
		go func() { _, _ = io.WriteString(late, request) }()
		if got, _ := readAnswer(t, late, "GET"); got.StatusCode != http.StatusOK || !got.Close {
			t.Errorf("at the end: %d, the last %v", got.StatusCode, got.Close)
		}
		if n, err := idle.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the idle connection got %d bytes, %v", n, err)
		}
		if d := <-took; d > time.Second {
			t.Errorf("Serve returned after %v", d)
		}
	})
}

// TestQueueAtTheEnd: connections that wait in the listener's queue when the end
// begins are answered.
func TestQueueAtTheEnd(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const n = 20
	for range n {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	l := limitConns(ln, 2*n)
	l.end()
	l.last = time.Now().Add(time.Minute) // so that a slow machine has the time
	taken := 0
	for began := time.Now(); taken < n && time.Since(began) < time.Minute; {
		if c, err := l.Accept(); err == nil {
			taken++
			_ = c.Close()
		}
	}
	if taken != n {
		t.Errorf("%d of %d connections in the queue were taken", taken, n)
	}
	_ = l.Close()
}

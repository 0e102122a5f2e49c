package transporthttp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// TestSilentClients: answers for clients that do not read take no more than maxAnswers.
// Those that have waited longest are broken off, and a client that reads, fast or at a
// decent rate, gets its answer whole.
func TestSilentClients(t *testing.T) {
	const size = 1 << 20
	const silent = maxAnswers/size + 40
	inTime(t, func(t *testing.T, fake *transporttest.Host, dial func() net.Conn, _ func() time.Duration) {
		fake.Answer("big", transporttest.Answer{Result: host.Result{Status: 200, Body: make([]byte, size)}})
		const request = "GET /objects/big HTTP/1.1\r\nHost: localhost\r\n\r\n"
		ask := func() net.Conn {
			conn := dial()
			if _, err := io.WriteString(conn, request); err != nil {
				t.Fatal(err)
			}
			return conn
		}
		decent := make(chan int)
		go func() { decent <- readSlowly(t, ask(), 32<<10, time.Second/4) }() // it was there first, and takes 8 s
		time.Sleep(time.Second)
		var conns []net.Conn
		for range silent {
			conns = append(conns, ask())
			time.Sleep(10 * time.Millisecond)
		}
		defer func() {
			for _, c := range conns {
				_ = c.Close()
			}
		}()
		fast := ask()
		defer func() { _ = fast.Close() }()
		if got, took := readAnswer(t, fast, "GET"); len(got.body) != size || took > time.Second {
			t.Errorf("a fast client got %d bytes in %v", len(got.body), took)
		}
		const cut = silent + 2 - maxAnswers/size // two read
		for i, c := range conns {
			n, err := c.Read(make([]byte, 1))
			if isCut := errors.Is(err, io.EOF); isCut != (i < cut) {
				t.Errorf("of the silent clients the first %d are to be cut; %d got %d bytes, %v", cut, i, n, err)
			}
		}
		if got := <-decent; got != size {
			t.Errorf("a client that reads at a decent rate got %d bytes", got)
		}
	})
}

// readSlowly reads the body of an answer, a piece and then a pause, and gives its length.
func readSlowly(t *testing.T, conn net.Conn, piece int, pause time.Duration) (got int) {
	defer func() { _ = conn.Close() }()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer func() { _ = res.Body.Close() }()
	for b := make([]byte, piece); ; time.Sleep(pause) {
		n, err := io.ReadFull(res.Body, b)
		if got += n; err != nil {
			return got
		}
	}
}

// TestLooksWait: a look is refused where the answers of others leave no room, however
// long these took nothing. Nothing is broken off for it, and it has room once they are
// closed for their own time.
func TestLooksWait(t *testing.T) {
	const size = 1 << 20
	inTime(t, func(t *testing.T, fake *transporttest.Host, dial func() net.Conn, _ func() time.Duration) {
		fake.Answer("big", transporttest.Answer{Result: host.Result{Status: 200, Body: make([]byte, size)}})
		fake.Add(transporttest.Data{Info: host.ObjectInfo{Object: "a"}, State: []host.StateItem{{Key: "k", Value: fmt.Appendf(nil, "%q", strings.Repeat("v", 2*size))}}})
		ask := func(path string) net.Conn {
			conn := dial()
			if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			return conn
		}
		slow := make(chan int)
		go func() { slow <- readSlowly(t, ask("/objects/big"), pieceBytes, 2400*time.Millisecond) }() // nearly at minRate
		var conns []net.Conn
		for range maxAnswers/size - 1 {
			conns = append(conns, ask("/objects/big"))
		}
		for _, pause := range []time.Duration{0, graceTime - time.Second} {
			time.Sleep(pause)
			synctest.Wait() // all answers have their place
			refused, _ := readAnswer(t, ask("/objects/a?state=true"), "GET")
			if refused.StatusCode != http.StatusTooManyRequests || refused.Header.Get("Retry-After") != "1" || !strings.Contains(refused.body, `"busy"`) {
				t.Errorf("a look for which there is no room gets %d %v %.200s", refused.StatusCode, refused.Header, refused.body)
			}
		}
		for _, c := range conns {
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Errorf("an answer was broken off for a look: %v", err)
			}
		}
		time.Sleep(2 * time.Second)
		if got, _ := readAnswer(t, ask("/objects/a?state=true"), "GET"); got.StatusCode != http.StatusOK || len(got.body) < 2*size {
			t.Errorf("a look after the others were closed gets %d and %d bytes", got.StatusCode, len(got.body))
		}
		for _, c := range conns {
			_ = c.Close()
		}
		if got := <-slow; got != size {
			t.Errorf("a client that took a piece each 2.4 s got %d bytes", got)
		}
	})
}

// failedSource is a host whose sources are told to be broken, at length.
type failedSource struct{ *transporttest.Host }

func (failedSource) Source(context.Context, id.Object) (host.Source, error) {
	return host.Source{}, &errs.Error{Kind: errs.Source, Message: "The script does not load.", Traceback: strings.Repeat("t", 2*smallAnswer)}
}

// TestRefusable: where many answers wait only a large one is refused, of what called no
// object. What a monitor asks, an error and a call's answer are not; and a refusal has no
// header of what it refuses.
func TestRefusable(t *testing.T) {
	fake := transporttest.NewHost()
	fake.Counts(strings.Repeat("#\n", smallAnswer))
	fake.Answer("called", transporttest.Answer{Result: host.Result{Status: 200, Body: make([]byte, 2*largeAnswer)}})
	fake.Add(transporttest.Data{Info: host.ObjectInfo{Object: "large"}, Source: host.Source{Object: "large", Hash: "h", Text: make([]byte, 2*largeAnswer)}})
	fake.Add(transporttest.Data{Info: host.ObjectInfo{Object: "small"}, Source: host.Source{Object: "small", Hash: "h", Text: make([]byte, smallAnswer)}})
	for _, c := range []struct {
		host   host.Host
		path   string
		status int
	}{
		{fake, "/metrics", http.StatusOK},
		{fake, "/objects/small?source=true", http.StatusOK},
		{fake, "/objects/called", http.StatusOK},
		{failedSource{fake}, "/objects/large?source=true", http.StatusUnprocessableEntity},
		{fake, "/objects/large?source=true", http.StatusTooManyRequests},
	} {
		h := newHandler(slog.New(slog.DiscardHandler), "here", c.host, t.Context())
		h.answers.begin(nil, maxAnswers, false)
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		r.Host = "localhost"
		h.ServeHTTP(w, r)
		if w.Code != c.status || w.Code < 400 && w.Body.Len() <= smallAnswer {
			t.Errorf("%s: %d and %d bytes, want %d", c.path, w.Code, w.Body.Len(), c.status)
		}
		if tag := w.Header().Get("ETag"); w.Code >= 400 && tag != "" || w.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s: %d with the headers %v", c.path, w.Code, w.Header())
		}
	}
}

// closesLate is a connection whose Close takes until it is let go, as one does that waits
// for the goroutines which write to it.
type closesLate struct {
	net.Conn
	closing, let chan struct{}
}

func (c closesLate) Close() error {
	close(c.closing)
	<-c.let
	return nil
}

// TestBreakingOffHoldsNobodyUp: while answers are broken off others begin, go on and end,
// and only those that are broken off end after that.
func TestBreakingOffHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := closesLate{closing: make(chan struct{}), let: make(chan struct{})}
		l := limitConns(nil, 1)
		l.slots <- struct{}{}
		var w waiting
		victim, _ := w.begin(l.track(late), maxAnswers, false)
		go func() {
			if _, broken := w.begin(nil, smallAnswer, false); broken != 1 {
				t.Errorf("%d answers were broken off, want 1", broken)
			}
		}()
		<-late.closing
		if !w.mu.TryLock() {
			t.Error("nothing begins, goes on or ends while an answer is broken off")
			close(late.let)
			return
		}
		w.mu.Unlock()
		var ended atomic.Bool
		go func() { w.end(victim); ended.Store(true) }()
		synctest.Wait()
		if ended.Load() {
			t.Error("an answer ended before its connection was closed, which may be at another request then")
		}
		close(late.let)
		synctest.Wait()
		if !ended.Load() || w.bytes != smallAnswer {
			t.Errorf("ended: %v, %d bytes are left", ended.Load(), w.bytes)
		}
	})
}

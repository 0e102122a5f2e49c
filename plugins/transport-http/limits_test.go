package transporthttp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

func TestHeadersTooLarge(t *testing.T) {
	s := serve(t).echo()
	if got := s.do("GET", "/objects/a", "", "X-Big: "+strings.Repeat("x", headerBytes-200)); got.StatusCode != http.StatusOK {
		t.Errorf("headers below the limit got %d", got.StatusCode)
	}
	if got := s.do("GET", "/objects/a", "", "X-Big: "+strings.Repeat("x", headerBytes)); got.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("headers above the limit got %d", got.StatusCode)
	}
}

// TestLimitsOfThePage compares the figures that HTTP.md promises with those
// that hold. Those that are the kernel's are compared where it is known.
func TestLimitsOfThePage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "HTTP.md"))
	if err != nil {
		t.Fatal(err)
	}
	const kernels = ""
	rate := fmt.Sprintf("%g s and 1 s per %d KiB", graceTime.Seconds(), minRate>>10)
	want := map[string]string{
		"request line and headers":              fmt.Sprintf("%d KiB", headerBytes>>10),
		"time for headers":                      fmt.Sprintf("%g s", headerTime.Seconds()),
		"body":                                  fmt.Sprintf("%d MiB (`max_body`)", maxBody>>20),
		"of a multipart form all but its files": fmt.Sprintf("%d MiB (`max_body`)", maxBody>>20),
		"an uploaded file":                      kernels,
		"files of a form together":              fmt.Sprintf("%d GiB", maxFiles>>30),
		"files of a form":                       fmt.Sprint(maxUploads),
		"name of an uploaded file":              fmt.Sprintf("%d KiB", maxName>>10),
		"uploads at once":                       kernels,
		"files that are sent at once":           kernels,
		"tails at once":                         fmt.Sprint(maxTails),
		"exports at once":                       kernels,
		"imports at once":                       kernels,
		"fields of a query or form":             fmt.Sprintf("%d,%03d", maxFields/1000, maxFields%1000),
		"time for a body":                       rate + " received",
		"time for an answer to be read":         rate,
		"idle connection":                       fmt.Sprintf("%g min", idleTime.Minutes()),
		"connections":                           fmt.Sprintf("%d,%03d", maxConns/1000, maxConns%1000) + " (`max_connections`)",
		"a call, waiting included":              kernels,
		"body of a script's answer":             kernels,
		"calls that wait for one object, with commits that are not durable yet":              kernels,
		fmt.Sprintf("all bodies above %d KiB together", pieceBytes>>10):                      fmt.Sprintf("%d MiB", maxBodies>>20),
		fmt.Sprintf("all answers above %d KiB that wait for their clients", smallAnswer>>10): fmt.Sprintf("%d MiB", maxAnswers>>20),
		"tests of a script, waiting included":                                                kernels,
		"scripts whose tests run at the same time":                                           kernels,
	}
	_, limits, _ := strings.Cut(string(page), "\n## Limits\n")
	for line := range strings.Lines(limits) {
		cells := strings.Split(line, " | ")
		if len(cells) != 3 || cells[0] == "| what" {
			continue
		}
		what := strings.TrimPrefix(cells[0], "| ")
		figure, known := want[what]
		if !known || figure != kernels && figure != cells[1] {
			t.Errorf("HTTP.md says of %q %q, it is %q", what, cells[1], figure)
		}
		delete(want, what)
	}
	for what := range want {
		t.Errorf("HTTP.md has no limit of %q", what)
	}
}

// pipes is a listener in memory, for tests on synctest's clock.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error { p.once.Do(func() { close(p.done) }); return nil }
func (*pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// inTime runs f on synctest's clock, with a transport that serves fake; end
// ends the transport and gives how long that took.
func inTime(t *testing.T, f func(t *testing.T, fake *transporttest.Host, dial func() net.Conn, end func() time.Duration)) {
	inTimeWith(t, nil, f)
}

func inTimeWith(t *testing.T, options map[string]string, f func(t *testing.T, fake *transporttest.Host, dial func() net.Conn, end func() time.Duration)) {
	c := transporttest.Config
	c.Options = options
	synctest.Test(t, func(t *testing.T) {
		fake := transporttest.NewHost()
		fake.Answer("a", transporttest.Answer{Echo: true})
		tr := New(slog.New(slog.DiscardHandler), "test")
		if err := tr.Configure(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ln := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		done := make(chan error, 1)
		go func() { done <- tr.Serve(ctx, ln, fake) }()
		end := sync.OnceValue(func() time.Duration {
			start := time.Now()
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			return time.Since(start)
		})
		f(t, fake, ln.dial, end)
		end()
	})
}

// readAnswer reads one response and says how long it took.
func readAnswer(t *testing.T, conn net.Conn, method string) (answer, time.Duration) {
	t.Helper()
	start := time.Now()
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res, string(body)}, time.Since(start)
}

// TestBodyThatNobodyReads: what needs no body, and what is refused before one is read,
// waits for none. net/http reads it by itself, and would wait for ever.
func TestBodyThatNobodyReads(t *testing.T) {
	for _, head := range []string{
		"GET /health HTTP/1.1\r\nHost: localhost\r\n", "GET /nothing HTTP/1.1\r\nHost: localhost\r\n",
		"DELETE /objects/a?file=f HTTP/1.1\r\nHost: localhost\r\n", "POST /objects/a HTTP/1.1\r\nHost: elsewhere.example\r\n",
	} {
		for _, body := range []string{"Content-Length: 1\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"} {
			inTime(t, func(t *testing.T, _ *transporttest.Host, dial func() net.Conn, end func() time.Duration) {
				conn := dial()
				defer func() { _ = conn.Close() }()
				go func() { _, _ = io.WriteString(conn, head+body) }()
				got, took := readAnswer(t, conn, "POST")
				if took > graceTime+time.Second {
					t.Errorf("%q was answered with %d after %v", head+body, got.StatusCode, took)
				}
				if took := end(); took > time.Second {
					t.Errorf("%q: Serve returned after %v", head+body, took)
				}
			})
		}
	}
}

func TestSlowBody(t *testing.T) {
	inTime(t, func(t *testing.T, fake *transporttest.Host, dial func() net.Conn, _ func() time.Duration) {
		silent := dial()
		defer func() { _ = silent.Close() }()
		_, _ = io.WriteString(silent, "POST /objects/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabc")
		got, took := readAnswer(t, silent, "POST")
		got.wantError(t, 408, "body_timeout")
		if took < graceTime || took > graceTime+time.Second {
			t.Errorf("a silent body was given %v, want about %v", took, graceTime)
		}

		dripping := dial()
		defer func() { _ = dripping.Close() }()
		go func() {
			_, _ = io.WriteString(dripping, "POST /objects/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
			for {
				if _, err := io.WriteString(dripping, "x"); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		got, took = readAnswer(t, dripping, "POST")
		got.wantError(t, 408, "body_timeout")
		if took < graceTime || took > graceTime+time.Second {
			t.Errorf("a dripping body was given %v, want about %v", took, graceTime)
		}
		if n := len(fake.Calls("")); n > 0 {
			t.Errorf("the host got %d calls", n)
		}

		steady := dial()
		defer func() { _ = steady.Close() }()
		go func() {
			_, _ = io.WriteString(steady, "POST /objects/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: "+itoa(40*minRate)+"\r\n\r\n")
			for range 40 {
				time.Sleep(time.Second)
				_, _ = io.WriteString(steady, strings.Repeat("x", minRate))
			}
		}()
		if got, _ := readAnswer(t, steady, "POST"); got.StatusCode != http.StatusOK || len(got.body) != 40*minRate {
			t.Errorf("a steady body got %d with %d bytes", got.StatusCode, len(got.body))
		}
		// the connection goes on, without the deadline of the body
		time.Sleep(idleTime / 2)
		go func() { _, _ = io.WriteString(steady, "GET /objects/a HTTP/1.1\r\nHost: localhost\r\n\r\n") }()
		if got, _ := readAnswer(t, steady, "GET"); got.StatusCode != http.StatusOK {
			t.Errorf("the next request of the connection got %d", got.StatusCode)
		}
	})
}

// TestBodyDeadlineEnds: the deadline of a body does not outlive it, so that
// what follows may take its time.
func TestBodyDeadlineEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		srv := newServer(slog.New(slog.DiscardHandler), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			x := exchange{handler: &handler{maxBody: maxBody}, w: w, r: r}
			if _, err := x.readBody(); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * graceTime)
			if err := r.Context().Err(); err != nil {
				t.Errorf("after the body, the request's context ended: %v", err)
			}
		}))
		go func() { _ = srv.Serve(ln) }()
		conn := ln.dial()
		go func() {
			_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
		}()
		readAnswer(t, conn, "POST")
		_ = conn.Close()
		_ = srv.Close()
	})
}

// TestSlowHeadersAndIdle: a connection that says nothing is closed.
func TestSlowHeadersAndIdle(t *testing.T) {
	inTime(t, func(t *testing.T, _ *transporttest.Host, dial func() net.Conn, _ func() time.Duration) {
		slow := dial()
		defer func() { _ = slow.Close() }()
		_, _ = io.WriteString(slow, "GET /objects/a HTTP/1.1\r\nHost:")
		start := time.Now()
		_, _ = io.Copy(io.Discard, slow)
		if took := time.Since(start); took != headerTime {
			t.Errorf("slow headers were given %v, want %v", took, headerTime)
		}
		idle := dial()
		defer func() { _ = idle.Close() }()
		go func() { _, _ = io.WriteString(idle, "GET /objects/a HTTP/1.1\r\nHost: localhost\r\n\r\n") }()
		readAnswer(t, idle, "GET")
		start = time.Now()
		_, _ = io.Copy(io.Discard, idle)
		if took := time.Since(start); took != idleTime {
			t.Errorf("an idle connection was given %v, want %v", took, idleTime)
		}
	})
}

// TestSlowReader: a client that does not read its answer is dropped.
func TestSlowReader(t *testing.T) {
	inTime(t, func(t *testing.T, fake *transporttest.Host, dial func() net.Conn, end func() time.Duration) {
		const size = 10 * minRate
		fake.Answer("big", transporttest.Answer{Result: host.Result{Status: 200, Body: make([]byte, size)}})
		conn := dial()
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "GET /objects/big HTTP/1.1\r\nHost: localhost\r\n\r\n")
		time.Sleep(allowance(size) + time.Second)
		n, _ := io.Copy(io.Discard, conn)
		if n >= size {
			t.Errorf("the client still got %d bytes", n)
		}
		if took := end(); took > time.Second {
			t.Errorf("the connection kept the transport for %v", took)
		}
	})
}

// TestClientGone: a call that has begun goes on when its client is gone, and
// has a deadline of its own.
func TestClientGone(t *testing.T) {
	inTime(t, func(t *testing.T, fake *transporttest.Host, dial func() net.Conn, _ func() time.Duration) {
		fake.Answer("slow", transporttest.Answer{Hold: make(chan struct{})})
		conn := dial()
		_, _ = io.WriteString(conn, "GET /objects/slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
		synctest.Wait()
		if len(fake.Calls("slow")) != 1 {
			t.Fatal("the call has not begun")
		}
		_ = conn.Close()
		start := time.Now()
		for fake.Ended("slow") == 0 {
			time.Sleep(time.Second)
		}
		if took := time.Since(start); took < callTime || took > callTime+time.Second {
			t.Errorf("the call went on for %v, want %v", took, callTime)
		}
	})
}

// TestTimeOfCalls: a call has callTime, up to a second less, whatever called before it.
func TestTimeOfCalls(t *testing.T) {
	inTime(t, func(t *testing.T, fake *transporttest.Host, dial func() net.Conn, _ func() time.Duration) {
		fake.Answer("slow", transporttest.Answer{Hold: make(chan struct{})})
		var calls sync.WaitGroup
		for range 25 {
			calls.Go(func() {
				conn := dial()
				defer func() { _ = conn.Close() }()
				_, _ = io.WriteString(conn, "GET /objects/slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
				got, took := readAnswer(t, conn, "GET")
				if got.StatusCode != http.StatusGatewayTimeout || took > callTime || took <= callTime-time.Second {
					t.Errorf("got %d after %v", got.StatusCode, took)
				}
			})
			time.Sleep(time.Second / 10)
		}
		calls.Wait()
	})
}

// TestMaxConnections: the option is the bound.
func TestMaxConnections(t *testing.T) {
	inTimeWith(t, map[string]string{"max_connections": "2"}, func(t *testing.T, _ *transporttest.Host, dial func() net.Conn, _ func() time.Duration) {
		first, second := dial(), dial()
		third := make(chan net.Conn, 1)
		go func() { third <- dial() }()
		synctest.Wait()
		if len(third) > 0 {
			t.Error("a third connection was accepted beside two")
		}
		_ = first.Close()
		synctest.Wait()
		if len(third) == 0 {
			t.Fatal("no third connection was accepted although one had ended")
		}
		_ = second.Close()
		_ = (<-third).Close()
	})
}

// TestMaxBody: the option is the bound, of forms too, and is announced in the error.
func TestMaxBody(t *testing.T) {
	const most = 70_000
	inTimeWith(t, map[string]string{"max_body": itoa(most)}, func(t *testing.T, fake *transporttest.Host, dial func() net.Conn, _ func() time.Duration) {
		const head, tail = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n", "\r\n--b--\r\n"
		for _, c := range []struct {
			kind, framing string
			body          func(n int) string // of n bytes
		}{
			{"text/plain", "Content-Length: %d\r\n\r\n%s", func(n int) string { return strings.Repeat("x", n) }},
			{"text/plain", "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", func(n int) string { return strings.Repeat("x", n) }},
			{"multipart/form-data; boundary=b", "Content-Length: %d\r\n\r\n%s", func(n int) string {
				return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
			}},
		} {
			for n, want := range map[int]int{most: http.StatusOK, most + 1: http.StatusRequestEntityTooLarge} {
				conn := dial()
				go func() {
					_, _ = fmt.Fprintf(conn, "POST /objects/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: "+c.kind+"\r\n"+c.framing, n, c.body(n))
				}()
				got, _ := readAnswer(t, conn, "POST")
				if got.StatusCode != want || want != http.StatusOK && !strings.Contains(got.body, "larger than 70000 bytes") {
					t.Errorf("%s of %d bytes got %d %.100s", c.kind, n, got.StatusCode, got.body)
				}
				_ = conn.Close()
			}
		}
		if n := len(fake.Calls("a")); n != 3 {
			t.Errorf("the host got %d calls, want 3", n)
		}
	})
	for _, wrong := range []string{"0", "65535", itoa(32<<20 + 1), "x"} {
		c := transporttest.Config
		c.Options = map[string]string{"max_body": wrong}
		if err := New(slog.New(slog.DiscardHandler), "test").Configure(t.Context(), c); err == nil {
			t.Errorf("max_body = %s is taken", wrong)
		}
	}
}

// TestLimitConns: connections beyond the limit wait, and Close ends the wait.
func TestLimitConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn, 3), done: make(chan struct{})}
		ln := limitConns(p, 2)
		for range 3 {
			p.dial()
		}
		first, _ := ln.Accept()
		second, _ := ln.Accept()
		third := make(chan net.Conn)
		go func() { c, _ := ln.Accept(); third <- c }()
		synctest.Wait()
		select {
		case <-third:
			t.Fatal("a third connection was accepted")
		default:
		}
		_ = first.Close()
		_ = first.Close() // once is enough to free one slot, twice frees no second
		<-third
		go func() { c, _ := ln.Accept(); third <- c }()
		synctest.Wait()
		_ = ln.Close()
		if c := <-third; c != nil {
			t.Error("a closed listener gave a connection")
		}
		_ = second.Close()
	})
}

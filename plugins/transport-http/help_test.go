package transporthttp

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// served is a transport that serves a fake host.
type served struct {
	t    *testing.T
	host *transporttest.Host
	addr string
	log  strings.Builder
}

// serve starts a transport on a TCP port; it ends with the test.
func serve(t *testing.T) *served {
	t.Helper()
	return serveOn(t, transporttest.NewHost(), nil)
}

// serveOn serves h in place of the fake host where h is not nil.
func serveOn(t *testing.T, fake *transporttest.Host, h host.Host) *served {
	t.Helper()
	s := &served{t: t, host: fake}
	if h == nil {
		h = fake
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	tr := New(slog.New(slog.NewTextHandler(&s.log, nil)), "test")
	if err := tr.Configure(t.Context(), transporttest.Config); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tr.Serve(ctx, ln, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// answer is a response that has been read whole.
type answer struct {
	*http.Response
	body string
}

// raw sends text as it stands and reads one response.
func (s *served) raw(method, text string) answer {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	go func() { _, _ = io.WriteString(conn, text) }()
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		s.t.Fatalf("%.100q: %v", text, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatalf("%.100q: %v", text, err)
	}
	return answer{res, string(body)}
}

// do sends a request with headers ("Name: value") and a body.
func (s *served) do(method, target, body string, headers ...string) answer {
	s.t.Helper()
	var b strings.Builder
	b.WriteString(method + " " + target + " HTTP/1.1\r\n")
	if !hasHeader(headers, "Host:") {
		headers = append(headers, "Host: localhost")
	}
	if body != "" && !hasHeader(headers, "Transfer-Encoding:") {
		headers = append(headers, "Content-Length: "+itoa(len(body)))
	}
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n" + body)
	return s.raw(method, b.String())
}

func hasHeader(headers []string, prefix string) bool {
	for _, h := range headers {
		if strings.HasPrefix(h, prefix) {
			return true
		}
	}
	return false
}

// wantError checks that the answer is the station's own error, with all that
// every response carries.
func (a answer) wantError(t *testing.T, status int, code string) {
	t.Helper()
	var f failure
	err := json.Unmarshal([]byte(a.body), &f)
	if a.Request.Method != http.MethodHead && (err != nil || f.Status != "error" || f.Code != code || f.Error == "") {
		t.Errorf("got %q (%v), want JSON with the code %q", a.body, err, code)
	}
	if a.StatusCode != status || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got %d %q, want %d as application/json: %s", a.StatusCode, a.Header.Get("Content-Type"), status, a.body)
	}
	if a.Header.Get("X-Request-Id") == "" || a.Header.Get("X-Station-Id") != "here" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("the response lacks what each carries: %v", a.Header)
	}
}

// echo makes the object "a" answer with what it got.
func (s *served) echo() *served {
	s.host.Answer("a", transporttest.Answer{Echo: true})
	return s
}

// last gives the one call that the host got since the last time.
func (s *served) last(seen *int) host.Call {
	s.t.Helper()
	calls := s.host.Calls("")
	if len(calls) != *seen+1 {
		s.t.Fatalf("the host got %d calls, want %d", len(calls), *seen+1)
	}
	*seen++
	return calls[*seen-1]
}

func (s *served) wantNoCall() {
	s.t.Helper()
	if n := len(s.host.Calls("")); n > 0 {
		s.t.Errorf("the host got %d calls, want none", n)
	}
}

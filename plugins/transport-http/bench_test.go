package transporthttp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// hello is a host that costs nothing.
type hello struct{ *transporttest.Host }

func (hello) Invoke(context.Context, host.Call) (host.Result, error) { return helloResult, nil }

var helloResult = host.Result{
	Status: 200, Station: "here", Body: []byte(`{"hello":"world"}`),
	Header: []host.Field{{Name: "Content-Type", Value: "application/json"}},
}

// BenchmarkHandler is the handler alone: a request as curl sends it, with and
// without a body.
func BenchmarkHandler(b *testing.B) {
	h := newHandler(slog.New(slog.DiscardHandler), "here", hello{}, context.Background())
	for name, body := range map[string]string{"GET": "", "POST": `{"name":"world"}`} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(name, "/objects/tutorial_01_hello?name=world", nil)
			r.Host = "localhost:8001"
			r.Header.Set("User-Agent", "curl/8")
			r.Header.Set("Accept", "*/*")
			if body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			w := &discard{}
			reader := strings.NewReader(body)
			content := io.NopCloser(reader)
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				if body != "" {
					reader.Reset(body)
					r.Body, r.ContentLength = content, int64(len(body))
				}
				h.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkServer is the whole server over loopback with connections that are kept, beside
// a server of net/http that says the same. Its clients write bytes and read bytes, so that
// what differs is the server's.
//
//	go test ./plugins/transport-http -run xxx -bench Server -benchmem
func BenchmarkServer(b *testing.B) {
	serveStation := func(ctx context.Context, ln net.Listener) error {
		t := New(slog.New(slog.DiscardHandler), "test")
		if err := t.Configure(ctx, transporttest.Config); err != nil {
			return err
		}
		return t.Serve(ctx, ln, hello{})
	}
	serveBare := func(_ context.Context, ln net.Listener) error {
		err := http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { //nolint:gosec // that it sets nothing is the point
			w.Header()["Content-Type"] = []string{"application/json"}
			_, _ = w.Write(helloResult.Body)
		}))
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		return err
	}
	get := "GET /objects/tutorial_01_hello HTTP/1.1\r\nHost: 127.0.0.1:8001\r\n\r\n"
	post := "POST /objects/tutorial_01_hello HTTP/1.1\r\nHost: 127.0.0.1:8001\r\nContent-Type: application/json\r\n" +
		"Content-Length: 16\r\n\r\n" + `{"name":"world"}`
	for _, conns := range []int{1, 64} {
		b.Run(fmt.Sprintf("bare/GET/%d", conns), func(b *testing.B) { benchServer(b, serveBare, get, conns) })
		b.Run(fmt.Sprintf("station/GET/%d", conns), func(b *testing.B) { benchServer(b, serveStation, get, conns) })
		b.Run(fmt.Sprintf("station/POST/%d", conns), func(b *testing.B) { benchServer(b, serveStation, post, conns) })
	}
}

// benchServer sends b.N requests over some connections, and reports the processor time of
// each with its client's.
func benchServer(b *testing.B, serve func(context.Context, net.Listener) error, request string, conns int) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, ln) }()
	var clients sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	open := make([]net.Conn, conns)
	for i := range open {
		if open[i], err = net.Dial("tcp", ln.Addr().String()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := processorTime(b)
	for _, c := range open {
		clients.Go(func() {
			ask, answer := []byte(request), make([]byte, 4096)
			for left.Add(-1) >= 0 {
				if _, err := c.Write(ask); err != nil {
					b.Error(err)
					return
				}
				n, err := c.Read(answer)
				if err != nil || !bytes.HasSuffix(answer[:n], helloResult.Body) { // one write brings all of it
					b.Errorf("%q, %v", answer[:n], err)
					return
				}
			}
		})
	}
	clients.Wait()
	b.StopTimer()
	b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
	for _, c := range open {
		_ = c.Close()
	}
	stop()
	_ = ln.Close()
	if err := <-done; err != nil {
		b.Error(err)
	}
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

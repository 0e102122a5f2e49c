package transporthttp

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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

// BenchmarkServer is the whole server over loopback, its client included.
func BenchmarkServer(b *testing.B) {
	h := newHandler(slog.New(slog.DiscardHandler), "here", hello{}, context.Background())
	srv := httptest.NewUnstartedServer(h)
	srv.Listener = limitConns(srv.Listener, maxConns)
	srv.Config = newServer(slog.New(slog.DiscardHandler), h)
	srv.Start()
	defer srv.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	client := &http.Client{Transport: transport}
	defer transport.CloseIdleConnections()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			res, err := client.Get(srv.URL + "/objects/tutorial_01_hello")
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
	})
}

package host

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/plugintest"
	"github.com/dbbasic/station/sdk/internal/shim"
)

// echo is a host whose Invoke answers at once.
type echo struct{ Host }

func (echo) Invoke(_ context.Context, c Call) (Result, error) {
	return Result{Status: 200, Header: []Field{{"Content-Type", "application/json"}}, Body: []byte(`{"status":"ok","count":1}`), Station: c.Station}, nil
}

// linked serves Invoke of h over a link, until the test ends, and gives the other end.
func linked(t testing.TB, h Host) *net.UnixConn {
	t.Helper()
	kernel, plugin := plugintest.Link(t)
	served := make(chan error, 1)
	go func() { served <- Answer(kernel, h) }()
	t.Cleanup(func() {
		_ = plugin.Close()
		if err := <-served; err == nil {
			t.Error("Answer has ended and does not say why")
		}
	})
	return plugin
}

// dial serves h on a unix socket and over a link, and gives the Host at the other end.
func dial(t testing.TB, h Host) Host {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	s := shim.NewServer(nil)
	Register(s, h)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	conn, err := grpc.NewClient("unix:"+ln.Addr().String(), append(shim.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return NewClient(conn, linked(t, h))
}

// processor is what the process has used of the processors: what a call costs on a
// machine that does other things too.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkInvoke runs calls as a browser makes them from 1, 16 and 64 callers, each
// with a deadline: go test -run - -bench Invoke -benchmem ./sdk/host
func BenchmarkInvoke(b *testing.B) {
	call := Call{
		Object: "site_counter", Method: "GET", Path: "/objects/site_counter", RequestID: "0197a2f0-1d3c-7aaa-8bbb-123456789abc",
		Header: []Field{{"Accept", "*/*"}, {"Host", "127.0.0.1:8000"}, {"User-Agent", "bench/1.0"}}, Caller: id.Caller{Roles: []string{id.RoleOperator}},
	}
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			h := dial(b, echo{})
			if _, err := h.Invoke(b.Context(), call); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			used := processor(b)
			b.ResetTimer()
			var all sync.WaitGroup
			for i := range callers {
				n := b.N / callers
				if i < b.N%callers {
					n++
				}
				all.Go(func() {
					for range n {
						ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
						if _, err := h.Invoke(ctx, call); err != nil {
							b.Error(err)
						}
						cancel()
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64((processor(b)-used).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

package transporttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport"
)

// fault is a transport that breaks the contract in one way, and the check that
// must notice.
type fault struct {
	name   string
	check  string
	invoke func(context.Context, host.Host, host.Call) (host.Result, error)
	serve  func(context.Context, net.Listener, host.Host, transport.Transport) error

	option plugin.Option // declared, where it has a name
	deaf   bool          // to all options

	figures func([]plugin.Figure) // changes what is reported
}

// faulty is Lines with a fault between it and the host, or around Serve.
type faulty struct {
	transport.Transport
	fault fault
}

func (f faulty) Serve(ctx context.Context, ln net.Listener, h host.Host) error {
	if f.fault.invoke != nil {
		h = faultyHost{h, f.fault}
	}
	if f.fault.serve != nil {
		return f.fault.serve(ctx, ln, h, f.Transport)
	}
	return f.Transport.Serve(ctx, ln, h)
}

func (f faulty) Info() plugin.Info {
	i := f.Transport.Info()
	if f.fault.option.Name != "" {
		i.Options = plugin.Schema{f.fault.option}
	}
	return i
}

func (f faulty) Figures(ctx context.Context) []plugin.Figure {
	list := f.Transport.Figures(ctx)
	if f.fault.figures != nil {
		f.fault.figures(list)
	}
	return list
}

func (f faulty) Configure(ctx context.Context, c plugin.Config) error {
	if f.fault.deaf {
		c.Options = nil
	}
	return f.Transport.Configure(ctx, c)
}

type faultyHost struct {
	host.Host
	fault fault
}

func (h faultyHost) Invoke(ctx context.Context, c host.Call) (host.Result, error) {
	return h.fault.invoke(ctx, h.Host, c)
}

// onCall changes each call before the host sees it.
func onCall(change func(*host.Call)) func(context.Context, host.Host, host.Call) (host.Result, error) {
	return func(ctx context.Context, h host.Host, c host.Call) (host.Result, error) {
		change(&c)
		return h.Invoke(ctx, c)
	}
}

// onResult changes each result.
func onResult(change func(*host.Result)) func(context.Context, host.Host, host.Call) (host.Result, error) {
	return func(ctx context.Context, h host.Host, c host.Call) (host.Result, error) {
		res, err := h.Invoke(ctx, c)
		change(&res)
		return res, err
	}
}

// onError changes each error.
func onError(change func(*errs.Error) error) func(context.Context, host.Host, host.Call) (host.Result, error) {
	return func(ctx context.Context, h host.Host, c host.Call) (host.Result, error) {
		res, err := h.Invoke(ctx, c)
		if err != nil {
			e := *errs.From(err)
			err = change(&e)
		}
		return res, err
	}
}

// faults gives all faults; goroutines that one leaks end when leak is closed.
func faults(leak <-chan struct{}) []fault {
	var mu sync.Mutex
	var last host.Result
	var broken error
	return append(slices.Concat(readFaults(), fileFaults(), sourceFaults(), operatorFaults(), healthFaults(), archiveFaults()), []fault{
		{name: "a declaration that is not sound", check: "Options", option: plugin.Option{Name: "listen", Type: plugin.String, Doc: "Where."}},
		{name: "any option is taken", check: "Options", deaf: true},
		{name: "an option that is declared and not known", check: "Options", option: plugin.Option{Name: "color", Type: plugin.String, Doc: "The color."}},
		{name: "a counter without _total", check: "Figures", figures: func(list []plugin.Figure) { list[0].Name = "connections" }},
		{name: "a counter that falls", check: "Figures", figures: func(list []plugin.Figure) {
			list[0].Samples[0].Value = 10 - list[0].Samples[0].Value
		}},
		{name: "wrong method", check: "Methods", invoke: onCall(func(c *host.Call) {
			if c.Method == http.MethodPatch {
				c.Method = "POST"
			}
		})},
		{name: "no deadline", check: "Methods", invoke: func(ctx context.Context, h host.Host, c host.Call) (host.Result, error) {
			return h.Invoke(context.WithoutCancel(ctx), c)
		}},
		{name: "query without repetition", check: "Query", invoke: onCall(func(c *host.Call) { c.Query = c.Query[:min(2, len(c.Query))] })},
		{name: "credentials for scripts", check: "Headers", invoke: onCall(func(c *host.Call) { c.Header = append(c.Header, host.Field{Name: "Cookie", Value: "a=b"}) })},
		{name: "headers in small letters", check: "Headers", invoke: onCall(func(c *host.Call) {
			for i := range c.Header {
				c.Header[i].Name = strings.ToLower(c.Header[i].Name)
			}
		})},
		{name: "calls that end with their client", check: "ClientGone", serve: func(ctx context.Context, ln net.Listener, h host.Host, l transport.Transport) error {
			b := &bound{Host: h, Listener: ln}
			return l.Serve(ctx, b, b)
		}},
		{name: "lost request header", check: "Headers", invoke: onCall(func(c *host.Call) { c.Header = nil })},
		{name: "lost response header", check: "Headers", invoke: onResult(func(r *host.Result) { r.Header = nil })},
		{name: "lost station", check: "Address", invoke: onCall(func(c *host.Call) { c.Station = "" })},
		{name: "caller without a role", check: "Caller", invoke: onCall(func(c *host.Call) { c.Caller = id.Caller{} })},
		{name: "new request id for each call", check: "RequestIDs", invoke: onCall(func(c *host.Call) { c.RequestID = "mine" })},
		{name: "one form token for all objects", check: "FormTokens", invoke: onCall(func(c *host.Call) { c.FormToken = "token" })},
		{name: "the client's form token", check: "FormTokens", invoke: onCall(func(c *host.Call) {
			for _, f := range c.Query {
				if f.Name == "form_token" && c.Object == "f" {
					c.FormToken = f.Value
				}
			}
		})},
		{name: "body cut at 64 KiB", check: "Bodies", invoke: onCall(func(c *host.Call) { c.Body = c.Body[:min(len(c.Body), 64<<10)] })},
		{name: "answer read as text", check: "Bodies", invoke: onResult(func(r *host.Result) { r.Body = []byte(strings.ToValidUTF8(string(r.Body), "?")) })},
		{name: "always 200", check: "Statuses", invoke: onResult(func(r *host.Result) { r.Status = 200 })},
		{name: "dropped error code", check: "Errors", invoke: onError(func(e *errs.Error) error { e.Code = ""; return e })},
		{name: "dropped error message", check: "Errors", invoke: onError(func(e *errs.Error) error { e.Message = ""; return e })},
		{name: "dropped kind", check: "Errors", invoke: onError(func(e *errs.Error) error { return errors.New(e.Text()) })},
		{name: "dropped line", check: "Errors", invoke: onError(func(e *errs.Error) error { e.Line = 0; return e })},
		{name: "dropped Allow", check: "Errors", invoke: onError(func(e *errs.Error) error { e.Allow = nil; return e })},
		{name: "dropped Retry-After", check: "Errors", invoke: onError(func(e *errs.Error) error { e.RetryAfter = 0; return e })},
		{name: "cause sent", check: "CausesStayInside", invoke: onError(func(e *errs.Error) error { e.Message = e.Error(); return e })},
		{name: "gives up for good", check: "Unavailable", invoke: func(ctx context.Context, h host.Host, c host.Call) (host.Result, error) {
			mu.Lock()
			defer mu.Unlock()
			if broken != nil {
				return host.Result{}, broken
			}
			res, err := h.Invoke(ctx, c)
			broken = err
			return res, err
		}},
		{name: "mixed-up answers", check: "Concurrent", invoke: func(ctx context.Context, h host.Host, c host.Call) (host.Result, error) {
			res, err := h.Invoke(ctx, c)
			mu.Lock()
			defer mu.Unlock()
			res, last = last, res
			return res, err
		}},
		{name: "one call at a time", check: "Slow", invoke: func(ctx context.Context, h host.Host, c host.Call) (host.Result, error) {
			mu.Lock()
			defer mu.Unlock()
			return h.Invoke(ctx, c)
		}},
		{name: "calls are cut off at the end", check: "Drain", serve: func(ctx context.Context, ln net.Listener, h host.Host, l transport.Transport) error {
			return l.Serve(ctx, ln, cutOff{h, ctx})
		}},
		{name: "goes on for 4 s after the end", check: "Drain", serve: func(ctx context.Context, ln net.Listener, h host.Host, l transport.Transport) error {
			longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
			defer context.AfterFunc(ctx, func() { time.AfterFunc(4*time.Second, cancel) })()
			return l.Serve(longer, ln, h)
		}},
		{name: "an error after the end", check: "Drain", serve: func(ctx context.Context, ln net.Listener, h host.Host, l transport.Transport) error {
			_ = l.Serve(ctx, ln, h)
			return ctx.Err()
		}},
		{name: "removes its socket", check: "Handover", serve: func(ctx context.Context, ln net.Listener, h host.Host, l transport.Transport) error {
			if u, ok := ln.(*net.UnixListener); ok {
				u.SetUnlinkOnClose(true)
			}
			return l.Serve(ctx, ln, h)
		}},
		{name: "a listener that failed is no error", check: "FailedListener", serve: func(ctx context.Context, ln net.Listener, h host.Host, l transport.Transport) error {
			_ = l.Serve(ctx, ln, h)
			return nil
		}},
		{name: "leaks a goroutine", check: "NoLeak", serve: func(ctx context.Context, ln net.Listener, h host.Host, l transport.Transport) error {
			go func() { <-leak }()
			return l.Serve(ctx, ln, h)
		}},
	}...)
}

// bound gives up the calls under way when a client goes away.
type bound struct {
	host.Host
	net.Listener
	mu    sync.Mutex
	calls []context.CancelFunc
}

func (b *bound) Invoke(ctx context.Context, c host.Call) (host.Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	b.mu.Lock()
	b.calls = append(b.calls, cancel)
	b.mu.Unlock()
	return b.Host.Invoke(ctx, c)
}

func (b *bound) Accept() (net.Conn, error) {
	conn, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, conn)
		_ = w.CloseWithError(err)
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, cancel := range b.calls {
			cancel()
		}
	}()
	return piped{conn, r}, nil
}

type piped struct {
	net.Conn
	in io.Reader
}

func (p piped) Read(b []byte) (int, error) { return p.in.Read(b) }

// cutOff gives up its calls when ctx ends.
type cutOff struct {
	host.Host
	ctx context.Context
}

func (h cutOff) Invoke(ctx context.Context, c host.Call) (host.Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.ctx, cancel)()
	return h.Host.Invoke(ctx, c)
}

// readFaults break what is read rather than called.
func readFaults() []fault {
	on := func(name, check string, h func(host.Host) host.Host) fault {
		return fault{name: name, check: check,
			serve: func(ctx context.Context, ln net.Listener, kernel host.Host, l transport.Transport) error {
				return l.Serve(ctx, ln, h(kernel))
			}}
	}
	return []fault{
		on("no more than a page", "Objects", func(h host.Host) host.Host { return onePage{h} }),
		on("source with other line ends", "Source", func(h host.Host) host.Host { return unixLines{h} }),
		on("state by prefix alone", "State", func(h host.Host) host.Host { return noKey{h} }),
		on("always newest first", "Logs", func(h host.Host) host.Host { return logQuery{h, func(q *storage.LogsQuery) { q.Oldest = false }} }),
		on("logs of all times", "Logs", func(h host.Host) host.Host { return logQuery{h, func(q *storage.LogsQuery) { q.Since = time.Time{} }} }),
		on("logs without an end", "Logs", func(h host.Host) host.Host { return logQuery{h, func(q *storage.LogsQuery) { q.Until = time.Time{} }} }),
		on("logs without a search", "Logs", func(h host.Host) host.Host { return logQuery{h, func(q *storage.LogsQuery) { q.Text = "" }} }),
		on("logs by no field", "Logs", func(h host.Host) host.Host { return logQuery{h, func(q *storage.LogsQuery) { q.Fields = nil }} }),
		on("tests without their logs", "Tests", func(h host.Host) host.Host { return mute{h} }),
		on("unknown is empty", "ReadErrors", func(h host.Host) host.Host { return emptyLogs{h} }),
	}
}

type onePage struct{ host.Host }

func (h onePage) Objects(ctx context.Context, q host.ObjectsQuery) (host.ObjectsPage, error) {
	page, err := h.Host.Objects(ctx, q)
	page.More = false
	return page, err
}

type unixLines struct{ host.Host }

func (h unixLines) Source(ctx context.Context, object id.Object) (host.Source, error) {
	s, err := h.Host.Source(ctx, object)
	s.Text = []byte(strings.ReplaceAll(string(s.Text), "\r\n", "\n"))
	return s, err
}

type noKey struct{ host.Host }

func (h noKey) State(ctx context.Context, q host.StateQuery) (host.StatePage, error) {
	q.HasKey = false
	return h.Host.State(ctx, q)
}

type logQuery struct {
	host.Host
	change func(*storage.LogsQuery)
}

func (h logQuery) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	h.change(&q)
	return h.Host.Logs(ctx, q)
}

type mute struct{ host.Host }

func (h mute) Test(ctx context.Context, object id.Object) (host.TestReport, error) {
	r, err := h.Host.Test(ctx, object)
	r.Tests = slices.Clone(r.Tests)
	for i := range r.Tests {
		r.Tests[i].Log = nil
	}
	return r, err
}

type emptyLogs struct{ host.Host }

func (h emptyLogs) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	page, err := h.Host.Logs(ctx, q)
	if errs.Is(err, errs.NotFound) {
		err = nil
	}
	return page, err
}

// recorder is a testing.TB that keeps failures instead of failing.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	failures []string
}

// patience is short: what a fault keeps from happening is waited for in vain.
func (*recorder) patience() time.Duration { return 3 * time.Second }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

// TestFaults proves that the suite notices each fault, in the check that is
// meant to.
func TestFaults(t *testing.T) {
	leak := make(chan struct{})
	defer close(leak)
	for _, f := range faults(leak) {
		t.Run(f.name, f.noticed)
	}
}

func (f fault) noticed(t *testing.T) {
	h := LinesHarness()
	h.New = func(t testing.TB) transport.Transport { return faulty{LinesHarness().New(t), f} }
	if f.name == "removes its socket" {
		h.Network = "unix"
	}
	r := &recorder{TB: t}
	t.Cleanup(func() {
		if len(r.failures) == 0 {
			t.Errorf("%s let it pass", f.check)
		}
		t.Logf("caught: %.200q", r.failures)
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(f.check)(r, h)
	}()
	<-done
}

// run finds a check.
func run(name string) func(testing.TB, Harness) {
	for _, c := range checks {
		if c.name == name {
			return c.run
		}
	}
	panic("no check " + name)
}

package transporttest

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/transport"
)

// patience is how long the suite waits for what must happen: long enough for a machine
// that has other things to do. The tests of the suite itself wait for what never happens,
// and are in a hurry.
func patience(t testing.TB) time.Duration {
	if r, ok := t.(interface{ patience() time.Duration }); ok {
		return r.patience()
	}
	return time.Minute
}

// station plays the kernel: it owns the listener, and lends duplicates of it
// to one transport after another.
type station struct {
	t       testing.TB
	harness Harness
	host    *Host
	owned   interface {
		net.Listener
		File() (*os.File, error)
	}
}

// newStation opens a listener that nobody serves yet.
func newStation(t testing.TB, h Harness) *station {
	t.Helper()
	s := &station{t: t, harness: h, host: NewHost()}
	if h.Network == "unix" {
		dir, err := os.MkdirTemp("", "tt") // t.TempDir may be too long for a socket
		must(t, err)
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
		must(t, err)
		s.owned = ln
	} else {
		ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		must(t, err)
		s.owned = ln
	}
	t.Cleanup(func() { _ = s.owned.Close() })
	return s
}

// lend gives a duplicate of the listener.
func (s *station) lend() net.Listener {
	s.t.Helper()
	f, err := s.owned.File()
	must(s.t, err)
	defer func() { _ = f.Close() }()
	ln, err := net.FileListener(f)
	must(s.t, err)
	return ln
}

// serving is a transport at work.
type serving struct {
	t         testing.TB
	transport transport.Transport
	cancel    context.CancelFunc
	done      chan struct{}
	err       error // of Serve, once done is closed
}

// configured gives a transport that may serve.
func configured(t testing.TB, h Harness) transport.Transport {
	t.Helper()
	tr := h.New(t)
	must(t, tr.Configure(t.Context(), Config))
	return tr
}

// serve starts a transport on the station's listener.
func (s *station) serve() *serving {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &serving{t: s.t, transport: configured(s.t, s.harness), cancel: cancel, done: make(chan struct{})}
	ln := s.lend()
	go func() {
		defer close(r.done)
		r.err = r.transport.Serve(ctx, ln, s.host)
	}()
	s.t.Cleanup(r.stop)
	return r
}

// stop ends the transport, and wants Serve to return nil.
func (r *serving) stop() {
	r.t.Helper()
	r.cancel()
	select {
	case <-r.done:
	case <-time.After(transport.DrainTime + 5*time.Second):
		r.t.Fatalf("Serve has not returned %v after its context ended", transport.DrainTime+5*time.Second)
	}
	if r.err != nil {
		r.t.Errorf("Serve = %v, want nil after its context ended", r.err)
	}
	ctx, cancel := within(r.t)
	defer cancel()
	if err := r.transport.Close(ctx); err != nil {
		r.t.Errorf("Close = %v", err)
	}
}

// start gives a served station with a client.
func start(t testing.TB, h Harness) (*Host, Client) {
	t.Helper()
	s := newStation(t, h)
	s.serve()
	return s.host, s.dial()
}

// connect opens a connection and says nothing.
func (s *station) connect() (net.Conn, error) {
	ctx, cancel := within(s.t)
	defer cancel()
	return new(net.Dialer).DialContext(ctx, s.owned.Addr().Network(), s.owned.Addr().String())
}

func (s *station) dial() Client {
	s.t.Helper()
	c := s.harness.Dial(s.t, s.owned.Addr())
	s.t.Cleanup(c.Close)
	return c
}

// do makes a call that must be answered.
func do(t testing.TB, c Client, r Request) Response {
	t.Helper()
	ctx, cancel := within(t)
	defer cancel()
	res, err := c.Do(ctx, r)
	if err != nil {
		t.Fatalf("%s %s got no answer: %v", r.Method, r.Object, err)
	}
	return res
}

// read makes a read that must be answered.
func read(t testing.TB, c Client, r Read) Reading {
	t.Helper()
	ctx, cancel := within(t)
	defer cancel()
	res, err := c.Read(ctx, r)
	if err != nil {
		t.Fatalf("read of %s %s got no answer: %v", r.What, r.Object, err)
	}
	return res
}

// outcome is what became of a call that goes on by itself.
type outcome struct {
	Response
	err error
}

// begin makes a call without waiting for it.
func begin(t testing.TB, c Client, r Request) <-chan outcome {
	ch := make(chan outcome, 1)
	go func() {
		ctx, cancel := within(t)
		defer cancel()
		res, err := c.Do(ctx, r)
		ch <- outcome{res, err}
	}()
	return ch
}

// wait gives the answer to a call that was begun.
func wait(t testing.TB, what string, ch <-chan outcome) Response {
	t.Helper()
	select {
	case o := <-ch:
		if o.err != nil {
			t.Fatalf("%s got no answer: %v", what, o.err)
		}
		return o.Response
	case <-time.After(patience(t)):
		t.Fatalf("%s got no answer within %v", what, patience(t))
	}
	return Response{}
}

// eventually polls until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(patience(t))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", patience(t), what)
		}
	}
}

func within(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience(t))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// values gives the values of one name, in order.
func values(fields []host.Field, name string) []string {
	var v []string
	for _, f := range fields {
		if f.Name == name {
			v = append(v, f.Value)
		}
	}
	return v
}

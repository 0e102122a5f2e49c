package lines

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// The conformance suite runs on the transports of sdk/examples that are made with
// this package. Here are its own promises: limits, pieces, and the end.

const patience = time.Minute

// plain is the protocol of these tests: the JSON of the structs as they are.
type plain struct{}

func (plain) Decode(line []byte) (r Request, err error) {
	if err = json.Unmarshal(line, &r); err != nil {
		err = errs.New(errs.Invalid, "bad_line", "%v", err)
	}
	return r, err
}

func (plain) Encode(a *Answer) ([]byte, error) { return json.Marshal(a) }

// served is a transport at work, with smaller limits where a test wants them.
type served struct {
	t    *testing.T
	srv  *server
	host *transporttest.Host
	path string
	stop context.CancelFunc
	done chan error
}

func serve(t *testing.T, change func(*limits)) *served {
	t.Helper()
	dir, err := os.MkdirTemp("", "lines") // t.TempDir may be too long for a socket
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	tr, ok := New(slog.New(slog.DiscardHandler), plugin.Info{Name: "plain", Kind: plugin.Transport}, plain{}).(*server)
	if !ok {
		t.Fatal("New gives something else")
	}
	if change != nil {
		change(&tr.most)
	}
	must(t, tr.Configure(t.Context(), transporttest.Config))
	s := &served{t: t, srv: tr, host: transporttest.NewHost(), path: filepath.Join(dir, "s"), done: make(chan error, 1)}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.path, Net: "unix"})
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.done <- tr.Serve(ctx, ln, s.host) }()
	t.Cleanup(s.end)
	return s
}

// end stops the transport; by then nothing of what lines held is left.
func (s *served) end() {
	s.t.Helper()
	s.stop()
	select {
	case err := <-s.done:
		s.done <- nil // for the next end
		if err != nil {
			s.t.Errorf("Serve = %v", err)
		}
	case <-time.After(patience):
		s.t.Fatal("Serve does not return")
	}
	if n := s.srv.held.Load(); n != 0 {
		s.t.Errorf("%d bytes of lines are still counted", n)
	}
}

// conn is a client's connection.
type conn struct {
	*net.UnixConn
	t  *testing.T
	in *bufio.Reader
}

func (s *served) dial() *conn {
	s.t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: s.path, Net: "unix"})
	must(s.t, err)
	s.t.Cleanup(func() { _ = c.Close() })
	must(s.t, c.SetDeadline(time.Now().Add(patience)))
	return &conn{UnixConn: c, t: s.t, in: bufio.NewReader(c)}
}

func (c *conn) say(r Request) {
	c.t.Helper()
	line, err := json.Marshal(r)
	must(c.t, err)
	_, err = c.Write(append(line, '\n'))
	must(c.t, err)
}

func (c *conn) hear() Answer {
	c.t.Helper()
	line, err := c.in.ReadBytes('\n')
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	var a struct {
		Answer
		Err *struct {
			Kind       errs.Kind
			Code       string
			RetryAfter time.Duration
		}
	}
	must(c.t, json.Unmarshal(line, &a))
	if a.Err != nil {
		a.Answer.Err = &errs.Error{Kind: a.Err.Kind, Code: a.Err.Code, RetryAfter: a.Err.RetryAfter}
	}
	return a.Answer
}

// refused wants an answer that is an error.
func (c *conn) refused(id uint64, k errs.Kind, code string) {
	c.t.Helper()
	a := c.hear()
	if a.ID != id || a.Err == nil || a.Err.Kind != k || a.Err.CodeOf() != code {
		c.t.Errorf("got %+v, want the error %v %s of request %d", a, k, code, id)
	}
}

// over wants the end of the connection.
func (c *conn) over() {
	c.t.Helper()
	if line, err := c.in.ReadString('\n'); err == nil {
		c.t.Errorf("the connection goes on with %.100q", line)
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Errorf("the connection is still open after %v", patience)
	}
}

// deaf waits until the connection takes nothing more.
func (c *conn) deaf() {
	c.t.Helper()
	eventually(c.t, "the connection takes no more", func() bool {
		must(c.t, c.SetWriteDeadline(time.Now().Add(patience)))
		_, err := c.Write([]byte("{}\n"))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatalf("the connection is not closed after %v", patience)
		}
		return err != nil
	})
}

func call(id uint64, object, body string) Request {
	return Request{ID: id, Do: Invoke, Object: object, Call: host.Call{Method: "POST", Body: []byte(body)}}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

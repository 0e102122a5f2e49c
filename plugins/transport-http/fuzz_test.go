package transporthttp

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/dbbasic/station/plugins/transport-http/badrequests"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// FuzzRequest sends any bytes to a transport whose host has an answer to all that
// may be asked of it. The transport never answers with a fault of its own, and is
// done with a connection once its client is.
func FuzzRequest(f *testing.F) {
	for _, r := range badrequests.All() {
		if len(r.Text) <= 128<<10 {
			f.Add([]byte(r.Text))
		}
	}
	fake := transporttest.NewHost()
	for name := range badrequests.Objects {
		object := id.Object(name)
		answer := host.Result{Status: 200, Body: []byte("{}"), Header: []host.Field{{Name: "Content-Type", Value: "application/json"}}}
		if name == "album" {
			file := fake.AddFile(object, "f", "text/plain", []byte("0123456789"))
			answer = host.Result{Status: 200, File: &file}
		}
		fake.Answer(object, transporttest.Answer{Result: answer})
		fake.Add(transporttest.Data{Info: host.ObjectInfo{Object: object}, Versions: []storage.Version{{Number: 1}}})
	}
	tr := New(slog.New(slog.DiscardHandler), "test")
	if err := tr.Configure(f.Context(), transporttest.Config); err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ln := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- tr.Serve(ctx, ln, fake) }()
	f.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, sent []byte) {
		c := &said{in: bytes.NewReader(sent), done: make(chan struct{})}
		ln.conns <- c
		select {
		case <-c.done:
		case <-time.After(time.Minute):
			t.Fatal("the transport is not done with the connection")
		}
		if fault := ownFault(c.written()); fault != nil {
			t.Fatalf("the transport answered %q", fault)
		}
	})
}

var statusLine = regexp.MustCompile(`(?m)^HTTP/1\.[01] [0-9]{3} `)

// ownFault gives the first answer that is a 5xx of the station's, and not of what
// net/http refuses before its handler. An input of before may have replaced the file
// that an object answers with: 503 is then right.
func ownFault(written []byte) []byte {
	starts := statusLine.FindAllIndex(written, -1)
	for i, at := range starts {
		answer := written[at[0]:]
		if i+1 < len(starts) {
			answer = written[at[0]:starts[i+1][0]]
		}
		if answer[len("HTTP/1.1 ")] == '5' && bytes.Contains(answer, []byte("\r\nX-Request-Id: ")) && !bytes.Contains(answer, []byte(`"code":"file_changed"`)) {
			return answer
		}
	}
	return nil
}

// said is the connection of a client that has said all that it says.
type said struct {
	in   *bytes.Reader
	once sync.Once
	done chan struct{} // closed once the server has written all

	mu  sync.Mutex
	out bytes.Buffer
}

func (c *said) Read(b []byte) (int, error) { return c.in.Read(b) }

func (c *said) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(b)
}

func (c *said) written() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.out.Bytes())
}

func (c *said) Close() error                   { c.once.Do(func() { close(c.done) }); return nil }
func (c *said) CloseWrite() error              { return c.Close() }
func (*said) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
func (*said) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9} }
func (*said) SetDeadline(time.Time) error      { return nil }
func (*said) SetReadDeadline(time.Time) error  { return nil }
func (*said) SetWriteDeadline(time.Time) error { return nil }

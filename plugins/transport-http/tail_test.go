package transporthttp

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// line is an entry of a log.
func line(n int, fields string) storage.Entry {
	e := storage.Entry{ID: id.Entry{Station: "here", Boot: 1, Sequence: uint64(n)}, Level: storage.Info, Message: fmt.Sprintf("line %d\r\n<b>", n),
		Time: time.Date(2026, 1, 2, 3, 4, 5, n*1000, time.UTC)}
	if fields != "" {
		e.Fields = []byte(fields)
	}
	return e
}

// tailing is a tail over a pipe in place of a connection, so that time is that of the test.
type tailing struct {
	t       *testing.T
	handler *handler
	client  net.Conn
	res     *http.Response
	events  *events
	stop    context.CancelFunc // of the station
	end     func()
}

// openTail asks a handler for a tail of "a".
func openTail(t *testing.T, h host.Host, query string, headers ...string) *tailing {
	t.Helper()
	client, server := net.Pipe()
	serving, stop := context.WithCancel(context.Background())
	handler := newHandler(slog.New(slog.DiscardHandler), "here", h, context.Background())
	handler.serving = serving
	ln, done := &one{conn: server, closed: make(chan struct{})}, make(chan struct{})
	go func() {
		defer close(done)
		_ = newServer(slog.New(slog.DiscardHandler), handler).Serve(ln)
	}()
	s := &tailing{t: t, handler: handler, client: client, stop: stop, end: func() {
		stop()
		_ = client.Close()
		close(ln.closed)
		<-done
	}}
	go func() {
		_, _ = fmt.Fprintf(client, "GET /objects/a?tail=true%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", query, strings.Join(append(headers, ""), "\r\n"))
	}()
	res, err := http.ReadResponse(bufio.NewReader(client), nil) //nolint:bodyclose // end closes its connection
	if err != nil {
		t.Fatal(err)
	}
	s.res, s.events = res, newEvents(res.Body)
	return s
}

// one is a listener of one connection.
type one struct {
	conn   net.Conn
	closed chan struct{}
}

func (o *one) Accept() (net.Conn, error) {
	if c := o.conn; c != nil {
		o.conn = nil
		return c, nil
	}
	<-o.closed
	return nil, net.ErrClosed
}
func (o *one) Close() error   { return nil }
func (o *one) Addr() net.Addr { return &net.TCPAddr{} }

func (s *tailing) wantEvent(want event) {
	s.t.Helper()
	got, more := s.events.next()
	if !more || got != want {
		s.t.Fatalf("got %+v (more: %v), want %+v", got, more, want)
	}
}

func TestTailOnTheWire(t *testing.T) {
	s := serve(t)
	s.host.Add(transporttest.Data{Info: host.ObjectInfo{Object: "a"}, Logs: []storage.Entry{line(1, `{"z":1,"a":"<x>\n"}`), line(2, "")}})
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("GET /objects/a?tail=true&last=2 HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil) //nolint:bodyclose // its connection is closed
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Station-Id": "here",
		"Access-Control-Allow-Origin": "", "Content-Length": ""} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	in := bufio.NewReader(res.Body)
	for _, want := range []string{
		"retry: 1000", "id: f.1",
		`data: {"entry_id":"here.1.1","timestamp":"2026-01-02T03:04:05.000001Z","level":"INFO","message":"line 1\r\n<b>","a":"<x>\n","z":1}`, "",
		"id: f.2", `data: {"entry_id":"here.1.2","timestamp":"2026-01-02T03:04:05.000002Z","level":"INFO","message":"line 2\r\n<b>"}`, "",
	} {
		if got, err := in.ReadString('\n'); got != want+"\n" || err != nil {
			t.Errorf("got %q, error %v; want %q", got, err, want)
		}
	}
}

// TestTailTime: what a tail says while nothing happens, while the host is away, and
// where it ends.
func TestTailTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := transporttest.NewHost()
		h.Add(transporttest.Data{Info: host.ObjectInfo{Object: "a"}, Logs: []storage.Entry{line(1, "")}})
		s := openTail(t, h, "&last=0")
		began := time.Now()
		since := func(want time.Duration) {
			t.Helper()
			if got := time.Since(began); got != want {
				t.Errorf("it took %v, want %v", got, want)
			}
			began = time.Now()
		}
		s.wantEvent(event{id: "", comment: "nothing new"})
		s.wantEvent(event{id: "f.1"})
		since(0)
		s.wantEvent(event{id: "f.1", comment: "nothing new"})
		since(keepAlive)
		h.Down(true)
		for range 3 {
			s.wantEvent(event{id: "f.1", comment: "waiting: unavailable"})
		}
		since(2 * tailPause)
		h.Log("a", line(2, ""))
		h.Down(false)
		if got, _ := s.events.next(); got.id != "f.2" || got.data == "" {
			t.Errorf("after the host was away got %+v", got)
		}
		since(tailPause)
		h.Remove("a")
		got, _ := s.events.next()
		var f failure
		if err := json.Unmarshal([]byte(got.data), &f); err != nil || got.name != "end" || f.Code != "no_such_object" || f.Error == "" || f.Status != "error" {
			t.Errorf("the end is %+v", got)
		}
		if _, more := s.events.next(); more {
			t.Error("something comes after the end")
		}
		s.end()
	})
}

// TestTailStops: a tail ends with the station, and a client that does not read
// holds that up for no more than a second.
func TestTailStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := transporttest.NewHost()
		h.Add(transporttest.Data{Info: host.ObjectInfo{Object: "a"}})
		s := openTail(t, h, "")
		s.wantEvent(event{comment: "nothing new"})
		s.wantEvent(event{id: "f.0"})
		s.stop()
		if got, _ := s.events.next(); got.name != "end" || !strings.Contains(got.data, `"code":"stopping"`) || got.id != "f.0" {
			t.Errorf("the end is %+v", got)
		}
		if _, more := s.events.next(); more {
			t.Error("something comes after the end")
		}
		s.end()

		s = openTail(t, h, "")
		h.Log("a", line(1, ""), line(2, ""))
		synctest.Wait() // the tail writes, and nobody reads
		s.stop()
		time.Sleep(2 * tailPause)
		if _, err := io.Copy(io.Discard, s.res.Body); err == nil {
			t.Errorf("a tail that nobody read went on for %v after the end", 2*tailPause)
		}
		s.end()
	})
}

// TestTailParameters: where a tail begins, and what is none.
func TestTailParameters(t *testing.T) {
	h := &follower{Host: transporttest.NewHost()}
	s := serveOn(t, h.Host, h)
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		query, id string
		want      host.FollowQuery
	}{
		{"", "", host.FollowQuery{Last: 10}},
		{"&last=0", "", host.FollowQuery{}},
		{"&last=1000&level=error,info&q=x&user=ann&field.last=1", "", host.FollowQuery{Last: 1000, Text: "x", Levels: []storage.Level{storage.Error, storage.Info},
			Fields: []storage.FieldFilter{{Name: "last", Value: "1"}, {Name: "user", Value: "ann"}}}},
		{"&since=2026-01-31T12:00:00Z", "", host.FollowQuery{Since: at}},
		{"&cursor=c&last=5", "", host.FollowQuery{Cursor: "c"}},
		{"&cursor=c&since=1", "header", host.FollowQuery{Cursor: "header"}},
	} {
		c.want.Object, c.want.Limit = "a", tailPage
		got := s.do("HEAD", "/objects/a?tail=true"+c.query, "", "Last-Event-ID: "+c.id)
		if got.StatusCode != 200 || got.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%q gave %d %q", c.query, got.StatusCode, got.Header.Get("Content-Type"))
		}
		h.query.Since = h.query.Since.UTC()
		if c.want.Since.IsZero() {
			h.query.Since = time.Time{}
		}
		if diff := cmp.Diff(c.want, h.query); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.query, diff)
		}
	}
	for _, q := range []string{"&last=-1", "&last=1001", "&last=x", "&last=", "&since=x", "&last=1&since=1", "&level=LOUD"} {
		s.do("GET", "/objects/a?tail=true"+q, "").wantError(t, 400, "bad_parameter")
	}
	for _, q := range []string{"&until=1", "&limit=1", "&order=asc", "&message=x"} {
		s.do("GET", "/objects/a?tail=true"+q, "").wantError(t, 400, "unknown_parameter")
	}
	s.do("GET", "/objects/a?tail=true&cursor="+strings.Repeat("x", storage.MaxCursor+1), "").wantError(t, 400, "bad_cursor")
	s.do("POST", "/objects/a?tail=true", "").wantError(t, 405, "method_not_allowed")
}

type follower struct {
	*transporttest.Host
	query host.FollowQuery
}

func (f *follower) Follow(_ context.Context, q host.FollowQuery) (host.FollowPage, error) {
	f.query = q
	return host.FollowPage{Next: "n"}, nil
}

// TestTailOfAnotherSite: no page of another site holds the place of a tail, or could
// read one.
func TestTailOfAnotherSite(t *testing.T) {
	h := &follower{Host: transporttest.NewHost()}
	s := serveOn(t, h.Host, h)
	for _, header := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: http://evil.example", "Origin: null"} {
		got := s.do("GET", "/objects/a?tail=true", "", header)
		got.wantError(t, 403, "cross_origin")
		if got.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s is told that it may read", header)
		}
	}
	for _, header := range []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none", "Origin: http://localhost", "X: y"} {
		if got := s.do("HEAD", "/objects/a?tail=true", "", header); got.StatusCode != 200 || got.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("with %s: %d %v", header, got.StatusCode, got.Header)
		}
	}
}

// TestTailBounds: so many tails at once, and their pages share the memory of large bodies.
func TestTailBounds(t *testing.T) {
	h := transporttest.NewHost()
	large := line(1, "")
	large.Message = strings.Repeat("x", 1000)
	h.Add(transporttest.Data{Info: host.ObjectInfo{Object: "a"}, Logs: []storage.Entry{large}})
	handler := newHandler(slog.New(slog.DiscardHandler), "here", h, t.Context())
	ask := func(method string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "http://localhost/objects/a?tail=true", nil)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	handler.tails.Store(maxTails)
	if w := ask("HEAD"); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("one more tail got %d", w.Code)
	}
	handler.tails.Store(maxTails - 1)
	if w := ask("HEAD"); w.Code != 200 || handler.tails.Load() != maxTails-1 {
		t.Errorf("the last tail got %d, and %d are counted after it", w.Code, handler.tails.Load())
	}
	synctest.Test(t, func(t *testing.T) {
		s := openTail(t, h, "", "X-Full: yes")
		if got, _ := s.events.next(); got.id != "f.1" {
			t.Errorf("got %+v", got)
		}
		s.handler.bodies.Store(maxBodies - 500)
		h.Log("a", large)
		s.wantEvent(event{id: "f.1", comment: "waiting: busy"})
		s.handler.bodies.Store(0)
		if got, _ := s.events.next(); got.id != "f.2" || got.data == "" {
			t.Errorf("once there is room got %+v", got)
		}
		s.handler.bodies.Store(0)
		s.end()
	})
}

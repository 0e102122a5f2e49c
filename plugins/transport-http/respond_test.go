package transporthttp

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// handle runs one request without a network.
func handle(t testing.TB, method string, u *url.URL, body string) (int, []host.Call) {
	fake := transporttest.NewHost()
	fake.Answer("a", transporttest.Answer{Echo: true})
	h := newHandler(slog.New(slog.DiscardHandler), "here", fake, t.Context())
	w := httptest.NewRecorder()
	r := &http.Request{Method: method, URL: u, Host: "localhost", Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
	h.ServeHTTP(w, r)
	return w.Code, fake.Calls("")
}

// discard is a response that goes nowhere, and costs nothing to a benchmark.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header {
	if d.header == nil {
		d.header = http.Header{}
	}
	return d.header
}
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

func field(name, value string) host.Field { return host.Field{Name: name, Value: value} }

func TestSandbox(t *testing.T) {
	s := serve(t)
	for contentType, want := range map[string]bool{
		"text/html": true, "text/html; charset=utf-8": true, "TEXT/HTML": true, " text/html": true, "image/svg+xml": true,
		"application/xhtml+xml": true, "text/xml": true, "application/pdf": true, "x": true, "text/plain;,text/html": true,
		"text/plain, text/html": true, "application/json": false, "text/plain; charset=utf-8": false, "image/png": false, "": false,
	} {
		s.host.Answer("a", transporttest.Answer{Result: host.Result{Status: 200, Body: []byte("<script>"), Header: []host.Field{
			field("Content-Type", contentType), field("content-security-policy", "default-src *"), field("X-Content-Type-Options", "no"),
		}}})
		got := s.do("GET", "/objects/a", "")
		policy := got.Header.Values("Content-Security-Policy")
		if want && !gocmp.Equal(policy, sandbox) || !want && policy != nil {
			t.Errorf("%q has the policy %q", contentType, policy)
		}
		if ct := got.Header.Get("Content-Type"); ct != cmp.Or(strings.TrimSpace(contentType), "application/octet-stream") {
			t.Errorf("%q became %q", contentType, ct)
		}
		if sniff := got.Header.Values("X-Content-Type-Options"); !gocmp.Equal(sniff, nosniff) {
			t.Errorf("%q: X-Content-Type-Options is %q", contentType, sniff)
		}
	}
	s.host.Answer("a", transporttest.Answer{Result: host.Result{Status: 200, Body: []byte("<html>")}})
	if got := s.do("GET", "/objects/a", ""); got.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("a body without a type was sent as %q", got.Header.Get("Content-Type"))
	}
}

// TestResponseHeaders: a script frames nothing, speaks for nobody and splits
// no response.
func TestResponseHeaders(t *testing.T) {
	s := serve(t)
	s.host.Answer("a", transporttest.Answer{Result: host.Result{Status: 200, Body: []byte("body"), Header: []host.Field{
		field("content-type", "text/css"), field("Content-Type", "text/plain"), field("x-mine", "1"), field("X-Mine", "2"),
		field("Connection", "close"), field("transfer-encoding", "chunked"), field("CONTENT-LENGTH", "1"), field("Upgrade", "h2c"),
		field("Trailer", "X"), field("Date", "then"), field("x-request-id", "mine"), field("X-Station-Id", "mine"),
		field("X-Routed-From", "mine"), field("Set-Cookie", "session=1"), field("Strict-Transport-Security", "max-age=1"),
		field("X-Split", "a\r\nX-Injected: 1"), field("X-Null", "a\x00b"), field("X Bad\r\nX-Injected", "1"), field("X-Injected: 1\r\nX", "1"), field("", "x"),
		field("Trailer:X-Injected", "1"),
	}}})
	got := s.do("GET", "/objects/a", "", "X-Request-Id: r")
	got.Header.Del("Date")
	want := http.Header{"Content-Type": {"text/plain"}, "X-Mine": {"1", "2"}, "Content-Length": {"4"},
		"X-Content-Type-Options": {"nosniff"}, "X-Request-Id": {"r"}, "X-Station-Id": {"here"}}
	if diff := gocmp.Diff(want, got.Header); diff != "" || got.body != "body" {
		t.Errorf("body %q, headers (-want +got):\n%s", got.body, diff)
	}
}

// TestOwnPolicy: an object that the config lists sets its own policy, no other.
func TestOwnPolicy(t *testing.T) {
	const own = "default-src 'self'"
	page := func(policy ...string) transporttest.Answer {
		r := host.Result{Status: 200, Body: []byte("<p>"), Header: []host.Field{field("Content-Type", "text/html")}}
		for _, p := range policy {
			r.Header = append(r.Header, field("content-security-policy", p))
		}
		return transporttest.Answer{Result: r}
	}
	p := newPages(t)
	p.h.policy = policies{"listed": true, "silent": true, "empty": true}
	for object, c := range map[id.Object]struct {
		answer transporttest.Answer
		want   []string
	}{
		"listed": {page(own, "frame-ancestors 'none'"), []string{own, "frame-ancestors 'none'"}},
		"silent": {page(), sandbox}, "empty": {page(" "), sandbox}, "other": {page(own), sandbox}, "listed2": {page(own), sandbox},
	} {
		p.host.Answer(object, c.answer)
		w := httptest.NewRecorder()
		p.h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/objects/"+string(object), nil))
		if got := w.Header()["Content-Security-Policy"]; !slices.Equal(got, c.want) {
			t.Errorf("%s has the policy %q, want %q", object, got, c.want)
		}
	}
}

func TestOwnPolicyOption(t *testing.T) {
	c := transporttest.Config
	for text, want := range map[string]policies{`[]`: {}, `["a","b_c"]`: {"a": true, "b_c": true}, `["A"]`: nil, `["a",""]`: nil, `["a@here"]`: nil} {
		c.Options = map[string]string{"own_policy": text}
		tr := New(slog.New(slog.DiscardHandler), "test")
		err := tr.Configure(t.Context(), c)
		if want == nil {
			if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "own_policy") {
				t.Errorf("%s gives %v", text, err)
			}
		} else if err != nil || !maps.Equal(tr.use.Load().policies, want) {
			t.Errorf("%s gives %v, %v", text, tr.use.Load().policies, err)
		}
	}
}

// TestHeaderNames: what is no header name goes no further, whatever the
// server below would do with it ("Trailer:X" is a trailer to net/http).
func TestHeaderNames(t *testing.T) {
	x := exchange{handler: newHandler(slog.New(slog.DiscardHandler), "here", nil, t.Context()), r: httptest.NewRequest(http.MethodGet, "/", nil)}
	for _, name := range []string{"", "X Bad", "X:", "Trailer:X", "X\r\nY", "ü", "X\x00"} {
		header := http.Header{}
		if x.setHeader(header, "a", field(name, "1")); len(header) > 0 {
			t.Errorf("%q was taken: %v", name, header)
		}
	}
}

func TestRoutedFrom(t *testing.T) {
	s := serve(t)
	s.host.Answer("a", transporttest.Answer{Result: host.Result{Status: 200, Station: "there"}})
	got := s.do("GET", "/objects/a", "")
	if got.Header.Get("X-Station-Id") != "there" || got.Header.Get("X-Routed-From") != "here" {
		t.Errorf("a routed answer carries %v", got.Header)
	}
	s.host.Answer("a", transporttest.Answer{Result: host.Result{Status: 200}})
	if got := s.do("GET", "/objects/a", ""); got.Header["X-Routed-From"] != nil {
		t.Errorf("an answer of this station carries %v", got.Header)
	}
}

// TestErrorFrom: a client can tell an object's error from the station's, whatever
// status and code the script chose for its own.
func TestErrorFrom(t *testing.T) {
	s := serve(t)
	s.host.Answer("fine", transporttest.Answer{Result: host.Result{Status: 200, Header: []host.Field{field("X-Error-From", "station")}}})
	s.host.Answer("answers", transporttest.Answer{Result: host.Result{Status: 404, Header: []host.Field{field("X-Error-From", "station")}}})
	for name, err := range map[string]*errs.Error{
		"fails":   {Kind: errs.Refused, Code: "not_found", Status: 404},
		"bug":     {Kind: errs.Script},
		"limit":   {Kind: errs.Limit},
		"broken":  {Kind: errs.Source},
		"slow":    errs.New(errs.Timeout, "time_limit", "It ran too long."),
		"waits":   {Kind: errs.Timeout},
		"busy":    {Kind: errs.Busy},
		"missing": {Kind: errs.NotFound},
	} {
		s.host.Answer(id.Object(name), transporttest.Answer{Err: err})
	}
	for name, want := range map[string]string{
		"fine": "", "answers": "object", "fails": "object", "bug": "object", "limit": "object", "broken": "object", "slow": "object",
		"waits": "station", "busy": "station", "missing": "station", "No": "station",
	} {
		if got := strings.Join(s.do("GET", "/objects/"+name, "").Header["X-Error-From"], ","); got != want {
			t.Errorf("the error of %q is from %q, want %q", name, got, want)
		}
	}
	if got := s.do("GET", "/objects/fails?state=true&limit=0", "").Header.Get("X-Error-From"); got != "station" {
		t.Errorf("the error of a look is from %q", got)
	}
}

func TestHead(t *testing.T) {
	s := serve(t)
	html := []host.Field{field("Content-Type", "text/html")}
	s.host.Answer("a", transporttest.Answer{Result: host.Result{Status: 200, Header: html, Body: []byte("body")}})
	got := s.do("HEAD", "/objects/a", "")
	if got.body != "" || got.Header.Get("Content-Length") != "4" || got.Header.Get("Content-Type") != "text/html" {
		t.Errorf("HEAD got %q %v", got.body, got.Header)
	}
	s.host.Answer("a", transporttest.Answer{Result: host.Result{Status: 200, Header: html}})
	if got := s.do("HEAD", "/objects/a", ""); got.Header["Content-Length"] != nil {
		t.Errorf("HEAD claims a length that nobody knows: %v", got.Header)
	}
	s.do("HEAD", "/objects/none", "").wantError(t, 404, "")
	if got := s.do("HEAD", "/objects", ""); got.StatusCode != http.StatusOK || got.body != "" {
		t.Errorf("HEAD /objects got %d %q", got.StatusCode, got.body)
	}
}

func TestStatus(t *testing.T) {
	s := serve(t)
	for _, status := range []int{204, 304} {
		s.host.Answer("a", transporttest.Answer{Result: host.Result{Status: status, Body: []byte("x"), Header: []host.Field{field("Content-Type", "text/plain")}}})
		if got := s.do("GET", "/objects/a", ""); got.StatusCode != status || got.body != "" || got.Header["Content-Type"] != nil {
			t.Errorf("%d came as %d %q %v", status, got.StatusCode, got.body, got.Header)
		}
	}
	for _, status := range []int{0, 99, 100, 101, 199, 600, 1000} {
		s.host.Answer("a", transporttest.Answer{Result: host.Result{Status: status}})
		s.do("GET", "/objects/a", "").wantError(t, 500, "bad_status")
	}
	s.host.Answer("a", transporttest.Answer{Err: &errs.Error{Kind: errs.Refused, Status: 101}})
	s.do("GET", "/objects/a", "").wantError(t, 422, "refused")
}

// panics is a host that fails in the worst way.
type panics struct{ *transporttest.Host }

func (panics) Invoke(context.Context, host.Call) (host.Result, error) { panic("secret") }

func TestPanic(t *testing.T) {
	fake := transporttest.NewHost()
	s := serveOn(t, fake, panics{fake})
	got := s.do("GET", "/objects/a", "")
	got.wantError(t, 500, "internal")
	if strings.Contains(got.body, "secret") || strings.Contains(got.body, "goroutine") {
		t.Errorf("the client sees %s", got.body)
	}
	if log := s.log.String(); !strings.Contains(log, "secret") || !strings.Contains(log, got.Header.Get("X-Request-Id")) {
		t.Errorf("the log lacks the panic or its request: %s", log)
	}
}

func TestCauseIsLogged(t *testing.T) {
	s := serve(t)
	s.host.Answer("a", transporttest.Answer{Err: errors.New("the cause")})
	got := s.do("GET", "/objects/a", "")
	got.wantError(t, 500, "internal")
	if log := s.log.String(); !strings.Contains(log, "the cause") || !strings.Contains(log, got.Header.Get("X-Request-Id")) {
		t.Errorf("the log lacks the cause or its request: %s", log)
	}
}

// TestReads holds the JSON of the reads, to the byte.
func TestReads(t *testing.T) {
	s := serve(t)
	entry := func(n uint64, level storage.Level, fields string) storage.Entry {
		return storage.Entry{ID: id.Entry{Station: "here", Boot: 4, Sequence: n}, Level: level, Message: "<m>", Fields: []byte(fields),
			Time: time.Date(2026, 1, 2, 3, 4, 5, 60_000, time.FixedZone("", 3600))}
	}
	s.host.Add(transporttest.Data{
		Info:   host.ObjectInfo{Object: "a_b", Path: "a/b.lua", File: "b.lua", Version: 2},
		Source: host.Source{Object: "a_b", Version: 2, Hash: "00ff", Text: []byte("return '<'\n")},
		State:  []host.StateItem{{Key: "k", Value: []byte(`{"z":1,"a":"<"}`)}, {Key: "l", Value: []byte("9007199254740993")}},
		Logs: []storage.Entry{entry(1, "INFO", ""), entry(2, "ERROR",
			`{"z":[1, 2],"level":"DEBUG","entry_id":1,"message":"other","timestamp":0,"a":"<"}`)},
	})
	s.host.Add(transporttest.Data{Info: host.ObjectInfo{Object: "c", Path: "c.lua", File: "c.lua", Version: 1}})
	first := `{"entry_id":"here.4.1","timestamp":"2026-01-02T02:04:05.000060Z","level":"INFO","message":"<m>"}`
	second := `{"entry_id":"here.4.2","timestamp":"2026-01-02T02:04:05.000060Z","level":"ERROR","message":"<m>","a":"<","z":[1,2]}`
	for target, want := range map[string]string{
		"/objects":                                `{"status":"ok","objects":[{"object_id":"a_b","path":"a/b.lua","file":"b.lua","version":2},{"object_id":"c","path":"c.lua","file":"c.lua","version":1}],"count":2}`,
		"/objects?limit=1":                        `{"status":"ok","objects":[{"object_id":"a_b","path":"a/b.lua","file":"b.lua","version":2}],"count":1,"next_cursor":"a_b"}`,
		"/objects?prefix=x":                       `{"status":"ok","objects":[],"count":0}`,
		"/objects/a_b?source=true":                `{"status":"ok","object_id":"a_b","source":"return '<'\n","version":2,"hash":"00ff"}`,
		"/objects/a_b@here?source=true":           `{"status":"ok","object_id":"a_b","source":"return '<'\n","version":2,"hash":"00ff"}`,
		"/objects/a_b?state=true":                 `{"status":"ok","object_id":"a_b","state":{"k":{"z":1,"a":"<"},"l":9007199254740993}}`,
		"/objects/a_b?state=true&key=l":           `{"status":"ok","object_id":"a_b","state":{"l":9007199254740993}}`,
		"/objects/a_b?state=true&limit=1":         `{"status":"ok","object_id":"a_b","state":{"k":{"z":1,"a":"<"}},"next_cursor":"` + base64Key("k") + `"}`,
		"/objects/c?state=true":                   `{"status":"ok","object_id":"c","state":{}}`,
		"/objects/a_b?logs=true":                  `{"status":"ok","object_id":"a_b","logs":[` + second + `,` + first + `],"count":2}`,
		"/objects/a_b?logs=true&order=asc":        `{"status":"ok","object_id":"a_b","logs":[` + first + `,` + second + `],"count":2}`,
		"/objects/a_b?logs=true&level=debug":      `{"status":"ok","object_id":"a_b","logs":[],"count":0}`,
		"/objects/a_b?logs=true&level=info":       `{"status":"ok","object_id":"a_b","logs":[` + first + `],"count":1}`,
		"/objects/a_b?logs=true&limit=1":          `{"status":"ok","object_id":"a_b","logs":[` + second + `],"count":1,"next_cursor":"1"}`,
		"/objects/c?logs=true&level=INFO,warning": `{"status":"ok","object_id":"c","logs":[],"count":0}`,
	} {
		got := s.do("GET", target, "")
		if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s got %d %v", target, got.StatusCode, got.Header)
		}
		if diff := gocmp.Diff(want+"\n", got.body); diff != "" {
			t.Errorf("%s (-want +got):\n%s", target, diff)
		}
	}
}

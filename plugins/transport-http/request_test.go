package transporthttp

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestQueryMalformed(t *testing.T) {
	s := serve(t).echo()
	for _, q := range []string{"a=%", "a=%2", "a=%zz", "%g0=1", "a=1&b=%"} {
		s.do("GET", "/objects/a?"+q, "").wantError(t, 400, "bad_query")
		s.do("GET", "/objects?"+q, "").wantError(t, 400, "bad_query")
	}
	for _, q := range []string{"a=%ff", "%c3=1", "a=\xff"} {
		s.do("GET", "/objects/a?"+q, "").wantError(t, 400, "bad_query")
	}
	s.do("GET", "/objects/a?"+strings.Repeat("a&", maxFields+1), "").wantError(t, 413, "too_large")
	s.wantNoCall()
}

// TestBody: what a body becomes, by its type.
func TestBody(t *testing.T) {
	const multi = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\nü\r\nx\r\n--B--\r\n"
	form := []host.Field{{Name: "a", Value: "1"}, {Name: "b", Value: "x y"}, {Name: "a", Value: "&"}}
	s, seen := serve(t).echo(), 0
	for _, c := range []struct {
		name, contentType, body string
		want                    host.Call
	}{
		{"JSON", "application/json", `{"a":1}`, host.Call{Type: "application/json", Body: []byte(`{"a":1}`)}},
		{"JSON with charset", "Application/JSON; charset=UTF-8", `{}`, host.Call{Type: "application/json", Body: []byte(`{}`)}},
		{"other JSON", "application/problem+json", `{}`, host.Call{Type: "application/problem+json", Body: []byte(`{}`)}},
		{"JSON that is none", "application/json", `{"a"`, host.Call{Type: "application/json", Body: []byte(`{"a"`)}},
		{"form", formType, "a=1&b=x+y&a=%26", host.Call{Form: form}},
		{"form with charset", formType + "; charset=utf-8", "a=1&b=x+y&a=%26", host.Call{Form: form}},
		{"curl -d of JSON", formType, ` {"a":1}`, host.Call{Type: "application/json", Body: []byte(` {"a":1}`)}},
		{"curl -d of bad JSON", formType, `{"a":1,}`, host.Call{Type: "application/json", Body: []byte(`{"a":1,}`)}},
		{"curl -d of a JSON array", formType, `[1,2]`, host.Call{Type: "application/json", Body: []byte(`[1,2]`)}},
		{"no type, JSON array", "", "\n[1,2]", host.Call{Type: "application/json", Body: []byte("\n[1,2]")}},
		{"text that looks like JSON", "text/plain", `[1,2]`, host.Call{Type: "text/plain", Body: []byte(`[1,2]`)}},
		{"form with brackets", formType, "a[]=1", host.Call{Form: []host.Field{{Name: "a[]", Value: "1"}}}},
		{"no type, JSON", "", `{"a":1}`, host.Call{Type: "application/json", Body: []byte(`{"a":1}`)}},
		{"no type", "", "a=1", host.Call{Body: []byte("a=1")}},
		{"multipart", "multipart/form-data; boundary=B", multi, host.Call{Form: []host.Field{{Name: "a", Value: "1"}, {Name: "b", Value: "ü\r\nx"}}}},
		{"text", "text/plain; charset=latin1", "\xff", host.Call{Type: "text/plain", Body: []byte("\xff")}},
		{"bytes", "application/octet-stream", "\x00\xff", host.Call{Type: "application/octet-stream", Body: []byte("\x00\xff")}},
	} {
		var headers []string
		if c.contentType != "" {
			headers = []string{"Content-Type: " + c.contentType}
		}
		if got := s.do("POST", "/objects/a", c.body, headers...); got.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d %s", c.name, got.StatusCode, got.body)
			continue
		}
		got := s.last(&seen)
		got = host.Call{Type: got.Type, Body: got.Body, Form: got.Form}
		if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestBodyRefused(t *testing.T) {
	const file = "--B\r\nContent-Disposition: form-data; name=\"a\"; filename=\"\"\r\n\r\n1\r\n--B--\r\n"
	s := serve(t).echo()
	for _, c := range []struct {
		name, body string
		headers    []string
		status     int
		code       string
	}{
		{"no boundary", "x", []string{"Content-Type: multipart/form-data"}, 400, "bad_form"},
		{"cut multipart", file[:20], []string{"Content-Type: multipart/form-data; boundary=B"}, 400, "bad_form"},
		{"part without name", "--B\r\n\r\n1\r\n--B--\r\n", []string{"Content-Type: multipart/form-data; boundary=B"}, 400, "bad_form"},
		{"gzip", "x", []string{"Content-Encoding: gzip"}, 415, "unsupported_content_encoding"},
		{"latin-1 JSON", "{}", []string{"Content-Type: application/json; charset=latin1"}, 415, "unsupported_content_type"},
		{"no media type", "{}", []string{"Content-Type: ;;"}, 415, "unsupported_content_type"},
		{"bad form", "a=%", []string{"Content-Type: " + formType}, 400, "bad_form"},
		{"form not UTF-8", "a=%ff", []string{"Content-Type: " + formType}, 400, "bad_form"},
		{"fields", strings.Repeat("a&", maxFields+1), []string{"Content-Type: " + formType}, 413, "too_large"},
		{"length", strings.Repeat("x", 100), []string{"Content-Length: " + itoa(maxBody+1)}, 413, "too_large"},
		{"bad chunk", "zz\r\n", []string{"Transfer-Encoding: chunked"}, 400, "bad_body"},
		{"chunked", chunked(maxBody + 1), []string{"Transfer-Encoding: chunked"}, 413, "too_large"},
		{"chunked, more", chunked(2 * maxBody), []string{"Transfer-Encoding: chunked"}, 413, "too_large"},
		{"rollback", `{"action":"roll\u0062ack","version_id":1}`, []string{"Content-Type: application/json"}, 404, "no_such_object"},
		{"rollback by form", `action=x&action=rollback&version_id=1`, []string{"Content-Type: " + formType}, 404, "no_such_object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			if strings.HasPrefix(c.headers[0], "Content-Length") {
				s.raw("POST", "POST /objects/a HTTP/1.1\r\nHost: localhost\r\n"+c.headers[0]+"\r\n\r\n"+c.body).wantError(t, c.status, c.code)
				return
			}
			s.do("POST", "/objects/a", c.body, c.headers...).wantError(t, c.status, c.code)
		})
	}
	s.wantNoCall()
	got := s.do("POST", "/objects/a", chunked(maxBody), "Transfer-Encoding: chunked")
	if got.StatusCode != http.StatusOK || len(got.body) != maxBody {
		t.Errorf("a chunked body of %d bytes got %d with %d bytes", maxBody, got.StatusCode, len(got.body))
	}
}

// TestRollback: the reserved action is the station's wherever the payload names it,
// and nowhere else.
func TestRollback(t *testing.T) {
	s, seen := serve(t).echo(), 0
	const json = "Content-Type: application/json"
	for _, c := range []struct {
		method, query, body, header string
		refused                     bool
	}{
		{"POST", "action=rollback", "", json, true},
		{"POST", "action=x&action=rollback", "", json, true},
		{"POST", "action=rollback", `{"a":1}`, json, true},
		{"POST", "action=rollback", `[1]`, json, true},
		{"POST", "action=rollback", "a=1", "Content-Type: " + formType, true},
		{"POST", "action=rollback", "bytes", "Content-Type: text/plain", true},
		{"POST", "action=x", `{"action":"rollback"}`, json, true},
		{"POST", "", `{"action":"rollback"}`, "Content-Type: application/vnd.x+json", true},
		{"POST", "action=rollback&action=x", "", json, false},
		{"POST", "action=rollback", `{"action":"x"}`, json, false},
		{"POST", "action=rollback", `{"action":null}`, json, false},
		{"POST", "action=rollback", `{"action":5}`, json, false},
		{"POST", "action=rollback", "action=x", "Content-Type: " + formType, false},
		{"POST", "x=rollback", `{"x":"rollback"}`, json, false},
		{"GET", "action=rollback", "", json, false},
	} {
		got := s.do(c.method, "/objects/a?"+c.query, c.body, c.header)
		if c.refused {
			code := "bad_version" // none of them says which
			if c.body == "[1]" {
				code = "bad_json"
			}
			got.wantError(t, 400, code)
			continue
		}
		if got.StatusCode != http.StatusOK {
			t.Errorf("%s ?%s %s: got %d %s", c.method, c.query, c.body, got.StatusCode, got.body)
		}
		s.last(&seen)
	}
	if n := len(s.host.Calls("")); n != seen {
		t.Errorf("the host got %d calls, want %d", n, seen)
	}
}

// chunked gives n bytes as two chunks.
func chunked(n int) string {
	first := strconv.FormatInt(int64(n-1), 16) + "\r\n" + strings.Repeat("x", n-1) + "\r\n"
	return first + "1\r\nx\r\n0\r\n\r\n"
}

// TestBodyBudget: large bodies share a bounded amount of memory.
func TestBodyBudget(t *testing.T) {
	h := newHandler(nil, "here", nil, t.Context())
	h.bodies.Store(maxBodies - 100)
	x := exchange{handler: h, w: &discard{}}
	if err := x.hold(100); err != nil {
		t.Errorf("hold of what is left = %v", err)
	}
	if err := x.hold(1); err == nil {
		t.Error("hold of more than there is = nil")
	}
	x.end()
	if got := h.bodies.Load(); got != maxBodies-100 {
		t.Errorf("%d bytes are held after the end, want %d", got, maxBodies-100)
	}
}

// TestRequestHeaders: a script sees all headers but credentials and what
// belongs to the connection.
func TestRequestHeaders(t *testing.T) {
	s, seen := serve(t).echo(), 0
	s.do("GET", "/objects/a", "", "x-lower: 1", "Authorization: Bearer t", "Cookie: a=b", "Proxy-Authorization: x",
		"Connection: close", "Keep-Alive: 1", "X-Latin: M\xfcnchen", "User-Agent: t")
	want := []host.Field{{Name: "Host", Value: "localhost"}, {Name: "User-Agent", Value: "t"}, {Name: "X-Latin", Value: "München"}, {Name: "X-Lower", Value: "1"}}
	got := s.last(&seen)
	byName := cmpopts.SortSlices(func(a, b host.Field) bool { return a.Name < b.Name })
	if diff := cmp.Diff(want, got.Header, byName); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if got.Path != "/objects/a" {
		t.Errorf("path %q", got.Path)
	}
}

// TestFlags: a flag counts with the value true alone, and a parameter that it does
// not know is refused, never taken for one of the script.
func TestFlags(t *testing.T) {
	s, seen := serve(t).echo(), 0
	for _, q := range []string{"source=true&x=1", "versions=true&x=1", "version=1&x=1", "source=true&key=1", "state=true&order=asc", "logs=true&last=1", "logs=true&entry_id=x", "test=true&name=x", "diff=1..2&x=1", "metadata=true&x=1", "files=true&x=1", "file=x&prefix=x", "status=true&x=1"} {
		s.do("GET", "/objects/a?"+q, "").wantError(t, 400, "unknown_parameter")
	}
	got := s.do("GET", "/objects/a?state=true&q=x&user=eve&q=y", "")
	if !strings.Contains(got.body, `\"q\", \"user\";`) {
		t.Errorf("the error does not name the parameters: %s", got.body)
	}
	s.do("GET", "/objects?x=1", "").wantError(t, 400, "unknown_parameter")
	for _, q := range []string{
		"source=true&logs=true", "version=1&state=true", "state=true&key=k&prefix=p", "logs=true&limit=0", "logs=true&limit=1001",
		"logs=true&limit=x", "logs=true&level=LOUD", "logs=true&level=", "logs=true&order=up",
		"logs=true&since=", "logs=true&since=yesterday", "logs=true&until=2026-01-31", "logs=true&until=-1", "logs=true&since=1.", "logs=true&since=0x1",
		"logs=true&since=1969-12-31T23:59:59Z", "logs=true&until=253402300800", "logs=true&since=1.0000000001", "state=true&limit=-1",
	} {
		s.do("GET", "/objects/a?"+q, "").wantError(t, 400, "bad_parameter")
	}
	for _, method := range []string{"PUT", "DELETE"} {
		s.do(method, "/objects/a?state=true", "1").wantError(t, 400, "bad_parameter")
		s.do(method, "/objects/a?state=true&key=k&prefix=k", "1").wantError(t, 400, "unknown_parameter")
		s.do(method, "/objects/a@there?state=true&key=k", "1").wantError(t, 404, "no_such_station")
		s.do(method, "/objects/a@there?file=f", "1").wantError(t, 404, "no_such_station")
	}
	s.do("GET", "/objects/a?files=true&cursor=*", "").wantError(t, 400, "bad_cursor")
	s.do("GET", "/objects?cursor=A", "").wantError(t, 400, "bad_cursor")
	s.do("GET", "/objects/a?state=true&cursor=*", "").wantError(t, 400, "bad_cursor")
	s.do("GET", "/objects/a@there?source=true", "").wantError(t, 404, "no_such_station")
	s.wantNoCall()

	s.do("GET", "/objects/a?&source=1&&logs=TRUE&state=true&state=no&prefix=x", "")
	want := []host.Field{{Name: "source", Value: "1"}, {Name: "logs", Value: "TRUE"}, {Name: "state", Value: "true"}, {Name: "state", Value: "no"}, {Name: "prefix", Value: "x"}}
	if diff := cmp.Diff(want, s.last(&seen).Query); diff != "" {
		t.Errorf("flags without their value (-want +got):\n%s", diff)
	}
}

func FuzzParseFields(f *testing.F) {
	for _, s := range []string{"", "a=1&b=2", "a=%41+b&&=&c", "%", "a;b", "a=%ff", "ключ=✓"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		fields, err := parseFields(raw, "query")
		if err != nil {
			return
		}
		again := make([]string, len(fields))
		for i, g := range fields {
			if !utf8.ValidString(g.Name) || !utf8.ValidString(g.Value) {
				t.Fatalf("%q gave %q, which is not UTF-8", raw, g)
			}
			again[i] = url.QueryEscape(g.Name) + "=" + url.QueryEscape(g.Value)
		}
		back, err := parseFields(strings.Join(again, "&"), "query")
		if diff := cmp.Diff(fields, back); err != nil || diff != "" {
			t.Fatalf("%q does not survive encoding: %v\n%s", raw, err, diff)
		}
	})
}

// FuzzTarget: whatever the target, the answer is the station's own, and only
// well-formed ids reach the host.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/objects/a", "/objects/a@b?x=1", "/objects?limit=1", "/objects/%2e%2e?source=true", "//", "*", "/objects/a?state=true&key=%00"} {
		f.Add("GET", s, "")
	}
	f.Add("POST", "/objects/a", `{"action":"rollback"}`)
	f.Fuzz(func(t *testing.T, method, target, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		status, calls := handle(t, method, u, body)
		if status < 200 || status > 599 {
			t.Errorf("%s %q gave %d", method, target, status)
		}
		for _, c := range calls {
			if _, err := id.ParseObject(string(c.Object)); err != nil {
				t.Errorf("%s %q reached the host as %q", method, target, c.Object)
			}
		}
	})
}

package transporthttp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// withFiles serves an object that has data.
func withFiles(t *testing.T) *served {
	t.Helper()
	s := serve(t)
	s.host.Add(transporttest.Data{Info: host.ObjectInfo{Object: "a"}})
	return s
}

// A file of an operator is sent as one of a script: what could run in a browser is
// saved, and has no origin.
func TestFileOfAnObject(t *testing.T) {
	s := withFiles(t)
	for _, c := range []struct{ name, media, as, attachment, policy string }{
		{"evil.svg", "image/svg+xml", "image/svg+xml", "attachment; filename=evil.svg", sandbox[0]},
		{"evil.html", "text/html", "text/html", "attachment; filename=evil.html", sandbox[0]},
		{"evil.xml", "application/xml", "application/xml", "attachment; filename=evil.xml", sandbox[0]},
		{"two.html", "image/png, text/html", "image/png, text/html", "attachment; filename=two.html", sandbox[0]},
		{"a.png", "image/png", "image/png", "", ""},
		{"none.png", "", "application/octet-stream", "attachment; filename=none.png", ""},
		{"a b.txt", "text/plain; charset=utf-8", "text/plain; charset=utf-8", `attachment; filename="a b.txt"`, ""},
	} {
		f := s.host.AddFile("a", c.name, c.media, []byte("<script>1</script>"))
		for _, method := range []string{"GET", "HEAD"} {
			got := s.do(method, "/objects/a?file="+strings.ReplaceAll(c.name, " ", "%20"), "")
			want := []string{c.as, c.attachment, c.policy, "nosniff", `"` + f.Hash + `"`, "bytes", "18"}
			var have []string
			for _, name := range []string{"Content-Type", "Content-Disposition", "Content-Security-Policy", "X-Content-Type-Options", "Etag", "Accept-Ranges", "Content-Length"} {
				have = append(have, got.Header.Get(name))
			}
			if d := cmp.Diff(want, have); got.StatusCode != 200 || d != "" || (got.body == "") != (method == "HEAD") {
				t.Errorf("%s %s: %d %q (-want +got):\n%s", method, c.name, got.StatusCode, got.body, d)
			}
		}
	}
	hash := storage.Hash([]byte("<script>1</script>"))
	for _, c := range []struct {
		header string
		status int
		code   string
		body   string
	}{
		{"Range: bytes=1-6", 206, "", "script"}, {"Range: bytes=-9", 206, "", "</script>"}, {"Range: bytes=18-", 416, "bad_range", ""},
		{"Range: bytes=0-1,3-4", 200, "", "<script>1</script>"}, {`If-None-Match: "` + hash + `"`, 304, "", ""},
		{`If-Match: "x"`, 412, "precondition_failed", ""}, {`If-Match: "` + hash + `"`, 200, "", "<script>1</script>"},
	} {
		got := s.do("GET", "/objects/a?file=a.png", "", c.header)
		if c.code != "" {
			got.wantError(t, c.status, c.code)
			continue
		}
		if got.StatusCode != c.status || got.body != c.body {
			t.Errorf("%s: %d %q, want %d %q", c.header, got.StatusCode, got.body, c.status, c.body)
		}
	}
	s.do("GET", "/objects/a?file=none", "").wantError(t, 404, "no_such_file")
	s.do("GET", "/objects/a?file=", "").wantError(t, 400, "bad_file_name")
	s.do("GET", "/objects/a?file=x/../../y", "").wantError(t, 400, "bad_file_name")
	s.wantNoCall()
}

// What is put is what was sent, or nothing.
func TestPutFile(t *testing.T) {
	s := withFiles(t)
	put := func(body string, header ...string) answer { return s.do("PUT", "/objects/a?file=f", body, header...) }
	for header, media := range map[string]string{
		"Content-Type: text/plain; charset=latin1": "text/plain; charset=latin1", "Content-Type: application/json": "application/json",
		"Content-Type: application/x-www-form-urlencoded": "", "X-None: 1": "",
	} {
		body := `{"a": \xff`
		if got := put(body, header); got.StatusCode != 200 && got.StatusCode != 201 {
			t.Errorf("%s: %d %s", header, got.StatusCode, got.body)
		}
		want := media
		if want == "" {
			want = "application/octet-stream"
		}
		if got := s.do("GET", "/objects/a?file=f", ""); got.body != body || got.Header.Get("Content-Type") != want {
			t.Errorf("%s: is sent as %q %q", header, got.Header.Get("Content-Type"), got.body)
		}
	}
	before := s.do("GET", "/objects/a?files=true", "").body
	for _, c := range []struct {
		header string
		status int
		code   string
	}{
		{multiPart, 415, "unsupported_content_type"}, {"Content-Type: text", 415, "unsupported_content_type"}, {"Content-Type: a/b\xff", 415, "unsupported_content_type"},
		{"Content-Encoding: gzip", 415, "unsupported_content_encoding"}, {"Content-Range: bytes 0-1/9", 400, "bad_body"},
		{`If-None-Match: "x"`, 400, "bad_if_match"}, {`If-Match: "x", "y"`, 400, "bad_if_match"}, {`If-Match: "*"`, 400, "bad_if_match"},
		{`If-Match: "x"`, 412, "precondition_failed"}, {"If-None-Match: *", 412, "precondition_failed"},
	} {
		put("no", c.header).wantError(t, c.status, c.code)
	}
	for _, header := range []string{`If-Match: "x"`, "If-None-Match: *"} {
		s.do("PUT", "/objects/a?state=true&key=k", "1", header).wantError(t, 400, "bad_if_match")
		s.do("DELETE", "/objects/a?state=true&key=k", "", header).wantError(t, 400, "bad_if_match")
		s.do("POST", "/objects/a", `{"action":"rollback","version_id":1}`, header, "Content-Type: application/json").wantError(t, 400, "bad_if_match")
	}
	s.do("PUT", "/objects/a?source=true", `{"code":"x"}`, "If-None-Match: *").wantError(t, 400, "bad_if_match")
	for _, target := range []string{"/objects/a?export=true", "/openapi.json"} {
		s.raw("GET", "GET "+target+" HTTP/1.0\r\nHost: localhost\r\n\r\n").wantError(t, 400, "bad_protocol")
	}
	s.do("PUT", "/objects/none?file=f", "x").wantError(t, 404, "no_such_object")
	s.do("DELETE", "/objects/a?file=none", "").wantError(t, 404, "no_such_file")
	s.do("DELETE", "/objects/a?file=f", "", `If-Match: "x"`).wantError(t, 412, "precondition_failed")
	if after := s.do("GET", "/objects/a?files=true", "").body; after != before {
		t.Errorf("what was refused changed the files from %s to %s", before, after)
	}
	if got := s.do("DELETE", "/objects/a?file=f", "", "If-Match: *", "X-Request-Id: op"); got.StatusCode != 200 {
		t.Errorf("DELETE: %d %s", got.StatusCode, got.body)
	}
	changes := s.host.Changes()
	last, ok := changes[len(changes)-1].(host.FileDeletion)
	if !ok || last.RequestID != "op" || last.IfMatch != host.AnyFile {
		t.Errorf("the host got %+v", changes[len(changes)-1])
	}
	s.wantNoCall()
}

// A body that ends early is no file, in both of its forms.
func TestPutFileCutOff(t *testing.T) {
	for name, text := range map[string]string{
		"short of its length": "Content-Length: 100\r\n\r\nonly this",
		"without its end":     "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"of bad chunks":       "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
	} {
		s := withFiles(t)
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(conn, "PUT /objects/a?file=f HTTP/1.1\r\nHost: localhost\r\n"+text)
		if err = errors.Join(err, conn.(*net.TCPConn).CloseWrite()); err != nil {
			t.Fatal(err)
		}
		got, _ := readAnswer(t, conn, "PUT")
		if got.StatusCode != 400 || !strings.Contains(got.body, `"code":"bad_body"`) {
			t.Errorf("a body %s: %d %s", name, got.StatusCode, got.body)
		}
		_ = conn.Close()
		s.do("GET", "/objects/a?file=f", "").wantError(t, 404, "no_such_file")
	}
}

// A client must keep up the rate, and may then take as long as the file takes.
func TestPutFileSlow(t *testing.T) {
	inTime(t, func(t *testing.T, fake *transporttest.Host, dial func() net.Conn, _ func() time.Duration) {
		fake.Add(transporttest.Data{Info: host.ObjectInfo{Object: "a"}})
		silent := dial()
		defer func() { _ = silent.Close() }()
		_, _ = io.WriteString(silent, "PUT /objects/a?file=silent HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabc")
		got, took := readAnswer(t, silent, "PUT")
		got.wantError(t, 408, "body_timeout")
		if took < graceTime || took > graceTime+time.Second {
			t.Errorf("a silent body was given %v, want about %v", took, graceTime)
		}
		steady := dial()
		defer func() { _ = steady.Close() }()
		go func() {
			_, _ = io.WriteString(steady, "PUT /objects/a?file=steady HTTP/1.1\r\nHost: localhost\r\nContent-Length: "+itoa(100*minRate)+"\r\n\r\n")
			for range 100 {
				time.Sleep(time.Second)
				_, _ = io.WriteString(steady, strings.Repeat("x", minRate))
			}
		}()
		if got, _ := readAnswer(t, steady, "PUT"); got.StatusCode != http.StatusCreated || !strings.Contains(got.body, `"size":`+itoa(100*minRate)) {
			t.Errorf("a steady body got %d %s", got.StatusCode, got.body)
		}
		page, err := fake.Files(t.Context(), host.FilesQuery{Object: "a"})
		if err != nil || len(page.Files) != 1 {
			t.Errorf("the files are %v, %v", page.Files, err)
		}
	})
}

// silentHost takes no byte of a file, and gives no answer.
type silentHost struct{ host.Host }

func (silentHost) PutFile(ctx context.Context, _ host.NewFile, _ io.Reader) (host.StoredFile, error) {
	<-ctx.Done()
	return host.StoredFile{}, errs.Wrap(errs.Unavailable, "test", ctx.Err(), "The file was given up.")
}

// A host that does not answer is given up after the time of a call.
func TestPutFileOfASilentHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(slog.New(slog.DiscardHandler), "here", silentHost{transporttest.NewHost()}, t.Context())
		w, began := httptest.NewRecorder(), time.Now()
		h.ServeHTTP(w, &http.Request{Method: "PUT", URL: &url.URL{Path: "/objects/a", RawQuery: "file=f"}, Host: "localhost", Header: http.Header{},
			Body: io.NopCloser(strings.NewReader("x")), ContentLength: 1})
		if took := time.Since(began); w.Code != 503 || took != callTime {
			t.Errorf("got %d after %v, want 503 after %v", w.Code, took, callTime)
		}
	})
}

// A value is JSON whatever its type says, but for types that cannot be meant so.
func TestPutState(t *testing.T) {
	s := withFiles(t)
	put := func(body string, header ...string) answer {
		return s.do("PUT", "/objects/a?state=true&key=k%20", body, header...)
	}
	for _, header := range []string{"X: 1", "Content-Type: application/json", "Content-Type: text/plain", "Content-Type: application/x-www-form-urlencoded", "Content-Type: application/ld+json"} {
		if got := put(`"a=1&b"`, header, "X-Request-Id: op"); got.StatusCode != 200 {
			t.Errorf("%s: %d %s", header, got.StatusCode, got.body)
		}
	}
	want := host.StateChange{Object: "a", Key: "k ", Value: []byte(`"a=1&b"`), RequestID: "op"}
	for _, got := range s.host.Changes() {
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
	put("1", multiPart).wantError(t, 415, "unsupported_content_type")
	put("1", "Content-Type: image/png").wantError(t, 415, "unsupported_content_type")
	put("1", "Content-Encoding: gzip").wantError(t, 415, "unsupported_content_encoding")
	put(strings.Repeat(" ", maxBody+1)).wantError(t, 413, "too_large")
	if n := len(s.host.Changes()); n != 5 {
		t.Errorf("%d changes reached the host, want 5", n)
	}
	s.wantNoCall()
}

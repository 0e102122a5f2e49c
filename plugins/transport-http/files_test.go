package transporthttp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
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
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// formPart writes one part of a form with the boundary B.
func formPart(disposition, contentType, content string) string {
	head := "--B\r\nContent-Disposition: form-data; " + disposition + "\r\n"
	if contentType != "" {
		head += "Content-Type: " + contentType + "\r\n"
	}
	return head + "\r\n" + content + "\r\n"
}

const (
	formEnd   = "--B--\r\n"
	multiPart = "Content-Type: multipart/form-data; boundary=B"
)

// Files of a form reach the host as they arrive, its fields the call.
func TestUploads(t *testing.T) {
	s := serve(t)
	seen := 0
	s.host.Answer("a", transporttest.Answer{Result: host.Result{Status: 204}})
	body := formPart(`name="f"`, "", "1") + formPart(`name="doc"; filename="C:\\dir\\ü.txt"`, "text/plain; charset=x", "one\r\n--b") +
		formPart(`name="none"; filename=""`, "application/octet-stream", "") + formPart(`name="doc"; filename="/x/y"`, "", "") +
		formPart(`name="f"`, "", "2") + formPart(`name="u"; filename=""`, "", "x") + formEnd + "epilogue"
	if got := s.do("POST", "/objects/a", body, multiPart); got.StatusCode != 204 {
		t.Fatalf("got %d %s", got.StatusCode, got.body)
	}
	call := s.last(&seen)
	want := host.Call{Form: []host.Field{{Name: "f", Value: "1"}, {Name: "f", Value: "2"}}, Uploads: []host.Uploaded{
		{Field: "doc", Name: "ü.txt", Type: "text/plain; charset=x", Size: 8, Upload: "1"},
		{Field: "doc", Name: "y", Upload: "2"}, {Field: "u", Size: 1, Upload: "3"},
	}}
	if diff := cmp.Diff(want, host.Call{Form: call.Form, Uploads: call.Uploads, Type: call.Type, Body: call.Body}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for upload, want := range map[string]string{"1": "one\r\n--b", "2": "", "3": "x"} {
		if b, ok := s.host.Uploaded(upload); !ok || string(b) != want {
			t.Errorf("upload %s is %q, want %q", upload, b, want)
		}
	}
}

// A form that is refused half-way leaves no upload and makes no call.
func TestUploadsRefused(t *testing.T) {
	file := formPart(`name="a"; filename="a"`, "text/plain", strings.Repeat("x", 100_000))
	for name, c := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"cut in a file":         {file + file[:1000], 400, "bad_form"},
		"cut between parts":     {file, 400, "bad_form"},
		"cut behind a boundary": {file + "--B", 400, "bad_form"},
		"bad part":              {file + "--B\r\n\r\n1\r\n--B--\r\n", 400, "bad_form"},
		"field not UTF-8":       {file + formPart(`name="b"`, "", "\xff") + formEnd, 400, "bad_form"},
		"type that is none":     {file + formPart(`name="b"; filename="b"`, "text", "") + formEnd, 400, "bad_form"},
		"name not UTF-8":        {file + formPart("name=\"b\"; filename=\"\xff\"", "", "x") + formEnd, 400, "bad_form"},
		"name too long":         {file + formPart(`name="b"; filename="`+strings.Repeat("b", maxName+1)+`"`, "", "x") + formEnd, 400, "bad_form"},
		"too many files":        {strings.Repeat(formPart(`name="b"; filename="b"`, "", "x"), maxUploads+1) + formEnd, 413, "too_large"},
		"too many fields":       {file + strings.Repeat(formPart(`name="b"`, "", ""), maxFields+1) + formEnd, 413, "too_large"},
		"fields too large":      {file + formPart(`name="b"`, "", strings.Repeat("x", maxBody)) + formEnd, 413, "too_large"},
		"headers too large":     {file + formPart(`name="b"`+strings.Repeat("\r\nX: "+strings.Repeat("x", 4000), 2500), "", "") + formEnd, 413, "too_large"},
		"end too large":         {file + formEnd + strings.Repeat("x", maxBody), 413, "too_large"},
		"rollback":              {file + formPart(`name="action"`, "", "rollback") + formEnd, 400, "bad_version"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t).echo()
			s.do("POST", "/objects/a", c.body, multiPart).wantError(t, c.status, c.code)
			s.wantNoCall()
			if n := s.host.Uploads(); n > 0 {
				t.Errorf("%d uploads are left", n)
			}
		})
	}
	s := serve(t).echo()
	most := strings.Repeat(formPart(`name="b"; filename="b"`, "", "x"), maxUploads) + formPart(`name="b"`, "", strings.Repeat("x", maxBody-64<<10)) + formEnd
	if got := s.do("POST", "/objects/a", most, multiPart); got.StatusCode != 200 {
		t.Errorf("a form just below the limits got %d %s", got.StatusCode, got.body)
	}
}

// Nothing is read of a file that no call could take, and no more of one that is
// too large.
func TestUploadNotRead(t *testing.T) {
	s := serve(t)
	s.do("POST", "/objects/none", formPart(`name="a"; filename="a"`, "", strings.Repeat("x", 1<<20))+formEnd, multiPart).wantError(t, 404, "no_such_object")
	if n := s.host.UploadBytes(); n > 0 {
		t.Errorf("%d bytes were read for an object that does not exist", n)
	}
	s.echo()
	large := chunked(60 << 20)
	head := formPart(`name="a"; filename="a"`, "", "")
	s.do("POST", "/objects/a", "8\r\n"+head[:8]+"\r\n"+chunk(head[8:len(head)-2])+large, multiPart, "Transfer-Encoding: chunked").wantError(t, 413, "file_too_large")
	if n := s.host.UploadBytes(); n < 20<<20 || n > 21<<20 {
		t.Errorf("%d bytes were read of a file that is too large", n)
	}
	s.wantNoCall()
}

func chunk(s string) string {
	return strings.ToLower(strings.TrimLeft(hex(len(s)), "0")) + "\r\n" + s + "\r\n"
}

func hex(n int) string {
	const digits = "0123456789abcdef"
	var b []byte
	for ; n > 0; n /= 16 {
		b = append([]byte{digits[n%16]}, b...)
	}
	return string(b)
}

// counting is a host that counts what it holds of a file at once.
type counting struct {
	host.Host
	largest int   // of one Read
	total   int64 // of all
}

func (c *counting) Upload(_ context.Context, _ host.UploadFor, r io.Reader) (storage.Upload, error) {
	for b := make([]byte, 1<<20); ; {
		n, err := r.Read(b)
		c.largest, c.total = max(c.largest, n), c.total+int64(n)
		if err == io.EOF {
			return storage.Upload{ID: "u", Size: c.total}, nil
		}
		if err != nil {
			return storage.Upload{}, err
		}
	}
}

// A file passes through in pieces: nothing takes memory that grows with it.
func TestUploadIsNotHeld(t *testing.T) {
	fake := transporttest.NewHost()
	fake.Answer("a", transporttest.Answer{Result: host.Result{Status: 204}})
	c := &counting{Host: fake}
	h := newHandler(slog.New(slog.DiscardHandler), "here", c, t.Context())
	const size = 64 << 20
	head := formPart(`name="a"; filename="a"`, "", "")
	body := io.MultiReader(strings.NewReader(head[:len(head)-2]), io.LimitReader(zeros{}, size), strings.NewReader("\r\n"+formEnd))
	r := &http.Request{Method: "POST", URL: &url.URL{Path: "/objects/a"}, Host: "localhost", Body: io.NopCloser(body), ContentLength: -1,
		Header: http.Header{"Content-Type": {"multipart/form-data; boundary=B"}}}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 204 || c.total != size || c.largest > 64<<10 {
		t.Errorf("got %d; %d bytes in pieces of at most %d, want %d in pieces of 64 KiB", w.Code, c.total, c.largest, size)
	}
	if held := h.bodies.Load(); held != 0 {
		t.Errorf("%d bytes are still held", held)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// stuck is a host that neither reads nor answers until it is given up.
type stuck struct{ host.Host }

func (stuck) Upload(ctx context.Context, _ host.UploadFor, _ io.Reader) (storage.Upload, error) {
	<-ctx.Done()
	return storage.Upload{}, errs.Wrap(errs.Unavailable, "", ctx.Err(), "Given up.")
}

func (stuck) ReadFile(ctx context.Context, _ id.Object, _, _ string, _ int64) (io.ReadCloser, error) {
	<-ctx.Done()
	return nil, errs.Wrap(errs.Unavailable, "", ctx.Err(), "Given up.")
}

// A host that does not answer is given up after callTime.
func TestStuckHost(t *testing.T) {
	for _, method := range []string{"POST", "GET"} {
		synctest.Test(t, func(t *testing.T) {
			fake := transporttest.NewHost()
			fake.Answer("a", transporttest.Answer{Result: host.Result{Status: 200, File: &host.File{Name: "f", Size: 1, Hash: "h"}}})
			h := newHandler(slog.New(slog.DiscardHandler), "here", stuck{fake}, t.Context())
			body := formPart(`name="a"; filename="a"`, "", "x") + formEnd
			r := &http.Request{Method: method, URL: &url.URL{Path: "/objects/a"}, Host: "localhost", Header: http.Header{}}
			if method == "POST" {
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
				r.Header.Set("Content-Type", "multipart/form-data; boundary=B")
			}
			w, began := httptest.NewRecorder(), time.Now()
			h.ServeHTTP(w, r)
			if took := time.Since(began); w.Code != 503 || took != callTime {
				t.Errorf("%s got %d after %v, want 503 after %v", method, w.Code, took, callTime)
			}
		})
	}
}

// file makes the object "a" answer with a file.
func (s *served) file(media, content string, status int, headers ...host.Field) host.File {
	f := s.host.AddFile("a", "häß \".txt", media, []byte(content))
	f.Time = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	s.host.Answer("a", transporttest.Answer{Result: host.Result{Status: status, Header: headers, File: &f}})
	return f
}

func TestFileAnswers(t *testing.T) {
	s := serve(t)
	f := s.file("text/plain", "0123456789", 200)
	const modified = "Fri, 02 Jan 2026 03:04:05 GMT"
	etag := `"` + f.Hash + `"`
	for name, c := range map[string]struct {
		method  string
		headers []string
		status  int
		body    string
		want    map[string]string
	}{
		"whole": {"GET", nil, 200, "0123456789", map[string]string{"Content-Length": "10", "Etag": etag, "Accept-Ranges": "bytes",
			"Last-Modified": modified, "Content-Type": "text/plain", "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff",
			"Content-Disposition": "attachment; filename*=utf-8''h%C3%A4%C3%9F%20%22.txt", "Content-Security-Policy": ""}},
		"HEAD":             {"HEAD", nil, 200, "", map[string]string{"Content-Length": "10", "Etag": etag}},
		"first bytes":      {"GET", []string{"Range: bytes=0-3"}, 206, "0123", map[string]string{"Content-Range": "bytes 0-3/10", "Content-Length": "4"}},
		"last bytes":       {"GET", []string{"Range: bytes=-3"}, 206, "789", map[string]string{"Content-Range": "bytes 7-9/10"}},
		"from the middle":  {"GET", []string{"Range: bytes=5-"}, 206, "56789", nil},
		"several ranges":   {"GET", []string{"Range: bytes=0-1,5-6"}, 200, "0123456789", map[string]string{"Content-Type": "text/plain"}},
		"not modified":     {"GET", []string{"If-None-Match: " + etag}, 304, "", map[string]string{"Etag": etag, "Content-Length": ""}},
		"other":            {"GET", []string{`If-None-Match: "x"`}, 200, "0123456789", nil},
		"if range":         {"GET", []string{"Range: bytes=0-3", "If-Range: " + etag}, 206, "0123", nil},
		"if another range": {"GET", []string{"Range: bytes=0-3", `If-Range: "x"`}, 200, "0123456789", nil},
		"since":            {"GET", []string{"If-Modified-Since: " + modified}, 304, "", nil},
		"if match":         {"GET", []string{"If-Match: " + etag}, 200, "0123456789", nil},
		"POST":             {"POST", []string{"Range: bytes=0-3", "If-None-Match: *"}, 200, "0123456789", map[string]string{"Content-Length": "10"}},
	} {
		got := s.do(c.method, "/objects/a", "", c.headers...)
		if got.StatusCode != c.status || got.body != c.body {
			t.Errorf("%s: got %d %q, want %d %q", name, got.StatusCode, got.body, c.status, c.body)
		}
		for header, want := range c.want {
			if got.Header.Get(header) != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got.Header.Get(header), want)
			}
		}
	}
	bad := s.do("GET", "/objects/a", "", "Range: bytes=10-")
	bad.wantError(t, 416, "bad_range")
	if bad.Header.Get("Content-Range") != "bytes */10" || bad.Header.Get("Etag") != "" || bad.Header.Get("Content-Disposition") != "" {
		t.Errorf("a bad range has the headers %v", bad.Header)
	}
	s.do("GET", "/objects/a", "", `If-Match: "x"`).wantError(t, 412, "precondition_failed")
	s.do("HEAD", "/objects/a", "", "Range: bytes=10-").wantError(t, 416, "bad_range")

	s.file("", "", 200)
	if got := s.do("GET", "/objects/a", ""); got.StatusCode != 200 || got.body != "" || got.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("an empty file gives %d %q %v", got.StatusCode, got.body, got.Header)
	}
	s.file("text/plain", "none here", 404)
	if got := s.do("GET", "/objects/a", "", "Range: bytes=0-1", "If-None-Match: *"); got.StatusCode != 404 || got.body != "none here" {
		t.Errorf("a file with the status 404 gives %d %q", got.StatusCode, got.body)
	}
}

// What a browser would run is sandboxed and saved; raster images are shown.
func TestFileDisposition(t *testing.T) {
	s := serve(t)
	for media, want := range map[string][2]bool{ // sandboxed, saved
		"text/html": {true, true}, "image/svg+xml": {true, true}, "application/pdf": {true, true}, "text/plain": {false, true},
		"image/png": {}, "image/jpeg": {}, "image/gif": {}, "image/webp": {}, "image/png, text/html": {true, true},
	} {
		s.file(media, "<script>", 200)
		h := s.do("GET", "/objects/a", "").Header
		if (h.Get("Content-Security-Policy") != "") != want[0] || strings.HasPrefix(h.Get("Content-Disposition"), "attachment") != want[1] {
			t.Errorf("%s: %v", media, h)
		}
	}
	s.file("text/html", "<p>", 200, field("Content-Disposition", "inline"), field("Cache-Control", "max-age=9"), field("Etag", "mine"))
	h := s.do("GET", "/objects/a", "").Header
	if h.Get("Content-Disposition") != "inline" || h.Get("Cache-Control") != "max-age=9" || h.Get("Content-Security-Policy") == "" || h.Get("Etag") == "mine" {
		t.Errorf("with headers of the script: %v", h)
	}
	s.file("image/png", "<p>", 200, field("Content-Type", "text/html"))
	if h := s.do("GET", "/objects/a", "").Header; h.Get("Content-Type") != "text/html" || h.Get("Content-Security-Policy") == "" || h.Get("Content-Disposition") == "" {
		t.Errorf("with a type of the script: %v", h)
	}
}

// A file that was replaced is an error, and none of its headers is sent.
func TestFileChanged(t *testing.T) {
	s := serve(t)
	s.file("text/html", "old", 200, field("X-Mine", "1"))
	s.host.AddFile("a", "häß \".txt", "text/html", []byte("new"))
	for _, header := range []string{"X: y", "Range: bytes=0-1"} {
		got := s.do("GET", "/objects/a", "", header)
		got.wantError(t, 503, "file_changed")
		for _, name := range []string{"Etag", "Content-Range", "Content-Disposition", "Content-Security-Policy", "Last-Modified", "Accept-Ranges", "X-Mine"} {
			if got.Header.Get(name) != "" {
				t.Errorf("the error has the header %s: %s", name, got.Header.Get(name))
			}
		}
	}
}

// breaks gives half of a file, then an error.
type breaks struct{ host.Host }

func (b breaks) ReadFile(context.Context, id.Object, string, string, int64) (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(bytes.NewReader(make([]byte, 100_000)), failing{})), nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the disk is gone") }

// Half a file never looks whole.
func TestFileThatBreaks(t *testing.T) {
	fake := transporttest.NewHost()
	s := serveOn(t, fake, breaks{fake})
	for name, headers := range map[string][]host.Field{
		"with its length": nil, "without": {{Name: "Content-Encoding", Value: "br"}}, // where net/http promises none
	} {
		s.file("image/png", strings.Repeat("x", 200_000), 200, headers...)
		res, err := http.Get("http://" + s.addr + "/objects/a")
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(res.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %d bytes came of half a file, with the error %v", name, len(b), err)
		}
		_ = res.Body.Close() // it was read
	}
}

// slowReader is a client that pauses at each write.
type slowReader struct {
	*httptest.ResponseRecorder
	pause time.Duration
}

func (s slowReader) Write(b []byte) (int, error) {
	time.Sleep(s.pause) // on synctest's clock
	return s.ResponseRecorder.Write(b)
}

// A client that reads too slowly loses the file, one that keeps up the rate gets it.
func TestSlowReaderOfAFile(t *testing.T) {
	const size = 4 << 20 // 128 pieces of 32 KiB
	for pause, whole := range map[time.Duration]bool{900 * time.Millisecond: true, 1200 * time.Millisecond: false} {
		synctest.Test(t, func(t *testing.T) {
			fake := transporttest.NewHost()
			f := fake.AddFile("a", "f", "image/png", make([]byte, size))
			fake.Answer("a", transporttest.Answer{Result: host.Result{Status: 200, File: &f}})
			h := newHandler(slog.New(slog.DiscardHandler), "here", fake, t.Context())
			w := slowReader{httptest.NewRecorder(), pause}
			func() {
				defer func() {
					if p := recover(); (p == nil) != whole || p != nil && p != http.ErrAbortHandler { //nolint:errorlint // the value itself
						t.Errorf("at 32 KiB in %v the connection ended with %v", pause, p)
					}
				}()
				h.ServeHTTP(w, &http.Request{Method: "GET", URL: &url.URL{Path: "/objects/a"}, Host: "localhost", Header: http.Header{}})
			}()
			if n := w.Body.Len(); (n == size) != whole {
				t.Errorf("at 32 KiB in %v the client got %d of %d bytes", pause, n, size)
			}
		})
	}
}

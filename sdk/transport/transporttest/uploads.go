package transporttest

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

// Part is one file of a form.
type Part struct {
	Field   string
	Name    string
	Type    string // media type
	Content []byte
}

// checkUploads: the files of a form reach the host byte for byte, and the call
// names them in their order.
func checkUploads(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Answer("u", Answer{Result: host.Result{Status: 200}})
	parts := []Part{
		{"doc", "a b.txt", "text/plain", []byte("one\r\n--\x00\xff")}, {"empty", "ü.bin", "application/x-test", nil},
		{"doc", "9 MiB", "image/png", allBytes(36 << 10)}, {"dir", `C:\dir\sub/c.txt`, "text/plain", []byte("c")},
	}
	form := []host.Field{{Name: "f", Value: "1"}, {Name: "ü", Value: "x\r\ny"}, {Name: "f", Value: "2"}}
	if res := do(t, c, Request{Object: "u", Method: "POST", Form: form, Files: parts}); res.Status != 200 {
		t.Fatalf("got %d %s %s", res.Status, res.Code, res.Message)
	}
	call := only(t, kernel, "u")
	if diff := cmp.Diff(form, call.Form); diff != "" {
		t.Errorf("the fields reached the host changed (-sent +got):\n%s", diff)
	}
	if len(call.Uploads) != len(parts) {
		t.Fatalf("the call has the uploads %+v, want %d", call.Uploads, len(parts))
	}
	for i, u := range call.Uploads {
		p := parts[i]
		if p.Field == "dir" {
			p.Name = "c.txt" // the client's folders are its own
		}
		content, kept := kernel.Uploaded(u.Upload)
		if u.Field != p.Field || u.Name != p.Name || u.Type != p.Type || u.Size != int64(len(p.Content)) {
			t.Errorf("the upload %+v stands for %q %q of type %q with %d bytes", u, p.Field, p.Name, p.Type, len(p.Content))
		}
		if !kept || !bytes.Equal(content, p.Content) {
			t.Errorf("of %q %d bytes reached the host, want %d, or they are others", p.Name, len(content), len(p.Content))
		}
	}
}

// checkUploadsRefused: what the host does not take is no call, and what it took
// of the same form is dropped.
func checkUploadsRefused(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Answer("u", Answer{Echo: true})
	kernel.FileLimit(1000)
	small, large := Part{"a", "a", "text/plain", make([]byte, 1000)}, Part{"b", "b", "text/plain", make([]byte, 1001)}
	for name, r := range map[string]struct {
		object string
		parts  []Part
		status int
		code   string
	}{
		"a file that is too large": {"u", []Part{small, large, small}, 413, "file_too_large"},
		"an unknown object":        {"none", []Part{small}, 404, "no_such_object"},
	} {
		res := do(t, c, Request{Object: r.object, Method: "POST", Files: r.parts})
		if res.Status != r.status || res.Code != r.code || res.Message == "" {
			t.Errorf("%s got %d %q %q, want %d %q and a message", name, res.Status, res.Code, res.Message, r.status, r.code)
		}
		if n := kernel.Uploads(); n > 0 {
			t.Errorf("%s left %d uploads", name, n)
		}
	}
	if n := len(kernel.Calls("")); n > 0 {
		t.Errorf("the host got %d calls of forms that were refused", n)
	}
	if res := do(t, c, Request{Object: "u", Method: "POST", Files: []Part{small}}); res.Status != 200 {
		t.Errorf("a form at the limit got %d %s", res.Status, res.Code)
	}
}

// checkBrokenFiles: a file that the host breaks off, at once or late, never looks
// whole, and the next one is.
func checkBrokenFiles(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	content := allBytes(4 << 10)
	f := kernel.AddFile("f", "n", "application/x-test", content)
	kernel.Answer("f", Answer{Result: host.Result{Status: 200, File: &f}})
	for _, whole := range []int{0, len(content) - 1} {
		kernel.BreakFiles(whole)
		ctx, cancel := within(t)
		res, err := c.Do(ctx, Request{Object: "f", Method: "GET"})
		cancel()
		if err == nil && res.Code == "" {
			t.Errorf("a file that broke off after %d bytes is answered with %d and %d bytes", whole, res.Status, len(res.Body))
		}
		kernel.BreakFiles(-1)
		if res := do(t, c, Request{Object: "f", Method: "GET"}); res.Status != 200 || !bytes.Equal(res.Body, content) {
			t.Errorf("the same file then is answered with %d and %d bytes", res.Status, len(res.Body))
		}
	}
}

// checkFiles: a file is sent byte for byte with its type, and never another one.
func checkFiles(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	for i, content := range [][]byte{nil, []byte("x\r\n"), allBytes(36 << 10)} {
		object := []id.Object{"f0", "f1", "f2"}[i]
		f := kernel.AddFile(object, "name ü", "application/x-test", content)
		kernel.Answer(object, Answer{Result: host.Result{Status: 200, File: &f, Header: []host.Field{{Name: "X-One", Value: "1"}}}})
		res := do(t, c, Request{Object: string(object), Method: "GET"})
		if res.Status != 200 || !bytes.Equal(res.Body, content) {
			t.Errorf("a file of %d bytes came as %d with %d bytes, or others", len(content), res.Status, len(res.Body))
		}
		for name, want := range map[string][]string{"Content-Type": {"application/x-test"}, "X-One": {"1"}} {
			if diff := cmp.Diff(want, values(res.Header, name)); diff != "" {
				t.Errorf("%s of a file (-want +got):\n%s", name, diff)
			}
		}
	}
	kernel.AddFile("f1", "name ü", "text/plain", []byte("other"))
	if res := do(t, c, Request{Object: "f1", Method: "GET"}); res.Status != 503 || res.Code != "file_changed" {
		t.Errorf("a file that was replaced got %d %q %q, want 503 file_changed", res.Status, res.Code, res.Body)
	}
}

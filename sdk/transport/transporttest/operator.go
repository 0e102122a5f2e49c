package transporttest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// fileNames are names that a protocol might mistake for something else, in order.
var fileNames = []string{" a b ", "%2F%", "+&=?#;", "index.html", "true", "ü\"<b>'"}

// addFiles gives an object a file of each name.
func addFiles(kernel *Host, object id.Object) []host.File {
	kernel.Add(sample(object))
	var all []host.File
	for i, name := range fileNames {
		all = append(all, kernel.AddFile(object, name, []string{"application/x-test", ""}[i%2], []byte(name)))
	}
	return all
}

// checkFileLists: files are listed whole, by prefix and in pages.
func checkFileLists(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	all := addFiles(kernel, "a")
	kernel.Add(Data{Info: host.ObjectInfo{Object: "empty"}})
	for _, q := range []struct {
		read  Read
		want  []host.File
		pages int
	}{
		{Read{What: Files, Object: "a"}, all, 1},
		{Read{What: Files, Object: "a", Limit: 4}, all, 2},
		{Read{What: Files, Object: "a", Limit: 1}, all, len(all)},
		{Read{What: Files, Object: "a", Prefix: "%2F"}, all[1:2], 1},
		{Read{What: Files, Object: "empty"}, nil, 1},
	} {
		var got []host.File
		n := pages(t, c, q.read, func(p Reading) { got = append(got, p.Files...) })
		compare(t, q.read, q.want, got, q.pages, n)
	}
	if n := kernel.WithoutDeadline(); n > 0 {
		t.Errorf("%d reads reached the host without a deadline", n)
	}
}

// checkFileReads: a file is read byte for byte with its type, and one that breaks off
// never looks whole.
func checkFileReads(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	addFiles(kernel, "a")
	large := allBytes(4 << 10)
	kernel.AddFile("a", "large", "application/x-test", large)
	kernel.AddFile("a", "empty", "application/x-test", nil)
	for _, name := range append(fileNames, "large", "empty") {
		want := []byte(name)
		switch name {
		case "large":
			want = large
		case "empty":
			want = nil
		}
		got := read(t, c, Read{What: File, Object: "a", Name: name})
		if got.Status != 200 || !bytes.Equal(got.Body, want) || got.RequestID == "" || got.Station != Config.Station {
			t.Errorf("the file %q: %d %q, %d bytes, request id %q, station %q; want the %d bytes of it",
				name, got.Status, got.Code, len(got.Body), got.RequestID, got.Station, len(want))
		}
		if d := cmp.Diff([]string{"application/x-test"}, values(got.Header, "Content-Type")); d != "" && (name == "large" || name == fileNames[0]) {
			t.Errorf("the type of %q (-want +got):\n%s", name, d)
		}
	}
	kernel.BreakFiles(len(large) - 1)
	ctx, cancel := within(t)
	defer cancel()
	if got, err := c.Read(ctx, Read{What: File, Object: "a", Name: "large"}); err == nil && got.Code == "" {
		t.Errorf("a file that broke off is answered with %d and %d bytes", got.Status, len(got.Body))
	}
}

// checkFileErrors: reads and changes of files fail as calls do, and change nothing.
func checkFileErrors(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	f := addFiles(kernel, "a")[0]
	kernel.FileLimit(1000)
	before := read(t, c, Read{What: Files, Object: "a"}).Files
	put := func(object id.Object, name string, size int) Change {
		return Change{PutFile: &PutFile{NewFile: host.NewFile{Object: object, Name: name}, Content: make([]byte, size)}}
	}
	match := put("a", f.Name, 1)
	match.PutFile.IfMatch = strings.Repeat("0", 64)
	matchAny := put("a", "new", 1)
	matchAny.PutFile.IfMatch = host.AnyFile
	absent := put("a", f.Name, 1)
	absent.PutFile.IfAbsent = true
	remove := func(object id.Object, name, hash string) Change {
		return Change{DeleteFile: &host.FileDeletion{Object: object, Name: name, IfMatch: hash}}
	}
	for _, q := range []struct {
		change Change
		status int
		code   string
	}{
		{put("none", "x", 1), 404, "no_such_object"},
		{put("A", "x", 1), 400, "bad_object_id"},
		{put("a", "x/y", 1), 400, "bad_file_name"},
		{put("a", "x", 1001), 413, "file_too_large"},
		{match, 412, "precondition_failed"},
		{matchAny, 412, "precondition_failed"},
		{absent, 412, "precondition_failed"},
		{remove("none", "x", ""), 404, "no_such_object"},
		{remove("A", "x", ""), 400, "bad_object_id"},
		{remove("a", "none", ""), 404, "no_such_file"},
		{remove("a", f.Name, strings.Repeat("0", 64)), 412, "precondition_failed"},
	} {
		got := change(t, c, q.change)
		if got.Status != q.status || got.Code != q.code || got.Message == "" {
			t.Errorf("%+v gave %d %q %q, want %d %q and a message", q.change, got.Status, got.Code, got.Message, q.status, q.code)
		}
	}
	if d := cmp.Diff(before, read(t, c, Read{What: Files, Object: "a"}).Files); d != "" {
		t.Errorf("refused changes changed the files (-before +after):\n%s", d)
	}
	for _, q := range []struct {
		read   Read
		status int
		code   string
	}{
		{Read{What: Files, Object: "none"}, 404, "no_such_object"},
		{Read{What: File, Object: "none", Name: "x"}, 404, "no_such_object"},
		{Read{What: Files, Object: "A"}, 400, "bad_object_id"},
		{Read{What: File, Object: "a", Name: "none"}, 404, "no_such_file"},
		{Read{What: File, Object: "a", Name: "../a"}, 400, "bad_file_name"},
	} {
		got := read(t, c, q.read)
		if got.Status != q.status || got.Code != q.code || got.Message == "" {
			t.Errorf("%+v gave %d %q %q, want %d %q and a message", q.read, got.Status, got.Code, got.Message, q.status, q.code)
		}
	}
	kernel.Down(true)
	for _, ch := range []Change{put("a", "x", 1), remove("a", f.Name, "")} {
		if got := change(t, c, ch); got.Status != 503 || got.Code != "unavailable" {
			t.Errorf("a change at a host that is down gave %d %q, want 503 unavailable", got.Status, got.Code)
		}
	}
	for _, what := range []string{Files, File} {
		if got := read(t, c, Read{What: what, Object: "a", Name: f.Name}); got.Status != 503 || got.Code != "unavailable" {
			t.Errorf("%s of a host that is down gave %d %q, want 503 unavailable", what, got.Status, got.Code)
		}
	}
}

// checkFileChanges: a file arrives byte for byte with all that is said of it, is
// replaced, and goes.
func checkFileChanges(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Add(Data{Info: host.ObjectInfo{Object: "a"}})
	large := allBytes(36 << 10)
	var want []any
	for i, q := range []struct {
		file    host.NewFile
		content []byte
		isNew   bool
	}{
		{host.NewFile{Name: "large", Type: "application/x-test", IfAbsent: true}, large, true},
		{host.NewFile{Name: "large", Type: "text/plain", IfMatch: storage.Hash(large)}, []byte("one\r\n--\x00\xff"), false},
		{host.NewFile{Name: "large", IfMatch: host.AnyFile}, nil, false},
		{host.NewFile{Name: fileNames[0], Type: "image/png"}, []byte(fileNames[0]), true},
		{host.NewFile{Name: fileNames[1]}, []byte(`{"a":1}`), true},
		{host.NewFile{Name: fileNames[2]}, []byte("a=1&b=2"), true},
		{host.NewFile{Name: fileNames[5]}, []byte(fileNames[5]), true},
	} {
		q.file.Object, q.file.RequestID = "a", "put-"+string(rune('a'+i))
		got := change(t, c, Change{PutFile: &PutFile{NewFile: q.file, Content: q.content}})
		is := host.File{Name: q.file.Name, Type: q.file.Type, Size: int64(len(q.content)), Hash: storage.Hash(q.content)}
		got.File.Time = time.Time{}
		if got.Status != 200 && got.Status != 201 || got.New != q.isNew || got.File != is || got.RequestID != q.file.RequestID || got.Object != "a" {
			t.Errorf("the file %q is answered with %d %q %+v, new %v, request id %q of %q; want %+v, new %v",
				q.file.Name, got.Status, got.Code, got.File, got.New, got.RequestID, got.Object, is, q.isNew)
		}
		if r := read(t, c, Read{What: File, Object: "a", Name: q.file.Name}); r.Status != 200 || !bytes.Equal(r.Body, q.content) {
			t.Errorf("the file %q then is %d with %d bytes, want those %d that were put", q.file.Name, r.Status, len(r.Body), len(q.content))
		}
		want = append(want, q.file)
	}
	end := host.FileDeletion{Object: "a", Name: fileNames[1], IfMatch: storage.Hash([]byte(`{"a":1}`)), RequestID: "end"}
	if got := change(t, c, Change{DeleteFile: &end}); got.Status != 200 || got.RequestID != "end" || got.Object != "a" {
		t.Errorf("a deletion is answered with %+v", got)
	}
	want = append(want, end)
	if d := cmp.Diff(want, kernel.Changes()); d != "" {
		t.Errorf("what reached the host (-want +got):\n%s", d)
	}
	if got := read(t, c, Read{What: File, Object: "a", Name: end.Name}); got.Status != 404 {
		t.Errorf("a deleted file is answered with %d", got.Status)
	}
}

// checkStateChanges: keys and values arrive as they are, and what the host refuses is
// told.
func checkStateChanges(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Add(sample("a"))
	kernel.Answer("full", Answer{Err: errs.New(errs.TooLarge, "state_limit", "It is full.")})
	kernel.Answer("wrong", Answer{Err: errs.New(errs.Refused, "bad_value", "value.a[2]: no.")})
	set := func(object id.Object, key, value string) Change {
		return Change{SetState: &host.StateChange{Object: object, Key: key, Value: []byte(value), RequestID: "r-1"}}
	}
	remove := func(object id.Object, key string) Change {
		return Change{DeleteState: &host.StateDeletion{Object: object, Key: key, RequestID: "r-2"}}
	}
	state := sample("a").State
	var want []any
	for _, q := range []struct {
		change Change
		status int
		code   string
	}{
		{set("a", state[0].Key, `{"n":[9007199254740993,1.50,-0,{"ü":"<b>\u0000"}],"a":null}`), 200, ""},
		{set("a", " new ü\n\"%2F+&", `"text"`), 200, ""},
		{set("a", "null", `null`), 200, ""},
		{set("a", "list", `[]`), 200, ""},
		{remove("a", state[4].Key), 200, ""},
		{remove("a", "n:1"), 200, ""},
		{remove("a", "n:1"), 404, "no_such_key"},
		{set("none", "k", "1"), 404, "no_such_object"},
		{set("full", "k", "1"), 413, "state_limit"},
		{set("wrong", "k", "1"), 422, "bad_value"},
		{set("A", "k", "1"), 400, "bad_object_id"},
		{remove("../a", "k"), 400, "bad_object_id"},
	} {
		got := change(t, c, q.change)
		if got.Status != q.status || got.Code != q.code || (got.Message == "") != (q.code == "") {
			t.Errorf("%+v %+v gave %d %q %q, want %d %q", q.change.SetState, q.change.DeleteState, got.Status, got.Code, got.Message, q.status, q.code)
		}
		switch {
		case q.code == "bad_object_id":
		case q.change.SetState != nil:
			want = append(want, *q.change.SetState)
		default:
			want = append(want, *q.change.DeleteState)
		}
		if q.code == "" && got.RequestID[:2] != "r-" {
			t.Errorf("%+v is answered under the request id %q", q.change, got.RequestID)
		}
	}
	if d := cmp.Diff(want, kernel.Changes()); d != "" {
		t.Errorf("what reached the host (-want +got):\n%s", d)
	}
	if n := kernel.WithoutDeadline(); n > 0 {
		t.Errorf("%d changes reached the host without a deadline", n)
	}
	kernel.Down(true)
	for _, ch := range []Change{set("a", "k", "1"), remove("a", "list")} {
		if got := change(t, c, ch); got.Status != 503 || got.Code != "unavailable" {
			t.Errorf("a change at a host that is down gave %d %q, want 503 unavailable", got.Status, got.Code)
		}
	}
}

// checkStatus: what an object does arrives.
func checkStatus(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	for _, s := range []host.Status{{Object: "idle"}, {Object: "warm", Warm: true}, {Object: "busy", Running: true, Queued: 1023, Warm: true}} {
		kernel.Add(Data{Info: host.ObjectInfo{Object: s.Object}, Status: s})
		got := read(t, c, Read{What: Status, Object: string(s.Object)})
		if d := cmp.Diff(s, got.Doing, cmpopts.EquateEmpty()); got.Response.Status != 200 || d != "" {
			t.Errorf("the status of %q: %d, changed on its way (-want +got):\n%s", s.Object, got.Response.Status, d)
		}
	}
	if got := read(t, c, Read{What: Status, Object: "none"}); got.Response.Status != 404 || got.Code != "no_such_object" {
		t.Errorf("the status of no object is %d %q", got.Response.Status, got.Code)
	}
	if n := kernel.WithoutDeadline(); n > 0 {
		t.Errorf("%d reads reached the host without a deadline", n)
	}
}

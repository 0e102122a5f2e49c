package luahost

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/storage"
)

// fakeFiles is the files of a fake, over a map.
type fakeFiles struct {
	files   map[string]storage.File
	data    map[string]string
	uploads map[string]string // bytes by id
	fileErr error             // of every method
	block   bool              // every method waits for its context
}

func (f *fakeFiles) enter(ctx context.Context) error {
	if f.block {
		<-ctx.Done()
		return errs.Wrap(errs.Unavailable, "", ctx.Err(), "The storage did not answer.")
	}
	return f.fileErr
}

func (f *fakeFiles) File(ctx context.Context, name string) (storage.File, bool, error) {
	g, ok := f.files[name]
	return g, ok, f.enter(ctx)
}

func (f *fakeFiles) EachFile(ctx context.Context, yield func(storage.File) bool) error {
	for _, name := range slices.Sorted(maps.Keys(f.files)) {
		if !yield(f.files[name]) {
			break
		}
	}
	return f.enter(ctx)
}

func (f *fakeFiles) ReadFile(ctx context.Context, name string) ([]byte, error) {
	return []byte(f.data[name]), f.enter(ctx)
}

func (f *fakeFiles) PutFile(ctx context.Context, name, media, data string) (storage.File, error) {
	if f.files == nil {
		f.files, f.data = map[string]storage.File{}, map[string]string{}
	}
	f.data[name] = data
	f.files[name] = storage.File{Name: name, Type: media, Size: int64(len(data)), Hash: storage.Hash([]byte(data)), Time: time.Unix(1_700_000_000, 5e8)}
	return f.files[name], f.enter(ctx)
}

func (f *fakeFiles) PutUpload(ctx context.Context, name, media string, u host.Uploaded) (storage.File, error) {
	data, ok := f.uploads[u.Upload]
	if !ok {
		return storage.File{}, errors.New("no such upload")
	}
	return f.PutFile(ctx, name, media, data)
}

func (f *fakeFiles) DeleteFile(ctx context.Context, name string) error {
	delete(f.files, name)
	return f.enter(ctx)
}

func TestFiles(t *testing.T) {
	o := newFake()
	row := `{"hash":"` + storage.Hash([]byte("hello\x00\xff")) + `","name":"b.txt","size":7,"time":1700000000.5,"type":"application/octet-stream"}`
	want(t, o, `local f = files.put("b.txt", "hello\0\255") return { f, files.stat("b.txt") }`, "["+row+","+row+"]")
	want(t, o, `return files.get("b.txt") == "hello\0\255" and files.get("none") == nil and files.stat("none") == nil`, "true")
	want(t, o, `files.put("a", "", "text/html; charset=utf-8") local all = {} for i, f in ipairs(files.list()) do all[i] = f.name .. " " .. f.type end return all`,
		`["a text/html; charset=utf-8","b.txt application/octet-stream"]`)
	want(t, o, `files.delete("a") files.delete("a") return { files.exists("a"), files.exists("b.txt") }`, "[false,true]")
	want(t, o, `files.delete("b.txt") return files.list()`, "[]")
}

func TestFilesRefuseWrongArguments(t *testing.T) {
	o := newFake()
	for body, part := range map[string]string{
		`files.put()`:         "files.put: the name must be a string, not a nil",
		`files.get(1)`:        "files.get: the name must be a string, not a number",
		`files.stat("../x")`:  "files.stat: ",
		`files.exists("")`:    "files.exists: ",
		`files.delete("a/b")`: "files.delete: ",
		`files.response(".")`: "files.response: ",
		`files.put("` + strings.Repeat("n", 201) + `", "x")`: "the most is 200",
		`files.put("a")`:                       "the bytes must be a string or an upload, not a nil",
		`files.put("a", 5)`:                    "not a number",
		`files.put("a", {})`:                   "the table is no upload of this call",
		`files.put("a", "x", 5)`:               "the type must be a string, not a number",
		`files.put("a", "x", "")`:              "must be a media type",
		`files.put("a", "x", "text")`:          "must be a media type",
		`files.put("a", "x", "text/a\r\nb:c")`: "must be a media type",
	} {
		_ = wantError(t, o, body, errs.Script, part)
		want(t, o, "return (pcall(function() "+body+" end))", "false")
	}
	if len(o.files) > 0 {
		t.Errorf("a refused put has put %v", o.files)
	}
	p, err := Compile([]byte(`files.put("a", "x") function GET() end`))
	if err == nil {
		_, err = p.NewVM(quick(), nil)
	}
	if err == nil || !strings.Contains(err.Error(), "files is not available while the script loads") {
		t.Errorf("a load that uses files gives %v", err)
	}
}

// A call's uploads are tables that only files.put takes for more.
func TestUploads(t *testing.T) {
	o := newFake()
	o.uploads = map[string]string{"u1": "one", "u2": "two", "u3": "three"}
	r := request("POST")
	r.Call.Uploads = []host.Uploaded{
		{Field: "doc", Name: "old.txt", Type: "text/plain", Size: 3, Upload: "u1"},
		{Field: "pic", Name: "c:\\x.png", Size: 5, Upload: "u3"},
		{Field: "doc", Name: "new.txt", Type: "text/css", Size: 3, Upload: "u2"},
	}
	vm := load(t, `
local kept
function POST(request, call)
  local f = call.files
  assert(f == call.files and f.doc == call.uploads[3] and f.none == nil and #call.uploads == 3)
  if kept then return (pcall(files.put, "kept", kept)) end
  kept = f.doc
  files.put("doc", f.doc)
  files.put("pic", f.pic)
  f.doc.size, f.doc.name = 1, "other"
  files.put("first", call.uploads[1], "text/html")
  return { call.files, pcall(files.put, "forged", { name = "x", size = 3, type = "a/b", field = "doc", upload = "u1" }) }
end`)
	got, err := vm.Call(context.Background(), o, r)
	const body = `[{"doc":{"field":"doc","name":"other","size":1,"type":"text/css"},"pic":{"field":"pic","name":"c:\\x.png","size":5,"type":""}},false,`
	if err != nil || !strings.HasPrefix(string(got.Body), body) {
		t.Fatalf("%s, %v", got.Body, err)
	}
	for name, want := range map[string][2]string{"doc": {"two", "text/css"}, "pic": {"three", octets}, "first": {"one", "text/html"}} {
		if o.data[name] != want[0] || o.files[name].Type != want[1] {
			t.Errorf("the file %s is %q of type %q, want %q", name, o.data[name], o.files[name].Type, want)
		}
	}
	if got, err = vm.Call(context.Background(), o, r); err != nil || string(got.Body) != "false" {
		t.Errorf("an upload kept from an earlier call: %s, %v", got.Body, err)
	}
	if got, err = vm.Call(context.Background(), o, request("POST")); err == nil {
		t.Errorf("a call without uploads has some: %s", got.Body)
	}
}

func TestFileResponse(t *testing.T) {
	o := newFake()
	put := `files.put("a.txt", "text", "text/plain") `
	r, err := get(t, o, put+`return files.response("a.txt")`)
	if err != nil {
		t.Fatal(err)
	}
	f := o.files["a.txt"]
	if r.Status != 200 || r.Body != nil || r.File == nil || *r.File != (host.File{Name: "a.txt", Type: "text/plain", Size: 4, Hash: f.Hash, Time: f.Time}) {
		t.Errorf("the answer is %+v with the file %+v", r, r.File)
	}
	if len(r.Header) != 0 {
		t.Errorf("the headers are %v; the type is the file's", r.Header)
	}
	r, err = get(t, o, put+`return files.response("a.txt"), 201, { ["Content-Type"] = "a/b" }`)
	if err != nil || r.Status != 201 || r.File == nil || r.Header[0].Value != "a/b" {
		t.Errorf("the answer is %+v, %v", r, err)
	}
	r, err = get(t, o, put+`local r = files.response("a.txt") files.put("a.txt", "other") return r`)
	if err != nil || r.File == nil || r.File.Size != 5 {
		t.Errorf("a file that was replaced after response: %+v, %v", r.File, err)
	}
	r, err = get(t, o, put+`return files.response("a.txt"), 304`)
	if err != nil || r.File != nil || len(r.Header) > 0 {
		t.Errorf("a 304 has %+v, %v", r, err)
	}
	for _, body := range []string{`return files.response("none")`, `pcall(files.response, "none")`,
		put + `local r = files.response("a.txt") files.delete("a.txt") return r`} {
		if e := wantError(t, o, body, errs.Refused, "no_such_file"); e.HTTPStatus() != 404 {
			t.Errorf("%s\ngives the status %d", body, e.HTTPStatus())
		}
	}
	_ = wantError(t, o, put+`return { files.response("a.txt") }`, errs.Script, "userdata")
	_ = wantError(t, o, put+`local r = files.response("a.txt") return r.name`, errs.Script, "index")
}

// A script holds no more of a file than it may hold at all.
func TestFileReadLimit(t *testing.T) {
	limits := quick()
	limits.Memory = 1 << 20
	o := newFake()
	o.files = map[string]storage.File{"fits": {Name: "fits", Size: 700_000}, "large": {Name: "large", Size: 1<<20 + 1}}
	o.data = map[string]string{"fits": strings.Repeat("x", 700_000)}
	vm := loadWith(t, `function GET() return #files.get("fits") end function POST() pcall(files.get, "large") end`, limits)
	if r, err := vm.Call(context.Background(), o, request("GET")); err != nil || string(r.Body) != "700000" {
		t.Errorf("%s, %v", r.Body, err)
	}
	_, err := vm.Call(context.Background(), o, request("POST"))
	if e := errs.From(err); e == nil || e.Kind != errs.Limit || e.Code != "file_read_limit" || !strings.Contains(e.Text(), "files.response") {
		t.Errorf("a file that is too large gives %v", err)
	}
}

// What storage says ends the call, whatever the script catches; so does its
// silence, at the call's deadline.
func TestFileErrorsEndTheCall(t *testing.T) {
	o := newFake()
	o.fileErr = errs.New(errs.Unavailable, "storage_down", "down")
	for _, call := range []string{`files.get, "a"`, `files.put, "a", "x"`, `files.list`, `files.stat, "a"`, `files.exists, "a"`, `files.delete, "a"`, `files.response, "a"`} {
		_ = wantError(t, o, "pcall("+call+") return 1", errs.Unavailable, "storage_down")
	}
	o.fileErr, o.block = nil, true
	limits := quick()
	limits.Time = 50 * time.Millisecond
	_, err := loadWith(t, `function GET() pcall(files.exists, "a") return 1 end`, limits).Call(context.Background(), o, request("GET"))
	if e := errs.From(err); e == nil || e.CodeOf() != "time_limit" {
		t.Errorf("a storage that does not answer gives %v", err)
	}
}

// A list of many files costs steps.
func TestFileListIsCharged(t *testing.T) {
	o := newFake()
	o.files = map[string]storage.File{}
	for i := range 1000 {
		name := strings.Repeat("x", 1+i%100) + time.Duration(i).String()
		o.files[name] = storage.File{Name: name}
	}
	want(t, o, "return #files.list()", "1000")
	_ = wantError(t, o, "for i = 1, 1000 do files.list() end", errs.Limit, "step_limit")
}

package dispatch_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

// drive does with its files what the query says, and answers with what it sees.
const drive = `
local function seen()
  local all = {}
  for _, f in ipairs(files.list()) do
    all[#all + 1] = f.name .. "=" .. (f.size < 100 and files.get(f.name) or f.size)
    assert(files.exists(f.name) and files.stat(f.name).hash == f.hash)
  end
  return table.concat(all, " ")
end
function GET() return seen() end
function HEAD() local f = files.stat("a") return f and f.name or "none" end
function POST(request, call)
  for op in string.gmatch(request.ops or "", "%S+") do
    local name, value = string.match(op, "(.-)=(.*)")
    if not name then files.delete(op)
    elseif string.sub(value, 1, 1) == "#" then files.put(name, string.rep("x", tonumber(string.sub(value, 2))))
    elseif string.sub(value, 1, 1) == "@" then files.put(name, call.files[string.sub(value, 2)])
    else files.put(name, value, "text/plain") end
  end
  state.set("ops", request.ops)
  local now = seen()
  if request.how == "fail" then fail(409, "no_way", "not today") end
  if request.how == "bug" then error("broken") end
  return now
end
function PUT(request) return files.response(request.name) end`

// watched keeps which uploads were made and dropped, and can hold files up.
type watched struct {
	storage.Storage
	mu      sync.Mutex
	made    []string
	dropped []string
	hold    chan struct{} // if not nil, WriteFile waits for it
	writing chan struct{} // told when it does
}

func (w *watched) WriteFile(ctx context.Context, o id.Object, r io.Reader) (storage.Upload, error) {
	if w.hold != nil {
		w.writing <- struct{}{}
		select {
		case <-w.hold:
		case <-ctx.Done():
			return storage.Upload{}, errs.Wrap(errs.Unavailable, "", ctx.Err(), "The file was given up.")
		}
	}
	u, err := w.Storage.WriteFile(ctx, o, r)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made = append(w.made, u.ID)
	return u, err
}

func (w *watched) DropUpload(ctx context.Context, o id.Object, upload string) error {
	w.mu.Lock()
	w.dropped = append(w.dropped, upload)
	w.mu.Unlock()
	return w.Storage.DropUpload(ctx, o, upload)
}

// left gives the uploads that were made and not dropped, in order.
func (w *watched) left() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.made), func(u string) bool { return slices.Contains(w.dropped, u) })
}

func newDrive(t *testing.T, limits dispatch.Limits, hooks func(*storagetest.Memory)) (*station, *watched) {
	t.Helper()
	s := newStation(t, limits, hooks)
	w := &watched{Storage: s.disk.Storage}
	s.disk.Storage = w
	s.put(t, "d", drive)
	return s, w
}

// ops runs a POST and gives its text.
func (s *station) ops(ops, how string) (string, error) {
	r, err := s.call("d", "POST", host.Field{Name: "ops", Value: ops}, host.Field{Name: "how", Value: how})
	return string(r.Body), err
}

func (s *station) mustOps(t *testing.T, ops, want string) {
	t.Helper()
	if got, err := s.ops(ops, ""); err != nil || got != want {
		t.Fatalf("%s: %q, %v; want %q", ops, got, err, want)
	}
}

func (s *station) mustSee(t *testing.T, want string) {
	t.Helper()
	if r, err := s.call("d", "GET"); err != nil || string(r.Body) != want {
		t.Fatalf("the files are %q, %v; want %q", r.Body, err, want)
	}
}

// A call sees its own files, later calls see them warm and cold.
func TestFilesOfACall(t *testing.T) {
	s, w := newDrive(t, dispatch.DefaultLimits(), nil)
	s.mustSee(t, "")
	s.mustOps(t, "b=two a=one", "a=one b=two")
	s.mustOps(t, "a=1 a=11 c=3 b c", "a=11")
	s.mustOps(t, "none", "a=11")
	s.mustOps(t, "x=new x", "a=11")
	s.mustSee(t, "a=11")
	r, err := s.call("d", "PUT", host.Field{Name: "name", Value: "a"})
	if err != nil || r.File == nil || r.File.Size != 2 || r.File.Hash != storage.Hash([]byte("11")) || r.Body != nil {
		t.Errorf("response gives %+v with file %+v, %v", r, r.File, err)
	}
	if left := w.left(); len(left) != 3 { // those of the first call, and the a that was kept
		t.Errorf("of the uploads %v were left, made were %v", left, w.made)
	}
	stored, err := s.disk.Files(t.Context(), storage.FilesQuery{Object: "d", Limit: 10, Tombstones: true})
	if err != nil || len(stored) != 2 || stored[0].Type != "text/plain" || stored[0].Stamp.Station != "s1" || !stored[1].Deleted || stored[1].Name != "b" {
		t.Errorf("storage has %+v, %v; want a and the tombstone of b", stored, err)
	}
	cold := again(t, s)
	cold.mustSee(t, "a=11")
	cold.mustOps(t, "a", "")
}

// again gives another dispatcher over a station's storage.
func again(t *testing.T, s *station) *station {
	t.Helper()
	boot, err := s.disk.Boot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := &station{disk: s.disk, Dispatcher: dispatch.New(dispatch.Options{
		Station: "s1", Store: s.disk, Cluster: cluster.None{}, Clock: hlc.NewClock(time.Now, boot.High), Log: slog.New(slog.DiscardHandler), Limits: s.Limits,
	})}
	t.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	n.put(t, "d", drive)
	return n
}

// A call that fails changes no file, and leaves no upload.
func TestFailedCallChangesNoFile(t *testing.T) {
	s, w := newDrive(t, dispatch.DefaultLimits(), nil)
	s.mustOps(t, "a=old b=old", "a=old b=old")
	for _, how := range []string{"fail", "bug"} {
		if _, err := s.ops("a=new b c=new c=newer d=1 d", how); err == nil {
			t.Fatalf("%s succeeded", how)
		}
		s.mustSee(t, "a=old b=old")
		again(t, s).mustSee(t, "a=old b=old")
		s.put(t, "caller", `function POST(request) return select(2, objects.call("d", "POST", request)) end`)
		if r, err := s.call("caller", "POST", host.Field{Name: "ops", Value: "a=new c=new"}, host.Field{Name: "how", Value: how}); err != nil || string(r.Body) == "200" {
			t.Fatalf("a nested %s gives %q, %v", how, r.Body, err)
		}
		if left := w.left(); len(left) != 2 {
			t.Errorf("after a %s the uploads %v are left", how, left)
		}
	}
	s.mustOps(t, "c=3", "a=old b=old c=3")
}

// A file whose commit is on its way is read once that has arrived, and not
// answered before.
func TestFileOfAPendingCommit(t *testing.T) {
	g := newGate()
	s, _ := newDrive(t, dispatch.DefaultLimits(), func(m *storagetest.Memory) { m.OnCommit = g.hook })
	g.verdict <- nil
	s.mustOps(t, "a=old", "a=old")
	await(t, g.entered)
	write := s.start("d", "POST", host.Field{Name: "ops", Value: "a=new b=2"})
	await(t, g.entered)
	look, read := s.start("d", "HEAD"), s.start("d", "GET")
	select {
	case o := <-look:
		t.Fatalf("a stat answered %q before it was durable", o.result.Body)
	case o := <-read:
		t.Fatalf("a get answered %q before it was durable", o.result.Body)
	case <-time.After(50 * time.Millisecond):
	}
	g.verdict <- nil
	for _, c := range []<-chan outcome{write, read} {
		if o := await(t, c); o.err != nil || string(o.result.Body) != "a=new b=2" {
			t.Errorf("%q, %v", o.result.Body, o.err)
		}
	}
	if o := await(t, look); o.err != nil {
		t.Error(o.err)
	}
}

// A commit that storage does not take leaves the files as they were, and its
// uploads are dropped.
func TestFailedCommitOfFiles(t *testing.T) {
	g := newGate()
	s, w := newDrive(t, dispatch.DefaultLimits(), func(m *storagetest.Memory) { m.OnCommit = g.hook })
	g.verdict <- nil
	s.mustOps(t, "a=old", "a=old")
	await(t, g.entered)
	write := s.start("d", "POST", host.Field{Name: "ops", Value: "a=new b=2"})
	await(t, g.entered)
	read := s.start("d", "GET")
	until(t, "the read waits", func() bool { return s.Running("d") })
	g.verdict <- errs.New(errs.Unavailable, "", "disk full")
	for _, c := range []<-chan outcome{write, read} {
		if o := await(t, c); errs.From(o.err).HTTPStatus() != 503 {
			t.Errorf("%q, %v; want a 503", o.result.Body, o.err)
		}
	}
	g.verdict <- nil
	s.mustSee(t, "a=old")
	if left := w.left(); len(left) != 1 {
		t.Errorf("the uploads %v are left, want that of the first call", left)
	}
}

// A script that waits for storage lets those of other objects run.
func TestFilesHoldNoSlot(t *testing.T) {
	limits := dispatch.DefaultLimits()
	limits.VMs = 1
	s, w := newDrive(t, limits, nil)
	s.put(t, "c", counter)
	w.hold, w.writing = make(chan struct{}), make(chan struct{})
	write := s.start("d", "POST", host.Field{Name: "ops", Value: "a=1"})
	await(t, w.writing)
	if got := s.mustCount(t, "c", "GET"); got != 1 {
		t.Errorf("the count is %d", got)
	}
	close(w.hold)
	if o := await(t, write); o.err != nil || string(o.result.Body) != "a=1" {
		t.Errorf("%q, %v", o.result.Body, o.err)
	}
}

// A storage that takes too long with a file costs the call and nothing else.
func TestFileThatIsNotWrittenInTime(t *testing.T) {
	limits := dispatch.DefaultLimits()
	limits.Time = time.Second // which is enough for the call that follows
	s, w := newDrive(t, limits, nil)
	w.hold, w.writing = make(chan struct{}), make(chan struct{}, 1)
	_, err := s.ops("a=1", "")
	wantKind(t, err, errs.Timeout)
	close(w.hold)
	s.mustSee(t, "")
}

func TestFileLimits(t *testing.T) {
	limits := dispatch.DefaultLimits()
	limits.File, limits.Files, limits.FileCount = 1000, 2500, 4
	s, w := newDrive(t, limits, nil)
	refused := func(ops, code string) {
		t.Helper()
		_, err := s.ops(ops, "")
		if e := errs.From(err); e == nil || e.Kind != errs.Limit || e.Code != code {
			t.Errorf("%s gives %v, want %s", ops, err, code)
		}
	}
	s.mustOps(t, "a=#1000", "a=1000")
	refused("b=#1001", "file_limit")
	s.mustOps(t, "a=#1000 b=#1000", "a=1000 b=1000")
	s.mustOps(t, "c=#500", "a=1000 b=1000 c=500")
	refused("d=#1", "files_limit")
	refused("c=#501", "files_limit")
	s.mustOps(t, "c d=#500", "a=1000 b=1000 d=500")
	refused("a=#900 a=#900 a=#900", "files_limit") // what one call writes
	s.mustOps(t, "a=1 b=1 c=1 d=1", "a=1 b=1 c=1 d=1")
	refused("e=1", "file_count_limit")
	s.mustOps(t, "a=2 b b=3 c e=1", "a=2 b=3 d=1 e=1")
	limits.Staged = 3 * (256 + 1 + 10 + 64)
	s, _ = newDrive(t, limits, nil)
	refused("a=1 a=1 a=1 a=1 a=1", "staged_limit")
	s.mustOps(t, "a=1 a=1", "a=1")
	if len(w.left()) > 20 {
		t.Errorf("refused calls left the uploads %v", w.left())
	}
}

// upload puts bytes aside as a transport does.
func (s *station) upload(t *testing.T, field, content string) host.Uploaded {
	t.Helper()
	u, err := s.disk.WriteFile(t.Context(), "d", strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return host.Uploaded{Field: field, Name: field + ".txt", Type: "text/css", Size: u.Size, Upload: u.ID}
}

func (s *station) send(object id.Object, ops, how string, uploads ...host.Uploaded) (string, error) {
	r, err := s.Invoke(context.Background(), host.Call{Object: object, Method: "POST", RequestID: "r1", Uploads: uploads,
		Query: []host.Field{{Name: "ops", Value: ops}, {Name: "how", Value: how}}})
	return string(r.Body), err
}

// Uploads become files of the call that puts them; what it leaves is dropped,
// whatever became of the call.
func TestUploadsOfACall(t *testing.T) {
	limits := dispatch.DefaultLimits()
	limits.File = 50
	s, w := newDrive(t, limits, nil)
	one, two := s.upload(t, "one", "first"), s.upload(t, "two", "second")
	got, err := s.send("d", "a=@one b=@one a=@one", "", one, two)
	if err != nil || got != "a=first b=first" {
		t.Fatalf("%q, %v", got, err)
	}
	s.mustSee(t, "a=first b=first")
	if !slices.Contains(w.dropped, two.Upload) || slices.Contains(w.dropped, one.Upload) {
		t.Errorf("dropped were %v; want the second of %v", w.dropped, w.made)
	}
	for name, send := range map[string]func(u host.Uploaded) error{
		"a failed call":     func(u host.Uploaded) error { _, err := s.send("d", "a=@u", "fail", u); return err },
		"an unknown object": func(u host.Uploaded) error { _, err := s.send("none", "a=@u", "", u); return err },
		"a replaced upload": func(u host.Uploaded) error { _, err := s.send("d", "c=@u c=3 c", "", u); return err },
		"another station": func(u host.Uploaded) error {
			_, err := s.Invoke(t.Context(), host.Call{Object: "d", Station: "s2", Method: "POST", Uploads: []host.Uploaded{u}})
			return err
		},
		"a cycle": func(u host.Uploaded) error {
			_, err := s.Invoke(t.Context(), host.Call{Object: "d", Method: "POST", Chain: []id.Object{"d"}, Uploads: []host.Uploaded{u}})
			return err
		},
		"an unused upload": func(u host.Uploaded) error { _, err := s.send("d", "", "", u); return err },
		"a wrong method": func(u host.Uploaded) error {
			_, err := s.Invoke(t.Context(), host.Call{Object: "d", Method: "PATCH", Uploads: []host.Uploaded{u}})
			return err
		},
		"a caller that left": func(u host.Uploaded) error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := s.Invoke(ctx, host.Call{Object: "d", Method: "POST", Uploads: []host.Uploaded{u}})
			return err
		},
	} {
		u := s.upload(t, "u", "third")
		err := send(u)
		if (err == nil) != (name == "a replaced upload" || name == "an unused upload") {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Contains(w.dropped, u.Upload) {
			t.Errorf("%s left its upload", name)
		}
		s.mustSee(t, "a=first b=first")
	}
	large := s.upload(t, "u", strings.Repeat("x", 51))
	large.Size = 1 // a transport may say what it likes
	if _, err := s.send("d", "a=@u", "", large); errs.From(err).CodeOf() != "file_limit" {
		t.Errorf("an upload that is too large gives %v", err)
	}
	for what, u := range map[string]host.Uploaded{"a used upload": one, "no upload": {Field: "one", Upload: "9-9"}} {
		if _, err := s.send("d", "c=@one", "", u); errs.From(err).CodeOf() != "upload_lost" || errs.From(err).HTTPStatus() != 503 {
			t.Errorf("%s gives %v", what, err)
		}
	}
	s.mustSee(t, "a=first b=first")
}

// Whether an object answers a method is known before a call of it is made.
func TestAnswers(t *testing.T) {
	s, _ := newDrive(t, dispatch.DefaultLimits(), nil)
	if err := s.Answers(t.Context(), "d", "POST"); err != nil {
		t.Error(err)
	}
	err := s.Answers(t.Context(), "d", "DELETE")
	wantKind(t, err, errs.MethodNotAllowed)
	if len(errs.From(err).Allow) == 0 {
		t.Error("the refusal names no method")
	}
	wantKind(t, s.Answers(t.Context(), "none", "POST"), errs.NotFound)
}

// More files than a page are all there after a restart.
func TestManyFiles(t *testing.T) {
	s, _ := newDrive(t, dispatch.DefaultLimits(), nil)
	var ops, want []string
	for i := range storage.MaxPage + 5 {
		ops = append(ops, fmt.Sprintf("f%04d=%d", i, i%10))
	}
	want = ops
	s.mustOps(t, strings.Join(ops, " "), strings.Join(want, " "))
	again(t, s).mustSee(t, strings.Join(want, " "))
}

// otherBytes is a store whose files are not those that it lists.
type otherBytes struct{ storage.Storage }

func (o otherBytes) ReadFile(ctx context.Context, object id.Object, name string, from int64) (storage.File, io.ReadCloser, error) {
	f, r, err := o.Storage.ReadFile(ctx, object, name, from)
	f.Hash = storage.Hash([]byte("other"))
	return f, r, err
}

// A script never gets other bytes than those of the file that it sees.
func TestFileWithAnotherHash(t *testing.T) {
	s, _ := newDrive(t, dispatch.DefaultLimits(), nil)
	s.mustOps(t, "a=1", "a=1")
	s.disk.Storage = otherBytes{s.disk.Storage}
	_, err := s.call("d", "GET")
	wantKind(t, err, errs.Corrupt)
}

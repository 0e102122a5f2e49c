package importer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/framework/importer"
	"github.com/dbbasic/station/framework/prototype"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

const testdata = "../prototype/testdata/folder"

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func memory(t *testing.T) storage.Storage {
	t.Helper()
	return storagetest.NewMemory().Open(t, plugin.Config{Station: "s1", DataDir: t.TempDir()})
}

func open(t *testing.T, fsys fs.FS, r *prototype.Report) *prototype.Folder {
	t.Helper()
	f, err := prototype.Open(fsys, r)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func options() importer.Options {
	return importer.Options{Station: "s1", Clock: hlc.NewClock(func() time.Time { return now }, 0)}
}

// take imports a folder, which must not stop.
func take(t *testing.T, fsys fs.FS, store importer.Store) *prototype.Report {
	t.Helper()
	r := prototype.NewReport(nil)
	if err := importer.Run(t.Context(), open(t, fsys, r), r, store, options()); err != nil {
		t.Fatal(err)
	}
	return r
}

func refused(r *prototype.Report) map[id.Object]string {
	all := map[id.Object]string{}
	for _, o := range r.Objects() {
		if o.Refused != "" {
			all[o.Object] = o.Refused
		}
	}
	return all
}

func stored(t *testing.T, store storage.Storage) []string {
	t.Helper()
	page, err := store.Objects(t.Context(), storage.ObjectsQuery{Limit: storage.MaxPage})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, o := range page {
		all = append(all, string(o.Object))
	}
	return all
}

// read gives all that a store has of an object, as text.
func read(t *testing.T, store storage.Storage, object id.Object) string {
	t.Helper()
	var b strings.Builder
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	o, err := store.Load(t.Context(), object)
	must(err)
	fmt.Fprintln(&b, o.Incarnation, o.Sequence, o.Head)
	for _, c := range o.State {
		fmt.Fprintf(&b, "%q %s %s\n", c.Key, c.Value, c.Stamp)
	}
	logs, err := store.Logs(t.Context(), storage.LogsQuery{Object: object, Limit: storage.MaxPage, Oldest: true})
	must(err)
	for _, e := range logs.Entries {
		fmt.Fprintf(&b, "%s %s %s %q %s\n", e.ID, e.Time.UTC().Format(time.RFC3339Nano), e.Level, e.Message, e.Fields)
	}
	for n := uint64(1); n <= o.Head; n++ {
		v, err := store.Version(t.Context(), object, n)
		must(err)
		fmt.Fprintf(&b, "%d %s %q %q %s %q\n", v.Number, v.Time.UTC().Format(time.RFC3339Nano), v.Author, v.Message, v.Hash, v.Text)
	}
	files, err := store.Files(t.Context(), storage.FilesQuery{Object: object, Limit: storage.MaxPage})
	must(err)
	for _, f := range files {
		_, r, err := store.ReadFile(t.Context(), object, f.Name, 0)
		must(err)
		content, err := io.ReadAll(r)
		must(errors.Join(err, r.Close()))
		fmt.Fprintf(&b, "%q %s %s %s %q\n", f.Name, f.Type, f.Time.UTC().Format(time.RFC3339Nano), f.Stamp, content)
	}
	return b.String()
}

// want is what read must give, straight from the folder.
func want(t *testing.T, o *prototype.Object, boot uint64) string {
	t.Helper()
	var b bytes.Buffer
	r := prototype.NewReport(nil)
	changes, err := o.State(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		at := now
		if !c.Time.IsZero() {
			at = c.Time
		}
		fmt.Fprintf(&b, "%q %s %s\n", c.Key, c.Value, hlc.Stamp{Time: hlc.At(at), Station: "s1"})
	}
	n := 0
	for e, err := range o.Entries(r) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		fmt.Fprintf(&b, "s1.%d.%d %s %s %q %s\n", boot, n, e.Time.Format(time.RFC3339Nano), e.Level, e.Message, e.Fields)
	}
	head := 0
	for v, err := range o.Versions(r) {
		if err != nil {
			t.Fatal(err)
		}
		head++
		fmt.Fprintf(&b, "%d %s %q %q %s %q\n", v.Number, v.Time.Format(time.RFC3339Nano), v.Author, v.Message, v.Hash, v.Text)
	}
	for _, f := range o.Files(r) { // the folder's names are in order
		c, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(c)
		if err := errors.Join(err, c.Close()); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%q %s %s %s %q\n", f.Name, f.Type, f.Time.Format(time.RFC3339Nano), hlc.Stamp{Time: hlc.At(now), Station: "s1"}, content)
	}
	return fmt.Sprintln(1, 1, head) + b.String()
}

// TestFolder: all that the reader gives of the hand-written folder arrives, and
// the counts of the report are those of what arrived.
func TestFolder(t *testing.T) {
	store := memory(t)
	var sums []int64
	r := prototype.NewReport(nil)
	folder := open(t, os.DirFS(testdata), r)
	opts := options()
	opts.Progress = func(_ id.Object, sum int64) { sums = append(sums, sum) }
	if err := importer.Run(t.Context(), folder, r, store, opts); err != nil {
		t.Fatal(err)
	}
	if len(refused(r)) > 0 {
		t.Fatalf("refused: %v", refused(r))
	}
	boot, err := store.Boot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	objects := open(t, os.DirFS(testdata), prototype.NewReport(nil)).Objects()
	for i, o := range objects { // imported in the same instant, so that their stamps differ by the counter
		got := strings.ReplaceAll(read(t, store, o.ID), fmt.Sprintf("%d.%d.s1", now.UnixMilli(), i), fmt.Sprintf("%d.0.s1", now.UnixMilli()))
		if diff := cmp.Diff(want(t, o, boot.Number), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", o.ID, diff)
		}
	}
	if len(objects) < 5 || len(stored(t, store)) != len(objects) {
		t.Errorf("the store has the objects %v", stored(t, store))
	}
	last := int64(0)
	for _, sum := range sums {
		if sum < last {
			t.Fatalf("progress went back from %d to %d", last, sum)
		}
		last = sum
	}
	if total := importer.Size(folder); last != total || total == 0 {
		t.Errorf("progress ended at %d of %d", last, total)
	}
}

func folder(objects ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for _, o := range objects {
		fsys["state/"+o+"/state.tsv"] = &fstest.MapFile{Data: []byte("key\tvalue\nname\t" + o + "\n")}
		fsys["files/"+o+"/f.txt"] = &fstest.MapFile{Data: []byte("file of " + o)}
		fsys["versions/"+o+"/v1.txt"] = &fstest.MapFile{Data: []byte("print('" + o + "')")}
	}
	return fsys
}

func TestObjectThatExists(t *testing.T) {
	store := memory(t)
	take(t, folder("b"), store)
	before := read(t, store, "b")
	fsys := folder("a", "b", "c")
	fsys["state/b/state.tsv"].Data = []byte("key\tvalue\nname\tanother\n")
	r := take(t, fsys, store)
	if got := refused(r); len(got) != 1 || !strings.Contains(got["b"], "which was not touched") {
		t.Errorf("refused: %v, want b alone", got)
	}
	if diff := cmp.Diff(before, read(t, store, "b")); diff != "" {
		t.Errorf("b was touched:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, stored(t, store)); diff != "" {
		t.Error(diff)
	}
	if r.Count(prototype.Layout, prototype.Left) != 1 {
		t.Error("what was refused is no problem of the report")
	}
	var out strings.Builder
	if _, err := r.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"b: not taken: ", "2 objects: 2 keys", "1 objects were not taken"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("the report has no %q:\n%s", line, out.String())
		}
	}
}

// wrapped is a store whose Import first calls a function.
type wrapped struct {
	storage.Storage
	before func(object id.Object, r io.Reader) error
}

func (w wrapped) Import(ctx context.Context, object id.Object, r io.Reader) (storage.ObjectInfo, error) {
	if err := w.before(object, r); err != nil {
		return storage.ObjectInfo{}, err
	}
	if ctx.Err() != nil {
		return storage.ObjectInfo{}, ctx.Err()
	}
	return w.Storage.Import(ctx, object, r)
}

func TestStoreThatFails(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		read  int64 // bytes before it fails
		stops bool
	}{
		{"refuses at once", errs.New(errs.Conflict, "object_exists", "no"), 0, false},
		{"refuses what it has read", errs.New(errs.Invalid, "", "no"), 2000, false},
		{"is gone", errs.New(errs.Unavailable, "", "no"), 0, true},
		{"is gone amid an object", errs.New(errs.Unknown, "", "no"), 2000, true},
		{"fails without a kind", io.ErrClosedPipe, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := memory(t)
			r := prototype.NewReport(nil)
			err := importer.Run(t.Context(), open(t, folder("a", "b", "c"), r), r, wrapped{store, func(o id.Object, r io.Reader) error {
				if o != "b" {
					return nil
				}
				if _, err := io.CopyN(io.Discard, r, c.read); err != nil {
					t.Error(err)
				}
				return c.err
			}}, options())
			if c.stops != errors.Is(err, c.err) || !c.stops && err != nil {
				t.Errorf("Run gave %v", err)
			}
			wantStored, wantRefused := []string{"a", "c"}, 1
			if c.stops {
				wantStored, wantRefused = []string{"a"}, 2
			}
			if diff := cmp.Diff(wantStored, stored(t, store)); diff != "" || len(refused(r)) != wantRefused {
				t.Errorf("refused %v, stored:\n%s", refused(r), diff)
			}
			if got := refused(take(t, folder("a", "b", "c"), store)); len(got) != len(wantStored) {
				t.Errorf("the second import refused %v, want those that were taken", got)
			}
			if diff := cmp.Diff([]string{"a", "b", "c"}, stored(t, store)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStoreThatIsClosed(t *testing.T) {
	store := memory(t)
	if err := store.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := prototype.NewReport(nil)
	err := importer.Run(t.Context(), open(t, folder("a", "b"), r), r, store, options())
	if errs.KindOf(err) != errs.Unavailable || len(refused(r)) != 2 {
		t.Errorf("got %v, refused %v", err, refused(r))
	}
}

// TestCancel: the object in hand is brought to its end.
func TestCancel(t *testing.T) {
	store := memory(t)
	ctx, cancel := context.WithCancel(t.Context())
	r := prototype.NewReport(nil)
	err := importer.Run(ctx, open(t, folder("a", "b", "c"), r), r, wrapped{store, func(o id.Object, _ io.Reader) error {
		if o == "b" {
			cancel()
		}
		return nil
	}}, options())
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, stored(t, store)); diff != "" || len(refused(r)) != 1 {
		t.Errorf("refused %v, stored:\n%s", refused(r), diff)
	}
}

// changing is a folder whose file, opened for the second time, has another content.
type changing struct {
	fstest.MapFS
	name   string
	second string
	opened *int
}

func (c changing) Open(name string) (fs.File, error) {
	if name == c.name {
		if *c.opened++; *c.opened == 2 {
			return fstest.MapFS{name: {Data: []byte(c.second)}}.Open(name)
		}
	}
	return c.MapFS.Open(name)
}

func TestFolderThatChanges(t *testing.T) {
	for _, c := range []struct{ name, file, second string }{
		{"other bytes", "files/b/f.txt", "FILE of b"},
		{"longer", "files/b/f.txt", "file of b, and more"},
		{"shorter", "files/b/f.txt", "file"},
		{"other source", "versions/b/v1.txt", "print('c')"},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := memory(t)
			r := take(t, changing{folder("a", "b", "c"), c.file, c.second, new(int)}, store)
			if got := refused(r); len(got) != 1 || !strings.Contains(got["b"], "changed while") {
				t.Errorf("refused %v, want b alone", got)
			}
			if diff := cmp.Diff([]string{"a", "c"}, stored(t, store)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// gone is a folder in which one file cannot be opened any more.
type gone struct {
	fstest.MapFS
	name string
}

func (g gone) Open(name string) (fs.File, error) {
	if name == g.name {
		return nil, fs.ErrPermission
	}
	return g.MapFS.Open(name)
}

func TestUnreadable(t *testing.T) {
	for _, name := range []string{"state/b/state.tsv", "files/b/f.txt", "versions/b/v1.txt"} {
		store := memory(t)
		got := refused(take(t, gone{folder("a", "b", "c"), name}, store))
		if len(got) != 1 || !strings.Contains(got["b"], "cannot be read") {
			t.Errorf("%s: refused %v, want b alone", name, got)
		}
		if diff := cmp.Diff([]string{"a", "c"}, stored(t, store)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestOverLimits: what a station's scripts could not have written is taken, and noted.
func TestOverLimits(t *testing.T) {
	value, message := strings.Repeat("v", 300<<10), strings.Repeat("m", 70<<10)
	store := memory(t)
	r := take(t, fstest.MapFS{
		"state/a/state.tsv": {Data: []byte("key\tvalue\nbig\t" + value + "\nsmall\t1\n")},
		"logs/a/log.tsv":    {Data: []byte("level\tmessage\nINFO\t" + message + "\n")},
	}, store)
	if len(refused(r)) > 0 || r.Count(prototype.State, prototype.Noted) != 1 || r.Count(prototype.Logs, prototype.Noted) != 1 || r.Of(&prototype.Object{ID: "a"}).Noted != 2 {
		t.Errorf("refused %v, problems %v %v", refused(r), r.Problems(prototype.State), r.Problems(prototype.Logs))
	}
	if got := read(t, store, "a"); !strings.Contains(got, value) || !strings.Contains(got, message) {
		t.Error("the value or the message did not arrive")
	}
	if p := r.Problems(prototype.State)[0]; p.Raw != "big" || !strings.Contains(p.Reason, "over the station's limits") {
		t.Errorf("got %v", p)
	}
}

// TestTimes: a stamp is never later than the import, nor before 1970.
func TestTimes(t *testing.T) {
	store := memory(t)
	r := take(t, fstest.MapFS{"state/a/state.tsv": {Data: []byte(
		"key\tvalue\ttimestamp\nfuture\t1\t2999-01-01T00:00:00Z\nnone\t2\t\nold\t3\t1969-12-31T00:00:00Z\npast\t4\t2025-01-01T00:00:00Z\n")}}, store)
	o, err := store.Load(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, c := range o.State {
		got[c.Key] = c.Stamp.Time.Milli()
	}
	past := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	if diff := cmp.Diff(map[string]int64{"future": now.UnixMilli(), "none": now.UnixMilli(), "old": now.UnixMilli(), "past": past}, got); diff != "" {
		t.Error(diff)
	}
	if r.Count(prototype.State, prototype.Mended) != 2 {
		t.Errorf("problems %v", r.Problems(prototype.State))
	}
}

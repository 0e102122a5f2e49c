package kv_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/kv"
	"github.com/dbbasic/station/sdk/storage/kv/kvtest"
)

// TestReadersKeepWhatTheyRead: a file, an upload and an export are read to their
// end whatever happens to them meanwhile, and their rows go afterwards.
func TestReadersKeepWhatTheyRead(t *testing.T) {
	f := newFixture(t)
	text := strings.Repeat("0123456789", 500)
	f.fill("a", 1, 1, 40)
	f.must(withFile(commit("a", 1, 41), "f", f.upload([]byte(text))))
	want := f.export("a")
	u := f.upload([]byte(text))

	_, file, err := f.ReadFile(t.Context(), "a", "f", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, upload, err := f.ReadUpload(t.Context(), "a", u.ID)
	if err != nil {
		t.Fatal(err)
	}
	export, err := f.Export(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.DropUpload(t.Context(), "a", u.ID); err != nil {
		t.Fatal(err)
	}
	f.must(commit("a", 2, 42))
	f.Sweep()
	for what, r := range map[string]io.ReadCloser{"file": file, "upload": upload, "export": export} {
		b, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if what == "export" && !bytes.Equal(b, want) || what != "export" && string(b) != text {
			t.Errorf("%s: %d bytes, or others", what, len(b))
		}
	}
	f.swept()
	f.digests("a")
}

// TestEndedContext: the rows of a reader whose context has ended are not kept for it.
func TestEndedContext(t *testing.T) {
	f := newFixture(t)
	f.must(withFile(commit("a", 1, 1), "f", f.upload(bytes.Repeat([]byte("x"), 2000))))
	ctx, cancel := contextOf(t)
	_, r, err := f.ReadFile(ctx, "a", "f", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	cancel()
	f.must(commit("a", 2, 2))
	f.swept()
	if _, err := io.ReadAll(r); !errs.Is(err, errs.Unavailable) {
		t.Errorf("reading on gives %v", err)
	}
}

// interrupted is a database in which something happens right before a View.
type interrupted struct {
	kv.DB
	before atomic.Pointer[func()] // of the next one
}

func (d *interrupted) View(f func(kv.Reader) error) error {
	if before := d.before.Swap(nil); before != nil {
		(*before)()
	}
	return d.DB.View(f)
}

// TestContextEndsWithinARead: rows that are gone since the context ended right then
// are no damage.
func TestContextEndsWithinARead(t *testing.T) {
	var db interrupted
	f := &fixture{t: t, disk: kvtest.NewMemory(), wrap: func(to kv.DB) kv.DB { db.DB = to; return &db }}
	f.open()
	f.must(withFile(commit("a", 1, 1), "f", f.upload(bytes.Repeat([]byte("x"), 2000))))
	f.swept()
	ctx, cancel := contextOf(t)
	_, r, err := f.ReadFile(ctx, "a", "f", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	end := func() {
		cancel()
		f.must(commit("a", 2, 2))
		for left := 1; left > 0; _, left, _ = kv.Lost(f.db) {
			f.Sweep() // the View may be the sweeper's own
		}
	}
	db.before.Store(&end)
	if _, err := io.ReadAll(r); !errs.Is(err, errs.Unavailable) {
		t.Errorf("reading gives %v", err)
	}
}

func TestUploadsExpire(t *testing.T) { synctest.Test(t, testUploadsExpire) }

func testUploadsExpire(t *testing.T) {
	f := newFixture(t)
	u := f.upload(bytes.Repeat([]byte("x"), 2000))
	time.Sleep(storage.UploadLife - time.Nanosecond)
	f.Sweep()
	if _, r, err := f.ReadUpload(t.Context(), "a", u.ID); err != nil || r.Close() != nil {
		t.Errorf("an upload before its end: %v", err)
	}
	time.Sleep(time.Nanosecond)
	if _, _, err := f.ReadUpload(t.Context(), "a", u.ID); !errs.Is(err, errs.NotFound) {
		t.Errorf("ReadUpload after its end gives %v", err)
	}
	got := f.Commit(t.Context(), []storage.Commit{withFile(commit("a", 1, 1), "f", u)})[0]
	if !errs.Is(got, errs.Invalid) || errs.From(got).CodeOf() != "no_upload" {
		t.Errorf("a commit of an upload after its end gives %v", got)
	}
	f.Sweep()
	f.swept()
}

// TestUploadsOfARunBefore are taken away by the next start.
func TestUploadsOfARunBefore(t *testing.T) {
	f := newFixture(t)
	f.upload(bytes.Repeat([]byte("x"), 2000))
	if lost, doomed, err := kv.Lost(f.db); len(lost) != 0 || doomed != 1 || err != nil {
		t.Fatalf("%v, %d doomed, %v", lost, doomed, err)
	}
	f.disk.Crash()
	f.open()
	f.swept()
}

// TestGivenUpImport leaves nothing that shows, and nothing at all after a sweep.
func TestGivenUpImport(t *testing.T) {
	f := newFixture(t)
	f.fill("a", 1, 1, 30)
	f.must(withFile(commit("a", 1, 31), "f", f.upload(bytes.Repeat([]byte("x"), 5000))))
	archive := f.export("a")
	for n := 0; n < len(archive)-2000; n += 3000 {
		if _, err := f.Import(t.Context(), "b", bytes.NewReader(archive[:n])); err == nil {
			t.Fatalf("an import of %d of %d bytes was taken", n, len(archive))
		}
		f.swept()
	}
	list, err := f.Objects(t.Context(), storage.ObjectsQuery{Limit: 10})
	if err != nil || len(list) != 1 {
		t.Errorf("the objects are %v, %v", list, err)
	}
	f.digests("a")
}

// TestPagesAreBounded: a search that finds nothing ends its page after a while.
func TestPagesAreBounded(t *testing.T) {
	f := newFixture(t)
	f.fill("a", 1, 1, 100)
	p, err := f.Logs(t.Context(), storage.LogsQuery{Object: "a", Text: "entry 1 is not there", Limit: 1000})
	if err != nil || p.Scanned != 20 || p.Next == "" || len(p.Entries) != 0 {
		t.Errorf("a page of logs looked at %d entries, gave %d and next %q, %v; want 20, 0 and a next", p.Scanned, len(p.Entries), p.Next, err)
	}
	if all := f.logs(storage.LogsQuery{Object: "a", Text: "entry 77", Limit: 5}); len(all) != 1 {
		t.Errorf("all pages gave %d entries", len(all))
	}
	gone := commit("a", 1, 101)
	gone.State = nil
	for n := uint64(1); n <= 100; n++ {
		key := commit("a", 1, n).State[0].Key
		gone.State = append(gone.State, storage.StateChange{Key: key, Deleted: true, Stamp: stamp(101), Was: stamp(n)})
	}
	f.must(gone, commit("a", 1, 102))
	pages, q := 0, storage.StateQuery{Object: "a", Limit: 10}
	var items []storage.StateChange
	for {
		page, err := f.State(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		items = append(items, page.Items...)
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	if pages < 5 || len(items) != 1 || items[0].Key != "k102" {
		t.Errorf("%d pages gave %v; want at least 5, and k102", pages, items)
	}
}

// TestDamage: what cannot be read is an error of what needs it, and of nothing else.
func TestDamage(t *testing.T) {
	f := newFixture(t)
	f.must(commit("b", 1, 1))
	c := withFile(commit("a", 1, 1), "f", f.upload(bytes.Repeat([]byte("x"), 1000)))
	c.Version = &storage.Version{Number: 1, Time: moment(1), Text: []byte("return 1"), Hash: storage.Hash([]byte("return 1"))}
	f.must(c)
	f.fill("a", 1, 2, 5)
	spoil := func(key func(r kv.Reader) []byte) {
		t.Helper()
		if err := f.db.Update(func(w kv.Writer) error {
			k := key(w)
			v, err := w.Get(k)
			if err != nil || len(v) == 0 {
				t.Fatalf("there is no row %q, %v", k, err)
			}
			v = bytes.Clone(v)
			v[len(v)/2] ^= 1
			return w.Put(k, v)
		}); err != nil {
			t.Fatal(err)
		}
	}
	corrupt := func(what string, err error) {
		t.Helper()
		if !errs.Is(err, errs.Corrupt) {
			t.Errorf("%s gives %v, want errs.Corrupt", what, err)
		}
	}
	spoil(func(r kv.Reader) []byte { return kv.EntryKey(r, "a", 2) })
	if log := f.logs(storage.LogsQuery{Object: "a", Limit: 2}); len(log) != 4 {
		t.Errorf("a log with a damaged entry gives %d, want the 4 others", len(log))
	}
	if r, err := f.Export(t.Context(), "a"); err != nil {
		t.Fatal(err)
	} else {
		_, err = io.ReadAll(r)
		corrupt("the export", err)
	}
	spoil(func(r kv.Reader) []byte { return kv.ChunkKey(r, "a", "f", 3) })
	_, r, err := f.ReadFile(t.Context(), "a", "f", 0)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	corrupt("the file", err)
	if len(b) >= 1000 {
		t.Error("all bytes of a damaged file are given")
	}
	spoil(func(r kv.Reader) []byte { return kv.SourceKey(r, "a", 1) })
	_, err = f.Version(t.Context(), "a", 1)
	corrupt("the version", err)
	spoil(func(r kv.Reader) []byte { return kv.StateKey(r, "a", "k3") })
	_, err = f.Load(t.Context(), "a")
	corrupt("Load", err)
	again := commit("a", 1, 6)
	again.State[0].Key, again.State[0].Was = "k3", stamp(3)
	if got := f.Commit(t.Context(), []storage.Commit{again, commit("b", 1, 2)}); !errs.Is(got[0], errs.Unavailable) || got[1] != nil {
		t.Errorf("commits of a damaged key and of another object give %v", got)
	}
	spoil(func(kv.Reader) []byte { return []byte("oa") })
	_, err = f.Load(t.Context(), "a")
	corrupt("Load of a damaged record", err)
	if got := f.Commit(t.Context(), []storage.Commit{commit("a", 1, 6), commit("b", 1, 3)}); !errs.Is(got[0], errs.Unavailable) || got[1] != nil {
		t.Errorf("commits of a damaged object and of another give %v", got)
	}
	if o, err := f.Load(t.Context(), "b"); err != nil || o.Sequence != 3 {
		t.Errorf("the other object: %+v, %v", o, err)
	}
}

// TestForeignDatabase: what is another station's, or newer, is left as it is.
func TestForeignDatabase(t *testing.T) {
	f := newFixture(t)
	f.must(commit("a", 1, 1))
	_ = f.Close(t.Context())
	configure := func(station plugin.Config) error {
		s := kv.New(kv.Options{Log: nil, Open: func(string, plugin.Values) (kv.DB, error) { return f.disk.Open("data") }})
		defer func() { _ = s.Close(t.Context()) }()
		station.DataDir = t.TempDir()
		return s.Configure(t.Context(), station)
	}
	if err := configure(plugin.Config{Station: "other"}); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), `belongs to station "st-1", not to station "other"`) {
		t.Errorf("another station: %v", err)
	}
	db, err := f.disk.Open("data")
	if err != nil {
		t.Fatalf("the database stays locked: %v", err)
	}
	if err := errors.Join(db.Update(func(w kv.Writer) error { return w.Put([]byte("mformat"), []byte("2")) }), db.Close()); err != nil {
		t.Fatal(err)
	}
	if err := configure(plugin.Config{Station: station}); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "has format 2") {
		t.Errorf("a newer format: %v", err)
	}
}

// TestImportMeetsACommit: an object that comes while it is being imported is the one
// that stays.
func TestImportMeetsACommit(t *testing.T) {
	f := newFixture(t)
	f.fill("a", 1, 1, 30)
	archive := f.export("a")
	half := len(archive) / 2
	meets := readFunc(func([]byte) (int, error) {
		f.must(commit("b", 1, 1))
		return 0, io.EOF
	})
	_, err := f.Import(t.Context(), "b", io.MultiReader(bytes.NewReader(archive[:half]), meets, bytes.NewReader(archive[half:])))
	if !errs.Is(err, errs.Conflict) {
		t.Errorf("the import gives %v, want errs.Conflict", err)
	}
	if o, err := f.Load(t.Context(), "b"); err != nil || o.Sequence != 1 || len(o.State) != 1 {
		t.Errorf("the object is %+v, %v", o, err)
	}
	f.swept()
	f.digests("a", "b")
}

type readFunc func(b []byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

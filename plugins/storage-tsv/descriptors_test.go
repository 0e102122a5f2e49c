package storagetsv

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// TestFolderThatCannotBeOpened has no descriptor left at one place of a workload where
// a folder is about to be synced, and at the next few: nothing has reached the disk, so
// the store goes on, and what was acknowledged outlives a power cut, at once or later.
func TestFolderThatCannotBeOpened(t *testing.T) {
	const each = 2 * min(crashOneIn, 4)
	folders, runs := map[string]int{}, 0
	for seed := range uint64(4) {
		for at := 1 + int(seed)%each; withoutDescriptor(t, seed, at, folders); at += each {
			runs++
		}
	}
	t.Logf("%d runs, %v", runs, folders)
	for _, name := range []string{"journal", "files/o0", "logs/o0", "state/o0"} {
		if folders[name] == 0 {
			t.Errorf("the workload never failed to open %s", name)
		}
	}
}

func withoutDescriptor(t *testing.T, seed uint64, at int, folders map[string]int) (came bool) {
	rnd := rand.New(rand.NewPCG(seed, uint64(at)))
	h, m := newHistory(), newMemFS()
	h.mode = modeOf(seed)
	s := h.start(t, m)
	s.fatal = func(err error) { t.Fatalf("seed %d, folder %d: the store ended: %v", seed, at, err) }
	if seed == 3 {
		s.syncAllAbove = 100 // each object's folders, one by one
	}
	opened, times := 0, 1+rnd.IntN(3)
	m.fail = func(op, name string) error {
		if op != "opendir" {
			return nil
		}
		if opened++; opened < at || opened >= at+times {
			return nil
		}
		folders[name]++
		return syscall.EMFILE
	}
	work := rand.New(rand.NewPCG(seed, 0)) // the same operations for each at
	for range 40 {
		h.work(t, s, work, m, 1)
		if opened >= at && rnd.IntN(4) == 0 {
			break
		}
	}
	came = opened >= at
	if rnd.IntN(2) == 0 {
		m.fail = nil
		if err := s.round(true); err != nil || !s.Health(t.Context()).OK {
			t.Fatalf("seed %d, folder %d: the store did not recover: %v, %+v", seed, at, err, s.Health(t.Context()))
		}
	}
	for _, f := range []fate{mixed, lost} {
		m = h.crash(m, f, rnd)
		s = h.start(t, m)
		h.settle(t, s)
	}
	h.nothingLeft(t, s, m)
	return came
}

// TestMovedAsideWithoutDescriptor: a file that was moved to damaged/ while that folder
// could not be opened is there when its loss in its own folder is durable.
func TestMovedAsideWithoutDescriptor(t *testing.T) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	count(t, s, "a", 1, 2)
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	count(t, s, "a", 3, 3)
	failed, opened := false, false
	m.fail = func(op, name string) error {
		switch {
		case op == "write" && name == "state/a/state.tsv" && !failed:
			failed = true
			return syscall.EIO
		case op == "opendir" && name == "damaged" && !opened:
			opened = true
			return syscall.EMFILE
		}
		return nil
	}
	if err := s.round(true); err == nil || !opened || ended != nil {
		t.Fatalf("the round gave %v, the folder was opened: %v, the store ended: %v", err, opened, ended)
	}
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	m = m.after(lost, nil)
	if n := m.find("damaged/state-a-1"); n == nil || !bytes.Contains(n.data, []byte("\nk2\t")) {
		t.Errorf("what was moved aside is lost: %v", m.root.list())
	}
}

// TestHeldSegmentIsNotRefilled: a dropped segment whose old name may come back is not
// filled with newlines before that is gone for good.
func TestHeldSegmentIsNotRefilled(t *testing.T) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	count(t, s, "a", 1, 3)
	m.fail = func(op, name string) error {
		switch {
		case op == "opendir" && name == "journal":
			return syscall.EMFILE
		case op == "sync" && name == spareMaker: // half refilled
			m.crashAt = m.ops
			return errCrash
		}
		return nil
	}
	if err := s.round(true); err == nil {
		t.Fatal("a checkpoint succeeded that could not drop its segment")
	}
	_ = s.keepSpare()
	mixtures(m, func(m *memFS) {
		again, log := memStart(t, m, fsyncAlways)
		wantCount(t, again, "a", 1, 2, 3)
		if again.damage.count() > 0 {
			t.Errorf("a power cut looks like damage:\n%s", log.String())
		}
	})
	m.fail = nil
	if err := s.round(true); err != nil || !s.spare.ready.Load() || m.find(spareMaker) != nil {
		t.Errorf("the round gave %v; a spare is ready: %v", err, s.spare.ready.Load())
	}
}

// TestUploadWithoutFolder: a folder that somebody takes away while a file is uploaded
// costs that file.
func TestUploadWithoutFolder(t *testing.T) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	feed, done := uploading(t, s, "a")
	m.mu.Lock()
	m.find("files").change(nameChange{"a": nil})
	m.mu.Unlock()
	_ = feed.Close()
	if err := <-done; !errs.Is(err, errs.Unavailable) || ended != nil {
		t.Errorf("WriteFile: %v, the store ended: %v", err, ended)
	}
	put(t, s, 1, map[string]string{"f": "one"})
	wantFiles(t, s, map[string]string{"f": "one"})
}

// TestImportTakesUploadsAway: an import moves a folder of no object aside, and with it
// what was uploaded. No commit can name that any more, and the upload that goes on ends.
func TestImportTakesUploadsAway(t *testing.T) {
	h, b := archived(t)
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	u, err := s.WriteFile(t.Context(), "o1", strings.NewReader("whole"))
	if err != nil {
		t.Fatal(err)
	}
	feed, done := uploading(t, s, "o1")
	if _, err := s.Import(t.Context(), "o1", bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	_ = feed.Close()
	if err := <-done; !errs.Is(err, errs.Unavailable) || ended != nil {
		t.Errorf("the upload that went on: %v, the store ended: %v", err, ended)
	}
	commits := h.acked["o1"]
	c := commits[len(commits)-1]
	c.Sequence, c.Version, c.State, c.Entries, c.Working = c.Sequence+1, nil, nil, nil, 0
	c.Files = []storage.FileChange{{Upload: u.ID, File: storage.File{Name: "f", Size: u.Size, Hash: u.Hash, Time: time.Unix(1, 0), Stamp: c.Stamp}}}
	if err := s.Commit(t.Context(), batchOf(c))[0]; errs.From(err).CodeOf() != "no_upload" {
		t.Errorf("a commit of what the import took away: %v", err)
	}
}

// TestImportIsPlacedBesideUploads: uploads of the object that begin while its folders
// are put in their places do not stand in the way.
func TestImportIsPlacedBesideUploads(t *testing.T) {
	_, b := archived(t)
	var ended error
	f := &placingFS{memFS: newMemFS()}
	s := openStore(t, plugin.Config{Station: here, DataDir: "/data"}, func(s *Store) {
		s.openFS = func(string) (fsys, error) { return f, nil }
		s.fatal = func(err error) { ended = err }
		s.manual, s.segmentSize = true, smallSegment
	})
	if _, err := s.WriteFile(t.Context(), "o1", strings.NewReader("before")); err != nil {
		t.Fatal(err)
	}
	var uploads sync.WaitGroup
	f.placing = func() {
		write := func() {
			if _, err := s.WriteFile(context.Background(), "o1", strings.NewReader("meanwhile")); err != nil {
				t.Errorf("WriteFile: %v", err)
			}
		}
		if p := &s.uploads.preparing; p.TryLock() { // nothing keeps it from making the folder
			p.Unlock()
			write()
			return
		}
		uploads.Go(write)
	}
	_, err := s.Import(t.Context(), "o1", bytes.NewReader(b))
	uploads.Wait()
	if err != nil || ended != nil {
		t.Errorf("Import: %v, the store ended: %v", err, ended)
	}
}

// placingFS calls placing before the files of an import get their place, which must
// not be taken.
type placingFS struct {
	*memFS
	placing func()
}

func (f *placingFS) missing(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.find(name) == nil
}

func (f *placingFS) Rename(from, to string) error {
	if from == importDir("files", "o1") {
		f.placing()
		if !f.missing(to) {
			return syscall.ENOTEMPTY
		}
	}
	return f.memFS.Rename(from, to)
}

// descriptorsFS counts the files that are open.
type descriptorsFS struct {
	*memFS
	open, most atomic.Int64
}

type countedFile struct {
	file
	f    *descriptorsFS
	once sync.Once
}

func (f *descriptorsFS) Open(name string, m mode) (file, error) {
	h, err := f.memFS.Open(name, m)
	if err != nil {
		return nil, err
	}
	n := f.open.Add(1)
	f.most.Store(max(n, f.most.Load()))
	return &countedFile{file: h, f: f}, nil
}

func (h *countedFile) Close() error {
	h.once.Do(func() { h.f.open.Add(-1) })
	return h.file.Close()
}

// exporting opens a store with an object a of so many files, which are carried over,
// and begins to export it.
func exporting(t *testing.T, files int) (*Store, *descriptorsFS, map[string]string, io.ReadCloser) {
	t.Helper()
	f := &descriptorsFS{memFS: newMemFS()}
	s := openStore(t, plugin.Config{Station: here, DataDir: "/data"}, func(s *Store) {
		s.openFS = func(string) (fsys, error) { return f, nil }
		s.manual, s.segmentSize = true, smallSegment
	})
	view := map[string]string{}
	for i := range files {
		view[fmt.Sprintf("f%04d", i)] = fmt.Sprint("content of ", i)
	}
	put(t, s, 1, view)
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	pending := map[string]string{"f0001": "pending", "f0002": "pending too", "new": "of a new name"}
	put(t, s, 2, pending)
	for name, content := range pending {
		view[name] = content
	}
	f.most.Store(f.open.Load())
	r, err := s.Export(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return s, f, view, r
}

// TestExportOpensFilesOneByOne: an export holds the files that are changed before it
// comes to them, and gives the object as it was when it began.
func TestExportOpensFilesOneByOne(t *testing.T) {
	s, f, view, r := exporting(t, 200)
	round := func(n uint64, contents map[string]string, deleted ...string) {
		t.Helper()
		c := putting(t, s, n, contents)
		for _, name := range deleted {
			c.Files = append(c.Files, storage.FileChange{File: storage.File{Name: name, Time: time.Unix(1, 0), Stamp: c.Stamp, Deleted: true}})
		}
		if err := s.Commit(t.Context(), batchOf(c))[0]; err != nil {
			t.Fatal(err)
		}
	}
	round(3, map[string]string{"f0001": "later", "f0100": "later", "other": "later"}, "f0101", "new")
	for n := uint64(4); n < 8; n++ { // f0002, which was pending, gets its name first
		if err := s.round(false); err != nil {
			t.Fatal(err)
		}
		round(n, map[string]string{"f0002": fmt.Sprint("later ", n), "f0100": fmt.Sprint("later ", n), "f0101": "again"})
	}
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Import(t.Context(), "b", r); err != nil {
		t.Fatal(err)
	}
	if n := f.most.Load(); n > 40 {
		t.Errorf("%d files were open at a time", n)
	}
	got := map[string]string{}
	list, err := s.Files(t.Context(), storage.FilesQuery{Object: "b", Limit: 1000})
	for _, g := range list {
		_, r, err := s.ReadFile(t.Context(), "b", g.Name, 0)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		_ = r.Close()
		if err != nil {
			t.Fatal(err)
		}
		got[g.Name] = string(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "the files of the copy", got, view)
	wantClosed(t, s, f)
}

// wantClosed waits until no export of object a is left, and with it no open file.
func wantClosed(t *testing.T, s *Store, f *descriptorsFS) {
	t.Helper()
	o := s.objects.get("a")
	left := func() int {
		o.files.Lock()
		defer o.files.Unlock()
		return len(o.exports)
	}
	for late := time.Now().Add(time.Minute); left() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("the export is still known")
		}
	}
	n := f.open.Load()
	if s.journal.active != nil {
		n--
	}
	if n != 0 {
		t.Errorf("%d files are still open", n)
	}
}

// TestExportOfChangedFiles: an export keeps no more than maxHeld files open for what
// changes before it comes to it, and a life that ends, ends it.
func TestExportOfChangedFiles(t *testing.T) {
	for _, how := range []string{"many", "life"} {
		t.Run(how, func(t *testing.T) {
			s, f, view, r := exporting(t, maxHeld+50)
			for name := range view {
				view[name] += ", later"
			}
			c := putting(t, s, 3, view)
			if how == "life" {
				c.Incarnation = 2
			}
			if err := s.Commit(t.Context(), batchOf(c))[0]; err != nil {
				t.Fatal(err)
			}
			if err := s.round(true); err != nil {
				t.Fatal(err)
			}
			if n := f.most.Load(); n > maxHeld+40 {
				t.Errorf("%d files were open at a time", n)
			}
			if _, err := io.Copy(io.Discard, r); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "Try again") {
				t.Errorf("the export gave %v", err)
			}
			if s.damage.count() > 0 {
				t.Error("what has changed is taken for damage")
			}
			wantFiles(t, s, view)
			wantClosed(t, s, f)
		})
	}
}

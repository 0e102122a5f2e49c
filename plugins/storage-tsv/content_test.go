package storagetsv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

// putting is a commit of object a that sets files to contents.
func putting(t testing.TB, s *Store, n uint64, contents map[string]string) storage.Commit {
	t.Helper()
	c := numbered("a", n)
	for name, content := range contents {
		u, err := s.WriteFile(t.Context(), "a", strings.NewReader(content))
		if err != nil {
			t.Fatalf("WriteFile: %v", err)
		}
		c.Files = append(c.Files, storage.FileChange{Upload: u.ID, File: storage.File{
			Name: name, Type: "text/plain", Size: u.Size, Hash: u.Hash, Time: time.Unix(int64(n), 0).UTC(), Stamp: c.Stamp}})
	}
	return c
}

func put(t testing.TB, s *Store, n uint64, contents map[string]string) {
	t.Helper()
	if err := s.Commit(t.Context(), []storage.Commit{putting(t, s, n, contents)})[0]; err != nil {
		t.Fatalf("commit %d: %v", n, err)
	}
}

func readFile(s *Store, name string) (string, error) {
	_, r, err := s.ReadFile(context.Background(), "a", name, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(r)
	return string(b), err
}

func wantFiles(t testing.TB, s *Store, contents map[string]string) {
	t.Helper()
	list, err := s.Files(t.Context(), storage.FilesQuery{Object: "a", Limit: 1000})
	if err != nil || len(list) != len(contents) {
		t.Errorf("files %v, %v; want %d", list, err, len(contents))
	}
	for name, want := range contents {
		if got, err := readFile(s, name); err != nil || got != want {
			t.Errorf("file %q is %q, %v; want %q", name, got, err, want)
		}
	}
}

func FuzzFileName(f *testing.F) {
	for _, s := range []string{"a", "index.tsv", "%index.tsv", "a.tmp", ".upload-1-1", ".", "..", "a/b", `a\b`, "%", "%%", "\x00", "ü", "index.tsv.tmp"} {
		f.Add(s, "%"+s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if storage.CheckFileName(a) != nil || storage.CheckFileName(b) != nil {
			return
		}
		da, db := diskName(a), diskName(b)
		if (a == b) != (da == db) {
			t.Errorf("%q and %q are on disk %q and %q", a, b, da, db)
		}
		p := path.Clean("files/o/" + da)
		if path.Dir(p) != "files/o" || p != "files/o/"+da || len(da) > 255 || strings.ContainsRune(da, 0) {
			t.Errorf("%q is on disk %q, at %q", a, da, p)
		}
		if da == indexFile || strings.HasPrefix(da, ".") || strings.HasSuffix(da, ".tmp") && da[0] != '%' {
			t.Errorf("%q is on disk %q, which is the store's own", a, da)
		}
	})
}

func TestDamagedContent(t *testing.T) {
	for how, damage := range map[string]func(string) error{
		"flipped":  func(p string) error { return os.WriteFile(p, []byte("Xontent"), 0o600) },
		"cut":      func(p string) error { return os.Truncate(p, 3) },
		"emptied":  func(p string) error { return os.Truncate(p, 0) },
		"longer":   func(p string) error { return os.WriteFile(p, []byte("content, and more"), 0o600) },
		"removed":  os.Remove,
		"a folder": func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) },
	} {
		t.Run(how, func(t *testing.T) {
			f := newFolder(t)
			s := f.open()
			put(t, s, 1, map[string]string{"f": "content", "g": "other"})
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := damage(f.path("files/a/f")); err != nil {
				t.Fatal(err)
			}
			s = f.open()
			for range 2 {
				got, err := readFile(s, "f")
				if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), `"f"`) || !strings.Contains(err.Error(), "files/a/index.tsv") {
					t.Errorf("got %q, %v; want errs.Corrupt that names the file and its index", got, err)
				}
				if len(got) >= len("content") {
					t.Errorf("%q was given: as many bytes as the file has", got)
				}
			}
			if got, err := readFile(s, "g"); err != nil || got != "other" {
				t.Errorf("the other file: %q, %v", got, err)
			}
			f.logged("level=WARN", "damage", "file=files/a/f")
			if n := s.damage.count(); n != 1 {
				t.Errorf("%d reports, want one", n)
			}
		})
	}
}

// TestEditedContent accepts an edit as the error says.
func TestEditedContent(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	put(t, s, 1, map[string]string{"f": "content"})
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.write("files/a/f", []byte("mended!!"))
	line := f.read("files/a/index.tsv")
	line = bytes.Replace(line, []byte(storage.Hash([]byte("content"))), []byte(storage.Hash([]byte("mended!!"))), 1)
	line = bytes.Replace(line, []byte("\t7\t"), []byte("\t8\t"), 1)
	line = append(line[:bytes.LastIndexByte(line, '\t')], '\n')
	f.write("files/a/index.tsv", line)
	s = f.open()
	wantFiles(t, s, map[string]string{"f": "mended!!"})
	if s.damage.count() != 0 {
		t.Error("an edit counts as damage")
	}
}

func TestIndexIsRewritten(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	put(t, s, 1, map[string]string{"f": "content"})
	n := uint64(1)
	rounds := func(times int) {
		for range times {
			n++
			c := numbered("a", n)
			for k := range 300 {
				c.Files = append(c.Files, storage.FileChange{File: storage.File{Name: fmt.Sprint(k), Time: time.Unix(1, 0), Stamp: c.Stamp, Deleted: true}})
			}
			if err := errors.Join(s.Commit(t.Context(), []storage.Commit{c})[0], s.round(false)); err != nil {
				t.Fatal(err)
			}
		}
	}
	lines := func() int { return bytes.Count(f.read("files/a/index.tsv"), []byte("\n")) }
	rounds(3)
	if lines() != 1+901 {
		t.Fatalf("%d lines, want 902: not over 1,000 yet", lines())
	}
	b := f.read("files/a/index.tsv")
	b[bytes.Index(b, []byte("\n7\t"))+1] ^= 1 // another name: the columns can be read
	f.write("files/a/index.tsv", b)
	rounds(1)
	if lines() != 1+301 {
		t.Errorf("%d lines, want 302", lines())
	}
	if !bytes.Contains(f.read("damaged/lines.tsv"), []byte("files/a/index.tsv")) {
		t.Error("no copy of the damaged line that the new index does not have")
	}
	var names []string
	for line := range bytes.Lines(f.read("files/a/index.tsv")) {
		if line = bytes.TrimSuffix(line, []byte("\n")); len(names) > 0 && !sealedLine(line) {
			t.Fatalf("a line without its checksum: %q", line)
		}
		name, _, _ := strings.Cut(string(line), "\t")
		names = append(names, name)
	}
	if !slices.IsSorted(names[1:]) {
		t.Error("the new index is not sorted")
	}
	f.kill(s)
	s = f.open()
	wantFiles(t, s, map[string]string{"f": "content"})
	rounds(5)
	if lines() > 1+1000+300 {
		t.Errorf("%d lines: the index is not rewritten in a second run", lines())
	}
	wantFiles(t, s, map[string]string{"f": "content"})
}

// TestBadFileOfFiles puts something else where the store's own files belong.
func TestBadFileOfFiles(t *testing.T) {
	for name, moved := range map[string]string{
		"files/a/index.tsv": "damaged/index-a-1", "files/a/" + strings.Repeat("f", 200): "damaged/file-a-1", "files/a": "damaged/files-a-1",
	} {
		t.Run(path.Base(name), func(t *testing.T) {
			f := newFolder(t)
			s := f.open()
			if name == "files/a" {
				f.write(name, []byte("mine"))
			} else if err := os.MkdirAll(f.path(name+"/mine"), 0o700); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{strings.Repeat("f", 200): "content", "g": "other"}
			put(t, s, 1, want)
			if err := s.round(true); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(f.path(moved)); err != nil {
				t.Error(err)
			}
			f.logged("level=ERROR", "moved_to="+moved)
			wantFiles(t, s, want)
			f.kill(s)
			wantFiles(t, f.open(), want)
		})
	}
}

// TestNewLifeDropsFiles: what the store has not made stays.
func TestNewLifeDropsFiles(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	put(t, s, 1, map[string]string{"f": "content", ".g": "other"})
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	f.write("files/a/notes.txt", []byte("mine"))
	pending := putting(t, s, 2, map[string]string{"h": "never carried over"})
	next := putting(t, s, 3, map[string]string{"i": "of the new life"})
	next.Incarnation = 2
	if err := errors.Join(s.Commit(t.Context(), []storage.Commit{pending, next})...); err != nil {
		t.Fatal(err)
	}
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, s, map[string]string{"i": "of the new life"})
	if names, err := s.fs.ReadDir("files/a"); err != nil || !slices.Equal(names, []string{"i", "index.tsv", "notes.txt"}) {
		t.Errorf("left are %v, %v", names, err)
	}
}

// TestNamesAreDurable cuts the power behind a checkpoint, of one object's files by
// themselves and of the whole file system.
func TestNamesAreDurable(t *testing.T) { namesAreDurable(t) }

func namesAreDurable(t testing.TB) {
	for _, above := range []int{0, 64} {
		var ended error
		m := newMemFS()
		s := memStore(t, m, &ended)
		s.syncAllAbove = above
		put(t, s, 1, map[string]string{"f": "one", "g": "gone"})
		if err := s.round(true); err != nil {
			t.Fatal(err)
		}
		c := putting(t, s, 2, map[string]string{"f": "two"})
		c.Files = append(c.Files, storage.FileChange{File: storage.File{Name: "g", Time: time.Unix(2, 0), Stamp: c.Stamp, Deleted: true}})
		if err := errors.Join(s.Commit(t.Context(), []storage.Commit{c})[0], s.round(true)); err != nil {
			t.Fatal(err)
		}
		m = m.after(lost, nil)
		wantFiles(t, memStore(t, m, &ended), map[string]string{"f": "two"})
		if names, _ := m.ReadDir("files/a"); !slices.Equal(names, []string{"f", "index.tsv"}) {
			t.Errorf("left are %v", names)
		}
	}
}

// TestPowerCutWithinAWipe: what the index of an older life names is gone for good
// before the index is, in whatever order the names reach the disk.
func TestPowerCutWithinAWipe(t *testing.T) { powerCutWithinAWipe(t) }

func powerCutWithinAWipe(t testing.TB) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	put(t, s, 1, map[string]string{"f": "one", "g": "one"})
	c := numbered("a", 2)
	c.Incarnation = 2
	if err := errors.Join(s.round(true), s.Commit(t.Context(), []storage.Commit{c})[0], s.round(false)); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(50) {
		m := m.after(mixed, rand.New(rand.NewPCG(seed, 0)))
		s := memStore(t, m, &ended)
		if err := s.round(true); err != nil {
			t.Fatal(err)
		}
		if names, _ := m.ReadDir("files/a"); len(names) > 0 {
			t.Fatalf("seed %d: left are %v", seed, names)
		}
	}
}

// TestFailedRoundOfFiles fails the index: the upload has its name already.
func TestFailedRoundOfFiles(t *testing.T) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	put(t, s, 1, map[string]string{"f": "one", "g": "g"})
	m.fail = func(op, name string) error {
		if op == "write" && name == "files/a/index.tsv" {
			return syscall.ENOSPC
		}
		return nil
	}
	if err := s.round(true); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("round: %v", err)
	}
	wantFiles(t, s, map[string]string{"f": "one", "g": "g"})
	put(t, s, 2, map[string]string{"f": "two"})
	wantFiles(t, s, map[string]string{"f": "two", "g": "g"})
	_ = s.round(true)
	wantFiles(t, memStore(t, m.after(killed, nil), &ended), map[string]string{"f": "two", "g": "g"})
	m.fail = nil
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, s, map[string]string{"f": "two", "g": "g"})
}

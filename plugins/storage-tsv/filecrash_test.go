package storagetsv

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// addFiles gives a commit changes of files, and leaves some uploads to nobody.
func (h *history) addFiles(t testing.TB, s *Store, rnd *rand.Rand, c *storage.Commit) {
	for _, name := range []string{"%b ü", ".c", "index.tsv"} {
		what := rnd.IntN(20)
		if what > 3 {
			continue
		}
		h.tick++
		f := storage.File{Name: name, Time: time.Unix(int64(h.tick), 5000).UTC(), Stamp: c.Stamp}
		if what == 0 {
			f.Deleted = true
			c.Files = append(c.Files, storage.FileChange{File: f})
			continue
		}
		content := strings.Repeat(fmt.Sprint(h.tick), rnd.IntN(3))
		u, err := s.WriteFile(context.Background(), c.Object, strings.NewReader(content))
		if err != nil {
			if !errs.Is(err, errs.Unavailable) {
				t.Errorf("WriteFile: %v", err)
			}
			continue
		}
		if what == 3 {
			if rnd.IntN(2) == 0 {
				if err := s.DropUpload(context.Background(), c.Object, u.ID); err != nil && !errs.Is(err, errs.Unavailable) {
					t.Errorf("DropUpload: %v", err)
				}
			}
			continue
		}
		h.bytes[u.Hash] = content
		f.Type, f.Size, f.Hash = "text/plain", u.Size, u.Hash
		c.Files = append(c.Files, storage.FileChange{File: f, Upload: u.ID})
	}
}

// filesOf is what the commits make of an object's files.
func filesOf(commits []storage.Commit) []storage.File {
	files := map[string]storage.File{}
	for i, c := range commits {
		if i > 0 && c.Incarnation != commits[i-1].Incarnation {
			clear(files)
		}
		for _, f := range c.Files {
			files[f.Name] = f.File
		}
	}
	var list []storage.File
	for _, name := range slices.Sorted(maps.Keys(files)) {
		list = append(list, files[name])
	}
	return list
}

// sameFiles checks that an object's files are exactly what its commits make, byte for byte.
func (h *history) sameFiles(t testing.TB, name id.Object, s *Store, commits []storage.Commit) {
	t.Helper()
	want := filesOf(commits)
	got, err := s.Files(context.Background(), storage.FilesQuery{Object: name, Limit: 100, Tombstones: true})
	if err != nil {
		t.Fatalf("Files: %v", err)
	}
	diff(t, "files of "+string(name), got, want)
	for _, f := range want {
		_, r, err := s.ReadFile(context.Background(), name, f.Name, 0)
		if f.Deleted {
			if !errs.Is(err, errs.NotFound) {
				t.Fatalf("ReadFile of the deleted %q of %s: %v", f.Name, name, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("ReadFile of %q of %s: %v", f.Name, name, err)
		}
		b, err := io.ReadAll(r)
		if err != nil || string(b) != h.bytes[f.Hash] {
			t.Fatalf("%q of %s is %q, want %q: %v", f.Name, name, b, h.bytes[f.Hash], err)
		}
	}
}

// nothingLeft checks that the folders hold nothing but the files there are, once
// they have been written to and everything is carried over.
func (h *history) nothingLeft(t testing.TB, s *Store, m *memFS) {
	t.Helper()
	if err := s.round(true); err != nil {
		t.Fatalf("round: %v", err)
	}
	for name, commits := range h.acked {
		h.sameFiles(t, name, s, commits)
		if err := s.readyFiles(name); err != nil {
			t.Fatal(err)
		}
		var want []string
		list := filesOf(commits)
		for _, f := range list {
			if !f.Deleted {
				want = append(want, diskName(f.Name))
			}
		}
		if len(list) > 0 {
			want = append(want, indexFile)
		}
		slices.Sort(want)
		got, _ := m.ReadDir(filesDir(name))
		diff(t, "what is in the folder of "+string(name), got, want)
	}
	for _, n := range m.find("damaged").list() {
		if n != "lines.tsv" { // torn lines of logs and tables
			t.Fatalf("damaged/ holds %s", n)
		}
	}
}

func (n *node) list() []string {
	if n == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(n.names))
}

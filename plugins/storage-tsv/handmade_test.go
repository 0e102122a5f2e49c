package storagetsv

import (
	"errors"
	"strings"
	"testing"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// What a line says is looked at also where its checksum is right: a person may
// have computed it, or a program that is not this one.

// bothWays gives a line without its checksum and with it.
func bothWays(columns ...string) map[string][]byte {
	line := strings.Join(columns, "\t")
	return map[string][]byte{"by hand": []byte(line + "\n"), "sealed": seal([]byte(line), 0)}
}

// TestHandmadeStateLine: a line of state that cannot be read is left out and reported,
// by a page and by Load, whichever comes first.
func TestHandmadeStateLine(t *testing.T) {
	for how, line := range bothWays("m", "1", "no stamp") {
		for _, page := range []bool{true, false} {
			f := newFolder(t)
			s := f.open()
			count(t, s, "a", 1, 2)
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.write("state/a/state.tsv", append(f.read("state/a/state.tsv"), line...))
			s = f.open()
			if page {
				p, err := s.State(t.Context(), storage.StateQuery{Object: "a", Limit: 9})
				if err != nil || len(p.Items) != 3 {
					t.Errorf("%s: %d keys, %v; want 3", how, len(p.Items), err)
				}
			} else {
				wantCount(t, s, "a", 1, 2)
			}
			if s.damage.count() != 1 || s.damage.edited.Load() != 0 {
				t.Errorf("%s: %d damaged lines, %d edited; want 1 and none", how, s.damage.count(), s.damage.edited.Load())
			}
			f.logged("file=state/a/state.tsv line=5 ", "it cannot be read")
		}
	}
}

// TestHandmadeFileLine: no line of an index names a file outside its folder, for a
// list, a read, or the wipe of a new life.
func TestHandmadeFileLine(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	put(t, s, 1, map[string]string{"f": "content"})
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	index := f.read("files/a/index.tsv")
	cols := strings.Split(strings.Split(string(index), "\n")[1], "\t")
	for _, name := range []string{"../b/index.tsv", "../../station.tsv", "", "x/y"} {
		cols[0] = name
		for how, line := range bothWays(cols[:indexColumns]...) {
			f.write("files/a/index.tsv", append(index[:len(index):len(index)], line...))
			s := f.open()
			wantFiles(t, s, map[string]string{"f": "content"})
			if s.damage.count() != 1 {
				t.Errorf("%q %s: %d damaged lines, want 1", name, how, s.damage.count())
			}
			names, err := s.wipeNames(s.objects.get("a"), nil)
			if err != nil || len(names) != 1 || !names["f"] {
				t.Errorf("%q %s: a new life would drop %v, %v; want f alone", name, how, names, err)
			}
			f.kill(s)
		}
	}
}

// TestHandmadeRow: a row whose hash is none is damage, and put back from the versions.
func TestHandmadeRow(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	c := numbered("a", 1)
	c.Version = version(1, "return 1")
	if err := errors.Join(s.Commit(t.Context(), batchOf(c))[0], s.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	rows := f.read(objectsFile)
	cols := strings.Split(strings.Split(strings.TrimSuffix(string(rows), "\n"), "\n")[1], "\t")
	if id.Object(cols[0]) != "a" || cols[5] != c.Version.Hash {
		t.Fatalf("the row is %q", cols)
	}
	cols[5] = cols[5][:63]
	for how, line := range bothWays(cols[:objectsColumns]...) {
		f.write(objectsFile, append([]byte(objectsHeader), line...))
		s := f.open()
		list, err := s.Objects(t.Context(), storage.ObjectsQuery{Limit: 9})
		if err != nil || len(list) != 1 || list[0].Hash != c.Version.Hash || list[0].Head != 1 {
			t.Errorf("%s: the objects are %v, %v", how, list, err)
		}
		if s.damage.count() == 0 {
			t.Errorf("%s: the row was taken", how)
		}
		f.kill(s)
	}
}

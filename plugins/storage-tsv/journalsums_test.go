package storagetsv

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// lineAt gives where the n-th line that begins so stands in a segment.
func lineAt(t *testing.T, b []byte, begins string, n int) (from, to int) {
	t.Helper()
	for range n {
		i := bytes.Index(b[to:], []byte("\n"+begins))
		if i < 0 {
			t.Fatalf("there are fewer than %d lines that begin with %q", n, begins)
		}
		from = to + i + 1
		to = from + bytes.IndexByte(b[from:], '\n')
	}
	return from, to
}

// TestDamagedJournal damages lines of a journal of four batches, of which the second
// has commits of a, with a version, and of b: what is lost, and what is not.
func TestDamagedJournal(t *testing.T) {
	all := []uint64{1, 2, 3, 4}
	for what, c := range map[string]struct {
		spoil   func(t *testing.T, b []byte) []byte
		a, b    []uint64 // commits that are left
		version bool
		damage  bool
	}{
		"nothing": {func(_ *testing.T, b []byte) []byte { return b }, all, []uint64{1}, true, false},
		"the object of a commit": {func(t *testing.T, b []byte) []byte {
			from, _ := lineAt(t, b, "commit\tb", 1)
			b[from+len("commit\t")] = 'z'
			return b
		}, all, nil, true, true},
		"the author of a version": {func(t *testing.T, b []byte) []byte {
			from, _ := lineAt(t, b, "version\t", 1)
			i := bytes.Index(b[from:], []byte("somebody"))
			b[from+i] = 'S'
			return b
		}, []uint64{1, 3, 4}, []uint64{1}, false, true},
		"a line that is missing": {func(t *testing.T, b []byte) []byte {
			from, to := lineAt(t, b, "version\t", 1) // the last of its commit
			return append(b[:from:from], b[to+1:]...)
		}, []uint64{1, 3, 4}, []uint64{1}, false, true},
		"the chain of a batch": {func(t *testing.T, b []byte) []byte {
			_, to := lineAt(t, b, "batch\t", 3)
			b[to-1] ^= 1
			return b
		}, all, []uint64{1}, true, true},
		"the number of a batch": {func(t *testing.T, b []byte) []byte {
			from, _ := lineAt(t, b, "batch\t", 3)
			b[from+len("batch\t")] = 'x'
			return b
		}, all, []uint64{1}, true, true},
		"the offset in the last batch": {func(t *testing.T, b []byte) []byte {
			from, _ := lineAt(t, b, "batch\t", 4)
			b[from+len("batch\t4\t")] = '9' // behind the end
			return b
		}, []uint64{1, 2, 3}, []uint64{1}, true, false}, // torn
		"an offset within the last batch": {func(t *testing.T, b []byte) []byte {
			_, before := lineAt(t, b, "batch\t", 3)
			from, to := lineAt(t, b, "batch\t", 4)
			line := strings.Split(string(b[from:to]), "\t")
			line[2] = strconv.Itoa(before + 1 + len("commit\t"))
			return append(append(b[:from:from], strings.Join(line, "\t")...), '\n')
		}, []uint64{1, 2, 3}, []uint64{1}, true, false}, // torn: it does not say what was durable
		"a chain that is no number": {func(t *testing.T, b []byte) []byte {
			_, to := lineAt(t, b, "batch\t", 3)
			b[to-1] = 'x'
			return b
		}, all, []uint64{1}, true, true},
	} {
		t.Run(what, func(t *testing.T) {
			f := newFolder(t)
			s := f.open()
			second := numbered("a", 2)
			second.Version = version(1, "return 1")
			second.Version.Author = "somebody"
			count(t, s, "a", 1, 1)
			if err := errors.Join(s.Commit(t.Context(), []storage.Commit{second, numbered("b", 1)})...); err != nil {
				t.Fatal(err)
			}
			count(t, s, "a", 3, 4)
			f.kill(s)
			f.write("journal/000001.tsv", c.spoil(t, usedPart(f.read("journal/000001.tsv"))))
			s = f.open()
			wantCount(t, s, "a", c.a...)
			if c.b != nil {
				wantCount(t, s, "b", c.b...)
			}
			for _, name := range s.objects.list() {
				if name != "a" && (name != "b" || c.b == nil) {
					t.Errorf("there is an object %q", name)
				}
			}
			if list, err := s.Versions(t.Context(), storage.VersionsQuery{Object: "a", Limit: 9}); err != nil || (len(list) == 1) != c.version {
				t.Errorf("versions %v, %v", list, err)
			}
			if got := s.damage.count() > 0; got != c.damage {
				t.Errorf("damage %v, want %v", got, c.damage)
			}
		})
	}
}

// TestCommitCutInASealedSegment: of a commit whose last lines are gone nothing is taken.
func TestCommitCutInASealedSegment(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 2)
	if err := s.sealActive(); err != nil {
		t.Fatal(err)
	}
	count(t, s, "b", 1, 1)
	f.kill(s)
	b := usedPart(f.read("journal/000001.tsv"))
	from, _ := lineAt(t, b, "log\t", 2)
	f.write("journal/000001.tsv", b[:from])
	s = f.open()
	wantCount(t, s, "a", 1)
	wantCount(t, s, "b", 1)
	f.logged("lines of this commit are missing")
}

// TestJournalHoldsNoCommit: whole lines that are no valid commit are damage too.
func TestJournalHoldsNoCommit(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	bad := numbered("a", 1)
	bad.Version = version(1, "return 1")
	bad.Version.Text = []byte("return 2")
	if err := s.Commit(t.Context(), []storage.Commit{bad})[0]; err == nil {
		t.Error("a version of another hash was taken")
	}
	s.batch.lines = linesOf(&bad)
	if err := s.write(); err != nil {
		t.Fatal(err)
	}
	s.batch.release()
	count(t, s, "b", 1, 1)
	f.kill(s)
	s = f.open()
	wantCount(t, s, "b", 1)
	if list := s.objects.list(); len(list) != 1 || list[0] != id.Object("b") || s.damage.count() != 1 {
		t.Errorf("objects %v, %d damaged lines", list, s.damage.count())
	}
}

// TestPartOfABoot: what is left of a damaged line of station.tsv is not taken for
// a boot number that a person has typed.
func TestPartOfABoot(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	s.boot = 12
	if err := s.writeStation(); err != nil {
		t.Fatal(err)
	}
	f.kill(s)
	b := string(f.read(stationFile))
	f.write(stationFile, []byte(strings.Replace(b, "boot\t12\t", "boot\t1\n2\t", 1)))
	if got, _ := f.open().Boot(t.Context()); got.Number <= 12 {
		t.Errorf("boot %d after boot 12", got.Number)
	}
}

package storagetsv

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

func TestTornTailIsCut(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 3)
	f.kill(s)
	whole := usedPart(f.read("journal/000001.tsv"))
	torn := linesOf(new(numbered("a", 4))) // without its batch line
	f.write("journal/000001.tsv", slices.Concat(whole, torn, newlines))
	s = f.open()
	wantCount(t, s, "a", 1, 2, 3)
	f.logged("torn tail", fmt.Sprintf("bytes=%d", len(torn)-bytes.Count(torn, []byte{'\n'})))
	if s.damage.count() != 0 {
		t.Error("a torn tail counts as damage")
	}
	if b := f.read("journal/000001.tsv"); !bytes.Equal(b, slices.Concat(whole, cutLine)) {
		t.Errorf("the segment has %d bytes after the cut, want %d and the line that says so", len(b), len(whole))
	}
	count(t, s, "a", 4, 4)
}

func TestFlippedByteInJournal(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	if r := s.Commit(t.Context(), []storage.Commit{numbered("a", 1), numbered("b", 1), numbered("c", 1)}); slices.ContainsFunc(r, func(err error) bool { return err != nil }) {
		t.Fatal(r)
	}
	count(t, s, "a", 2, 4)
	f.kill(s)
	b := f.read("journal/000001.tsv")
	b[bytes.Index(b, []byte("commit\tb"))+80] ^= 1
	f.write("journal/000001.tsv", b)
	s = f.open()
	wantCount(t, s, "a", 1, 2, 3, 4)
	wantCount(t, s, "c", 1)
	if o, _ := s.Load(t.Context(), "b"); len(o.State) != 0 {
		t.Errorf("the damaged commit left %v", o.State)
	}
	f.logged("journal/000001.tsv", "line=7", "damaged/lines.tsv")
	if !bytes.Contains(f.read("damaged/lines.tsv"), []byte("journal/000001.tsv")) {
		t.Error("damaged/lines.tsv does not hold the line")
	}
}

func TestDamagedAndEditedLines(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 4)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	state := f.read("state/a/state.tsv")
	state[bytes.Index(state, []byte("k2\t2"))+3] = '7' // a wrong checksum
	state = append(state, "hand\t\"made\"\t5.0.st-1\n"...)
	state = append(state, "bad\tnot json\t5.0.st-1\n"...)
	f.write("state/a/state.tsv", state)
	log := f.read("logs/a/log.tsv")
	log = bytes.Replace(log, []byte("st-1.1.3"), []byte("st-1.1.9"), 1)
	log = append(log, "st-1.1.77\t2026-01-02T03:04:05Z\tINFO\ttyped\t\n"...)
	f.write("logs/a/log.tsv", log)
	s = f.open()
	for range 2 {
		o, err := s.Load(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, c := range o.State {
			keys = append(keys, c.Key)
		}
		if want := []string{"hand", "k1", "k3", "k4", "n"}; !slices.Equal(keys, want) {
			t.Errorf("keys %v, want %v", keys, want)
		}
		p, err := s.Logs(t.Context(), storage.LogsQuery{Object: "a", Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Entries) != 4 || p.Entries[0].Message != "typed" {
			t.Errorf("log %+v, want 4 entries, the typed one first", p.Entries)
		}
	}
	if d := s.damage.count(); d != 3 {
		t.Errorf("%d damaged lines, want 3, however often they are read", d)
	}
	f.logged("file=state/a/state.tsv line=3 offset=", "file=logs/a/log.tsv line=4 offset=", "lines_edited_by_hand=0")
}

func TestDamagedVersion(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	c := numbered("a", 1)
	c.Version = version(1, "return 1")
	if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.write("versions/a/v1.lua", []byte("return 2"))
	_, err := f.open().Version(t.Context(), "a", 1)
	if !errs.Is(err, errs.Corrupt) {
		t.Errorf("got %v, want errs.Corrupt", err)
	}
}

// TestLostRow loses the row of an object, and the whole of objects.tsv.
func TestLostRow(t *testing.T) {
	for _, how := range []string{"flipped", "removed"} {
		t.Run(how, func(t *testing.T) {
			f := newFolder(t)
			s := f.open()
			c := numbered("a", 1)
			c.Version = version(1, "return 1")
			if err := s.Commit(t.Context(), []storage.Commit{c, numbered("b", 1)})[0]; err != nil {
				t.Fatal(err)
			}
			if err := s.round(true); err != nil {
				t.Fatal(err)
			}
			count(t, s, "a", 2, 3)
			f.kill(s)
			b := f.read("objects.tsv")
			b[bytes.Index(b, []byte("\na\t"))+3] ^= 1
			f.write("objects.tsv", b)
			if how == "removed" {
				if err := os.Remove(f.path("objects.tsv")); err != nil {
					t.Fatal(err)
				}
			}
			s = f.open()
			wantCount(t, s, "a", 1, 2, 3)
			wantCount(t, s, "b", 1)
			o, _ := s.Load(t.Context(), "a")
			if o.Sequence != 3 || o.Head != 1 {
				t.Errorf("sequence %d, head %d; want 3 and 1", o.Sequence, o.Head)
			}
			count(t, s, "a", 4, 4)
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantCount(t, f.open(), "a", 1, 2, 3, 4)
		})
	}
}

// TestLostRowOfALaterLife loses the row of an object in its second
// incarnation: the journal says so, and its files are kept.
func TestLostRowOfALaterLife(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	for n := uint64(1); n <= 3; n++ {
		c := numbered("a", n)
		c.Incarnation = 2
		if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
			t.Fatal(err)
		}
		if n == 2 {
			if err := s.round(true); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.kill(s)
	if err := os.Remove(f.path("objects.tsv")); err != nil {
		t.Fatal(err)
	}
	s = f.open()
	for range 2 {
		wantCount(t, s, "a", 1, 2, 3)
		if o, _ := s.Load(t.Context(), "a"); o.Incarnation != 2 || o.Sequence != 3 {
			t.Errorf("incarnation %d, sequence %d; want 2 and 3", o.Incarnation, o.Sequence)
		}
		if err := s.round(true); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFailedFsyncOfACopy: what is going to be cut off is copied first. Where the
// copy or its name cannot be synced the store ends, as after any failed fsync, and
// nothing is cut off: whether a reader meets it, the carrier, a merge or a start.
func TestFailedFsyncOfACopy(t *testing.T) {
	start := func(t *testing.T, m *memFS, s *Store) error {
		if err := s.abandon(); err != nil {
			t.Fatal(err)
		}
		again := New(slog.New(slog.DiscardHandler), "test")
		again.openFS = func(string) (fsys, error) { return m, nil }
		again.manual, again.segmentSize = true, smallSegment
		return again.Configure(t.Context(), plugin.Config{Station: here, DataDir: "/data"})
	}
	for who, c := range map[string]struct {
		file  string
		spoil func([]byte) []byte
		meet  func(*testing.T, *memFS, *Store) error
	}{
		"reader": {"state/a/state.tsv", func(b []byte) []byte { return append(b, "precious"...) }, func(t *testing.T, _ *memFS, s *Store) error {
			_, err := s.Load(t.Context(), "a")
			return err
		}},
		"carrier": {"state/a/state.tsv", func(b []byte) []byte { return append(b, "precious"...) }, func(_ *testing.T, _ *memFS, s *Store) error {
			return s.round(false)
		}},
		"merge": {"state/a/state.tsv", func(b []byte) []byte { return append(b, "precious\n"...) }, func(t *testing.T, _ *memFS, s *Store) error {
			s.levels.recent = 50
			if err := s.round(false); err != nil {
				t.Errorf("the round before the merge: %v", err)
			}
			return errors.New(s.Health(t.Context()).Problem)
		}},
		"start, log": {"logs/a/log.tsv", func(b []byte) []byte { return append(b, "precious\n"...) }, start},
		"start, journal": {"journal/000001.tsv", func(b []byte) []byte {
			return bytes.Replace(b, []byte("log\tst-1.1."), []byte("precious-1.1."), 2) // one copy is tried
		}, start},
	} {
		for _, what := range []string{"sync damaged/lines.tsv", "syncdir damaged", "syncdir ."} {
			t.Run(who+","+what, func(t *testing.T) {
				m := newMemFS()
				var ended error
				s := memStore(t, m, &ended)
				count(t, s, "a", 1, 2)
				if err := s.round(false); err != nil {
					t.Fatal(err)
				}
				count(t, s, "a", 3, 3)
				n := m.find(c.file)
				n.data = c.spoil(bytes.Clone(n.data))
				failed := false
				m.fail = func(op, name string) error {
					if m.find("damaged/lines.tsv") == nil {
						return nil
					}
					if failed && (op == "sync" || op == "syncdir" || op == "rename" || op == "truncate") {
						t.Errorf("%s of %s after an fsync that failed", op, name)
					}
					if op+" "+name != what {
						return nil
					}
					failed = true
					return syscall.EIO
				}
				if err := c.meet(t, m, s); err == nil || !failed {
					t.Errorf("got %v", err)
				}
				if ended == nil && !bytes.HasPrefix([]byte(who), []byte("start")) { // whose error ends the process
					t.Error("the store goes on")
				}
				if !bytes.Contains(m.find(c.file).data, []byte("precious")) {
					t.Errorf("%s has lost what has no copy", c.file)
				}
			})
		}
	}
}

// TestNoCopyOfTheJournal: a start that cannot keep a copy of what is damaged in the
// journal says so and drops nothing: the next one has all that this one had.
func TestNoCopyOfTheJournal(t *testing.T) {
	for what, spoil := range map[string]func(b []byte) []byte{
		"a line":                   func(b []byte) []byte { return bytes.Replace(b, []byte("log\tst-1.1.2"), []byte("precious-1.1.2"), 1) },
		"two lines":                func(b []byte) []byte { return bytes.Replace(b, []byte("log\tst-1.1."), []byte("precious-1.1."), 2) },
		"a header line":            func(b []byte) []byte { return bytes.Replace(b, []byte("journal\t1"), []byte("precious\t1"), 1) },
		"a newline between lines":  func(b []byte) []byte { return bytes.Replace(b, []byte("\nlog\tst-1.1.2"), []byte("xlog\tst-1.1.2"), 1) },
		"the chain of a batch":     func(b []byte) []byte { i := bytes.Index(b, []byte("\nbatch\t3")); b[i-1] ^= 1; return b },
		"a line of a full segment": nil,
	} {
		for _, op := range []string{"mkdir damaged", "create damaged/lines.tsv", "write damaged/lines.tsv"} {
			for _, cause := range []syscall.Errno{syscall.ENOSPC, syscall.EIO, syscall.EACCES} {
				t.Run(fmt.Sprint(what, ",", op, ",", cause), func(t *testing.T) { noCopyOfTheJournal(t, spoil, op, cause) })
			}
		}
	}
}

func noCopyOfTheJournal(t *testing.T, spoil func([]byte) []byte, op string, cause syscall.Errno) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	count(t, s, "a", 1, 4)
	if spoil == nil {
		spoil = func(b []byte) []byte { return bytes.Replace(b, []byte("log\tst-1.1.2"), []byte("precious-1.1.2"), 1) }
		if err := s.sealActive(); err != nil {
			t.Fatal(err)
		}
	}
	count(t, s, "b", 1, 2)
	if err := s.abandon(); err != nil {
		t.Fatal(err)
	}
	n := m.find(segmentName(1))
	n.put(spoil(bytes.Clone(n.data)))
	spoilt := usedPart(n.data)
	m.fail = func(o, name string) error {
		if o+" "+name == op {
			return cause
		}
		return nil
	}
	refused := New(slog.New(slog.DiscardHandler), "test")
	refused.openFS = func(string) (fsys, error) { return m, nil }
	refused.manual, refused.segmentSize = true, smallSegment
	err := refused.Configure(t.Context(), plugin.Config{Station: here, DataDir: "/data"})
	if !isUnavailable(err) || !errors.Is(err, cause) || !strings.Contains(err.Error(), diskSays(cause)) || !strings.Contains(err.Error(), segmentName(1)) {
		t.Fatalf("got %v, want errs.Unavailable that says why", err)
	}
	if got := usedPart(m.find(segmentName(1)).data); !bytes.Equal(got, spoilt) {
		t.Errorf("the segment has %d bytes, %d before:\n%s", len(got), len(spoilt), got)
	}
	m.fail = nil
	m = m.after(lost, nil)
	s = memStore(t, m, &ended)
	if o, err := s.Load(t.Context(), "b"); err != nil || o.Sequence != 2 {
		t.Errorf("b is at sequence %d, %v; want 2", o.Sequence, err)
	}
	if err := s.round(true); err != nil { // which drops the segment
		t.Fatal(err)
	}
	if n := m.after(lost, nil).find("damaged/lines.tsv"); n == nil || m.find(segmentName(1)) != nil {
		t.Errorf("the segment went without a copy: %v", m.root.list())
	}
}

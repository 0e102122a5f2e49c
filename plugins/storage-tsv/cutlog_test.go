package storagetsv

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/dbbasic/station/sdk/storage"
)

// TestTornTailThatWasCarriedOver: the disk lost a batch that it had, and what is
// committed next begins where the good part ends.
func TestTornTailThatWasCarriedOver(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 5)
	if err := s.round(false); err != nil {
		t.Fatal(err)
	}
	f.kill(s)
	b := usedPart(f.read("journal/000001.tsv"))
	b[len(b)-40] ^= 1
	f.write("journal/000001.tsv", b)
	s = f.open()
	if s.journal.torn == 0 || s.journal.replayed != 4 {
		t.Errorf("%d bytes were cut off and %d commits replayed; want the last of 5 torn", s.journal.torn, s.journal.replayed)
	}
	wantCount(t, s, "a", 1, 2, 3, 4, 5)
	count(t, s, "b", 1, 1)
	f.kill(s)
	s = f.open()
	wantCount(t, s, "a", 1, 2, 3, 4, 5)
	wantCount(t, s, "b", 1)
	if p, err := s.State(t.Context(), storage.StateQuery{Object: "a", Prefix: "n", Limit: 1}); err != nil || string(p.Items[0].Value) != "5" {
		t.Errorf("n is %v, %v after a second start; want 5, which the journal has lost", p.Items, err)
	}
	if strings.Contains(f.log.String(), "does not continue") {
		t.Error("the chain goes on from a batch that was cut off")
	}
}

// TestEditedLogAfterKill: a person adds and changes entries while the journal
// still holds them.
func TestEditedLogAfterKill(t *testing.T) {
	const typed = "\t2026-01-02T03:04:05Z\tINFO\tby hand\t\n"
	for name, c := range map[string]struct {
		edit func(lines []string) []string
		want []uint64
	}{
		"Added":   {func(l []string) []string { return append(l, "st-1.1.77"+typed) }, []uint64{1, 2, 3, 4, 5, 77}},
		"Changed": {func(l []string) []string { l[3] = "st-1.1.3" + typed; return l }, []uint64{1, 2, 3, 4, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			s := f.open()
			count(t, s, "a", 1, 5)
			if err := s.round(false); err != nil {
				t.Fatal(err)
			}
			f.kill(s)
			lines := slices.Collect(strings.Lines(string(f.read("logs/a/log.tsv"))))
			f.write("logs/a/log.tsv", []byte(strings.Join(c.edit(lines), "")))
			s = f.open()
			for range 2 {
				p, err := s.Logs(t.Context(), storage.LogsQuery{Object: "a", Oldest: true, Limit: 100})
				if err != nil {
					t.Fatal(err)
				}
				var got []uint64
				by := 0
				for _, e := range p.Entries {
					got = append(got, e.ID.Sequence)
					if e.Message == "by hand" {
						by++
					}
				}
				if !slices.Equal(got, c.want) || by != 1 {
					t.Errorf("entries %v, %d of them by hand; want %v and 1", got, by, c.want)
				}
				if err := s.round(true); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestNothingIsCutWithoutACopy: where damaged/lines.tsv cannot be written, what
// would be cut off stays.
func TestNothingIsCutWithoutACopy(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 2)
	if err := s.round(false); err != nil {
		t.Fatal(err)
	}
	f.kill(s)
	f.write("logs/a/log.tsv", append(f.read("logs/a/log.tsv"), "precious\n"...))
	f.write("state/a/state.tsv", append(f.read("state/a/state.tsv"), "precious"...))
	if err := os.MkdirAll(f.path("damaged/lines.tsv"), 0o700); err != nil {
		t.Fatal(err)
	}
	s = f.open()
	if _, err := s.Load(t.Context(), "a"); err == nil {
		t.Error("the last line was cut off without a copy")
	}
	for _, name := range []string{"logs/a/log.tsv", "state/a/state.tsv"} {
		if !bytes.Contains(f.read(name), []byte("precious")) {
			t.Errorf("%s has lost its last line", name)
		}
	}
	if err := errors.Join(os.Remove(f.path("damaged/lines.tsv")), s.round(true)); err != nil {
		t.Fatal(err)
	}
	wantCount(t, s, "a", 1, 2)
	if !bytes.Contains(f.read("damaged/lines.tsv"), []byte("precious")) {
		t.Error("damaged/lines.tsv has no copy")
	}
}

// TestCutBehindAJoinedLine: the log is cut between two lines whose newline was destroyed.
func TestCutBehindAJoinedLine(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 2)
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	count(t, s, "a", 3, 4)
	if err := s.carryAll(); err != nil {
		t.Fatal(err)
	}
	f.kill(s)
	b := f.read("logs/a/log.tsv")
	b[bytes.Index(b, []byte("\nst-1.1.3\t"))] = 'x'
	f.write("logs/a/log.tsv", b)
	for range 2 {
		s = f.open()
		wantCount(t, s, "a", 1, 2, 3, 4)
		if err := s.round(true); err != nil {
			t.Fatal(err)
		}
		f.kill(s)
	}
	f.logged("file=logs/a/log.tsv line=3 ", joinedLines)
	if s.damage.count() > 0 {
		t.Error("the second start finds damage too")
	}
}

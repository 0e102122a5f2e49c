package storagetsv

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// TestBootBehindTheJournal loses the boot number on a machine whose clock is
// behind it, and brings an old one back.
func TestBootBehindTheJournal(t *testing.T) {
	for _, how := range []string{"lost", "old"} {
		t.Run(how, func(t *testing.T) {
			f := newFolder(t)
			s := f.open()
			old := f.read("station.tsv")
			c := numbered("a", 1)
			c.Entries[0].ID.Boot = uint64(time.Now().Unix()) + 1000
			if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
				t.Fatal(err)
			}
			f.kill(s)
			f.write("station.tsv", old)
			if how == "lost" {
				if err := os.Remove(f.path("station.tsv")); err != nil {
					t.Fatal(err)
				}
			}
			if b, _ := f.open().Boot(t.Context()); b.Number != c.Entries[0].ID.Boot+1 {
				t.Errorf("boot %d behind the journal's %d", b.Number, c.Entries[0].ID.Boot)
			}
		})
	}
}

// TestFirstStartKilled kills the first start at each operation: the next one
// does not take the folder for one that has lost its boot number.
func TestFirstStartKilled(t *testing.T) {
	for _, f := range []fate{killed, lost} {
		for at := 1; ; at++ {
			m := newMemFS()
			m.crashAt = at
			first := newHistory().start(t, m)
			if !m.crashed() {
				_ = first.Close(t.Context())
				break
			}
			m = m.after(f, nil)
			var log lockedBuffer
			s := openStore(t, plugin.Config{Station: here, DataDir: "/data"}, func(s *Store) {
				s.openFS = func(string) (fsys, error) { return m, nil }
				s.log = slog.New(slog.NewTextHandler(&log, nil))
				s.manual = true
			})
			if b, _ := s.Boot(t.Context()); b.Number > 2 || strings.Contains(log.String(), "lost") {
				t.Errorf("killed at operation %d: boot %d\n%s", at, b.Number, log.String())
			}
		}
	}
}

// TestMakeAll makes folders, and takes those that are there, also below one
// that may not be listed.
func TestMakeAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		if err := makeAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Dir(dir), 0o300); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(makeAll(dir), os.Chmod(filepath.Dir(dir), 0o700)); err != nil {
		t.Error(err)
	}
}

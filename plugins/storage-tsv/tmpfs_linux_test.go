package storagetsv

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dbbasic/station/sdk/plugin"
)

// TestSmallDisk fills a real file system of 2 MiB: with segments that do not
// fit it, and with small ones that are filled ahead.
func TestSmallDisk(t *testing.T) {
	for name, size := range map[string]int64{"Unfilled": segmentSize, "Filled": 128 << 10} {
		t.Run(name, func(t *testing.T) { smallDisk(t, size) })
	}
}

func smallDisk(t *testing.T, size int64) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("cannot mount a small file system here (that needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	config := plugin.Config{Station: here, DataDir: filepath.Join(dir, "data")}
	with := func(s *Store) {
		s.manual, s.segmentSize = true, size
		s.log = slog.New(slog.DiscardHandler)
	}
	s := openStore(t, config, with)
	var kept []uint64
	refused := 0
	for n := uint64(1); refused < 3; n++ {
		if n > 20_000 {
			t.Fatal("the disk does not become full")
		}
		if len(s.journal.sealed) > 0 {
			_ = s.round(false) // a full disk fails it
		}
		if err := s.Commit(t.Context(), batchOf(numbered("a", n)))[0]; err == nil {
			kept = append(kept, n)
			continue
		} else if !errors.Is(err, syscall.ENOSPC) || !isUnavailable(err) || !strings.Contains(err.Error(), "The disk is full") {
			t.Fatalf("commit %d: %v; want errs.Unavailable that says that the disk is full", n, err)
		}
		n--
		refused++
	}
	t.Logf("full after %d commits", len(kept))
	wantKeys(t, s, len(kept))
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := s.round(true); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	next := uint64(len(kept) + 1)
	for n := next; n < next+5; n++ {
		if err := s.Commit(t.Context(), batchOf(numbered("a", n)))[0]; err != nil {
			t.Fatal(err)
		}
	}
	if err := s.abandon(); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, openStore(t, config, with), len(kept)+5)
}

// wantKeys checks that an object holds the keys of its first n commits.
func wantKeys(t *testing.T, s *Store, n int) {
	t.Helper()
	o, err := s.Load(t.Context(), "a")
	if err != nil || int(o.Sequence) != n || len(o.State) != n+1 {
		t.Fatalf("sequence %d with %d keys, %v; want %d commits", o.Sequence, len(o.State), err, n)
	}
}

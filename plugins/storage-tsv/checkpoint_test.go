package storagetsv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"testing"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// commitTo commits one small change to each of n objects.
func commitTo(tb testing.TB, s *Store, n int, sequence uint64) {
	tb.Helper()
	batch := make([]storage.Commit, n)
	for i := range batch {
		batch[i] = counting(id.Object(fmt.Sprintf("o%d", i)), sequence)
	}
	if err := errors.Join(s.Commit(context.Background(), batch)...); err != nil {
		tb.Fatal(err)
	}
}

// TestCheckpointOfManyObjects counts what a checkpoint syncs: each file of a
// few objects, the file system for many.
func TestCheckpointOfManyObjects(t *testing.T) {
	for objects, all := range map[int]int{syncAllAbove: 0, syncAllAbove + 1: 1} {
		var ended error
		m := newMemFS()
		s := memStore(t, m, &ended)
		commitTo(t, s, objects, 1)
		ops := map[string]int{}
		m.fail = func(op, _ string) error { ops[op]++; return nil }
		if err := s.round(true); err != nil {
			t.Fatal(err)
		}
		if ops["syncall"] != all || (ops["sync"] > 2) == (all == 1) {
			t.Errorf("%d objects: %v, want %d of syncall", objects, ops, all)
		}
		m.fail = nil
		s = memStore(t, m.after(lost, nil), &ended)
		if o, err := s.Load(t.Context(), "o1"); err != nil || len(o.State) != 1 || s.journal.replayed != 0 {
			t.Errorf("after a power cut: %+v, %v; %d replayed", o, err, s.journal.replayed)
		}
	}
}

func TestFailedSyncAllEndsTheStore(t *testing.T) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	commitTo(t, s, syncAllAbove+1, 1)
	m.fail = func(op, _ string) error {
		if op == "syncall" {
			return syscall.EIO
		}
		return nil
	}
	if err := s.round(true); !errors.Is(err, syscall.EIO) || !errors.Is(ended, syscall.EIO) {
		t.Errorf("round: %v, ended with %v; want EIO", err, ended)
	}
}

// TestSyncAllUnsupported falls back to one sync per file.
func TestSyncAllUnsupported(t *testing.T) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	commitTo(t, s, syncAllAbove+1, 1)
	syncs := 0
	m.fail = func(op, _ string) error {
		if op == "syncall" {
			return errors.ErrUnsupported
		}
		if op == "sync" {
			syncs++
		}
		return nil
	}
	if err := s.round(true); err != nil || syncs <= 2*syncAllAbove {
		t.Errorf("%v, %d syncs; want one per file", err, syncs)
	}
}

// BenchmarkCheckpoint checkpoints small changes of 20,000 objects, file by file
// and at once.
func BenchmarkCheckpoint(b *testing.B) {
	for name, above := range map[string]int{"ByFile": 1 << 30, "AtOnce": syncAllAbove} {
		b.Run(name, func(b *testing.B) {
			s := New(slog.New(slog.DiscardHandler), "test")
			s.manual, s.syncAllAbove = true, above
			if err := s.Configure(b.Context(), plugin.Config{Station: here, DataDir: b.TempDir()}); err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close(context.Background()) }()
			for n := uint64(1); b.Loop(); n++ {
				b.StopTimer()
				commitTo(b, s, 20_000, n)
				if err := s.carryAll(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := s.round(true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

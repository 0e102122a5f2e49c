package storagetsv

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", checks); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

func TestContract(t *testing.T) {
	for name, with := range map[string]func(*Store){
		"Default": func(s *Store) { s.openFS, s.segmentSize = openOS, segmentSize },
		// Small segments and a carrier that never rests: reads meet rounds and checkpoints.
		"Eager": func(s *Store) { s.segmentSize, s.carryDelay = 4<<10, 0 },
		// A log of many files: pages, cursors and times meet their ends everywhere.
		"SmallLogFiles": func(s *Store) { s.logSize, s.carryDelay = 300, 0 },
		// Merges all the time.
		"Merging": func(s *Store) { s.levels, s.carryDelay = levelSizes{recent: 300, middle: 500}, 0 },
	} {
		t.Run(name, func(t *testing.T) {
			storagetest.Run(t, func(t *testing.T) storage.Storage {
				return newStore(t, cheap, with)
			})
		})
	}
	// Reads come from the files alone, nothing being pending.
	t.Run("FilesOnly", func(t *testing.T) {
		storagetest.Run(t, func(t *testing.T) storage.Storage {
			return carried{newStore(t, cheap, func(s *Store) {
				s.manual, s.logSize, s.levels = true, 1000, levelSizes{recent: 1 << 10, middle: 4 << 10}
			})}
		})
	})
	// Each store is killed, never closed: reads after opening come from a replay.
	t.Run("Killed", func(t *testing.T) {
		storagetest.Run(t, func(t *testing.T) storage.Storage {
			return mortal{newStore(t, cheap, func(s *Store) { s.segmentSize, s.logSize, s.carryDelay = 64<<10, 500, time.Millisecond })}
		})
	})
}

// cheap is for all but one of the variants: no fsync, and small segments to fill.
func cheap(s *Store) { s.openFS, s.segmentSize = openUnsynced, smallSegment }

// carried carries each batch over before it gives the results.
type carried struct{ *Store }

func (s carried) Commit(ctx context.Context, c []storage.Commit) []error {
	r := s.Store.Commit(ctx, c)
	if err := s.enter(); err == nil {
		defer s.leave()
		if err := s.round(false); err != nil {
			panic(err)
		}
	}
	return r
}

// mortal ends as a process does that is killed.
type mortal struct{ *Store }

func (s mortal) Close(context.Context) error { return s.abandon() }

// abandon releases what a dead process would, and writes nothing.
func (s *Store) abandon() error {
	s.stopCarrier()
	s.life.Lock()
	defer s.life.Unlock()
	if s.phase != open {
		return nil
	}
	s.phase = closed
	s.journal.release()
	return s.fs.Close()
}

// newStore gives a store that waits for Configure.
func newStore(t testing.TB, with ...func(*Store)) *Store {
	s := New(slog.New(slog.NewTextHandler(t.Output(), nil)), "test")
	s.fatal = func(err error) { t.Errorf("the store ended itself: %v", err) }
	for _, f := range with {
		f(s)
	}
	return s
}

// openStore gives a configured store that ends with the test.
func openStore(t testing.TB, c plugin.Config, with ...func(*Store)) *Store {
	t.Helper()
	s := newStore(t, with...)
	if err := s.Configure(t.Context(), c); err != nil {
		t.Fatalf("Configure: %v", err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

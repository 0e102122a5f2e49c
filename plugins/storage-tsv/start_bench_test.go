package storagetsv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// BenchmarkStart starts the store on an empty folder, and after a kill with all
// the full segments that may wait and one more that is half full.
func BenchmarkStart(b *testing.B) {
	killed := b.TempDir()
	commits := leaveJournal(b, killed)
	for _, from := range []struct{ name, dir string }{{"Empty", b.TempDir()}, {"Killed", killed}} {
		b.Run(from.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				dir := b.TempDir()
				if err := os.CopyFS(dir, os.DirFS(from.dir)); err != nil {
					b.Fatal(err)
				}
				fs, err := openOS(dir)
				if err != nil {
					b.Fatal(err)
				}
				// A journal is on the disk: the start does not have to write it.
				if err := errors.Join(fs.SyncAll(), fs.Close()); err != nil && !errors.Is(err, errors.ErrUnsupported) {
					b.Fatal(err)
				}
				s := New(slog.New(slog.DiscardHandler), "test")
				s.manual = true
				b.StartTimer()
				if err := s.Configure(b.Context(), plugin.Config{Station: here, DataDir: dir}); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := s.abandon(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			if from.dir == killed {
				b.ReportMetric(float64(commits), "commits")
			}
		})
	}
}

// leaveJournal commits to 64 objects without carrying anything over, ends the
// store as a kill does, and says how many commits its journal holds.
func leaveJournal(b *testing.B, dir string) (commits int) {
	b.Helper()
	s := New(slog.New(slog.DiscardHandler), "test")
	s.manual = true
	if err := s.Configure(b.Context(), plugin.Config{Station: here, DataDir: dir}); err != nil {
		b.Fatal(err)
	}
	for len(s.journal.sealed) < maxSealed || s.journal.size < segmentSize/2 {
		batch := make([]storage.Commit, 64)
		for i := range batch {
			batch[i] = counting(id.Object(fmt.Sprintf("counter-%d", i)), uint64(commits/64+1))
		}
		for _, err := range s.Commit(context.Background(), batch) {
			if err != nil {
				b.Fatal(err)
			}
		}
		commits += len(batch)
	}
	if err := s.abandon(); err != nil {
		b.Fatal(err)
	}
	return commits
}

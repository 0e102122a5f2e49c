package storagetsv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

func BenchmarkCommit(b *testing.B) {
	storagetest.BenchCommits(b, func() storage.Storage { return New(slog.New(slog.DiscardHandler), "test") })
}

// BenchmarkFile writes and reads a file of 100 MiB, in process and through gRPC.
func BenchmarkFile(b *testing.B) {
	const size = 100 << 20
	for _, way := range []string{"InProcess", "GRPC"} {
		store := func(b *testing.B) storage.Storage {
			s := New(slog.New(slog.DiscardHandler), "test")
			if err := s.Configure(b.Context(), plugin.Config{Station: here, DataDir: b.TempDir()}); err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = s.Close(context.Background()) })
			if way == "InProcess" {
				return s
			}
			return storagetest.Connect(b, s)
		}
		b.Run(way+"/Write", func(b *testing.B) {
			s := store(b)
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				u, err := s.WriteFile(b.Context(), "a", io.LimitReader(zeros{}, size))
				if err == nil {
					err = s.DropUpload(b.Context(), "a", u.ID)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(way+"/Read", func(b *testing.B) {
			s := store(b)
			u, err := s.WriteFile(b.Context(), "a", io.LimitReader(zeros{}, size))
			if err != nil {
				b.Fatal(err)
			}
			c := counting("a", 1)
			c.Files = []storage.FileChange{{Upload: u.ID, File: storage.File{Name: "f", Size: u.Size, Hash: u.Hash, Stamp: c.Stamp}}}
			if err := s.Commit(b.Context(), []storage.Commit{c})[0]; err != nil {
				b.Fatal(err)
			}
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				_, r, err := s.ReadFile(b.Context(), "a", "f", 0)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 256<<10)); n != size || err != nil {
					b.Fatal(n, err)
				}
				_ = r.Close()
			}
		})
	}
}

// zeros is a source that costs nothing.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// counting is a typical small commit.
func counting(name id.Object, sequence uint64) storage.Commit {
	st := hlc.Stamp{Time: hlc.Time(sequence), Station: here}
	return storage.Commit{
		Object: name, Incarnation: 1, Sequence: sequence, Stamp: st, RequestID: "0198c0de-1111-7000-8000-000000000000", Source: 1,
		State:   []storage.StateChange{{Key: "count", Value: []byte("12345"), Stamp: st}},
		Entries: []storage.Entry{{ID: id.Entry{Station: here, Boot: 1, Sequence: sequence}, Level: storage.Info, Message: "counted"}},
	}
}

// BenchmarkPending reads a page of an object of which so many commits are pending, all
// of the same key or each of its own.
func BenchmarkPending(b *testing.B) {
	for _, n := range []uint64{20, 2_000, 10_000} {
		for what, commit := range map[string]func(id.Object, uint64) storage.Commit{"OneKey": counting, "OwnKeys": numbered} {
			m := newMemFS()
			s := openStore(b, plugin.Config{Station: here, DataDir: "/data"}, func(s *Store) {
				s.openFS = func(string) (fsys, error) { return m, nil }
				s.manual, s.segmentSize = true, 4<<20
			})
			for i := uint64(0); i < n; {
				var batch []storage.Commit
				for ; len(batch) < 64 && i < n; i++ {
					batch = append(batch, commit("a", i+1))
				}
				if err := errors.Join(s.Commit(b.Context(), batch)...); err != nil {
					b.Fatal(err)
				}
			}
			for _, page := range []struct {
				name string
				read func() error
			}{
				{"Logs", func() error {
					_, err := s.Logs(b.Context(), storage.LogsQuery{Object: "a", Limit: 20})
					return err
				}},
				{"State", func() error {
					_, err := s.State(b.Context(), storage.StateQuery{Object: "a", Limit: 20})
					return err
				}},
			} {
				b.Run(fmt.Sprintf("%s/%d/%s", page.name, n, what), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if err := page.read(); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// BenchmarkLoneCommit commits so seldom that each commit finds the carrier idle.
func BenchmarkLoneCommit(b *testing.B) {
	s := New(slog.New(slog.DiscardHandler), "test")
	if err := s.Configure(b.Context(), plugin.Config{Station: here, DataDir: b.TempDir()}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close(context.Background()) })
	var took []time.Duration
	for n := uint64(1); b.Loop(); n++ {
		time.Sleep(3 * carryDelay)
		c := counting("a", n)
		began := time.Now()
		err := s.Commit(b.Context(), []storage.Commit{c})[0]
		took = append(took, time.Since(began))
		if err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs/median")
}

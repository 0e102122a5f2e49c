package storagetsv

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// BenchmarkCommit commits one key and one log entry at a time, durably, in
// batches of 1, 16 and 64 spread over 64 objects.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := New(slog.New(slog.DiscardHandler), "test")
			if err := s.Configure(b.Context(), plugin.Config{Station: here, DataDir: b.TempDir()}); err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close(context.Background()) }()
			names := make([]id.Object, 64)
			for i := range names {
				names[i] = id.Object(fmt.Sprintf("counter-%d", i))
			}
			n := uint64(0)
			batch := make([]storage.Commit, size)
			b.ReportAllocs()
			for b.Loop() {
				for i := range batch {
					batch[i] = counting(names[n%64], n/64+1)
					n++
				}
				for _, err := range s.Commit(b.Context(), batch) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

// counting is a typical small commit.
func counting(name id.Object, sequence uint64) storage.Commit {
	st := hlc.Stamp{Time: hlc.Time(sequence), Station: here}
	return storage.Commit{
		Object: name, Incarnation: 1, Sequence: sequence, Stamp: st, RequestID: "0198c0de-1111-7000-8000-000000000000", Source: 1,
		State:   []storage.StateChange{{Key: "count", Value: []byte("12345"), Stamp: st}},
		Entries: []storage.Entry{{ID: id.Entry{Station: here, Boot: 1, Sequence: sequence}, Level: storage.Info, Message: "counted"}},
	}
}

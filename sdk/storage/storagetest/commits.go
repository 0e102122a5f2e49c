package storagetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// BenchCommits measures commits of one key and one log entry each, in batches of
// 1, 16 and 64, as that many writers make them, spread over 64 objects. Fresh gives
// a store that waits to be configured, as a Maker does.
func BenchCommits(b *testing.B, fresh func() storage.Storage) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			s := fresh()
			if err := s.Configure(b.Context(), plugin.Config{Station: testStation, DataDir: b.TempDir()}); err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close(context.Background()) }()
			w := writing{last: map[id.Object]hlc.Stamp{}}
			batch := make([]storage.Commit, writers)
			b.ReportAllocs()
			for b.Loop() {
				for i := range batch {
					batch[i] = w.next()
				}
				for _, err := range s.Commit(b.Context(), batch) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(w.n)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

// writing gives one commit after the other, of one object after the other.
type writing struct {
	n    uint64
	last map[id.Object]hlc.Stamp
}

func (w *writing) next() storage.Commit {
	object := id.Object(fmt.Sprintf("counter-%d", w.n%64))
	sequence := w.n/64 + 1
	w.n++
	stamp := hlc.Stamp{Time: hlc.At(epochStart) + hlc.Time(w.n)<<16, Station: testStation}
	was := w.last[object]
	w.last[object] = stamp
	return storage.Commit{
		Object: object, Incarnation: 1, Sequence: sequence, Stamp: stamp, RequestID: "01990000-0000-7000-8000-000000000000",
		State: []storage.StateChange{{Key: "count", Value: fmt.Append(nil, sequence), Stamp: stamp, Was: was}},
		Entries: []storage.Entry{{ID: id.Entry{Station: testStation, Boot: 1, Sequence: sequence}, Time: epochStart.Add(time.Duration(w.n) * time.Millisecond),
			Level: storage.Info, Message: "counted", Fields: fmt.Appendf(nil, `{"count":%d}`, sequence)}},
	}
}

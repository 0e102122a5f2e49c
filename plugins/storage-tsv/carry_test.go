package storagetsv

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbbasic/station/sdk/plugin"
)

// TestCarrierRests: a key that is set all the time is carried over once in a
// round, and where rounds take long the carrier rests longer, up to a limit.
func TestCarrierRests(t *testing.T) {
	const seconds = 4
	for _, c := range []struct {
		took        time.Duration // by the file of state
		least, most int64         // rounds in that time
	}{
		{0, 75, 82},                     // one each 50 ms
		{time.Millisecond, 73, 80},      // 51 ms
		{10 * time.Millisecond, 18, 21}, // 10 ms of 210
		{200 * time.Millisecond, 3, 5},  // 200 ms of 1,200, the longest rest
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &slowFS{memFS: newMemFS(), took: c.took}
			s := openStore(t, plugin.Config{Station: here, DataDir: "/data"}, func(s *Store) {
				s.openFS, s.segmentSize = func(string) (fsys, error) { return f, nil }, 512<<10
			})
			for i := range uint64(seconds * 200) {
				time.Sleep(5 * time.Millisecond)
				count(t, s, "a", i+1, i+1)
			}
			if n := f.rounds.Load(); n < c.least || n > c.most {
				t.Errorf("with a file that takes %v %d rounds in %d s, want %d to %d", c.took, n, seconds, c.least, c.most)
			}
		})
	}
}

// slowFS takes its time to open a file of state, and counts how often it is done.
type slowFS struct {
	*memFS
	took   time.Duration
	rounds atomic.Int64
}

func (f *slowFS) Open(name string, m mode) (file, error) {
	if name == "state/a/state.tsv" && m == toWrite {
		f.rounds.Add(1)
		time.Sleep(f.took)
	}
	return f.memFS.Open(name, m)
}

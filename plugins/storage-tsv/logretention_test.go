package storagetsv

import (
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// TestLogRetention removes what is too old, by the running maximum, and
// nothing else. Cursors into what is gone go on with what is left.
func TestLogRetention(t *testing.T) {
	f := newFolder(t)
	now := time.Unix(1000, 0)
	keep := func(s *Store) {
		s.logRetention, s.now = 800*time.Second, func() time.Time { return now }
	}
	s := f.small(1<<20, keep)
	var want []storage.Entry
	for n := range uint64(40) { // one entry in 25 s, a file in 100 s and some
		now = time.Unix(1000+25*int64(n), 0)
		at := now.Unix()
		if n%4 == 3 {
			at -= 600 // late: kept with the file that it arrived in
		}
		want = append(want, logged(t, s, "a", n+1, at, 5))
		logged(t, s, "idle", n+1, at, 5)
		if err := s.round(true); err != nil {
			t.Fatal(err)
		}
	}
	n := len(f.logDir("a", "log-*.tsv"))
	if n < 5 || n > 10 {
		t.Errorf("%d closed files in 1,000 s, want about 8", n)
	}
	if p, err := s.Logs(t.Context(), storage.LogsQuery{Object: "a", Limit: 1, Oldest: true}); err != nil || p.Entries[0].ID.Sequence == 1 {
		t.Errorf("%+v, %v; want the first entries to be gone", p, err)
	}
	up, err := s.Logs(t.Context(), storage.LogsQuery{Object: "a", Limit: 3, Oldest: true})
	if err != nil {
		t.Fatal(err)
	}
	down, err := s.Logs(t.Context(), storage.LogsQuery{Object: "a", Limit: 28})
	if err != nil {
		t.Fatal(err)
	}
	if up.Next == "" || down.Next == "" {
		t.Fatal("a page has no next")
	}
	now = now.Add(600 * time.Second)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = f.small(1<<20, keep)
	if err := s.sweepSome(); err != nil {
		t.Fatal(err)
	}
	got, err := walk(s, storage.LogsQuery{Object: "a", Limit: 7, Oldest: true})
	if err != nil {
		t.Fatal(err)
	}
	old := now.Add(-800 * time.Second)
	left := want[len(want)-len(got):]
	diff(t, "what is left", got, left)
	kept := inRange(want, old, now.Add(time.Hour))
	if len(kept) == 0 || len(left) < len(kept) || len(left) > len(kept)+8 {
		t.Errorf("%d entries are left, %d are not too old", len(left), len(kept))
	}
	rest, err := walk(s, storage.LogsQuery{Object: "a", Limit: 7, Oldest: true, Cursor: up.Next})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "upwards from a file that was removed", rest, left)
	if rest, err = walk(s, storage.LogsQuery{Object: "a", Limit: 7, Cursor: down.Next}); err != nil || len(rest) != 0 {
		t.Errorf("downwards into what was removed: %v, %v", rest, err)
	}
	now = now.Add(2000 * time.Second)
	if err := s.sweepSome(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "idle"} {
		if list := f.logDir(name, "*"); len(list) != 0 {
			t.Errorf("left of a log that is too old: %v", list)
		}
	}
	last := logged(t, s, "a", 41, now.Unix(), 5)
	wantLog(t, s, "a", []storage.Entry{last})
	if s.objects.get("idle").log != nil {
		t.Error("a sweep keeps what it read of a log that nobody asks about")
	}
}

// TestSweepByItself waits for the carrier's own sweep at the start.
func TestSweepByItself(t *testing.T) {
	f := newFolder(t)
	s := f.small(1 << 20)
	logged(t, s, "a", 1, 1000, 5)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	openStore(t, f.config, func(s *Store) { s.logRetention = time.Hour })
	for end := time.Now().Add(time.Minute); len(f.logDir("a", "*")) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still there: %v", f.logDir("a", "*"))
		}
	}
}

// TestCrashWithRetention crashes at every operation of a workload whose old
// entries are removed: nothing else is lost, nothing stands twice or elsewhere.
func TestCrashWithRetention(t *testing.T) {
	const keep = 40 * time.Second
	runs, removed := 0, 0
	for _, fate := range []fate{lost, killed, mixed} {
		for at := 1; ; at++ {
			rnd := rand.New(rand.NewPCG(7, uint64(at)))
			m := newMemFS()
			m.crashAt = at
			var acked []storage.Entry
			n, clock := uint64(0), int64(1000)
			open := func() *Store {
				s := New(slog.New(slog.DiscardHandler), "test")
				s.openFS = func(string) (fsys, error) { return m, nil }
				s.fatal = func(error) {}
				s.manual, s.segmentSize, s.logSize, s.syncAllAbove = true, 2000, 400, 1<<30
				s.logRetention, s.now = keep, func() time.Time { return time.Unix(clock, 0) }
				if err := s.Configure(t.Context(), plugin.Config{Station: here, DataDir: "/data"}); err != nil {
					if !m.crashed() {
						t.Fatalf("Configure: %v", err)
					}
					return nil
				}
				return s
			}
			work := func(s *Store, steps int) {
				for i := range steps {
					if m.crashed() {
						return
					}
					clock += 3
					c := counting("a", n+1)
					c.Entries[0].Time = time.Unix(clock-int64(n%3)*4, 0).UTC()
					switch err := s.Commit(t.Context(), []storage.Commit{c})[0]; {
					case err == nil || errs.Is(err, errs.Unknown):
						acked = append(acked, c.Entries[0])
						n++
					case !errs.Is(err, errs.Unavailable):
						t.Fatalf("Commit: %v", err)
					}
					if i%9 == 4 {
						clock += 100 // what no checkpoint has covered is too old at once
					}
					if i%3 == 1 {
						_ = s.round(i%4 == 0) // a crash fails it
						_ = s.sweepSome()
					}
				}
			}
			settle := func(s *Store) {
				o, err := s.Load(t.Context(), "a")
				if err != nil || o.Sequence > n {
					t.Fatalf("%d commits, %+v, %v", n, o, err)
				}
				acked, n = acked[:o.Sequence], o.Sequence
				got, err := walk(s, storage.LogsQuery{Object: "a", Limit: 5, Oldest: true})
				if err != nil {
					t.Fatal(err)
				}
				young := inRange(acked, time.Unix(clock, 0).Add(-keep), time.Unix(clock+1000, 0))
				rest := acked
				for _, e := range got { // in order, each once
					i := slices.IndexFunc(rest, func(a storage.Entry) bool { return a.ID == e.ID })
					if i < 0 {
						t.Fatalf("fate %d, operation %d: entry %v is there twice or out of order", fate, at, e.ID)
					}
					rest = rest[i+1:]
				}
				if k := len(got) - len(young); k < 0 {
					t.Fatalf("fate %d, operation %d: %d entries, %d are young", fate, at, len(got), len(young))
				} else {
					diff(t, "young entries", got[k:], young)
				}
				removed += len(acked) - len(got)
			}
			if s := open(); s != nil {
				work(s, 40)
			}
			came := m.crashed()
			for range 2 {
				m = m.after(fate, rnd)
				s := open()
				settle(s)
				m.crashAt = m.ops + 1 + rnd.IntN(80)
				work(s, 6)
			}
			m = m.after(lost, rnd)
			settle(open())
			if runs++; !came {
				break
			}
		}
	}
	t.Logf("%d crashes, %d entries removed", runs, removed)
	if removed == 0 {
		t.Error("nothing was removed")
	}
}

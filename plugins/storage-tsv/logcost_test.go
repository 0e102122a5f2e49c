package storagetsv

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// logEntries is how long the longer log of TestLogCost is.
var logEntries = flag.Int("log-entries", 40_000, "entries of the long log of TestLogCost")

// TestLogCost reads 100 entries at either end and in the middle of a short and
// of a long log, by time, and compares the medians. With its small default it
// only shows that the pages are right; a bound is checked from 1,000,000 on.
func TestLogCost(t *testing.T) {
	costs := map[int]map[string]time.Duration{}
	const short = 10_000
	for _, n := range []int{short, *logEntries} {
		s := New(slog.New(slog.DiscardHandler), "test")
		if err := s.Configure(t.Context(), plugin.Config{Station: here, DataDir: t.TempDir()}); err != nil {
			t.Fatal(err)
		}
		fillLog(t, s, n)
		if err := s.round(true); err != nil {
			t.Fatal(err)
		}
		costs[n] = readCosts(t, s, n)
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for what, long := range costs[*logEntries] {
		ratio := float64(long) / float64(costs[short][what])
		t.Logf("100 %s: %v of %d entries, %v of %d: %.2f times", what, costs[short][what], short, long, *logEntries, ratio)
		if *logEntries >= 1_000_000 && ratio > 1.5 {
			t.Errorf("100 %s cost %.2f times as much in a long log, want at most 1.5", what, ratio)
		}
	}
}

// fillLog logs n entries, one in a second, in commits of 500.
func fillLog(t *testing.T, s *Store, n int) {
	t.Helper()
	for from := 0; from < n; from += 500 {
		c := counting("a", uint64(from/500+1))
		c.State, c.Entries = nil, nil
		for i := from; i < min(n, from+500); i++ {
			e := counting("a", uint64(i+1)).Entries[0]
			e.Time, e.Message = time.Unix(int64(1_700_000_000+i), 0), fmt.Sprintf("request %d was answered in %d ms", i, i%97)
			e.Fields = []byte(`{"user":"ann"}`)
			c.Entries = append(c.Entries, e)
		}
		if err := s.Commit(context.Background(), []storage.Commit{c})[0]; err != nil {
			t.Fatal(err)
		}
	}
}

// readCosts gives the median time of each kind of page.
func readCosts(t *testing.T, s *Store, n int) map[string]time.Duration {
	t.Helper()
	middle := time.Unix(int64(1_700_000_000+n/2), 0)
	costs := map[string]time.Duration{}
	for what, q := range map[string]storage.LogsQuery{
		"newest":            {},
		"oldest":            {Oldest: true},
		"from the middle":   {Oldest: true, Since: middle},
		"before the middle": {Until: middle},
		"between two times": {Oldest: true, Since: middle.Add(-time.Hour), Until: middle.Add(time.Hour)},
	} {
		q.Object, q.Limit = "a", 100
		var took []time.Duration
		for range 201 {
			began := time.Now()
			p, err := s.Logs(t.Context(), q)
			took = append(took, time.Since(began))
			if err != nil || len(p.Entries) != 100 {
				t.Fatalf("100 %s: %d, %v", what, len(p.Entries), err)
			}
		}
		slices.Sort(took)
		costs[what] = took[len(took)/2]
	}
	return costs
}

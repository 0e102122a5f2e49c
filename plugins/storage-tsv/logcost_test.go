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

// TestLogCost reads 100 entries at either end and around the middle, by time, of a
// short and of a long log, and compares the medians. With its small default it
// only shows that the pages are right; a bound is checked from 1,000,000 on.
func TestLogCost(t *testing.T) {
	const short = 10_000
	var stores [2]*Store
	var middles [2]time.Time
	for i, n := range []int{short, *logEntries} {
		s := New(slog.New(slog.DiscardHandler), "test")
		s.manual = true
		if err := s.Configure(t.Context(), plugin.Config{Station: here, DataDir: t.TempDir()}); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close(context.Background()) }()
		fillLog(t, s, n)
		if err := s.round(true); err != nil {
			t.Fatal(err)
		}
		stores[i], middles[i] = s, time.Unix(int64(1_700_000_000+n/2), 0)
	}
	for what, query := range map[string]func(middle time.Time) storage.LogsQuery{
		"newest":            func(time.Time) storage.LogsQuery { return storage.LogsQuery{} },
		"oldest":            func(time.Time) storage.LogsQuery { return storage.LogsQuery{Oldest: true} },
		"from the middle":   func(m time.Time) storage.LogsQuery { return storage.LogsQuery{Oldest: true, Since: m} },
		"before the middle": func(m time.Time) storage.LogsQuery { return storage.LogsQuery{Until: m} },
		"between two times": func(m time.Time) storage.LogsQuery {
			return storage.LogsQuery{Oldest: true, Since: m.Add(-time.Hour), Until: m.Add(time.Hour)}
		},
	} {
		var took [2][]time.Duration
		for k := range 201 { // in turns, so that both meet the same weather
			for i, s := range stores {
				q := query(middles[i].Add(7 * time.Second * time.Duration(k-100))) // all over a block
				q.Object, q.Limit = "a", 100
				began := time.Now()
				p, err := s.Logs(t.Context(), q)
				took[i] = append(took[i], time.Since(began))
				if err != nil || len(p.Entries) != 100 {
					t.Fatalf("100 %s: %d, %v", what, len(p.Entries), err)
				}
			}
		}
		slices.Sort(took[0])
		slices.Sort(took[1])
		a, b := took[0][100], took[1][100]
		ratio := float64(b) / float64(a)
		t.Logf("100 %s: %v of %d entries, %v of %d: %.2f times", what, a, short, b, *logEntries, ratio)
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
		if from%10_000 == 0 {
			if err := s.round(false); err != nil {
				t.Fatal(err)
			}
		}
	}
}

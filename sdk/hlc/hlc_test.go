package hlc

import (
	"cmp"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dbbasic/station/sdk/id"
)

// TestClock: whatever the wall clock does, times rise; and where it rises, the
// clock follows it.
func TestClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wall := time.UnixMilli(1_700_000_000_000)
		c := NewClock(func() time.Time { return wall }, Time(rapid.Uint64Range(0, 1<<62).Draw(t, "high")))
		var last Time
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			wall = wall.Add(time.Duration(rapid.Int64Range(-int64(time.Minute), int64(time.Minute)).Draw(t, "step")))
			if rapid.Bool().Draw(t, "observe") {
				seen := At(wall) + Time(rapid.Uint64Range(0, 1<<40).Draw(t, "ahead"))
				c.Observe(seen)
				last = max(last, seen)
			}
			next, read := c.Next()
			if next <= last {
				t.Fatalf("%d after %d", next, last)
			}
			if !read.Equal(wall) || next < At(wall) {
				t.Fatalf("the time %d lies before the wall clock %v", next, wall)
			}
			last = next
		}
	})
}

func TestManyTimesInOneMillisecond(t *testing.T) {
	wall := time.UnixMilli(1_700_000_000_000)
	c := NewClock(func() time.Time { return wall }, 0)
	last, _ := c.Next()
	for range 1 << 17 { // twice what the counter holds
		next, _ := c.Next()
		if next <= last {
			t.Fatalf("%d after %d", next, last)
		}
		last = next
	}
}

func TestStamp(t *testing.T) {
	stamp := rapid.Custom(func(t *rapid.T) Stamp {
		return Stamp{
			Time:    Time(rapid.Uint64().Draw(t, "time")),
			Station: id.Station(rapid.StringMatching(`[a-z0-9][a-z0-9_-]{0,5}`).Draw(t, "station")),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := stamp.Draw(t, "a"), stamp.Draw(t, "b")
		if got, err := Parse(a.String()); err != nil || got != a {
			t.Fatalf("Parse(%q) = %v, %v", a, got, err)
		}
		want := cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Station, b.Station))
		if a.Compare(b) != want || b.Compare(a) != -want {
			t.Fatalf("Compare(%v, %v) = %d, want %d", a, b, a.Compare(b), want)
		}
	})
	for _, s := range []string{"", "1", "1.2", "1.2.", "x.2.s", "1.65536.s", "281474976710656.0.s", "1.2.S", "-1.2.s"} {
		if got, err := Parse(s); err == nil {
			t.Errorf("Parse(%q) = %v", s, got)
		}
	}
}

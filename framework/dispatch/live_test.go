package dispatch

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/storage"
)

// TestScan compares scan with a sorted slice, for keys and bounds that are
// near each other.
func TestScan(t *testing.T) {
	text := rapid.StringOfN(rapid.SampledFrom([]rune{'a', 'b', 'ÿ', '\U0010ffff'}), 0, 3, -1)
	rapid.Check(t, func(t *rapid.T) {
		l := &live{}
		var keys []string
		for _, k := range rapid.SliceOfDistinct(text.Filter(func(s string) bool { return s != "" }), func(s string) string { return s }).Draw(t, "keys") {
			l.put(k, []byte(k))
			keys = append(keys, k)
		}
		slices.Sort(keys)
		prefix, after, reverse := text.Draw(t, "prefix"), text.Draw(t, "after"), rapid.Bool().Draw(t, "reverse")
		if reverse {
			slices.Reverse(keys)
		}
		want := []string{}
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) && (after == "" || !reverse && k > after || reverse && k < after) {
				want = append(want, k)
			}
		}
		got := []string{}
		l.scan(prefix, after, reverse, func(key string, _ []byte) bool {
			got = append(got, key)
			return true
		})
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("prefix %q after %q reverse %v (-want +got):\n%s", prefix, after, reverse, d)
		}
		for _, k := range keys {
			l.put(k, nil)
		}
		if l.bytes != 0 || l.state.Len() != 0 {
			t.Fatalf("%d bytes are counted for an empty state", l.bytes)
		}
	})
}

// A failure that is told late, of a state that was replaced meanwhile, does
// not touch the new one, on which other commits may be on their way.
func TestLateFailureSparesTheNewState(t *testing.T) {
	old, present := &live{}, &live{}
	o := &object{live: present, queue: []*task{{}, {}}, d: &Dispatcher{warm: newWarmth(0)}}
	o.fail(old, nil)
	if o.next(&task{}); o.live != present {
		t.Error("the failure of an old state dropped the new one")
	}
	o.fail(present, nil)
	if o.next(&task{}); o.live != nil {
		t.Error("the failed state is still there")
	}
}

// TestStampsSurviveUndo: whatever calls set, delete and take back, the commit of
// one says of each key which stamp it replaces.
func TestStampsSurviveUndo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLive(storage.Object{State: []storage.StateChange{
			{Key: "a", Value: []byte("1"), Stamp: hlc.Stamp{Time: 1, Station: "s"}},
			{Key: "b", Deleted: true, Stamp: hlc.Stamp{Time: 2, Station: "s"}},
		}})
		o := &object{live: l, d: &Dispatcher{}}
		o.d.Limits.State, o.d.Limits.Staged = 1<<20, 1<<20
		want := map[string]hlc.Stamp{"a": {Time: 1, Station: "s"}, "b": {Time: 2, Station: "s"}}
		for at := hlc.Time(3); at < 3+hlc.Time(rapid.IntRange(1, 8).Draw(t, "calls")); at++ {
			tx := &transaction{o: o}
			for range rapid.IntRange(0, 5).Draw(t, "writes") {
				key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
				var err error
				if rapid.Bool().Draw(t, "delete") {
					err = tx.Delete(key)
				} else {
					err = tx.Set(key, []byte("2"))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if rapid.Bool().Draw(t, "undo") {
				tx.undo()
				continue
			}
			c := l.build("s", at, tx)
			for _, ch := range c.State {
				if ch.Was != want[ch.Key] {
					t.Fatalf("the change of %q replaces %v, it says %v", ch.Key, want[ch.Key], ch.Was)
				}
				want[ch.Key] = ch.Stamp
			}
			l.applied(&c)
		}
	})
}

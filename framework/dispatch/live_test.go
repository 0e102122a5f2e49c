package dispatch

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
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
	o := &object{live: present, queue: []*task{{}, {}}}
	o.fail(old, nil)
	if o.next(); o.live != present {
		t.Error("the failure of an old state dropped the new one")
	}
	o.fail(present, nil)
	if o.next(); o.live != nil {
		t.Error("the failed state is still there")
	}
}

package main_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/storage"
)

// The object with which the large one is compared.
const (
	smallEntries = 10_000
	smallKeys    = 100
)

const (
	startLimit = 2 * time.Second // of the storage, until it serves
	costLimit  = 1.5             // of a question in the large object, times its cost in the small one
)

// TestBounds makes a large and a small object through the plugin, and asks both
// the same after a restart and after a kill. No answer costs much more where the
// object is large, and the start does not wait for what it holds.
func TestBounds(t *testing.T) {
	plainOnly(t)
	s := newStore(t)
	small, large := newObject(s, "small", smallKeys), newObject(s, "large", *boundKeys)
	small.fill(smallEntries)
	large.fill(*boundEntries)

	ended := s.restart()
	within(t, "the start after an end in order", ended, startLimit)
	question, worst := compare(t, small, large)

	large.boot = s.boot()
	large.fill(*boundEntries / 10)
	killed := s.kill()
	within(t, "the start after a kill", killed, startLimit)
	afterKill, worstAfterKill := compare(t, small, large)

	large.boot = s.boot()
	walked := walks(t, large)
	t.Logf("bounds, %d entries and %d keys: starts %v, after a kill %v; costs at most %.2f times those of %d and %d (%s), after a kill %.2f (%s); %d walks of %d entries, no gap, none twice",
		*boundEntries, *boundKeys, ended.Round(time.Millisecond), killed.Round(time.Millisecond),
		worst, smallEntries, smallKeys, question, worstAfterKill, afterKill, walked, walkOf)
}

// question is something to ask of an object. The k-th time it is asked
// elsewhere, so that it meets all parts of a block.
type question struct {
	name string
	ask  func(o *object, k int) error
}

var questions = []question{
	{"newest 100", func(o *object, _ int) error {
		return o.askLog(storage.LogsQuery{}, o.entries-1, -1)
	}},
	{"oldest 100", func(o *object, _ int) error {
		return o.askLog(storage.LogsQuery{Oldest: true}, 0, 1)
	}},
	{"100 around the middle", func(o *object, k int) error {
		n := o.entries/2 + 7*(k%100) - 350
		return o.askLog(storage.LogsQuery{Oldest: true, Since: entryTime(n - 50), Until: entryTime(n + 50)}, n-50, 1)
	}},
	{"100 from a time on", func(o *object, k int) error {
		n := o.entries/2 + 7*(k%100)
		return o.askLog(storage.LogsQuery{Oldest: true, Since: entryTime(n)}, n, 1)
	}},
	{"first 20 keys of a prefix", func(o *object, k int) error {
		group := k * 997 % (len(o.keys) / prefixOf)
		p, err := o.to.State(o.to.t.Context(), storage.StateQuery{Object: o.id, Prefix: keyPrefix(group), Limit: 20})
		if err == nil && (len(p.Items) != 20 || p.Items[0].Key != boundKey(group*prefixOf) || p.Next != boundKey(group*prefixOf+19)) {
			err = fmt.Errorf("group %d: %d keys, next %q", group, len(p.Items), p.Next)
		}
		return err
	}},
}

// askLog asks for 100 entries, which must be the n-th and those that follow by step.
func (o *object) askLog(q storage.LogsQuery, n, step int) error {
	q.Limit = 100
	p, err := o.logs(q)
	if err == nil && len(p.Entries) != q.Limit {
		err = fmt.Errorf("%d entries, want %d", len(p.Entries), q.Limit)
	}
	if err == nil {
		_, err = inOrder(p.Entries, n, step)
	}
	return err
}

// inOrder checks that entries are the n-th and those that follow by step, and
// gives the number of the next one.
func inOrder(entries []storage.Entry, n, step int) (int, error) {
	for _, e := range entries {
		if e.ID.Sequence != uint64(n)+1 || !e.Time.Equal(entryTime(n)) {
			return n, fmt.Errorf("entry %d of %v; want %d of %v", e.ID.Sequence-1, e.Time, n, entryTime(n))
		}
		n += step
	}
	return n, nil
}

// compare asks all questions of both objects, in turns, and gives the question
// whose cost grew most and how many times it did. The first answer of each comes
// from a process that has not read these files yet.
func compare(t *testing.T, small, large *object) (name string, worst float64) {
	t.Helper()
	const times = 201
	objects := [2]*object{small, large}
	var table strings.Builder
	fmt.Fprintf(&table, "%-28s%10s%10s%8s%12s%12s\n", "", "small", "large", "times", "first small", "first large")
	for _, q := range questions {
		var took [2][]time.Duration
		for k := range times {
			for i := range objects {
				i = (i + k) % 2 // so that neither always comes first
				began := time.Now()
				if err := q.ask(objects[i], k); err != nil {
					t.Fatalf("%s of %s: %v", q.name, objects[i].id, err)
				}
				took[i] = append(took[i], time.Since(began))
			}
		}
		first := [2]time.Duration{took[0][0], took[1][0]}
		a, b := median(took[0]), median(took[1])
		ratio := float64(b) / float64(a)
		fmt.Fprintf(&table, "%-28s%7d µs%7d µs%8.2f%9d µs%9d µs\n", q.name, a.Microseconds(), b.Microseconds(), ratio, first[0].Microseconds(), first[1].Microseconds())
		if ratio > worst {
			name, worst = q.name, ratio
		}
		if *strict && ratio > costLimit {
			t.Errorf("%s cost %.2f times as much in the large object, more than %v", q.name, ratio, costLimit)
		}
	}
	t.Logf("medians of %d, in turns:\n%s", times, table.String())
	return name, worst
}

// walkOf is how many entries a walk goes.
const walkOf = 10_000

// walks goes through the log of an object from page to page, while entries are
// appended: from both ends and around the middle, both ways, and over its
// newest entry. Each walk meets each entry once, in order.
func walks(t *testing.T, o *object) (walked int) {
	t.Helper()
	var stored atomic.Int64
	stored.Store(int64(o.entries))
	before := o.entries
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() { stopped <- o.append(stop, &stored) }()
	middle := int(stored.Load()) / 2
	for _, w := range []struct {
		name  string
		from  int // the first entry; -1: the newest that there is
		q     storage.LogsQuery
		toEnd bool // goes on to what is the newest entry then
	}{
		{"from the oldest", 0, storage.LogsQuery{Oldest: true}, false},
		{"from the newest", -1, storage.LogsQuery{}, false},
		{"up from below the middle", middle - walkOf/2, storage.LogsQuery{Oldest: true, Since: entryTime(middle - walkOf/2)}, false},
		{"down from above the middle", middle + walkOf/2 - 1, storage.LogsQuery{Until: entryTime(middle + walkOf/2)}, false},
		{"over the newest", int(stored.Load()) - walkOf, storage.LogsQuery{Oldest: true, Since: entryTime(int(stored.Load()) - walkOf)}, true},
	} {
		for _, limit := range []int{100, storage.MaxPage} {
			began := time.Now()
			step := 1
			if !w.q.Oldest {
				step = -1
			}
			n, met, least := w.from, 0, 0
			for q := w.q; ; {
				q.Limit = limit
				least = int(stored.Load()) // before the page, which so must show it
				p, err := o.logs(q)
				if err == nil && n < 0 && len(p.Entries) > 0 {
					if n = int(p.Entries[0].ID.Sequence) - 1; n < least-1 {
						err = fmt.Errorf("the newest entry is %d, although %d had been stored", n, least)
					}
				}
				if err == nil {
					n, err = inOrder(p.Entries, n, step)
				}
				if err != nil {
					t.Fatalf("walk %s in pages of %d, after %d entries: %v", w.name, limit, met, err)
				}
				met += len(p.Entries)
				if q.Cursor = p.Next; q.Cursor == "" || !w.toEnd && met >= walkOf {
					break
				}
			}
			if met < walkOf || w.toEnd && n < least {
				t.Errorf("walk %s in pages of %d ended after %d entries, before entry %d of %d", w.name, limit, met, n, least)
			}
			t.Logf("walk %s: %d entries in pages of %d in %v", w.name, met, limit, time.Since(began).Round(time.Millisecond))
			walked++
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	t.Logf("%d entries were appended meanwhile", o.entries-before)
	return walked
}

// append logs single entries until stop is closed; stored says how many the log holds.
func (o *object) append(stop <-chan struct{}, stored *atomic.Int64) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		c := o.next()
		o.log(&c)
		if err := o.commit([]storage.Commit{c}); err != nil {
			return err
		}
		stored.Store(int64(o.entries))
	}
}

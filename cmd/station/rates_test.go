package main_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// How long TestRates measures. CI runs the defaults; make bench runs more.
var (
	pairs = flag.Int("pairs", 1, "pairs of measurements, of an empty and of the large object, for each kind of commit")
	side  = flag.Duration("side", 20*time.Millisecond, "how long one measurement lasts")
)

// rateLimit is the least rate of commits to the large object, of that to an empty one.
const rateLimit = 0.9

// TestRates commits to the large object and to an empty one, in turns, single
// entries and single keys, one commit and batchOf of them at a time: the size of
// an object does not slow it down.
func TestRates(t *testing.T) {
	plainOnly(t)
	s := newStore(t)
	large := newObject(s, "large", *boundKeys)
	large.fill(*boundEntries)
	s.restart()
	large.boot = s.boot()

	for _, kind := range []struct {
		name  string
		batch int
		write func(*object, *storage.Commit)
	}{
		{"appends", 1, (*object).log},
		{"appends", batchOf, (*object).log},
		{"sets", 1, (*object).setAny},
		{"sets", batchOf, (*object).setAny},
	} {
		name := fmt.Sprintf("%s, %d at a time", kind.name, kind.batch)
		var ratios []float64
		for pair := range *pairs {
			empty := newObject(s, id.Object(fmt.Sprintf("%s-%d-%d", kind.name, kind.batch, pair)), *boundKeys)
			objects := [2]*object{empty, large}
			var rates [2]float64
			for i := range objects {
				i = (i + pair) % 2 // so that neither always comes first
				rates[i] = objects[i].rate(kind.batch, kind.write)
			}
			ratio := rates[1] / rates[0]
			ratios = append(ratios, ratio)
			t.Logf("%s: pair %2d: empty %6.0f/s, large %6.0f/s: %.3f", name, pair+1, rates[0], rates[1], ratio)
		}
		m := median(ratios)
		t.Logf("rates, %d entries and %d keys: %s: median ratio %.3f of %d pairs, %.3f to %.3f", *boundEntries, *boundKeys, name, m, len(ratios), ratios[0], ratios[len(ratios)-1])
		if *strict && m < rateLimit {
			t.Errorf("%s: the large object takes %.3f of the commits of an empty one, less than %v", name, m, rateLimit)
		}
	}
}

// setAny adds a change of any of the object's keys to a commit.
func (o *object) setAny(c *storage.Commit) { o.set(c, o.rnd.IntN(len(o.keys))) }

// rate commits for a while, and gives commits per second.
func (o *object) rate(batch int, write func(*object, *storage.Commit)) float64 {
	o.to.t.Helper()
	commits := make([]storage.Commit, batch)
	began := time.Now()
	for n := 0; ; {
		for i := range commits {
			commits[i] = o.next()
			write(o, &commits[i])
		}
		if err := o.commit(commits); err != nil {
			o.to.t.Fatal(err)
		}
		n += batch
		if took := time.Since(began); took >= *side {
			return float64(n) / took.Seconds()
		}
	}
}

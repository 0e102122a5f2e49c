package kernel

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/storage"
)

var (
	liveRounds = flag.Int("live-rounds", 12, "rounds of changes in TestRandomChanges")
	liveSeed   = flag.Uint64("live-seed", 0, "seed of TestRandomChanges; 0 means a new one")
)

// changes is one object that is changed at random, and what may have become of it.
type changes struct {
	*bench
	mu        sync.Mutex
	n         int
	written   map[string]writing
	minted    map[uint64]string // what an acknowledged change made
	rolled    map[uint64]bool   // by a rollback
	removed   string            // what the file held when it was last removed; of toFile alone
	elsewhere bool              // there were changes that did not come from the file since it was in step
}

// writing is a text that was written once.
type writing struct {
	loads  bool
	onTop  string // what the file held, or had held when it was removed
	surely bool   // nobody could change that in between
}

// text gives one that was never written before.
func (c *changes) text(loads bool) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	text := returns(fmt.Sprint(c.n))
	if !loads {
		text = fmt.Sprintf("%s -- %d", broken, c.n)
	}
	c.written[text] = writing{loads: loads}
	return text
}

// made notes a change that was acknowledged.
func (c *changes) made(done host.Published, text string, rolled bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.elsewhere = true
	if !done.Minted {
		return
	}
	if other, twice := c.minted[done.Version]; twice {
		c.t.Errorf("version %d was given to %q and to %q", done.Version, other, text)
	}
	c.minted[done.Version] = text
	c.rolled[done.Version] = rolled
}

// overHTTP makes one change that does not come from the file.
func (c *changes) overHTTP(r *rand.Rand) {
	ctx := c.t.Context()
	p := host.Publication{Object: "a", Author: "someone"}
	switch r.IntN(6) {
	case 0: // a rollback
		list, err := c.store.Versions(ctx, storage.VersionsQuery{Object: "a", Limit: storage.MaxPage})
		c.must(err)
		v, err := c.store.Version(ctx, "a", list[r.IntN(len(list))].Number)
		c.must(err)
		done, err := c.host().Rollback(ctx, host.Rollback{Object: "a", Version: v.Number})
		if err == nil {
			c.made(done, string(v.Text), true)
		} else if !errs.Is(err, errs.NotFound) { // out of service
			c.t.Errorf("rollback to %d: %v", v.Number, err)
		}
		return
	case 1: // what does not load
		p.Text = []byte(c.text(false))
		if _, err := c.publish(ctx, p); !errs.Is(err, errs.Source) {
			c.t.Errorf("a text that does not load: %v", err)
		}
		return
	case 2: // a change of a version that is none
		p.Text, p.IfMatch = []byte(c.text(false)), storage.Hash(nil)
		if _, err := c.publish(ctx, p); !errs.Is(err, errs.Precondition) {
			c.t.Errorf("a change of no version: %v", err)
		}
		return
	case 3: // a change of the newest, which another may come before
		if s, err := c.look("a"); err == nil {
			p.IfMatch = s.source.Hash
		}
	}
	text := c.text(true)
	p.Text = []byte(text)
	done, err := c.publish(ctx, p)
	switch {
	case err == nil:
		c.made(done, text, false)
	case p.IfMatch == "" || !errs.Is(err, errs.Precondition):
		c.t.Errorf("put: %v", err)
	}
}

// toFile does one thing to the file: now and then while the station does nothing to it, so
// that it is known of what the text is a change.
func (c *changes) toFile(r *rand.Rand) {
	path := c.path("a.lua")
	do := r.IntN(8)
	var onTop string
	surely := do == 6 || do < 6 && do != 4 && r.IntN(2) == 0
	if surely {
		defer c.lock(place{object: "a"})()
		if text, err := os.ReadFile(path); err == nil {
			onTop = string(text)
		} else {
			onTop = c.removed
		}
	}
	text := func(loads bool) string {
		text := c.text(loads)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.written[text] = writing{loads, onTop, surely}
		return text
	}
	switch do {
	case 0, 1, 2:
		c.save("a.lua", text(true))
	case 3:
		c.write("a.lua", text(true))
	case 4: // an editor that truncates first
		text := text(true)
		c.write("a.lua", "")
		time.Sleep(time.Duration(r.IntN(60)) * time.Millisecond)
		c.write("a.lua", text)
	case 5:
		c.save("a.lua", text(false))
	case 6:
		c.removed = onTop
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.t.Error(err)
		}
	case 7:
		if err := os.Chtimes(path, time.Now(), time.Now()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.t.Error(err)
		}
	}
}

// standing says what is wrong with how the file, the newest version, what is served and
// the trouble stand to each other once all is quiet; empty where nothing is.
func (c *changes) standing() string {
	all := c.versions("a")
	newest := all[len(all)-1]
	text, err := os.ReadFile(c.path("a.lua"))
	s, missing := c.find("a")
	kind := c.troubleOf("a").Kind
	file := string(text)
	switch {
	case errors.Is(err, fs.ErrNotExist) && missing == nil:
		return "the file is gone, and the object is in service"
	case errors.Is(err, fs.ErrNotExist):
		return ""
	case err != nil || missing != nil:
		return fmt.Sprintf("the file is there (%v), and the object is not (%v)", err, missing)
	case string(s.source.Text) != newest:
		return fmt.Sprintf("%q is served, and the newest is %q", s.source.Text, newest)
	case file == newest && kind == "", kind == host.Refused && !c.written[file].loads, kind == host.Conflict && file != newest && c.elsewhere:
		if file == newest {
			c.elsewhere = false
		}
		return ""
	}
	return fmt.Sprintf("the file holds %q, the newest version is %q, and the trouble is %q (changed over HTTP too: %v)", file, newest, kind, c.elsewhere)
}

// base gives the version of which a text in the file was a change, where that is known.
func (c *changes) base(text string, versions map[string]int) (string, bool) {
	for {
		w := c.written[text]
		if text = w.onTop; !w.surely || text == "" {
			return "", false
		}
		if versions[text] > 0 {
			return text, true
		}
	}
}

// history holds the versions to what was acknowledged and written.
func (c *changes) history() {
	c.t.Helper()
	all := c.versions("a")
	seen := map[string]int{}
	for i, text := range all {
		number := uint64(i + 1)
		if !c.written[text].loads {
			c.t.Errorf("version %d is a text that nobody wrote, or that does not load: %q", number, text)
		}
		if seen[text] > 0 && !c.rolled[number] {
			c.t.Errorf("version %d is version %d again, and nobody rolled back: %q", number, seen[text], text)
		}
		if _, acknowledged := c.minted[number]; !acknowledged && i > 0 { // it came from the file
			if base, known := c.base(text, seen); known && base != all[i-1] {
				c.t.Errorf("version %d is a change of %q, and came on top of %q: it reverts that", number, base, all[i-1])
			}
		}
		seen[text] = i + 1
	}
	for _, number := range slices.Sorted(maps.Keys(c.minted)) {
		if number > uint64(len(all)) || all[number-1] != c.minted[number] {
			c.t.Errorf("version %d was acknowledged for %q and is not that", number, c.minted[number])
		}
	}
}

// TestRandomChanges changes one object in all ways at once, round after round, with
// restarts of the station and kills between a version and its file. After each round
// the file holds the newest version, or says why not; after all of them each change
// that was acknowledged is a version, once, and nothing came back by itself.
func TestRandomChanges(t *testing.T) {
	seed := *liveSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("go test ./framework/kernel -run TestRandomChanges -args -live-rounds %d -live-seed %d", *liveRounds, seed)
	c := &changes{written: map[string]writing{}, minted: map[uint64]string{}, rolled: map[uint64]bool{}}
	c.written[returns("begin")] = writing{loads: true}
	c.bench = newBench(t, "a.lua", returns("begin"))
	c.rest()
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range *liveRounds {
		if c.troubleOf("a").Kind == host.Conflict && r.IntN(3) > 0 { // whose edit it is gives it up
			c.must(os.Remove(c.path("a.lua")))
			c.until("the conflict is over", func() bool { return c.troubleOf("a").Kind == "" })
		}
		var both sync.WaitGroup
		ways := [][]func(*rand.Rand){{c.toFile}, {c.overHTTP}, {c.overHTTP, c.toFile}}
		for _, do := range ways[r.IntN(len(ways))] {
			r := rand.New(rand.NewPCG(seed, r.Uint64()))
			both.Go(func() {
				for range r.IntN(4) {
					time.Sleep(time.Duration(r.IntN(5)) * 40 * time.Millisecond)
					do(r)
				}
			})
		}
		both.Wait()
		switch r.IntN(6) {
		case 0:
			c.restart()
		case 1:
			c.dies()
		}
		c.rest()
		wrong := ""
		for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			if wrong = c.standing(); wrong == "" {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("after round %d: %s\n%s", round, wrong, c.log)
			}
		}
		if t.Failed() {
			break
		}
	}
	c.history()
	c.restart()
	c.until("all stands as before", func() bool { return c.standing() == "" })
	c.history()
	all := c.versions("a")
	t.Logf("%d texts, %d acknowledged changes, %d versions", len(c.written), len(c.minted), len(all))
	if t.Failed() {
		t.Logf("%s\n%s", strings.Join(all, "\n"), c.log)
	}
}

// dies puts a text, and is killed before the file is written.
func (c *changes) dies() {
	c.t.Helper()
	text := c.text(true)
	c.must(c.putAndDie("a", text))
	c.made(host.Published{Version: c.info("a").Head, Minted: true}, text, false)
	c.restart()
}

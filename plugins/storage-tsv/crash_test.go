package storagetsv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

const here id.Station = "st-1"

// history is what a workload knows of each object: the commits that were
// acknowledged, and behind them those whose outcome is unknown.
type history struct {
	acked, unknown map[id.Object][]storage.Commit
	boot           uint64
	tick           uint64
	renamed        map[string]int // how often a file of that name was replaced
}

func newHistory() *history {
	return &history{acked: map[id.Object][]storage.Commit{}, unknown: map[id.Object][]storage.Commit{}}
}

// next gives a random valid commit of the object behind the given ones.
func (h *history) next(rnd *rand.Rand, name id.Object, before []storage.Commit) storage.Commit {
	h.tick++
	st := hlc.Stamp{Time: hlc.Time(h.tick) << 16, Station: here}
	c := storage.Commit{Object: name, Incarnation: 1, Sequence: uint64(len(before)) + 1, Stamp: st}
	head := uint64(0)
	for _, b := range before {
		c.Incarnation = b.Incarnation
		if b.Version != nil {
			head = b.Version.Number
		}
	}
	if rnd.IntN(25) == 0 {
		c.Incarnation++
	}
	for k := range rnd.IntN(4) {
		ch := storage.StateChange{Key: fmt.Sprintf("k\t%d", k*rnd.IntN(3)+k), Value: fmt.Appendf(nil, `"%d\n"`, h.tick), Stamp: st}
		if rnd.IntN(4) == 0 {
			ch.Deleted, ch.Value = true, nil
		}
		if !slices.ContainsFunc(c.State, func(o storage.StateChange) bool { return o.Key == ch.Key }) {
			c.State = append(c.State, ch)
		}
	}
	for range rnd.IntN(3) {
		h.tick++
		c.Entries = append(c.Entries, storage.Entry{ID: id.Entry{Station: here, Boot: 1, Sequence: h.tick}, Time: time.Unix(int64(h.tick), 0).UTC(),
			Level: storage.Info, Message: strings.Repeat("m\n", rnd.IntN(20))})
	}
	if rnd.IntN(5) == 0 {
		c.Version = version(head+1, fmt.Sprintf("return %d", h.tick))
	}
	return c
}

func version(number uint64, source string) *storage.Version {
	sum := sha256.Sum256([]byte(source))
	return &storage.Version{Number: number, Time: time.Unix(1, 0).UTC(), Author: "a", Hash: hex.EncodeToString(sum[:]), Text: []byte(source)}
}

// commit commits a random batch and notes what became of it.
func (h *history) commit(t *testing.T, s *Store, rnd *rand.Rand) {
	var batch []storage.Commit
	staged := map[id.Object][]storage.Commit{}
	for range 1 + rnd.IntN(4) {
		name := id.Object(fmt.Sprintf("o%d", rnd.IntN(3)))
		if staged[name] == nil {
			staged[name] = slices.Clone(h.acked[name])
		}
		c := h.next(rnd, name, staged[name])
		staged[name] = append(staged[name], c)
		batch = append(batch, c)
	}
	for i, err := range s.Commit(context.Background(), batch) {
		name := batch[i].Object
		switch {
		case err == nil:
			h.acked[name] = append(h.acked[name], batch[i])
		case errs.Is(err, errs.Unknown):
			h.unknown[name] = append(h.unknown[name], batch[i])
		case !errs.Is(err, errs.Unavailable):
			t.Errorf("commit %+v: %v", batch[i], err)
		}
	}
}

// settle compares everything that the store says with the history, and takes
// what turned out of the unknown.
func (h *history) settle(t *testing.T, s *Store) {
	t.Helper()
	for _, name := range []id.Object{"o0", "o1", "o2"} {
		got, err := s.Load(context.Background(), name)
		if err != nil {
			t.Fatalf("Load: %v", err)
		}
		all := append(slices.Clone(h.acked[name]), h.unknown[name]...)
		if got.Sequence < uint64(len(h.acked[name])) || got.Sequence > uint64(len(all)) {
			t.Fatalf("%s has sequence %d, %d were acknowledged, %d are unknown", name, got.Sequence, len(h.acked[name]), len(h.unknown[name]))
		}
		all = all[:got.Sequence]
		h.acked[name], h.unknown[name] = all, nil
		same(t, name, s, got, all)
	}
}

// same checks that an object is exactly what its commits make.
func same(t *testing.T, name id.Object, s *Store, got storage.Object, commits []storage.Commit) {
	t.Helper()
	want := storage.Object{ObjectInfo: storage.ObjectInfo{Object: name}}
	state := map[string]storage.StateChange{}
	var log []storage.Entry
	var versions []storage.Version
	for _, c := range commits {
		if c.Incarnation != want.Incarnation {
			clear(state)
			log, versions, want.Hash = nil, nil, ""
		}
		want.Incarnation, want.Sequence = c.Incarnation, c.Sequence
		for _, ch := range c.State {
			state[ch.Key] = ch
		}
		log = append(log, c.Entries...)
		if c.Version != nil {
			versions = append(versions, *c.Version)
			want.Head, want.Hash = c.Version.Number, c.Version.Hash
		}
	}
	for _, ch := range state {
		want.State = append(want.State, ch)
	}
	slices.SortFunc(want.State, func(a, b storage.StateChange) int { return strings.Compare(a.Key, b.Key) })
	got.Boot, got.Boot, got.Entries = 0, 0, 0
	diff(t, "state of "+string(name), got, want)
	live := slices.DeleteFunc(slices.Clone(want.State), func(c storage.StateChange) bool { return c.Deleted })
	diff(t, "keys of "+string(name), pages(t, s, storage.StateQuery{Object: name, Limit: 2}), live)
	page, err := s.Logs(context.Background(), storage.LogsQuery{Object: name, Limit: 1000, Oldest: true})
	if err != nil {
		t.Fatalf("Logs: %v", err)
	}
	diff(t, "log of "+string(name), page.Entries, log)
	list, err := s.Versions(context.Background(), storage.VersionsQuery{Object: name, Limit: 1000})
	if err != nil {
		t.Fatalf("Versions: %v", err)
	}
	slices.Reverse(list)
	for i := range list {
		if list[i], err = s.Version(context.Background(), name, list[i].Number); err != nil {
			t.Fatalf("Version: %v", err)
		}
	}
	diff(t, "versions of "+string(name), list, versions)
}

// pages walks the keys to their end.
func pages(t *testing.T, s *Store, q storage.StateQuery) []storage.StateChange {
	t.Helper()
	var all []storage.StateChange
	for {
		p, err := s.State(context.Background(), q)
		if err != nil {
			t.Fatalf("State: %v", err)
		}
		all = append(all, p.Items...)
		if q.After = p.Next; q.After == "" {
			return all
		}
	}
}

func diff(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Fatalf("%s (-want +got):\n%s", what, d)
	}
}

// start opens a store on m; nil means that it could not.
func (h *history) start(t *testing.T, m *memFS) *Store {
	t.Helper()
	s := New(slog.New(slog.DiscardHandler), "test")
	s.openFS = func(string) (fsys, error) { return m, nil }
	m.fail = func(op, name string) error {
		if op == "rename" && h.renamed != nil {
			h.renamed[path.Base(name)]++
		}
		return nil
	}
	s.fatal = func(error) {}
	s.manual, s.segmentSize, s.syncAllAbove = true, 1500, 1 // both ways of a checkpoint
	s.levels = levelSizes{recent: 80, middle: 120}          // several merges of both kinds
	if err := s.Configure(context.Background(), plugin.Config{Station: here, DataDir: "/data"}); err != nil {
		if !errors.Is(err, errCrash) {
			t.Fatalf("Configure: %v", err)
		}
		return nil
	}
	b, _ := s.Boot(context.Background())
	if b.Number <= h.boot {
		t.Fatalf("boot %d after boot %d", b.Number, h.boot)
	}
	h.boot = b.Number
	return s
}

// work drives a store until its end or the crash.
func (h *history) work(t *testing.T, s *Store, rnd *rand.Rand, m *memFS, steps int) {
	for range steps {
		if m.crashed() {
			return
		}
		switch rnd.IntN(8) {
		case 0, 1:
			_ = s.round(false) // a crash fails it
		case 2:
			_ = s.round(rnd.IntN(3) == 0)
		default:
			if len(s.journal.sealed) > maxSealed { // Commit would wait for a carrier
				_ = s.round(false)
			}
			if len(s.journal.sealed) <= maxSealed {
				h.commit(t, s, rnd)
			}
		}
	}
}

// crashRun runs one workload that crashes at one operation, twice over, and
// checks what is left. It says whether the crash came before the end.
func crashRun(t *testing.T, seed uint64, at int, f fate, renamed map[string]int) bool {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, uint64(at)<<2|uint64(f)))
	work := rand.New(rand.NewPCG(seed, 0)) // the same operations for each at
	h, m := newHistory(), newMemFS()
	h.renamed = renamed
	m.crashAt = at
	if s := h.start(t, m); s != nil {
		h.work(t, s, work, m, 25)
		if !m.crashed() {
			_ = s.Close(context.Background())
		}
	}
	came := m.crashed()
	for _, again := range []int{1 + rnd.IntN(60), 0} { // the next start crashes too, in any way
		m = m.after(f, rnd)
		f = fate(rnd.IntN(3))
		m.crashAt = again
		s := h.start(t, m)
		if s == nil {
			continue
		}
		if !m.crashed() {
			m.crashAt = 0
			h.settle(t, s)
			m.crashAt = again
		}
		h.work(t, s, work, m, 8)
		if !m.crashed() {
			m.crashAt = 0
			h.settle(t, s)
		}
	}
	m = m.after(lost, rnd)
	h.settle(t, h.start(t, m))
	return came
}

// TestCrashEverywhere crashes at every operation of a workload: each commit
// that was acknowledged is there, whole, and nothing else is.
func TestCrashEverywhere(t *testing.T) {
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	runs, renamed := 0, map[string]int{}
	for seed := range seeds {
		for _, f := range []fate{lost, killed, mixed} {
			for at := 1; ; at++ {
				came := false
				name := fmt.Sprintf("seed %d, fate %d, operation %d", seed, f, at)
				if !t.Run(name, func(t *testing.T) { came = crashRun(t, seed, at, f, renamed) }) || !came {
					break
				}
				runs++
			}
		}
	}
	t.Logf("%d crashes, files that were replaced: %v", runs, renamed)
	if renamed["middle.tsv"] < runs || renamed["base.tsv"] < runs/2 {
		t.Error("too few merges for a test of them")
	}
}

package storagetsv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path"
	"reflect"
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
	bytes          map[string]string // of files, by their hash
	renamed        map[string]int    // how often a file of that name was replaced

	mode         fsyncMode
	order        []id.Object // of all of these commits, as the journal has them
	acknowledged int         // of order
	synced       int         // of order: these a power cut must leave
	cut          bool        // the power went since the last settle
}

// watch notes what is known to be synced.
func (h *history) watch(s *Store, m *memFS) {
	j := &s.journal
	if !m.crashed() && !s.dead.Load() && (j.active == nil || j.durable == j.size) {
		h.synced = h.acknowledged
	}
}

// crash gives the file system that the next start finds.
func (h *history) crash(m *memFS, f fate, rnd *rand.Rand) *memFS {
	h.cut = h.cut || f != killed
	return m.after(f, rnd)
}

func newHistory() *history {
	return &history{mode: fsyncAlways, acked: map[id.Object][]storage.Commit{}, unknown: map[id.Object][]storage.Commit{}, bytes: map[string]string{}}
}

// next gives a random valid commit of the object behind the given ones.
func (h *history) next(rnd *rand.Rand, name id.Object, before []storage.Commit) storage.Commit {
	h.tick++
	st := hlc.Stamp{Time: hlc.Time(h.tick) << 16, Station: here}
	c := storage.Commit{Object: name, Incarnation: 1, Sequence: uint64(len(before)) + 1, Stamp: st}
	head := uint64(0)
	was := map[string]hlc.Stamp{}
	for _, b := range before {
		if b.Incarnation != c.Incarnation {
			clear(was)
		}
		for _, ch := range b.State {
			was[ch.Key] = ch.Stamp
		}
		c.Incarnation = b.Incarnation
		if b.Version != nil {
			head = b.Version.Number
		}
	}
	if rnd.IntN(25) == 0 {
		c.Incarnation++
		clear(was)
	}
	for k := range rnd.IntN(4) {
		ch := storage.StateChange{Key: fmt.Sprintf("k\t%d", k*rnd.IntN(3)+k), Value: fmt.Appendf(nil, `"%d\n"`, h.tick), Stamp: st}
		ch.Was = was[ch.Key]
		if rnd.IntN(4) == 0 {
			ch.Deleted, ch.Value = true, nil
		}
		if !slices.ContainsFunc(c.State, func(o storage.StateChange) bool { return o.Key == ch.Key }) {
			c.State = append(c.State, ch)
		}
	}
	for range rnd.IntN(3) {
		h.tick++
		late := int64(rnd.IntN(2) * rnd.IntN(20))
		c.Entries = append(c.Entries, storage.Entry{ID: id.Entry{Station: here, Boot: 1, Sequence: h.tick}, Time: time.Unix(int64(h.tick)-late, 0).UTC(),
			Level: storage.Info, Message: strings.Repeat("m\n", rnd.IntN(20))})
	}
	if rnd.IntN(5) == 0 {
		c.Version = version(head+1, fmt.Sprintf("return %d", h.tick))
		head++
	}
	if rnd.IntN(4) == 0 {
		c.Working = rnd.Uint64N(head + 1)
	}
	return c
}

func version(number uint64, source string) *storage.Version {
	sum := sha256.Sum256([]byte(source))
	return &storage.Version{Number: number, Time: time.Unix(1, 0).UTC(), Author: "a", Hash: hex.EncodeToString(sum[:]), Text: []byte(source)}
}

// commit commits a random batch and notes what became of it.
func (h *history) commit(t testing.TB, s *Store, rnd *rand.Rand) {
	var batch []storage.Commit
	staged := map[id.Object][]storage.Commit{}
	for range 1 + rnd.IntN(4) {
		name := id.Object(fmt.Sprintf("o%d", rnd.IntN(3)))
		if staged[name] == nil {
			staged[name] = slices.Clone(h.acked[name])
		}
		c := h.next(rnd, name, staged[name])
		h.addFiles(t, s, rnd, &c)
		staged[name] = append(staged[name], c)
		batch = append(batch, c)
	}
	for i, err := range s.Commit(context.Background(), batch) {
		name := batch[i].Object
		switch {
		case err == nil:
			h.acked[name] = append(h.acked[name], batch[i])
			h.order = append(h.order, name)
			h.acknowledged++
		case errs.Is(err, errs.Unknown):
			h.unknown[name] = append(h.unknown[name], batch[i])
			h.order = append(h.order, name)
		case !errs.Is(err, errs.Unavailable):
			t.Errorf("commit %+v: %v", batch[i], err)
		}
	}
}

// settle compares everything that the store says with the history: it holds
// the first commits of the journal's order, all of those that must not be lost,
// and nothing else. It takes what turned out of the others.
func (h *history) settle(t testing.TB, s *Store) {
	t.Helper()
	left := map[id.Object]uint64{}
	total := 0
	for _, name := range []id.Object{"o0", "o1", "o2"} {
		got, err := s.Load(context.Background(), name)
		if err != nil {
			t.Fatalf("Load: %v", err)
		}
		left[name] = got.Sequence
		total += int(got.Sequence)
	}
	least := h.acknowledged
	if h.cut && h.mode != fsyncAlways {
		least = h.synced
	}
	if total < least || total > len(h.order) {
		t.Fatalf("%d commits are there; of %d in all, %d must be", total, len(h.order), least)
	}
	for _, name := range h.order[:total] {
		left[name]--
	}
	for name, n := range left {
		if n != 0 {
			t.Fatalf("what is there are not the first %d commits of the journal: %s differs by %d", total, name, int64(n))
		}
	}
	h.order, h.acknowledged, h.synced, h.cut = h.order[:total], total, min(h.synced, total), false
	for _, name := range []id.Object{"o0", "o1", "o2"} {
		got, err := s.Load(context.Background(), name)
		if err != nil {
			t.Fatalf("Load: %v", err)
		}
		all := append(slices.Clone(h.acked[name]), h.unknown[name]...)
		all = all[:got.Sequence]
		h.acked[name], h.unknown[name] = all, nil
		same(t, name, s, got, all)
		h.sameFiles(t, name, s, all)
	}
}

// same checks that an object is exactly what its commits make.
func same(t testing.TB, name id.Object, s *Store, got storage.Object, commits []storage.Commit) {
	t.Helper()
	want := storage.Object{ObjectInfo: storage.ObjectInfo{Object: name}}
	state := map[string]storage.StateChange{}
	var log []storage.Entry
	var versions []storage.Version
	var digest storage.Digest
	for _, c := range commits {
		if c.Incarnation != want.Incarnation {
			clear(state)
			log, versions, want.Hash, want.Working = nil, nil, "", 0
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
		if c.Working > 0 {
			want.Working = c.Working
		}
	}
	for _, e := range log {
		digest.Buckets[storage.Bucket(e.ID.String())].Add(storage.LogItem(name, want.Incarnation, []byte(e.ID.String())))
	}
	for _, ch := range state {
		digest.Buckets[storage.Bucket(ch.Key)].Add(storage.StateItem(name, want.Incarnation, ch.Key, ch.Stamp))
		ch.Was = hlc.Stamp{}
		want.State = append(want.State, ch)
	}
	slices.SortFunc(want.State, func(a, b storage.StateChange) int { return strings.Compare(a.Key, b.Key) })
	got.Boot, got.Boot, got.Entries = 0, 0, 0
	diff(t, "state of "+string(name), got, want)
	for _, sum := range digest.Buckets {
		digest.Sum.Add(sum)
	}
	summed, err := s.Digest(context.Background(), name)
	if err != nil {
		t.Fatalf("Digest: %v", err)
	}
	diff(t, "digest of "+string(name), summed, digest)
	live := slices.DeleteFunc(slices.Clone(want.State), func(c storage.StateChange) bool { return c.Deleted })
	diff(t, "keys of "+string(name), pages(t, s, storage.StateQuery{Object: name, Limit: 2}), live)
	page, err := s.Logs(context.Background(), storage.LogsQuery{Object: name, Limit: 1000, Oldest: true})
	if err != nil {
		t.Fatalf("Logs: %v", err)
	}
	diff(t, "log of "+string(name), page.Entries, log)
	sameRanges(t, s, name, log)
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

// sameRanges asks for parts of a log by their times, in small pages.
func sameRanges(t testing.TB, s *Store, name id.Object, log []storage.Entry) {
	t.Helper()
	for i, e := range log {
		if i%5 != 2 {
			continue
		}
		for _, oldest := range []bool{true, false} {
			q := storage.LogsQuery{Object: name, Since: e.Time, Until: e.Time.Add(9 * time.Second), Limit: 4, Oldest: oldest}
			got, err := walk(s, q)
			if err != nil {
				t.Fatalf("Logs %+v: %v", q, err)
			}
			want := inRange(log, q.Since, q.Until)
			if !oldest {
				slices.Reverse(want)
			}
			diff(t, fmt.Sprintf("a range of the log of %s", name), got, want)
		}
	}
}

// inRange is what the law says of Since and Until.
func inRange(log []storage.Entry, since, until time.Time) (want []storage.Entry) {
	newest := time.Time{}
	for _, e := range log {
		if e.Time.After(newest) {
			newest = e.Time
		}
		if !newest.Before(since) && newest.Before(until) {
			want = append(want, e)
		}
	}
	return want
}

// walk reads all pages of a query.
func walk(s *Store, q storage.LogsQuery) (all []storage.Entry, err error) {
	for {
		p, err := s.Logs(context.Background(), q)
		if err != nil {
			return all, err
		}
		all = append(all, p.Entries...)
		if q.Cursor = p.Next; q.Cursor == "" {
			return all, nil
		}
	}
}

// pages walks the keys to their end.
func pages(t testing.TB, s *Store, q storage.StateQuery) []storage.StateChange {
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

// diff compares. Nearly all that it is given is equal, which cmp takes a hundred
// times as long to find out.
func diff(t testing.TB, what string, got, want any) {
	t.Helper()
	if reflect.DeepEqual(got, want) {
		return // cmp is slow
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Fatalf("%s (-want +got):\n%s", what, d)
	}
}

// start opens a store on m; nil means that it could not.
func (h *history) start(t testing.TB, m *memFS) *Store {
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
	s.logSize = 200                                         // a few entries
	s.levels = levelSizes{recent: 80, middle: 120}          // several merges of both kinds
	if err := s.Configure(context.Background(), plugin.Config{Station: here, DataDir: "/data", Options: map[string]string{"fsync": string(h.mode)}}); err != nil {
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
func (h *history) work(t testing.TB, s *Store, rnd *rand.Rand, m *memFS, steps int) {
	for range steps {
		if m.crashed() {
			return
		}
		switch rnd.IntN(9) {
		case 8:
			_ = s.tick()
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
		h.watch(s, m)
	}
}

// tick is what the goroutines of a store do beside rounds.
func (s *Store) tick() error {
	s.journalMu.Lock()
	err := s.syncJournal()
	s.journalMu.Unlock()
	if err == nil && s.low() {
		err = s.keepSpare()
	}
	if err != nil {
		s.end(err)
	}
	return err
}

// modeOf gives each fsync mode to some of the seeds, always to half of them.
func modeOf(seed uint64) fsyncMode {
	return [...]fsyncMode{fsyncAlways, fsyncInterval, fsyncNever, fsyncAlways}[seed%4]
}

// crashRun runs one workload that crashes at one operation, twice over, and
// checks what is left. It says whether the crash came before the end.
func crashRun(t testing.TB, seed uint64, at int, f fate, renamed map[string]int) bool {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, uint64(at)<<2|uint64(f)))
	work := rand.New(rand.NewPCG(seed, 0)) // the same operations for each at
	h, m := newHistory(), newMemFS()
	h.renamed, h.mode = renamed, modeOf(seed)
	m.crashAt = at
	if s := h.start(t, m); s != nil {
		h.work(t, s, work, m, 25)
		if !m.crashed() {
			_ = s.Close(context.Background())
		}
	}
	came := m.crashed()
	for _, again := range []int{1 + rnd.IntN(60), 0} { // the next start crashes too, in any way
		m = h.crash(m, f, rnd)
		f = fate(rnd.IntN(3))
		m.crashAt = again
		s := h.start(t, m)
		if s == nil {
			continue
		}
		if !m.crashed() {
			m.crashAt = 0
			h.settle(t, s)
			h.watch(s, m)
			m.crashAt = again
		}
		h.work(t, s, work, m, 8)
		if !m.crashed() {
			m.crashAt = 0
			h.settle(t, s)
		}
	}
	m = h.crash(m, lost, rnd)
	s := h.start(t, m)
	h.settle(t, s)
	h.nothingLeft(t, s, m)
	return came
}

var (
	crashSeeds  = flag.Int("crash-seeds", 1, "workloads of TestCrashEverywhere")
	crashEvery  = flag.Int("crash-every", crashOneIn, "TestCrashEverywhere crashes at one operation of so many, drawn")
	crashPoints = flag.Int("crash-points", 0, "crashes that TestCrashEverywhere must reach")
)

// TestCrashEverywhere crashes at every operation of a workload, or at one of -crash-every: each commit
// that was acknowledged is there, whole, and nothing else is; where commits are
// not synced one by one, a power cut takes only the last of them.
func TestCrashEverywhere(t *testing.T) {
	seeds := uint64(*crashSeeds)
	if testing.Short() {
		seeds = 1
	}
	runs, renamed := 0, map[string]int{}
	for seed := range seeds {
		for _, f := range []fate{lost, killed, mixed} {
			for at := 1 + rand.IntN(*crashEvery); ; at += *crashEvery {
				came := false
				name := fmt.Sprintf("seed %d, fate %d, operation %d", seed, f, at)
				if !t.Run(name, func(t *testing.T) { came = crashRun(t, seed, at, f, renamed) }) || !came {
					break
				}
				runs++
			}
		}
	}
	t.Logf("%d crash points in %d workloads, with %d merges into middle.tsv and %d into base.tsv", runs, seeds, renamed["middle.tsv"], renamed["base.tsv"])
	if renamed["middle.tsv"] < runs || renamed["base.tsv"] < runs/2 {
		t.Error("too few merges for a test of them")
	}
	if runs < *crashPoints {
		t.Errorf("%d crash points; want at least %d", runs, *crashPoints)
	}
}

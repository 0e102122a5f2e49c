package storagetsv

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// put commits the keys of object a with the sequence as their value; a key that
// begins with "-" is deleted.
func setKeys(t testing.TB, s *Store, sequence uint64, keys ...string) {
	t.Helper()
	st := hlc.Stamp{Time: hlc.Time(sequence) << 16, Station: here}
	c := storage.Commit{Object: "a", Incarnation: 1, Sequence: sequence, Stamp: st}
	for _, k := range keys {
		ch := storage.StateChange{Key: strings.TrimPrefix(k, "-"), Stamp: st}
		if ch.Deleted = ch.Key != k; !ch.Deleted {
			ch.Value = fmt.Append(nil, sequence)
		}
		c.State = append(c.State, ch)
	}
	if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
		t.Fatal(err)
	}
}

// held gives what Load says of object a, as key=value, and checks that State says
// the same; a tombstone has no value.
func held(t testing.TB, s *Store) []string {
	t.Helper()
	o, err := s.Load(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, c := range o.State {
		list = append(list, c.Key+"="+string(c.Value))
	}
	live := slices.DeleteFunc(slices.Clone(o.State), func(c storage.StateChange) bool { return c.Deleted })
	diff(t, "State after Load", pages(t, s, storage.StateQuery{Object: "a", Limit: 2}), live)
	return list
}

// threeFiles makes an object a that has lines in each file: b1 to b6 in
// base.tsv, b2, m1 and m2 in middle.tsv, b3, m2, n1 and the tombstone of b4 in
// state.tsv.
func threeFiles(t *testing.T, f *folder) {
	t.Helper()
	s := f.open()
	round := func(z levelSizes) {
		t.Helper()
		s.levels = z
		if err := s.round(true); err != nil {
			t.Fatal(err)
		}
	}
	setKeys(t, s, 1, "b6", "b2", "b3", "b4", "b5", "b1", "sorted")
	round(levelSizes{})
	setKeys(t, s, 2, "m2", "b2", "m1")
	round(levelSizes{recent: 1, middle: 1 << 20})
	setKeys(t, s, 3, "n1", "b3", "-b4", "m2")
	round(levelSizes{recent: 1 << 20, middle: 1 << 20})
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

var threeHold = []string{"b1=1", "b2=2", "b3=3", "b4=", "b5=1", "b6=1", "m1=2", "m2=3", "n1=3", "sorted=1"}

func TestThreeFiles(t *testing.T) {
	f := newFolder(t)
	threeFiles(t, f)
	for name, keys := range map[string]string{"base.tsv": "b1 b2 b3 b4 b5 b6 sorted sorted", "middle.tsv": "b2 m1 m2 sorted", "state.tsv": "b3 b4 m2 n1"} {
		var got []string
		for line := range strings.Lines(strings.TrimPrefix(string(f.read("state/a/"+name)), stateHeader)) {
			key, _, _ := strings.Cut(line, "\t")
			got = append(got, key)
		}
		if name == "state.tsv" {
			slices.Sort(got)
		}
		if s := strings.Join(got, " "); s != keys {
			t.Errorf("%s holds %s, want %s", name, s, keys)
		}
	}
	diff(t, "state", held(t, f.open()), threeHold)
}

// TestStateEditedByHand edits the sorted files as a person would.
func TestStateEditedByHand(t *testing.T) {
	for what, c := range map[string]struct {
		file string
		edit func(string) string
		want string // in place of what threeFiles holds
	}{
		"lines at the end":     {"base.tsv", func(s string) string { return s + "b0\t7\t9.0.st-1\nb1\t8\t9.0.st-1\n" }, "b0=7 b1=8"},
		"no newline, checksum": {"middle.tsv", func(s string) string { return strings.TrimSuffix(s, "\n") }, ""},
		"a line moved": {"base.tsv", func(s string) string {
			lines := strings.SplitAfter(s, "\n")
			lines[1], lines[5] = lines[5], lines[1] // of the same length, so that the seal is right
			return strings.Join(lines, "")
		}, ""},
		"a value changed":    {"base.tsv", func(s string) string { return replaceLine(s, "b5\t1", "b5\t\"mine\"\t1.0.st-1") }, `b5="mine"`},
		"a line removed":     {"middle.tsv", func(s string) string { return replaceLine(s, "m1\t2", "") }, "m1"},
		"a checksum removed": {"middle.tsv", func(s string) string { return replaceLine(s, "m1\t2", "m1\t2\t2.0.st-1") }, ""},
		"as Windows does it": {"base.tsv", func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }, ""},
		"emptied":            {"middle.tsv", func(string) string { return "" }, "b2=1 m1"},
	} {
		t.Run(what, func(t *testing.T) {
			f := newFolder(t)
			threeFiles(t, f)
			name := "state/a/" + c.file
			f.write(name, []byte(c.edit(string(f.read(name)))))
			want := map[string]string{}
			for _, kv := range slices.Concat(threeHold, strings.Fields(c.want)) {
				k, _, there := strings.Cut(kv, "=")
				if want[k] = kv; !there {
					delete(want, k)
				}
			}
			s := f.open()
			diff(t, "state", held(t, s), slices.Sorted(maps.Values(want)))
			if n := strings.Count(f.log.String(), "changed from outside"); n != 1 {
				t.Errorf("it was said %d times that the file was changed, want once", n)
			}
			if err := s.round(false); err != nil {
				t.Fatal(err)
			}
			diff(t, "state after a round", held(t, s), slices.Sorted(maps.Values(want)))
			v, err := s.openState(s.objects.get("a"))
			if err != nil {
				t.Fatal(err)
			}
			defer v.close()
			for l := range recent {
				if v.tables[l].f != nil && !v.tables[l].sorted {
					t.Errorf("%s has not been sorted again", l.file())
				}
			}
			if n := strings.Count(f.log.String(), "changed from outside"); n != 1 || s.damage.count() > 0 {
				t.Errorf("said %d times, %d damaged lines:\n%s", n, s.damage.count(), f.log.String())
			}
		})
	}
}

// replaceLine puts another line in the place of the one that begins so.
func replaceLine(s, begins, line string) string {
	i := strings.Index(s, "\n"+begins) + 1
	n := strings.Index(s[i:], "\n") + 1
	if line != "" {
		line += "\n"
	}
	return s[:i] + line + s[i+n:]
}

// TestMergeFails: where a merge cannot be written nothing is lost, others go on,
// and it is made up for.
func TestMergeFails(t *testing.T) {
	for _, what := range []string{"middle.tsv.tmp", "damaged/lines.tsv"} {
		t.Run(filepath.Base(what), func(t *testing.T) {
			m := newMemFS()
			var ended error
			s := memStore(t, m, &ended)
			s.levels = levelSizes{recent: 50, middle: 1 << 20}
			full := true
			m.fail = func(op, name string) error {
				if full && strings.HasSuffix(name, what) && (op == "write" || op == "create") {
					return syscall.ENOSPC
				}
				return nil
			}
			setKeys(t, s, 1, "a", "b")
			if what != "middle.tsv.tmp" { // a damaged line makes the merge copy it
				s.levels.recent = 1 << 20
				if err := s.round(false); err != nil {
					t.Fatal(err)
				}
				m.find("state/a/state.tsv").data = append(m.find("state/a/state.tsv").data, "what is this\n"...)
				s.levels.recent = 50
			}
			setKeys(t, s, 2, "c", "d")
			count(t, s, "b", 1, 1)
			if err := s.round(true); err != nil {
				t.Fatalf("a merge that failed fails the round: %v", err)
			}
			wantCount(t, s, "b", 1)
			diff(t, "state", held(t, s), []string{"a=1", "b=1", "c=2", "d=2"})
			if s.Health(t.Context()).OK || m.find("state/a/middle.tsv") != nil || m.find("state/a/state.tsv") == nil {
				t.Errorf("health %+v after a merge that failed", s.Health(t.Context()))
			}
			setKeys(t, s, 3, "e")
			if err := s.round(false); err != nil || s.Health(t.Context()).OK {
				t.Errorf("a round later: %v, health %+v", err, s.Health(t.Context()))
			}
			full = false
			if err := s.round(true); err != nil || !s.Health(t.Context()).OK {
				t.Errorf("with room again: %v, health %+v", err, s.Health(t.Context()))
			}
			if m.find("state/a/middle.tsv") == nil || m.find("state/a/state.tsv") != nil {
				t.Error("the merge was not made up for")
			}
			diff(t, "state", held(t, s), []string{"a=1", "b=1", "c=2", "d=2", "e=3"})
			if copied := m.find("damaged/lines.tsv"); (copied != nil && bytes.Contains(copied.data, []byte("what is this"))) != (what != "middle.tsv.tmp") {
				t.Error("the damaged line has no copy")
			}
			if ended != nil {
				t.Error(ended)
			}
		})
	}
}

// TestPowerCutInMerge cuts the power between a merge and the removal of what was
// merged, and damages the journal: an older value that was durable in state.tsv
// does not come back above the newer one.
func TestPowerCutInMerge(t *testing.T) { powerCutInMerge(t) }

func powerCutInMerge(t testing.TB) {
	m := newMemFS()
	var ended error
	s := memStore(t, m, &ended)
	setKeys(t, s, 1, "a")
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	setKeys(t, s, 2, "a")
	s.levels = levelSizes{recent: 1, middle: 1 << 20}
	m.fail = func(op, name string) error {
		if op == "remove" && name == "state/a/state.tsv" {
			m.crashAt = m.ops
			return errCrash
		}
		return nil
	}
	_ = s.round(false)
	if !m.crashed() {
		t.Fatal("nothing was merged")
	}
	m = m.after(lost, nil)
	hit := false
	for _, n := range m.find("journal").names {
		n.data = bytes.Clone(n.data)
		if i := bytes.Index(n.data, []byte("state\ta\t2")); i >= 0 {
			n.data[i+8] = '9'
			hit = true
		}
		n.durable = n.data
	}
	if !hit {
		t.Fatal("the journal does not hold the change")
	}
	diff(t, "state", held(t, memStore(t, m, &ended)), []string{"a=2"})
}

// TestUnusableLevel puts a directory where a sorted file belongs: it is moved
// aside, and the other files are read.
func TestUnusableLevel(t *testing.T) {
	for l, want := range map[level][]string{
		base:   {"b2=2", "b3=3", "b4=", "m1=2", "m2=3", "n1=3"},
		middle: {"b1=1", "b2=1", "b3=3", "b4=", "b5=1", "b6=1", "m2=3", "n1=3", "sorted=1"},
	} {
		t.Run(l.file(), func(t *testing.T) {
			f := newFolder(t)
			threeFiles(t, f)
			name := f.path("state/a/" + l.file())
			if err := errors.Join(os.Remove(name), os.MkdirAll(name+"/mine", 0o700)); err != nil {
				t.Fatal(err)
			}
			s := f.open()
			if _, err := s.Load(t.Context(), "a"); err == nil {
				t.Error("Load does not say that a file cannot be read")
			}
			if err := s.round(false); err != nil {
				t.Fatal(err)
			}
			diff(t, "state", held(t, s), want)
			f.logged("level=ERROR", "moved_to=damaged/"+strings.TrimSuffix(l.file(), ".tsv")+"-a-1")
		})
	}
}

var hotKey = flag.Int("hot-key", hotKeyTimes, "times that TestHotKey increments its counter")

// TestHotKey increments one counter many times, a million in a soak: what is left
// on disk is bounded by the figures, and not by the count.
func TestHotKey(t *testing.T) {
	times := *hotKey
	f := newFolder(t)
	s := f.open()
	s.levels = levelSizes{recent: 4 << 10, middle: 8 << 10}
	sequence := uint64(0)
	for range times / 1000 {
		batch := make([]storage.Commit, 1000)
		for i := range batch {
			sequence++
			st := hlc.Stamp{Time: hlc.Time(sequence) << 16, Station: here}
			batch[i] = storage.Commit{Object: "a", Incarnation: 1, Sequence: sequence, Stamp: st,
				State: []storage.StateChange{{Key: "count", Value: fmt.Append(nil, sequence), Stamp: st}}}
		}
		if err := errors.Join(s.Commit(t.Context(), batch)...); err != nil {
			t.Fatal(err)
		}
		if err := s.round(false); err != nil { // a line each
			t.Fatal(err)
		}
	}
	diff(t, "state", held(t, s), []string{fmt.Sprintf("count=%d", times)})
	files, err := os.ReadDir(f.path("state/a"))
	if err != nil {
		t.Fatal(err)
	}
	size := int64(0)
	for _, e := range files {
		i, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += i.Size()
	}
	if size > s.levels.recent+1<<10 {
		t.Errorf("%d bytes are left of one key, want about %d at the most", size, s.levels.recent)
	}
}

// TestManyTombstones: a page looks at a bounded number of keys.
func TestManyTombstones(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	s.scan.lines = 10
	s.levels = levelSizes{recent: 100, middle: 200}
	var gone []string
	for i := range 35 {
		gone = append(gone, fmt.Sprintf("-k%02d", i))
	}
	setKeys(t, s, 1, gone...)
	setKeys(t, s, 2, "z")
	for range 3 { // pending, in state.tsv, merged
		p, err := s.State(t.Context(), storage.StateQuery{Object: "a", Limit: 5})
		if err != nil || p.Next != "k09" || len(p.Items) > 0 {
			t.Fatalf("the first page: %v, next %q, %v", p.Items, p.Next, err)
		}
		if err := s.round(false); err != nil {
			t.Fatal(err)
		}
	}
	diff(t, "keys", len(pages(t, s, storage.StateQuery{Object: "a", Limit: 5})), 1)
}

// TestReadersAndMerges reads while merges of both kinds replace the files.
func TestReadersAndMerges(t *testing.T) {
	f := newFolder(t)
	s := openStore(t, f.config, func(s *Store) { s.levels, s.carryDelay = levelSizes{recent: 2 << 10, middle: 4 << 10}, 0 })
	var keys []string
	for i := range 300 {
		keys = append(keys, fmt.Sprintf("k%03d", i))
	}
	setKeys(t, s, 1, keys...)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for last := 0; ; {
				select {
				case <-stop:
					return
				default:
				}
				o, err := s.Load(context.Background(), "a")
				if err != nil || len(o.State) != len(keys) || int(o.Sequence) < last {
					t.Errorf("Load: %d keys at sequence %d after %d, %v", len(o.State), o.Sequence, last, err)
					return
				}
				last = int(o.Sequence)
				p, err := s.State(context.Background(), storage.StateQuery{Object: "a", Prefix: "k1", After: "k149", Limit: 100})
				if err != nil || len(p.Items) != 50 || p.Next != "" || p.Items[0].Key != "k150" {
					t.Errorf("State: %d items, next %q, %v", len(p.Items), p.Next, err)
					return
				}
			}
		})
	}
	for n := uint64(2); n < 600; n++ {
		setKeys(t, s, n, slices.Compact(slices.Sorted(slices.Values([]string{keys[n%300], keys[n*7%300], keys[(n*n+1)%300]})))...)
	}
	close(stop)
	wg.Wait()
}

// TestStateProperty compares Load and State with a map, over random commits,
// rounds, closes and kills.
func TestStateProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		open := func() *Store {
			s := New(slog.New(slog.DiscardHandler), "test")
			s.openFS, s.manual, s.segmentSize, s.levels = openUnsynced, true, smallSegment, levelSizes{recent: 300, middle: 600}
			if err := s.Configure(context.Background(), plugin.Config{Station: here, DataDir: dir}); err != nil {
				rt.Fatal(err)
			}
			return s
		}
		s, sequence, want := open(), uint64(0), map[string]storage.StateChange{}
		defer func() { _ = s.Close(context.Background()) }()
		key := rapid.Custom(func(rt *rapid.T) string {
			return rapid.SampledFrom([]string{"", "a", "a\t", "a\\", "é"}).Draw(rt, "start") + fmt.Sprint(rapid.IntRange(0, 200).Draw(rt, "n"))
		})
		rt.Repeat(map[string]func(*rapid.T){
			"commit": func(rt *rapid.T) {
				sequence++
				st := hlc.Stamp{Time: hlc.Time(sequence) << 16, Station: here}
				c := storage.Commit{Object: "a", Incarnation: 1, Sequence: sequence, Stamp: st}
				for _, k := range rapid.SliceOfNDistinct(key, 1, 20, rapid.ID).Draw(rt, "keys") {
					ch := storage.StateChange{Key: k, Value: fmt.Append(nil, sequence), Stamp: st}
					if rapid.IntRange(0, 4).Draw(rt, "deleted") == 0 {
						ch.Deleted, ch.Value = true, nil
					}
					want[k] = ch
					c.State = append(c.State, ch)
				}
				if err := s.Commit(context.Background(), []storage.Commit{c})[0]; err != nil {
					rt.Fatal(err)
				}
			},
			"round": func(rt *rapid.T) {
				if err := s.round(rapid.Bool().Draw(rt, "all")); err != nil {
					rt.Fatal(err)
				}
			},
			"kill": func(rt *rapid.T) {
				if err := s.abandon(); err != nil {
					rt.Fatal(err)
				}
				s = open()
			},
			"close": func(rt *rapid.T) {
				if err := s.Close(context.Background()); err != nil {
					rt.Fatal(err)
				}
				s = open()
			},
			"": func(rt *rapid.T) { compareState(rt, s, want, key) },
		})
	})
}

func compareState(rt *rapid.T, s *Store, want map[string]storage.StateChange, key *rapid.Generator[string]) {
	o, err := s.Load(context.Background(), id.Object("a"))
	if err != nil || len(o.State) != len(want) {
		rt.Fatalf("Load: %d keys, want %d, %v", len(o.State), len(want), err)
	}
	q := storage.StateQuery{Object: "a", Limit: rapid.IntRange(1, 30).Draw(rt, "limit"), After: key.Draw(rt, "after")}
	q.Prefix = q.After[:rapid.IntRange(0, 2).Draw(rt, "prefix")%(len(q.After)+1)]
	var keys []string
	for _, k := range slices.Sorted(maps.Keys(want)) {
		c := want[k]
		if i := len(keys); !c.Deleted && k > q.After && strings.HasPrefix(k, q.Prefix) && i < q.Limit {
			keys = append(keys, k+"="+string(c.Value))
		}
	}
	for i, k := range slices.Sorted(maps.Keys(want)) {
		if c := o.State[i]; c.Key != k || string(c.Value) != string(want[k].Value) || c.Deleted != want[k].Deleted || c.Stamp != want[k].Stamp {
			rt.Fatalf("Load: %+v, want %+v", c, want[k])
		}
	}
	p, err := s.State(context.Background(), q)
	if err != nil {
		rt.Fatal(err)
	}
	var got []string
	for _, c := range p.Items {
		got = append(got, c.Key+"="+string(c.Value))
	}
	if !slices.Equal(got, keys) {
		rt.Fatalf("State %+v: %v, want %v", q, got, keys)
	}
}

package storagetest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// awkward are texts that a line-based store gets wrong when it is careless.
var awkward = []string{
	"plain", " ", "\t", "\n", "\r", "\r\n", "\x00", "\\", `\t`, `\n`, `\\`, "a\tb\nc\\d", "\x1b[31m", "\x7f",
	"ключ", "日本語", "🦊", "\u2028", "\ufeff", "-", "#", "key", "\tkey\tvalue\t", strings.Repeat("k", 512), strings.Repeat("ü", 256),
}

func checkRoundTrip(s *subject) {
	values := []string{`""`, `null`, `true`, `0`, `-1.5e300`, `{}`, `[]`, `"\t\n\r\\\u0000"`, `"tab	less"`, `{"a":[1,{"b":"ü"}]}`, " 1", "[1,\n2]", "[1,\t2]"}
	c := s.make("awkward", 1)
	for i, k := range awkward {
		v := values[i%len(values)]
		if strings.Contains(v, "\"tab\t") {
			v = `"\\t"`
		}
		c.State = append(c.State, s.set(k, v))
		c.Entries = append(c.Entries, storage.Entry{ID: entry(1, uint64(i+2)).ID, Time: epochStart, Level: storage.Info, Message: k})
	}
	c.Entries = append(c.Entries, storage.Entry{ID: entry(1, 100).ID, Time: epochStart.In(time.FixedZone("x", 3600)).Add(789 * time.Nanosecond),
		Level: storage.Error, Message: "", Fields: []byte("{\"a\\tb\":\n\"\\n\"}")})
	c.RequestID, c.Source, c.Version = "a\tb\nc", 7, source(1, "-- \t\r\n\x00\\ \xff\xfe\nreturn 1")
	s.must(c)
	check := func(when string) {
		s.Helper()
		o := s.load("awkward")
		want := slices.Clone(c.State)
		slices.SortFunc(want, compareChanges)
		s.equal("state "+when, o.State, want)
		s.equal("info "+when, o.ObjectInfo, storage.ObjectInfo{Object: "awkward", Incarnation: 1, Sequence: 1, Head: 1, Hash: c.Version.Hash})
		wantLog := slices.Clone(c.Entries)
		for i := range wantLog {
			wantLog[i].Time = micro(wantLog[i].Time)
		}
		got := s.allLogs(storage.LogsQuery{Object: "awkward", Oldest: true, Limit: 1000})
		s.equal("log "+when, got, wantLog)
		v, err := s.Version(s.ctx, "awkward", 1)
		if err != nil {
			s.Fatalf("Version %s: %v", when, err)
		}
		s.equal("version "+when, v, *c.Version)
	}
	check("after Commit")
	s.reopen()
	check("after opening again")
}

func checkLarge(s *subject) {
	big := append(append([]byte{'"'}, bytes.Repeat([]byte(`a\tü`), 256<<10/5)...), '"')
	c := s.make("large", 1, withVersion(1, strings.Repeat("-- a line\n", 25<<10)))
	c.State = append(c.State, storage.StateChange{Key: "big", Value: big, Stamp: s.stamp()})
	c.Entries[0].Message = strings.Repeat("long ", 10<<10)
	s.must(c)
	for range 2 {
		o := s.load("large")
		if len(o.State) != 2 || !bytes.Equal(o.State[0].Value, big) {
			s.Fatalf("a value of %d bytes did not come back", len(big))
		}
		if p := s.logs(storage.LogsQuery{Object: "large", Limit: 1}); len(p.Entries) != 1 || p.Entries[0].Message != c.Entries[0].Message {
			s.Fatalf("a message of %d bytes did not come back", len(c.Entries[0].Message))
		}
		if v, err := s.Version(s.ctx, "large", 1); err != nil || !bytes.Equal(v.Text, c.Version.Text) {
			s.Fatalf("a source of %d bytes did not come back: %v", len(c.Version.Text), err)
		}
		s.reopen()
	}
}

func checkTombstones(s *subject) {
	s.must(s.make("a", 1))
	del := s.make("a", 2)
	del.State = []storage.StateChange{
		{Key: "n", Deleted: true, Stamp: hlc.Stamp{Time: del.Stamp.Time, Station: "elsewhere"}},
		{Key: "never", Deleted: true, Stamp: del.Stamp},
	}
	s.must(del)
	want := []storage.StateChange{del.State[1], del.State[0]}
	slices.SortFunc(want, compareChanges)
	s.equal("state with tombstones", s.load("a").State, want)
	s.reopen()
	s.equal("state with tombstones after opening again", s.load("a").State, want)
	s.must(s.make("a", 3))
	if o := s.load("a"); len(o.State) != 2 || o.State[0].Deleted || string(o.State[0].Value) != "3" {
		s.Errorf("a key set again after its deletion: %+v", o.State)
	}
}

func checkKeyOrder(s *subject) {
	keys := []string{"b", "a", "ab", "B", "é", "z", "\x01", "a\x00", "~", "a b", "10", "9"}
	for i, k := range keys {
		s.must(s.make("a", uint64(i+1), func(c *storage.Commit) { c.State = []storage.StateChange{s.set(k, "1")} }))
	}
	slices.Sort(keys)
	for range 2 {
		var got []string
		for _, c := range s.load("a").State {
			got = append(got, c.Key)
		}
		s.equal("order of keys", got, keys)
		s.reopen()
	}
}

func checkSequences(s *subject) {
	s.refused("first sequence 2", s.make("a", 2), outOfSequence)
	s.must(s.make("a", 1))
	s.refused("sequence 1 again", s.make("a", 1), outOfSequence)
	s.refused("sequence 3 after 1", s.make("a", 3), outOfSequence)
	s.must(s.make("a", 2), s.make("a", 3), s.make("b", 1), s.make("a", 4))
	s.reopen()
	s.refused("sequence 4 again", s.make("a", 4), outOfSequence)
	s.refused("sequence 6 after 4", s.make("a", 6), outOfSequence)
	s.must(s.make("a", 5))
	o := s.load("a")
	if o.Sequence != 5 || len(o.State) != 1 || string(o.State[0].Value) != "5" {
		s.Errorf("got sequence %d, state %v; want 5, n=5", o.Sequence, o.State)
	}
	if n := len(s.allLogs(storage.LogsQuery{Object: "a", Limit: 100})); n != 5 {
		s.Errorf("%d log entries, want 5: none of a refused commit", n)
	}
}

func checkFollowers(s *subject) {
	bad := s.make("a", 2)
	bad.State[0].Value = []byte("{")
	results := s.commit(s.make("a", 1), bad, s.make("b", 1), s.make("a", 2), s.make("a", 3), s.make("b", 2), s.make("a", 1))
	for i, want := range []string{"", "invalid", "", "out_of_sequence", "out_of_sequence", "", "out_of_sequence"} {
		got := ""
		if results[i] != nil {
			got = kindName(results[i])
		}
		if got != want {
			s.Errorf("result %d is %v, want %q", i, results[i], want)
		}
	}
	if a, b := s.load("a").Sequence, s.load("b").Sequence; a != 1 || b != 2 {
		s.Errorf("sequences a=%d b=%d, want 1 and 2", a, b)
	}
	s.must(s.make("a", 2))
}

func checkStale(s *subject) {
	s.must(s.make("a", 1, withIncarnation(2), withEpoch(5)))
	s.refused("an older incarnation", s.make("a", 2, withEpoch(5)), staleEpoch)
	s.refused("an older epoch", s.make("a", 2, withIncarnation(2), withEpoch(4)), staleEpoch)
	s.refused("no epoch after one", s.make("a", 2, withIncarnation(2)), staleEpoch)
	s.reopen()
	s.refused("an older epoch after opening again", s.make("a", 2, withIncarnation(2), withEpoch(4)), staleEpoch)
	s.must(s.make("a", 2, withIncarnation(2), withEpoch(5)), s.make("a", 3, withIncarnation(2), withEpoch(9)))
	s.refused("the epoch before", s.make("a", 4, withIncarnation(2), withEpoch(5)), staleEpoch)
	// Epochs are those of one life: what (incarnation, epoch) orders is the pair.
	s.must(s.make("a", 4, withIncarnation(3), withEpoch(1)))
}

func checkIncarnations(s *subject) {
	s.must(s.make("a", 1, withVersion(1, "one")), s.make("a", 2, withVersion(2, "two"), func(c *storage.Commit) {
		c.State = append(c.State, s.set("old", "1"))
	}))
	s.refused("a new life whose sequence begins again", s.make("a", 1, withIncarnation(2)), outOfSequence)
	s.must(s.make("a", 3, withIncarnation(2)))
	check := func(when string) {
		s.Helper()
		o := s.load("a")
		s.equal("info in the new life "+when, o.ObjectInfo, storage.ObjectInfo{Object: "a", Incarnation: 2, Sequence: 3, Head: 2})
		if len(o.State) != 1 || string(o.State[0].Value) != "3" {
			s.Errorf("state %v %s, want n=3 alone", o.State, when)
		}
		if log := s.allLogs(storage.LogsQuery{Object: "a", Limit: 1}); len(log) != 1 || log[0].ID.Sequence != 3 {
			s.Errorf("log %v %s, want entry 3 alone", log, when)
		}
		if v := s.versions("a", 0, 10); len(v) != 0 {
			s.Errorf("versions %v %s, want none", v, when)
		}
		_, err := s.Version(s.ctx, "a", 2)
		s.kind("a version of the older life "+when, err, notFound)
	}
	check("after Commit")
	s.reopen()
	check("after opening again")
	s.refused("a version number of the older life", s.make("a", 4, withIncarnation(2), withVersion(1, "x")), invalid)
	s.must(s.make("a", 4, withIncarnation(2), withVersion(3, "three")))
	s.reopen()
	if v := s.versions("a", 0, 10); len(v) != 1 || v[0].Number != 3 {
		s.Errorf("versions %v, want 3 alone", v)
	}
}

func checkIncarnationBatch(s *subject) {
	s.must(s.make("a", 1), s.make("a", 2, withIncarnation(2)), s.make("a", 3, withIncarnation(4)), s.make("a", 4, withIncarnation(4)))
	for range 2 {
		o := s.load("a")
		log := s.allLogs(storage.LogsQuery{Object: "a", Oldest: true, Limit: 10})
		if o.Incarnation != 4 || o.Sequence != 4 || len(log) != 2 || log[0].ID.Sequence != 3 {
			s.Errorf("got %+v, log %v; want incarnation 4 with entries 3 and 4", o.ObjectInfo, log)
		}
		s.reopen()
	}
}

func checkInvalid(s *subject) {
	s.must(s.make("a", 1, withVersion(1, "one")))
	change := func(f func(*storage.StateChange)) func(*storage.Commit) {
		return func(c *storage.Commit) { f(&c.State[0]) }
	}
	entry := func(f func(*storage.Entry)) func(*storage.Commit) {
		return func(c *storage.Commit) { f(&c.Entries[0]) }
	}
	version := func(f func(*storage.Version)) func(*storage.Commit) {
		return func(c *storage.Commit) { c.Version = source(2, "two"); f(c.Version) }
	}
	for what, with := range map[string]func(*storage.Commit){
		"an empty key":             change(func(c *storage.StateChange) { c.Key = "" }),
		"a key of 513 bytes":       change(func(c *storage.StateChange) { c.Key = strings.Repeat("k", 513) }),
		"a key that is not UTF-8":  change(func(c *storage.StateChange) { c.Key = "a\xff" }),
		"a value that is not JSON": change(func(c *storage.StateChange) { c.Value = []byte("{a}") }),
		"two values":               change(func(c *storage.StateChange) { c.Value = []byte("1 2") }),
		"no value":                 change(func(c *storage.StateChange) { c.Value = nil }),
		"a deletion with a value":  change(func(c *storage.StateChange) { c.Deleted = true }),
		"a change without stamp":   change(func(c *storage.StateChange) { c.Stamp = hlc.Stamp{} }),
		"a key twice":              func(c *storage.Commit) { c.State = append(c.State, c.State[0]) },
		"sequence 0":               func(c *storage.Commit) { c.Sequence = 0 },
		"incarnation 0":            func(c *storage.Commit) { c.Incarnation = 0 },
		"no stamp":                 func(c *storage.Commit) { c.Stamp = hlc.Stamp{} },
		"an empty object id":       func(c *storage.Commit) { c.Object = "" },
		"a path as object id":      func(c *storage.Commit) { c.Object = "../x" },
		"an upper-case object id":  func(c *storage.Commit) { c.Object = "A" },
		"an unknown level":         entry(func(e *storage.Entry) { e.Level = "LOUD" }),
		"an entry without id":      entry(func(e *storage.Entry) { e.ID.Sequence = 0 }),
		"fields that are a list":   entry(func(e *storage.Entry) { e.Fields = []byte("[]") }),
		"fields that are no JSON":  entry(func(e *storage.Entry) { e.Fields = []byte("{") }),
		"a version number again":   version(func(v *storage.Version) { v.Number = 1 }),
		"a version number too far": version(func(v *storage.Version) { v.Number = 3 }),
		"a wrong hash":             version(func(v *storage.Version) { v.Text = []byte("other") }),
		"no hash":                  version(func(v *storage.Version) { v.Hash = "" }),
		"a module without version": version(func(v *storage.Version) { v.Uses = []storage.Use{{Module: "lib_a"}} }),
		"a module's id is a path":  version(func(v *storage.Version) { v.Uses = []storage.Use{{Module: "../lib_a", Version: 1}} }),
		"modules out of order": version(func(v *storage.Version) {
			v.Uses = []storage.Use{{Module: "lib_b", Version: 1}, {Module: "lib_a", Version: 1}}
		}),
		"too many modules": version(func(v *storage.Version) {
			for i := range storage.MaxUses + 1 {
				v.Uses = append(v.Uses, storage.Use{Module: id.Object(fmt.Sprintf("lib_%03d", i)), Version: 1})
			}
		}),
	} {
		c := s.make("a", 2, with)
		s.refused(what, c, invalid)
	}
	o := s.load("a")
	s.equal("info after refused commits", o.ObjectInfo, storage.ObjectInfo{Object: "a", Incarnation: 1, Sequence: 1, Head: 1, Hash: source(1, "one").Hash})
	if len(o.State) != 1 || string(o.State[0].Value) != "1" {
		s.Errorf("state %v after refused commits, want n=1", o.State)
	}
	if list := s.objects(storage.ObjectsQuery{Limit: 10}); len(list) != 1 {
		s.Errorf("objects %v after refused commits, want a alone", list)
	}
	s.must(s.make("a", 2))
}

func checkEmptyBatch(s *subject) {
	if r := s.Commit(s.ctx, nil); len(r) != 0 {
		s.Errorf("an empty batch gave %d results", len(r))
	}
	s.must(storage.Commit{Object: "a", Incarnation: 1, Sequence: 1, Stamp: s.stamp()})
	if o := s.load("a"); o.Sequence != 1 || len(o.State) != 0 {
		s.Errorf("a commit without changes: %+v", o)
	}
	s.reopen()
	if o := s.load("a"); o.Sequence != 1 {
		s.Errorf("a commit without changes has sequence %d after opening again, want 1", o.Sequence)
	}
}

func checkReopen(s *subject) {
	for i := range uint64(5) {
		s.must(s.make("a", 2*i+1), s.make("b", i+1))
		s.must(s.make("a", 2*i+2))
		s.reopen()
		a, b := s.load("a"), s.load("b")
		if a.Sequence != 2*i+2 || string(a.State[0].Value) != fmt.Sprint(a.Sequence) || b.Sequence != i+1 {
			s.Fatalf("opening %d: a=%+v b=%+v", i+1, a, b)
		}
		if n := len(s.allLogs(storage.LogsQuery{Object: "a", Limit: 7})); uint64(n) != a.Sequence {
			s.Fatalf("opening %d: %d log entries, want %d", i+1, n, a.Sequence)
		}
	}
}

package storagetest

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// model is what a few objects hold, kept in the plainest way: the list of the
// accepted commits of each, from which every answer is computed anew.
type model map[id.Object][]storage.Commit

// add takes the commit, or says which kind of error it deserves.
func (m model) add(c storage.Commit) (errs.Kind, bool) {
	var last storage.Commit
	var head uint64
	for _, k := range m[c.Object] {
		last = k
		if k.Version != nil {
			head = k.Version.Number
		}
	}
	switch {
	case c.Incarnation < last.Incarnation, c.Incarnation == last.Incarnation && c.HomeEpoch < last.HomeEpoch:
		return staleEpoch, false
	case c.Sequence != last.Sequence+1:
		return outOfSequence, false
	case c.Version != nil && c.Version.Number != head+1:
		return invalid, false
	case c.Working > max(head, numberOf(c.Version)):
		return invalid, false
	}
	m[c.Object] = append(m[c.Object], c)
	return 0, true
}

// numberOf gives the number of a version, 0 without one.
func numberOf(v *storage.Version) uint64 {
	if v == nil {
		return 0
	}
	return v.Number
}

// foreignBoot is the boot of the entries that property logs: none of the
// store's own, so that Entries stays 0.
const foreignBoot = 1 << 40

// object gives what the model says of an object.
func (m model) object(name id.Object) (o storage.Object, log []storage.Entry, versions []storage.Version) {
	o.Object = name
	state := map[string]storage.StateChange{}
	for _, c := range m[name] {
		if c.Incarnation != o.Incarnation {
			clear(state)
			log, versions, o.Hash, o.Working = nil, nil, "", 0
		}
		o.Incarnation, o.Sequence = c.Incarnation, c.Sequence
		for _, ch := range c.State {
			state[ch.Key] = ch
		}
		log = append(log, c.Entries...)
		if c.Version != nil {
			versions = append(versions, *c.Version)
			o.Head, o.Hash = c.Version.Number, c.Version.Hash
		}
		if c.Working > 0 {
			o.Working = c.Working
		}
	}
	for _, ch := range state {
		o.State = append(o.State, ch)
	}
	slices.SortFunc(o.State, compareChanges)
	return o, log, versions
}

// property drives the store with random batches, some of them wrong, and
// compares everything it says with the model.
func property(s *subject) {
	run := 0
	rapid.Check(s.t, func(rt *rapid.T) {
		run++
		s := s.under(rt)
		m := model{}
		names := []id.Object{id.Object(fmt.Sprintf("r%d.x", run)), id.Object(fmt.Sprintf("r%d.y", run))}
		rt.Repeat(map[string]func(*rapid.T){
			"commit": func(rt *rapid.T) { s.randomBatch(rt, m, names) },
			"read": func(rt *rapid.T) {
				s.compare(m, rapid.SampledFrom(names).Draw(rt, "object"), rapid.IntRange(1, 9).Draw(rt, "limit"))
			},
		})
		for _, n := range names {
			s.compare(m, n, 1000)
		}
	})
	s.reopen()
}

// randomBatch commits a batch that is mostly right and checks each result.
func (s *subject) randomBatch(rt *rapid.T, m model, names []id.Object) {
	n := rapid.IntRange(1, 6).Draw(rt, "commits")
	batch := make([]storage.Commit, 0, n)
	next := model{} // the model with the batch applied so far
	for k, v := range m {
		next[k] = slices.Clone(v)
	}
	failed := map[id.Object]bool{}
	want := make([]string, n)
	for i := range n {
		c := s.randomCommit(rt, next, rapid.SampledFrom(names).Draw(rt, "object"))
		batch = append(batch, c)
		kind, ok := outOfSequence, false
		if !failed[c.Object] {
			kind, ok = next.add(c)
		}
		if !ok {
			failed[c.Object], want[i] = true, kind.String()
		}
	}
	for i, err := range s.commit(batch...) {
		got := ""
		if err != nil {
			got = kindName(err)
		}
		// A follower of a failed commit may name its own fault as well.
		if got != want[i] && (want[i] != outOfSequence.String() || got == "") {
			s.Fatalf("commit %d of the batch: got %v, want %q", i, err, want[i])
		}
	}
	for k, v := range next {
		m[k] = v
	}
}

func (s *subject) randomCommit(rt *rapid.T, m model, name id.Object) storage.Commit {
	o, _, _ := m.object(name)
	var epoch uint64
	if l := m[name]; len(l) > 0 {
		epoch = l[len(l)-1].HomeEpoch
	}
	c := storage.Commit{Object: name, Incarnation: max(1, o.Incarnation), Sequence: o.Sequence + 1, Stamp: s.stamp(), HomeEpoch: epoch}
	switch rapid.IntRange(0, 19).Draw(rt, "twist") {
	case 0:
		c.Sequence = rapid.Uint64Range(1, o.Sequence+3).Draw(rt, "sequence")
	case 1:
		c.Incarnation++
	case 2:
		c.Incarnation = max(1, c.Incarnation-1)
	case 3:
		c.HomeEpoch++
	case 4:
		c.HomeEpoch -= min(c.HomeEpoch, 1)
	}
	keys := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c\t", "d\n", "e"}), 0, 3, rapid.ID).Draw(rt, "keys")
	for _, k := range keys {
		ch := storage.StateChange{Key: k, Stamp: hlc.Stamp{Time: c.Stamp.Time, Station: "other"}}
		if ch.Deleted = rapid.IntRange(0, 3).Draw(rt, "delete") == 0; !ch.Deleted {
			ch.Value = rapid.SampledFrom([][]byte{[]byte("1"), []byte(`"\n"`), []byte(`{"a":[]}`)}).Draw(rt, "value")
		}
		c.State = append(c.State, ch)
	}
	for range rapid.IntRange(0, 3).Draw(rt, "entries") {
		s.tick++
		c.Entries = append(c.Entries, entry(foreignBoot, s.tick))
	}
	if rapid.IntRange(0, 4).Draw(rt, "version") == 0 {
		head := o.Head + 1
		if rapid.IntRange(0, 5).Draw(rt, "wrong") == 0 {
			head++
		}
		c.Version = source(head, fmt.Sprint(s.tick))
	}
	if rapid.IntRange(0, 2).Draw(rt, "file") == 0 {
		c.Working = rapid.Uint64Range(0, o.Head+2).Draw(rt, "working") // o.Head+2 always is wrong, o.Head+1 without a version
	}
	return c
}

// compare reads everything of an object and compares it with the model.
func (s *subject) compare(m model, name id.Object, limit int) {
	o, log, versions := m.object(name)
	o.Boot = s.boot().Number
	s.equal("Load", s.load(name), o)
	live := slices.DeleteFunc(slices.Clone(o.State), func(c storage.StateChange) bool { return c.Deleted })
	s.equal("State", s.allState(storage.StateQuery{Object: name, Limit: limit}), live)
	s.equal("Logs, oldest first", s.allLogs(storage.LogsQuery{Object: name, Oldest: true, Limit: limit}), log)
	back := slices.Clone(log)
	slices.Reverse(back)
	s.equal("Logs, newest first", s.allLogs(storage.LogsQuery{Object: name, Limit: limit}), back)
	each, _ := s.summed(name)
	s.equal("Digest", s.digest(name), each[0])
	var list []storage.Version
	for before := uint64(0); ; {
		page := s.versions(name, before, limit)
		list = append(list, page...)
		if len(page) < limit {
			break
		}
		before = page[len(page)-1].Number
	}
	slices.Reverse(list)
	for i := range list {
		v, err := s.Version(s.ctx, name, list[i].Number)
		if err != nil {
			s.Fatalf("Version: %v", err)
		}
		list[i] = v
	}
	s.equal("Versions", list, versions)
}

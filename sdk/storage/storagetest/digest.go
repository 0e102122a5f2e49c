package storagetest

import (
	"maps"
	"slices"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// stamps knows the stamp of each key of each object, tombstones included, so
// that changes can say what they replace.
type stamps map[id.Object]life

// life is one incarnation of an object.
type life struct {
	incarnation uint64
	keys        map[string]hlc.Stamp
}

func (l life) follow(c *storage.Commit) life {
	if l.incarnation != c.Incarnation || l.keys == nil {
		l = life{c.Incarnation, map[string]hlc.Stamp{}}
	}
	for _, ch := range c.State {
		l.keys[ch.Key] = ch.Stamp
	}
	return l
}

// fill gives a copy of the batch whose changes say what they replace, if all of
// it is taken. What a change says already is kept.
func (s stamps) fill(batch []storage.Commit) []storage.Commit {
	batch = slices.Clone(batch)
	staged := stamps{}
	for i := range batch {
		c := &batch[i]
		l, ok := staged[c.Object]
		if !ok {
			l = s[c.Object]
			l.keys = maps.Clone(l.keys)
		}
		c.State = slices.Clone(c.State)
		for k := range c.State {
			if ch := &c.State[k]; ch.Was == (hlc.Stamp{}) && l.incarnation == c.Incarnation {
				ch.Was = l.keys[ch.Key]
			}
		}
		staged[c.Object] = l.follow(c)
	}
	return batch
}

// note remembers the commits that were stored.
func (s stamps) note(batch []storage.Commit, results []error) {
	for i := range min(len(batch), len(results)) {
		if results[i] == nil {
			s[batch[i].Object] = s[batch[i].Object].follow(&batch[i])
		}
	}
}

// read remembers what an object was found to hold.
func (s stamps) read(o *storage.Object) {
	l := life{o.Incarnation, map[string]hlc.Stamp{}}
	for _, c := range o.State {
		l.keys[c.Key] = c.Stamp
	}
	s[o.Object] = l
}

func (s *subject) digest(object id.Object) storage.Digest {
	s.Helper()
	d, err := s.Digest(s.ctx, object)
	if err != nil {
		s.Fatalf("Digest %q: %v", object, err)
	}
	return d
}

// summed gives what Load and Logs say the digest of an object is, and of all objects.
func (s *subject) summed(objects ...id.Object) (each []storage.Digest, all storage.Digest) {
	s.Helper()
	for _, name := range objects {
		var d storage.Digest
		o := s.load(name)
		add := func(item string, sum storage.Sum) {
			d.Buckets[storage.Bucket(item)].Add(sum)
			d.Sum.Add(sum)
		}
		for _, c := range o.State {
			add(c.Key, storage.StateItem(name, o.Incarnation, c.Key, c.Stamp))
		}
		for _, e := range s.allLogs(storage.LogsQuery{Object: name, Limit: 1000}) {
			add(e.ID.String(), storage.LogItem(name, o.Incarnation, []byte(e.ID.String())))
		}
		each = append(each, d)
		all.Sum.Add(d.Sum)
		all.Buckets[storage.Bucket(string(name))].Add(d.Sum)
	}
	return each, all
}

// checkDigest compares the digests with what is stored, after changes of every
// kind, before and after opening again.
func checkDigest(s *subject) {
	names := []id.Object{"a", "b"}
	compare := func(when string) {
		s.Helper()
		each, all := s.summed(names...)
		for i, name := range names {
			s.equal("digest of "+string(name)+" "+when, s.digest(name), each[i])
		}
		s.equal("digest of all "+when, s.digest(""), all)
	}
	compare("of an empty store")
	s.must(s.make("a", 1), s.make("b", 1), s.make("a", 2))
	compare("after three commits")
	if a, b := s.digest("a"), s.digest("b"); a.Sum == b.Sum || a.Sum == (storage.Sum{}) {
		s.Errorf("digests %v and %v of different objects", a.Sum, b.Sum)
	}
	s.reopen()
	compare("after opening again")
	many := s.make("a", 3)
	for i := range 300 {
		many.State = append(many.State, s.set(string(rune('a'+i%26))+string(rune('a'+i/26)), "1"))
	}
	s.must(many)
	compare("of 300 keys")
	s.refused("a refused commit", s.make("a", 5), outOfSequence)
	gone := s.make("a", 4)
	gone.State = append(gone.State, storage.StateChange{Key: "aa", Deleted: true, Stamp: s.stamp()}, s.set("ab", "2"))
	s.must(gone)
	compare("after a deletion")
	before := s.digest("b")
	s.reopen()
	compare("after opening again twice")
	s.must(s.make("a", 5, withIncarnation(2)), s.make("a", 6, withIncarnation(2)))
	compare("after a new incarnation")
	s.equal("digest of the other object", s.digest("b"), before)
	s.reopen()
	compare("of a new incarnation opened again")
}

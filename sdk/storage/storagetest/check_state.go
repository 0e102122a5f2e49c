package storagetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dbbasic/station/sdk/storage"
)

func keysOf(list []storage.StateChange) []string {
	var keys []string
	for _, c := range list {
		keys = append(keys, c.Key)
	}
	return keys
}

// setKeys commits the keys, each with its bytes in hex as its value, a few at a time, and
// gives the sequence behind.
func (s *subject) setKeys(sequence uint64, keys ...string) uint64 {
	s.Helper()
	for part := range slices.Chunk(keys, 7) {
		s.must(s.make("a", sequence, func(c *storage.Commit) {
			c.State = nil
			for _, k := range part {
				c.State = append(c.State, s.set(k, fmt.Sprintf(`"%x"`, k)))
			}
		}))
		sequence++
	}
	return sequence
}

func (s *subject) deleteKeys(sequence uint64, keys ...string) uint64 {
	s.Helper()
	for part := range slices.Chunk(keys, 100) {
		s.must(s.make("a", sequence, func(c *storage.Commit) {
			c.State = nil
			for _, k := range part {
				c.State = append(c.State, storage.StateChange{Key: k, Deleted: true, Stamp: s.stamp()})
			}
		}))
		sequence++
	}
	return sequence
}

// checkStateOrder asks for keys whose bytes have an order that no alphabet and
// no escape has.
func checkStateOrder(s *subject) {
	keys := []string{"b", "a", "B", "a\t1", "a\n1", "a\\1", "a1", "a 1", "é", "z", "\x7f", "ab", "a\x01", "€", "𝄞", "-", strings.Repeat("k", 512), "za"}
	s.setKeys(1, keys...)
	slices.Sort(keys)
	for range 2 {
		for _, limit := range []int{1, 3, len(keys), 1000} {
			got := s.allState(storage.StateQuery{Object: "a", Limit: limit})
			s.equal("all keys", keysOf(got), keys)
			for _, c := range got {
				s.equal("a value", string(c.Value), fmt.Sprintf(`"%x"`, c.Key))
			}
			for _, prefix := range []string{"a", "a\t", "a\\", "k", "\xe2", "nothing"} {
				var want []string
				for _, k := range keys {
					if strings.HasPrefix(k, prefix) {
						want = append(want, k)
					}
				}
				s.equal(fmt.Sprintf("keys that begin with %q", prefix), keysOf(s.allState(storage.StateQuery{Object: "a", Prefix: prefix, Limit: limit})), want)
			}
		}
		s.reopen()
	}
}

// checkStatePages asks for pages from each key on, and from between the keys.
func checkStatePages(s *subject) {
	var keys []string
	for i := range 40 {
		keys = append(keys, fmt.Sprintf("p.%02d", i))
	}
	shuffled := slices.Concat(keys[20:], []string{"o", "q"}, keys[:20])
	s.setKeys(1, shuffled...)
	for range 2 {
		for i := range keys {
			for _, after := range []string{keys[i], keys[i] + "x"} {
				q := storage.StateQuery{Object: "a", Prefix: "p.", After: after, Limit: 5}
				rest := keys[i+1:]
				p := s.state(q)
				s.equal("a page after "+after, keysOf(p.Items), rest[:min(5, len(rest))])
				if last := len(rest) <= 5; last != (p.Next == "") {
					s.Errorf("a page of 5 keys of %d has next %q", len(rest), p.Next)
				}
			}
		}
		s.equal("after a key before the prefix", keysOf(s.state(storage.StateQuery{Object: "a", Prefix: "p.", After: "a", Limit: 2}).Items), keys[:2])
		s.equal("after all of the prefix", s.state(storage.StateQuery{Object: "a", Prefix: "p.", After: "p/", Limit: 2}), storage.StatePage{})
		s.equal("after the last key", s.state(storage.StateQuery{Object: "a", After: "q", Limit: 2}), storage.StatePage{})
		s.reopen()
	}
}

func checkStateTombstones(s *subject) {
	var keys, live []string
	for i := range 300 {
		keys = append(keys, fmt.Sprintf("k%03d", i))
		if i%50 == 7 {
			live = append(live, keys[i])
		}
	}
	next := s.setKeys(1, keys...)
	next = s.deleteKeys(next, slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return slices.Contains(live, k) })...)
	for range 2 {
		for _, limit := range []int{1, 4, 1000} {
			s.equal("keys between tombstones", keysOf(s.allState(storage.StateQuery{Object: "a", Limit: limit})), live)
		}
		s.reopen()
	}
	s.setKeys(next, "k000")
	s.equal("a key that came back", keysOf(s.allState(storage.StateQuery{Object: "a", Limit: 2})), append([]string{"k000"}, live...))
	s.must(s.make("a", s.load("a").Sequence+1, withIncarnation(2)))
	s.equal("a new incarnation", keysOf(s.allState(storage.StateQuery{Object: "a", Limit: 2})), []string{"n"})
}

// checkStateWhileCommitting walks while keys come and go around the position:
// those that stay are met once each.
func checkStateWhileCommitting(s *subject) {
	var stay []string
	for i := range 60 {
		stay = append(stay, fmt.Sprintf("k%02d", i))
	}
	next := s.setKeys(1, stay...)
	var met []string
	q := storage.StateQuery{Object: "a", Limit: 4}
	for i := 0; ; i++ {
		p := s.state(q)
		for _, c := range p.Items {
			if len(c.Key) == 3 {
				met = append(met, c.Key)
			}
		}
		if q.After = p.Next; p.Next == "" {
			break
		}
		at := 4 * min(i, 14)
		next = s.setKeys(next, stay[at]+"x", stay[(at+31)%60]+"y", stay[0]+fmt.Sprint(i))
		next = s.deleteKeys(next, stay[at]+"x")
		if i == 5 {
			s.reopen()
		}
	}
	s.equal("the keys that stayed", met, stay)
}

// checkStateSees reads after each commit: what was acknowledged is there.
func checkStateSees(s *subject) {
	for n := uint64(1); n <= 200; n++ {
		key := fmt.Sprintf("k%d", n%7)
		s.must(s.make("a", n, func(c *storage.Commit) { c.State = []storage.StateChange{s.set(key, fmt.Sprint(n))} }))
		p := s.state(storage.StateQuery{Object: "a", Prefix: key, Limit: 1})
		if len(p.Items) != 1 || string(p.Items[0].Value) != fmt.Sprint(n) {
			s.Fatalf("State after commit %d gave %v", n, p.Items)
		}
		if load := s.load("a").State; n%50 == 0 {
			s.equal("State and Load", s.allState(storage.StateQuery{Object: "a", Limit: 3}), load)
		}
	}
	p := s.state(storage.StateQuery{Object: "a", Limit: 10})
	for i := range p.Items {
		clear(p.Items[i].Value)
	}
	s.equal("State after the caller changed what it got", s.state(storage.StateQuery{Object: "a", Limit: 10}).Items, s.load("a").State)
}

// checkStateBytes asks for more than a page may hold.
func checkStateBytes(s *subject) {
	big := `"` + strings.Repeat("v", 600<<10) + `"`
	var keys []string
	for i := range 12 {
		keys = append(keys, fmt.Sprintf("k%02d", i))
		s.must(s.make("a", uint64(i)+1, func(c *storage.Commit) { c.State = []storage.StateChange{s.set(keys[i], big)} }))
	}
	for range 2 {
		p := s.state(storage.StateQuery{Object: "a", Limit: 1000})
		size := 0
		for _, c := range p.Items {
			size += len(c.Value)
		}
		if size > 6<<20 || p.Next == "" {
			s.Errorf("a page of %d bytes with next %q, want about 4 MiB and a next", size, p.Next)
		}
		s.equal("all keys", keysOf(s.allState(storage.StateQuery{Object: "a", Limit: 1000})), keys)
		s.reopen()
	}
}

func checkStateBad(s *subject) {
	s.setKeys(1, "k")
	for _, limit := range []int{0, -1, storage.MaxPage + 1} {
		for _, o := range []storage.StateQuery{{Object: "a", Limit: limit}, {Object: "nobody", Limit: limit}} {
			_, err := s.State(s.ctx, o)
			s.kind(fmt.Sprintf("State %+v", o), err, invalid)
		}
	}
	for _, q := range []storage.StateQuery{{Prefix: "\xff"}, {After: "\xff"}, {Prefix: strings.Repeat("p", 2000)}, {After: strings.Repeat("p", 2000)}} {
		q.Object, q.Limit = "a", 3
		s.equal(fmt.Sprintf("State with a prefix %.9q after %.9q", q.Prefix, q.After), s.state(q), storage.StatePage{})
	}
}

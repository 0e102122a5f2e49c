package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

func kindName(err error) string { return errs.KindOf(err).String() }

// sequences gives the entries' sequences.
func sequences(list []storage.Entry) []uint64 {
	var n []uint64
	for _, e := range list {
		n = append(n, e.ID.Sequence)
	}
	return n
}

// span gives the numbers from a to b, upwards or downwards.
func span(a, b uint64) []uint64 {
	list := []uint64{a}
	for a != b {
		if a < b {
			a++
		} else {
			a--
		}
		list = append(list, a)
	}
	return list
}

func (s *subject) fill(object id.Object, from, to uint64) {
	s.Helper()
	var batch []storage.Commit
	for n := from; n <= to; n++ {
		batch = append(batch, s.make(object, n))
		if len(batch) == 16 || n == to {
			s.must(batch...)
			batch = batch[:0]
		}
	}
}

func checkLogOrder(s *subject) {
	s.fill("a", 1, 40)
	s.must(s.make("a", 41, func(c *storage.Commit) { // several entries, with ids and times that are in no order
		c.Entries = []storage.Entry{entry(1, 50), entry(1, 44), entry(1, 61)}
	}))
	oldest := append(span(1, 40), 50, 44, 61)
	newest := slices.Clone(oldest)
	slices.Reverse(newest)
	for range 2 {
		for _, limit := range []int{1, 3, 43, 44, 1000} {
			s.equal("oldest first", sequences(s.allLogs(storage.LogsQuery{Object: "a", Oldest: true, Limit: limit})), oldest)
			s.equal("newest first", sequences(s.allLogs(storage.LogsQuery{Object: "a", Limit: limit})), newest)
		}
		p := s.logs(storage.LogsQuery{Object: "a", Limit: 5})
		s.equal("the newest page", sequences(p.Entries), newest[:5])
		if p.Next == "" || p.Scanned < 5 {
			s.Errorf("a page of 5 of 43 entries: next %q, scanned %d", p.Next, p.Scanned)
		}
		if p := s.logs(storage.LogsQuery{Object: "a", Limit: 43}); p.Next != "" {
			s.Errorf("the page that ends the log has a next: %q", p.Next)
		}
		s.reopen()
	}
}

func checkLogLevels(s *subject) {
	s.fill("a", 1, 50)
	var want []uint64
	for _, n := range span(1, 50) {
		if l := entry(1, n).Level; l == storage.Error || l == storage.Debug {
			want = append(want, n)
		}
	}
	down := slices.Clone(want)
	slices.Reverse(down)
	for range 2 {
		for _, limit := range []int{1, 7, 100} {
			q := storage.LogsQuery{Object: "a", Levels: []storage.Level{storage.Error, storage.Debug}, Limit: limit}
			s.equal("two levels, newest first", sequences(s.allLogs(q)), down)
			q.Oldest = true
			s.equal("two levels, oldest first", sequences(s.allLogs(q)), want)
		}
		s.reopen()
	}
}

func checkLogCursors(s *subject) {
	s.fill("a", 1, 30)
	last := uint64(30)
	var down, up []uint64
	qd := storage.LogsQuery{Object: "a", Limit: 4}
	qu := storage.LogsQuery{Object: "a", Limit: 4, Oldest: true}
	for i := 0; len(down) < 30; i++ {
		if i > 60 {
			s.Fatalf("walking down does not end: %v", down)
		}
		p := s.logs(qd)
		down, qd.Cursor = append(down, sequences(p.Entries)...), p.Next
		if p.Next == "" && len(down) < 30 {
			s.Fatalf("the walk down ended after %v", down)
		}
		p = s.logs(qu)
		up = append(up, sequences(p.Entries)...)
		if qu.Cursor = p.Next; p.Next == "" {
			s.Fatalf("the walk up ended after %d entries of %d", len(up), last)
		}
		s.fill("a", last+1, last+5) // appended between pages
		last += 5
		if i == 2 {
			s.reopen()
		}
	}
	if qd.Cursor != "" {
		s.Errorf("the walk down has a next page after its last entry")
	}
	s.equal("walking down while entries are appended", down, span(30, 1))
	up = append(up, sequences(s.allLogs(qu))...)
	s.equal("walking up while entries are appended", up, span(1, last))
}

func checkLogBad(s *subject) {
	s.fill("a", 1, 5)
	s.fill("b", 1, 20)
	next := s.logs(storage.LogsQuery{Object: "a", Limit: 2}).Next
	for _, q := range []storage.LogsQuery{
		{Object: "a", Limit: 0}, {Object: "a", Limit: -1}, {Object: "a", Limit: storage.MaxPage + 1},
		{Object: "a", Limit: 1, Cursor: "x"}, {Object: "a", Limit: 1, Cursor: "-1"}, {Object: "a", Limit: 1, Cursor: next + "0000000000"},
		{Object: "a", Limit: 1, Cursor: next, Oldest: true},
		{Object: "a", Limit: 1, Levels: []storage.Level{"LOUD"}},
	} {
		_, err := s.Logs(s.ctx, q)
		s.kind(fmt.Sprintf("Logs %+v", q), err, invalid)
	}
	s.must(s.make("a", 6, withIncarnation(2)))
	_, err := s.Logs(s.ctx, storage.LogsQuery{Object: "a", Limit: 1, Cursor: next})
	s.kind("a cursor of an older incarnation", err, invalid)
}

func checkVersions(s *subject) {
	var want []storage.Version
	for n := uint64(1); n <= 12; n++ {
		c := s.make("a", n, withVersion(n, fmt.Sprintf("return %d", n)))
		s.must(c)
		v := *c.Version
		v.Text = nil
		want = append([]storage.Version{v}, want...)
	}
	for range 2 {
		s.equal("all versions", s.versions("a", 0, 100), want)
		s.equal("the newest page", s.versions("a", 0, 5), want[:5])
		s.equal("the next page", s.versions("a", want[4].Number, 5), want[5:10])
		s.equal("the last page", s.versions("a", want[9].Number, 5), want[10:])
		s.equal("before the first", s.versions("a", 1, 5), []storage.Version(nil))
		for n := uint64(1); n <= 12; n++ {
			v, err := s.Version(s.ctx, "a", n)
			if err != nil {
				s.Fatalf("Version %d: %v", n, err)
			}
			s.equal("a version with its text", v, *source(n, fmt.Sprintf("return %d", n)))
		}
		for _, n := range []uint64{0, 13, 1 << 60} {
			_, err := s.Version(s.ctx, "a", n)
			s.kind(fmt.Sprintf("Version %d", n), err, notFound)
		}
		s.reopen()
	}
	for _, limit := range []int{0, storage.MaxPage + 1} {
		_, err := s.Versions(s.ctx, storage.VersionsQuery{Object: "a", Limit: limit})
		s.kind(fmt.Sprintf("Versions with limit %d", limit), err, invalid)
	}
}

func checkObjects(s *subject) {
	names := []id.Object{"b", "a", "a.b", "a-b", "a_b", "ab", "a0", "zz", "chat", "chat.1", "chat.10", "chat.2"}
	for i, n := range names {
		s.must(s.make(n, 1, withVersion(1, string(n))), s.make(n, 2))
		if i == 5 {
			s.reopen()
			s.objects(storage.ObjectsQuery{Limit: 3}) // a list that objects join afterwards
		}
	}
	slices.Sort(names)
	walk := func(prefix string, limit int) []id.Object {
		var got []id.Object
		q := storage.ObjectsQuery{Prefix: prefix, Limit: limit}
		for {
			page := s.objects(q)
			for _, o := range page {
				got = append(got, o.Object)
				s.equal("row of "+string(o.Object), o, storage.ObjectInfo{Object: o.Object, Incarnation: 1, Sequence: 2, Head: 1, Hash: source(1, string(o.Object)).Hash})
			}
			if len(page) < limit {
				return got
			}
			q.After = page[len(page)-1].Object
		}
	}
	for range 2 {
		for _, limit := range []int{1, 5, 12, 1000} {
			s.equal("all objects", walk("", limit), names)
			s.equal("objects with a prefix", walk("chat.", limit), []id.Object{"chat.1", "chat.10", "chat.2"})
		}
		s.equal("objects of no prefix", walk("q", 10), []id.Object(nil))
		s.reopen()
	}
	for _, limit := range []int{0, -1, storage.MaxPage + 1} {
		_, err := s.Objects(s.ctx, storage.ObjectsQuery{Limit: limit})
		s.kind(fmt.Sprintf("Objects with limit %d", limit), err, invalid)
	}
}

func checkEntryCounter(s *subject) {
	boot := s.boot().Number
	s.must(s.make("a", 1, func(c *storage.Commit) {
		c.Entries = []storage.Entry{entry(boot, 3), entry(boot, 2)}
		for range 2 { // of another station, and of another boot
			foreign := entry(boot, 90)
			foreign.ID.Station = "elsewhere"
			c.Entries = append(c.Entries, foreign, entry(boot+1000, 91))
		}
	}))
	if n := s.load("a").Entries; n != 3 {
		s.Errorf("Entries = %d, want 3: the highest of this boot and station", n)
	}
	s.must(s.make("a", 2, withIncarnation(2), func(c *storage.Commit) { c.Entries = nil }))
	if n := s.load("a").Entries; n != 3 {
		s.Errorf("Entries = %d after a new incarnation, want 3: ids are never used again", n)
	}
	s.reopen()
	if n := s.load("a").Entries; n != 0 {
		s.Errorf("Entries = %d in a new boot, want 0", n)
	}
}

func checkMany(s *subject) {
	const objects, rounds = 60, 5
	name := func(i int) id.Object { return id.Object(fmt.Sprintf("o%d", i)) }
	for r := range uint64(rounds) {
		var batch []storage.Commit
		for i := range objects {
			batch = append(batch, s.make(name(i), 2*r+1))
		}
		for i := range objects {
			batch = append(batch, s.make(name(objects-1-i), 2*r+2))
		}
		s.must(batch...)
		if r == rounds/2 {
			s.reopen()
		}
	}
	for i := range objects {
		o := s.load(name(i))
		if o.Sequence != 2*rounds || string(o.State[0].Value) != fmt.Sprint(2*rounds) {
			s.Errorf("%s: %+v", name(i), o)
		}
		s.equal("log of "+string(name(i)), sequences(s.allLogs(storage.LogsQuery{Object: name(i), Oldest: true, Limit: 4})), span(1, 2*rounds))
	}
}

// checkConcurrent reads while another goroutine commits. Each commit sets two
// keys and logs one entry, all with its sequence: a reader must see at least
// what was acknowledged before it began, and never half of a commit.
func checkConcurrent(s *subject) {
	const commits, readers = 400, 4
	var acked atomic.Uint64
	stop := make(chan struct{})
	fail := make(chan error, readers)
	var wg sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); wg.Wait() })
	defer end()
	for range readers {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := s.readOnce(&acked); err != nil {
					fail <- err
					return
				}
			}
		})
	}
	for n := uint64(1); n <= commits; n++ {
		s.must(s.make("hot", n, func(c *storage.Commit) {
			c.State = append(c.State, storage.StateChange{Key: "m", Value: c.State[0].Value, Stamp: c.Stamp})
		}), s.make("other", n))
		acked.Store(n)
		if n%20 == 0 { // also without luck in the scheduling
			if err := s.readOnce(&acked); err != nil {
				s.Fatalf("%v", err)
			}
		}
	}
	end()
	select {
	case err := <-fail:
		s.Errorf("%v", err)
	default:
	}
}

func (s *subject) readOnce(acked *atomic.Uint64) error {
	low := acked.Load()
	o, err := s.Load(s.ctx, "hot")
	if err != nil {
		return err
	}
	if o.Sequence < low {
		return fmt.Errorf("Load gave sequence %d when %d was acknowledged", o.Sequence, low)
	}
	if o.Sequence > 0 {
		want := fmt.Sprint(o.Sequence)
		if len(o.State) != 2 || string(o.State[0].Value) != want || string(o.State[1].Value) != want {
			return fmt.Errorf("Load gave sequence %d with state %v: half a commit", o.Sequence, o.State)
		}
	}
	low = acked.Load()
	p, err := s.Logs(s.ctx, storage.LogsQuery{Object: "hot", Limit: 3})
	if err != nil {
		return err
	}
	if low > 0 && (len(p.Entries) == 0 || p.Entries[0].ID.Sequence < low) {
		return fmt.Errorf("Logs gave %v when entry %d was acknowledged", sequences(p.Entries), low)
	}
	for i := 1; i < len(p.Entries); i++ {
		if p.Entries[i].ID.Sequence != p.Entries[i-1].ID.Sequence-1 {
			return errors.New("Logs gave " + fmt.Sprint(sequences(p.Entries)) + ": a gap or a duplicate")
		}
	}
	return nil
}

// checkOwnership changes everything that it passed and got, and looks again.
func checkOwnership(s *subject) {
	c := s.make("a", 1, withVersion(1, "return 1"))
	s.must(c)
	spoil := func(b []byte) {
		for i := range b {
			b[i] = '!'
		}
	}
	spoil(c.State[0].Value)
	spoil(c.Entries[0].Fields)
	spoil(c.Version.Text)
	for range 3 {
		o := s.load("a")
		log := s.allLogs(storage.LogsQuery{Object: "a", Limit: 10})
		v, err := s.Version(s.ctx, "a", 1)
		if err != nil || len(log) != 1 || len(o.State) != 1 {
			s.Fatalf("state %v, log %v, version %v", o.State, log, err)
		}
		if string(o.State[0].Value) != "1" || string(log[0].Fields) != `{"n":1}` || string(v.Text) != "return 1" {
			s.Fatalf("what the caller changed shows in the store: %s %s %s", o.State[0].Value, log[0].Fields, v.Text)
		}
		spoil(o.State[0].Value)
		spoil(log[0].Fields)
		spoil(v.Text)
		o.State[0] = storage.StateChange{Key: "spoilt"}
	}
	list := s.objects(storage.ObjectsQuery{Limit: 10})
	list[0].Object = "spoilt"
	if again := s.objects(storage.ObjectsQuery{Limit: 10}); again[0].Object != "a" {
		s.Errorf("a row that the caller changed shows in the store: %+v", again)
	}
}

package storagetsv

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// batch is the work of one Commit.
type batch struct {
	lines  []byte
	staged map[id.Object]*staged
	order  []*staged
	free   []*staged // empty ones, to be used again
	spans  []span    // of the commit that is being staged

	claimed bool // a commit of it names uploads

	unwritten atomic.Bool // the last one could not be written
}

// release empties the batch for the next one, and keeps neither the commits
// alive nor the memory of one that was huge. A map never shrinks, and clearing a
// large one would cost each small batch after it.
func (b *batch) release() {
	if cap(b.lines) > 4<<20 {
		b.lines = nil
	}
	if cap(b.spans) > maxSpans {
		b.spans = nil
	}
	if len(b.order) > maxFree {
		b.staged, b.order, b.free = nil, nil, nil
	}
	for _, g := range b.order {
		clear(g.changes)
		*g = staged{changes: g.changes[:0]}
		if cap(g.changes) <= maxChanges {
			b.free = append(b.free, g)
		}
	}
	clear(b.staged)
	clear(b.order)
	b.lines, b.order, b.claimed = b.lines[:0], b.order[:0], false
}

// What a batch was made of and the next one may use: at most 10 MiB.
const (
	maxFree    = 1024 // staged objects
	maxChanges = 64   // commits for which each of them has room, of some 150 bytes
	maxSpans   = 4096 // entries of a commit
)

// staged is what a batch does to one object.
type staged struct {
	object  *object // nil until the object's first commit is durable
	id      id.Object
	tip     tip
	own     uint64
	failed  bool // a commit of it was refused, so those behind it are too
	changes []change
}

// Commit implements storage.Storage: check, write, fsync, publish.
func (s *Store) Commit(ctx context.Context, commits []storage.Commit) []error {
	results := make([]error, len(commits))
	if len(commits) == 0 {
		return results
	}
	fail := func(err error) []error {
		for i := range results {
			if results[i] == nil {
				results[i] = err
			}
		}
		return results
	}
	if err := s.enter(); err != nil {
		return fail(err)
	}
	defer s.leave()
	if err := s.waitForRoom(ctx); err != nil {
		return fail(err)
	}
	s.journalMu.Lock()
	defer s.journalMu.Unlock()
	defer s.batch.release()
	s.stage(commits, results)
	if len(s.batch.lines) == 0 {
		return results
	}
	if err := s.write(); err != nil {
		if fe, ok := errors.AsType[fsyncError](err); ok {
			s.end(fe)
			return fail(errs.Wrap(errs.Unknown, "storage.Commit", fe, "%s; the change may not be durable.", diskSays(fe)))
		}
		s.unclaim()
		s.batch.unwritten.Store(true)
		s.sick(diskSays(err) + ": " + err.Error())
		return fail(errs.Wrap(errs.Unavailable, "storage.Commit", err, "%s; nothing was stored.", diskSays(err)))
	}
	if s.batch.unwritten.Swap(false) { // a round says whether all is well again
		s.dirt.wake(true)
	}
	s.used()
	s.publish()
	return results
}

// stage checks the commits one after the other and encodes those that are
// taken. It fills results.
func (s *Store) stage(commits []storage.Commit, results []error) {
	b := &s.batch
	if b.staged == nil {
		b.staged = map[id.Object]*staged{}
	}
	r := roomFor(commits)
	for i := range commits {
		c := &commits[i]
		g := s.stagedOf(c.Object)
		if s.importing[c.Object] != nil {
			results[i] = errs.New(errs.Unavailable, "", "Object %q is being imported; nothing was stored. Try again.", c.Object)
		} else {
			results[i] = g.check(c)
		}
		if results[i] == nil {
			results[i] = s.claim(c)
		}
		if results[i] != nil {
			g.failed = true
			continue
		}
		b.lines, b.spans = appendCommit(b.lines, c, b.spans[:0])
		g.take(c, r.entries(b.lines, b.spans), &r, s.station, s.boot)
	}
}

func (s *Store) stagedOf(name id.Object) *staged {
	b := &s.batch
	g := b.staged[name]
	if g == nil {
		if n := len(b.free); n > 0 {
			g, b.free[n-1] = b.free[n-1], nil
			b.free = b.free[:n-1]
		} else {
			g = &staged{}
		}
		g.id, g.object = name, s.objects.get(name)
		if g.object != nil {
			v := g.object.look()
			g.tip, g.own = v.tip, v.own
		}
		b.staged[name] = g
		b.order = append(b.order, g)
	}
	return g
}

// check says why a commit cannot be taken.
func (g *staged) check(c *storage.Commit) error {
	if err := validate(c); err != nil {
		return err
	}
	t := &g.tip
	before := storage.Tip{Incarnation: t.incarnation, Sequence: t.sequence, HomeEpoch: t.epoch, Head: t.head}
	return before.Check(c, g.failed)
}

// take moves the tip on and keeps what the files will need, in memory of its own:
// log is that already, the lines of the commit's entries as the log will hold them.
func (g *staged) take(c *storage.Commit, log []byte, r *room, station id.Station, boot uint64) {
	g.tip.follow(c)
	ch := change{incarnation: c.Incarnation, sequence: c.Sequence, sums: r.sumsOf(c), state: r.changes(c.State), log: log}
	for _, s := range ch.sums {
		g.tip.digest.Add(s.sum)
	}
	for i := range c.Entries {
		if e := &c.Entries[i].ID; e.Station == station && e.Boot == boot {
			g.own = max(g.own, e.Sequence)
		}
	}
	if c.Version != nil {
		v := *c.Version
		v.Text, v.Uses = slices.Clone(v.Text), slices.Clone(v.Uses)
		v.Time = v.Time.UTC().Truncate(time.Microsecond)
		ch.version = &v
	}
	ch.files = slices.Clone(c.Files)
	for i := range ch.files {
		ch.files[i].Time = ch.files[i].Time.UTC().Truncate(time.Microsecond)
	}
	g.changes = append(g.changes, ch)
}

// follow moves the tip to a commit.
func (t *tip) follow(c *storage.Commit) {
	if c.Incarnation != t.incarnation {
		t.hash, t.working, t.digest, t.summed = "", 0, storage.Sum{}, true
	}
	t.incarnation, t.sequence, t.epoch = c.Incarnation, c.Sequence, c.HomeEpoch
	t.high = max(t.high, c.Stamp.Time)
	for i := range c.State {
		t.high = max(t.high, c.State[i].Stamp.Time)
	}
	for i := range c.Files {
		t.high = max(t.high, c.Files[i].Stamp.Time)
	}
	if c.Version != nil {
		t.head, t.hash = c.Version.Number, c.Version.Hash
	}
	if c.Working > 0 {
		t.working = c.Working
	}
}

// publish shows what is durable to readers and to the carrier.
func (s *Store) publish() {
	for _, g := range s.batch.order {
		if len(g.changes) == 0 {
			continue
		}
		o := g.object
		if o == nil {
			o = &object{id: g.id, held: g.changes[0].incarnation}
		}
		o.mu.Lock()
		s.totals.move(o, g.tip)
		o.own = g.own
		o.pending = append(o.pending, g.changes...)
		first := !o.queued
		o.queued = true
		o.mu.Unlock()
		if g.object == nil {
			s.objects.add(o)
		}
		if first {
			s.dirt.add(o)
		}
		s.observe(g.tip.high)
	}
	s.dirt.wake(len(s.journal.sealed) > 0)
	if s.low() {
		signal(s.dirt.low)
	}
}

// validate is what of a commit's validity does not depend on what is stored.
// Errors: errs.Invalid.
func validate(c *storage.Commit) error {
	if err := storage.CheckCommit(c); err != nil {
		return err
	}
	for i := range c.Files {
		f := &c.Files[i]
		if _, ok := parseUploadID(f.Upload); !f.Deleted && !ok { // it is a part of a path
			return errs.New(errs.Invalid, "no_upload", "There is no upload %q of object %q.", f.Upload, c.Object)
		}
	}
	return nil
}

package kv

import (
	"context"
	"errors"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// batch is the work of one Commit: one transaction.
type batch struct {
	s       *Store
	w       Writer
	results []error
	objects map[id.Object]*staged
	sums    map[string]*storage.Sum // what the rows of buckets change by, by their keys
	used    map[string]bool         // uploads, by id
	doomed  bool                    // something is to be taken away
	high    hlc.Time
}

// staged is an object of a batch.
type staged struct {
	record
	changed bool
	failed  bool // a commit of it was refused, so those behind it are too
}

// errNothing ends the transaction of a batch of which no commit was taken.
var errNothing = errors.New("nothing to store")

// Commit implements storage.Storage.
func (s *Store) Commit(_ context.Context, commits []storage.Commit) []error {
	results := make([]error, len(commits))
	if len(commits) == 0 {
		return results
	}
	if err := s.enter(); err != nil {
		return fill(results, err)
	}
	defer s.leave()
	s.write.Lock()
	defer s.write.Unlock()
	var b *batch
	err := s.change(func(w Writer) error {
		b = &batch{s: s, w: w, results: results, objects: map[id.Object]*staged{}, sums: map[string]*storage.Sum{}, used: map[string]bool{}}
		return b.run(commits)
	})
	if errors.Is(err, errNothing) {
		return results
	}
	if err != nil {
		return fill(results, err)
	}
	s.observe(b.high)
	s.uploads.forget(b.used, s.release)
	if b.doomed {
		s.sweeper.wake()
	}
	return results
}

// fill gives each commit that was not refused by itself the error of all.
func fill(results []error, err error) []error {
	for i := range results {
		if results[i] == nil {
			results[i] = err
		}
	}
	return results
}

// run checks each commit, and writes those that are taken. Its own error is one
// of the database.
func (b *batch) run(commits []storage.Commit) error {
	taken := false
	for i := range commits {
		c := &commits[i]
		o, err := b.object(c.Object)
		if err != nil && !errs.Is(err, errs.Corrupt) {
			return err
		}
		if err == nil {
			if b.results[i], err = b.check(o, c); err != nil {
				return err
			}
		} else {
			b.results[i] = errs.Wrap(errs.Unavailable, "storage.Commit", err, "%s", errs.From(err).Text())
		}
		if b.results[i] != nil {
			o.failed = true
			continue
		}
		if err := b.take(o, c); err != nil {
			return err
		}
		taken = true
	}
	if !taken {
		return errNothing
	}
	return b.finish()
}

// object gives an object of the batch. It is there beside an errs.Corrupt too.
func (b *batch) object(name id.Object) (*staged, error) {
	if o := b.objects[name]; o != nil {
		return o, nil
	}
	r, err := readRecord(b.w, name)
	o := &staged{}
	if r != nil {
		o.record = *r
	}
	if err == nil {
		b.objects[name] = o
	}
	return o, err
}

// check says why a commit cannot be taken; err is the database's.
func (b *batch) check(o *staged, c *storage.Commit) (refused, err error) {
	if err := storage.CheckCommit(c); err != nil {
		return err, nil
	}
	if err := o.Check(c, o.failed); err != nil {
		return err, nil
	}
	for i := range c.State {
		ch := &c.State[i]
		is, err := b.stamp(o, c, ch.Key)
		if errs.Is(err, errs.Corrupt) {
			return errs.Wrap(errs.Unavailable, "storage.Commit", err, "%s", errs.From(err).Text()), nil
		}
		if err != nil {
			return nil, err
		}
		if is != ch.Was {
			return errs.New(errs.Invalid, "bad_was", "The change of key %q says that it replaces %v, not %v.", ch.Key, ch.Was, is), nil
		}
	}
	return b.s.uploads.check(c, b.used, time.Now()), nil
}

// stamp is the stamp of a key, zero where the commit's life has none of it.
func (b *batch) stamp(o *staged, c *storage.Commit, name string) (hlc.Stamp, error) {
	if o.Incarnation != c.Incarnation {
		return hlc.Stamp{}, nil
	}
	line, err := b.w.Get(rowKey(o.space, stateRow, name))
	if err != nil || line == nil {
		return hlc.Stamp{}, err
	}
	was, ok := parseState(line)
	if !ok {
		return hlc.Stamp{}, corrupt(c.Object, "the row of a key cannot be read")
	}
	return was.Stamp, nil
}

// take writes a commit that was checked.
func (b *batch) take(o *staged, c *storage.Commit) error {
	if c.Incarnation != o.Incarnation {
		if err := b.begin(o, c); err != nil {
			return err
		}
	}
	o.changed = true
	o.Incarnation, o.Sequence, o.HomeEpoch = c.Incarnation, c.Sequence, c.HomeEpoch
	b.high = max(b.high, c.Stamp.Time)
	for _, step := range []func(*staged, *storage.Commit) error{b.takeState, b.takeEntries, b.takeVersion, b.takeFiles} {
		if err := step(o, c); err != nil {
			return err
		}
	}
	return nil
}

// begin begins a life in a space of its own. That of the life before is taken
// away later, however much it holds.
func (b *batch) begin(o *staged, c *storage.Commit) error {
	if o.space != 0 {
		if err := b.doom(o.space); err != nil {
			return err
		}
		var none storage.Sum
		none.Sub(o.contents)
		b.add(bucketKey(storage.Bucket(string(c.Object))), none)
	}
	space, err := b.s.newSpace(b.w)
	o.space, o.hash, o.working, o.entries, o.newest, o.contents = space, "", 0, 0, 0, storage.Sum{}
	return err
}

func (b *batch) doom(space uint64) error {
	b.doomed = true
	return b.w.Put(doomedKey(space), []byte("1"))
}

// add changes the row of a bucket.
func (b *batch) add(key []byte, sum storage.Sum) {
	to := b.sums[string(key)]
	if to == nil {
		to = new(storage.Sum)
		b.sums[string(key)] = to
	}
	to.Add(sum)
}

// count puts an item into the digests, and takes another one out.
func (b *batch) count(o *staged, object id.Object, item string, in, out storage.Sum) {
	in.Sub(out)
	o.contents.Add(in)
	b.add(sumKey(o.space, storage.Bucket(item)), in)
	b.add(bucketKey(storage.Bucket(string(object))), in)
}

func (b *batch) takeState(o *staged, c *storage.Commit) error {
	for i := range c.State {
		ch := &c.State[i]
		b.high = max(b.high, ch.Stamp.Time)
		var out storage.Sum
		if ch.Was != (hlc.Stamp{}) {
			out = storage.StateItem(c.Object, c.Incarnation, ch.Key, ch.Was)
		}
		b.count(o, c.Object, ch.Key, storage.StateItem(c.Object, c.Incarnation, ch.Key, ch.Stamp), out)
		if err := b.w.Put(rowKey(o.space, stateRow, ch.Key), stateLine(ch)); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) takeEntries(o *staged, c *storage.Commit) error {
	for i := range c.Entries {
		e := &c.Entries[i]
		item := e.ID.String()
		b.count(o, c.Object, item, storage.LogItem(c.Object, c.Incarnation, []byte(item)), storage.Sum{})
		if err := b.w.Put(numberKey(o.space, entryRow, o.entries), entryLine(o.follow(e), e)); err != nil {
			return err
		}
		o.wrote(e.ID, b.s)
	}
	return nil
}

// follow counts an entry, and gives the newest time of the log up to it.
func (r *record) follow(e *storage.Entry) int64 {
	t := e.Time.UnixMicro()
	if r.entries == 0 || t > r.newest {
		r.newest = t
	}
	r.entries++
	return r.newest
}

// wrote notes the id of an entry, which is not given out again.
func (r *record) wrote(e id.Entry, s *Store) {
	if e.Station != s.station || e.Boot != s.boot {
		return
	}
	if r.ownBoot != s.boot {
		r.ownBoot, r.own = s.boot, 0
	}
	r.own = max(r.own, e.Sequence)
}

func (b *batch) takeVersion(o *staged, c *storage.Commit) error {
	if c.Working > 0 {
		o.working = c.Working
	}
	if c.Version == nil {
		return nil
	}
	o.Head, o.hash = c.Version.Number, c.Version.Hash
	return putVersion(b.w, o.space, c.Version)
}

func putVersion(w Writer, space uint64, v *storage.Version) error {
	if err := w.Put(numberKey(space, versionRow, v.Number), versionLine(v)); err != nil || len(v.Text) == 0 {
		return err
	}
	return w.Put(numberKey(space, sourceRow, v.Number), v.Text)
}

func (b *batch) takeFiles(o *staged, c *storage.Commit) error {
	for i := range c.Files {
		ch := &c.Files[i]
		b.high = max(b.high, ch.Stamp.Time)
		old, err := readFile(b.w, c.Object, o.space, ch.Name)
		if err != nil && !errs.Is(err, errs.Corrupt) {
			return err // what cannot be read names no bytes to take away
		}
		if old != nil && old.bytes != 0 {
			if err := b.doom(old.bytes); err != nil {
				return err
			}
		}
		f := file{File: ch.File}
		if !ch.Deleted {
			f.bytes = b.s.uploads.space(ch.Upload)
			b.used[ch.Upload] = true
			if err := b.w.Delete(doomedKey(f.bytes)); err != nil {
				return err
			}
		}
		if err := b.w.Put(rowKey(o.space, fileRow, ch.Name), f.line()); err != nil {
			return err
		}
	}
	return nil
}

// finish writes what is kept once for the whole batch.
func (b *batch) finish() error {
	for name, o := range b.objects {
		if !o.changed {
			continue
		}
		if err := b.w.Put(objectKey(name), o.append(nil)); err != nil {
			return err
		}
	}
	if err := addSums(b.w, b.sums); err != nil {
		return err
	}
	if uint64(b.high) > b.s.high.Load() {
		return putNumber(b.w, "high", uint64(b.high))
	}
	return nil
}

// addSums changes rows of buckets.
func addSums(w Writer, sums map[string]*storage.Sum) error {
	for k, change := range sums {
		if *change == (storage.Sum{}) {
			continue
		}
		sum, err := readSum(w, []byte(k))
		if err != nil {
			return err
		}
		sum.Add(*change)
		if err := w.Put([]byte(k), sum.AppendTo(nil)); err != nil {
			return err
		}
	}
	return nil
}

func readSum(r Reader, key []byte) (storage.Sum, error) {
	row, err := r.Get(key)
	if err != nil || row == nil {
		return storage.Sum{}, err
	}
	sum, ok := storage.ParseSum(row)
	if !ok {
		return sum, errs.New(errs.Corrupt, "", "A sum in the database is damaged.")
	}
	return sum, nil
}

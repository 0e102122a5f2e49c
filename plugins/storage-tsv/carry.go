package storagetsv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

// carrier is the background writer: it brings what the journal holds into the
// files of the objects, and drops segments once all of theirs is there, synced.
type carrier struct {
	stop    context.CancelFunc
	done    chan struct{}
	syncer  sync.WaitGroup       // of the goroutine that syncs the journal, in the mode interval
	touched map[*object]struct{} // since the last checkpoint
	merges  []*object            // whose files of state are to be merged
	failing []*object            // whose merge failed: tried again with the next round that does everything
	rows    int                  // lines of objects.tsv
	buckets int                  // carry-overs whose buckets wait in memory
	buf     []byte
	sweep   sweep
}

// dirt is what Commit leaves for the carrier, and how each waits for the other.
type dirt struct {
	mu     sync.Mutex
	list   []*object
	merges []*object
	failed error         // of the last round
	freed  chan struct{} // closed when a round has ended; nil while nobody waits

	work   chan struct{} // something is in list
	urgent chan struct{} // a segment is full
	low    chan struct{} // a spare segment will be needed
}

func (d *dirt) add(o *object) {
	d.mu.Lock()
	d.list = append(d.list, o)
	d.mu.Unlock()
}

func (d *dirt) take() []*object {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.list
	d.list = nil
	return list
}

func (d *dirt) addMerge(o *object) {
	d.mu.Lock()
	d.merges = append(d.merges, o)
	d.mu.Unlock()
}

func (d *dirt) takeMerges() []*object {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.merges
	d.merges = nil
	return list
}

func (d *dirt) wake(urgent bool) {
	signal(d.work)
	if urgent {
		signal(d.urgent)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// ended tells those who wait for room how a round went.
func (d *dirt) ended(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = err
	if d.freed != nil {
		close(d.freed)
		d.freed = nil
	}
}

// waitForRoom holds a Commit back while the carrier is too far behind. Where
// the carrier cannot go on, the disk being full for example, it fails at once.
func (s *Store) waitForRoom(ctx context.Context) error {
	d := &s.dirt
	for {
		if err := ctx.Err(); err != nil {
			return errs.Wrap(errs.Unavailable, "storage.Commit", err, "The change was given up before it was written.")
		}
		s.journalMu.Lock()
		sealed := len(s.journal.sealed)
		s.journalMu.Unlock()
		if sealed <= maxSealed {
			return nil
		}
		d.mu.Lock()
		failed := d.failed
		if d.freed == nil {
			d.freed = make(chan struct{})
		}
		freed := d.freed
		d.mu.Unlock()
		if failed != nil || s.dead.Load() {
			return errs.Wrap(errs.Unavailable, "storage.Commit", failed, "%s; nothing was stored.", diskSays(failed))
		}
		signal(d.urgent)
		select {
		case <-freed:
		case <-ctx.Done():
		}
	}
}

func (s *Store) startCarrier() {
	s.dirt.work, s.dirt.urgent, s.dirt.low = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(context.Background())
	s.carrier.stop, s.carrier.done = cancel, make(chan struct{})
	if s.manual {
		close(s.carrier.done)
		return
	}
	s.startSweeps()
	s.dirt.wake(false) // what was replayed
	if s.low() {
		signal(s.dirt.low)
	}
	go s.carry(ctx)
	if s.fsync == fsyncInterval {
		s.carrier.syncer.Go(func() { s.syncRegularly(ctx) })
	}
}

// stopCarrier waits for the round that is running. It may be called twice.
func (s *Store) stopCarrier() {
	s.life.RLock()
	stop, done := s.carrier.stop, s.carrier.done
	s.life.RUnlock()
	if stop != nil {
		stop()
		<-done
		s.carrier.syncer.Wait()
		s.dirt.ended(errors.New("the storage is closing"))
	}
}

// carry is the carrier's goroutine. While it rests no commit wakes it: only the
// end of its rest does, or what is urgent.
func (s *Store) carry(ctx context.Context) {
	defer close(s.carrier.done)
	checkpoint := time.NewTimer(checkpointEvery)
	defer checkpoint.Stop()
	work := s.dirt.work // nil while it rests
	var rested <-chan time.Time
	for {
		due := false
		select {
		case <-ctx.Done():
			return
		case <-checkpoint.C:
			due = true
		case <-s.carrier.sweep.due():
			if err := s.sweepSome(); err != nil {
				s.log.Error("old log entries could not be removed; it is tried again", "error", err)
			}
			if s.dead.Load() {
				return
			}
			continue
		case <-s.dirt.low:
			if err := s.keepSpare(); err != nil {
				s.end(err)
				return
			}
			continue
		case <-s.dirt.urgent:
		case <-work: // what comes next gathers for a while
			signal(s.dirt.work)
			work, rested = nil, time.After(s.fsync.pace(s.carryDelay))
			continue
		case <-rested:
			select {
			case <-s.dirt.work:
			default:
				work, rested = s.dirt.work, nil
				continue
			}
		}
		began := time.Now()
		if err := s.round(due); err != nil {
			s.log.Error("carrying commits over failed; the journal keeps them", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(retryDelay):
				signal(s.dirt.urgent)
			}
		}
		work, rested = nil, time.After(s.fsync.pace(s.restAfter(time.Since(began))))
		if due {
			checkpoint.Reset(checkpointEvery)
		}
		if s.dead.Load() {
			return
		}
	}
}

// restAfter is how long the carrier rests after a round that took so long: at
// least its delay, and then so long that it works for a small part of the time.
func (s *Store) restAfter(took time.Duration) time.Duration {
	return min(max(s.carryDelay, restShare*took), restShare*s.carryDelay)
}

// round carries over what is pending, and checkpoints where a segment is full
// or all is set. Only one goroutine calls it at a time.
func (s *Store) round(all bool) error {
	s.journalMu.Lock()
	var err error
	if all {
		err = s.sealActive()
	}
	sealed := slices.Clone(s.journal.sealed)
	s.journalMu.Unlock()
	// What the sealed segments hold was published before this line, so it is in
	// the list, or has been carried.
	if err == nil {
		err = s.carryAll()
	}
	if all {
		s.expireUploads()
	}
	if err == nil && (len(sealed) > 0 || all) {
		err = s.checkpoint(sealed)
	}
	if fe, ok := errors.AsType[fsyncError](err); ok {
		s.end(fe)
	} else if err != nil {
		s.sick(diskSays(err) + ": " + err.Error())
	}
	s.dirt.ended(err)
	if !s.dead.Load() {
		s.mergeAll(all)
	}
	// That commits are written again shows the next one that is, or, where nobody
	// asks a store for any that says that it is not well, the next round of all.
	if err == nil && len(s.carrier.failing) == 0 && (all || !s.batch.unwritten.Load()) {
		s.well()
	}
	return err
}

// carryAll carries over what is pending of each object. One that fails keeps
// its place in the queue and does not hold the others up.
func (s *Store) carryAll() error {
	defer func() {
		if cap(s.carrier.buf) > 4<<20 {
			s.carrier.buf = nil // one large round is no reason to keep its memory
		}
	}()
	list, err := s.takeDirty()
	if err != nil {
		return err
	}
	var failed []error
	for _, o := range list {
		err := s.carryObject(o)
		if err == nil {
			continue
		}
		if len(failed) < maxErrors {
			failed = append(failed, fmt.Errorf("object %s: %w", o.id, err))
		}
		if _, ok := errors.AsType[fsyncError](err); ok {
			return err // nothing is written after it
		}
		o.mu.Lock()
		again := !o.queued // else a commit has queued it meanwhile
		o.queued = true
		o.mu.Unlock()
		if again {
			s.dirt.add(o)
		}
	}
	return errors.Join(failed...)
}

// maxErrors is how many objects a failed round names: a full disk fails them all.
const maxErrors = 4

// carryObject appends an object's pending commits to its files. It may be done
// again after a failure: it goes on with the step that failed. The lines of a
// step are appended all or none, those of the log all that go into one file.
func (s *Store) carryObject(o *object) error {
	o.files.Lock()
	defer o.files.Unlock()
	v := o.due()
	if s.carrier.touched == nil {
		s.carrier.touched = map[*object]struct{}{}
	}
	s.carrier.touched[o] = struct{}{}
	if !v.onDisk {
		o.mu.Lock()
		older := o.pending[:v.all-len(v.pending)]
		o.mu.Unlock()
		if err := s.wipe(o, older, v.pending); err != nil {
			return err
		}
		o.steps, o.log, o.logDone = [4]int{}, nil, 0
		o.mu.Lock()
		o.held = v.incarnation // none of it yet; another try must not wipe what this one writes
		o.mu.Unlock()
	}
	older := v.all - len(v.pending)
	for i, step := range [...]func(*object, []change) error{s.carryVersions, s.carryState, s.carryLog, s.carryFiles} {
		if err := step(o, v.pending[max(0, o.steps[i]-older):]); err != nil {
			return err
		}
		o.steps[i] = v.all
	}
	if err := s.carryDigest(o, v); err != nil {
		return err
	}
	o.carried, o.steps, o.logDone = v.tip, [4]int{}, 0
	o.carried.summed = v.summed && o.look().summed
	o.mu.Lock()
	o.pending = slices.Clone(o.pending[v.all:])
	o.mu.Unlock()
	return nil
}

// carryState appends the newest change of each key.
func (s *Store) carryState(o *object, pending []change) error {
	newest := map[string]*storage.StateChange{}
	var order []*storage.StateChange
	for i := len(pending) - 1; i >= 0; i-- {
		for k := range pending[i].state {
			c := &pending[i].state[k]
			if newest[c.Key] == nil {
				newest[c.Key] = c
				order = append(order, c)
			}
		}
	}
	b := s.carrier.buf[:0]
	for _, c := range slices.Backward(order) {
		start := len(b)
		b = seal(appendChange(b, c), start)
	}
	s.carrier.buf = b
	if err := s.carryLines(o, o.statePath(), stateHeader, b, &o.touched.state); err != nil {
		return err
	}
	if o.touched.state.size > s.levels.recent {
		s.wantMerge(o)
	}
	return nil
}

// carryVersions writes each text aside, synced and renamed, before the line
// that names it.
func (s *Store) carryVersions(o *object, pending []change) error {
	var b []byte
	for i := range pending {
		v := pending[i].version
		if v == nil {
			continue
		}
		name := versionPath(o, v.Number)
		err := s.orAnew(o, name, &o.touched.versions, func() error { return s.replaceFile(name, v.Text, false) })
		if err != nil {
			return err
		}
		start := len(b)
		b = seal(appendVersion(b, v), start)
	}
	if err := s.carryLines(o, o.versionsPath(), versionsHeader, b, &o.touched.versions); err != nil || b == nil {
		return err
	}
	o.touched.versions.names = true // of the texts
	return nil
}

// carryLines appends to one of an object's files and notes what to sync.
func (s *Store) carryLines(o *object, name, header string, lines []byte, t *mark) error {
	if len(lines) == 0 {
		return nil
	}
	return s.orAnew(o, name, t, func() error {
		made, size, err := s.appendLines(name, header, lines)
		if err == nil {
			t.data, t.size = true, size
			t.names = t.names || made
		}
		return err
	})
}

// wipe drops the files of an older incarnation, and nothing that the store has
// not made. Readers that have opened them read on. Older are the changes of such
// an incarnation that were not carried over, pending those of the present one.
func (s *Store) wipe(o *object, older, pending []change) error {
	t := &o.touched
	for l := range allLevels {
		if err := s.drop(o, o.levelPath(l), &t.state); err != nil {
			return err
		}
	}
	if err := s.drop(o, o.digestPath(), &t.digest); err != nil {
		return err
	}
	o.buckets = nil
	if err := s.wipeLog(o); err != nil {
		return err
	}
	names, err := s.fs.ReadDir(o.versionsDir())
	if err != nil && !ofFile(err) {
		return err
	}
	for _, n := range names {
		if !isVersionFile(n) {
			continue
		}
		if err := s.drop(o, o.versionsDir()+"/"+n, &t.versions); err != nil {
			return err
		}
	}
	t.versions.data = false
	return s.wipeFiles(o, older, pending)
}

// isVersionFile says whether the store makes files of that name in versions/.
func isVersionFile(name string) bool {
	if name == "metadata.tsv" {
		return true
	}
	digits, ok := strings.CutPrefix(strings.TrimSuffix(name, ".tmp"), "v")
	digits, lua := strings.CutSuffix(digits, ".lua")
	_, err := strconv.ParseUint(digits, 10, 64)
	return ok && lua && err == nil
}

// drop removes a file if it is there. What cannot be removed is moved aside.
func (s *Store) drop(o *object, name string, t *mark) error {
	err := s.fs.Remove(name)
	switch {
	case err == nil:
		*t = mark{names: true}
	case errors.Is(err, fs.ErrNotExist):
	case ofFile(err):
		*t = mark{}
		return s.giveUp(o, name, t, err)
	default:
		return err
	}
	return nil
}

func unlessMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

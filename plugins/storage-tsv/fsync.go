package storagetsv

import (
	"context"
	"time"
)

// fsyncMode says when the journal is synced. In every mode what is carried over
// into the objects' files stands, synced, in the journal first; a failed fsync
// ends the store; and what a power cut takes are the last commits in the order in
// which they were acknowledged, each whole.
type fsyncMode string

const (
	fsyncAlways   fsyncMode = "always"   // before a commit is acknowledged
	fsyncInterval fsyncMode = "interval" // at most syncEvery later
	fsyncNever    fsyncMode = "never"    // before a carry-over alone, once a minute
)

// syncEvery is how old, in the mode interval, a commit is at most that a power
// cut may take.
const syncEvery = time.Second

// pace gives the delay of the carrier. It syncs the journal before it carries
// over, which must not happen more often than the mode says.
func (m fsyncMode) pace(delay time.Duration) time.Duration {
	switch m {
	case fsyncInterval:
		return syncEvery
	case fsyncNever:
		return checkpointEvery
	default:
		return delay
	}
}

// syncJournal makes durable what has been written of the active segment, with
// journalMu held. Its error is an fsyncError, which it gives again ever after.
func (s *Store) syncJournal() error {
	j := &s.journal
	if j.broken != nil {
		return j.broken
	}
	if j.active == nil || j.durable == j.size {
		return nil
	}
	began := time.Now()
	if err := j.active.Sync(); err != nil {
		j.broken = fsyncError{err}
		return j.broken
	}
	s.seen.fsync.Observe(time.Since(began).Seconds())
	j.durable = j.size
	return nil
}

// takeDirty takes the objects that have something to be carried over. Where the
// journal is not synced by each commit it is synced here, and each object keeps
// what it has at this moment: what comes later waits for the next round.
func (s *Store) takeDirty() ([]*object, error) {
	if s.fsync == fsyncAlways {
		return s.dirt.take(), nil
	}
	s.journalMu.Lock()
	defer s.journalMu.Unlock()
	if err := s.syncJournal(); err != nil {
		return nil, err
	}
	list := s.dirt.take()
	for _, o := range list {
		o.synced = new(o.takeView())
	}
	return list, nil
}

// takeView takes an object from the queue: a commit after it queues it again.
func (o *object) takeView() view {
	o.mu.Lock()
	o.queued = false
	o.mu.Unlock()
	return o.look()
}

// due gives what of a dirty object may be carried over.
func (o *object) due() view {
	if v := o.synced; v != nil {
		o.synced = nil
		return *v
	}
	return o.takeView()
}

// syncRegularly syncs the journal in the mode interval. It is no part of the
// carrier, whose rounds may take longer.
func (s *Store) syncRegularly(ctx context.Context) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.journalMu.Lock()
		err := s.syncJournal()
		s.journalMu.Unlock()
		if err != nil {
			s.end(err)
			return
		}
	}
}

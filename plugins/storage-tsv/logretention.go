package storagetsv

import (
	"errors"
	"slices"
	"time"

	"github.com/dbbasic/station/sdk/id"
)

const (
	sweepEvery = time.Hour // between looks at the logs of all objects for what is too old
	sweepSlice = 64        // logs that are looked at between two rounds of the carrier
)

// sweep is a walk over the logs of all objects, for what is too old. Logs that
// are written are also looked at after each checkpoint.
type sweep struct {
	timer *time.Timer // fires for the next part; nil where logs are kept for ever
	left  []id.Object
}

func (s *Store) startSweeps() {
	if s.logRetention > 0 {
		s.carrier.sweep.timer = time.NewTimer(0)
	}
}

// due gives the channel of the timer; nil where there is none.
func (w *sweep) due() <-chan time.Time {
	if w.timer == nil {
		return nil
	}
	return w.timer.C
}

// sweepSome looks at some logs and sets the timer for the others, or for the
// next walk.
func (s *Store) sweepSome() error {
	w := &s.carrier.sweep
	if len(w.left) == 0 {
		w.left = s.objects.list()
	}
	n := min(sweepSlice, len(w.left))
	part := w.left[:n]
	w.left = w.left[n:]
	if w.timer != nil {
		if len(w.left) > 0 {
			w.timer.Reset(time.Millisecond)
		} else {
			w.timer.Reset(sweepEvery)
		}
	}
	var failed []error
	for _, name := range part {
		err := s.expireIdle(s.objects.get(name))
		if _, ok := errors.AsType[fsyncError](err); ok {
			s.end(err)
			return err
		}
		if err != nil && len(failed) < maxErrors {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// expireIdle expires the log of an object of which nothing has changed since
// the last checkpoint. That of any other is expired after the next one.
func (s *Store) expireIdle(o *object) error {
	o.files.Lock()
	defer o.files.Unlock()
	v := o.look()
	if _, touched := s.carrier.touched[o]; touched || v.all > 0 || !v.onDisk {
		return nil
	}
	known := o.log != nil
	err := s.expire(o)
	if !known {
		o.log = nil // nobody asks about it
	}
	return err
}

// expireTouched expires the logs of the objects that a checkpoint has covered.
func (s *Store) expireTouched(list []*object) error {
	var failed []error
	for _, o := range list {
		o.files.Lock()
		err := s.expire(o)
		o.files.Unlock()
		if _, ok := errors.AsType[fsyncError](err); ok {
			return err
		}
		if err != nil && len(failed) < maxErrors {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// expire closes log.tsv where it is old enough, and removes the closed files
// whose newest entry is too old. Only what a checkpoint has covered may go, so
// that no replay writes a part of it again. The caller holds o.files.
func (s *Store) expire(o *object) error {
	f, size, err := s.openWhole(o.logPath(), toRead)
	if err := unlessMissing(err); err != nil {
		return err
	}
	if f != nil {
		defer f.Close()
	}
	l, err := s.knowLog(o, f, size)
	if err != nil {
		return err
	}
	if s.dueToClose(&l.active) {
		if err := s.closeLog(o); err != nil {
			return err
		}
	}
	for len(l.closed) > 0 {
		oldest := l.closed[0]
		// The file behind it begins no earlier than it ends, which saves reading its end.
		if len(l.closed) == 1 || !s.tooOld(l.closed[1].time, s.logRetention) {
			end, err := s.endOfClosed(o, oldest)
			if err != nil || !s.tooOld(end, s.logRetention) {
				return err
			}
		}
		if err := s.forgetSum(o); err != nil {
			return err
		}
		s.dropIndex(o.closedIndex(oldest))
		if err := unlessMissing(s.fs.Remove(o.closedPath(oldest))); err != nil {
			return err
		}
		s.log.Info("a file of a log was removed: its entries are older than the log is kept", "file", o.closedPath(oldest))
		l.closed = slices.Delete(slices.Clone(l.closed), 0, 1)
	}
	if l.active.name == (logName{}) {
		l.active.newest = noTime // as after a start
	}
	return nil
}

package storagetsv

import (
	"errors"
	"path"
)

// checkpoint makes durable all that has been carried over, says so in
// objects.tsv, and only then drops the sealed segments.
func (s *Store) checkpoint(sealed []uint64) error {
	if err := s.syncDamaged(); err != nil {
		return err
	}
	if err := s.writeDigests(); err != nil {
		return err
	}
	if err := s.syncTouched(); err != nil {
		return err
	}
	if err := s.writeRows(); err != nil {
		return err
	}
	var covered []*object
	for o := range s.carrier.touched {
		o.touched = touch{}
		if s.logRetention > 0 {
			covered = append(covered, o)
		}
	}
	clear(s.carrier.touched)
	s.carrier.buckets = 0
	if err := s.dropSegments(sealed); err != nil {
		return err
	}
	return s.expireTouched(covered)
}

func (s *Store) writeDigests() error {
	for o := range s.carrier.touched {
		o.files.Lock()
		err := s.writeBuckets(o)
		o.files.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// syncTouched syncs what the carrier wrote, then the directories that hold new
// names or have lost some, then their parents.
func (s *Store) syncTouched() error {
	if len(s.carrier.touched) > s.syncAllAbove {
		if err := s.fs.SyncAll(); err == nil {
			return nil
		} else if !errors.Is(err, errors.ErrUnsupported) {
			return fsyncError{err}
		}
	}
	parents := map[string]bool{}
	for o := range s.carrier.touched {
		for _, p := range [...]struct {
			mark   *mark
			parent string
			name   string
		}{
			{&o.touched.state, "state", o.statePath()},
			{&o.touched.digest, "state", o.digestPath()},
			{&o.touched.log, "logs", o.logPath()},
			{&o.touched.versions, "versions", o.versionsPath()},
			{&o.touched.files, "files", o.indexPath()},
		} {
			dir := path.Dir(p.name)
			if p.mark.data {
				if err := s.syncTable(o, p.name, p.mark); err != nil {
					return err
				}
			}
			if p.mark.names {
				parents[p.parent] = true
				if err := unlessMissing(s.fs.SyncDir(dir)); err != nil {
					return err
				}
			}
		}
	}
	for dir := range parents {
		if err := s.fs.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// syncTable syncs one of an object's files. One that has become unusable since
// it was written is moved aside, lest no checkpoint succeeds any more.
func (s *Store) syncTable(o *object, name string, t *mark) error {
	o.files.Lock()
	defer o.files.Unlock()
	err := s.syncFile(name)
	if ofFile(err) {
		return s.giveUp(o, name, t, err)
	}
	return err
}

// writeRows brings objects.tsv up to date: by appending, or, where half of its
// lines would be stale, by writing it anew.
func (s *Store) writeRows() error {
	if len(s.carrier.touched) == 0 {
		return nil
	}
	s.rowsMu.Lock()
	defer s.rowsMu.Unlock()
	if s.carrier.rows+len(s.carrier.touched) > 2*s.objects.len()+1024 {
		return s.rewriteRows()
	}
	var b []byte
	for o := range s.carrier.touched {
		start := len(b)
		b = seal(appendRow(b, o.id, &o.carried), start)
	}
	if _, _, err := s.appendLines(objectsFile, objectsHeader, b); err != nil {
		return err
	}
	s.carrier.rows += len(s.carrier.touched)
	return s.syncFile(objectsFile)
}

func (s *Store) rewriteRows() error {
	b := []byte(objectsHeader)
	rows := 0
	for _, n := range s.objects.list() {
		o := s.objects.get(n)
		if o.carried.incarnation == 0 {
			continue
		}
		start := len(b)
		b = seal(appendRow(b, n, &o.carried), start)
		rows++
	}
	if err := s.replaceFile(objectsFile, b, true); err != nil {
		return err
	}
	s.carrier.rows = rows
	return nil
}

func (s *Store) dropSegments(sealed []uint64) error {
	if len(sealed) == 0 {
		return nil
	}
	if err := s.removeSegments(sealed); err != nil {
		return err
	}
	s.journalMu.Lock()
	s.journal.sealed = s.journal.sealed[len(sealed):]
	s.countSegments()
	s.journalMu.Unlock()
	return nil
}

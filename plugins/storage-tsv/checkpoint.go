package storagetsv

import "github.com/dbbasic/station/sdk/id"

// checkpoint makes durable all that has been carried over, says so in
// objects.tsv, and only then drops the sealed segments.
func (s *Store) checkpoint(sealed []uint64) error {
	if err := s.syncTouched(); err != nil {
		return err
	}
	if err := s.writeRows(); err != nil {
		return err
	}
	for o := range s.carrier.touched {
		o.touched = touch{}
	}
	clear(s.carrier.touched)
	return s.dropSegments(sealed)
}

// syncTouched syncs what the carrier wrote, then the directories that hold new
// names or have lost some, then their parents.
func (s *Store) syncTouched() error {
	parents := map[string]bool{}
	for o := range s.carrier.touched {
		for _, p := range [...]struct {
			mark         mark
			parent, name string
		}{
			{o.touched.state, "state", "state.tsv"},
			{o.touched.log, "logs", "log.tsv"},
			{o.touched.versions, "versions", "metadata.tsv"},
		} {
			dir := p.parent + "/" + string(o.id)
			if p.mark.data {
				if err := s.syncFile(dir + "/" + p.name); err != nil {
					return err
				}
			}
			if p.mark.names {
				parents[p.parent] = true
				if err := unlessMissing(s.syncDir(dir)); err != nil {
					return err
				}
			}
		}
	}
	for dir := range parents {
		if err := s.syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// writeRows brings objects.tsv up to date: by appending, or, where half of its
// lines would be stale, by writing it anew.
func (s *Store) writeRows() error {
	if len(s.carrier.touched) == 0 {
		return nil
	}
	ids := s.objects.list()
	if s.carrier.rows+len(s.carrier.touched) > 2*len(ids)+1024 {
		return s.rewriteRows(ids)
	}
	var b []byte
	for o := range s.carrier.touched {
		start := len(b)
		b = seal(appendRow(b, o.id, &o.carried), start)
	}
	if _, err := s.appendLines(objectsFile, objectsHeader, b); err != nil {
		return err
	}
	s.carrier.rows += len(s.carrier.touched)
	return s.syncFile(objectsFile)
}

func (s *Store) rewriteRows(ids []id.Object) error {
	b := []byte(objectsHeader)
	rows := 0
	for _, n := range ids {
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
	for _, n := range sealed {
		if err := unlessMissing(s.fs.Remove(segmentName(n))); err != nil {
			return err
		}
	}
	if err := s.syncDir("journal"); err != nil {
		return err
	}
	s.journalMu.Lock()
	s.journal.sealed = s.journal.sealed[len(sealed):]
	s.journalMu.Unlock()
	return nil
}

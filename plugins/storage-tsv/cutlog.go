package storagetsv

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// settle brings what became pending in line with what the carrier of the
// process before had written already, so that nothing stands twice and nothing
// older comes to stand above something newer.
func (r *replay) settle() error {
	s := r.s
	for o, ids := range r.entries {
		if err := s.cutLog(o, ids, r.damaged); ofFile(err) {
			if err := s.giveUp(o, o.logPath(), &o.touched.log, err); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
	}
	if !r.damaged {
		return nil // the journal holds the newest change of each key
	}
	for _, o := range s.dirt.list {
		if err := s.dropOlder(o); err != nil {
			s.log.Error("what the file holds could not be compared with the damaged journal", "file", o.statePath(), "error", err)
		}
	}
	return nil
}

// cutLog takes from the end of an object's log what the carrier had written of
// commits that are pending again, so that no entry stands twice: back to the
// last valid line whose entry is not one of those, or that a person wrote.
// Garbage that a power cut left there is set aside. Where lines of pending
// entries may stand before one that is kept, because a person wrote it or
// because the journal lost it, they are taken from the pending ones instead.
func (s *Store) cutLog(o *object, ids map[id.Entry]struct{}, journalDamaged bool) error {
	if !o.look().onDisk {
		return nil // of an older incarnation: the carrier drops it
	}
	f, size, err := s.openWhole(o.logPath(), toWrite)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	cut, keeps, err := s.endOfKept(o, f, size, ids)
	if err != nil {
		return err
	}
	if cut < size {
		if err := f.Truncate(cut); err != nil {
			return err
		}
	}
	if keeps || journalDamaged {
		return s.dropKept(o, f, cut, ids)
	}
	return nil
}

// endOfKept finds where the log is cut. Keeps says that it ends in a line that
// is kept though the journal may hold its entry, or entries before it.
func (s *Store) endOfKept(o *object, f file, size int64, ids map[id.Entry]struct{}) (cut int64, keeps bool, err error) {
	lines := readBackward(f, 0, size)
	cols := make([][]byte, logColumns)
	for cut = size; ; {
		line, at, err := lines.next()
		if errors.Is(err, io.EOF) {
			return cut, false, nil
		}
		if err != nil {
			return cut, false, err
		}
		if at == 0 && isHeader(line, logHeader) {
			return cut, false, nil
		}
		how := split(line, cols)
		e, ok := parseEntry(cols, how)
		_, again := ids[e.ID]
		switch {
		case len(line) == 0:
		case how == damaged || !ok:
			if err := s.keepAside(o.logPath(), f, at, line, "unreadable behind the last entry that was known to be durable"); err != nil {
				return cut, true, nil //nolint:nilerr // it was logged, and without a copy the line stays
			}
		case how == byHand:
			return cut, true, nil
		case !again:
			return cut, false, nil
		}
		cut = at
	}
}

// dropKept removes from the pending log lines those that stand before cut. It
// looks at no more lines than twice as many as are pending, and some.
func (s *Store) dropKept(o *object, f file, cut int64, ids map[id.Entry]struct{}) error {
	kept := map[string]struct{}{}
	lines := readBackward(f, 0, cut)
	cols := make([][]byte, logColumns)
	for range 2*len(ids) + 1000 {
		line, _, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		how := split(line, cols)
		if how == damaged {
			continue
		}
		if e, ok := parseEntry(cols, how); ok {
			if _, again := ids[e.ID]; again {
				kept[e.ID.String()] = struct{}{}
			}
		}
	}
	if len(kept) == 0 {
		return nil
	}
	for i := range o.pending {
		var left []byte
		for line := range bytes.Lines(o.pending[i].log) {
			name, _, _ := bytes.Cut(line, []byte{'\t'})
			if _, twice := kept[string(name)]; !twice {
				left = append(left, line...)
			}
		}
		o.pending[i].log = left
	}
	return nil
}

// dropOlder removes from the pending changes those that the files of state hold
// a later one of. The journal lost that one, the carrier had written it: putting
// the older value above it would leave half of its commit.
func (s *Store) dropOlder(o *object) error {
	held := map[string]hlc.Stamp{}
	var pending []change
	err := s.readState(o, func(v *stateView) error {
		pending = v.pending
		return s.eachChange(v, false, func(c storage.StateChange) {
			held[c.Key] = c.Stamp
			s.observe(c.Stamp.Time) // a lost commit's stamp is not given again
		})
	})
	for i := range pending {
		pending[i].state = slices.DeleteFunc(pending[i].state, func(c storage.StateChange) bool {
			h, ok := held[c.Key]
			return ok && h.Compare(c.Stamp) > 0
		})
	}
	return err
}

package storagetsv

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"

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
		if err := r.cutLog(o, ids); err != nil {
			return err
		}
	}
	defer r.forgetSums()
	if !r.damaged {
		return nil // the journal holds the newest change of each key
	}
	for _, o := range s.dirt.list {
		r.torn = append(r.torn, o.id)
	}
	if r.lost {
		r.torn = s.objects.list()
	}
	for _, name := range r.torn { // whose files may hold what the journal has lost
		if o := s.objects.get(name); o != nil {
			s.distrust(o)
			r.unsure = append(r.unsure, o)
		}
	}
	for _, o := range s.dirt.list {
		if err := s.dropOlder(o); err != nil {
			s.log.Error("what the file holds could not be compared with the damaged journal", "file", o.statePath(), "error", err)
		}
		if err := s.dropOlderFiles(o); err != nil {
			s.log.Error("what the file holds could not be compared with the damaged journal", "file", o.indexPath(), "error", err)
		}
	}
	return nil
}

// forgetSums sees to it that the rows, which are about to be written, have no sum
// of what the start has found to be damaged. What it cut off the next one will not find.
func (r *replay) forgetSums() {
	for _, o := range slices.Concat(r.unsure, r.s.dirt.list) {
		if !o.look().summed {
			o.carried.summed = false
		}
	}
}

// cutLog is Store.cutLog, over files that can be used: others are moved aside.
func (r *replay) cutLog(o *object, ids map[id.Entry]struct{}) error {
	for {
		err := r.s.cutLog(o, ids, r.damaged)
		bad, ok := errors.AsType[closedError](err)
		switch {
		case ok && ofFile(bad.error):
			if err := r.s.giveUpClosed(o, bad); err != nil {
				return err
			}
		case !ok && ofFile(err):
			return r.s.giveUp(o, o.logPath(), &o.touched.log, err)
		default:
			return err
		}
	}
}

// cutLog takes from the end of an object's log what the carrier had written of
// commits that are pending again, so that no entry stands twice: back to the
// last valid line whose entry is not one of those, or that a person wrote.
// Garbage that a power cut left there is set aside. Where lines of pending
// entries may stand before one that is kept, because a person wrote it or
// because the journal lost it, they are taken from the pending ones instead. So
// are those that stand in a closed file, which is never cut: it was durable
// before it was closed.
func (s *Store) cutLog(o *object, ids map[id.Entry]struct{}, journalDamaged bool) error {
	if !o.look().onDisk {
		return nil // of an older incarnation: the carrier drops it
	}
	f, err := s.fs.Open(o.logPath(), toRead) // log.tsv is not made here
	if errors.Is(err, fs.ErrNotExist) {
		return s.dropKept(o, strings.NewReader(""), 0, ids, !journalDamaged)
	}
	if err != nil {
		return err
	}
	_ = f.Close() // it was not used
	f, size, err := s.openWhole(o.logPath(), toWrite)
	if err != nil {
		return err
	}
	defer f.Close()
	cut, keeps, empty, err := s.endOfKept(o, f, size, ids)
	if err != nil {
		return err
	}
	if cut < size {
		if err := f.Truncate(cut); err != nil {
			return err
		}
		if cut > 0 { // behind a newline that may have been destroyed
			if _, err := f.WriteAt([]byte{'\n'}, cut-1); err != nil {
				return err
			}
		}
	}
	if keeps || empty || journalDamaged {
		return s.dropKept(o, f, cut, ids, !keeps && !journalDamaged)
	}
	return nil
}

// endOfKept finds where the log is cut. Keeps says that it ends in a line that
// is kept though the journal may hold its entry, or entries before it; empty
// that no line is kept.
func (s *Store) endOfKept(o *object, f file, size int64, ids map[id.Entry]struct{}) (cut int64, keeps, empty bool, err error) {
	lines := s.readTable(o.logPath(), f, readBackward(f, 0, size), logColumns, logHeader)
	cols := make([][]byte, logColumns)
	for cut = size; ; {
		line, at, err := lines.next()
		if errors.Is(err, io.EOF) {
			return cut, false, true, nil
		}
		if err != nil {
			return cut, false, false, err
		}
		if at == 0 && isHeader(line, logHeader) {
			return cut, false, true, nil
		}
		how := split(line, cols)
		e, ok := parseEntry(cols, how)
		_, again := ids[e.ID]
		switch {
		case len(line) == 0:
		case how == damaged || !ok:
			err := s.keepAside(o.logPath(), f, at, line, "unreadable behind the last entry that was known to be durable")
			if _, ok := errors.AsType[fsyncError](err); ok {
				return cut, false, false, err
			}
			if err != nil {
				return cut, true, false, nil //nolint:nilerr // it was logged, and without a copy the line stays
			}
		case how == byHand:
			return cut, true, false, nil
		case !again:
			return cut, false, false, nil
		}
		cut = at
	}
}

// dropKept removes from the pending log lines those that stand before cut, or
// in a closed file. It looks at no more lines than twice as many as are pending,
// and some. Sure says that the files end in lines of pending entries alone, so
// that the first other one ends the search.
func (s *Store) dropKept(o *object, f io.ReaderAt, cut int64, ids map[id.Entry]struct{}, sure bool) error {
	k := keptLines{ids: ids, kept: map[string]struct{}{}, left: 2*len(ids) + 1000, sure: sure}
	if err := k.walk(f, cut); err != nil {
		return err
	}
	if err := s.listLog(o); err != nil {
		return err
	}
	for _, name := range slices.Backward(o.log.closed) {
		if k.left == 0 {
			break
		}
		if err := s.keptInClosed(o, name, &k); err != nil {
			return closedError{name, err}
		}
	}
	kept := k.kept
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

// keptLines collects the ids of pending entries that stand in the files.
type keptLines struct {
	ids  map[id.Entry]struct{}
	kept map[string]struct{}
	left int // lines to look at
	sure bool
}

// walk looks at the lines before an offset, last to first.
func (k *keptLines) walk(f io.ReaderAt, end int64) error {
	cols := make([][]byte, logColumns)
	for lines := readLog(readBackward(f, 0, end)); k.left > 0; k.left-- {
		line, _, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		how := split(line, cols)
		if how == damaged {
			continue
		}
		e, ok := parseEntry(cols, how)
		if !ok {
			continue
		}
		if _, again := k.ids[e.ID]; again {
			k.kept[e.ID.String()] = struct{}{}
		} else if k.sure && how == whole {
			k.left = 0
			return nil
		}
	}
	return nil
}

func (s *Store) keptInClosed(o *object, name logName, k *keptLines) error {
	f, size, err := s.openWhole(o.closedPath(name), toRead)
	if err != nil {
		return err
	}
	defer f.Close()
	return k.walk(f, size)
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

package storagetsv

import (
	"bytes"
	"errors"
	"io"
	"io/fs"

	"github.com/dbbasic/station/sdk/id"
)

// cutLog takes from the end of an object's log what the carrier had written of
// commits that are pending again, so that no entry stands twice: back to the
// last valid line whose entry is not one of those. Garbage that a power cut left
// there is set aside. Where journal commits were lost, so that lines of pending
// entries may stand before one that is kept, such entries are taken from the
// pending ones instead.
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
	lines := readBackward(f, 0, size)
	cut := size
	cols := make([][]byte, logColumns)
	for {
		line, at, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if at == 0 && isHeader(line, logHeader) {
			break
		}
		how := split(line, cols)
		e, ok := parseEntry(cols)
		if how == damaged || !ok {
			s.setAside(o.logPath(), f, at, 0, line, "unreadable behind the last entry that was known to be durable")
		} else if _, again := ids[e.ID]; !again {
			break
		}
		cut = at
	}
	if cut < size {
		if err := f.Truncate(cut); err != nil {
			return err
		}
	}
	if journalDamaged {
		return s.dropKept(o, f, cut, ids)
	}
	return nil
}

// dropKept removes from the pending log lines those that stand before cut. It
// looks at no more lines than twice as many as are pending, and some.
func (s *Store) dropKept(o *object, f file, cut int64, ids map[id.Entry]struct{}) error {
	kept := map[string]struct{}{}
	lines := readBackward(f, 0, cut)
	for range 2*len(ids) + 1000 {
		line, _, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		name, _, _ := bytes.Cut(line, []byte{'\t'})
		if e, err := id.ParseEntry(string(name)); err == nil {
			if _, again := ids[e]; again {
				kept[string(name)] = struct{}{}
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

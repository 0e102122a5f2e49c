package storagetsv

import (
	"bytes"
	"errors"
	"math"

	"github.com/dbbasic/station/sdk/id"
)

// An object's state lies in up to three files of the same lines. The carrier
// appends to state.tsv; when that has grown it is merged into middle.tsv, and
// middle.tsv in turn into base.tsv. These two are sorted by the bytes of the
// keys, hold each key once, and are only ever replaced as a whole. A key's value
// is its last line in the newest file that has one.

// level is one of the files, oldest first.
type level int

const (
	base level = iota
	middle
	recent
	allLevels
)

func (l level) file() string {
	return [...]string{base: "base.tsv", middle: "middle.tsv", recent: "state.tsv"}[l]
}

func stateDir(o id.Object) string { return "state/" + string(o) }

func (o *object) levelPath(l level) string { return stateDir(o.id) + "/" + l.file() }

// levelSizes say when a level is merged into the next older one.
type levelSizes struct {
	recent int64 // bytes of state.tsv
	middle int64 // bytes of middle.tsv, at the least
}

// middleOver is the size above which middle.tsv is merged into a base of the
// given size. A byte that is set is written about middle/2/recent times into
// middle.tsv and base/middle times into base.tsv: the sum is least at the root.
func (z levelSizes) middleOver(base int64) int64 {
	return max(z.middle, int64(math.Sqrt(2*float64(z.recent)*float64(base))))
}

// The last line of a sorted file is its seal: the word, the offset at which the
// line itself stands, and a checksum. It has a column less than a line of state.
// Whoever edits the file moves the seal, or puts lines behind it, and so tells the
// store not to rely on the order.
const sealWord = "sorted\t"

func appendSeal(b []byte, at int64) []byte {
	start := len(b)
	return seal(appendNumber(append(b, sealWord...), uint64(at)), start)
}

// parseSeal reads a seal without its newline.
func parseSeal(line []byte) (at int64, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte(sealWord))
	if !ok || !sealedLine(line) {
		return 0, false
	}
	digits, sum, _ := bytes.Cut(rest, []byte{'\t'})
	n, ok := number(digits)
	return int64(n), ok && n <= math.MaxInt64 && len(sum) == len("00000000")
}

// maxSeal is the most bytes of a seal with the newlines around it.
const maxSeal = 1 + len(sealWord) + 20 + 1 + 8 + 1

// table is one of the files, opened to be read.
type table struct {
	level   level
	name    string
	f       file  // nil where there is none
	size    int64 // of the lines without the seal
	sorted  bool
	unended bool // the last line has no newline
}

// openTable opens a file of state as it is. The caller holds o.files.
func (s *Store) openTable(o *object, l level) (table, error) {
	t := table{level: l, name: o.levelPath(l)}
	var err error
	if l == recent {
		t.f, t.size, err = s.openWhole(t.name, toRead)
	} else if t.f, err = s.fs.Open(t.name, toRead); err == nil {
		err = t.findSeal()
	}
	if err != nil {
		t.close()
		return table{level: l, name: t.name}, unlessMissing(err)
	}
	return t, nil
}

// findSeal reads the end of a file, and says whether its seal is in order.
func (t *table) findSeal() error {
	size, err := t.f.Size()
	if err != nil {
		return err
	}
	tail := make([]byte, min(size, int64(maxSeal)))
	if err := readFull(t.f, tail, size-int64(len(tail))); err != nil {
		return err
	}
	t.size = size
	line, ended := bytes.CutSuffix(tail, []byte{'\n'})
	t.unended = !ended && size > 0
	start := bytes.LastIndexByte(line, '\n') + 1
	at, ok := parseSeal(line[start:])
	if ok && ended && at == size-int64(len(tail)-start) {
		t.size, t.sorted = at, true
	}
	return nil
}

func (t *table) close() {
	if t.f != nil {
		_ = t.f.Close() // opened to be read
		t.f = nil
	}
}

// stateView is a view of an object together with its files of state.
type stateView struct {
	view
	tables [allLevels]table
}

func (v *stateView) close() {
	for i := range v.tables {
		v.tables[i].close()
	}
}

// openState gives a view of an object with its files of state. The caller
// closes it.
func (s *Store) openState(o *object) (*stateView, error) {
	o.files.Lock() // a round of the carrier is either before the view or after it
	defer o.files.Unlock()
	return s.viewState(o, o.look())
}

// viewState is openState for a caller that holds o.files since before the view.
func (s *Store) viewState(o *object, at view) (*stateView, error) {
	v := &stateView{view: at}
	if !v.onDisk {
		return v, nil
	}
	for l := range allLevels {
		t, err := s.openTable(o, l)
		if err != nil {
			v.close()
			return nil, &tableError{l, err}
		}
		v.tables[l] = t
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for l, unsorted := range o.merge.unsorted {
		v.tables[l].sorted = v.tables[l].sorted && !unsorted
	}
	return v, nil
}

// tableError says which of the files could not be opened.
type tableError struct {
	level level
	err   error
}

func (e *tableError) Error() string { return e.level.file() + ": " + e.err.Error() }
func (e *tableError) Unwrap() error { return e.err }

// unsortedError is of a sealed file in which a key is out of order.
type unsortedError struct{ level level }

func (e unsortedError) Error() string { return e.level.file() + " is not sorted" }

// readState calls use with a view of an object's state, and again where it finds
// out that a file is not sorted, which use then sees in the view. The carrier is
// told what it has to merge.
func (s *Store) readState(o *object, use func(*stateView) error) error {
	v, err := s.openState(o)
	if err != nil {
		if ofFile(err) {
			s.wantMerge(o)
		}
		return err
	}
	defer v.close()
	return s.walkState(o, v, use)
}

func (s *Store) walkState(o *object, v *stateView, use func(*stateView) error) error {
	for l := range recent {
		if t := &v.tables[l]; t.f != nil && !t.sorted {
			s.notSorted(o, t, false)
		}
	}
	if v.tables[recent].size > s.levels.recent {
		s.wantMerge(o)
	}
	for {
		err := use(v)
		u, ok := errors.AsType[unsortedError](err)
		if !ok {
			return err
		}
		t := &v.tables[u.level]
		t.sorted = false
		s.notSorted(o, t, true)
	}
}

// notSorted says, once, that a file is read whole until it has been merged.
// Sealed says that its seal does not show it.
func (s *Store) notSorted(o *object, t *table, sealed bool) {
	if s.damage.noteUnsorted(t.name) {
		s.log.Warn("a file of state has been changed from outside: it is read whole until it has been sorted again", "file", t.name)
		s.distrustFile(t.name)
	}
	if sealed {
		o.mu.Lock()
		o.merge.unsorted[t.level] = true
		o.mu.Unlock()
	}
	s.wantMerge(o)
}

// wantMerge tells the carrier to look at an object's files of state.
func (s *Store) wantMerge(o *object) {
	o.mu.Lock()
	first := !o.merge.wanted
	o.merge.wanted = true
	o.mu.Unlock()
	if first {
		s.dirt.addMerge(o)
		s.dirt.wake(false)
	}
}

// merge is what an object's files of state want.
type merge struct {
	wanted   bool         // the carrier knows of it
	unsorted [recent]bool // a key was found out of order in spite of the seal
}

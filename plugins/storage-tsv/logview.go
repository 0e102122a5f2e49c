package storagetsv

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sort"
	"strings"
)

// A log is read as if it were one list of lines: those of the closed files, of
// log.tsv, and behind these the very lines that the carrier is going to append.
// So an entry has its place before it is on disk: an offset in the file that is
// being written, which counts on in the next one where that file is closed
// before the entry's turn. A cursor is a direction, "n" or "o", the incarnation,
// the file and the offset where the page before ended.

// place is where a line begins: the number of a file, oldest first, and an
// offset in it. Offset 0 is before the file's first entry.
type place struct {
	file int
	at   int64
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.file, q.file), cmp.Compare(p.at, q.at))
}

// logView is a log at one moment. Closed files are opened when they are needed.
type logView struct {
	view
	s      *Store
	o      *object
	closed []logName
	active logName // of log.tsv and what is pending behind it; zero without an entry
	disk   logEnd  // of what is on disk of it
	index  []byte  // of what is on disk of it, where a time is sought in it
	files  map[int]*logFile
}

// logFile is an open file of a log, the last one with what is pending.
type logFile struct {
	path  string
	f     file // nil where there is none yet
	r     io.ReaderAt
	first int64 // behind the header line
	size  int64
}

// openLog gives a view of an object's log, in which times up to latest are
// going to be sought.
func (s *Store) openLog(o *object, latest int64) (*logView, error) {
	o.files.Lock()
	defer o.files.Unlock()
	return s.viewLog(o, o.look(), latest)
}

// viewLog is openLog for a caller that holds o.files since before the view.
func (s *Store) viewLog(o *object, at view, latest int64) (*logView, error) {
	v := &logView{view: at, s: s, o: o, disk: logEnd{newest: noTime}, files: map[int]*logFile{}}
	var f file
	var size int64
	done := 0
	if v.onDisk {
		var err error
		f, size, err = s.openWhole(o.logPath(), toRead)
		if err := unlessMissing(err); err != nil {
			return nil, err
		}
		l, err := s.knowLog(o, f, size)
		if err == nil && l.active.name != (logName{}) && l.active.name.time < latest {
			v.index, err = s.readAll(o.logIndex())
		}
		if err != nil {
			if f != nil {
				err = errors.Join(err, f.Close())
			}
			return nil, err
		}
		v.closed, v.disk, v.active, done = l.closed, l.active, l.active.name, o.logDone
	}
	a := &logFile{path: o.logPath(), f: f}
	v.files[len(v.closed)] = a
	c := wholeLog(v.pending, done, f, size)
	a.r, a.size = c, c.size
	err := a.findFirst()
	if err == nil && v.active == (logName{}) {
		err = v.nameActive(a)
	}
	if err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

// wholeLog joins the file and the lines that it does not hold yet: done bytes
// of what is pending are in the files.
func wholeLog(pending []change, done int, f file, size int64) *chain {
	c := &chain{}
	if f != nil && size > 0 {
		c.add(f, size)
	} else {
		c.add(strings.NewReader(logHeader), int64(len(logHeader)))
	}
	p := pendingLines{make([]pendingPiece, 0, len(pending))}
	size = 0
	for i := range pending {
		lines := pending[i].log
		skip := min(done, len(lines))
		done -= skip
		if skip < len(lines) {
			p.pieces = append(p.pieces, pendingPiece{size, lines[skip:]})
			size += int64(len(lines) - skip)
		}
	}
	c.add(p, size)
	return c
}

// pendingLines are lines that no file holds yet, as one stretch. There may be many of
// them, of which a page reads few.
type pendingLines struct{ pieces []pendingPiece }

type pendingPiece struct {
	at    int64
	lines []byte
}

// ReadAt implements io.ReaderAt.
func (p pendingLines) ReadAt(b []byte, at int64) (n int, err error) {
	i := sort.Search(len(p.pieces), func(i int) bool { return p.pieces[i].at > at }) - 1
	for ; i >= 0 && i < len(p.pieces) && n < len(b); i++ {
		n += copy(b[n:], p.pieces[i].lines[at+int64(n)-p.pieces[i].at:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// nameActive gives the file the name that it gets with the first pending entry.
func (v *logView) nameActive(a *logFile) error {
	x := indexer{newest: v.disk.newest, last: -1}
	for lines := readForward(a.r, max(a.first, v.disk.size), a.size); x.last < 0; {
		line, at, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		x.add(line, at)
	}
	v.active = after(v.closed, x.first)
	return nil
}

func (v *logView) close() {
	for _, f := range v.files {
		if f.f != nil {
			_ = f.f.Close() // it was read
		}
	}
}

// last is the number of log.tsv.
func (v *logView) last() int { return len(v.closed) }

func (v *logView) end() place { return place{v.last(), v.files[v.last()].size} }

func (v *logView) name(i int) logName {
	if i < len(v.closed) {
		return v.closed[i]
	}
	return v.active
}

// find gives the number of a file. Removed says that it is older than all files.
func (v *logView) find(n logName) (i int, removed, ok bool) {
	i = sort.Search(len(v.closed), func(i int) bool { return v.closed[i].compare(n) >= 0 })
	if v.name(i) == n {
		return i, false, true
	}
	return i, i == 0 && (v.active == logName{} || n.compare(v.name(0)) < 0), false
}

// errGone says that the files are no longer those of the view.
var errGone = errors.New("the log has changed since the read began")

// open opens a file of the view. A file of that name could also be one of the
// object's next life: while the lock is held and that has not begun, it is not.
func (v *logView) open(i int) (*logFile, error) {
	if f := v.files[i]; f != nil {
		return f, nil
	}
	o, path := v.o, v.o.closedPath(v.closed[i])
	o.files.Lock()
	defer o.files.Unlock()
	if !v.current() {
		return nil, errGone
	}
	f, size, err := v.s.openWhole(path, toRead)
	if errors.Is(err, fs.ErrNotExist) {
		o.log = nil // somebody else may have removed it
		return nil, errGone
	}
	if err != nil {
		return nil, err
	}
	lf := &logFile{path: path, f: f, r: f, size: size}
	v.files[i] = lf
	return lf, lf.findFirst()
}

// current reports whether the files hold the life that the view is of. The
// caller holds o.files.
func (v *logView) current() bool {
	now := v.o.look()
	return now.onDisk && now.incarnation == v.incarnation
}

// seek finds the first entry at which the running maximum is at least t, or
// the end of the log.
func (v *logView) seek(t int64) (place, error) {
	last := v.last()
	if v.active != (logName{}) && v.active.time < t {
		at, err := v.seekActive(t)
		return place{last, at}, err
	}
	// The first file that begins at t or later, and so the one before it.
	next := sort.Search(last, func(i int) bool { return v.closed[i].time >= t })
	if next == 0 {
		return place{}, nil
	}
	f, err := v.open(next - 1)
	if err != nil {
		return place{}, err
	}
	at, err := v.seekClosed(f, v.closed[next-1], t)
	if err != nil || at < f.size {
		return place{next - 1, at}, err
	}
	return place{next, 0}, nil
}

func (v *logView) seekActive(t int64) (int64, error) {
	f := v.files[v.last()]
	if v.disk.newest >= t && v.disk.name != (logName{}) {
		at, err := seek(f.f, v.disk.size, v.index, v.active.time, t)
		if errors.Is(err, errIndex) {
			return 0, v.reindexActive()
		}
		return at, err
	}
	x := indexer{newest: v.disk.newest, last: -1}
	for lines := readForward(f.r, max(f.first, v.disk.size), f.size); ; {
		line, at, err := lines.next()
		if errors.Is(err, io.EOF) {
			return f.size, nil
		}
		if err != nil {
			return 0, err
		}
		if entry, _ := x.add(line, at); entry && x.newest >= t {
			return at, nil
		}
	}
}

// reindexActive drops the index of log.tsv, which the next view makes anew.
func (v *logView) reindexActive() error {
	o := v.o
	o.files.Lock()
	defer o.files.Unlock()
	if v.current() && o.log != nil && o.log.active.name == v.active {
		v.s.dropIndex(o.logIndex())
		o.log.active.known = false
	}
	return errGone
}

func (v *logView) seekClosed(f *logFile, name logName, t int64) (int64, error) {
	index, err := v.s.readAll(v.o.closedIndex(name))
	if err != nil {
		return 0, err
	}
	at, err := seek(f.r, f.size, index, name.time, t)
	if !errors.Is(err, errIndex) {
		return at, err
	}
	x := indexer{newest: name.time, last: -1}
	if err := x.follow(f.r, 0, f.size); err != nil {
		return 0, err
	}
	if x.last < 0 {
		return f.size, nil // a person has emptied it
	}
	v.keepIndex(name, index, x.lines, f.size)
	if at, err = seek(f.r, f.size, x.lines, name.time, t); err != nil {
		return 0, fmt.Errorf("%s: %w", f.path, err)
	}
	return at, nil
}

// keepIndex writes the new index of a closed file that is still the view's.
func (v *logView) keepIndex(name logName, old, lines []byte, read int64) {
	o := v.o
	o.files.Lock()
	defer o.files.Unlock()
	if v.current() && o.log != nil && slices.Contains(o.log.closed, name) {
		v.s.completeIndex(o.closedIndex(name), old, nil, lines, read)
	}
}

// findFirst finds the offset behind the header line.
func (f *logFile) findFirst() error {
	b := make([]byte, min(int64(len(logHeader)), f.size))
	if err := readFull(f.r, b, 0); err != nil {
		return err
	}
	if string(b) == logHeader {
		f.first = int64(len(b))
	}
	return nil
}

// lineBegins reports whether a line may begin at an offset.
func (f *logFile) lineBegins(at int64) (bool, error) {
	if at <= f.first {
		return at == f.first, nil
	}
	return beginsLine(f.r, at, logHeader)
}

// lines gives the lines between two offsets in either direction.
func (f *logFile) lines(s *Store, forward bool, from, to int64) *parted {
	lines := lineReader(readBackward(f.r, from, to))
	if forward {
		lines = readForward(f.r, from, to)
	}
	return s.readTable(f.path, f.r, lines, logColumns, logHeader)
}

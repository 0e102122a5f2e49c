package storagetsv

import (
	"bytes"
	"errors"
	"io"
	"sort"
)

// The index of a file of a log tells where about every 64 KiB of it begins and
// what the running maximum of the times is there, so that a time is found by a
// search in the index and a look at one block. It is derived: a line counts only
// where its checksum is right and an entry of its id begins at its offset, and
// where the lines that are read behind it lead to the next one. Otherwise it is
// made anew from the file.

// logIndexColumns is offset, time, entry_id.
const logIndexColumns = 3

// indexLine says that an entry begins at an offset, and what the running
// maximum is with it.
type indexLine struct {
	at     int64
	newest int64
	id     []byte
}

func appendIndexLine(b []byte, l indexLine) []byte {
	start := len(b)
	b = append(appendNumber(b, uint64(l.at)), '\t')
	b = append(appendMicro(b, l.newest), '\t')
	return seal(append(b, l.id...), start)
}

func parseIndexLine(line []byte) (l indexLine, ok bool) {
	var cols [logIndexColumns][]byte
	if split(line, cols[:]) != whole {
		return l, false
	}
	at, ok1 := number(cols[0])
	t, ok2 := parseTime(cols[1])
	return indexLine{int64(at), micro(t), cols[2]}, ok1 && ok2 && at < 1<<62 && len(cols[2]) > 0
}

// stands reports whether an entry of the line's id begins at its offset.
func (l indexLine) stands(log io.ReaderAt, size int64) (bool, error) {
	if l.at+int64(len(l.id)) >= size {
		return false, nil
	}
	got := make([]byte, len(l.id)+1)
	if err := readFull(log, got, l.at); err != nil || !bytes.Equal(got[:len(l.id)], l.id) || got[len(l.id)] != '\t' {
		return false, err
	}
	return beginsLine(log, l.at, logHeader)
}

// indexer follows the lines of a file and makes the lines of its index: one for
// the first entry, and one for the first entry that begins blockSize or more
// behind that of the line before.
type indexer struct {
	newest int64 // the running maximum so far
	last   int64 // where the entry of the last index line begins; -1 before the first
	first  int64 // the running maximum at the first entry, where last was -1
	lines  []byte
	cols   [logColumns][]byte
}

// add takes a line; isEntry says that it is one, indexed that it stands in the index.
func (x *indexer) add(line []byte, at int64) (isEntry, indexed bool) {
	if len(line) == 0 || at == 0 && isHeader(line, logHeader) {
		return false, false
	}
	how := split(line, x.cols[:])
	if how == damaged {
		return false, false
	}
	t, ok := parseTime(x.cols[1])
	if how == byHand { // of a line that the store wrote nothing else needs a look
		_, ok = parseEntry(x.cols[:], how)
	}
	if !ok {
		return false, false
	}
	x.newest = max(x.newest, micro(t))
	if x.last >= 0 && at-x.last < blockSize {
		return true, false
	}
	if x.last < 0 {
		x.first = x.newest
	}
	x.lines = appendIndexLine(x.lines, indexLine{at, x.newest, x.cols[0]})
	x.last = at
	return true, true
}

// follow takes the lines of a file between two offsets.
func (x *indexer) follow(log io.ReaderAt, from, to int64) error {
	for lines := readLog(readForward(log, from, to)); ; {
		line, at, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		x.add(line, at)
	}
}

// readLog reads the lines of a log for what is derived from them: others report damage.
func readLog(lines lineReader) *parted { return readParted(lines, logColumns, logHeader, nil) }

// lastIndexed gives the last line of an index that counts, and the index up to
// its end. Lines behind it are what a crash left of some that were not synced.
func lastIndexed(index []byte, log io.ReaderAt, size int64) (l indexLine, good []byte, err error) {
	for end := len(index); end > 0; {
		start := bytes.LastIndexByte(index[:end-1], '\n') + 1
		if l, ok := parseIndexLine(bytes.TrimSuffix(index[start:end], []byte{'\n'})); ok && index[end-1] == '\n' {
			if ok, err := l.stands(log, size); ok || err != nil {
				return l, index[:end], err
			}
		}
		end = start
	}
	return l, nil, nil
}

// firstIndexed gives the first line of an index where it counts and is that of
// the file's first entry.
func firstIndexed(index []byte, log io.ReaderAt, size int64) (l indexLine, ok bool, err error) {
	line, _, found := bytes.Cut(index, []byte{'\n'})
	if l, ok = parseIndexLine(line); !ok || !found {
		return l, false, nil
	}
	if ok, err = l.stands(log, size); !ok || err != nil {
		return l, false, err
	}
	x := indexer{newest: noTime, last: -1}
	for lines := readLog(readForward(log, 0, l.at)); ; {
		line, at, err := lines.next()
		if errors.Is(err, io.EOF) {
			return l, true, nil
		}
		if entry, _ := x.add(line, at); entry || err != nil {
			return l, false, err
		}
	}
}

// errIndex is an index that does not fit its file.
var errIndex = errors.New("the index does not match the log")

// seek finds the first entry of a file at which the running maximum, which
// begins with seed, is at least t. Where there is none it gives the size. Where
// the index does not fit the error is errIndex.
func seek(log io.ReaderAt, size int64, index []byte, seed, t int64) (int64, error) {
	lines := bytes.Split(bytes.TrimSuffix(index, []byte{'\n'}), []byte{'\n'})
	var bad error
	i := sort.Search(len(lines), func(i int) bool {
		l, ok := parseIndexLine(lines[i])
		if ok && bad == nil {
			ok, bad = l.stands(log, size)
		}
		if !ok && bad == nil {
			bad = errIndex
		}
		return l.newest >= t
	})
	if bad != nil {
		return 0, bad
	}
	x, from := indexer{newest: seed, last: -1}, int64(0)
	if i > 0 {
		l, _ := parseIndexLine(lines[i-1])
		x.newest, x.last, from = l.newest, l.at, l.at
	}
	for rest := readLog(readForward(log, from, size)); ; {
		line, at, err := rest.next()
		switch {
		case errors.Is(err, io.EOF) && i == len(lines):
			return size, nil
		case errors.Is(err, io.EOF):
			return 0, errIndex
		case err != nil:
			return 0, err
		}
		entry, indexed := x.add(line, at)
		if indexed && (i == len(lines) || !bytes.Equal(append(lines[i], '\n'), x.lines)) {
			return 0, errIndex
		}
		if entry && x.newest >= t {
			return at, nil
		}
	}
}

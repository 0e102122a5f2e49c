package storagetsv

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dbbasic/station/sdk/storage"
)

// keyRange is the keys that begin with prefix and are greater than after.
type keyRange struct{ prefix, after string }

// before reports whether the key lies before the range.
func (r keyRange) before(key []byte) bool {
	return string(key) <= r.after || string(key) < r.prefix
}

func (r keyRange) has(key []byte) bool {
	return !r.before(key) && r.begins(key)
}

// begins reports whether the key has the prefix. In the order of the keys, those
// of a range end at the first that is not before it and has another prefix.
func (r keyRange) begins(key []byte) bool {
	return len(key) >= len(r.prefix) && string(key[:len(r.prefix)]) == r.prefix
}

// item is one key with its value: a line of a file, or a pending change.
type item struct {
	key    []byte // not escaped
	line   []byte // without its newline
	how    verdict
	at     int64
	table  *table
	change *storage.StateChange
}

// parse gives the item in memory of its own.
func (it *item) parse() (storage.StateChange, bool) {
	if it.change != nil {
		c := *it.change
		c.Value = slices.Clone(c.Value)
		return c, true
	}
	var cols [stateColumns][]byte
	return parseChange(cols[:], split(it.line, cols[:]))
}

// run gives items in the order of their keys, each key once. An item is valid
// until the next call.
type run interface {
	next() (it *item, err error) // behind the last the error is io.EOF
}

// badLine is told of each line that cannot be taken.
type badLine func(t *table, at int64, line []byte, why string)

// leaveOut is the badLine of readers.
func (s *Store) leaveOut(t *table, at int64, line []byte, why string) {
	s.setAside(t.name, t.f, at, 0, line, why)
}

// tableLines reads the lines of state in a file, as they stand.
type tableLines struct {
	t      *table
	lines  *parted
	bad    badLine
	keys   keyRange // lines that are plainly outside are passed over without a look
	cols   [stateColumns][]byte
	it     item
	keyBuf []byte
}

func (t *table) read(lines *forward, bad badLine) tableLines {
	return tableLines{t: t, bad: bad, lines: readParted(lines, stateColumns, stateHeader, func(line []byte, at int64) { bad(t, at, line, joinedLines) })}
}

func (r *tableLines) next() (*item, error) {
	for {
		line, at, err := r.lines.next()
		if err != nil {
			return nil, err
		}
		if len(line) == 0 || at == 0 && isHeader(line, stateHeader) {
			continue
		}
		if !r.outside(line) && r.take(line, at) {
			return &r.it, nil
		}
	}
}

// outside reports whether a line has a key that is not asked for. Whether such a
// line is whole shows to those who read them all: Load, and the merge.
func (r *tableLines) outside(line []byte) bool {
	if r.keys == (keyRange{}) {
		return false
	}
	i := bytes.IndexByte(line, '\t')
	return i >= 0 && !r.keys.has(line[:i]) && bytes.IndexByte(line[:i], '\\') < 0
}

// take makes a line the item, unless it is none.
func (r *tableLines) take(line []byte, at int64) bool {
	if _, ok := parseSeal(bytes.TrimSuffix(line, []byte{'\r'})); ok {
		return false // lines were added behind it
	}
	if r.t.unended && at+int64(len(line)) == r.t.size && !sealedLine(line) {
		r.bad(r.t, at, line, "the last line has no end")
		return false
	}
	how := split(line, r.cols[:])
	if how == damaged {
		r.bad(r.t, at, line, reason(how))
		return false
	}
	key, ok := keyOf(r.cols[0], &r.keyBuf)
	if ok && how == byHand {
		_, ok = parseChange(r.cols[:], how)
	}
	if !ok {
		r.bad(r.t, at, line, reason(how))
		return false
	}
	r.it = item{key: key, line: line, how: how, at: at, table: r.t}
	return true
}

// keyOf gives the key of a first column, which it shares memory with or with *buf.
func keyOf(col []byte, buf *[]byte) (key []byte, ok bool) {
	key = col
	if bytes.IndexByte(col, '\\') >= 0 {
		if key, ok = text(col); !ok {
			return nil, false
		}
		*buf = key
	}
	return key, len(key) > 0 && len(key) <= storage.MaxKey && utf8.Valid(key)
}

// sortedRun reads a sorted file from an offset on.
type sortedRun struct {
	tableLines
	from keyRange
	last []byte
}

// sortedRun gives the items of a sorted file whose keys are not before the range.
func (t *table) sortedRun(keys keyRange, bad badLine) (run, error) {
	from, err := t.seek(keys)
	if err != nil {
		return nil, err
	}
	lines := readForward(t.f, from, t.size)
	if keys != (keyRange{}) {
		lines.block = seekBlock
	}
	return &sortedRun{from: keys, tableLines: t.read(lines, bad)}, nil
}

func (r *sortedRun) next() (*item, error) {
	for {
		it, err := r.tableLines.next()
		if err != nil {
			return nil, err
		}
		if r.last != nil && bytes.Compare(it.key, r.last) <= 0 {
			return nil, unsortedError{r.t.level}
		}
		r.last = append(r.last[:0], it.key...)
		if !r.from.before(it.key) {
			return it, nil
		}
	}
}

// seekBlock is the stretch of a file that seek leaves to be read line by line.
const seekBlock = 4 << 10

// seek finds an offset where a line begins, before which all keys lie before the
// range, by halving: each step reads the first whole line behind the middle.
func (t *table) seek(keys keyRange) (int64, error) {
	if keys == (keyRange{}) {
		return 0, nil
	}
	var low, high []byte // keys that the probes found
	from, to := int64(0), t.size
	p := prober{t: t, buf: make([]byte, 1024)}
	for to-from > seekBlock {
		half := from + (to-from)/2
		it, end, err := p.after(half, to)
		if err != nil {
			return 0, err
		}
		if it == nil {
			to = half
			continue
		}
		if low != nil && bytes.Compare(it.key, low) <= 0 || high != nil && bytes.Compare(it.key, high) >= 0 {
			return 0, unsortedError{t.level}
		}
		if keys.before(it.key) {
			from, low = end, append(low[:0], it.key...)
		} else {
			to, high = half, append(high[:0], it.key...)
		}
	}
	return from, nil
}

// prober reads single lines of a sorted file.
type prober struct {
	t   *table
	buf []byte
	one tableLines
}

// after gives the first whole line that begins behind at, and the offset behind
// it; nil where none begins before to.
func (p *prober) after(at, to int64) (it *item, end int64, err error) {
	for {
		n := min(int64(len(p.buf)), p.t.size-at)
		b := p.buf[:n]
		if err := readFull(p.t.f, b, at); err != nil {
			return nil, 0, err
		}
		i := bytes.IndexByte(b, '\n')
		for i >= 0 && at+int64(i)+1 < to {
			line := b[i+1:]
			j := bytes.IndexByte(line, '\n')
			if j < 0 {
				break
			}
			p.one = tableLines{t: p.t, bad: func(*table, int64, []byte, string) {}} // the walk reports it
			if j > 0 && p.one.take(line[:j], at+int64(i)+1) {
				return &p.one.it, at + int64(i+1+j) + 1, nil
			}
			i += j + 1
		}
		if i >= 0 && at+int64(i)+1 >= to || at+n >= p.t.size {
			return nil, 0, nil
		}
		if i > 0 {
			at += int64(i) // past what was looked at
		} else {
			p.buf = make([]byte, 4*len(p.buf)) // a long line
		}
	}
}

// memoryRun is a run whose items are in memory.
type memoryRun struct {
	items []item
	at    int
}

func (r *memoryRun) next() (*item, error) {
	if r.at == len(r.items) {
		return nil, io.EOF
	}
	r.at++
	return &r.items[r.at-1], nil
}

// sortItems puts items that stand oldest first into the order of their keys, and
// keeps the last of each key.
func sortItems(items []item) []item {
	slices.SortStableFunc(items, func(a, b item) int { return bytes.Compare(a.key, b.key) })
	kept := items[:0]
	for i := range items {
		if i+1 == len(items) || !bytes.Equal(items[i].key, items[i+1].key) {
			kept = append(kept, items[i])
		}
	}
	return kept
}

// wholeRun reads all of a file whose order is not to be relied on.
func (t *table) wholeRun(keys keyRange, bad badLine) (run, error) {
	data := make([]byte, t.size)
	if err := readFull(t.f, data, 0); err != nil {
		return nil, err
	}
	lines := t.read(&forward{r: t.f, end: t.size, buf: data}, bad)
	lines.keys = keys
	var items []item
	for {
		it, err := lines.next()
		if errors.Is(err, io.EOF) {
			return &memoryRun{items: sortItems(items)}, nil
		}
		if err != nil {
			return nil, err
		}
		if keys.has(it.key) {
			items = append(items, *it)
		}
	}
}

// run gives a file's items, in order.
func (t *table) run(keys keyRange, bad badLine) (run, error) {
	if t.sorted {
		return t.sortedRun(keys, bad)
	}
	return t.wholeRun(keys, bad)
}

// pendingRun gives the changes that no file holds yet. Of a key that changes all the
// time there may be thousands: it looks at each, and keeps and sorts the newest alone.
func pendingRun(pending []change, keys keyRange) run {
	var items []item
	seen := map[string]struct{}{}
	for i := len(pending) - 1; i >= 0; i-- {
		for k := len(pending[i].state) - 1; k >= 0; k-- {
			c := &pending[i].state[k]
			if c.Key <= keys.after || !strings.HasPrefix(c.Key, keys.prefix) {
				continue
			}
			if _, older := seen[c.Key]; !older {
				seen[c.Key] = struct{}{}
				items = append(items, item{key: []byte(c.Key), change: c})
			}
		}
	}
	return &memoryRun{items: sortItems(items)}
}

// merged gives the items of several runs as one; of the items of one key it
// gives that of the first run.
type merged struct {
	runs  []run
	heads []*item // nil behind a run's last
	spent []bool  // the head has been given, or a newer one in its place
}

func mergeRuns(runs ...run) *merged {
	m := &merged{runs: runs, heads: make([]*item, len(runs)), spent: make([]bool, len(runs))}
	for i := range m.spent {
		m.spent[i] = true
	}
	return m
}

func (m *merged) next() (*item, error) {
	var least *item
	for i, r := range m.runs {
		if m.spent[i] {
			it, err := r.next()
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, err
			}
			m.heads[i], m.spent[i] = it, false
		}
		if h := m.heads[i]; h != nil && (least == nil || bytes.Compare(h.key, least.key) < 0) {
			least = h
		}
	}
	if least == nil {
		return nil, io.EOF
	}
	for i, h := range m.heads {
		m.spent[i] = h != nil && bytes.Equal(h.key, least.key)
	}
	return least, nil
}

// state gives what an object holds of a range of keys, tombstones included.
func (s *Store) state(v *stateView, keys keyRange, pending bool) (*merged, error) {
	var runs []run
	if pending {
		runs = append(runs, pendingRun(v.pending, keys))
	}
	for i := range v.tables {
		t := &v.tables[len(v.tables)-1-i]
		if t.f == nil {
			continue
		}
		r, err := t.run(keys, s.leaveOut)
		if err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	return mergeRuns(runs...), nil
}

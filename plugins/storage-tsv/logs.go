package storagetsv

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

// scanLimits bound the work for one page.
type scanLimits struct {
	lines int
	bytes int // of the lines that the page gives
	time  time.Duration
}

// A log is read as if it were one file that holds every acknowledged entry:
// what the carrier has written, and behind it the very lines that it is going to
// append. So an entry's offset is known before it is on disk and never changes,
// and a cursor is an offset: "n" or "o" for the direction, the incarnation, a
// dot, and the offset where the page before ended.

// Logs implements storage.Storage.
func (s *Store) Logs(_ context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	var page storage.LogsPage
	if err := s.enter(); err != nil {
		return page, err
	}
	defer s.leave()
	if err := checkLimit(q.Limit); err != nil {
		return page, err
	}
	for _, l := range q.Levels {
		if !knownLevel(l) {
			return page, errs.New(errs.Invalid, "bad_level", "%q is not a log level.", l)
		}
	}
	o := s.objects.get(q.Object)
	if o == nil {
		if q.Cursor != "" {
			return page, badCursor(q.Cursor)
		}
		return page, nil
	}
	v, f, size, err := s.openView(o, o.logPath())
	if err != nil {
		return page, readError("storage.Logs", q.Object, err)
	}
	if f != nil {
		defer f.Close()
	}
	p := &pager{s: s, name: o.logPath(), q: q, whole: wholeLog(v, f, size), incarnation: v.incarnation}
	page, err = p.run()
	if err != nil && !errs.Is(err, errs.Invalid) {
		return page, readError("storage.Logs", q.Object, err)
	}
	return page, err
}

func badCursor(c string) error {
	return errs.New(errs.Invalid, "bad_cursor", "%q is not a cursor of this log.", c)
}

// wholeLog joins the file and the lines that it does not hold yet.
func wholeLog(v view, f file, size int64) *chain {
	c := &chain{}
	if f != nil && size > 0 {
		c.add(f, size)
	} else {
		c.add(strings.NewReader(logHeader), int64(len(logHeader)))
	}
	for i := range v.pending {
		c.add(bytes.NewReader(v.pending[i].log), int64(len(v.pending[i].log)))
	}
	return c
}

// pager makes one page.
type pager struct {
	s           *Store
	name        string
	q           storage.LogsQuery
	whole       *chain
	incarnation uint64

	page   storage.LogsPage
	looked int // lines, blank ones included
	bytes  int
	cols   [logColumns][]byte
}

func (p *pager) run() (storage.LogsPage, error) {
	first, err := p.firstLine()
	if err != nil {
		return p.page, err
	}
	from, to := first, p.whole.size
	if p.q.Cursor != "" {
		at, err := p.cursor(first)
		if err != nil {
			return p.page, err
		}
		if p.q.Oldest {
			from = at
		} else {
			to = at
		}
	}
	next := p.lines(from, to)
	began := time.Now()
	for from < to && !p.full(began) {
		line, at, err := next()
		if err != nil {
			return p.page, err
		}
		p.take(line, at)
		if p.q.Oldest {
			from = at + int64(len(line)) + 1
		} else {
			to = at
		}
	}
	if from < to {
		p.page.Next = p.prefix() + strconv.FormatInt(map[bool]int64{true: from, false: to}[p.q.Oldest], 10)
	}
	return p.page, nil
}

// firstLine is the offset behind the header line.
func (p *pager) firstLine() (int64, error) {
	b := make([]byte, min(int64(len(logHeader)), p.whole.size))
	if err := readFull(p.whole, b, 0); err != nil {
		return 0, err
	}
	if string(b) == logHeader {
		return int64(len(b)), nil
	}
	return 0, nil
}

func (p *pager) lines(from, to int64) func() ([]byte, int64, error) {
	if !p.q.Oldest {
		return readBackward(p.whole, from, to).next
	}
	f := readForward(p.whole, from, to)
	return func() ([]byte, int64, error) {
		line, at, err := f.next()
		return line, at, err
	}
}

func (p *pager) prefix() string {
	d := "n"
	if p.q.Oldest {
		d = "o"
	}
	return d + strconv.FormatUint(p.incarnation, 10) + "."
}

// cursor reads the query's cursor: an offset where a line begins.
func (p *pager) cursor(first int64) (int64, error) {
	digits, ok := strings.CutPrefix(p.q.Cursor, p.prefix())
	at, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || at < first || at > p.whole.size {
		return 0, badCursor(p.q.Cursor)
	}
	if at > 0 {
		b := make([]byte, 1)
		if err := readFull(p.whole, b, at-1); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if b[0] != '\n' {
			return 0, badCursor(p.q.Cursor)
		}
	}
	return at, nil
}

// full reports whether the page ends here. It has looked at one line at least.
func (p *pager) full(began time.Time) bool {
	n, l := p.looked, &p.s.scan
	return len(p.page.Entries) >= p.q.Limit || p.bytes >= l.bytes || n >= l.lines ||
		n > 0 && n%256 == 0 && time.Since(began) > l.time
}

// take adds a line's entry to the page if it is asked for.
func (p *pager) take(line []byte, at int64) {
	p.looked++
	if len(line) == 0 || at == 0 && isHeader(line, logHeader) {
		return
	}
	p.page.Scanned++
	how := split(line, p.cols[:])
	if how == damaged {
		p.s.setAside(p.name, p.whole, at, 0, line, reason(how))
		return
	}
	if how == whole && len(p.q.Levels) > 0 && !slices.Contains(p.q.Levels, storage.Level(p.cols[2])) {
		return
	}
	e, ok := parseEntry(p.cols[:], how)
	if !ok {
		p.s.setAside(p.name, p.whole, at, 0, line, reason(how))
		return
	}
	if how == byHand {
		p.s.tookEdited(p.name)
		if len(p.q.Levels) > 0 && !slices.Contains(p.q.Levels, e.Level) {
			return
		}
	}
	p.page.Entries = append(p.page.Entries, e)
	p.bytes += len(line)
}

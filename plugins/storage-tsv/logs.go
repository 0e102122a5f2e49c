package storagetsv

import (
	"context"
	"errors"
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

// Logs implements storage.Storage.
func (s *Store) Logs(_ context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	if err := s.enter(); err != nil {
		return storage.LogsPage{}, err
	}
	defer s.leave()
	if err := storage.CheckLogs(&q); err != nil {
		return storage.LogsPage{}, err
	}
	o := s.objects.get(q.Object)
	if o == nil {
		return unknownLog(&q)
	}
	for try := 1; ; try++ {
		page, err := s.logsPage(o, q)
		if errors.Is(err, errGone) && try < maxTries {
			continue
		}
		if err != nil && !errs.Is(err, errs.Invalid) {
			err = s.readError("storage.Logs", q.Object, err)
		}
		return page, err
	}
}

// unknownLog gives the page of an object without a commit: of the log that its
// first life begins with.
func unknownLog(q *storage.LogsQuery) (page storage.LogsPage, err error) {
	beginning := cursorPrefix(true, 1) + beginningOfLog
	if q.Cursor != "" && (q.Cursor != beginning || !q.Oldest) {
		return page, badCursor(q.Cursor)
	}
	if q.Places {
		page.End = beginning
	}
	return page, nil
}

// maxTries is how often a page is begun again because a file that its view
// names was removed, or closed files were wiped, before it was opened.
const maxTries = 8

func (s *Store) logsPage(o *object, q storage.LogsQuery) (storage.LogsPage, error) {
	latest := int64(noTime)
	for _, t := range [...]time.Time{q.Since, q.Until} {
		if !t.IsZero() {
			latest = max(latest, micro(t))
		}
	}
	v, err := s.openLog(o, latest)
	if err != nil {
		return storage.LogsPage{}, err
	}
	defer v.close()
	p := &pager{v: v, q: q, filter: storage.NewLogFilter(&q)}
	return p.run()
}

func badCursor(c string) error {
	return errs.New(errs.Invalid, "bad_cursor", "%q is not a cursor of this log.", c)
}

// pager makes one page: the lines between two places, filtered, to a limit.
type pager struct {
	v      *logView
	q      storage.LogsQuery
	filter *storage.LogFilter

	page   storage.LogsPage
	began  time.Time
	looked int // lines, blank ones included
	bytes  int
	cols   [logColumns][]byte
}

func (p *pager) run() (storage.LogsPage, error) {
	p.began = time.Now()
	from, to, err := p.bounds()
	if err == nil && p.q.Places {
		p.page.End, err = p.endOfLog()
	}
	if err != nil || from.file > to.file {
		return p.page, err
	}
	if p.q.Oldest {
		for i := from.file; i <= to.file; i++ {
			if done, err := p.piece(i, from, to); done || err != nil {
				return p.page, err
			}
		}
		return p.page, nil
	}
	for i := to.file; i >= from.file; i-- {
		if done, err := p.piece(i, from, to); done || err != nil {
			return p.page, err
		}
	}
	return p.page, nil
}

// bounds gives the range of the page: that of the times, from the cursor on.
func (p *pager) bounds() (from, to place, err error) {
	to = p.v.end()
	if !p.q.Since.IsZero() {
		if from, err = p.v.seek(micro(p.q.Since)); err != nil {
			return from, to, err
		}
	}
	if !p.q.Until.IsZero() {
		if to, err = p.v.seek(micro(p.q.Until)); err != nil {
			return from, to, err
		}
	}
	if p.q.Cursor == "" {
		return from, to, nil
	}
	at, err := p.cursor()
	if err != nil {
		return from, to, err
	}
	if p.q.Oldest && at.compare(from) > 0 {
		from = at
	}
	if !p.q.Oldest && at.compare(to) < 0 {
		to = at
	}
	return from, to, nil
}

// piece takes the lines of the range that stand in one file. Done says that
// the page ends there, with a line of the range left.
func (p *pager) piece(i int, from, to place) (done bool, err error) {
	if i == to.file && to.at == 0 {
		return false, nil
	}
	f, err := p.v.open(i)
	if err != nil {
		return false, err
	}
	start, end := f.first, f.size
	if i == from.file {
		start = max(start, from.at)
	}
	if i == to.file {
		end = min(end, to.at)
	}
	lines := f.lines(p.v.s, p.q.Oldest, start, end)
	for start < end {
		if p.full() {
			at := place{i, end}
			if p.q.Oldest {
				at.at = start
			}
			p.page.Next = p.cursorAt(p.prefix(), at)
			return true, nil
		}
		line, at, err := lines.next()
		if err != nil {
			return false, err
		}
		if p.take(f, line, at) && p.q.Places {
			p.page.Cursors = append(p.page.Cursors, p.cursorAt(cursorPrefix(true, p.v.incarnation), place{i, at + int64(len(line)) + 1}))
		}
		if p.q.Oldest {
			start = at + int64(len(line)) + 1
		} else {
			end = at
		}
	}
	return false, nil
}

func (p *pager) prefix() string { return cursorPrefix(p.q.Oldest, p.v.incarnation) }

func cursorPrefix(oldest bool, incarnation uint64) string {
	d := "n"
	if oldest {
		d = "o"
	}
	return d + strconv.FormatUint(incarnation, 10) + "."
}

// beginningOfLog stands in the cursor of a log that has no file with an entry yet.
const beginningOfLog = "0"

func (p *pager) cursorAt(prefix string, at place) string {
	return prefix + p.v.name(at.file).String() + "." + strconv.FormatInt(at.at, 10)
}

// endOfLog gives the cursor of what will come.
func (p *pager) endOfLog() (string, error) {
	prefix, end := cursorPrefix(true, p.v.incarnation), p.v.end()
	if p.v.active == (logName{}) { // the next entry begins a file, whose name is not known yet
		if end.file == 0 {
			return prefix + beginningOfLog, nil
		}
		f, err := p.v.open(end.file - 1)
		if err != nil {
			return "", err
		}
		end = place{end.file - 1, f.size}
	}
	return p.cursorAt(prefix, end), nil
}

// cursor reads the query's cursor: the name of a file, and an offset in it
// where a line begins. An offset behind the end of a file that was closed since
// counts on in the next one. Where the file has been removed since, what is left
// of the log is newer.
func (p *pager) cursor() (place, error) {
	rest, ok := strings.CutPrefix(p.q.Cursor, p.prefix())
	if ok && p.q.Oldest && rest == beginningOfLog {
		return place{}, nil
	}
	file, digits, dot := strings.Cut(rest, ".")
	name, named := parseLogCursor(file)
	at, err := strconv.ParseInt(digits, 10, 64)
	if !ok || !dot || !named || err != nil || at < 0 {
		return place{}, badCursor(p.q.Cursor)
	}
	i, removed, ok := p.v.find(name)
	if removed {
		return place{}, nil
	}
	for ; ok && i <= p.v.last(); i++ {
		f, err := p.v.open(i)
		if err != nil {
			return place{}, err
		}
		if at <= f.size {
			begins, err := f.lineBegins(at)
			if err != nil {
				return place{}, err
			}
			if !begins {
				break
			}
			return place{i, at}, nil
		}
		if i < p.v.last() {
			next, err := p.v.open(i + 1)
			if err != nil {
				return place{}, err
			}
			at += next.first - f.size
		}
	}
	return place{}, badCursor(p.q.Cursor)
}

// full reports whether the page ends here. It has looked at one line at least.
func (p *pager) full() bool {
	n, l := p.looked, &p.v.s.scan
	return len(p.page.Entries) >= p.q.Limit || p.bytes >= l.bytes || n >= l.lines ||
		n > 0 && n%256 == 0 && time.Since(p.began) > l.time
}

// take adds a line's entry to the page if it is asked for, and says whether it did.
func (p *pager) take(f *logFile, line []byte, at int64) bool {
	p.looked++
	if len(line) == 0 || at == 0 && isHeader(line, logHeader) {
		return false
	}
	s := p.v.s
	p.page.Scanned++
	how := split(line, p.cols[:])
	if how == damaged {
		s.setAside(f.path, f.r, at, 0, line, reason(how))
		return false
	}
	if how == whole && !p.filter.TakesLevel(storage.Level(p.cols[2])) {
		return false
	}
	e, ok := parseEntry(p.cols[:], how)
	if !ok {
		s.setAside(f.path, f.r, at, 0, line, reason(how))
		return false
	}
	if how == byHand {
		s.tookEdited(f.path)
	}
	if !p.filter.Takes(&e) {
		return false
	}
	p.page.Entries = append(p.page.Entries, e)
	p.bytes += len(line)
	return true
}

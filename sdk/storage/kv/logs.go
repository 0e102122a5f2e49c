package kv

import (
	"context"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Logs implements storage.Storage. An entry has a position, counted from the
// first, and its row the newest time up to it: both ends of a range of times are
// found by halving. A cursor is a direction, the incarnation and the position of
// the entry that is looked at next.
func (s *Store) Logs(_ context.Context, q storage.LogsQuery) (page storage.LogsPage, err error) {
	err = s.view(func(r Reader) error {
		if err := storage.CheckLogs(&q); err != nil {
			return err
		}
		rec, err := readRecord(r, q.Object)
		if err != nil {
			return err
		}
		if rec == nil {
			rec = &record{} // its first life is to come
			rec.Incarnation = 1
		}
		p := &pager{s: s, r: r, q: q, rec: rec, filter: storage.NewLogFilter(&q), began: time.Now()}
		page, err = p.run()
		return err
	})
	if err != nil {
		return storage.LogsPage{}, err
	}
	return page, nil
}

// pager makes one page of a log.
type pager struct {
	s      *Store
	r      Reader
	q      storage.LogsQuery
	rec    *record
	filter *storage.LogFilter

	page  storage.LogsPage
	began time.Time
	bytes int
}

func (p *pager) run() (storage.LogsPage, error) {
	from, to, err := p.bounds()
	if err == nil && p.q.Places {
		p.page.End = p.behind(p.rec.entries)
	}
	if err != nil || from >= to {
		return p.page, err
	}
	space := p.rec.space
	err = p.r.Range(numberKey(space, entryRow, from), numberKey(space, entryRow, to), !p.q.Oldest, func(k, v []byte) bool {
		at := binary.BigEndian.Uint64(k[rowPrefix:])
		if p.full() {
			p.page.Next = p.prefix() + strconv.FormatUint(at, 10)
			return false
		}
		p.take(at, v)
		return true
	})
	return p.page, err
}

// bounds gives the positions of the page: those of the times, from the cursor on.
func (p *pager) bounds() (from, to uint64, err error) {
	to = p.rec.entries
	at := to
	if p.q.Cursor != "" {
		digits, ok := strings.CutPrefix(p.q.Cursor, p.prefix())
		n, err := strconv.ParseUint(digits, 10, 64)
		if !ok || err != nil || n > to || n == to && !p.q.Oldest || strconv.FormatUint(n, 10) != digits {
			return 0, 0, errs.New(errs.Invalid, "bad_cursor", "%q is not a cursor of this log.", p.q.Cursor)
		}
		at = n
	}
	if !p.q.Since.IsZero() {
		if from, err = p.seek(p.q.Since); err != nil {
			return 0, 0, err
		}
	}
	if !p.q.Until.IsZero() {
		if to, err = p.seek(p.q.Until); err != nil {
			return 0, 0, err
		}
	}
	switch {
	case p.q.Cursor == "":
	case p.q.Oldest:
		from = max(from, at)
	default:
		to = min(to, at+1)
	}
	return from, to, nil
}

// seek gives the first position that counts as of t or later.
func (p *pager) seek(t time.Time) (uint64, error) {
	at, low, high := t.UnixMicro(), uint64(0), p.rec.entries
	for low < high {
		middle := low + (high-low)/2
		row, err := p.r.Get(numberKey(p.rec.space, entryRow, middle))
		if err != nil {
			return 0, err
		}
		newest, ok := newestAt(row)
		if !ok {
			return 0, corrupt(p.q.Object, "an entry of its log is not there")
		}
		if newest < at {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

func (p *pager) prefix() string { return cursorPrefix(p.q.Oldest, p.rec.Incarnation) }

func cursorPrefix(oldest bool, incarnation uint64) string {
	d := "n"
	if oldest {
		d = "o"
	}
	return d + strconv.FormatUint(incarnation, 10) + "."
}

// behind gives the cursor of the entries from a position on, oldest first.
func (p *pager) behind(at uint64) string {
	return cursorPrefix(true, p.rec.Incarnation) + strconv.FormatUint(at, 10)
}

// full reports whether the page ends here. It has looked at one entry at least.
func (p *pager) full() bool {
	l := &p.s.limits
	return len(p.page.Entries) == p.q.Limit || p.page.Scanned > 0 && (p.page.Scanned == l.rows || p.bytes >= l.bytes || p.page.Scanned%64 == 0 && time.Since(p.began) > l.time)
}

// take looks at an entry. One that is damaged is told of and costs no other.
func (p *pager) take(at uint64, row []byte) {
	p.page.Scanned++
	e, ok := parseEntry(row)
	if !ok {
		p.s.damagedEntry(p.q.Object, at)
		return
	}
	if p.filter.Takes(&e) {
		p.page.Entries = append(p.page.Entries, e)
		p.bytes += len(row)
		if p.q.Places {
			p.page.Cursors = append(p.page.Cursors, p.behind(at+1))
		}
	}
}

func (s *Store) damagedEntry(object id.Object, at uint64) {
	s.o.Log.Error("damage: an entry of a log cannot be read; it is left out", "object", object, "position", at)
}

package transporttest

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// follows is what the fake kernel knows of those who follow a log.
type follows struct {
	change chan struct{} // closed when something of any log changes; nil where nobody waits
	under  map[id.Object]int
}

// Log appends entries to the log of an object.
func (h *Host) Log(object id.Object, entries ...storage.Entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.data[object]
	d.Logs = append(slices.Clip(d.Logs), entries...)
	h.data[object] = d
	h.wake()
}

// Remove takes an object with its data out of service.
func (h *Host) Remove(object id.Object) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.data, object)
	h.wake()
}

// Following counts the calls of Follow for an object that are under way.
func (h *Host) Following(object id.Object) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.follows.under[object]
}

// wake tells all who follow; h.mu is held.
func (h *Host) wake() {
	if h.follows.change != nil {
		close(h.follows.change)
		h.follows.change = nil
	}
}

// Follow gives entries of an object that has data. Its cursors count entries.
func (h *Host) Follow(ctx context.Context, q host.FollowQuery) (host.FollowPage, error) {
	h.follow(q.Object, 1)
	defer h.follow(q.Object, -1)
	over := time.NewTimer(q.Wait)
	defer over.Stop()
	for {
		page, change, err := h.behind(ctx, q)
		if err != nil || len(page.Entries) > 0 || q.Wait == 0 {
			return page, err
		}
		q.Cursor = page.Next
		select {
		case <-change:
		case <-over.C:
			return page, nil
		case <-ctx.Done():
			return host.FollowPage{}, errs.Wrap(errs.Timeout, "transporttest.Follow", ctx.Err(), "The wait was given up.")
		}
	}
}

func (h *Host) follow(object id.Object, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.follows.under == nil {
		h.follows.under = map[id.Object]int{}
	}
	h.follows.under[object] += n
}

// behind gives the page that is there, and a channel that is closed when there may be another.
func (h *Host) behind(ctx context.Context, q host.FollowQuery) (page host.FollowPage, change <-chan struct{}, err error) {
	h.mu.Lock()
	if h.follows.change == nil {
		h.follows.change = make(chan struct{})
	}
	change = h.follows.change
	h.mu.Unlock()
	d, err := h.look(ctx, q.Object)
	if err == nil {
		err = host.CheckFollow(&q)
	}
	if err != nil {
		return page, change, err
	}
	from := len(d.Logs)
	digits, ok := strings.CutPrefix(q.Cursor, "f.")
	switch {
	case q.Cursor != "":
		if from, err = strconv.Atoi(digits); err != nil || !ok || from < 0 || from > len(d.Logs) {
			return page, change, errs.New(errs.Invalid, "bad_cursor", "The cursor is none.")
		}
	case !q.Since.IsZero():
		from = 0
	}
	filter := storage.NewLogFilter(&storage.LogsQuery{Levels: q.Levels, Text: q.Text, Fields: q.Fields})
	takes := func(e *storage.Entry) bool { return filter.Takes(e) && !(q.Cursor == "" && e.Time.Before(q.Since)) }
	limit := q.Limit
	if q.Cursor == "" && q.Last > 0 {
		for limit = 0; from > 0 && limit < q.Last; {
			if from--; takes(&d.Logs[from]) {
				limit++
			}
		}
	}
	for ; from < len(d.Logs) && len(page.Entries) < limit; from++ {
		if takes(&d.Logs[from]) {
			page.Entries = append(page.Entries, d.Logs[from])
			page.Cursors = append(page.Cursors, "f."+strconv.Itoa(from+1))
		}
	}
	if len(page.Entries) < limit || q.Cursor == "" && q.Last > 0 {
		from = len(d.Logs)
	}
	page.Next = "f." + strconv.Itoa(from)
	return page, change, nil
}

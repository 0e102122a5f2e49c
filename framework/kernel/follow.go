package kernel

import (
	"context"
	"slices"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/storage"
)

const (
	gatherTime  = 20 * time.Millisecond // between two reads of one follower, where much is written
	followReads = 16                    // of followers at once: each may hold a page of some MiB
)

// MaxFollows is how many calls of Follow may be under way, of all transports together.
const MaxFollows = 1024

// Follow implements host.Host. What it gives is read from storage, which shows what
// is durable and nothing else; nothing is kept for a follower while it is away or slow.
// While nothing is written it asks nobody.
func (h *Host) Follow(ctx context.Context, q host.FollowQuery) (host.FollowPage, error) {
	if _, err := h.look(q.Object); err != nil {
		return host.FollowPage{}, err
	}
	if err := host.CheckFollow(&q); err != nil {
		return host.FollowPage{}, err
	}
	if q.Cursor == "" && q.Since.After(time.Now().Add(time.Minute)) {
		return host.FollowPage{}, errs.New(errs.Invalid, "bad_time", "A log is followed from a time that has been; %s is in the future.", q.Since.Format(time.RFC3339))
	}
	select {
	case h.follows <- struct{}{}:
		defer func() { <-h.follows }()
	default:
		return host.FollowPage{}, &errs.Error{Kind: errs.Busy, RetryAfter: time.Second, Message: "Too many logs of this station are being followed; try again later."}
	}
	until := time.Now().Add(q.Wait)
	over := time.NewTimer(q.Wait)
	defer over.Stop()
	for {
		written := h.dispatch.Written(q.Object)
		if _, err := h.look(q.Object); err != nil {
			return host.FollowPage{}, err
		}
		page, more, err := h.behind(ctx, &q)
		if err != nil || len(page.Entries) > 0 || !time.Now().Before(until) {
			return page, err
		}
		q.Cursor, q.Last, q.Since = page.Next, 0, time.Time{}
		if more {
			continue
		}
		select {
		case <-written:
			time.Sleep(min(gatherTime, time.Until(until))) // what is written meanwhile is read at once
		case <-over.C:
			return page, nil
		case <-ctx.Done():
			return host.FollowPage{}, errs.Wrap(errs.Timeout, "kernel.Follow", context.Cause(ctx), "Nothing was written in time.")
		}
	}
}

// behind gives the page behind the query's cursor, and whether entries of the log
// follow that it did not look at.
func (h *Host) behind(ctx context.Context, q *host.FollowQuery) (page host.FollowPage, more bool, err error) {
	ask := storage.LogsQuery{
		Object: q.Object, Levels: q.Levels, Text: q.Text, Fields: q.Fields, Since: q.Since, Cursor: q.Cursor,
		Limit: q.Limit, Oldest: true, Places: true,
	}
	fromEnd := q.Cursor == "" && q.Since.IsZero()
	if fromEnd {
		ask.Oldest, ask.Limit = false, q.Last
	}
	if fromEnd && q.Last == 0 { // any entry leads to the end
		ask.Levels, ask.Text, ask.Fields, ask.Limit = nil, "", nil, 1
	}
	select {
	case h.reads <- struct{}{}:
	case <-ctx.Done():
		return page, false, errs.Wrap(errs.Timeout, "kernel.Follow", context.Cause(ctx), "Too many logs are being read; try again.")
	}
	p, err := h.store.Logs(ctx, ask)
	<-h.reads
	if err != nil {
		return page, false, err
	}
	if len(p.Cursors) != len(p.Entries) || p.End == "" {
		return page, false, errs.New(errs.Internal, "", "The storage gives no cursors, so that logs cannot be followed.")
	}
	page = host.FollowPage{Entries: p.Entries, Cursors: p.Cursors, Next: p.Next}
	if fromEnd {
		page.Entries, page.Cursors = page.Entries[:min(q.Last, len(p.Entries))], page.Cursors[:min(q.Last, len(p.Entries))]
		slices.Reverse(page.Entries)
		slices.Reverse(page.Cursors)
		page.Next = ""
	}
	if page.Next == "" {
		page.Next = p.End
		return page, false, nil
	}
	return page, true, nil
}

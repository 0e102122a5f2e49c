package host

import (
	"context"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/storage"
)

// FollowQuery asks for what stands behind a place in an object's log, oldest
// first, and for what comes. Levels, Text and Fields are those of storage.LogsQuery.
type FollowQuery struct {
	Object id.Object
	Levels []storage.Level
	Text   string
	Fields []storage.FieldFilter
	Cursor string        // Next, or one of Cursors, of an earlier page; empty means the log's end
	Last   int           // without Cursor: begins with as many of the newest entries, up to storage.MaxPage; with fewer where a bounded search finds no more
	Since  time.Time     // without Cursor, instead of Last: begins with the entries from this time on
	Limit  int           // 1 to storage.MaxPage; those of Last do not count
	Wait   time.Duration // up to MaxWait; 0 does not wait
}

// MaxWait is the longest Wait.
const MaxWait = time.Minute

// FollowPage is what was found, none of it where nothing came in time.
type FollowPage struct {
	Entries []storage.Entry
	Cursors []string // for each of Entries, the Cursor of what stands behind it
	Next    string   // the Cursor of what stands behind all that was looked at; never empty
}

// CheckFollow says why a query is none. Errors: errs.Invalid.
func CheckFollow(q *FollowQuery) error {
	switch {
	case q.Last < 0 || q.Last > storage.MaxPage:
		return errs.New(errs.Invalid, "bad_limit", "%d is no number of entries to begin with; use 0 to %d.", q.Last, storage.MaxPage)
	case q.Wait < 0 || q.Wait > MaxWait:
		return errs.New(errs.Invalid, "bad_wait", "A wait of %v is not possible; use 0 to %v.", q.Wait, MaxWait)
	case q.Last > 0 && !q.Since.IsZero():
		return errs.New(errs.Invalid, "bad_parameter", "A log is followed from a time on or from the newest entries, not from both.")
	}
	l := q.logs()
	return storage.CheckLogs(&l)
}

// logs is the query without what only a follower has.
func (q *FollowQuery) logs() storage.LogsQuery {
	return storage.LogsQuery{Object: q.Object, Levels: q.Levels, Text: q.Text, Fields: q.Fields, Cursor: q.Cursor, Since: q.Since, Limit: q.Limit}
}

func encodeFollowQuery(q FollowQuery) *pb.HostFollowQuery {
	return &pb.HostFollowQuery{Query: storage.EncodeLogsQuery(q.logs()), Last: int32(q.Last), WaitNs: q.Wait.Nanoseconds()}
}

func decodeFollowQuery(m *pb.HostFollowQuery) FollowQuery {
	l := storage.DecodeLogsQuery(m.GetQuery())
	return FollowQuery{
		Object: l.Object, Levels: l.Levels, Text: l.Text, Fields: l.Fields, Cursor: l.Cursor, Since: l.Since, Limit: l.Limit,
		Last: int(m.GetLast()), Wait: time.Duration(m.GetWaitNs()),
	}
}

func encodeFollowPage(p FollowPage) *pb.LogsPage {
	return storage.EncodeLogsPage(storage.LogsPage{Entries: p.Entries, Cursors: p.Cursors, Next: p.Next})
}

func decodeFollowPage(m *pb.LogsPage) FollowPage {
	p := storage.DecodeLogsPage(m)
	return FollowPage{Entries: p.Entries, Cursors: p.Cursors, Next: p.Next}
}

func (c *client) Follow(ctx context.Context, q FollowQuery) (FollowPage, error) {
	m, err := c.c.Follow(ctx, encodeFollowQuery(q))
	if err != nil {
		return FollowPage{}, err
	}
	return decodeFollowPage(m), nil
}

func (s *server) Follow(ctx context.Context, m *pb.HostFollowQuery) (*pb.LogsPage, error) {
	p, err := s.h.Follow(ctx, decodeFollowQuery(m))
	if err != nil {
		return nil, err
	}
	return encodeFollowPage(p), nil
}

package transporttest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport"
)

// TestFollowFaults is TestFaults for faults that take the time of a wait to be seen.
func TestFollowFaults(t *testing.T) {
	for _, f := range followFaults() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			f.noticed(t)
		})
	}
}

// followFaults break the following of logs.
func followFaults() []fault {
	on := func(name, check string, follow func(context.Context, host.Host, host.FollowQuery) (host.FollowPage, error)) fault {
		return fault{name: name, check: check,
			serve: func(ctx context.Context, ln net.Listener, h host.Host, l transport.Transport) error {
				return l.Serve(ctx, ln, faultyFollow{h, follow})
			}}
	}
	query := func(name, check string, change func(*host.FollowQuery)) fault {
		return on(name, check, func(ctx context.Context, h host.Host, q host.FollowQuery) (host.FollowPage, error) {
			change(&q)
			return h.Follow(ctx, q)
		})
	}
	page := func(name, check string, change func(*host.FollowPage)) fault {
		return on(name, check, func(ctx context.Context, h host.Host, q host.FollowQuery) (host.FollowPage, error) {
			p, err := h.Follow(ctx, q)
			change(&p)
			return p, err
		})
	}
	return []fault{
		query("follows from the end alone", "Follow", func(q *host.FollowQuery) { q.Last = 0 }),
		query("follows from no time", "Follow", func(q *host.FollowQuery) { q.Since = time.Time{} }),
		query("follows all levels", "Follow", func(q *host.FollowQuery) { q.Levels = nil }),
		query("follows without a search", "Follow", func(q *host.FollowQuery) { q.Text = "" }),
		query("follows by no field", "Follow", func(q *host.FollowQuery) { q.Fields = nil }),
		query("any cursor is the end", "Follow", func(q *host.FollowQuery) { q.Cursor = "" }),
		on("follows without a deadline", "Follow", func(ctx context.Context, h host.Host, q host.FollowQuery) (host.FollowPage, error) {
			return h.Follow(context.WithoutCancel(ctx), q)
		}),
		page("a lost entry", "FollowResumes", func(p *host.FollowPage) {
			if len(p.Entries) > 1 {
				p.Entries, p.Cursors = p.Entries[1:], p.Cursors[1:]
			}
		}),
		page("the page's cursor for every entry", "FollowResumes", func(p *host.FollowPage) {
			for i := range p.Cursors {
				p.Cursors[i] = p.Next
			}
		}),
		page("a cursor before its entry", "FollowResumes", func(p *host.FollowPage) {
			for i := len(p.Cursors) - 1; i > 0; i-- {
				p.Cursors[i] = p.Cursors[i-1]
			}
		}),
		page("an entry twice", "FollowWaits", func(p *host.FollowPage) {
			if len(p.Entries) > 0 {
				p.Entries, p.Cursors = append(p.Entries, p.Entries[0]), append(p.Cursors, p.Cursors[0])
			}
		}),
		on("never woken", "FollowWaits", func(ctx context.Context, h host.Host, q host.FollowQuery) (host.FollowPage, error) {
			wait := q.Wait
			q.Wait = 0
			p, err := h.Follow(ctx, q)
			if err == nil && len(p.Entries) == 0 {
				select {
				case <-time.After(wait):
				case <-ctx.Done():
				}
			}
			return p, err
		}),
		query("answers at once", "FollowWaits", func(q *host.FollowQuery) {
			q.Wait = 0
			q.Cursor = "f.0"
		}),
		on("goes on after the end of the object", "FollowEnds", func(ctx context.Context, h host.Host, q host.FollowQuery) (host.FollowPage, error) {
			p, err := h.Follow(ctx, q)
			if errs.Is(err, errs.NotFound) {
				return host.FollowPage{Next: "f.0", Entries: []storage.Entry{}}, nil
			}
			return p, err
		}),
		on("goes on after the end of the client", "FollowEnds", func(ctx context.Context, h host.Host, q host.FollowQuery) (host.FollowPage, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 4*time.Second)
			defer cancel()
			return h.Follow(ctx, q)
		}),
		on("holds up the end", "FollowStops", func(ctx context.Context, h host.Host, q host.FollowQuery) (host.FollowPage, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 4*time.Second)
			defer cancel()
			return h.Follow(ctx, q)
		}),
	}
}

type faultyFollow struct {
	host.Host
	follow func(context.Context, host.Host, host.FollowQuery) (host.FollowPage, error)
}

func (h faultyFollow) Follow(ctx context.Context, q host.FollowQuery) (host.FollowPage, error) {
	return h.follow(ctx, h.Host, q)
}

package transporthttp

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// The limits of tails. DESIGN.md says why they are what they are.
const (
	maxTails  = 256              // at once
	tailLast  = 10               // entries that a tail begins with, unless it says otherwise
	tailPage  = 100              // entries of a tail that are in memory
	keepAlive = 15 * time.Second // after which a tail on which nothing happens says so
	tailPause = time.Second      // before a host is asked again that could not answer; what EventSource waits before it connects again
)

// tail answers ?tail=true: the entries of a log as Server-Sent Events, each with
// the cursor behind it as its id. They are read from the log page by page: nothing
// is kept for a client that is slow, and whoever comes back with the id of the last
// event misses nothing and gets nothing twice.
func (x *exchange) tail(_ context.Context, object id.Object, p args) error {
	q, err := x.tailQuery(object, p)
	if err != nil {
		return err
	}
	if err := x.ownPage(); err != nil {
		return err
	}
	defer x.tails.Add(-1)
	if x.tails.Add(1) > maxTails {
		return &errs.Error{Kind: errs.Busy, Message: "Too many logs are being followed; try again later.", RetryAfter: 5 * time.Second}
	}
	ctx, cancel := context.WithCancel(x.r.Context())
	defer cancel()
	defer context.AfterFunc(x.serving, cancel)()
	page, err := x.follow(ctx, q)
	if err != nil {
		return err
	}
	header := x.w.Header()
	header["Content-Type"] = []string{"text/event-stream"}
	header["Cache-Control"] = []string{"no-store"}
	header["X-Accel-Buffering"] = []string{"no"} // for a proxy that would collect events
	x.begun = true
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method == http.MethodHead {
		return nil
	}
	s := &stream{x: x, out: http.NewResponseController(x.w)}
	defer context.AfterFunc(x.serving, func() { _ = s.out.SetWriteDeadline(time.Now().Add(tailPause)) })() // fails where writing does
	s.line("retry", strconv.FormatInt(tailPause.Milliseconds(), 10))
	s.run(ctx, q, page)
	return nil
}

// tailQuery reads the parameters of a tail.
func (x *exchange) tailQuery(object id.Object, p args) (q host.FollowQuery, err error) {
	q = host.FollowQuery{Object: object, Text: p["q"], Limit: tailPage, Last: tailLast, Cursor: p["cursor"]}
	if q.Fields, err = x.fieldFilters(p, "tail"); err != nil {
		return q, err
	}
	if q.Levels, err = levels(p); err != nil {
		return q, err
	}
	if q.Since, err = moment(p, "since"); err != nil {
		return q, err
	}
	last, counted := p["last"]
	if counted {
		if q.Last, err = strconv.Atoi(last); err != nil || q.Last < 0 || q.Last > storage.MaxPage {
			return q, errs.New(errs.Invalid, "bad_parameter", `"last" is a number from 0 to %d.`, storage.MaxPage)
		}
	}
	switch {
	case q.Since.IsZero():
	case counted:
		return q, errs.New(errs.Invalid, "bad_parameter", `The parameters "last" and "since" exclude each other.`)
	default:
		q.Last = 0
	}
	// A browser connects again to the same address, and says in the header how far it got.
	if id := x.r.Header.Get("Last-Event-Id"); id != "" {
		q.Cursor = id
	}
	switch {
	case len(q.Cursor) > storage.MaxCursor:
		return q, badCursor()
	case q.Cursor != "":
		q.Last, q.Since = 0, time.Time{}
	}
	return q, nil
}

// ownPage refuses a page of another site. Without a CORS header it could not read
// the events, but it would hold the place of a tail.
func (x *exchange) ownPage() error {
	asked := x.r.WithContext(x.r.Context())
	asked.Method = http.MethodPost
	if x.origin.Check(asked) != nil {
		return errs.New(errs.Forbidden, "cross_origin", "A page of another site may not follow the logs of this station.")
	}
	return nil
}

func (x *exchange) follow(ctx context.Context, q host.FollowQuery) (host.FollowPage, error) {
	ctx, cancel := context.WithTimeout(ctx, q.Wait+callTime)
	defer cancel()
	return x.host.Follow(ctx, q)
}

// stream writes events. After an error nothing more is written.
type stream struct {
	x    *exchange
	out  *http.ResponseController
	b    bytes.Buffer
	last string // the id that the client has
	err  error
}

// run sends page after page until the client or the station goes, or the log ends.
func (s *stream) run(ctx context.Context, q host.FollowQuery, page host.FollowPage) {
	for err := error(nil); ; page, err = s.x.follow(ctx, q) {
		if err == nil {
			if err = s.page(&page); err == nil {
				q.Cursor, q.Last, q.Since, q.Wait = page.Next, 0, time.Time{}, keepAlive
			}
		}
		switch {
		case s.err != nil:
			return
		case s.x.serving.Err() != nil:
			s.end(errs.New(errs.Unavailable, "stopping", "The station is stopping; ask again with the id of the last event."))
			return
		case ctx.Err() != nil:
			return
		case passing(err):
			s.comment("waiting: " + errs.From(err).CodeOf())
			s.pause(ctx)
		case err != nil:
			s.x.logFailure(errs.From(err), errs.From(err).HTTPStatus())
			s.end(err)
			return
		}
		s.flush()
	}
}

// passing reports whether an error is one after which a host answers again.
func passing(err error) bool {
	if err == nil {
		return false
	}
	switch errs.KindOf(err) {
	case errs.Unavailable, errs.Busy, errs.Timeout, errs.Unknown:
		return true
	}
	return false
}

// page writes the events of a page, or that there was none. Errors: errs.Busy where
// too much is in memory, after which none of it is written.
func (s *stream) page(p *host.FollowPage) error {
	size := int64(0)
	for i := range p.Entries {
		size += int64(len(p.Entries[i].Message) + len(p.Entries[i].Fields))
	}
	if err := s.x.hold(size); err != nil {
		return err
	}
	defer s.x.release()
	for i, e := range p.Entries {
		if s.x.serving.Err() != nil {
			return nil // the client goes on from the last id that it has
		}
		row, err := logRow(e)
		if err == nil {
			s.line("id", p.Cursors[i])
			s.last = p.Cursors[i]
			s.b.WriteString("data: ")
			err = json.Compact(&s.b, row)
			s.b.WriteString("\n\n")
		}
		if err != nil {
			return errs.Wrap(errs.Internal, "http.tail "+e.ID.String(), err, "")
		}
		s.write()
	}
	if len(p.Entries) == 0 {
		s.comment("nothing new")
	}
	if len(p.Entries) == 0 && p.Next != s.last { // an event without data sets the id alone
		s.last = p.Next
		s.line("id", p.Next)
		s.b.WriteString("\n")
	}
	return nil
}

// end is the last event of a stream: it says why nothing more comes.
func (s *stream) end(err error) {
	e := errs.From(err)
	text, encErr := json.Marshal(failure{"error", e.Text(), e.CodeOf(), 0, ""})
	if encErr != nil {
		return // it is text
	}
	s.line("event", "end")
	s.line("data", string(text))
	s.b.WriteString("\n")
	s.flush()
}

func (s *stream) line(name, value string) {
	s.b.WriteString(name + ": " + strings.NewReplacer("\n", "", "\r", "", "\x00", "").Replace(value) + "\n")
}

func (s *stream) comment(text string) { s.b.WriteString(": " + text + "\n\n") }

func (s *stream) write() {
	if s.err == nil {
		_, s.err = s.x.w.Write(s.b.Bytes())
	}
	s.b.Reset()
}

func (s *stream) flush() {
	s.write()
	if s.err == nil {
		s.err = s.out.Flush()
	}
}

// pause lets the host find its way back.
func (s *stream) pause(ctx context.Context) {
	s.flush()
	t := time.NewTimer(tailPause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

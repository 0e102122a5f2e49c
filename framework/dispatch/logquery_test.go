package dispatch_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

const diary = `
function POST(request) log.info("note " .. request.n, { n = request.n }) return "noted" end
function PUT(request)
  log.warning("staged")
  return log.query{ order = "asc" }
end
function GET(request)
  local rows, cursor = log.query{ level = request.level, text = request.text, since = request.since, before = request.before,
    limit = request.limit, order = request.order, cursor = request.cursor, fields = request.n and { n = request.n } }
  local texts = json.array()
  for i, row in ipairs(rows) do texts[i] = row.message end
  return { texts, cursor }
end`

func field(name, value string) host.Field { return host.Field{Name: name, Value: value} }

func (s *station) notes(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		if _, err := s.call("diary", "POST", field("n", fmt.Sprint(i+1))); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLogQuery asks a store that obeys the contract: each option selects, and
// an object finds its own entries alone.
func TestLogQuery(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	s.put(t, "diary", diary)
	s.put(t, "other", diary)
	s.notes(t, 5)
	s.wantLog(t, "other", `[[]]`)
	s.wantLog(t, "diary", `[["note 5","note 4","note 3","note 2","note 1"]]`)
	s.wantLog(t, "diary", `[["note 3"]]`, field("n", "3"))
	s.wantLog(t, "diary", `[["note 4"]]`, field("text", "NOTE 4"))
	s.wantLog(t, "diary", `[[]]`, field("level", "error"))
	s.wantLog(t, "diary", `[[]]`, field("since", "2999-01-01"))
	s.wantLog(t, "diary", `[[]]`, field("before", "2020-01-01T00:00:00Z"))
	s.wantLog(t, "diary", `[["note 1","note 2","note 3","note 4","note 5"]]`, field("since", "2020-01-01"), field("order", "asc"))
	r, err := s.call("diary", "GET", field("limit", "2"))
	if err != nil || !strings.HasPrefix(string(r.Body), `[["note 5","note 4"],"`) {
		t.Fatalf("got %s, %v", r.Body, err)
	}
	cursor := strings.TrimSuffix(strings.TrimPrefix(string(r.Body), `[["note 5","note 4"],"`), `"]`)
	s.wantLog(t, "diary", `[["note 3","note 2","note 1"]]`, field("limit", "10"), field("cursor", cursor))
}

func (s *station) wantLog(t *testing.T, object id.Object, want string, query ...host.Field) {
	t.Helper()
	r, err := s.call(object, "GET", query...)
	if err != nil || string(r.Body) != want {
		t.Errorf("%v: got %s, %v, want %s", query, r.Body, err, want)
	}
}

// TestLogQuerySeesEarlierCalls: what the call itself logged is not there, what
// the one before logged is, with all its fields.
func TestLogQuerySeesEarlierCalls(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	s.put(t, "diary", diary)
	s.notes(t, 1)
	r, err := s.call("diary", "PUT")
	if got := string(r.Body); err != nil || strings.Contains(got, "staged") ||
		!strings.HasPrefix(got, `[{"entry_id":"s1.1.1","level":"INFO","message":"note 1","n":"1","request_id":"r1","timestamp":"`) {
		t.Errorf("got %s, %v", got, err)
	}
	r, err = s.call("diary", "PUT")
	if got := string(r.Body); err != nil || strings.Count(got, "staged") != 1 {
		t.Errorf("got %s, %v", got, err)
	}
}

// TestLogQueryWaitsForPendingCommits: entries whose commit is on its way are
// waited for, and meanwhile scripts of other objects run.
func TestLogQueryWaitsForPendingCommits(t *testing.T) {
	g := newGate()
	limits := dispatch.DefaultLimits()
	limits.VMs = 1
	s := newStation(t, limits, func(m *storagetest.Memory) { m.OnCommit = g.hook })
	s.put(t, "diary", diary)
	s.put(t, "c", counter)
	note := s.start("diary", "POST", field("n", "1"))
	await(t, g.entered)
	query := s.start("diary", "GET")
	until(t, "the query runs", func() bool { return s.Running("diary") })
	if got := s.mustCount(t, "c", "PUT"); got != 0 { // in the only place that there is
		t.Errorf("the other object's count is %d", got)
	}
	select {
	case o := <-query:
		t.Fatalf("the query answered %s, %v before the commit was acknowledged", o.result.Body, o.err)
	case <-time.After(50 * time.Millisecond):
	}
	g.verdict <- nil
	if o := await(t, note); o.err != nil {
		t.Error(o.err)
	}
	if o := await(t, query); o.err != nil || string(o.result.Body) != `[["note 1"]]` {
		t.Errorf("got %s, %v", o.result.Body, o.err)
	}
}

// TestLogQueryEndsAtTheDeadline: a commit that is not acknowledged does not hold
// the call beyond its time.
func TestLogQueryEndsAtTheDeadline(t *testing.T) {
	g := newGate()
	limits := dispatch.DefaultLimits()
	limits.Time = time.Second // in which the first call begins
	s := newStation(t, limits, func(m *storagetest.Memory) { m.OnCommit = g.hook })
	s.put(t, "diary", diary)
	note := s.start("diary", "POST", field("n", "1"))
	await(t, g.entered)
	_, err := s.call("diary", "GET")
	if errs.From(err).HTTPStatus() < 500 { // its log entry is not acknowledged either
		t.Errorf("got %v", err)
	}
	g.verdict <- nil
	g.verdict <- nil
	_ = await(t, note)
}

// TestLogQueryAfterAFailedCommit: the query does not answer from a log that the
// script's state is ahead of.
func TestLogQueryAfterAFailedCommit(t *testing.T) {
	g := newGate()
	s := newStation(t, dispatch.DefaultLimits(), func(m *storagetest.Memory) { m.OnCommit = g.hook })
	s.put(t, "diary", diary)
	note := s.start("diary", "POST", field("n", "1"))
	await(t, g.entered)
	query := s.start("diary", "GET")
	until(t, "the query runs", func() bool { return s.Running("diary") })
	g.verdict <- errs.New(errs.Unavailable, "", "disk full")
	for _, c := range []<-chan outcome{note, query} {
		if o := await(t, c); errs.From(o.err).HTTPStatus() != 503 {
			t.Errorf("got %s, %v; want a 503", o.result.Body, o.err)
		}
	}
	s.wantLog(t, "diary", `[[]]`)
}

// slowLog is a store whose log answers when its caller gives up.
type slowLog struct{ *disk }

func (slowLog) Logs(ctx context.Context, _ storage.LogsQuery) (storage.LogsPage, error) {
	<-ctx.Done()
	return storage.LogsPage{}, ctx.Err()
}

// TestLogQueryDoesNotWaitForAStuckStore: the deadline of the call ends the read.
func TestLogQueryDoesNotWaitForAStuckStore(t *testing.T) {
	limits := dispatch.DefaultLimits()
	limits.Time = 100 * time.Millisecond
	s := newStation(t, limits, nil)
	s.Store = slowLog{s.disk}
	s.put(t, "diary", diary)
	_, err := s.call("diary", "GET")
	wantKind(t, err, errs.Timeout)
}

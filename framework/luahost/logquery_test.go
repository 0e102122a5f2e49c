package luahost

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Logs gives what was logged, entry n at n seconds; of a query it knows levels,
// order, limit and cursor.
func (f *fake) Logs(_ context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	if f.err != nil {
		return storage.LogsPage{}, f.err
	}
	var page storage.LogsPage
	from, err := strconv.Atoi("0" + q.Cursor)
	if err != nil {
		return page, errs.New(errs.Invalid, "bad_cursor", "%q is not a cursor of this log.", q.Cursor)
	}
	skip := from
	for i := range f.logs {
		if !q.Oldest {
			i = len(f.logs) - 1 - i
		}
		e := f.logs[i]
		page.Scanned++
		if len(q.Levels) > 0 && !slices.Contains(q.Levels, e.Level) {
			continue
		}
		if skip--; skip >= 0 {
			continue
		}
		if len(page.Entries) == q.Limit {
			page.Next = strconv.Itoa(len(page.Entries) + from)
			break
		}
		page.Entries = append(page.Entries, storage.Entry{
			ID: id.Entry{Station: "alpha", Boot: 1, Sequence: uint64(i) + 1}, Time: time.Unix(int64(i)+1, 0),
			Level: e.Level, Message: e.Message, Fields: []byte(e.Fields),
		})
	}
	return page, nil
}

// Logs gives nothing.
func (*still) Logs(context.Context, storage.LogsQuery) (storage.LogsPage, error) {
	return storage.LogsPage{}, nil
}

func TestLogQueryRows(t *testing.T) {
	o := newFake()
	o.logs = []entry{
		{storage.Info, "one", `{"a":1,"level":"mine","request_id":"r","t":[]}`}, {storage.Error, "two", ""}, {storage.Debug, "three", `{}`},
	}
	one := `{"a":1,"entry_id":"alpha.1.1","level":"INFO","message":"one","request_id":"r","t":[],"timestamp":"1970-01-01T00:00:01.000000Z"}`
	two := `{"entry_id":"alpha.1.2","level":"ERROR","message":"two","timestamp":"1970-01-01T00:00:02.000000Z"}`
	three := `{"entry_id":"alpha.1.3","level":"DEBUG","message":"three","timestamp":"1970-01-01T00:00:03.000000Z"}`
	for _, c := range []struct{ query, want string }{
		{"", "[[" + three + "," + two + "," + one + `],"nil"]`},
		{"{ order = 'asc', limit = 2 }", "[[" + one + "," + two + `],"2"]`},
		{"{ order = 'asc', limit = '2', cursor = '2' }", "[[" + three + `],"nil"]`},
		{"{ level = 'error' }", "[[" + two + `],"nil"]`},
		{"{ level = 'INFO, Error', order = 'desc' }", "[[" + two + "," + one + `],"nil"]`},
		{"{ level = { 'debug' }, cursor = json.null, limit = json.null }", "[[" + three + `],"nil"]`},
		{"{ level = 'critical' }", `[[],"nil"]`},
	} {
		want(t, o, "local rows, cursor = log.query("+strings.Trim(c.query, "()")+") return { rows, tostring(cursor) }", c.want)
	}
}

// TestLogQueryAsksInParts: storage is never asked for more than logPage at once,
// and the rows come in order, each once.
func TestLogQueryAsksInParts(t *testing.T) {
	o := &asked{fake: newFake()}
	for i := range 350 {
		o.logs = append(o.logs, entry{storage.Info, strconv.Itoa(i), ""})
	}
	vm := load(t, `function GET(request)
		local rows, cursor = log.query{ order = "asc", limit = 250 }
		for i, row in ipairs(rows) do assert(row.message == tostring(i - 1)) end
		local rest, last = log.query{ order = "asc", limit = 1000, cursor = cursor }
		return { #rows, #rest, rest[1].message, tostring(last) }
	end`)
	if got, want := answer(t, vm, o, request("GET")), `[250,100,"250","nil"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var limits []int
	for _, q := range o.queries {
		limits = append(limits, q.Limit)
	}
	if d := cmp.Diff([]int{100, 100, 50, 100}, limits); d != "" {
		t.Error(d)
	}
}

// asked remembers what it was asked.
type asked struct {
	*fake
	queries []storage.LogsQuery
}

func (a *asked) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	a.queries = append(a.queries, q)
	return a.fake.Logs(ctx, q)
}

func TestLogQueryOptions(t *testing.T) {
	o := &asked{fake: newFake()}
	vm := load(t, `function GET() log.query{ since = 1.5, before = "1970-01-02", level = { "info", "ERROR" }, order = "asc", limit = 7, text = "needle",
		fields = { s = "x", n = 0.5, b = true, z = json.null, l = { 1, "a" } } } end`)
	if _, err := vm.Call(t.Context(), o, request("GET")); err != nil {
		t.Fatal(err)
	}
	want := []storage.LogsQuery{{
		Since: time.UnixMicro(1_500_000), Until: time.Unix(86400, 0), Levels: []storage.Level{storage.Info, storage.Error},
		Oldest: true, Limit: 7, Text: "needle",
		Fields: []storage.FieldFilter{{Name: "b", Value: "true"}, {Name: "l", Value: `[1,"a"]`}, {Name: "n", Value: "0.5"}, {Name: "s", Value: "x"}, {Name: "z", Value: "null"}},
	}}
	if d := cmp.Diff(want, o.queries); d != "" {
		t.Error(d)
	}
}

func TestLogQueryErrors(t *testing.T) {
	many := "{"
	for i := range storage.MaxFields + 1 {
		many += fmt.Sprintf("f%d = 1,", i)
	}
	for query, text := range map[string]string{
		"{ lvl = 'x' }":               "log.query: there is no option 'lvl': use level, limit,",
		"{ limit = 0 }":               "log.query: limit must be a whole number from 1 to 1000, not 0",
		"{ order = 'up' }":            "log.query: order must be 'asc' or 'desc', not 'up'",
		"{ level = 'info,loud' }":     "'loud' is none",
		"{ level = 5 }":               "log.query: level must be a string or a list, not a number",
		"{ level = json.array{ 1 } }": "'1' is none",
		"{ since = 'soon' }":          "log.query: since must be seconds or a text like 2006-01-02T15:04:05Z, not 'soon'",
		"{ before = 1e15 }":           "log.query: before must be seconds",
		"{ before = {} }":             "not a table",
		"{ text = 5 }":                "log.query: text must be a string, not a number",
		"{ cursor = 'x' }":            `log.query: "x" is not a cursor of this log.`,
		"{ fields = 'a' }":            "log.query: fields must be a table, not a string",
		"{ fields = { 'a' } }":        "log.query: fields must have names, at most 16",
		"{ fields = " + many + "} }":  "log.query: fields must have names, at most 16",
		"{ fields = { a = print } }":  "log.query: fields.a: a function is no JSON value",
		"{ [{}] = 1 }":                "there is no option",
		"5":                           "table expected",
	} {
		want(t, newFake(), "local ok, e = pcall(function() log.query("+query+") end) assert(not ok) return string.find(e, [==["+text+"]==], 1, true) and 'ok' or e", "ok")
	}
	o := newFake()
	o.err = errs.New(errs.Unavailable, "storage_down", "Down.")
	_ = wantError(t, o, "pcall(log.query)", errs.Unavailable, "storage_down")
	p, err := Compile([]byte("log.query()"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.NewVM(quick(), nil); !errs.Is(err, errs.Source) || !strings.Contains(err.Error(), "log.query is not available while the script loads") {
		t.Errorf("got %v", err)
	}
}

// TestLogQueryIsBounded: rows beyond the memory of a call end it, and each
// question costs steps.
func TestLogQueryIsBounded(t *testing.T) {
	o := newFake()
	for range 100 {
		o.logs = append(o.logs, entry{storage.Info, strings.Repeat("x", 64<<10), ""})
	}
	limits := quick()
	limits.Memory = 4 << 20
	vm := loadWith(t, "function GET() return #log.query() end", limits)
	if _, err := vm.Call(t.Context(), o, request("GET")); !errs.Is(err, errs.Limit) || errs.From(err).CodeOf() != "memory_limit" {
		t.Errorf("got %v", err)
	}
	_ = wantError(t, newFake(), "while true do pcall(log.query) end", errs.Limit, "step_limit")
}

// TestLogQueryEndsWithTheCall: an answer that does not come ends with the
// deadline, and with what ends the call.
func TestLogQueryEndsWithTheCall(t *testing.T) {
	vm := load(t, "function GET() pcall(log.query) end")
	r := request("GET")
	r.Deadline = time.Now().Add(20 * time.Millisecond)
	if _, err := vm.Call(t.Context(), stuck{newFake()}, r); !errs.Is(err, errs.Timeout) {
		t.Errorf("got %v", err)
	}
	vm = load(t, "function GET() pcall(log.query) end")
	ctx, cancel := context.WithCancelCause(t.Context())
	r = request("GET")
	aside := 0
	r.Aside = func(work func()) {
		aside++
		cancel(errs.New(errs.Unavailable, "storage_failed", "Failed."))
		work()
	}
	if _, err := vm.Call(ctx, stuck{newFake()}, r); !errs.Is(err, errs.Unavailable) || aside != 1 {
		t.Errorf("got %v after %d", err, aside)
	}
}

// stuck answers no query.
type stuck struct{ *fake }

func (stuck) Logs(ctx context.Context, _ storage.LogsQuery) (storage.LogsPage, error) {
	<-ctx.Done()
	return storage.LogsPage{}, ctx.Err()
}

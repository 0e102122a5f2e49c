package transporthttp

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// asked is a host that keeps what it is asked of a log.
type asked struct {
	*transporttest.Host
	query storage.LogsQuery
}

func (a *asked) Logs(_ context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	a.query = q
	return storage.LogsPage{}, nil
}

// TestLogParameters: what a query of a log asks the host for. A parameter that is
// no other is a field; one behind "field." always is.
func TestLogParameters(t *testing.T) {
	h := &asked{Host: transporttest.NewHost()}
	s := serveOn(t, h.Host, h)
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	field := func(pairs ...string) (list []storage.FieldFilter) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, storage.FieldFilter{Name: pairs[i], Value: pairs[i+1]})
		}
		return list
	}
	for query, want := range map[string]storage.LogsQuery{
		"":                                 {},
		"&q=a+b&q=Ü":                       {Text: "Ü"},
		"&since=2026-01-31T12:00:00Z":      {Since: at},
		"&since=2026-01-31T13:00:00+01:00": {Since: at},
		"&since=2026-01-31T13:00:00%2B01:00&until=2026-01-31T11:00:00.000001-01:00":                         {Since: at, Until: at.Add(time.Microsecond)},
		"&since=" + strconv.FormatInt(at.Unix(), 10) + "&until=" + strconv.FormatInt(at.Unix(), 10) + ".25": {Since: at, Until: at.Add(time.Second / 4)},
		"&since=0":                       {Since: time.UnixMicro(1).UTC()},
		"&user=ann&n=1&user=eve":         {Fields: field("n", "1", "user", "eve")},
		"&field.level=x&level=info":      {Levels: []storage.Level{storage.Info}, Fields: field("level", "x")},
		"&field.state=true&field.file=a": {Fields: field("file", "a", "state", "true")},
		"&state=no&field.user=a&user=b":  {Fields: field("state", "no", "user", "a")},
		"&field.field.x=&field.=y":       {Fields: field("", "y", "field.x", "")},
		"&order=asc&cursor=c&limit=1000": {Oldest: true, Cursor: "c", Limit: 1000},
	} {
		want.Object = "a"
		if want.Limit == 0 {
			want.Limit = 100
		}
		if got := s.do("GET", "/objects/a?logs=true"+query, ""); got.StatusCode != 200 {
			t.Fatalf("%q gave %d %s", query, got.StatusCode, got.body)
		}
		h.query.Since, h.query.Until = h.query.Since.UTC(), h.query.Until.UTC()
		if diff := cmp.Diff(want, h.query); diff != "" {
			t.Errorf("%q (-want +got):\n%s", query, diff)
		}
	}
	many := ""
	for i := range storage.MaxFields + 1 {
		many += "&f" + strconv.Itoa(i) + "=x"
	}
	s.do("GET", "/objects/a?logs=true"+many, "").wantError(t, 400, "bad_field")
	for _, name := range []string{"message", "timestamp", "entry_id", "last"} {
		got := s.do("GET", "/objects/a?logs=true&"+name+"=1", "")
		got.wantError(t, 400, "unknown_parameter")
		if !strings.Contains(got.body, `\"`+name+`\"`) {
			t.Errorf("the error does not name %s: %s", name, got.body)
		}
	}
}

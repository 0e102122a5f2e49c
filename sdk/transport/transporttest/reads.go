package transporttest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// sample is an object with something of everything.
func sample(object id.Object) Data {
	d := Data{
		Info: host.ObjectInfo{Object: object, Path: "dir/" + string(object) + ".lua", File: string(object) + ".lua", Version: 3},
		Source: host.Source{Object: object, Version: 3, Hash: strings.Repeat("ab", 32),
			Text: []byte("-- ü <b> & \"quoted\"\nfunction GET()\r\n\treturn '\\'\nend\n")},
		State: []host.StateItem{
			{Key: "a key/with?signs&=#%", Value: []byte(`{"nested":[1,2,{"b":"<&>"}],"t":true}`)},
			{Key: "n:1", Value: []byte(`9007199254740993`)}, {Key: "n:2", Value: []byte(`1.5e-7`)},
			{Key: "n:3", Value: []byte(`null`)}, {Key: "ü\n\"", Value: []byte(`"text\u0000"`)},
		},
	}
	for i := range 5 {
		level := []storage.Level{storage.Debug, storage.Info, storage.Warning, storage.Error, storage.Critical}[i]
		d.Logs = append(d.Logs, storage.Entry{
			ID:    id.Entry{Station: Config.Station, Boot: 2, Sequence: uint64(i + 1)},
			Time:  time.Date(2026, 1, 2, 3, 4, 5, i*1000, time.UTC),
			Level: level, Message: fmt.Sprintf("line %d\nü <b>", i+1),
			Fields: fmt.Appendf(nil, `{"list":[1,"x"],"n":%d}`, i+1),
		})
	}
	d.Logs[4].Fields = nil
	for i, text := range []string{"return '\\r\r\n'\t\"ü <b>\"", "", string(d.Source.Text)} {
		d.Versions = append(d.Versions, storage.Version{
			Number: uint64(i + 1), Time: d.Logs[i].Time, Author: []string{"", "ü", "<b>"}[i], Message: []string{"one\n\"two\"", "", "&"}[i],
			Hash: strings.Repeat("ab", 32), Text: []byte(text), Uses: []storage.Use{{Module: "lib_a", Version: 1}},
		})
	}
	d.Tests = host.TestReport{Object: object, Tests: []host.TestResult{
		{Name: "test_all", Outcome: host.TestPassed, Duration: 1234567 * time.Microsecond},
		{Name: "test_<b>", Outcome: host.TestFailed, Reason: "script.lua:7: \"ü\" & more\nlines", Code: "script_failed", Line: 7,
			Traceback: "stack traceback:\n\tscript.lua:7: in the called function", Duration: 5 * time.Microsecond, Omitted: 12,
			Log: []host.TestEntry{
				{Time: d.Logs[0].Time, Level: storage.Info, Message: "one\nü <b>", Fields: []byte(`{"list":[1,"x"],"n":1}`)},
				{Time: d.Logs[1].Time, Level: storage.Critical, Message: "two"},
			}},
		{Name: "test_later", Outcome: host.TestSkipped, Reason: "not today"},
		{Name: "test_never", Outcome: host.TestSkipped},
	}}
	return d
}

// pages reads page after page until there is no next one.
func pages(t testing.TB, c Client, r Read, each func(Reading)) int {
	t.Helper()
	for n := 1; ; n++ {
		page := read(t, c, r)
		if page.Status != 200 || page.RequestID == "" || page.Station != Config.Station {
			t.Fatalf("%+v: page %d is %d %q %q, request id %q, station %q",
				r, n, page.Status, page.Code, page.Message, page.RequestID, page.Station)
		}
		each(page)
		if page.Next == "" {
			return n
		}
		if r.Cursor == page.Next || n > 100 {
			t.Fatalf("%+v: the pages do not end", r)
		}
		r.Cursor = page.Next
	}
}

// checkObjects: the list of objects, whole, by prefix and in pages.
func checkObjects(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	var all []host.ObjectInfo
	for _, object := range []id.Object{"a", "b.1", "b_2", "b_3", "c"} {
		kernel.Add(sample(object))
		all = append(all, sample(object).Info)
	}
	for _, q := range []struct {
		read  Read
		want  []host.ObjectInfo
		pages int
	}{
		{Read{What: Objects}, all, 1},
		{Read{What: Objects, Prefix: "b"}, all[1:4], 1},
		{Read{What: Objects, Limit: 2}, all, 3},
		{Read{What: Objects, Prefix: "b_", Limit: 1}, all[2:4], 2},
		{Read{What: Objects, Prefix: "none"}, nil, 1},
	} {
		var got []host.ObjectInfo
		n := pages(t, c, q.read, func(p Reading) { got = append(got, p.Objects...) })
		compare(t, q.read, q.want, got, q.pages, n)
	}
	if n := kernel.WithoutDeadline(); n > 0 {
		t.Errorf("%d reads reached the host without a deadline", n)
	}
}

func compare[T any](t testing.TB, r Read, want, got []T, wantPages, gotPages int) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%+v gave something else (-want +got):\n%s", r, diff)
	}
	if gotPages != wantPages {
		t.Errorf("%+v took %d pages, want %d", r, gotPages, wantPages)
	}
}

// checkSource: the source arrives unchanged.
func checkSource(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Add(sample("a"))
	got := read(t, c, Read{What: Source, Object: "a"})
	if diff := cmp.Diff(sample("a").Source, got.Source); diff != "" {
		t.Errorf("the source changed on its way (-want +got):\n%s", diff)
	}
}

// checkState: keys and values arrive unchanged, alone, by prefix and in pages.
func checkState(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Add(sample("a"))
	kernel.Add(Data{Info: host.ObjectInfo{Object: "empty"}})
	all := sample("a").State
	for _, q := range []struct {
		read  Read
		want  []host.StateItem
		pages int
	}{
		{Read{What: State, Object: "a"}, all, 1},
		{Read{What: State, Object: "a", Key: all[0].Key}, all[:1], 1},
		{Read{What: State, Object: "a", Key: all[4].Key}, all[4:], 1},
		{Read{What: State, Object: "a", Prefix: "n:"}, all[1:4], 1},
		{Read{What: State, Object: "a", Limit: 1}, all, 5},
		{Read{What: State, Object: "a", Prefix: "n:", Limit: 2}, all[1:4], 2},
		{Read{What: State, Object: "empty"}, nil, 1},
	} {
		var got []host.StateItem
		n := pages(t, c, q.read, func(p Reading) { got = append(got, p.State...) })
		compare(t, q.read, q.want, got, q.pages, n)
	}
}

// checkLogs: entries arrive unchanged, newest first or oldest first, by level
// and in pages.
func checkLogs(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Add(sample("a"))
	kernel.Add(Data{Info: host.ObjectInfo{Object: "empty"}})
	l := sample("a").Logs
	newest := []storage.Entry{l[4], l[3], l[2], l[1], l[0]}
	for _, q := range []struct {
		read  Read
		want  []storage.Entry
		pages int
	}{
		{Read{What: Logs, Object: "a"}, newest, 1},
		{Read{What: Logs, Object: "a", Oldest: true}, l, 1},
		{Read{What: Logs, Object: "a", Limit: 2}, newest, 3},
		{Read{What: Logs, Object: "a", Oldest: true, Limit: 4}, l, 2},
		{Read{What: Logs, Object: "a", Levels: []storage.Level{storage.Error}}, l[3:4], 1},
		{Read{What: Logs, Object: "a", Levels: []storage.Level{storage.Debug, storage.Info}, Limit: 1}, newest[3:], 2},
		{Read{What: Logs, Object: "a", Since: l[2].Time}, newest[:3], 1},
		{Read{What: Logs, Object: "a", Since: l[1].Time, Until: l[3].Time, Oldest: true, Limit: 1}, l[1:3], 2},
		{Read{What: Logs, Object: "a", Text: "LINE 4\nÜ"}, l[3:4], 1},
		{Read{What: Logs, Object: "a", Fields: []storage.FieldFilter{{Name: "n", Value: "2"}, {Name: "list", Value: `[1,"x"]`}}}, l[1:2], 1},
		{Read{What: Logs, Object: "a", Fields: []storage.FieldFilter{{Name: "level", Value: "INFO"}}}, nil, 1},
		{Read{What: Logs, Object: "empty"}, nil, 1},
	} {
		var got []storage.Entry
		n := pages(t, c, q.read, func(p Reading) { got = append(got, p.Logs...) })
		compare(t, q.read, q.want, got, q.pages, n)
	}
}

// checkTests: what became of tests arrives unchanged, and is no failure of the
// request.
func checkTests(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Add(sample("a"))
	kernel.Add(Data{Info: host.ObjectInfo{Object: "empty"}, Tests: host.TestReport{Object: "empty"}})
	for object, want := range map[string]host.TestReport{"a": sample("a").Tests, "empty": {Object: "empty"}} {
		got := read(t, c, Read{What: Tests, Object: object})
		if diff := cmp.Diff(want, got.Tests, cmpopts.EquateEmpty()); got.Status != 200 || diff != "" {
			t.Errorf("the tests of %q: status %d, changed on their way (-want +got):\n%s", object, got.Status, diff)
		}
	}
	if n := kernel.WithoutDeadline(); n > 0 {
		t.Errorf("%d reads reached the host without a deadline", n)
	}
}

// checkReadErrors: reads fail as calls do.
func checkReadErrors(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Add(sample("a"))
	for _, q := range []struct {
		read   Read
		status int
		code   string
	}{
		{Read{What: Source, Object: "none"}, 404, "no_such_object"},
		{Read{What: State, Object: "none"}, 404, "no_such_object"},
		{Read{What: Logs, Object: "none"}, 404, "no_such_object"},
		{Read{What: Tests, Object: "none"}, 404, "no_such_object"},
		{Read{What: State, Object: "a", Key: "none"}, 404, "no_such_key"},
		{Read{What: Source, Object: "A"}, 400, "bad_object_id"},
		{Read{What: State, Object: "../a"}, 400, "bad_object_id"},
		{Read{What: Logs, Object: ""}, 400, "bad_object_id"},
		{Read{What: Logs, Object: "a", Cursor: "none"}, 400, "bad_cursor"},
		{Read{What: Logs, Object: "a", Since: time.Unix(2, 0), Until: time.Unix(1, 0)}, 400, "bad_time"},
		{Read{What: Logs, Object: "a", Text: strings.Repeat("x", storage.MaxText+1)}, 400, "bad_text"},
		{Read{What: Versions, Object: "none"}, 404, "no_such_object"},
		{Read{What: Version, Object: "none", Number: 1}, 404, "no_such_object"},
		{Read{What: Version, Object: "a", Number: 9}, 404, "no_such_version"},
		{Read{What: Versions, Object: "a", Cursor: "none"}, 400, "bad_cursor"},
		{Read{What: Diff, Object: "none", Number: 1, To: 2}, 404, "no_such_object"},
		{Read{What: Diff, Object: "a", Number: 9, To: 1}, 404, "no_such_version"},
		{Read{What: Diff, Object: "a", Number: 1, To: 9}, 404, "no_such_version"},
		{Read{What: Metadata, Object: "none"}, 404, "no_such_object"},
		{Read{What: Metadata, Object: "A"}, 400, "bad_object_id"},
	} {
		got := read(t, c, q.read)
		if got.Status != q.status || got.Code != q.code || got.Message == "" {
			t.Errorf("%+v gave %d %q %q, want %d %q and a message", q.read, got.Status, got.Code, got.Message, q.status, q.code)
		}
	}
	kernel.Down(true)
	for _, what := range []string{Objects, Source, State, Logs, Tests, Versions, Version, Diff, Metadata} {
		if got := read(t, c, Read{What: what, Object: "a", Number: 1}); got.Status != 503 || got.Code != "unavailable" {
			t.Errorf("%s of a host that is down gave %d %q, want 503 unavailable", what, got.Status, got.Code)
		}
	}
}

package storagetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// at gives an entry whose time is so many seconds after the suite's first.
func at(sequence uint64, seconds int) storage.Entry {
	e := entry(1, sequence)
	e.Time = epochStart.Add(time.Duration(seconds) * time.Second)
	return e
}

func second(n int) time.Time { return epochStart.Add(time.Duration(n) * time.Second) }

// logAll commits the entries, one commit each.
func (s *subject) logAll(object id.Object, entries ...storage.Entry) {
	s.Helper()
	var batch []storage.Commit
	for i, e := range entries {
		batch = append(batch, s.make(object, uint64(i)+1, func(c *storage.Commit) { c.Entries = []storage.Entry{e} }))
	}
	s.must(batch...)
}

// bothWays checks what a query gives in each direction, in pages of several sizes.
func (s *subject) bothWays(what string, q storage.LogsQuery, want ...uint64) {
	s.Helper()
	back := slices.Clone(want)
	slices.Reverse(back)
	for _, limit := range []int{1, 2, 1000} {
		q.Limit = limit
		q.Oldest = true
		s.equal(what+", oldest first", sequences(s.allLogs(q)), want)
		q.Oldest = false
		s.equal(what+", newest first", sequences(s.allLogs(q)), back)
	}
}

// checkLogTimes asks for ranges of a log in which entries arrived late: 3 and
// 6 count as of the newest entry before them.
func checkLogTimes(s *subject) {
	s.logAll("a", at(1, 10), at(2, 20), at(3, 5), at(4, 20), at(5, 30), at(6, 15), at(7, 40))
	s.must(s.make("quiet", 1, func(c *storage.Commit) { c.Entries = nil }))
	for range 2 {
		for _, c := range []struct {
			since, until time.Time
			want         []uint64
		}{
			{second(0), time.Time{}, span(1, 7)},
			{second(10), time.Time{}, span(1, 7)},
			{second(10).Add(time.Microsecond), time.Time{}, span(2, 7)},
			{second(20), time.Time{}, span(2, 7)},
			{second(20).Add(999), time.Time{}, span(2, 7)}, // less than a microsecond
			{second(20).Add(time.Microsecond), time.Time{}, span(5, 7)},
			{second(40), time.Time{}, span(7, 7)},
			{second(41), time.Time{}, nil},
			{time.Time{}, second(10), nil},
			{time.Time{}, second(10).Add(time.Microsecond), span(1, 1)},
			{time.Time{}, second(20), span(1, 1)},
			{time.Time{}, second(21), span(1, 4)},
			{time.Time{}, second(31), span(1, 6)},
			{time.Time{}, second(99), span(1, 7)},
			{second(20), second(30), span(2, 4)},
			{second(30), second(30), nil},
			{second(30), second(31), span(5, 6)},
			{second(15), second(16), nil},
		} {
			s.bothWays(fmt.Sprintf("from %v to %v", c.since, c.until), storage.LogsQuery{Object: "a", Since: c.since, Until: c.until}, c.want...)
		}
		s.bothWays("times in a log without entries", storage.LogsQuery{Object: "quiet", Since: second(1), Until: second(2)})
		s.bothWays("times and a level", storage.LogsQuery{Object: "a", Since: second(11), Until: second(40), Levels: []storage.Level{entry(1, 4).Level}}, 4)
		s.reopen()
	}
}

// checkLogText looks for text in messages and in fields.
func checkLogText(s *subject) {
	list := []storage.Entry{at(1, 1), at(2, 2), at(3, 3), at(4, 4), at(5, 5)}
	list[0].Message, list[0].Fields = "Grüße an ALLE\tund \xff", nil
	list[1].Message, list[1].Fields = "login", []byte(`{"user":"Zoë \"Q\"","tries":3,"name":"x"}`)
	list[2].Message, list[2].Fields = "", []byte(`{"deep": {"a": [1, "Zoë"]}, "ok": true}`)
	list[3].Message, list[3].Fields = "trUe \xfe", []byte(`{"user":null}`)
	list[4].Message, list[4].Fields = "plain", []byte(`{"u":"Ω\n"}`)
	s.logAll("a", list...)
	for range 2 {
		for text, want := range map[string][]uint64{
			"": span(1, 5), "grüsse": nil, "GRÜ": {1}, "alle\tUND": {1}, "\xff": {1}, "\xfe": {4}, "\uFFFD": nil, "zoË": {2, 3}, `zoë "q"`: {2},
			"3": {2}, `{"a":[1,"zoë"]}`: {3}, `{"a": [1`: nil, "TRUE": {3, 4}, "null": {4}, "deep": nil, "user": nil, "ω\n": {5}, "plain": {5},
		} {
			s.bothWays(fmt.Sprintf("entries with %q", text), storage.LogsQuery{Object: "a", Text: text}, want...)
		}
		s.reopen()
	}
}

// checkLogFields asks for entries by their fields.
func checkLogFields(s *subject) {
	list := []storage.Entry{at(1, 1), at(2, 2), at(3, 3), at(4, 4), at(5, 5)}
	list[0].Fields = nil
	list[1].Fields = []byte(`{"user":"ann","n":42,"f":4.20}`)
	list[2].Fields = []byte(`{ "user" : "Ann", "n" : "42", "none": null, "\u0061\tb": true }`)
	list[3].Fields = []byte(`{"user":"ann","list":[1, {"x" : "y z"}],"empty":""}`)
	list[4].Fields = []byte(`{"user":{},"n":420}`)
	s.logAll("a", list...)
	for range 2 {
		for _, c := range []struct {
			want   []uint64
			filter []storage.FieldFilter
		}{
			{span(1, 5), nil},
			{[]uint64{2, 4}, []storage.FieldFilter{{Name: "user", Value: "ann"}}},
			{[]uint64{3}, []storage.FieldFilter{{Name: "user", Value: "Ann"}}},
			{[]uint64{5}, []storage.FieldFilter{{Name: "user", Value: "{}"}}},
			{[]uint64{2, 3}, []storage.FieldFilter{{Name: "n", Value: "42"}}},
			{[]uint64{2}, []storage.FieldFilter{{Name: "n", Value: "42"}, {Name: "user", Value: "ann"}}},
			{nil, []storage.FieldFilter{{Name: "n", Value: "42"}, {Name: "user", Value: "bob"}}},
			{[]uint64{2}, []storage.FieldFilter{{Name: "f", Value: "4.20"}}},
			{nil, []storage.FieldFilter{{Name: "f", Value: "4.2"}}},
			{[]uint64{3}, []storage.FieldFilter{{Name: "none", Value: "null"}}},
			{[]uint64{3}, []storage.FieldFilter{{Name: "a\tb", Value: "true"}}},
			{[]uint64{4}, []storage.FieldFilter{{Name: "list", Value: `[1,{"x":"y z"}]`}}},
			{[]uint64{4}, []storage.FieldFilter{{Name: "empty"}}},
			{nil, []storage.FieldFilter{{Name: "missing"}}},
		} {
			s.bothWays(fmt.Sprintf("entries with %q", c.filter), storage.LogsQuery{Object: "a", Fields: c.filter}, c.want...)
		}
		s.bothWays("a text and a field", storage.LogsQuery{Object: "a", Text: "Y Z", Fields: []storage.FieldFilter{{Name: "user", Value: "ann"}}}, 4)
		s.reopen()
	}
}

// checkLogBounds asks what is too much, and what is just not.
func checkLogBounds(s *subject) {
	s.fill("a", 1, 3)
	for _, q := range []storage.LogsQuery{
		{Since: second(2), Until: second(1)},
		{Text: strings.Repeat("x", storage.MaxText+1)},
		{Fields: make([]storage.FieldFilter, storage.MaxFields+1)},
	} {
		for _, q.Object = range []id.Object{"a", "nobody"} {
			q.Limit = 1
			_, err := s.Logs(s.ctx, q)
			s.kind("a query out of bounds", err, invalid)
		}
	}
	s.bothWays("a query at its bounds", storage.LogsQuery{Object: "a", Since: second(1), Until: second(1),
		Text: strings.Repeat("x", storage.MaxText), Fields: make([]storage.FieldFilter, storage.MaxFields)})
}

// checkLogRangeWhileAppending pages through ranges while the log grows, and
// across closing and opening.
func checkLogRangeWhileAppending(s *subject) {
	n := uint64(0)
	add := func(seconds ...int) {
		for _, t := range seconds {
			n++
			s.must(s.make("a", n, func(c *storage.Commit) { c.Entries = []storage.Entry{at(n, t)} }))
		}
	}
	for t := range 20 {
		add(t+1, t-3)
	}
	up := storage.LogsQuery{Object: "a", Since: second(5), Until: second(25), Limit: 3, Oldest: true}
	down := storage.LogsQuery{Object: "a", Since: second(5), Until: second(25), Limit: 3}
	var upwards, downwards []uint64
	for t := 21; up.Cursor != "" || t == 21; t++ {
		if t > 60 {
			s.Fatalf("the walk does not end: %v", upwards)
		}
		p := s.logs(up)
		upwards = append(upwards, sequences(p.Entries)...)
		up.Cursor = p.Next
		if down.Cursor != "" || t == 21 {
			p = s.logs(down)
			downwards = append(downwards, sequences(p.Entries)...)
			down.Cursor = p.Next
		}
		add(t, t-9)
		if t%5 == 0 {
			s.reopen()
		}
	}
	for down.Cursor != "" {
		p := s.logs(down)
		downwards = append(downwards, sequences(p.Entries)...)
		down.Cursor = p.Next
	}
	s.equal("a range, upwards", upwards, span(9, 48))
	s.equal("a range, downwards", downwards, span(40, 9))
}

// logsProperty compares what random queries of random logs give with the law.
func logsProperty(s *subject) {
	run := 0
	rapid.Check(s.t, func(rt *rapid.T) {
		run++
		s := s.under(rt)
		name := id.Object(fmt.Sprintf("l%d", run))
		var log []storage.Entry
		next := uint64(0)
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				next++
				c := s.make(name, next, func(c *storage.Commit) { c.Entries = nil })
				for range rapid.IntRange(0, 8).Draw(rt, "entries") {
					c.Entries = append(c.Entries, randomEntry(rt, uint64(len(log)+len(c.Entries)+1)))
				}
				s.must(c)
				log = append(log, c.Entries...)
			},
			"query": func(rt *rapid.T) { s.randomQuery(rt, name, log) },
		})
		s.randomQuery(rt, name, log)
	})
	s.reopen()
}

func randomEntry(rt *rapid.T, n uint64) storage.Entry {
	e := entry(foreignBoot, n)
	e.Time = epochStart.Add(time.Duration(rapid.IntRange(0, 30).Draw(rt, "time")) * time.Microsecond)
	e.Message = rapid.SampledFrom([]string{"", "Ab", "ab c", "É\n", "\xffx"}).Draw(rt, "message")
	e.Fields = rapid.SampledFrom([][]byte{nil, []byte(`{"a":"b"}`), []byte(`{"a":1,"c":"AB"}`), []byte(`{"a": [ 1 ]}`)}).Draw(rt, "fields")
	return e
}

func (s *subject) randomQuery(rt *rapid.T, name id.Object, log []storage.Entry) {
	q := storage.LogsQuery{Object: name, Limit: rapid.IntRange(1, 9).Draw(rt, "limit"), Oldest: rapid.Bool().Draw(rt, "oldest"),
		Text: rapid.SampledFrom([]string{"", "", "AB", "é", "1"}).Draw(rt, "text")}
	times := []int{rapid.IntRange(-1, 32).Draw(rt, "since"), rapid.IntRange(-1, 32).Draw(rt, "until")}
	slices.Sort(times)
	if rapid.Bool().Draw(rt, "from") {
		q.Since = epochStart.Add(time.Duration(times[0]) * time.Microsecond)
	}
	if rapid.Bool().Draw(rt, "to") {
		q.Until = epochStart.Add(time.Duration(times[1]) * time.Microsecond)
	}
	if rapid.IntRange(0, 3).Draw(rt, "filter") == 0 {
		q.Fields = []storage.FieldFilter{{Name: "a", Value: rapid.SampledFrom([]string{"b", "1", "[1]"}).Draw(rt, "value")}}
	}
	if rapid.IntRange(0, 3).Draw(rt, "level") == 0 {
		q.Levels = []storage.Level{storage.Error, storage.Info}
	}
	from, to := timeRange(log, q)
	var want []storage.Entry
	for _, e := range log[from:to] {
		if asked(e, q) {
			want = append(want, e)
		}
	}
	if !q.Oldest {
		slices.Reverse(want)
	}
	s.equal(fmt.Sprintf("Logs %+v", q), s.allLogs(q), want)
}

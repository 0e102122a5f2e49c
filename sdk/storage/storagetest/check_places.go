package storagetest

import (
	"fmt"
	"slices"

	"github.com/dbbasic/station/sdk/storage"
)

// behind gives the entries that an Oldest query finds from a cursor on.
func (s *subject) behind(cursor string) []uint64 {
	s.Helper()
	return sequences(s.allLogs(storage.LogsQuery{Object: "a", Oldest: true, Limit: 7, Cursor: cursor}))
}

// checkLogPlaces asks for cursors in both directions, with and without filters and
// times, of a log without an entry too. Each leads to what stands behind it, once,
// and goes on doing so after a restart.
func checkLogPlaces(s *subject) {
	empty := s.logs(storage.LogsQuery{Object: "a", Limit: 1, Places: true}).End
	s.must(s.make("a", 1, func(c *storage.Commit) { c.Entries = nil }))
	quiet := s.logs(storage.LogsQuery{Object: "a", Limit: 1, Oldest: true, Places: true}).End
	if empty == "" || quiet == "" {
		s.Fatalf("the end of an unknown log is %q, that of one without an entry %q", empty, quiet)
	}
	s.equal("behind an unknown log", s.behind(empty), []uint64(nil))
	s.fill("a", 2, 31)
	all := span(2, 31)
	var ends []string
	for range 2 {
		for _, begin := range []string{empty, quiet} {
			s.equal("all that came", s.behind(begin), all)
		}
		for _, q := range []storage.LogsQuery{
			{Limit: 4}, {Limit: 1000}, {Limit: 3, Levels: []storage.Level{storage.Error}}, {Limit: 5, Since: entry(1, 9).Time}, {Limit: 5, Until: entry(1, 9).Time},
		} {
			for _, q.Oldest = range []bool{true, false} {
				q.Object, q.Places = "a", true
				p := s.logs(q)
				if len(p.Entries) == 0 || len(p.Cursors) != len(p.Entries) || p.End == "" {
					s.Fatalf("Logs %+v: %d entries, %d cursors, the end %q", q, len(p.Entries), len(p.Cursors), p.End)
				}
				for i, c := range p.Cursors {
					at := slices.Index(all, p.Entries[i].ID.Sequence)
					if at < 0 || !slices.Equal(s.behind(c), all[at+1:]) {
						s.Fatalf("Logs %+v: behind entry %d are %v", q, p.Entries[i].ID.Sequence, s.behind(c))
					}
				}
				s.equal("behind the end", s.behind(p.End), []uint64(nil))
				ends = append(ends, p.End)
			}
		}
		s.reopen()
	}
	s.fill("a", 32, 34)
	for range 2 {
		for _, c := range ends {
			s.equal("behind an end, later", s.behind(c), span(32, 34))
		}
		s.reopen()
	}
	without := s.logs(storage.LogsQuery{Object: "a", Limit: 5})
	if without.Cursors != nil || without.End != "" {
		s.Errorf("cursors that nobody asked for: %+v", without)
	}
	s.must(s.make("a", 35, withIncarnation(2)))
	for _, c := range append(ends[:1:1], empty, quiet) {
		_, err := s.Logs(s.ctx, storage.LogsQuery{Object: "a", Oldest: true, Limit: 1, Cursor: c})
		s.kind(fmt.Sprintf("the place %q of an older incarnation", c), err, invalid)
	}
}

// checkLogPlacesWhileAppending reads what comes as a follower does: from the cursor
// of the last entry that it has, or the end of the page, while the log grows and the
// store is opened again.
func checkLogPlacesWhileAppending(s *subject) {
	var got []uint64
	cursor := s.logs(storage.LogsQuery{Object: "a", Limit: 1, Places: true}).End
	last := uint64(0)
	for round := range 60 {
		if n := uint64(round % 4); n > 0 {
			s.fill("a", last+1, last+n)
			last += n
		}
		p := s.logs(storage.LogsQuery{Object: "a", Oldest: true, Limit: 3, Cursor: cursor, Places: true})
		keep := min(1+round%3, len(p.Entries)) // the connection broke behind these
		got = append(got, sequences(p.Entries[:keep])...)
		switch {
		case keep > 0:
			cursor = p.Cursors[keep-1]
		case p.Next == "":
			cursor = p.End
		}
		if round%7 == 0 {
			s.reopen()
		}
	}
	got = append(got, s.behind(cursor)...)
	s.equal("what a follower got", got, span(1, last))
}

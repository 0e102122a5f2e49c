package storagetest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// The kinds that the suite asks for.
const (
	invalid       = errs.Invalid
	notFound      = errs.NotFound
	outOfSequence = errs.OutOfSequence
	staleEpoch    = errs.StaleEpoch
	unavailable   = errs.Unavailable
)

// epochStart is the wall clock of the suite's first stamp.
var epochStart = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// stamp gives a stamp later than every one before.
func (s *subject) stamp() hlc.Stamp {
	s.tick++
	return hlc.Stamp{Time: hlc.At(epochStart) + hlc.Time(s.tick), Station: testStation}
}

// make gives a valid commit of incarnation 1 that sets the key "n" to the
// sequence and logs one entry that names it; with may change it.
func (s *subject) make(object id.Object, sequence uint64, with ...func(*storage.Commit)) storage.Commit {
	st := s.stamp()
	c := storage.Commit{
		Object: object, Incarnation: 1, Sequence: sequence, Stamp: st, RequestID: "req-1",
		State:   []storage.StateChange{{Key: "n", Value: fmt.Append(nil, sequence), Stamp: st}},
		Entries: []storage.Entry{entry(1, sequence)},
	}
	for _, f := range with {
		f(&c)
	}
	return c
}

// entry gives an entry of the suite's station whose level goes round.
func entry(boot, sequence uint64) storage.Entry {
	levels := []storage.Level{storage.Debug, storage.Info, storage.Warning, storage.Error, storage.Critical}
	return storage.Entry{
		ID:      id.Entry{Station: testStation, Boot: boot, Sequence: sequence},
		Time:    epochStart.Add(time.Duration(sequence) * time.Microsecond),
		Level:   levels[sequence%5],
		Message: fmt.Sprintf("entry %d", sequence),
		Fields:  fmt.Appendf(nil, `{"n":%d}`, sequence),
	}
}

// source gives a version with the text, which uses up to two modules.
func source(number uint64, text string) *storage.Version {
	sum := sha256.Sum256([]byte(text))
	v := &storage.Version{Number: number, Time: epochStart, Author: "ann", Message: "change\tit\n",
		Hash: hex.EncodeToString(sum[:]), Text: []byte(text)}
	if n := number % 3; n > 0 { // of three versions one has none
		v.Uses = []storage.Use{{Module: "lib_dates", Version: number}, {Module: "lib_text", Version: math.MaxUint64}}[:n]
	}
	return v
}

func withVersion(number uint64, text string) func(*storage.Commit) {
	return func(c *storage.Commit) { c.Version = source(number, text) }
}

func withIncarnation(n uint64) func(*storage.Commit) {
	return func(c *storage.Commit) { c.Incarnation = n }
}

func withEpoch(n uint64) func(*storage.Commit) {
	return func(c *storage.Commit) { c.HomeEpoch = n }
}

// set gives a change that the suite's station made at a later stamp than any before.
func (s *subject) set(key, json string) storage.StateChange {
	return storage.StateChange{Key: key, Value: []byte(json), Stamp: s.stamp()}
}

// commit stores the batch and checks that there is one result per commit. Where
// a change does not say what it replaces, the subject says it.
func (s *subject) commit(batch ...storage.Commit) []error {
	s.Helper()
	batch = s.replaced.fill(batch)
	results := s.Commit(s.ctx, batch)
	s.replaced.note(batch, results)
	if len(results) != len(batch) {
		s.Fatalf("Commit of %d commits gave %d results", len(batch), len(results))
	}
	return results
}

// must stores the batch, all of it.
func (s *subject) must(batch ...storage.Commit) {
	s.Helper()
	for i, err := range s.commit(batch...) {
		if err != nil {
			s.Fatalf("commit %d of %d (%s %d): %v", i, len(batch), batch[i].Object, batch[i].Sequence, err)
		}
	}
}

// refused checks that one commit is refused with the kind.
func (s *subject) refused(what string, c storage.Commit, want errs.Kind) {
	s.Helper()
	s.kind(what, s.commit(c)[0], want)
}

func (s *subject) kind(what string, err error, want errs.Kind) {
	s.Helper()
	if !errs.Is(err, want) {
		s.Errorf("%s: got %v, want an error of kind %s", what, err, want)
	}
}

// equal compares with nil and empty slices alike, and times by instant.
func (s *subject) equal(what string, got, want any) {
	s.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		if len(diff) > 4000 {
			diff = diff[:4000] + "…"
		}
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (s *subject) boot() storage.Boot {
	s.Helper()
	b, err := s.Boot(s.ctx)
	if err != nil {
		s.Fatalf("Boot: %v", err)
	}
	return b
}

func (s *subject) load(object id.Object) storage.Object {
	s.Helper()
	o, err := s.Load(s.ctx, object)
	if err != nil {
		s.Fatalf("Load %s: %v", object, err)
	}
	s.replaced.read(&o)
	return o
}

func (s *subject) state(q storage.StateQuery) storage.StatePage {
	s.Helper()
	p, err := s.State(s.ctx, q)
	if err != nil {
		s.Fatalf("State %+v: %v", q, err)
	}
	if len(p.Items) > q.Limit {
		s.Fatalf("State %+v: a page of %d items", q, len(p.Items))
	}
	if p.Next != "" && p.Next <= q.After {
		s.Fatalf("State %+v: next is %q, which does not go on", q, p.Next)
	}
	return p
}

// allState walks the keys to their end, in pages of q.Limit.
func (s *subject) allState(q storage.StateQuery) []storage.StateChange {
	s.Helper()
	var all []storage.StateChange
	for {
		p := s.state(q)
		all = append(all, p.Items...)
		if p.Next == "" {
			return all
		}
		q.After = p.Next
	}
}

func (s *subject) logs(q storage.LogsQuery) storage.LogsPage {
	s.Helper()
	p, err := s.Logs(s.ctx, q)
	if err != nil {
		s.Fatalf("Logs %+v: %v", q, err)
	}
	for _, c := range append([]string{p.Next, p.End}, p.Cursors...) {
		if len(c) > storage.MaxCursor || strings.ContainsFunc(c, func(r rune) bool { return r <= ' ' || r > '~' }) {
			s.Errorf("Logs %+v gives the cursor %q", q, c)
		}
	}
	return p
}

// allLogs walks the log to its end, in pages of q.Limit.
func (s *subject) allLogs(q storage.LogsQuery) []storage.Entry {
	s.Helper()
	var all []storage.Entry
	for range 100000 {
		p := s.logs(q)
		if len(p.Entries) > q.Limit {
			s.Fatalf("a page of %d entries, the limit is %d", len(p.Entries), q.Limit)
		}
		all = append(all, p.Entries...)
		if q.Cursor = p.Next; q.Cursor == "" {
			return all
		}
	}
	s.Fatalf("the log of %s does not end", q.Object)
	return nil
}

func (s *subject) versions(object id.Object, before uint64, limit int) []storage.Version {
	s.Helper()
	v, err := s.Versions(s.ctx, storage.VersionsQuery{Object: object, Before: before, Limit: limit})
	if err != nil {
		s.Fatalf("Versions %s: %v", object, err)
	}
	return v
}

func (s *subject) objects(q storage.ObjectsQuery) []storage.ObjectInfo {
	s.Helper()
	o, err := s.Objects(s.ctx, q)
	if err != nil {
		s.Fatalf("Objects %+v: %v", q, err)
	}
	return o
}

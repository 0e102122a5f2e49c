package storagetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

func TestMemory(t *testing.T) {
	Run(t, maker(NewMemory()))
}

func maker(m *Memory) Maker { return func(*testing.T) storage.Storage { return m.New() } }

func TestMemoryHooks(t *testing.T) {
	m := NewMemory()
	before, after := error(nil), error(nil)
	m.OnCommit = func(context.Context, []storage.Commit) error { return before }
	m.AfterCommit = func(context.Context, []storage.Commit) error { return after }
	s := newSubject(t, t, maker(m))
	before = errs.New(errs.Unavailable, "", "down")
	s.refused("a failed batch", s.make("a", 1), unavailable)
	before, after = nil, errors.New("lost")
	s.refused("a lost acknowledgement", s.make("a", 1), errs.Unknown)
	after = nil
	if n := s.load("a").Sequence; n != 1 {
		t.Errorf("sequence %d, want 1: stored, not acknowledged", n)
	}
	m.Crash()
	s.refused("a crashed store", s.make("a", 2), unavailable)
	s.Storage = m.Open(t, s.config)
	s.must(s.make("a", 2))
	if err := m.New().Configure(t.Context(), s.config); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a second store on one folder: %v", err)
	}
	other := plugin.Config{Station: "other", DataDir: s.config.DataDir}
	if err := m.New().Configure(t.Context(), other); !errs.Is(err, errs.Invalid) {
		t.Errorf("a store on another station's folder: %v", err)
	}
}

// TestUploadsExpire needs a clock that moves: a plugin tests it in its own way.
func TestUploadsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(t, t, maker(NewMemory()))
		u, late := s.upload("x"), s.upload("y")
		time.Sleep(storage.UploadLife - time.Second) // of the bubble's clock
		s.must(s.make("a", 1, withFiles(s.put("f", u))))
		time.Sleep(time.Second)
		s.noUpload("an upload after its life", s.make("a", 2, withFiles(s.put("g", late))))
		s.content("f", 0)
	})
}

// recorder keeps a check's verdict from the test that runs it.
type recorder struct {
	mu   sync.Mutex
	text []string
}

func (*recorder) Helper() {}

// patience is short: what a fault keeps from happening is waited for in vain.
func (*recorder) patience() time.Duration { return 3 * time.Second }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = append(r.text, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// verdict runs one check on stores that fresh gives.
func verdict(t *testing.T, c check, fresh Maker) []string {
	r := &recorder{}
	s := newSubject(t, r, fresh)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.run(s)
	}()
	<-done
	return r.text
}

// TestPlantedFaults breaks a correct store in one way at a time. The check
// that is named must see it.
func TestPlantedFaults(t *testing.T) {
	for _, f := range append(slices.Concat(fileFaults, workingFaults, placeFaults), []fault{
		{"a declaration that is not sound", "Options", func(s storage.Storage) storage.Storage {
			return optioned{Storage: s, option: plugin.Option{Name: "Colour"}}
		}},
		{"any option is taken", "Options", func(s storage.Storage) storage.Storage { return optioned{Storage: s, deaf: true} }},
		{"any value is taken", "Options", func(s storage.Storage) storage.Storage { return optioned{Storage: s, option: colour, drops: true} }},
		{"an option that is declared and not known", "Options", func(s storage.Storage) storage.Storage { return optioned{Storage: s, option: colour} }},
		{"a figure whose name is none", "Figures", func(s storage.Storage) storage.Storage {
			return figured{s, func(list []plugin.Figure) { list[0].Name = "Commits" }}
		}},
		{"a counter that falls", "Figures", func(s storage.Storage) storage.Storage {
			return figured{s, func(list []plugin.Figure) { list[0].Samples[0].Value = 10 - list[0].Samples[0].Value }}
		}},
		{"a figure that changes its help", "Figures", func(s storage.Storage) storage.Storage {
			return figured{s, func(list []plugin.Figure) { list[0].Help += fmt.Sprint(list[0].Samples[0].Value) }}
		}},
		{"lost commit", "Sequences", func(s storage.Storage) storage.Storage { return &lostCommit{Storage: s} }},
		{"half a commit", "RoundTrip", func(s storage.Storage) storage.Storage { return halfCommit{s} }},
		{"a version without its modules", "RoundTrip", func(s storage.Storage) storage.Storage { return noUses{s} }},
		{"log in the wrong order", "LogOrder", func(s storage.Storage) storage.Storage { return wrongOrder{s} }},
		{"keys in the wrong order", "KeyOrder", func(s storage.Storage) storage.Storage { return wrongKeys{s} }},
		{"listed keys in the wrong order", "StateOrder", func(s storage.Storage) storage.Storage { return wrongPage{s} }},
		{"a prefix that matches anywhere", "StateOrder", func(s storage.Storage) storage.Storage { return anywhere{s} }},
		{"tombstones in a page", "StateTombstones", func(s storage.Storage) storage.Storage { return ghosts{s} }},
		{"a page that lacks its last key", "StatePages", func(s storage.Storage) storage.Storage { return shortPage{s} }},
		{"a page that begins with After", "StatePages", func(s storage.Storage) storage.Storage { return inclusive{s} }},
		{"a walk by number and not by key", "StatePagesWhileCommitting", func(s storage.Storage) storage.Storage { return &counted{Storage: s, at: map[string]int{}} }},
		{"state from the page before", "StateSeesCommits", func(s storage.Storage) storage.Storage { return &staleState{Storage: s} }},
		{"a page without end", "StateBytes", func(s storage.Storage) storage.Storage { return hugePage{s} }},
		{"any limit taken", "StateBadQueries", func(s storage.Storage) storage.Storage { return anyLimit{s} }},
		{"duplicate entry", "LogCursorsWhileAppending", func(s storage.Storage) storage.Storage { return duplicate{s} }},
		{"lost error kind", "StaleEpoch", func(s storage.Storage) storage.Storage { return lostKind{s} }},
		{"stale read", "ConcurrentReads", func(s storage.Storage) storage.Storage { return &staleRead{Storage: s} }},
		{"lost tombstones", "Tombstones", func(s storage.Storage) storage.Storage { return noTombstones{s} }},
		{"digest that forgets to subtract", "Digest", func(s storage.Storage) storage.Storage { return growingDigest{s} }},
		{"digest of before", "Digest", func(s storage.Storage) storage.Storage { return &oldDigest{Storage: s} }},
		{"export without tombstones", "Export", func(s storage.Storage) storage.Storage { return thinExport{s} }},
		{"import that loses the end of the log", "Export", func(s storage.Storage) storage.Storage { return shortImport{s} }},
		{"import over an object", "ImportRefused", func(s storage.Storage) storage.Storage { return anyImport{s} }},
		{"import that does not wait for the end", "ImportRefused", func(s storage.Storage) storage.Storage { return hasty{s} }},
		{"import that keeps the name of one that failed", "ImportAgain", func(s storage.Storage) storage.Storage { return &jammed{Storage: s} }},
		{"boot that stays", "BootRises", func(s storage.Storage) storage.Storage { return sameBoot{s} }},
		{"gaps accepted", "Sequences", func(s storage.Storage) storage.Storage { return &anySequence{Storage: s, last: map[id.Object]uint64{}} }},
		{"short results", "FailedCommitFailsItsFollowers", func(s storage.Storage) storage.Storage { return shortResults{s} }},
		{"shared memory", "CallerOwnsSlices", func(s storage.Storage) storage.Storage { return &shared{Storage: s} }},
		{"times by the entry alone", "LogTimes", func(s storage.Storage) storage.Storage { return ownTimes{s} }},
		{"until that includes its time", "LogTimes", func(s storage.Storage) storage.Storage { return lateEnd{s} }},
		{"text with its case", "LogText", func(s storage.Storage) storage.Storage { return exactText{s} }},
		{"one field filter for all", "LogFields", func(s storage.Storage) storage.Storage { return oneField{s} }},
		{"unbounded queries", "LogQueryBounds", func(s storage.Storage) storage.Storage { return unbounded{s} }},
		{"times on the first page alone", "LogRangeWhileAppending", func(s storage.Storage) storage.Storage { return firstPageTimes{s} }},
		{"answers when closed", "Closed", func(s storage.Storage) storage.Storage { return neverClosed{s} }},
	}...) {
		t.Run(f.fault, func(t *testing.T) {
			for _, c := range checks {
				if c.name != f.caughtBy {
					continue
				}
				m := NewMemory()
				if text := verdict(t, c, maker(m)); len(text) > 0 {
					t.Fatalf("%s fails on the correct store: %s", c.name, text)
				}
				text := verdict(t, c, func(*testing.T) storage.Storage {
					m.Crash() // a store that was not closed holds its folder
					return f.wrap(m.New())
				})
				if len(text) == 0 {
					t.Errorf("%s does not see it", c.name)
				}
				return
			}
			t.Errorf("there is no check %q", f.caughtBy)
		})
	}
}

// optioned declares an option, if it has one, that the store within does not
// know. Deaf it hands on no options, else all, or all but that one.
type optioned struct {
	storage.Storage
	option      plugin.Option
	deaf, drops bool
}

var colour = plugin.Option{Name: "colour", Type: plugin.String, Default: "red", OneOf: []string{"red", "blue"}, Doc: "The colour."}

func (f optioned) Info() plugin.Info {
	i := f.Storage.Info()
	if f.option.Name != "" {
		i.Options = plugin.Schema{f.option}
	}
	return i
}

func (f optioned) Configure(ctx context.Context, c plugin.Config) error {
	if f.drops {
		c.Options = maps.Clone(c.Options)
		delete(c.Options, f.option.Name)
	}
	if f.deaf {
		c.Options = nil
	}
	return f.Storage.Configure(ctx, c)
}

// figured changes what the store reports.
type figured struct {
	storage.Storage
	change func([]plugin.Figure)
}

func (f figured) Figures(ctx context.Context) []plugin.Figure {
	list := f.Storage.Figures(ctx)
	f.change(list)
	return list
}

// lostCommit acknowledges its third batch without storing it.
type lostCommit struct {
	storage.Storage
	n int
}

func (f *lostCommit) Commit(ctx context.Context, c []storage.Commit) []error {
	if f.n++; f.n == 3 {
		return make([]error, len(c))
	}
	return f.Storage.Commit(ctx, c)
}

type halfCommit struct{ storage.Storage }

func (f halfCommit) Commit(ctx context.Context, list []storage.Commit) []error {
	for i := range list {
		list[i].Entries = list[i].Entries[:len(list[i].Entries)/2]
	}
	return f.Storage.Commit(ctx, list)
}

type wrongOrder struct{ storage.Storage }

func (f wrongOrder) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	p, err := f.Storage.Logs(ctx, q)
	if n := len(p.Entries); n > 1 {
		p.Entries[0], p.Entries[n-1] = p.Entries[n-1], p.Entries[0]
	}
	return p, err
}

type wrongKeys struct{ storage.Storage }

func (f wrongKeys) Load(ctx context.Context, o id.Object) (storage.Object, error) {
	l, err := f.Storage.Load(ctx, o)
	if n := len(l.State); n > 1 {
		l.State[0], l.State[n-1] = l.State[n-1], l.State[0]
	}
	return l, err
}

// duplicate gives the newest entry again with each page after the first.
type duplicate struct{ storage.Storage }

func (f duplicate) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	p, err := f.Storage.Logs(ctx, q)
	if q.Cursor != "" && len(p.Entries) > 1 {
		p.Entries = append(p.Entries[:1:1], p.Entries[:len(p.Entries)-1]...)
	}
	return p, err
}

type lostKind struct{ storage.Storage }

func (f lostKind) Commit(ctx context.Context, c []storage.Commit) []error {
	results := f.Storage.Commit(ctx, c)
	for i, err := range results {
		if err != nil {
			results[i] = errors.New(err.Error())
		}
	}
	return results
}

// staleRead gives each object as it was at the Load before.
type staleRead struct {
	storage.Storage
	mu   sync.Mutex
	last storage.Object
}

func (f *staleRead) Load(ctx context.Context, o id.Object) (storage.Object, error) {
	now, err := f.Storage.Load(ctx, o)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last.Object != o {
		f.last = now
	}
	old := f.last
	f.last = now
	return old, err
}

type noTombstones struct{ storage.Storage }

func (f noTombstones) Load(ctx context.Context, o id.Object) (storage.Object, error) {
	l, err := f.Storage.Load(ctx, o)
	var live []storage.StateChange
	for _, c := range l.State {
		if !c.Deleted {
			live = append(live, c)
		}
	}
	l.State = live
	return l, err
}

// growingDigest sums up what came, and never what it replaced.
type growingDigest struct{ storage.Storage }

func (f growingDigest) Digest(ctx context.Context, o id.Object) (storage.Digest, error) {
	d, err := f.Storage.Digest(ctx, o)
	if l, _ := f.Load(ctx, o); l.Sequence > 2 {
		extra := storage.StateItem(o, l.Incarnation, "n", l.State[0].Stamp)
		d.Sum.Add(extra)
		d.Buckets[storage.Bucket("n")].Add(extra)
	}
	return d, err
}

// oldDigest gives the digest of all as it was when it was last asked.
type oldDigest struct {
	storage.Storage
	last storage.Digest
}

func (f *oldDigest) Digest(ctx context.Context, o id.Object) (storage.Digest, error) {
	d, err := f.Storage.Digest(ctx, o)
	if o != "" {
		return d, err
	}
	old := f.last
	f.last = d
	return old, err
}

// noUses forgets which modules a version runs with.
type noUses struct{ storage.Storage }

func (f noUses) Commit(ctx context.Context, commits []storage.Commit) []error {
	commits = slices.Clone(commits)
	for i := range commits {
		if v := commits[i].Version; v != nil {
			bare := *v
			bare.Uses = nil
			commits[i].Version = &bare
		}
	}
	return f.Storage.Commit(ctx, commits)
}

type sameBoot struct{ storage.Storage }

func (f sameBoot) Boot(ctx context.Context) (storage.Boot, error) {
	b, err := f.Storage.Boot(ctx)
	if err == nil {
		b.Number = 1
	}
	return b, err
}

// anySequence numbers the commits by itself, so that none is out of sequence.
type anySequence struct {
	storage.Storage
	last map[id.Object]uint64
}

func (f *anySequence) Commit(ctx context.Context, list []storage.Commit) []error {
	for i := range list {
		f.last[list[i].Object]++
		list[i].Sequence = f.last[list[i].Object]
	}
	return f.Storage.Commit(ctx, list)
}

type shortResults struct{ storage.Storage }

func (f shortResults) Commit(ctx context.Context, c []storage.Commit) []error {
	r := f.Storage.Commit(ctx, c)
	if len(r) > 1 {
		r = r[:1]
	}
	return r
}

// shared hands the same memory to every caller.
type shared struct {
	storage.Storage
	object *storage.Object
}

func (f *shared) Load(ctx context.Context, o id.Object) (storage.Object, error) {
	if f.object != nil {
		return *f.object, nil
	}
	l, err := f.Storage.Load(ctx, o)
	f.object = &l
	return l, err
}

type neverClosed struct{ storage.Storage }

func (neverClosed) Close(context.Context) error { return nil }

package storagetest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// Memory is a disk that exists in memory: any number of data folders, told
// apart by plugin.Config.DataDir. It outlives the stores that are opened on it,
// so that a test can close or crash a station and start it again. The zero value
// is not usable; NewMemory makes one.
//
// The hooks are set before the first store is used and not changed later.
type Memory struct {
	// OnCommit, if not nil, sees each batch before any of it is applied. While
	// it has not returned, the batch hangs (reads go on); an error that it
	// returns becomes the result of each commit of the batch, none of which is
	// then stored. It should be of kind errs.Unavailable.
	OnCommit func(ctx context.Context, commits []storage.Commit) error

	// AfterCommit, if not nil, sees each batch after it has been applied. Where
	// it returns an error the acknowledgement is lost: each commit of the batch
	// that was stored gives errs.Unknown.
	AfterCommit func(ctx context.Context, commits []storage.Commit) error

	mu      sync.Mutex
	folders map[string]*folder
}

// NewMemory gives an empty disk.
func NewMemory() *Memory { return &Memory{folders: map[string]*folder{}} }

// New gives a store over the disk that waits to be configured, as the kernel
// does it. A folder has one store at a time: configuring a second one is
// errs.Unavailable until the first is closed or crashed.
func (m *Memory) New() storage.Storage { return &memoryStore{disk: m} }

// Open gives a configured store, closed when the test ends.
func (m *Memory) Open(t *testing.T, c plugin.Config) storage.Storage {
	t.Helper()
	return configured(t, m.New(), c)
}

// Crash ends all stores on the disk at once, as a kill of their processes
// would. What they acknowledged is kept.
func (m *Memory) Crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.folders {
		f.mu.Lock()
		f.owner = nil
		f.mu.Unlock()
	}
}

// folder is one data folder. owner is the store that holds its lock.
type folder struct {
	mu      sync.Mutex
	station id.Station
	boot    uint64
	floor   uint64 // the highest own boot of an imported entry
	high    hlc.Time
	owner   *memoryStore
	objects map[id.Object]*record
	uploads map[string]content // by id; those of this opening
}

// record is all that a folder knows of one object.
type record struct {
	info     storage.ObjectInfo
	epoch    uint64
	own      map[uint64]uint64 // the highest own entry sequence of each boot
	state    map[string]storage.StateChange
	entries  []storage.Entry
	versions []storage.Version // ascending
	files    map[string]content
}

// memoryStore is one opening of a folder.
type memoryStore struct {
	disk *Memory

	mu      sync.Mutex
	dir     *folder // nil before Configure and after Close
	uploads int     // how many there have been

	stored atomic.Int64 // commits
}

var _ storage.Storage = (*memoryStore)(nil)

func (s *memoryStore) Info() plugin.Info {
	return plugin.Info{Name: "memory", Kind: plugin.Storage, Version: "1"}
}

func (s *memoryStore) Configure(_ context.Context, c plugin.Config) error {
	if _, err := id.ParseStation(string(c.Station)); err != nil {
		return err
	}
	if _, err := s.Info().Options.Parse(c.Options); err != nil {
		return err
	}
	if c.DataDir == "" {
		return errs.New(errs.Invalid, "", "A data folder is needed.")
	}
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	f := s.disk.folders[c.DataDir]
	if f == nil {
		f = &folder{station: c.Station, objects: map[id.Object]*record{}}
		s.disk.folders[c.DataDir] = f
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.station != c.Station {
		return errs.New(errs.Invalid, "", "The data folder %s belongs to station %q, not to %q.", c.DataDir, f.station, c.Station)
	}
	if f.owner != nil {
		return errs.New(errs.Unavailable, "folder_in_use", "The data folder %s is in use.", c.DataDir)
	}
	f.owner = s
	f.uploads = map[string]content{}
	f.boot = max(f.boot, f.floor) + 1
	s.mu.Lock()
	s.dir = f
	s.mu.Unlock()
	return nil
}

// hold locks the store's folder for one operation; release unlocks it.
func (s *memoryStore) hold() (*folder, error) {
	s.mu.Lock()
	f := s.dir
	s.mu.Unlock()
	if f != nil {
		f.mu.Lock()
		if f.owner == s {
			return f, nil
		}
		f.mu.Unlock()
	}
	return nil, errs.New(errs.Unavailable, "", "The store is not open.")
}

func (s *memoryStore) Health(context.Context) plugin.Health {
	f, err := s.hold()
	if err != nil {
		return plugin.Health{Problem: "The store is not open."}
	}
	f.mu.Unlock()
	return plugin.Health{OK: true}
}

// Figures gives how many commits were stored.
func (s *memoryStore) Figures(context.Context) []plugin.Figure {
	return []plugin.Figure{{
		Name: "commits_total", Help: "Commits that were stored.", Type: plugin.Counter, Samples: plugin.One(float64(s.stored.Load())),
	}}
}

func (s *memoryStore) Close(context.Context) error {
	f, err := s.hold()
	if err != nil {
		return nil
	}
	defer f.mu.Unlock()
	f.owner = nil
	return nil
}

func (s *memoryStore) Boot(context.Context) (storage.Boot, error) {
	f, err := s.hold()
	if err != nil {
		return storage.Boot{}, err
	}
	defer f.mu.Unlock()
	return storage.Boot{Number: f.boot, High: f.high}, nil
}

func (s *memoryStore) Commit(ctx context.Context, commits []storage.Commit) []error {
	results := make([]error, len(commits))
	fail := func(err error) []error {
		for i := range results {
			results[i] = err
		}
		return results
	}
	if s.disk.OnCommit != nil {
		if err := s.disk.OnCommit(ctx, commits); err != nil {
			return fail(err)
		}
	}
	f, err := s.hold()
	if err != nil {
		return fail(err)
	}
	failed := map[id.Object]bool{}
	for i := range commits {
		if results[i] = f.apply(&commits[i], failed[commits[i].Object]); results[i] != nil {
			failed[commits[i].Object] = true
			continue
		}
		s.stored.Add(1)
	}
	f.mu.Unlock()
	if s.disk.AfterCommit != nil {
		if err := s.disk.AfterCommit(ctx, commits); err != nil {
			for i := range results {
				if results[i] == nil {
					results[i] = errs.Wrap(errs.Unknown, "storage.Commit", err, "The acknowledgement was lost.")
				}
			}
		}
	}
	return results
}

// apply stores one commit, or says why not. After an earlier commit of the
// object failed in the same batch, it only says why not.
func (f *folder) apply(c *storage.Commit, failed bool) error {
	if err := storage.CheckCommit(c); err != nil {
		return err
	}
	r := f.objects[c.Object]
	if r == nil {
		r = &record{own: map[uint64]uint64{}, state: map[string]storage.StateChange{}, files: map[string]content{}}
	}
	tip := storage.Tip{Incarnation: r.info.Incarnation, Sequence: r.info.Sequence, HomeEpoch: r.epoch, Head: r.info.Head}
	if err := tip.Check(c, failed); err != nil {
		return err
	}
	sameLife := c.Incarnation == r.info.Incarnation
	present := r.state
	if !sameLife {
		present = nil
	}
	for i := range c.State {
		if ch := &c.State[i]; ch.Was != present[ch.Key].Stamp {
			return errs.New(errs.Invalid, "bad_was", "The change of key %q says that it replaces %v, not %v.", ch.Key, ch.Was, present[ch.Key].Stamp)
		}
	}
	if err := f.checkUploads(c); err != nil {
		return err
	}
	if !sameLife {
		r.state, r.entries, r.versions, r.info.Hash = map[string]storage.StateChange{}, nil, nil, ""
		r.files, r.info.Working = map[string]content{}, 0
	}
	if c.Working > 0 {
		r.info.Working = c.Working
	}
	r.info.Object, r.info.Incarnation, r.info.Sequence, r.epoch = c.Object, c.Incarnation, c.Sequence, c.HomeEpoch
	f.high = max(f.high, c.Stamp.Time)
	for _, ch := range c.State {
		r.state[ch.Key] = cloneChange(ch)
		f.high = max(f.high, ch.Stamp.Time)
	}
	for _, e := range c.Entries {
		r.entries = append(r.entries, cloneEntry(e))
		if e.ID.Station == f.station {
			r.own[e.ID.Boot] = max(r.own[e.ID.Boot], e.ID.Sequence)
		}
	}
	if c.Version != nil {
		r.versions = append(r.versions, cloneVersion(*c.Version))
		r.info.Head, r.info.Hash = c.Version.Number, c.Version.Hash
	}
	f.takeFiles(r, c)
	f.objects[c.Object] = r
	return nil
}

// cloneChange gives what a store keeps of a change.
func cloneChange(c storage.StateChange) storage.StateChange {
	c.Was = hlc.Stamp{}
	c.Value = slices.Clone(c.Value)
	return c
}

func cloneEntry(e storage.Entry) storage.Entry {
	e.Fields = slices.Clone(e.Fields)
	e.Time = micro(e.Time)
	return e
}

func cloneVersion(v storage.Version) storage.Version {
	v.Text = slices.Clone(v.Text)
	v.Time = micro(v.Time)
	return v
}

func compareChanges(a, b storage.StateChange) int { return strings.Compare(a.Key, b.Key) }

// Begin commits in a goroutine of its own and gives the results to done, as a station has
// a plugin do it.
func Begin(s storage.Storage, commits []storage.Commit, done func([]error)) {
	go func() { done(s.Commit(context.Background(), commits)) }()
}

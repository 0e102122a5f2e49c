// Package storagetsv is the bundled storage plugin: everything an object
// holds, in text files that cat, an editor and git understand. DESIGN.md beside
// it says how the files look and why. The package runs no object, talks to no
// other station, and never answers from what it has not made durable.
package storagetsv

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// Figures; DESIGN.md says where they come from.
const (
	lockWait        = 5 * time.Second       // for a folder that another process holds
	segmentSize     = 16 << 20              // bytes after which a journal segment is full
	logSize         = 16 << 20              // bytes after which a file of a log is closed
	maxSealed       = 4                     // full segments that may wait to be carried over
	carryDelay      = 50 * time.Millisecond // between rounds of the carrier, at least, so that changes of a key gather
	restShare       = 20                    // how many times as long as it worked the carrier rests, and most of carryDelay's that it rests
	retryDelay      = time.Second           // after a round that failed
	checkpointEvery = time.Minute           // at most, between a change and the checkpoint that covers it
	syncAllAbove    = 64                    // touched objects above which a checkpoint syncs the whole file system
	recentOver      = 64 << 10              // bytes of state.tsv above which it is merged
	middleOver      = 512 << 10             // bytes of middle.tsv below which it is not merged
)

// Store is a storage.Storage over a folder of TSV files.
type Store struct {
	log     *slog.Logger
	version string

	// What tests replace before Configure.
	openFS       func(dir string) (fsys, error)
	fatal        func(error) // ends the process
	lockWait     time.Duration
	segmentSize  int64
	logSize      int64
	now          func() time.Time // tells what is too old
	carryDelay   time.Duration
	scan         scanLimits
	levels       levelSizes
	syncAllAbove int
	uploadLife   time.Duration
	manual       bool // no carrier of its own: the test calls round

	life   sync.RWMutex // held for reading during each call; for writing by Configure and Close
	phase  phase
	health atomic.Pointer[string] // why the store is not well, or nil
	dead   atomic.Bool            // a write's outcome is unknown: nothing more is served

	fs      fsys
	dir     string
	station id.Station
	boot    uint64
	high    atomic.Uint64 // hlc.Time
	rows    uint64        // objects of which objects.tsv has a row, as a start finds or makes it

	objects directory
	options
	spare   spare
	journal journal // guarded by journalMu
	seen    seen
	carrier carrier // of the carrier's goroutine alone
	dirt    dirt    // what the carrier has to do
	totals  totals  // guarded by journalMu
	damage  damage
	rowsMu  sync.Mutex // guards objects.tsv and carrier.rows; taken before journalMu

	importing map[id.Object]chan struct{} // closed when the import is over; guarded by journalMu
	bootFloor uint64                      // boots up to this one are not given out; guarded by rowsMu

	uploads uploads

	journalMu sync.Mutex
	batch     batch // of Commit alone, kept to use its memory again
}

var _ storage.Storage = (*Store)(nil)

// phase is where a store stands in its life.
type phase int

const (
	made phase = iota
	open
	closed
)

// New gives a store that waits for Configure. Version is the plugin's own.
func New(log *slog.Logger, version string) *Store {
	s := &Store{
		log: log, version: version, seen: seen{fsync: plugin.NewDurations()},
		openFS: openOS, lockWait: lockWait, segmentSize: segmentSize, carryDelay: carryDelay, syncAllAbove: syncAllAbove,
		uploadLife: storage.UploadLife, logSize: logSize, now: time.Now,
		scan: scanLimits{lines: 100_000, bytes: 4 << 20, time: 250 * time.Millisecond}, levels: levelSizes{recentOver, middleOver},
	}
	s.fatal = func(err error) {
		s.log.Error("the storage ends: what was written may not be durable", "error", err)
		os.Exit(1)
	}
	return s
}

// Info implements plugin.Plugin.
func (s *Store) Info() plugin.Info {
	return plugin.Info{Name: "tsv", Kind: plugin.Storage, Version: s.version, Options: schema}
}

// Configure opens the data folder, replays its journal, and makes the new boot
// number durable. Errors: errs.Invalid for a folder of another station or of a
// newer format, errs.Unavailable for one that is locked or cannot be used.
func (s *Store) Configure(ctx context.Context, c plugin.Config) error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.phase != made {
		return errs.New(errs.Invalid, "", "A store is configured once.")
	}
	s.phase = closed // until all has gone well
	if _, err := id.ParseStation(string(c.Station)); err != nil {
		return err
	}
	if !filepath.IsAbs(c.DataDir) {
		return errs.New(errs.Invalid, "", "%q is not the absolute path of a data folder.", c.DataDir)
	}
	o, err := parseOptions(c.Options)
	if err != nil {
		return err
	}
	if s.logRetention != 0 { // what a test has set stays
		o.logRetention = s.logRetention
	}
	s.options = o
	fs, err := s.openFS(c.DataDir)
	if err != nil {
		return s.unusable(c.DataDir, err)
	}
	s.fs, s.dir, s.station = fs, c.DataDir, c.Station
	if err := s.openFolder(ctx); err != nil {
		_ = fs.Close()
		return err
	}
	s.phase = open
	s.startCarrier()
	return nil
}

// unusable is the error of a folder that cannot be opened.
func (s *Store) unusable(dir string, err error) error {
	if e, ok := errors.AsType[*errs.Error](err); ok {
		return e
	}
	return errs.Wrap(errs.Unavailable, "storage.Configure", err, "The data folder %s cannot be used.", dir)
}

func (s *Store) openFolder(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, s.lockWait)
	defer cancel()
	if err := s.fs.Lock(wait, "lock"); errors.Is(err, errLocked) {
		return errs.New(errs.Unavailable, "folder_in_use", "The data folder %s cannot be used: %v.", s.dir, err)
	} else if err != nil {
		return s.unusable(s.dir, err)
	}
	began := time.Now()
	for _, step := range []func() error{s.makeFolders, s.readStation, s.readObjects, s.finishImports, s.replay, s.writeStation} {
		if err := step(); err != nil {
			return s.unusable(s.dir, err)
		}
	}
	s.opened(time.Since(began))
	return nil
}

// makeFolders makes the folders that are missing. Their names are durable with
// station.tsv, the last that a start writes; until then nothing in them has to be.
func (s *Store) makeFolders() error {
	for _, name := range []string{"journal", "state", "logs", "versions", "files"} {
		if err := s.fs.Mkdir(name); err != nil {
			return err
		}
	}
	return nil
}

// enter begins a call; leave ends it.
func (s *Store) enter() error {
	s.life.RLock()
	if s.phase == open && !s.dead.Load() {
		return nil
	}
	s.life.RUnlock()
	return errs.New(errs.Unavailable, "", "The storage is not open.")
}

func (s *Store) leave() { s.life.RUnlock() }

// end is for a write whose outcome is unknown: fsync failed, or what was
// half written cannot be taken back. Nothing is served after it.
func (s *Store) end(err error) {
	s.dead.Store(true)
	s.sick("The storage has ended: " + err.Error())
	s.fatal(err)
}

func (s *Store) sick(problem string) { s.health.Store(&problem) }

func (s *Store) well() {
	if !s.dead.Load() {
		s.health.Store(nil)
	}
}

// Health implements plugin.Plugin. It reads memory alone.
func (s *Store) Health(context.Context) plugin.Health {
	if p := s.health.Load(); p != nil {
		return plugin.Health{Problem: *p}
	}
	return plugin.Health{OK: true}
}

// Close carries everything over, so that the next start has nothing to replay,
// and releases the folder. Where that fails nothing is lost: the journal stays.
func (s *Store) Close(context.Context) error {
	s.stopCarrier() // first: a Commit that waits for room must not wait for ever
	s.life.Lock()
	defer s.life.Unlock()
	if s.phase != open {
		s.phase = closed
		return nil
	}
	s.phase = closed
	var err error
	if !s.dead.Load() {
		err = errors.Join(s.round(true), s.dropUploads("storage.Close", func(string, *uploadState) bool { return true }))
	}
	s.sick("The storage is closed.")
	s.journal.release()
	if err = errors.Join(err, s.fs.Close()); err != nil {
		return errs.Wrap(errs.Unavailable, "storage.Close", err, "The data folder %s was not closed in order; its journal is kept.", s.dir)
	}
	return nil
}

// Boot implements storage.Storage.
func (s *Store) Boot(context.Context) (storage.Boot, error) {
	if err := s.enter(); err != nil {
		return storage.Boot{}, err
	}
	defer s.leave()
	return storage.Boot{Number: s.boot, High: hlc.Time(s.high.Load())}, nil
}

// observe raises the highest stamp time. Only one goroutine calls it at a time.
func (s *Store) observe(t hlc.Time) {
	if uint64(t) > s.high.Load() {
		s.high.Store(uint64(t))
	}
}

// directory is the objects of a store.
type directory struct {
	mu     sync.RWMutex
	byID   map[id.Object]*object
	sorted []id.Object
	fresh  []id.Object // not in sorted yet
}

func (d *directory) get(o id.Object) *object {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.byID[o]
}

func (d *directory) add(o *object) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byID == nil {
		d.byID = map[id.Object]*object{}
	}
	d.byID[o.id] = o
	d.fresh = append(d.fresh, o.id)
}

func (d *directory) len() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.byID)
}

// list gives the ids in order. The slice is not changed afterwards.
func (d *directory) list() []id.Object {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.fresh) > 0 {
		all := make([]id.Object, 0, len(d.sorted)+len(d.fresh))
		slices.Sort(d.fresh)
		for i, j := 0, 0; i < len(d.sorted) || j < len(d.fresh); {
			if j == len(d.fresh) || i < len(d.sorted) && d.sorted[i] < d.fresh[j] {
				all = append(all, d.sorted[i])
				i++
			} else {
				all = append(all, d.fresh[j])
				j++
			}
		}
		d.sorted, d.fresh = all, nil
	}
	return d.sorted
}

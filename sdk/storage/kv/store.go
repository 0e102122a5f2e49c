package kv

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// Store is a storage.Storage over a DB.
type Store struct {
	o Options

	limits limits

	life  sync.RWMutex // held for reading during each call; for writing by Configure and Close
	phase phase
	dead  atomic.Bool // nobody knows what the database holds: nothing more is served
	sick  atomic.Pointer[string]

	changes *plugin.Buckets // seconds of each change

	db      DB
	station id.Station
	boot    uint64
	high    atomic.Uint64 // hlc.Time

	write   sync.Mutex // held during each Update and what belongs to it
	next    uint64     // the space that is made next; guarded by write
	uploads uploads
	spaces  spaces
	sweeper sweeper
}

var _ storage.Storage = (*Store)(nil)

// phase is where a store stands in its life.
type phase int

const (
	made phase = iota
	open
	closed
)

// limits bound the work of one page and of one transaction; DESIGN.md says why
// they are what they are.
type limits struct {
	rows      int           // of a page that are looked at
	bytes     int           // of a page
	time      time.Duration // for a page
	piece     int           // bytes that one transaction of an upload, an import or a sweep writes or takes away
	pieceRows int           // rows of one transaction of an import or a sweep
	chunk     int           // bytes of a file in one row
}

var defaultLimits = limits{rows: 20_000, bytes: 4 << 20, time: 250 * time.Millisecond, piece: 1 << 20, pieceRows: 1000, chunk: chunkSize}

// New gives a store that waits for Configure.
func New(o Options) *Store {
	o.Info.Kind = plugin.Storage
	s := &Store{o: o, limits: defaultLimits, changes: plugin.NewDurations()}
	if s.o.End == nil {
		s.o.End = func(err error) {
			s.o.Log.Error("the storage ends: what was written may not be durable", "error", err)
			os.Exit(1)
		}
	}
	return s
}

// Info implements plugin.Plugin.
func (s *Store) Info() plugin.Info { return s.o.Info }

// Configure opens the database, makes the new boot number durable, and begins to
// take away what the process before has left.
func (s *Store) Configure(_ context.Context, c plugin.Config) error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.phase != made {
		return errs.New(errs.Invalid, "", "A store is configured once.")
	}
	if _, err := id.ParseStation(string(c.Station)); err != nil {
		return err
	}
	if !filepath.IsAbs(c.DataDir) {
		return errs.New(errs.Invalid, "", "%q is not the absolute path of a data folder.", c.DataDir)
	}
	v, err := s.o.Info.Options.Parse(c.Options)
	if err != nil {
		return err
	}
	s.phase = closed // until all has gone well
	if err := makeFolder(filepath.Clean(c.DataDir)); err != nil {
		return errs.Wrap(errs.Unavailable, "storage.Configure", err, "The data folder %s cannot be used.", c.DataDir)
	}
	if s.db, err = s.o.Open(c.DataDir, v); err != nil {
		if e, ok := errors.AsType[*errs.Error](err); ok {
			return e
		}
		return errs.Wrap(errs.Unavailable, "storage.Configure", err, "The database in %s cannot be opened.", c.DataDir)
	}
	s.station = c.Station
	s.write.Lock()
	err = s.change(func(w Writer) error { return s.start(w, c.DataDir) })
	s.write.Unlock()
	if err != nil {
		_ = s.db.Close() // the error that counts is the first
		return err
	}
	s.phase = open
	s.sweeper.start(s.sweep)
	return nil
}

// makeFolder makes a folder and its parents; each name is synced.
func makeFolder(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeFolder(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := os.Open(parent)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// start reads whose database it is, and raises the boot number.
func (s *Store) start(w Writer, dir string) error {
	m, err := readMeta(w)
	if err != nil {
		return err
	}
	switch {
	case m.format > formatVersion:
		return errs.New(errs.Invalid, "", "The database in %s has format %d; this program knows format %d.", dir, m.format, formatVersion)
	case m.station != "" && m.station != s.station:
		return errs.New(errs.Invalid, "", "The data folder %s belongs to station %q, not to station %q.", dir, m.station, s.station)
	}
	m.format, m.station, m.boot = formatVersion, s.station, max(m.boot, m.floor)+1
	s.boot, s.next = m.boot, m.next
	s.high.Store(uint64(m.high))
	return m.put(w)
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

// serves says why the store does not serve.
func (s *Store) serves() error {
	err := s.enter()
	if err == nil {
		s.leave()
	}
	return err
}

// view reads within a call of its own.
func (s *Store) view(f func(Reader) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return readError(s.db.View(f))
}

// readError gives an error of the database a kind.
func readError(err error) error {
	if err == nil || isKind(err) {
		return err
	}
	return errs.Wrap(errs.Unavailable, "kv.View", err, "The database cannot be read.")
}

// update writes within a call of its own.
func (s *Store) update(f func(Writer) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	s.write.Lock()
	defer s.write.Unlock()
	return s.change(f)
}

// change is an Update, with write held. An error of f, or of kind
// errs.Unavailable, means that nothing was kept; after any other the store ends.
// Health is that of the last one: a database that cannot be changed is not well.
func (s *Store) change(f func(Writer) error) error {
	if s.dead.Load() { // the process may take a moment to end
		return errs.New(errs.Unavailable, "", "The storage is not open.")
	}
	var inner error
	began := time.Now()
	err := s.db.Update(func(w Writer) error {
		inner = f(w)
		return inner
	})
	switch {
	case err == nil:
		s.changes.Observe(time.Since(began).Seconds())
		s.sick.Store(nil)
		return nil
	case errors.Is(inner, errNothing):
		return inner
	case inner != nil:
		if err = inner; !isKind(err) {
			err = errs.Wrap(errs.Unavailable, "kv.Update", inner, "The database cannot be changed; nothing was stored.")
		}
	case !errs.Is(err, errs.Unavailable):
		s.end(err)
		return errs.Wrap(errs.Unknown, "kv.Update", err, "The database failed; the change may not be durable.")
	}
	if errs.Is(err, errs.Unavailable) {
		s.unwell(errs.From(err).Text())
	}
	return err
}

func isKind(err error) bool {
	_, ok := errors.AsType[*errs.Error](err)
	return ok
}

// probe changes nothing, durably, where the last change failed: a station that says
// that it is not well is sent none by which it would learn that it is again.
func (s *Store) probe() {
	if s.sick.Load() != nil {
		_ = s.update(func(w Writer) error { return putNumber(w, "next", s.next) }) // Health says what it gives
	}
}

// end is for a change whose outcome is unknown. Nothing is served after it.
func (s *Store) end(err error) {
	s.dead.Store(true)
	s.unwell("The storage has ended: " + err.Error())
	s.o.End(err)
}

func (s *Store) unwell(problem string) { s.sick.Store(&problem) }

// Health implements plugin.Plugin. It reads memory alone.
func (s *Store) Health(context.Context) plugin.Health {
	if p := s.sick.Load(); p != nil {
		return plugin.Health{Problem: *p}
	}
	return plugin.Health{OK: true}
}

// Figures implements plugin.Plugin. It reads memory alone.
func (s *Store) Figures(context.Context) []plugin.Figure {
	return []plugin.Figure{s.changes.Figure("change_seconds", "How long the database took for a change, until that was durable.")}
}

// Close closes the database, once the calls that run have ended.
func (s *Store) Close(context.Context) error {
	s.sweeper.stop()
	s.life.Lock()
	defer s.life.Unlock()
	was := s.phase
	s.phase = closed
	if was != open {
		return nil
	}
	s.unwell("The storage is closed.")
	if err := s.db.Close(); err != nil {
		return errs.Wrap(errs.Unavailable, "storage.Close", err, "The database was not closed in order.")
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

// observe raises the highest stamp time that is durable. Only who holds write calls it.
func (s *Store) observe(t hlc.Time) {
	if uint64(t) > s.high.Load() {
		s.high.Store(uint64(t))
	}
}

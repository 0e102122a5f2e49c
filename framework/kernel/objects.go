package kernel

import (
	"context"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbbasic/station/framework/catalogue"
	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// objects is the list of the objects in service, and how scripts become it.
type objects struct {
	dispatch *dispatch.Dispatcher
	store    sources
	log      *slog.Logger
	limits   luahost.Limits
	env      luahost.Env
	folder   *catalogue.Folder  // nil where the scripts lie inside the program
	inside   map[id.Object]bool // the objects whose scripts do
	watcher  *catalogue.Watcher // of folder

	linking sync.RWMutex // held for writing while a module changes; taken before locks
	locks   locks        // held while the source of an object changes
	modules modules      // guarded by linking

	mu       sync.RWMutex
	all      map[id.Object]served
	list     []id.Object                   // sorted
	library  map[id.Object]served          // the modules, by the ids under which they are kept; without uses and program
	paths    map[id.Object]string          // of the scripts that have the ids, modules included
	second   map[string]id.Object          // scripts that are left out, since others have their ids
	troubles map[id.Object]host.Trouble    // of objects and modules
	ending   map[id.Object]catalogue.Aside // the files of objects that are being deleted

	importing map[id.Object]chan struct{} // objects that are being made of archives; closed when that is over

	onePatience time.Duration // as the constant says, but for tests
}

// sources is what objects are brought into service from.
type sources interface {
	Objects(ctx context.Context, q storage.ObjectsQuery) ([]storage.ObjectInfo, error)
	Version(ctx context.Context, object id.Object, number uint64) (storage.Version, error)
	Versions(ctx context.Context, q storage.VersionsQuery) ([]storage.Version, error)
}

// newObjects gives a list without objects. folder may be nil.
func newObjects(d *dispatch.Dispatcher, s sources, f *catalogue.Folder, log *slog.Logger) *objects {
	return &objects{
		dispatch: d, store: s, log: log, folder: f, all: map[id.Object]served{}, paths: map[id.Object]string{},
		inside: map[id.Object]bool{}, second: map[string]id.Object{}, troubles: map[id.Object]host.Trouble{}, library: map[id.Object]served{}, ending: map[id.Object]catalogue.Aside{},
		importing: map[id.Object]chan struct{}{}, onePatience: onePatience,
		modules: modules{newest: luahost.Modules{}, versions: map[id.Object]uint64{}, loose: map[id.Object]bool{}},
	}
}

// served is one object in service.
type served struct {
	info    host.ObjectInfo
	source  host.Source
	uses    []storage.Use // the modules that the source runs with
	program *script
}

// loaders is how many scripts are brought into service at the same time.
const loaders = 32

// load brings scripts into service, and files in line with the versions that are
// stored. An error means that storage failed for good, or that ctx ended.
func (o *objects) load(ctx context.Context, l catalogue.Listing) error {
	var heads map[id.Object]storage.ObjectInfo
	if err := persist(ctx, func() (err error) { heads, err = o.heads(ctx); return err }); err != nil {
		return err
	}
	l = o.recover(ctx, l, heads)
	for _, s := range l.Scripts {
		o.paths[s.Object] = s.Path
		if o.folder == nil {
			o.inside[s.Object] = true
		}
		if s.Module != "" {
			o.setModule(placeOf(s), luahost.CompileModule(s.Module, s.Text), s.Text, heads[s.Object].Head)
		}
	}
	work := o.fileless(l, heads)
	for _, s := range l.Scripts {
		work = append(work, o.listed(s, heads[s.Object]))
	}
	begin := beginning{o: o}
	var all []func() error
	for _, w := range work {
		if w.at.module == "" {
			all = append(all, func() error { return begin.one(ctx, w) })
		} else if err := begin.one(ctx, w); err != nil { // before any object, since they read which modules there are
			return fmt.Errorf("module %s (%s): %w", w.at.module, w.at.path, err)
		}
	}
	if err := together(ctx, all); err != nil {
		return err
	}
	return begin.failed()
}

// fileless gives what is to be done for objects without a script that can be read:
// what was stored before its file was, and what serves until the file can be read.
func (o *objects) fileless(l catalogue.Listing, heads map[id.Object]storage.ObjectInfo) (all []beginner) {
	without := 0
	unread := map[id.Object]place{}
	why := map[id.Object]error{}
	for _, s := range l.Skipped {
		if object, module, err := catalogue.Name(s.Path); err == nil {
			unread[object], why[object] = place{object, module, s.Path}, unreadError(s.Err)
		}
	}
	for object, info := range heads {
		at, skipped := unread[object]
		switch {
		case info.Hash == "" || o.paths[object] != "":
		case skipped:
			o.paths[object] = at.path
			all = append(all, beginner{at, nil, info, func(ctx context.Context) error { return o.beginUnread(ctx, at, info, why[object]) }})
		case strings.HasPrefix(string(object), modulePrefix): // its file is where its versions come from
		case info.Head > info.Working:
			at := newPlace(object)
			all = append(all, beginner{at, nil, info, func(ctx context.Context) error { return o.reconcile(ctx, at, nil, info) }})
		default:
			without++
		}
	}
	if o.folder == nil && without > 0 {
		o.log.Warn("objects are out of service: their scripts lie in a folder that this station was not started with", "objects", without)
	}
	return all
}

// newPlace is where the script of an object is written that has no file.
func newPlace(object id.Object) place { return place{object: object, path: string(object) + ".lua"} }

// begin reconciles a script that was listed. An edit counts once it rests, as it
// would while the station runs; one that is being written is left to the watch.
func (o *objects) begin(ctx context.Context, at place, s *catalogue.Script, info storage.ObjectInfo) error {
	if o.folder != nil && s.Hash != info.Hash {
		if !sleep(ctx, s.Unrest(time.Now())) {
			return context.Cause(ctx)
		}
		if _, err := o.folder.Read(s.Path); err != nil {
			if info.Hash != "" {
				_, err = o.keep(ctx, at, s.Text, info)
				return err
			}
			return nil // it will be told when it rests
		}
	}
	return o.reconcile(ctx, at, s, info)
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// together does all of the work, some of it at a time.
func together(ctx context.Context, work []func() error) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var wg sync.WaitGroup
	next := make(chan func() error)
	for range min(loaders, len(work)) {
		wg.Go(func() {
			for f := range next {
				if err := f(); err != nil {
					fail(err)
				}
			}
		})
	}
	for _, f := range work {
		if ctx.Err() != nil {
			break
		}
		next <- f
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

// patience is how long the start waits for a storage that died meanwhile.
const patience = time.Minute

// persist repeats f, which may be repeated, while storage is what keeps it from
// succeeding: the supervisor is starting another one.
func persist(ctx context.Context, f func() error) error {
	err := f()
	for end := time.Now().Add(patience); transient(err) && time.Now().Before(end); err = f() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return err
}

func transient(err error) bool {
	switch errs.KindOf(err) {
	case errs.Unavailable, errs.Unknown, errs.OutOfSequence:
		return err != nil
	}
	return false
}

// heads gives what storage knows of all objects.
func (o *objects) heads(ctx context.Context) (map[id.Object]storage.ObjectInfo, error) {
	all := map[id.Object]storage.ObjectInfo{}
	for q := (storage.ObjectsQuery{Limit: storage.MaxPage}); ; {
		page, err := o.store.Objects(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, info := range page {
			all[info.Object] = info
		}
		if len(page) < q.Limit {
			return all, nil
		}
		q.After = page[len(page)-1].Object
	}
}

// serve puts a program into service.
func (o *objects) serve(at place, version uint64, hash string, uses []storage.Use, p *script) {
	o.dispatch.Serve(at.object, dispatch.Source{Version: version, Program: p})
	o.add(at, version, hash, uses, p)
}

// add lists what was put into service.
func (o *objects) add(at place, version uint64, hash string, uses []storage.Use, p *script) {
	o.mu.Lock()
	defer o.mu.Unlock()
	was, listed := o.all[at.object]
	if was.isWithheld() && !p.withheld {
		o.log.Info("object is in service again", "object", at.object, "path", at.path, "version", version)
	}
	s := at.served(version, hash, p.text)
	s.uses, s.program = uses, p
	o.all[at.object] = s
	o.paths[at.object] = at.path
	if listed {
		return
	}
	i, _ := slices.BinarySearch(o.list, at.object)
	o.list = slices.Insert(o.list, i, at.object)
}

// served is what a script is listed as that runs a version.
func (at place) served(version uint64, hash string, text []byte) served {
	return served{
		info:   host.ObjectInfo{Object: at.object, Path: at.path, File: path.Base(at.path), Version: version},
		source: host.Source{Object: at.object, Version: version, Hash: hash, Text: text},
	}
}

// pathOf gives the path of an object's script, empty where none is listed.
func (o *objects) pathOf(object id.Object) string {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.all[object].info.Path
}

// count is how many objects are in service.
func (o *objects) count() int {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return len(o.list)
}

// drop takes an object out of the list, and tells those who follow its log.
func (o *objects) drop(object id.Object) {
	defer o.dispatch.Wake(object)
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, object)
	if i, listed := slices.BinarySearch(o.list, object); listed {
		o.list = slices.Delete(o.list, i, i+1)
	}
}

// page gives a part of the list, in the order of ids.
func (o *objects) page(q host.ObjectsQuery) (host.ObjectsPage, error) {
	if q.Limit < 0 || q.Limit > storage.MaxPage {
		return host.ObjectsPage{}, errs.New(errs.Invalid, "bad_limit", "The limit is %d; use 1 to %d.", q.Limit, storage.MaxPage)
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	var page host.ObjectsPage
	from := max(id.Object(q.Prefix), q.After)
	i := sort.Search(len(o.list), func(i int) bool { return o.list[i] >= from })
	for ; i < len(o.list) && strings.HasPrefix(string(o.list[i]), q.Prefix); i++ {
		if o.list[i] == q.After {
			continue
		}
		if q.Limit > 0 && len(page.Objects) == q.Limit {
			page.More = true
			break
		}
		page.Objects = append(page.Objects, o.all[o.list[i]].info)
	}
	return page, nil
}

// find gives an object in service.
func (o *objects) find(object id.Object) (served, error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	s, ok := o.all[object]
	if !ok {
		return served{}, noSuchObject(object)
	}
	return s, nil
}

// look gives an object in service, or a module.
func (o *objects) look(object id.Object) (served, error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	for _, among := range []map[id.Object]served{o.all, o.library} {
		if s, ok := among[object]; ok {
			return s, nil
		}
	}
	return served{}, noSuchObject(object)
}

func noSuchObject(object id.Object) error {
	return errs.New(errs.NotFound, "", "There is no object %q on this station.", object)
}

// script is a dispatch.Program that compiles its text when it is first run, so
// that a station with many objects starts at once.
type script struct {
	text    []byte
	limits  luahost.Limits
	env     luahost.Env
	modules luahost.Modules // among which those stand that the text names

	once    sync.Once
	program *luahost.Program
	names   []string // of the modules that it runs with
	err     error

	withheld bool                     // err is why the object is out of service: errs.Unavailable, and of no text
	declared atomic.Pointer[declared] // nil until somebody asks
}

var _ dispatch.Program = (*script)(nil)

func (o *objects) script(text []byte, m luahost.Modules) *script {
	return &script{text: text, limits: o.limits, env: o.env, modules: m}
}

// compile gives the program with its modules. Errors: errs.Source; errs.Unavailable
// where the object is withheld.
func (s *script) compile() (*luahost.Program, error) {
	s.once.Do(func() {
		if s.program, s.err = luahost.Compile(s.text); s.err == nil {
			s.program.Env = s.env
			s.program, s.names, s.err = s.program.Link(s.modules)
		}
	})
	return s.program, s.err
}

// NewVM implements dispatch.Program. Errors: those of compile, and errs.Source.
func (s *script) NewVM(pass func()) (dispatch.VM, error) {
	vm, err := s.load(pass)
	if err != nil {
		return nil, err
	}
	return vm, nil
}

// load gives the script, loaded. Errors: those of NewVM.
func (s *script) load(pass func()) (*luahost.VM, error) {
	p, err := s.compile()
	if err != nil {
		return nil, err
	}
	return p.NewVM(s.limits, pass)
}

package kernel

import (
	"context"
	"fmt"
	"log/slog"
	"path"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/dbbasic/station/framework/catalogue"
	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// objects is the list of the objects in service, and how scripts become it.
type objects struct {
	dispatch *dispatch.Dispatcher
	store    *pluginhost.Storage
	log      *slog.Logger
	limits   luahost.Limits
	modules  modules
	env      luahost.Env

	mu   sync.RWMutex
	all  map[id.Object]served
	list []id.Object // sorted
}

// served is one object in service.
type served struct {
	info    host.ObjectInfo
	source  host.Source
	program *script
}

// loaders is how many scripts are brought into service at the same time.
const loaders = 32

// load brings scripts into service. One whose text is the newest version's is
// served as it is; any other is loaded and, if that succeeds, becomes a new
// version. An error means that storage failed for good, or that ctx ended.
func (o *objects) load(ctx context.Context, scripts []catalogue.Script) error {
	var heads map[id.Object]storage.ObjectInfo
	if err := persist(ctx, func() (err error) { heads, err = o.heads(ctx); return err }); err != nil {
		return err
	}
	if err := persist(ctx, func() (err error) { scripts, err = o.bringModules(ctx, scripts, heads); return err }); err != nil {
		return err
	}
	o.all = make(map[id.Object]served, len(scripts))
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var wg sync.WaitGroup
	next := make(chan catalogue.Script)
	for range min(loaders, len(scripts)) {
		wg.Go(func() {
			for s := range next {
				if err := persist(ctx, func() error { return o.bring(ctx, s, heads[s.Object]) }); err != nil {
					fail(fmt.Errorf("object %s (%s): %w", s.Object, s.Path, err))
				}
			}
		})
	}
	for _, s := range scripts {
		if ctx.Err() != nil {
			break
		}
		next <- s
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

// bring puts one script into service.
func (o *objects) bring(ctx context.Context, s catalogue.Script, head storage.ObjectInfo) error {
	p := o.script(s.Text, o.modules.newest)
	isHead := head.Head > 0 && head.Hash == s.Hash
	serveHead := func() error {
		o.dispatch.Serve(s.Object, dispatch.Source{Version: head.Head, Program: p})
		o.add(s, head.Head, s.Hash, p)
		return nil
	}
	if isHead && !mentionsRequire(s.Text) {
		return serveHead()
	}
	proposal := cluster.Proposal{Object: s.Object, Base: head.Head, Version: storage.Version{
		Time: time.Now().UTC().Truncate(time.Microsecond), Author: "station",
		Message: "Read from " + s.Path, Hash: s.Hash, Text: s.Text,
	}}
	var err error
	if proposal.Version.Uses, err = o.modules.uses(p); err != nil {
		return o.refuse(ctx, s, head, err)
	}
	if isHead {
		if proposal.Uses, err = o.headUses(ctx, s.Object); err != nil {
			return err
		}
		changed := changedUses(proposal.Uses, proposal.Version.Uses)
		if changed == "" {
			return serveHead()
		}
		proposal.Version.Message = changed
	}
	vm, err := p.NewVM() // what does not load is no version
	if err != nil {
		return o.refuse(ctx, s, head, err)
	}
	vm.Close()
	number, _, err := o.dispatch.Publish(ctx, dispatch.Publication{Proposal: proposal, Program: p, FromFile: true})
	if err != nil {
		return err
	}
	o.add(s, number, s.Hash, p)
	return nil
}

// refuse leaves the old version serving. Without one that loads (what was
// imported from the prototype is Python) the object answers what is wrong with
// its script, which is what its author needs to see.
func (o *objects) refuse(ctx context.Context, s catalogue.Script, head storage.ObjectInfo, why error) error {
	serving, program := storage.Version{Hash: s.Hash, Text: s.Text}, o.script(s.Text, o.modules.newest)
	if head.Head > 0 {
		old, err := o.store.Version(ctx, s.Object, head.Head)
		if err != nil {
			return err
		}
		p := o.script(old.Text, nil)
		if p.modules, err = o.modules.pinned(ctx, o.store, p, old.Uses); err != nil {
			return err
		}
		if vm, err := p.NewVM(); err == nil {
			vm.Close()
			serving, program = old, p
		}
	}
	o.log.Error("script does not load", "object", s.Object, "path", s.Path, "serving_version", serving.Number, "error", why)
	o.dispatch.Serve(s.Object, dispatch.Source{Version: serving.Number, Program: program})
	o.add(s, serving.Number, serving.Hash, program)
	return nil
}

func (o *objects) add(s catalogue.Script, version uint64, hash string, p *script) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all[s.Object] = served{
		info:   host.ObjectInfo{Object: s.Object, Path: s.Path, File: path.Base(s.Path), Version: version},
		source: host.Source{Object: s.Object, Version: version, Hash: hash, Text: p.text}, program: p,
	}
	i := sort.Search(len(o.list), func(i int) bool { return o.list[i] >= s.Object })
	o.list = append(o.list, "")
	copy(o.list[i+1:], o.list[i:])
	o.list[i] = s.Object
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
}

var _ dispatch.Program = (*script)(nil)

func (o *objects) script(text []byte, m luahost.Modules) *script {
	return &script{text: text, limits: o.limits, env: o.env, modules: m}
}

// compile gives the program with its modules. Errors: errs.Source.
func (s *script) compile() (*luahost.Program, error) {
	s.once.Do(func() {
		if s.program, s.err = luahost.Compile(s.text); s.err == nil {
			s.program.Env = s.env
			s.program, s.names, s.err = s.program.Link(s.modules)
		}
	})
	return s.program, s.err
}

// NewVM implements dispatch.Program. Errors: errs.Source.
func (s *script) NewVM() (dispatch.VM, error) {
	vm, err := s.load()
	if err != nil {
		return nil, err
	}
	return vm, nil
}

// load gives the script, loaded. Errors: errs.Source.
func (s *script) load() (*luahost.VM, error) {
	p, err := s.compile()
	if err != nil {
		return nil, err
	}
	return p.NewVM(s.limits)
}

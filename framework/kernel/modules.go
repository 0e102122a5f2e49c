package kernel

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// modules are what scripts may require. Their texts are kept like those of
// objects, as versions; a source version of an object names the versions that it
// runs with, so that it means the same when it is the newest no more.
type modules struct {
	newest   luahost.Modules
	versions map[id.Object]uint64 // of newest
	loose    map[id.Object]bool   // those that not all objects have been given, which use them
}

// modulePrefix begins the ids under which modules are kept.
const modulePrefix = "lib_"

// mentionsRequire reports whether a text may name a module. Where it does not, no
// text has to be compiled to know that.
func mentionsRequire(text []byte) bool { return bytes.Contains(text, []byte("require")) }

// requiring is a script that loads if a module does.
func requiring(module string) []byte { return []byte("require '" + module + "'") }

// newestModules gives the modules as they are now. What is given does not change any more.
func (o *objects) newestModules() luahost.Modules { return o.modules.newest }

// setModule puts a module into the place of what has its name.
func (o *objects) setModule(at place, module luahost.Module, text []byte, version uint64) {
	m := &o.modules
	m.newest, m.versions = maps.Clone(m.newest), maps.Clone(m.versions)
	m.newest[at.module], m.versions[at.object] = module, version
	o.mu.Lock()
	defer o.mu.Unlock()
	o.library[at.object] = at.served(version, storage.Hash(text), text)
}

func (m *modules) has(at place) bool {
	_, ok := m.newest[at.module]
	return ok
}

// takeModule makes an edit of a module its newest version, and gives it to the
// objects that use it.
func (o *objects) takeModule(ctx context.Context, at place, c cluster.Proposal, info storage.ObjectInfo) error {
	compiled := luahost.CompileModule(at.module, c.Version.Text)
	with := maps.Clone(o.modules.newest)
	with[at.module] = compiled
	vm, err := o.script(requiring(at.module), with).NewVM(nil)
	if err != nil {
		return o.refuse(ctx, at, c.Version.Text, info, err)
	}
	vm.Close()
	number, _, err := o.dispatch.Publish(ctx, dispatch.Publication{Proposal: c, FromFile: true})
	if err != nil {
		return err
	}
	o.said(ctx, "module is live", "module", at.module, "path", at.path, "version", number)
	o.setModule(at, compiled, c.Version.Text, number)
	o.untrouble(at)
	return o.relink(ctx, at)
}

// serveModule has the newest version of a module required.
func (o *objects) serveModule(ctx context.Context, at place, text []byte, info storage.ObjectInfo) error {
	o.untrouble(at)
	if o.watcher != nil && o.modules.has(at) && o.modules.versions[at.object] == info.Head && !o.modules.loose[at.object] {
		return nil
	}
	o.setModule(at, luahost.CompileModule(at.module, text), text, info.Head)
	return o.relink(ctx, at)
}

// keepModule makes sure that a module whose file cannot be taken is one that can be
// required all the same, in its newest version, and gives that. Where there is none,
// those who require it learn what is wrong with it.
func (o *objects) keepModule(ctx context.Context, at place, text []byte, info storage.ObjectInfo) (uint64, error) {
	if info.Head == 0 && o.troubleOf(at.object).Hash == storage.Hash(text) && !o.modules.loose[at.object] {
		return 0, nil
	}
	if info.Head == 0 {
		o.setModule(at, luahost.CompileModule(at.module, text), text, 0)
		return 0, o.relink(ctx, at)
	}
	if o.watcher != nil && o.modules.has(at) && o.modules.versions[at.object] == info.Head && !o.modules.loose[at.object] {
		return info.Head, nil
	}
	old, err := o.store.Version(ctx, at.object, info.Head)
	if err != nil {
		return 0, err
	}
	o.setModule(at, luahost.CompileModule(at.module, old.Text), old.Text, info.Head)
	return info.Head, o.relink(ctx, at)
}

// dropModule takes a module away. Objects that use it keep the version that they have.
func (o *objects) dropModule(ctx context.Context, at place) error {
	if !o.modules.has(at) && !o.modules.loose[at.object] {
		return nil
	}
	o.modules.newest, o.modules.versions = maps.Clone(o.modules.newest), maps.Clone(o.modules.versions)
	delete(o.modules.newest, at.module)
	delete(o.modules.versions, at.object)
	o.mu.Lock()
	delete(o.library, at.object)
	o.mu.Unlock()
	o.log.Info("module was removed", "module", at.module, "path", at.path)
	return o.relink(ctx, at)
}

// relink gives objects the modules as they are after a change of one: each that
// uses it gets a version of its own, or keeps the one it has where it does not load
// so. Scripts that were refused may load now, and are looked at again. At the start
// there is nobody yet to give it to.
func (o *objects) relink(ctx context.Context, changed place) error {
	if o.watcher == nil {
		return nil
	}
	o.modules.loose[changed.object] = true
	var work []func() error
	var again []string
	o.mu.RLock()
	for object, s := range o.all {
		if _, ends := o.ending[object]; ends {
			continue
		}
		t, troubled := o.troubles[object]
		if slices.ContainsFunc(s.uses, func(u storage.Use) bool { return u.Module == changed.object }) {
			work = append(work, func() error { return o.relinkOne(ctx, s, t) })
		}
		if troubled && t.Kind == host.Refused && t.Hash != s.source.Hash || s.source.Version == 0 {
			again = append(again, s.info.Path)
		}
	}
	for module, t := range o.troubles {
		if _, isObject := o.all[module]; !isObject && t.Kind == host.Refused && module != changed.object {
			again = append(again, o.paths[module])
		}
	}
	o.mu.RUnlock()
	for _, path := range again {
		o.watcher.Again(ctx, path, 0)
	}
	err := together(ctx, work)
	if err == nil {
		delete(o.modules.loose, changed.object)
	}
	return err
}

// relinkOne gives one object the modules as they are. Trouble that its file has on
// its own stays.
func (o *objects) relinkOne(ctx context.Context, s served, t host.Trouble) error {
	info, err := o.dispatch.Info(ctx, s.info.Object)
	if err != nil {
		return err
	}
	at := place{object: s.info.Object, path: s.info.Path}
	err = o.serveNewest(ctx, at, s.source.Text, info, true)
	if err == nil && t.Kind != "" && t.Hash != info.Hash {
		o.mu.Lock()
		o.troubles[at.object] = t
		o.mu.Unlock()
	}
	return err
}

// uses gives the versions of the modules that a script runs with now. Errors:
// errs.Source.
func (m *modules) uses(s *script) ([]storage.Use, error) {
	if _, err := s.compile(); err != nil {
		return nil, err
	}
	var uses []storage.Use
	for _, name := range s.names {
		module := luahost.ModuleID(name)
		if m.versions[module] == 0 { // its error shows when the script loads
			continue
		}
		uses = append(uses, storage.Use{Module: module, Version: m.versions[module]})
	}
	slices.SortFunc(uses, func(a, b storage.Use) int { return strings.Compare(string(a.Module), string(b.Module)) })
	return uses, nil
}

// pinned gives the modules that a script ran with when it was a version's, as far as
// they are here: an object that was imported may have run with others. A text that
// does not compile needs none.
func (m *modules) pinned(ctx context.Context, store sources, s *script, uses []storage.Use) (luahost.Modules, error) {
	all := luahost.Modules{}
	p, err := luahost.Compile(s.text)
	if err != nil {
		return all, nil //nolint:nilerr // whoever loads the script learns that
	}
	for todo := p.Requires(); len(todo) > 0; todo = todo[1:] {
		name := todo[0]
		i := slices.IndexFunc(uses, func(u storage.Use) bool { return u.Module == luahost.ModuleID(name) })
		if _, known := all[name]; known || i < 0 {
			continue
		}
		v, err := store.Version(ctx, uses[i].Module, uses[i].Version)
		if errs.Is(err, errs.NotFound) {
			continue // whoever loads the script learns that
		}
		if err != nil {
			return nil, err
		}
		module := luahost.CompileModule(name, v.Text)
		all[name] = module
		if module.Err == nil {
			todo = append(todo, module.Program.Requires()...)
		}
	}
	return all, nil
}

// headUses gives the modules that the newest version of an object runs with.
func (o *objects) headUses(ctx context.Context, object id.Object) ([]storage.Use, error) {
	list, err := o.store.Versions(ctx, storage.VersionsQuery{Object: object, Limit: 1})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[0].Uses, nil
}

// changedUses says what differs between the modules of two versions of one text;
// empty where nothing does.
func changedUses(old, now []storage.Use) string {
	var parts []string
	for _, u := range now {
		if !slices.Contains(old, u) {
			parts = append(parts, fmt.Sprintf("%s is version %d", u.Module, u.Version))
		}
	}
	for _, u := range old {
		if !slices.ContainsFunc(now, func(n storage.Use) bool { return n.Module == u.Module }) {
			parts = append(parts, string(u.Module)+" is no longer used")
		}
	}
	return strings.Join(parts, ", ")
}

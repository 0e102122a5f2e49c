package kernel

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbbasic/station/framework/catalogue"
	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// modules are what scripts may require. Their texts are kept like those of
// objects, as versions; a source version of an object names the versions that it
// runs with, so that it means the same when it is the newest no more.
type modules struct {
	newest   luahost.Modules
	versions map[id.Object]uint64 // of newest
}

// mentionsRequire reports whether a text may name a module. Where it does not, no
// text has to be compiled to know that.
func mentionsRequire(text []byte) bool { return bytes.Contains(text, []byte("require")) }

// bringModules takes the modules out of the scripts: each that compiles and loads
// becomes its newest version, where it is not that already. One that does not
// leaves its newest version in use.
func (o *objects) bringModules(ctx context.Context, scripts []catalogue.Script, heads map[id.Object]storage.ObjectInfo) (rest []catalogue.Script, err error) {
	o.modules = modules{newest: luahost.Modules{}, versions: map[id.Object]uint64{}}
	var changed []catalogue.Script
	for _, s := range scripts {
		if s.Module == "" {
			rest = append(rest, s)
			continue
		}
		o.modules.newest[s.Module] = luahost.CompileModule(s.Module, s.Text)
		o.modules.versions[s.Object] = heads[s.Object].Head
		if heads[s.Object].Head == 0 || heads[s.Object].Hash != s.Hash {
			changed = append(changed, s)
		}
	}
	for _, s := range changed {
		if err := o.bringModule(ctx, s, heads[s.Object]); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// requiring is a script that loads if a module does.
func requiring(module string) []byte { return []byte("require '" + module + "'") }

// bringModule makes a changed module the newest version.
func (o *objects) bringModule(ctx context.Context, s catalogue.Script, head storage.ObjectInfo) error {
	vm, err := o.script(requiring(s.Module), o.modules.newest).NewVM()
	if err != nil {
		o.log.Error("module does not load", "module", s.Module, "path", s.Path, "newest_version", head.Head, "error", err)
		if head.Head == 0 {
			return nil // those who require it learn what is wrong with it
		}
		old, err := o.store.Version(ctx, s.Object, head.Head)
		if err != nil {
			return err
		}
		o.modules.newest[s.Module] = luahost.CompileModule(s.Module, old.Text)
		return nil
	}
	vm.Close()
	proposal := cluster.Proposal{Object: s.Object, Base: head.Head, Version: storage.Version{
		Time: time.Now().UTC().Truncate(time.Microsecond), Author: "station", Message: "Read from " + s.Path, Hash: s.Hash, Text: s.Text,
	}}
	number, _, err := o.dispatch.Publish(ctx, dispatch.Publication{Proposal: proposal, FromFile: true})
	if err == nil {
		o.modules.versions[s.Object] = number
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

// pinned gives the modules that a script ran with when it was a version's.
// A text that does not compile needs none.
func (m *modules) pinned(ctx context.Context, store *pluginhost.Storage, s *script, uses []storage.Use) (luahost.Modules, error) {
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

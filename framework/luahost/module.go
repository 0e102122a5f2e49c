package luahost

import (
	"fmt"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// requireName is the global that gives a module.
const requireName = "require"

// Modules are modules by their names: the path below lib/, without .lua.
type Modules map[string]Module

// Module is a compiled module, or why it does not compile.
type Module struct {
	Program *Program
	Err     error // errs.Source
}

// ModuleID is the id under which a module's versions are kept.
func ModuleID(name string) id.Object {
	return id.Object("lib_" + strings.ReplaceAll(name, "/", "_"))
}

// moduleName gives the name that a script means: folders are separated by dots,
// as in Lua, or slashes.
func moduleName(s string) (name string, ok bool) {
	name = strings.ReplaceAll(s, ".", "/")
	for part := range strings.SplitSeq(name, "/") {
		if part == "" {
			return "", false
		}
	}
	_, err := id.ParseObject(string(ModuleID(name)))
	return name, err == nil
}

// CompileModule is Compile for a module: its messages name lib/{name}.lua.
func CompileModule(name string, source []byte) Module {
	p, err := compileAs("lib/"+name+".lua", source)
	return Module{p, err}
}

// Link gives the program together with the modules that it names, those that
// they name included, and their names, sorted. Errors: errs.Source where all
// lacks one of them, one does not compile, or there are more than storage.MaxUses.
func (p *Program) Link(all Modules) (linked *Program, names []string, err error) {
	modules := Modules{}
	for todo := []*Program{p}; len(todo) > 0; todo = todo[1:] {
		for _, r := range todo[0].requires {
			m, ok := all[r.name]
			if m.Err != nil {
				return nil, nil, m.Err
			}
			if !ok {
				return nil, nil, errorIn(todo[0].chunk, r.line, "there is no module '"+r.name+"': it would be lib/"+r.name+".lua below the scripts folder")
			}
			if _, known := modules[r.name]; !known {
				if len(names) == storage.MaxUses {
					return nil, nil, errorIn(p.chunk, 0, fmt.Sprintf("it runs with more than %d modules", storage.MaxUses))
				}
				modules[r.name] = m
				names = append(names, r.name)
				todo = append(todo, m.Program)
			}
		}
	}
	slices.Sort(names)
	program := *p
	program.modules = modules
	return &program, names, nil
}

// Requires gives the names of the modules that the text itself names, in its order.
func (p *Program) Requires() []string {
	names := make([]string, len(p.requires))
	for i, r := range p.requires {
		names[i] = r.name
	}
	return names
}

// require is require(name): what the module returned, true where that was
// nothing. A module runs once in a VM, when it is first asked for.
func require(L *lua.LState) int {
	vm := of(L)
	given := L.CheckString(1)
	name, _ := moduleName(given)
	module, ok := vm.modules[name]
	if !ok {
		L.RaiseError("require: no `require` of the script names the module '%s' in quotes", clip(given, 64))
	}
	value, begun := vm.loaded[name]
	if begun && value == nil {
		L.RaiseError("require: the module '%s' requires itself", name)
	}
	if !begun {
		value = vm.runModule(L, name, module.Program)
	}
	L.Push(value)
	return 1
}

// runModule runs a module's top level.
func (vm *VM) runModule(L *lua.LState, name string, module *Program) lua.LValue {
	if vm.loaded == nil {
		vm.loaded = map[string]lua.LValue{}
	}
	vm.loaded[name] = nil
	done := false
	defer func() {
		if !done { // it raised: another try begins anew
			delete(vm.loaded, name)
		}
	}()
	fn := L.NewFunctionFromProto(module.proto)
	fn.Env = vm.env
	L.Push(fn)
	L.Push(lua.LString(name))
	L.Call(1, 1)
	value := L.Get(-1)
	L.Pop(1)
	if value == lua.LNil {
		value = lua.LTrue
	}
	vm.loaded[name], done = value, true
	return value
}

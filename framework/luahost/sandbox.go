package luahost

import (
	"math"
	"sync"

	lua "github.com/yuin/gopher-lua"
)

// environment is what all VMs share: the functions and tables of the libraries.
// Nothing in it changes after it was built, and builtins find their VM through
// the thread that calls them, so VMs on any goroutine use it together.
type environment struct {
	globals    []binding // what a fresh script finds in _G
	stringMeta *lua.LTable
	callMeta   *lua.LTable
	headerMeta *lua.LTable
	sealed     *lua.LFunction // __newindex of _G once the script has loaded
	closer     *lua.LFunction // error handler of protectedCall
	frozen     map[*lua.LTable]bool
}

type binding struct {
	name  string
	value lua.LValue
}

var shared = sync.OnceValue(newEnvironment)

// null is json.null, the same in all VMs.
var null = func() *lua.LUserData {
	t := protected()
	t.RawSetString("__tostring", &lua.LFunction{IsG: true, Env: t, GFunction: func(L *lua.LState) int {
		L.Push(lua.LString("null"))
		return 1
	}})
	return &lua.LUserData{Metatable: t}
}()

// arrayMark is the metatable that makes a table an array even when it is
// empty. Scripts never get hold of it.
var arrayMark = protected()

func isArray(t *lua.LTable) bool { return t.Metatable == arrayMark }

// protected makes a metatable that getmetatable hides and setmetatable keeps.
func protected() *lua.LTable {
	t := (&lua.LState{}).CreateTable(0, 4)
	t.RawSetString("__metatable", lua.LFalse)
	return t
}

// kept names what a script gets of the libraries; what is not named is gone.
var kept = []struct{ library, names string }{
	{"", "assert error getmetatable ipairs next pairs pcall print rawequal rawget rawset require select setmetatable tonumber tostring type unpack xpcall _VERSION"},
	{lua.TabLibName, "concat getn insert maxn remove sort"},
	{lua.StringLibName, "byte char find format gfind gmatch gsub len lower match rep reverse sub upper"},
	{lua.MathLibName, "abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min mod modf pi pow rad random randomseed sin sinh sqrt tan tanh"},
	{lua.CoroutineLibName, "create resume running status wrap yield"},
}

func newEnvironment() *environment {
	e := &environment{frozen: map[*lua.LTable]bool{}}
	L := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer L.Close()
	for _, open := range []lua.LGFunction{lua.OpenBase, lua.OpenTable, lua.OpenString, lua.OpenMath, lua.OpenCoroutine} {
		L.Push(L.NewFunction(open))
		L.Call(0, 0)
	}
	own := replacements(L)
	for _, k := range kept {
		source, _ := L.GetGlobal(k.library).(*lua.LTable)
		switch k.library {
		case "":
			source = L.G.Global
		case lua.MathLibName: // the library's is the largest finite number, which 1/0 is not
			source.RawSetString("huge", lua.LNumber(math.Inf(1)))
		}
		e.keep(L, k.library, source, k.names, own[k.library])
	}
	for _, library := range []string{"state", "log", "files", "json", "time", "objects", "crypto", "html", "env"} {
		e.add(library, e.freeze(L, tableOf(L, own[library])))
	}
	e.add("fail", L.NewFunction(fail))
	e.sealed = L.NewFunction(sealed)
	e.closer = L.NewFunction(closeUpvalues)
	e.callMeta = protected()
	e.callMeta.RawSetString("__index", L.NewFunction(callIndex))
	e.headerMeta = protected()
	e.headerMeta.RawSetString("__index", L.NewFunction(headerIndex))
	return e
}

func (e *environment) add(name string, v lua.LValue) {
	e.globals = append(e.globals, binding{name, v})
}

// keep adds the named functions of a library, each in our own form where there is one.
func (e *environment) keep(L *lua.LState, library string, source *lua.LTable, names string, own functions) {
	t := L.CreateTable(0, 32)
	for name := range fields(names) {
		v := source.RawGetString(name)
		if fn := own[name]; fn != nil {
			v = L.NewFunction(fn)
		} else if fn, ok := v.(*lua.LFunction); ok {
			v = &lua.LFunction{IsG: true, Env: fn.Env, GFunction: metered(fn.GFunction), Upvalues: fn.Upvalues}
		}
		if library == "" {
			e.add(name, v)
		} else {
			t.RawSetString(name, v)
		}
	}
	if library == "" {
		return
	}
	if library == lua.StringLibName {
		e.stringMeta = protected()
		e.stringMeta.RawSetString("__index", t)
		for event, fn := range arithmetic() {
			e.stringMeta.RawSetString(event, L.NewFunction(fn))
		}
	}
	e.add(library, e.freeze(L, t))
}

// freeze gives a read-only view of a library's table: an empty table in front
// of it, so that every write meets __newindex. rawset, table.insert and the
// like ask isFrozen.
func (e *environment) freeze(L *lua.LState, t *lua.LTable) *lua.LTable {
	front, meta := L.CreateTable(0, 0), protected()
	meta.RawSetString("__index", t)
	meta.RawSetString("__newindex", L.NewFunction(readOnly))
	front.Metatable = meta
	e.frozen[front] = true
	return front
}

// isMeta reports whether t is a metatable that all VMs share.
func (e *environment) isMeta(t *lua.LTable) bool {
	return t == arrayMark || t == e.callMeta || t == e.headerMeta
}

func tableOf(L *lua.LState, fns functions) *lua.LTable {
	t := L.CreateTable(0, len(fns))
	for name, fn := range fns {
		t.RawSetString(name, L.NewFunction(fn))
	}
	if fns["null"] != nil {
		t.RawSetString("null", null)
	}
	return t
}

// install gives a fresh VM its globals. Two tables stand for _G: the script
// sees an empty one, whose metatable reads from the other and, while the script
// loads, writes to it.
func (e *environment) install(vm *VM) {
	L := vm.state
	vm.shared = e
	vm.globals = L.CreateTable(0, 2*len(e.globals))
	for _, b := range e.globals {
		vm.globals.RawSetString(b.name, b.value)
	}
	meta := protected()
	meta.RawSetString("__index", vm.globals)
	meta.RawSetString("__newindex", vm.globals)
	vm.env = L.CreateTable(0, 0)
	vm.env.Metatable = meta
	vm.globals.RawSetString("_G", vm.env)
	L.Env = vm.env
	L.SetMetatable(lua.LString(""), e.stringMeta)
}

// isFrozen reports whether a script may not write to t by any way.
func (vm *VM) isFrozen(t *lua.LTable) bool {
	return t.Metatable != lua.LNil && (t == vm.env || vm.shared.frozen[t])
}

// sealed is __newindex of _G after the load.
func sealed(L *lua.LState) int {
	L.RaiseError("global '%s' assigned after the load: what must last belongs in state, what need not is a `local`",
		clip(L.Get(2).String(), 64))
	return 0
}

func readOnly(L *lua.LState) int {
	L.RaiseError("the station's tables are read-only (key '%s')", clip(L.Get(2).String(), 64))
	return 0
}

// writable gives argument 1 as a table that the script may change.
func writable(L *lua.LState) *lua.LTable {
	t := L.CheckTable(1)
	if of(L).isFrozen(t) {
		L.RaiseError("the station's tables are read-only")
	}
	return t
}

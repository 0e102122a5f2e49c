package dispatch_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

// route is a way by which one call could reach another, or one object another.
type route struct {
	name   string
	top    string // runs when the script loads
	attack string // what a call does, each line under a pcall of its own; what removes comes first, so that it hides nothing
	probe  string // the body of a function that gives what a call sees of it
	took   bool   // the attacking call sees it itself; else each line was refused, or changes nothing
	stays  bool   // a later call of the same object sees it too, if the attacking one was not undone
}

// libraries are the tables that all VMs share.
const libraries = `local libraries = { string, table, math, coroutine, state, log, files, json, time, objects, crypto, html, env }
	local names = { "rep", "insert", "abs", "wrap", "get", "info", "list", "null", "now", "call", "sha256", "escape", "get" }`

var routes = []route{
	{name: "globals", attack: `for k in pairs(_G) do _G[k] = nil end
		leaked = 1
		_G.leaked = 1
		_G[1] = 1
		rawset(_G, "leaked", 1)
		table.insert(_G, 1)
		setmetatable(_G, { __index = { leaked = 1 } })
		setmetatable(_G, nil)
		getmetatable(_G).__index.leaked = 1
		getmetatable(_G).__newindex = nil
		coroutine.wrap(function() leaked = 1 end)()
		GET = nil
		state = nil
		_G._G.leaked = 1
		fail = print`,
		probe: `local n = 0 for k in pairs(_G) do n = n + 1 end
			return { n, tostring(leaked), tostring(rawget(_G, "leaked")), tostring(_G[1]), type(GET), type(state), fail == print }`},
	{name: "tables of libraries", top: libraries, attack: `for i, t in ipairs(libraries) do pcall(rawset, t, names[i], nil) end
		for i, t in ipairs(libraries) do pcall(table.remove, t) end
		for i, t in ipairs(libraries) do pcall(table.sort, t) end
		for i, t in ipairs(libraries) do for k in pairs(t) do t[k] = nil end end
		for i, t in ipairs(libraries) do pcall(function() next(t) t[next(t)] = nil end) end
		for i, t in ipairs(libraries) do pcall(function() t.leaked = 1 end) end
		for i, t in ipairs(libraries) do pcall(function() t[names[i]] = function() return "evil" end end) end
		for i, t in ipairs(libraries) do pcall(rawset, t, "leaked", 1) end
		for i, t in ipairs(libraries) do pcall(table.insert, t, "leaked") end
		for i, t in ipairs(libraries) do pcall(table.insert, t, 1, "leaked") end
		for i, t in ipairs(libraries) do pcall(json.array, t) end
		for i, t in ipairs(libraries) do pcall(setmetatable, t, { __index = { leaked = 1 } }) end
		for i, t in ipairs(libraries) do pcall(setmetatable, t, nil) end
		for i, t in ipairs(libraries) do pcall(function() getmetatable(t).__index = { leaked = 1 } end) end
		for i, t in ipairs(libraries) do pcall(function() t.__index.leaked = 1 end) end`,
		probe: `local seen = {}
			for i, t in ipairs(libraries) do
				seen[i] = type(t[names[i]]) .. tostring(t.leaked) .. tostring(rawget(t, "leaked")) .. #t .. tostring(next(t))
			end
			return { seen, string.rep("x", 2), tostring(json.null), json.encode(math.abs(-1)) }`},
	{name: "metatables of basic types", attack: `getmetatable("").__index = { leaked = 1 }
		getmetatable("").__index.leaked = 1
		getmetatable("").__add = function() return 1 end
		setmetatable("", { __index = { leaked = 1 } })
		setmetatable(1, { __index = { leaked = 1 } })
		setmetatable(nil, { __index = { leaked = 1 } })
		setmetatable(true, { __index = { leaked = 1 } })
		setmetatable(print, { __index = { leaked = 1 } })
		setmetatable(coroutine.create(function() end), { __index = { leaked = 1 } })
		setmetatable(json.null, { __index = { leaked = 1 } })
		getmetatable(json.null).__index = { leaked = 1 }
		json.null.leaked = 1
		local s = "x" s.leaked = 1`,
		probe: `local seen = {}
			for i, v in ipairs({ "", 1, true, print, coroutine.create(function() end), json.null }) do
				local ok, e = pcall(function() return v.leaked end)
				seen[i] = tostring(ok) .. (ok and tostring(e) or "")
			end
			seen[7] = tostring((pcall(function() local n n = n.leaked end)))
			seen[8] = tostring((pcall(function() return "a" + "b" end)))
			return { seen, ("x"):rep(2), tostring(json.null) }`},
	{name: "mark of arrays", attack: `setmetatable(json.array(), { __index = { leaked = 1 } })
		getmetatable(json.array()).__index = { leaked = 1 }
		json.array().leaked = 1
		getmetatable(json.decode("[]")).__index = { leaked = 1 }`,
		probe: `return { tostring(json.array().leaked), tostring(json.decode("[]").leaked), json.encode(json.array()) }`},
	{name: "what a sandbox lacks", attack: `debug.getregistry().leaked = 1
		debug.setmetatable("", { __index = { leaked = 1 } })
		package.loaded.string.leaked = 1
		package.loaded.leaked = 1
		_LOADED.string.leaked = 1
		getfenv(0).leaked = 1
		setfenv(1, { leaked = 1 })
		loadstring("leaked = 1")()
		newproxy(true)
		module("leaked")
		_G.package = { loaded = {} }
		string.leaked = string.dump`,
		probe: `local seen = {}
			for _, name in ipairs{ "debug", "package", "_LOADED", "getfenv", "setfenv", "load", "loadstring", "dofile", "newproxy", "module", "leaked", "io", "os" } do
				seen[#seen + 1] = type(_G[name])
			end
			return { seen, tostring(string.leaked), tostring(string.dump), tostring(("").leaked) }`},
	{name: "metatables of call", attack: `getmetatable(call).__index = { leaked = 1 }
		setmetatable(call, { __index = { leaked = 1 } })
		getmetatable(call.headers).__index = { leaked = 1 }
		setmetatable(call.headers, { __index = { leaked = 1 } })`,
		probe: `return { tostring(call.leaked), tostring(call.headers.leaked), call.method ~= nil }`},
	{name: "state of an earlier call by a copy", top: `function PUT() state.set("list", { 1, { 2 } }) end`, attack: `state.get("list")[1] = 99
		state.get("list")[2][1] = 99
		state.all().list[1] = 99
		state.list{}[1].value[1] = 99`,
		probe: `return { tostring(call.object), (state.get("list") or { 1, { 2 } }) }`},
	{name: "a coroutine that fails", attack: `coroutine.wrap(function() error("x") end)()
		coroutine.resume(coroutine.create(function() error({}) end))
		coroutine.wrap(function() coroutine.wrap(function() error("x") end)() end)()
		coroutine.wrap(function() pcall(coroutine.yield) end)()`,
		probe: `return { tostring(coroutine.running()), (pcall(coroutine.yield)), coroutine.wrap(function() return 1 end)() }`},
	{name: "steps and coroutines that were used up", attack: `for i = 1, 180000 do end
		for i = 1, 60 do coroutine.wrap(function() coroutine.yield() end)() end`,
		probe: `if call.method == "POST" then return 60 end
			for i = 1, 180000 do end
			local n = 0 for i = 1, 60 do coroutine.wrap(function() n = n + 1 coroutine.yield() end)() end return n`},

	{name: "the seed of random numbers", took: true, attack: `math.randomseed(7)`,
		probe: `local first = math.random(1e9) math.randomseed(7) local same = first == math.random(1e9) math.randomseed(7) return same`},
	{name: "the tables request and call", took: true, attack: `request.leaked = 1
		call.leaked = 1
		call.headers.leaked = 1
		call.query.leaked = 1
		call.roles[1] = "leaked"`,
		probe: `return { tostring(request.leaked), tostring(call.leaked), tostring(call.headers.leaked), tostring(call.query.leaked), tostring(call.roles[1]) }`},
	{name: "a call that was kept", took: true, top: `local old, path, user`, attack: `old, path, user = call, call.query, nil`,
		probe: `return { tostring(old and old.path), tostring(old and old.request_id), tostring(old and old.query) == tostring(path) and path ~= nil }`},
	{name: "a coroutine that knows an earlier call", took: true, top: `local co`,
		attack: `co = coroutine.wrap(function() while true do coroutine.yield(tostring(call.path) .. tostring(call.user) .. tostring(call.body)) end end)`,
		probe:  `return co and co() or "nilnilnil"`},

	{name: "a local", took: true, stays: true, top: `local n = 0`, attack: `n = n + 1`, probe: `return n`},
	{name: "an upvalue of closures", took: true, stays: true, top: `local up, get do local n = 0 up = function() n = n + 1 end get = function() return n end end`,
		attack: `up()
			pcall(function() up() error("x") end)`, probe: `return get()`},
	{name: "a table of the script", took: true, stays: true, top: `local t = { 1 } config = { a = 1 }`, attack: `table.insert(t, 2)
		rawset(config, "a", 2)`, probe: `return { t, config }`},
	{name: "the table object", took: true, stays: true, top: `object = { name = "before", actions = {} }`, attack: `object.name = "leaked"`, probe: `return object`},
	{name: "a metatable of the script", took: true, stays: true, top: `local t = setmetatable({}, {})`, attack: `getmetatable(t).__index = { leaked = 1 }`, probe: `return tostring(t.leaked)`},
	{name: "a coroutine of the script", took: true, stays: true, top: `local co = coroutine.wrap(function() for i = 1, 100 do coroutine.yield(i) end end)`, attack: `co()`, probe: `return co()`},
	{name: "a coroutine that writes later", took: true, stays: true, top: `local co`,
		attack: `co = coroutine.create(function() coroutine.yield() state.set("late", call.method or "nothing") end) coroutine.resume(co)`,
		probe:  `if co then coroutine.resume(co) end return tostring(state.get("late"))`},
	{name: "a function that was replaced", took: true, stays: true, top: `local f = function() return "before" end`, attack: `f = function() return call.request_id end`,
		probe: `return f() == "before"`},
	{name: "the table of a module", took: true, stays: true, top: `local m = require "shared"`, attack: `m.list[1] = "leaked"
		m.leaked = 1
		require("shared").get = nil`, probe: `return { m.list, tostring(m.leaked), type(m.get) }`},
	{name: "a local of a module", took: true, stays: true, top: `local m = require "shared"`, attack: `m.up()`, probe: `return require("shared").get()`},
	{name: "a module that a call loads", took: true, stays: true, attack: `require("shared").up()`, probe: `return require("shared").get()`},
	{name: "what was loaded is loaded", top: `local m = require "shared"`, attack: `require("shared").loads = 2`, probe: `return require("shared") == m`},
	{name: "state", took: true, stays: true, attack: `state.set("k", 1)
		state.incr("n")
		state.update("t", function() return { 1 } end)`, probe: `return state.all()`},
	{name: "files", took: true, stays: true, attack: `files.put("f.txt", "leaked")`, probe: `return #files.list()`},
}

// ending is how the attacking call ends; each but the first undoes it.
type ending struct {
	name, lua string
	code      string // of the error
}

var endings = []ending{
	{"well", "return seen", ""},
	{"an error", `error("undone")`, "script_failed"},
	{"an error in a coroutine", `coroutine.wrap(function() error({ code = 1 }) end)()`, "script_failed"},
	{"fail", `fail(409, "not_now", "undone")`, "not_now"},
	{"no answer", "return print", "script_failed"},
	{"steps", "while true do end", "step_limit"},
	{"time", "while true do end", "time_limit"},
	{"memory", `return ("x"):rep(1e8)`, "memory_limit"},
	{"recursion", "local function f() return 1 + f() end f()", "recursion_limit"},
	{"storage refuses", `state.set("written", true) return 1`, "unavailable"},
	{"storage is down", `state.set("written", true) return 1`, "storage_down"},
}

// source is the script of an object that can be attacked, and can look.
func (r route) source(e ending) string {
	var attack strings.Builder
	for line := range strings.Lines(r.attack) {
		attack.WriteString("pcall(function() " + strings.TrimSpace(line) + " end)\n")
	}
	return "function PUT() end\n" + r.top + "\nlocal function probe(request, call)\n" + r.probe + "\nend\n" +
		"function GET(request, call) return probe(request, call) end\n" +
		"function POST(request, call)\n" + attack.String() + "local seen = probe(request, call)\n" + e.lua + "\nend\n"
}

const sharedModule = `local n, m = 0, { list = {} }
function m.up() n = n + 1 end
function m.get() return n end
return m`

// TestNoLeak: what a call does to anything but its own object's state stays in that
// object, and nothing stays of a call that was undone. Four objects run one
// script: one that is never attacked says what is to be seen; one attacks; one was
// loaded before, one is loaded after.
func TestNoLeak(t *testing.T) {
	for _, r := range routes {
		for _, e := range endings {
			t.Run(r.name+"/"+e.name, func(t *testing.T) { r.run(t, e) })
		}
	}
}

func (r route) run(t *testing.T, e ending) {
	p, err := luahost.Compile([]byte(r.source(e)))
	if err != nil {
		t.Fatal(err)
	}
	p, _, err = p.Link(luahost.Modules{"shared": luahost.CompileModule("shared", []byte(sharedModule))})
	if err != nil {
		t.Fatal(err)
	}
	limits := luahost.DefaultLimits()
	limits.Steps, limits.Memory = 300_000, 4<<20
	attack := host.Call{Object: "attacker", Method: "POST", Path: "/objects/attacker", RequestID: "r-attack", Body: []byte("body")}
	if e.code == "time_limit" {
		limits.Steps = 1 << 60
	}
	var refuse atomic.Bool
	s := newStation(t, dispatch.DefaultLimits(), func(m *storagetest.Memory) {
		m.OnCommit = func(context.Context, []storage.Commit) error {
			if refuse.Load() {
				return errs.New(errs.Unavailable, "", "disk full")
			}
			return nil
		}
	})
	see := func(name id.Object) string {
		t.Helper()
		result, err := s.call(name, "GET")
		if err != nil {
			t.Fatalf("%s cannot look: %v", name, err)
		}
		return strings.ReplaceAll(string(result.Body), string(name), "NAME")
	}
	for _, name := range []id.Object{"untouched", "attacker", "earlier", "later"} {
		s.Serve(name, dispatch.Source{Version: 1, Program: program{p, limits}})
		if name == "later" {
			continue
		}
		if _, err := s.call(name, "PUT"); err != nil {
			t.Fatal(err)
		}
	}
	want := see("untouched")

	refuse.Store(e.name == "storage refuses")
	s.disk.down.Store(e.name == "storage is down")
	var answer host.Result
	for most := 100 * time.Millisecond; ; most *= 2 { // on a busy machine its time may end before it runs: it has done nothing then
		if e.code == "time_limit" {
			attack.Deadline = time.Now().Add(most)
		}
		answer, err = s.Invoke(t.Context(), attack)
		if e.code != "time_limit" || errs.From(err).CodeOf() == e.code || most > 2*time.Second {
			break
		}
	}
	refuse.Store(false)
	s.disk.down.Store(false)
	switch {
	case err == nil && e.code == "":
		seen := strings.ReplaceAll(string(answer.Body), "attacker", "NAME")
		if r.took != (seen != want) {
			t.Errorf("the call itself sees %s; an untouched one %s", seen, want)
		}
	case err == nil || errs.From(err).CodeOf() != e.code:
		t.Fatalf("the attack ends with %v, %s; want %q", err, answer.Body, e.code)
	}

	for _, name := range []id.Object{"earlier", "later"} {
		if got := see(name); got != want {
			t.Errorf("the object %s sees %s, want %s", name, got, want)
		}
	}
	if got, stays := see("attacker"), r.stays && e.code == ""; stays == (got == want) {
		t.Errorf("a later call sees %s, an untouched object %s; to stay: %v", got, want, stays)
	}
}

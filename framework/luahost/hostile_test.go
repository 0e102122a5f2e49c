package luahost

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
)

func TestHostile(t *testing.T) {
	ones := strings.Repeat("1,", 150) // fills the stack in few steps
	goroutines := runtime.NumGoroutine()
	for _, c := range []struct{ body, code string }{
		{"while true do end", "step_limit"},
		{"while true do pcall(error) end", "step_limit"},
		{"while true do pcall(function() while true do end end) end", "step_limit"},
		{"xpcall(function() while true do end end, function() while true do end end)", "step_limit"},
		{"xpcall(error, function() while true do end end)", "step_limit"},
		{"while true do xpcall(function() error('x') end, function() error('y') end) end", "step_limit"},
		{"coroutine.wrap(function() while true do end end)()", "step_limit"},
		{"local c = coroutine.create(function() while true do coroutine.yield() end end) while true do coroutine.resume(c) end", "step_limit"},
		{"while true do coroutine.wrap(function() pcall(error) end)() end", "step_limit"},
		{"local t = setmetatable({}, { __index = function(t, k) return t[k] end }) return t.x", "recursion_limit"},
		{"local t = setmetatable({}, { __newindex = function(t, k, v) t[k] = v end }) t.x = 1", "recursion_limit"},
		{"local t = setmetatable({}, { __index = function() while true do end end }) return t.x", "step_limit"},
		{"local t = setmetatable({}, { __tostring = function() while true do end end }) print(t)", "step_limit"},
		{"local t = setmetatable({}, { __concat = function() while true do end end }) return t .. 'a'", "step_limit"},
		{"local t = setmetatable({}, { __eq = function(a, b) return a == b end }) local u = setmetatable({}, getmetatable(t)) return t == u", "recursion_limit"},
		{"local t = setmetatable({}, { __call = function(self) return self() end }) return t()", ""},
		{"local function f() return 1 + f() end return f()", "recursion_limit"},
		{"local function f() return pcall(f) end return f()", ""},
		{"local function f() pcall(f) return 1 end return pcall(f)", "recursion_limit"},
		{"local function f(...) return f(" + ones + "...) end return pcall(f)", "recursion_limit"},
		{"local function f(...) return f(" + ones + "...) end coroutine.resume(coroutine.create(f))", "recursion_limit"},
		{"return pcall(unpack, {}, 1, 1e8)", "recursion_limit"},
		{"local function f() coroutine.wrap(f)() end f()", ""},
		{"local t = {} while true do t[#t + 1] = coroutine.create(function() end) end", "coroutine_limit"},
		{"return pcall(string.rep, 'x', 1e9)", "memory_limit"},
		{"return pcall(string.rep, 'x', 1/0)", "memory_limit"},
		{"local t = {} for i = 1, 50 do t[i] = string.rep('x', 1e6) end return pcall(table.concat, t)", "memory_limit"},
		{"return pcall(table.concat, { string.rep('x', 2 ^ 24), string.rep('x', 2 ^ 24) }, ',')", "memory_limit"},
		{"return table.concat({ 1, string.rep('x', 2 ^ 25) })", "memory_limit"},
		{"local s = string.rep('x', 2e7) return pcall(string.format, '%s%s', s, s)", "memory_limit"},
		{"table.sort({ 3, 2, 1 }, function() while true do end end)", "step_limit"},
		{"string.gsub('aaa', 'a', function() while true do end end)", "step_limit"},
		{"state.update('k', function() while true do end end)", "step_limit"},
		{"pcall(log.info, string.rep('x', 8193))", "log_message_limit"},
		{"pcall(log.info, 'x', { x = string.rep('x', 65536) })", "log_entry_limit"},
		{"pcall(state.set, string.rep('k', 513), 1)", "key_limit"},
		{"pcall(state.set, 'k', string.rep('x', 262144))", "value_limit"},
		{"pcall(state.get, string.rep('k', 513))", "key_limit"},
	} {
		r, err := get(t, newFake(), c.body)
		if err == nil && c.code != "" {
			t.Errorf("%s\n got %q, want %s", c.body, clip(string(r.Body), 100), c.code)
		}
		if err != nil && (err.Kind == errs.Internal || c.code != "" && err.Code != c.code) {
			t.Errorf("%s\n got %v %v, want %s", c.body, err.Kind, err, c.code)
		}
		if err != nil && err.Line != 1 {
			t.Errorf("%s\n got line %d (%s)", c.body, err.Line, err.Traceback)
		}
	}
	for end := time.Now().Add(time.Minute); runtime.NumGoroutine() > goroutines; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines before, %d after", goroutines, runtime.NumGoroutine())
		}
	}
}

func TestBelowTheLimits(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{"local n = 0 for i = 1, 900000 do n = n + 1 end return n", "900000"},
		{"local function f(n) if n == 0 then return 0 end return 1 + f(n - 1) end return f(190)", "190"},
		{"local t = {} for i = 1, 99 do t[i] = coroutine.create(function() end) end return #t", "99"},
		{"for i = 1, 500 do coroutine.wrap(function() end)() end return 1", "1"},
		{"local t = {} for i = 1, 70000 do t[i] = 'x' end return #table.concat(t, ',')", "139999"},
		{"log.info(string.rep('x', 8192)) return 1", "1"},
		{"log.info('x', { x = string.rep('x', 65527) }) return 1", "1"},
		{"state.set(string.rep('k', 512), string.rep('x', 262142)) return 1", "1"},
		{"return #string.rep('x', 31 * 2 ^ 20)", "32505856"},
		{"local t = {} for i = 1, 15 do t[i] = string.rep('x', 2 ^ 20) end return #table.concat(t)", "15728640"},
		{"local t = {} for i = 1, 1920 do t[i] = string.rep('x', 8191) end return #table.concat(t, ',')", "15728639"},
		{"return { table.concat({ 1, 'b', 2.5 }, ', '), table.concat({}, 'x'), table.concat({ 1, 2, 3 }, '-', 2, 3), table.concat({ 1, 2 }, '-', 3) }",
			`["1, b, 2.5","","2-3",""]`},
	} {
		want(t, newFake(), c.body, c.want)
	}
}

// TestSandbox runs statements that must raise, or must find nothing.
func TestSandbox(t *testing.T) {
	for _, body := range []string{
		"x = 1", "GET = nil", "_G.x = 1", "_G['state'] = nil", "rawset(_G, 'x', 1)", "setmetatable(_G, {})", "table.insert(_G, 1)",
		"string.rep = nil", "string.x = 1", "state.get = print", "json.null = 1", "rawset(string, 'rep', 1)", "rawset(log, 'info', print)",
		"setmetatable(string, {})", "setmetatable('', {})", "setmetatable(print, {})", "setmetatable(json.null, {})", "setmetatable(nil, {})",
		"table.insert(math, 1)", "table.remove(math)", "table.sort(math)", "json.array(math)", "getmetatable('').__index = {}",
		"setmetatable(getmetatable(_G), {})", "call.x.y = 1", "setmetatable(call, {})", "json.null.x = 1",
	} {
		if r, err := get(t, newFake(), body); err == nil || err.Kind != errs.Script || err.Line != 1 {
			t.Errorf("%s: got %q, %v; want a script error", body, r.Body, err)
		}
	}
	for _, name := range strings.Fields(`io os debug package channel load loadstring loadfile dofile module getfenv setfenv
		newproxy collectgarbage _printregs string.dump math.__index`) {
		want(t, newFake(), "return tostring("+name+")", "nil")
	}
	want(t, newFake(), "return { tostring(getmetatable('')), tostring(getmetatable(_G)), tostring(getmetatable(string)), tostring(getmetatable(json.array{})) }",
		`["false","false","false","nil"]`)
	want(t, newFake(), "return { undefined == nil, ('x'):rep(3), _G.string == string, _G._G == _G }", `[true,"xxx",true,true]`)
	want(t, newFake(), "local a = setmetatable(json.array{}, { __index = { x = 1 } }) return a.x", "1")
	_ = wantError(t, newFake(), "x = 1", errs.Script, "global 'x' assigned after the load: what must last belongs in state")
}

// TestShared runs VMs of one program at once; the race detector looks on.
func TestShared(t *testing.T) {
	p, err := Compile([]byte(`function GET() local s = "" for w in ("a b c"):gmatch("%a") do s = s .. w:upper() end
		state.incr("n") log.info(s, { a = json.array{} }) return { s, math.random(1, 1), coroutine.wrap(function() return 1 end)(), json.null } end`))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			vm, err := p.NewVM(DefaultLimits(), nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer vm.Close()
			o := newFake()
			for range 50 {
				if r, err := vm.Call(context.Background(), o, request("GET")); err != nil || string(r.Body) != `["ABC",1,1,null]` {
					t.Errorf("got %s, %v", r.Body, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestCoroutines(t *testing.T) {
	vm := load(t, "function GET() for i = 1, 60 do coroutine.wrap(function() coroutine.yield() end)() end end")
	for range 3 { // what a call leaves unfinished does not count in the next
		if _, err := vm.Call(context.Background(), newFake(), request("GET")); err != nil {
			t.Error(err)
		}
	}
	want(t, newFake(), `local f = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) return { f(1), f(10) }`, "[2,20]")
	want(t, newFake(), `local c = coroutine.create(function() error("x") end) local ok, e = coroutine.resume(c)
		return { ok, e, coroutine.status(c), tostring(coroutine.running()) }`, `[false,"script.lua:1: x","dead","nil"]`)
	want(t, newFake(), `local ok, e = pcall(coroutine.wrap(function() error({ code = 1 }) end)) return { ok, e.code, tostring(coroutine.running()) }`, `[false,1,"nil"]`)
	want(t, newFake(), `local f = coroutine.wrap(function() return pcall(coroutine.yield, 1) end) local ok, e = f() return { ok, e }`,
		`[false,"script.lua:1: attempt to yield across a call of the station"]`)
	want(t, newFake(), `local a, b a = coroutine.create(function() return coroutine.resume(b) end)
		b = coroutine.create(function() return coroutine.resume(a) end) return { coroutine.resume(a) }`,
		`[true,true,false,"cannot resume a coroutine that is running"]`)
	want(t, newFake(), `local out = {} for v in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do out[#out + 1] = v end return out`, "[1,2,3]")
	_ = wantError(t, newFake(), "coroutine.yield(1)", errs.Script, "outside of a coroutine")
	for _, f := range []string{"coroutine.yield", "print", "pcall", "string.gmatch('abc', '.')", "coroutine.wrap(function() end)"} {
		_ = wantError(t, newFake(), "coroutine.create("+f+")", errs.Script, "bad argument #1 to create (a coroutine runs a function written in Lua")
		_ = wantError(t, newFake(), "coroutine.wrap("+f+")", errs.Script, "bad argument #1 to wrap (a coroutine runs a function written in Lua")
	}
	want(t, newFake(), `local c = coroutine.create(function(...) return coroutine.yield(...) end) return { coroutine.resume(c, 1) }`, "[true,1]")
	if _, err := get(t, newFake(), "coroutine.wrap(function() for x in function() return coroutine.yield() end do end end)() return 1"); err != nil && err.Kind == errs.Internal {
		t.Errorf("got %v", err)
	}
}

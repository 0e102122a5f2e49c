package luahost

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
)

// inUse gives the bytes of everything alive in this process.
func inUse() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// spacious are the default limits but for the time, so that a slow machine
// meets the limit of the memory and not that of the clock.
func spacious() Limits {
	l := DefaultLimits()
	l.Time = 5 * time.Minute // with the race detector, beside other packages, the slowest takes a minute
	return l
}

// peak runs a GET with this body and gives what the process held more at most:
// looked at now and then between two instructions, and where the call ended.
func peak(t *testing.T, o *fake, body string) (more int64, r Result, err *errs.Error) {
	t.Helper()
	vm := loadWith(t, "function GET(request, call) "+body+"\nend", spacious())
	defer vm.Close()
	before := inUse()
	req := request("GET")
	var looked time.Time
	req.Yield = func() {
		if time.Since(looked) > 100*time.Millisecond {
			more, looked = max(more, inUse()-before), time.Now()
		}
	}
	r, failed := vm.Call(t.Context(), o, req)
	more = max(more, inUse()-before)
	runtime.KeepAlive(vm)
	return more, r, errs.From(failed)
}

// big is a JSON text of about n bytes that becomes many small tables.
func big(n int) string { return "[" + strings.Repeat("{},", n/3) + "{}]" }

var bombsFlag = flag.Int("bombs", bombsDrawn, "bombs of TestMemoryBombs, drawn; 0 for all")

// TestMemoryBombs: each ends with the named limit, before the process holds
// four times the VM's budget; the script beside it stays just below and runs.
func TestMemoryBombs(t *testing.T) {
	o := newFake()
	for i := range 200 {
		o.state[fmt.Sprintf("k%03d", i)] = big(200 << 10)
	}
	o.state["text"] = `"` + strings.Repeat("x", 200<<10) + `"`
	const M = " * 1048576"
	bombs := []struct{ name, bomb, code, below string }{
		{"doubling", "local s = 'x' while true do s = s .. s end", "memory_limit",
			"local s = 'x' for i = 1, 23 do s = s .. s end return #s"},
		{"appending", "local s = ('x'):rep(1000) while true do s = s .. 'more of it, ' .. s end", "memory_limit",
			"local s, n = '', 0 for i = 1, 5000 do s = s .. 'more' end return #s"},
		{"long chain", "local s = ('x'):rep(4" + M + ") local t = {} for i = 1, 100 do t[i] = s .. i .. s end", "memory_limit",
			"local s = ('x'):rep(1" + M + ") local t = {} for i = 1, 8 do t[i] = s .. i .. s end return #t"},
		{"doubling in pcall", "while true do pcall(function() local s = 'x' while true do s = s .. s end end) end", "memory_limit",
			"for i = 1, 20 do pcall(function() local s = 'x' for i = 1, 20 do s = s .. s end end) end return 1"},
		{"doubling in a coroutine", "coroutine.wrap(function() local s = 'x' while true do s = s .. s end end)()", "memory_limit",
			"return #coroutine.wrap(function() local s = 'x' for i = 1, 23 do s = s .. s end return s end)()"},
		{"__concat", "local S = ('x'):rep(2" + M + ") local o = setmetatable({}, { __concat = function() return S end }) local t = {} for i = 1, 1e6 do t[i] = 'a' .. 'b' .. o end", "memory_limit",
			"local S = ('x'):rep(2" + M + ") local o = setmetatable({}, { __concat = function() return S end }) local t = {} for i = 1, 10 do t[i] = 'a' .. 'b' .. o end return #t"},
		{"tables", "local t = {} while true do t = { t } end", "memory_limit",
			"local t = {} for i = 1, 100000 do t = { t } end return 1"},
		{"records", "local t = {} for i = 1, 1e7 do t[i] = { name = 'x', at = i } end", "memory_limit",
			"local t = {} for i = 1, 20000 do t[i] = { name = 'x', at = i } end return #t"},
		{"empty tables that get a key", "local t = {} for i = 1, 1e7 do local r = {} r.x = 1 t[i] = r end", "memory_limit",
			"local t = {} for i = 1, 20000 do local r = {} r.x = 1 t[i] = r end return #t"},
		{"keys without values", "local t = {} for i = 1, 1e7 do t[i] = { " + strings.Repeat("a=nil,", 40) + " } end", "memory_limit",
			"local t = {} for i = 1, 10000 do t[i] = { " + strings.Repeat("a=nil,", 40) + " } end return #t"},
		{"lists with room", "local t = {} for i = 1, 1e7 do t[i] = { " + strings.Repeat("nil,", 200) + " 1 } end", "memory_limit",
			"local t = {} for i = 1, 4000 do t[i] = { " + strings.Repeat("nil,", 200) + " 1 } end return #t"},
		{"one large string often", "local s = ('x'):rep(4" + M + ") local t = {} for i = 1, 1e7 do t[i] = s .. '' end", "memory_limit",
			"local s = ('x'):rep(20" + M + ") local t = {} for i = 1, 100000 do t[i] = s end return #t"},
		{"numbers", "local t = {} for i = 1, 1e8 do t[i] = i + 0.5 end", "memory_limit",
			"local t = {} for i = 1, 500000 do t[i] = i + 0.5 end return #t"},
		{"numbers that keep their block", "local t, x = {}, 0 for i = 1, 1e8 do t[i] = i + 0.5 for j = 1, 16 do x = j + 0.5 end end", "memory_limit",
			"local t, x = {}, 0 for i = 1, 100000 do t[i] = i + 0.5 for j = 1, 16 do x = j + 0.5 end end return #t"},
		{"far index", "local t = {} t[6e7] = 1", "memory_limit", "local t = {} t[1e6] = 1 return #t"},
		{"far index in pcall", "for i = 1, 100 do pcall(function() local t = {} t[5e7] = 1 end) end", "memory_limit",
			"for i = 1, 30 do pcall(function() local t = {} t[5e5] = 1 end) end return 1"},
		{"far nil", "local t = {} t[6e7] = nil", "memory_limit", "local t = {} t[1e6] = nil return #t"},
		{"far indexes", "local t = {} for i = 1, 1000 do t[i] = {} t[i][1e5] = 1 end", "memory_limit",
			"local t = {} for i = 1, 10 do t[i] = {} t[i][1e5] = 1 end return #t"},
		{"far index of a constructor", "local k = 6e7 return { [k] = 1 }", "memory_limit", "local k = 1e6 return #{ [k] = 1 }"},
		{"far index of rawset", "rawset({}, 6e7, 1)", "memory_limit", "return #rawset({}, 1e6, 1)"},
		{"far index by __newindex", "local t = setmetatable({}, { __newindex = setmetatable({}, { __newindex = {} }) }) t[6e7] = 1", "memory_limit",
			"local u = {} local t = setmetatable({}, { __newindex = setmetatable({}, { __newindex = u }) }) t[1e6] = 1 return #u"},
		{"far indexes of an assignment", "local t, u = {}, {} t[1], u[6e7] = 1, 2", "memory_limit", "local t, u = {}, {} t[1], u[1e6] = 1, 2 return #u"},
		{"far index in a metamethod", "local t = setmetatable({}, { __newindex = function(t, k, v) rawset(t, k, v) end }) t[6e7] = 1", "memory_limit",
			"local t = setmetatable({}, { __newindex = function(t, k, v) rawset(t, k, v) end }) t[1e6] = 1 return #t"},
		{"table.insert", "local t, s = {}, {} while true do table.insert(t, s) end", "memory_limit",
			"local t, s = {}, {} for i = 1, 300000 do table.insert(t, s) end return #t"},
		{"json.array", "local t = {} for i = 1, 1e7 do t[i] = json.array() end", "memory_limit",
			"local t = {} for i = 1, 50000 do t[i] = json.array() end return #t"},
		{"closures", "local t = {} for i = 1, 1e7 do t[i] = function() return i end end", "memory_limit",
			"local t = {} for i = 1, 100000 do t[i] = function() return i end end return #t"},
		{"upvalues", "local f while true do local g, s = f, ('x'):rep(100) f = function() return g, s end end", "memory_limit",
			"local f for i = 1, 30000 do local g, s = f, ('x'):rep(100) f = function() return g, s end end return 1"},
		{"closures of a coroutine", "local t = {} for i = 1, 1e6 do coroutine.wrap(function() local x = 1 t[i] = function() return x end end)() end", "memory_limit",
			"local t = {} for i = 1, 500 do coroutine.wrap(function() local x = 1 t[i] = function() return x end end)() end return #t"},
		{"coroutines that hold data", "local t = {} for i = 1, 99 do local c = coroutine.wrap(function() local s = ('x'):rep(1" + M + ") coroutine.yield() return s end) c() t[i] = c end", "memory_limit",
			"local t = {} for i = 1, 20 do local c = coroutine.wrap(function() local s = ('x'):rep(1" + M + ") coroutine.yield() return s end) c() t[i] = c end return #t"},
		{"coroutines with high stacks", "local u, t = {}, {} u[60000] = 1 for i = 1, 99 do local c = coroutine.wrap(function() return (select('#', coroutine.yield(unpack(u, 1, 200)), unpack(u, 1, 60000))) end) c() c() t[i] = c end", "memory_limit",
			"local u, t = {}, {} u[60000] = 1 for i = 1, 10 do local c = coroutine.wrap(function() return (select('#', coroutine.yield(unpack(u, 1, 200)), unpack(u, 1, 60000))) end) c() c() t[i] = c end return #t"},
		{"finished coroutines", "local t = {} for i = 1, 1e6 do t[i] = coroutine.create(function() end) coroutine.resume(t[i]) end", "memory_limit",
			"local t = {} for i = 1, 500 do t[i] = coroutine.create(function() end) coroutine.resume(t[i]) end return #t"},
		{"coroutines not begun", "local t = {} for i = 1, 90 do local s = ('x'):rep(1" + M + ") t[i] = coroutine.create(function() return s end) end", "memory_limit",
			"local t = {} for i = 1, 20 do local s = ('x'):rep(1" + M + ") t[i] = coroutine.create(function() return s end) end return #t"},
		{"keys that come and go", "local t = {} for i = 1, 1e7 do t['k' .. i] = 1 t['k' .. i] = nil end", "memory_limit",
			"local t = {} for i = 1, 100000 do t['k' .. i] = 1 t['k' .. i] = nil end return 1"},
		{"tables as keys", "local t = {} for i = 1, 1e7 do t[{}] = true end", "memory_limit",
			"local t = {} for i = 1, 50000 do t[{}] = true end return 1"},
		{"strings as keys", "local t = {} for i = 1, 1e5 do t[('x'):rep(5000) .. i] = true end", "memory_limit",
			"local t = {} for i = 1, 4000 do t[('x'):rep(5000) .. i] = true end return 1"},
		{"other map", "local t = {} for i = 1, 60000 do t['k' .. i] = 1 end local u = {} for i = 1, 1e5 do u[i] = {} for j = 1, 100 do u[i]['k' .. j] = 1 end u[i][true] = 1 end", "memory_limit",
			"local t = {} for i = 1, 100000 do t['k' .. i] = 1 end t[true] = 1 return 1"},
		{"error objects", "local t = {} for i = 1, 1e6 do local _, e = pcall(error, { text = ('x'):rep(1000) .. i }) t[i] = e end", "memory_limit",
			"local t = {} for i = 1, 10000 do local _, e = pcall(error, { text = ('x'):rep(1000) .. i }) t[i] = e end return #t"},
		{"giant messages", "local s, t = ('x'):rep(3" + M + "), {} for i = 1, 1e6 do local _, e = pcall(error, s, 1) t[i] = e .. '' end", "memory_limit",
			"local s, t = ('x'):rep(1" + M + "), {} for i = 1, 10 do local _, e = pcall(error, s, 1) t[i] = e .. '' end return #t"},
		{"giant messages with lines", "local s, t = ('x'):rep(3" + M + "), {} for i = 1, 1e6 do local _, e = pcall(function() error(s) end) t[i] = e end", "memory_limit",
			"local s, t = ('x'):rep(1" + M + "), {} for i = 1, 10 do local _, e = pcall(function() error(s) end) t[i] = e end return #t"},
		{"messages of a coroutine", "local s, t = ('x'):rep(3" + M + "), {} for i = 1, 1e6 do local _, e = coroutine.resume(coroutine.create(function() error(s) end)) t[i] = e end", "memory_limit",
			"local s, t = ('x'):rep(1" + M + "), {} for i = 1, 10 do local _, e = coroutine.resume(coroutine.create(function() error(s) end)) t[i] = e end return #t"},
		{"parts that keep the whole", "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1" + M + "):sub(1, 2000) end local u = {} while true do u[#u + 1] = ('x'):rep(500000) end", "memory_limit",
			"local t = {} for i = 1, 2000 do t[i] = ('x'):rep(1" + M + "):sub(1, 2000) end return #t"},
		{"upper", "local s, t = ('x'):rep(3" + M + "), {} for i = 1, 1e6 do t[i] = s:upper() end", "memory_limit",
			"local s, t = ('x'):rep(1" + M + "), {} for i = 1, 20 do t[i] = s:upper() end return #t"},
		{"lower", "local s, t = ('X'):rep(3" + M + "), {} for i = 1, 1e6 do t[i] = s:lower() end", "memory_limit",
			"local s, t = ('X'):rep(1" + M + "), {} for i = 1, 20 do t[i] = s:lower() end return #t"},
		{"reverse", "local s, t = ('X'):rep(3" + M + "), {} for i = 1, 1e6 do t[i] = s:reverse() end", "memory_limit",
			"local s, t = ('X'):rep(1" + M + "), {} for i = 1, 20 do t[i] = s:reverse() end return #t"},
		{"sub", "local s, t = ('X'):rep(3" + M + "), {} for i = 1, 1e6 do t[i] = s:sub(2) end", "memory_limit",
			"local s, t = ('X'):rep(1" + M + "), {} for i = 1, 20 do t[i] = s:sub(2) end return #t"},
		{"rep", "local t = {} for i = 1, 1e6 do t[i] = ('x'):rep(1e6) end", "memory_limit",
			"local t = {} for i = 1, 20 do t[i] = ('x'):rep(1e6) end return #t"},
		{"rep, only garbage", "local t = {} for i = 1, 60 do t[i] = ('x'):rep(1e6) end", "memory_limit",
			"for i = 1, 2000 do local s = ('x'):rep(1e6) end return 1"},
		{"format", "local s, t = ('x'):rep(1e6), {} for i = 1, 1e6 do t[i] = ('%s %s'):format(s, s) end", "memory_limit",
			"local s, t = ('x'):rep(1e6), {} for i = 1, 8 do t[i] = ('%s %s'):format(s, s) end return #t"},
		{"quoted", "local s = ('\\n'):rep(10e6) return ('%q'):format(s)", "memory_limit", "local s = ('\\n'):rep(2e6) return #('%q'):format(s)"},
		{"table.concat", "local t, u = {}, {} for i = 1, 1000 do t[i] = 'abcdefghij' end for i = 1, 1e6 do u[i] = table.concat(t) end", "memory_limit",
			"local t, u = {}, {} for i = 1, 1000 do t[i] = 'abcdefghij' end for i = 1, 2000 do u[i] = table.concat(t) end return #u"},
		{"state.get", "local t = {} for i = 1, 1e6 do t[i] = state.get('k001') end", "memory_limit",
			"local t for i = 1, 20 do t = state.get('k001') end return #t"},
		{"state.get of texts", "local t = {} for i = 1, 1e6 do t[i] = state.get('text') end", "memory_limit",
			"local t = {} for i = 1, 120 do t[i] = state.get('text') end return #t"},
		{"state.all", "return state.all()", "memory_limit", "return #state.keys()"},
		{"state.list", "local t = {} while true do t[#t + 1] = state.list{} end", "memory_limit", "return #state.list{ limit = 1 }"},
		{"state.update", "state.update('k001', function(v) local t = {} for i = 1, 1e7 do t[i] = v[i % 100] .. '' end end)", "", "state.update('text', function(v) return v end) return 1"},
		{"json.decode", "return json.decode('[' .. ('{},'):rep(1e6) .. '{}]')", "memory_limit", "return #json.decode('[' .. ('{},'):rep(1e4) .. '{}]')"},
		{"json.decode of texts", "local s, t = json.encode(('x'):rep(1e6)), {} for i = 1, 1e6 do t[i] = json.decode(s) end", "memory_limit",
			"local s, t = json.encode(('x'):rep(1e6)), {} for i = 1, 20 do t[i] = json.decode(s) end return #t"},
		{"json.encode", "local s, t = ('x'):rep(1e6), {} for i = 1, 1e6 do t[i] = s end return json.encode(t)", "memory_limit",
			"local s, t = ('x'):rep(1e6), {} for i = 1, 6 do t[i] = s end return #json.encode(t)"},
		{"unpack", "local t, u = {}, {} t[200] = 1 for i = 1, 1e7 do u[i] = { unpack(t, 1, 200) } end", "memory_limit",
			"local t, u = {}, {} t[200] = 1 for i = 1, 4000 do u[i] = { unpack(t, 1, 200) } end return #u"},
		{"varargs", "local u = {} local function f(...) u[#u + 1] = { ... } return f(1, ...) end pcall(f, 1) local t = {} while true do t[#t + 1] = { f } end", "",
			"local u = {} local function f(n, ...) u[#u + 1] = { ... } if n > 0 then return f(n - 1, 1, ...) end end f(100) return #u"},
		{"metatables", "local t = {} while true do t = setmetatable({}, { __index = t }) end", "memory_limit",
			"local t = {} for i = 1, 30000 do t = setmetatable({}, { __index = t }) end return 1"},
		{"recursion", "local function f(s) s = s .. s return 1 + f(s) end f('x')", "memory_limit",
			"local function f(s, n) if n == 0 then return 0 end return 1 + f(s .. 'x', n - 1) end return f('', 150)"},
		{"print", "local s = ('x'):rep(1e6) print(" + strings.TrimSuffix(strings.Repeat("s,", 100), ",") + ")", "log_message_limit",
			"print(('x'):rep(8000)) return 1"},
		{"fail", "fail(400, 'big', ('\\255x'):rep(5e6))", "big", "return 1"},
	}
	if n := min(*bombsFlag, len(bombs)); n > 0 {
		seed := rand.Uint64()
		t.Logf("%d bombs, drawn with the seed %d", n, seed)
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(bombs), func(i, j int) { bombs[i], bombs[j] = bombs[j], bombs[i] })
		bombs = bombs[:n]
	}
	for _, c := range bombs {
		t.Run(c.name, func(t *testing.T) {
			more, r, err := peak(t, o, c.bomb)
			switch {
			case err == nil:
				t.Errorf("%s\n got %q, want %s", c.bomb, clip(string(r.Body), 80), c.code)
			case c.code != "" && err.CodeOf() != c.code:
				t.Errorf("%s\n got %v (%s), want %s", c.bomb, err, err.CodeOf(), c.code)
			case err.Line != 1 || c.code == "memory_limit" && !strings.Contains(err.Traceback, "script.lua:1: "):
				t.Errorf("%s\n at line %d\n%s", c.bomb, err.Line, err.Traceback)
			}
			below, _, err := peak(t, o, c.below)
			if err != nil {
				t.Errorf("%s\n got %v (%s), with %d MiB", c.below, err, err.CodeOf(), below>>20)
			}
			if most := int64(4 * 32 << 20); more > most || below > most {
				t.Errorf("%s\n the process held %d MiB, below the limit %d MiB", c.bomb, more>>20, below>>20)
			}
			t.Logf("bomb %d MiB, below %d MiB", more>>20, below>>20)
		})
	}
}

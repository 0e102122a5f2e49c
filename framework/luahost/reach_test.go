package luahost

import (
	"math"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
)

// TestReachable: a mebibyte counts wherever a script keeps it, and once only.
func TestReachable(t *testing.T) {
	for name, source := range map[string]string{
		"global":                "kept = S()",
		"item":                  "kept = { S() }",
		"named field":           "kept = { x = S() }",
		"field":                 "kept = { [true] = S() }",
		"key":                   "kept = { [S()] = 1 }",
		"key of old":            "kept = { [S()] = 1 } for k in pairs(kept) do kept[k] = nil end",
		"metatable":             "kept = setmetatable({}, { S() })",
		"upvalue":               "local s = S() function kept() return s end",
		"upvalue of an upvalue": "local s = S() local function f() return s end function kept() return f end",
		"wrapped coroutine":     "kept = coroutine.wrap(function() local s = S() coroutine.yield() return s end) kept()",
		"coroutine not begun":   "local s = S() kept = coroutine.create(function() return s end)",
		"stack of a coroutine":  "local f coroutine.wrap(function() local s, x = S(), 1 f = function() return x end coroutine.yield() return s end)() function kept() return f end",
		"twice":                 "local s = S() kept = { s, s, { s }, [s] = s }",
		"table twice":           "local s = { S() } kept = { s, s, { s }, [s] = s }",
	} {
		l := DefaultLimits()
		vm := loadWith(t, "local function S() return ('x'):rep(2 ^ 20) end "+source, l)
		if n := vm.measure(math.MaxInt64); n < 1<<20 || n > 1<<20+150<<10 {
			t.Errorf("%s: %d bytes", name, n)
		}
	}
	vm := load(t, "kept = {}")
	kept := vm.globals.RawGetString("kept").(*lua.LTable)
	before := vm.measure(math.MaxInt64)
	kept.RawSetInt(1, &lua.LUserData{Value: lua.LString(strings.Repeat("x", 1<<20)), Metatable: lua.LNil})
	vm.parts = append(vm.parts, binding{"body", lua.LString(strings.Repeat("x", 1<<20))})
	if n := vm.measure(math.MaxInt64) - before; n < 2<<20 || n > 2<<20+4<<10 {
		t.Errorf("a userdata and a part of the call, of 1 MiB each, count %d", n)
	}
}

// TestSharedIsFree: what all VMs share is in no VM's account.
func TestSharedIsFree(t *testing.T) {
	empty := load(t, "").measure(math.MaxInt64)
	all := load(t, `kept = { string, table, math, state, log, json, time, print, json.null, pcall, string.rep }`).measure(math.MaxInt64)
	if all-empty > 1<<10 {
		t.Errorf("references to the libraries count %d bytes", all-empty)
	}
}

// TestPayloadMemory: what a request brings counts before the script begins, and
// when its parts are read.
func TestPayloadMemory(t *testing.T) {
	var form []host.Field
	for range 20_000 {
		form = append(form, host.Field{Name: strings.Repeat("n", 100) + string(rune('a'+len(form)%26)) + strings.Repeat("m", len(form)/26%100), Value: strings.Repeat("v", 2000)})
	}
	for name, c := range map[string]struct {
		call host.Call
		body string
		code string
	}{
		"JSON":       {host.Call{Type: "application/json", Body: []byte(`{"a":` + big(8<<20) + "}")}, "return 1", "memory_limit"},
		"JSON list":  {host.Call{Type: "application/json", Body: []byte(big(8 << 20))}, "return 1", "memory_limit"},
		"small JSON": {host.Call{Type: "application/json", Body: []byte(big(8 << 10))}, "return #call.json", ""},
		"form":       {host.Call{Form: form}, "return 1", "memory_limit"},
		"query":      {host.Call{Query: form}, "return 1", "memory_limit"},
		"less of it": {host.Call{Form: form[:2000]}, "return #call.form[next(request)]", ""},
		"body":       {host.Call{Type: "text/plain", Body: make([]byte, 20<<20)}, "local s = ('x'):rep(15 * 2 ^ 20) return #call.body .. #s", "memory_limit"},
		"one body":   {host.Call{Type: "text/plain", Body: make([]byte, 20<<20)}, "return #call.body", ""},
	} {
		c.call.Method = "POST"
		vm := loadWith(t, "function POST(request, call) "+c.body+" end", spacious())
		_, err := vm.Call(t.Context(), newFake(), Request{Call: c.call})
		if e := errs.From(err); (e == nil) != (c.code == "") || e != nil && e.CodeOf() != c.code {
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
	}
}

// TestYieldAcross: a coroutine cannot be left from within an operator.
func TestYieldAcross(t *testing.T) {
	for _, body := range []string{
		"local o = setmetatable({}, { __concat = coroutine.yield }) return o .. 'x'",
		"local o = setmetatable({}, { __concat = function() return (coroutine.yield()) end }) return 'x' .. o .. 'y'",
		"local o = setmetatable({}, { __newindex = function() coroutine.yield() end }) o.x = 1 return 1",
		"local o = setmetatable({}, { __index = function() return (coroutine.yield()) end }) return o.x",
		"for x in function() return (coroutine.yield()) end do end return 1",
	} {
		want(t, newFake(), "local ok, e = coroutine.resume(coroutine.create(function() "+body+" end)) return { ok, e }",
			`[false,"script.lua:1: attempt to yield across a metamethod or an iterator"]`)
	}
	want(t, newFake(), `local function f(n) if n == 0 then return coroutine.yield(1) end return f(n - 1) end
		local function g() local x = f(3) return x + 1 end
		local c = coroutine.wrap(function() local x = g() return x + 1 end) return { c(), c(5) }`, "[1,7]")
}

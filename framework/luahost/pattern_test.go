package luahost

import (
	"context"
	"strings"
	"testing"
	"time"
	"unsafe"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/errs"
)

func TestPattern(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		// What Lua 5.1 has and the library has not, or has otherwise.
		{`return { ("THE (quick) fox"):find("%f[%a]%a+%f[%A]") }`, "[1,3]"},
		{`return (("the fox"):gsub("%f[%w]%w+", string.upper))`, "THE FOX"},
		{`return { ("abc"):find("", 3) }`, "[3,2]"},
		{`return { ("abc"):find("", 4) }`, "[4,3]"},
		{`return { tostring(("abc"):find("", 5)), tostring(("abc"):find("c", 9, true)) }`, `["nil","nil"]`},
		{`return { tostring(("abc"):match("x")), select("#", ("abc"):match("x")) }`, `["nil",1]`},
		{`return { ("aaa"):gsub("a", "b", 0) }`, `["aaa",0]`},
		{`return { ("aaa"):gsub("a", "b", -1) }`, `["aaa",0]`},
		{`return { ("aaa"):gsub("a", 1) }`, `["111",3]`},
		{`return { ("a-b"):find("[%w-_]+") }`, "[1,3]"},
		{`return tostring(("aa"):find("()a%1"))`, "nil"},
		{`local next = ("a1b2"):gmatch("(%a)(%d)") local a, b = next() return { a, b, next() }`, `["a","1","b","2"]`},
		{`return (("\0x\0"):gsub("%z", "0"))`, "0x0"},
		{`return { ("abc"):byte(), ("abc"):byte(-1), ("abc"):byte(2, 3) }`, "[97,99,98,99]"},
		{`return { select("#", ("abc"):byte(4)), select("#", (""):byte()), select("#", ("abc"):byte(0)), ("abc"):byte(-9, 1) }`, "[0,0,0,97]"},
		{`return { ("abc"):sub(2), ("abc"):sub(-2, -2), ("abc"):sub(0, 9), ("abc"):sub(3, 2), ("abc"):sub(-9) }`, `["bc","b","abc","","abc"]`},
		{`return { ("abc"):sub(-math.huge), ("abc"):find("b", -math.huge) }`, `["abc",2,2]`},
		{`return { ("Größe"):upper(), ("ÉA"):lower(), ("ab"):reverse(), string.char(104, 105), string.char() }`, `["GRÖßE","éa","ba","hi",""]`},
		{`return ("\255É\195"):lower() == "\255é\195"`, "true"},
		{`return ("x"):format() .. ("%5c|%-3c|%c"):format(65, 66, 255):sub(1, 10)`, "x    A|B  |"},
		// Many matches, long texts.
		{`return { #("x"):rep(100000):gsub("x", "yz"), select(2, ("a b "):rep(1000):gsub("%s+", "")) }`, "[200000,2000]"},
		{`return #("x"):rep(100000):match("^(.-)$")`, "100000"},
		{`return ("("):rep(32) == ("("):rep(32):match(("("):rep(31) .. "(.)" .. (")"):rep(31) .. "?.*") and 1 or 0`, "0"},
		{`return select("#", ("x"):find(("()"):rep(32)))`, "34"},
		{`return #("a"):rep(90):match(("a?"):rep(90))`, "90"},
	} {
		want(t, newFake(), c.body, c.want)
	}
}

func TestPatternErrors(t *testing.T) {
	for pattern, text := range map[string]string{
		"%": "malformed pattern (ends with '%')", "a%": "malformed pattern (ends with '%')", "[a": "malformed pattern (missing ']')",
		"[": "malformed pattern (missing ']')", "[]": "malformed pattern (missing ']')", "[^]": "malformed pattern (missing ']')",
		"[a%": "malformed pattern (missing ']')", "[%]": "malformed pattern (missing ']')", "(a": "unfinished capture",
		"(": "unfinished capture", "a)": "invalid pattern capture", "(a))": "invalid pattern capture", "%1": "invalid capture index",
		"%0": "invalid capture index", "(a%1)": "invalid capture index", "(a)%2": "invalid capture index",
		"%b": "missing arguments to '%b'", "%bx": "missing arguments to '%b'", "%f": "missing '[' after '%f'", "%fa": "missing '[' after '%f'",
		"%f[a": "malformed pattern (missing ']')", strings.Repeat("()", 33): "too many captures",
	} {
		for _, f := range []string{"string.find('', %q)", "string.match('zzz', %q)", "string.gmatch('zzz', %q)", "string.gsub('', %q, '')"} {
			_ = wantError(t, newFake(), strings.Replace(f, "%q", literal(pattern), 1), errs.Script, "script.lua:1: ")
			_ = wantError(t, newFake(), strings.Replace(f, "%q", literal(pattern), 1), errs.Script, text)
		}
	}
	for body, text := range map[string]string{
		`("a"):gsub("a", "%1%2")`:                             "invalid capture index %2 in the replacement",
		`("a"):gsub("a", { a = {} })`:                         "invalid replacement value (a table)",
		`("a"):gsub("a", function() return true end)`:         "invalid replacement value (a boolean)",
		`("a"):gsub("a")`:                                     "string, number, table or function expected, got nil",
		`("a"):gsub("a", true)`:                               "string, number, table or function expected, got boolean",
		`("a"):gsub("a", function() error("mine") end)`:       "script.lua:1: mine",
		`string.find()`:                                       "bad argument #1 to find (string expected, got nil)",
		`("a"):rep(300):match(("a?"):rep(300))`:               "pattern too complex",
		`local s = ("a"):rep(50) s:gsub(("a-"):rep(300), "")`: "pattern too complex",
		`next({}, "x")`:                                       "invalid key to 'next'",
		`table.sort({ 1, "x" })`:                              "attempt to compare",
		`table.sort({ 1, 2 }, 5)`:                             "function expected, got number",
	} {
		_ = wantError(t, newFake(), body, errs.Script, text)
	}
}

// TestHostileText: no builtin of texts and tables runs long or large outside of
// the meter. Each body ends with the limit that it breaks, soon after a
// deadline of 50 ms or 1,000,000 steps, by itself, in pcall and in a coroutine.
func TestHostileText(t *testing.T) {
	const a30 = `local a = ("a"):rep(30000) `
	for _, c := range []struct{ body, code string }{
		// Patterns that backtrack.
		{a30 + `a:find(".-.-.-.-b")`, ""},
		{a30 + `a:find(".*.*.*.*b")`, ""},
		{a30 + `a:match("(a*)*(a*)(a*)(a*)b")`, ""},
		{a30 + `a:match("^(a+)(a+)(a+)(a+)%4b")`, ""},
		{a30 + `a:find(("a?"):rep(90) .. ("a"):rep(90) .. "b")`, ""},
		{a30 + `a:gsub("a-b", "")`, ""},
		{a30 + `a:gsub(".-.-.-$x", "")`, ""},
		{a30 + `for _ in a:gmatch("a*a*a*b") do end`, ""},
		{a30 + `a:gmatch(".-.-.-b")()`, ""},
		{a30 + `a:match("[^b]*[^c]*[^d]*b")`, ""},
		{a30 + `a:find("[%w%d%s]+[%w%d%s]+[%w%d%s]+!")`, ""},
		{a30 + `a:find("a+%f[b]a+%f[b]")`, ""},
		{`local s = ("x "):rep(30000) s:match(".-%s.-%s.-!")`, ""},
		{`local s = ("("):rep(30000) s:gsub("%b()", "")`, ""},
		{`local s = ("("):rep(30000) s:match(".-%b().-%b()")`, ""},
		{`local s = ("ab"):rep(30000) s:match("(.-)%1(.-)%2(.-)%3!")`, ""},
		{`local s = ("x"):rep(20000) s:match("(.*)%1!")`, ""},
		{`local s = ("x"):rep(3000) s:find("()()()(.-)()(.-)()(.-)!")`, ""},
		// Long patterns and sets.
		{a30 + `a:find("[" .. ("b"):rep(100000) .. "]")`, ""},
		{a30 + `a:match("[^" .. ("%d"):rep(50000) .. "]-!")`, ""},
		{a30 + `a:gsub("%f[" .. ("b-c"):rep(30000) .. "]", "")`, ""},
		{`local p = ("a"):rep(100000) while true do ("b"):find(p .. "%") end`, "script_failed"},
		{`local p = ("%a"):rep(100000) while true do ("b"):match(p) end`, ""},
		{`local p = ("[a]"):rep(30000) local s = ("a"):rep(30000) while true do s:match(p .. "b") end`, ""},
		{`local s, p = ("a"):rep(1000000), ("a"):rep(1000) .. "b" while true do s:find(p, 1, true) end`, ""},
		{`local s = ("ab"):rep(500000) while true do s:find("ba!", 1, true) end`, ""},
		// What grows.
		{`local s = ("x"):rep(6000) s:gsub("x", s)`, "memory_limit"},
		{`local s = ("x"):rep(3000) s:gsub(".*", ("%0"):rep(20000))`, "memory_limit"},
		{`local s = "x" while true do s = s:gsub(".", "%0%0%0%0") end`, "memory_limit"},
		{`local s = ("x"):rep(6000) s:gsub("", { [""] = s })`, "memory_limit"},
		{`local s = ("x"):rep(6000) s:gsub("x", function() return s end)`, "memory_limit"},
		{`local s = ("x"):rep(100000) string.format(("%s"):rep(400), unpack((function() local t = {} for i = 1, 400 do t[i] = s end return t end)()))`, "memory_limit"},
		{`local s = ("\0"):rep(12000000) string.format("%q", s)`, "memory_limit"},
		{`local s = ("é"):rep(2000000) while true do s:upper() end`, ""},
		{`local s = ("x"):rep(4000000) while true do s:reverse() end`, ""},
		{`local s = ("x"):rep(4000000) while true do s:sub(2) end`, ""},
		{`local s = ("x"):rep(4000000) while true do s:match(".*", 2) end`, ""},
		{`local f = ("%%"):rep(4000000) while true do f:format() end`, ""},
		{`local f = ("%99d"):rep(100000) while true do f:format(unpack({}, 1, 200)) end`, "script_failed"},
		// Functions that gsub calls.
		{`("aaa"):gsub("a", function() while true do end end)`, ""},
		{`local function f(s) return (s:gsub(".", f)) end f("x")`, "recursion_limit"},
		{`while true do pcall(string.gsub, "a", "a", error) end`, ""},
		{`("x"):rep(1000000):gsub("", function() end)`, ""},
		{`("x"):gsub("x", setmetatable({}, { __index = function() while true do end end }))`, ""},
		// Numbers that are long texts.
		{`local s = ("1"):rep(1000000) while true do tonumber(s) end`, ""},
		{`local s = ("0"):rep(1000000) while true do math.sin(s) end`, ""},
		{`local s = ("1"):rep(1000000) while true do pcall(error, s) end`, ""},
		// Tables.
		{`local t = {} for i = 1, 50000 do t[i] = 50000 - i end while true do table.sort(t, function(a, b) return a % 7 < b % 7 end) end`, ""},
		{`local t = {} for i = 1, 5000 do t[i] = i end while true do table.sort(t, function() return true end) end`, ""},
		{`local s, t = ("x"):rep(100000), {} for i = 1, 100 do t[i] = s .. i end while true do table.sort(t) end`, ""},
		{`local t = {} for i = 1, 50000 do t[i] = i end while true do table.insert(t, 1, 0) table.remove(t, 1) end`, ""},
		{`local t = {} for i = 1, 50000 do t[i] = i end while true do unpack(t, 1, 60000) end`, ""},
		{`local t = {} for i = 1, 50000 do t["k" .. i] = i end for i = 1, 49999 do t["k" .. i] = nil end while true do next(t) end`, ""},
		{`local t = {} for i = 1, 50000 do t[i] = i end for i = 1, 49999 do t[i] = nil end while true do next(t) end`, ""},
		{`local t = {} for i = 1, 50000 do t[i] = i end for i = 50000, 2, -1 do t[i] = nil end while true do table.getn(t) end`, ""},
		{`local t = {} for i = 1, 50000 do t[i] = i end while true do select("#", unpack(t)) end`, ""},
		{`local t = {} for i = 1, 200 do t[i] = 65 end while true do string.char(unpack(t)) end`, ""},
	} {
		hostileText(t, c.body, c.code, 1_000_000, time.Minute)
		hostileText(t, c.body, c.code, 1<<60, 50*time.Millisecond)
		if c.code == "script_failed" { // which the others would catch
			continue
		}
		hostileText(t, "pcall(function() "+c.body+" end) while true do end", c.code, 300_000, time.Minute)
		hostileText(t, "coroutine.resume(coroutine.create(function() "+c.body+" end)) while true do end", c.code, 300_000, time.Minute)
	}
}

// hostileText runs a body, which must end with the limit that is given, or
// with code. On a busy machine anything ends late at times: what ends late
// three times in a row does it by itself.
func hostileText(t *testing.T, body, code string, steps int64, limit time.Duration) {
	t.Helper()
	l, by := DefaultLimits(), "step_limit"
	if l.Steps, l.Time = steps, limit; limit < time.Second {
		by = "time_limit"
	}
	for tries := 1; ; tries++ {
		vm := loadWith(t, "function GET() "+body+" end", l)
		began := time.Now()
		_, err := vm.Call(context.Background(), newFake(), request("GET"))
		took, e := time.Since(began), errs.From(err)
		switch {
		case e == nil:
			t.Errorf("%s: no error, want %s", body, by)
		case e.CodeOf() != by && e.CodeOf() != code:
			t.Errorf("%s: %v (%s), want %s %s", body, e, e.CodeOf(), by, code)
		case by == "time_limit" && took > limit+500*time.Millisecond:
			if tries < 3 {
				continue
			}
			t.Errorf("%s: ended after %s, the deadline was %s", body, took, limit)
		}
		return
	}
}

// TestPartsAreCopies: a part of a string keeps nothing else of it in memory,
// and what an iterator keeps is seen by who walks over the values.
func TestPartsAreCopies(t *testing.T) {
	vm := load(t, "")
	vm.meter.begin(t.Context(), vm.limits)
	L, text := vm.state, strings.Repeat("some text ", 1000)
	run := func(fn lua.LGFunction, args ...lua.LValue) lua.LValue {
		if err := L.CallByParam(lua.P{Fn: L.NewFunction(fn), NRet: 1, Protect: true}, args...); err != nil {
			t.Fatal(err)
		}
		defer L.Pop(1)
		return L.Get(-1)
	}
	within := func(v lua.LValue) bool {
		s, start := uintptr(unsafe.Pointer(unsafe.StringData(v.String()))), uintptr(unsafe.Pointer(unsafe.StringData(text)))
		return s >= start && s < start+uintptr(len(text))
	}
	subject := lua.LString(text)
	iterator, ok := run(stringGmatch, subject, lua.LString("%a+")).(*lua.LFunction)
	if !ok || len(iterator.Upvalues) != 2 || iterator.Upvalues[0].Value() != subject || iterator.Upvalues[1].Value() != lua.LString("%a+") {
		t.Fatalf("the iterator has the upvalues %v", iterator.Upvalues)
	}
	for name, v := range map[string]lua.LValue{
		"sub": run(stringSub, subject, lua.LNumber(3), lua.LNumber(9)), "match": run(stringMatch, subject, lua.LString("%a+")),
		"gmatch": run(iterator.GFunction), "gsub": run(stringGsub, subject, lua.LString(".*"), lua.LString("")),
		"one byte": run(stringSub, subject, lua.LNumber(5), lua.LNumber(5)),
	} {
		if within(v) {
			t.Errorf("%s gives %q as a view of its subject", name, v)
		}
	}
	if !within(run(stringSub, subject, lua.LNumber(1))) {
		t.Error("the whole of a string was copied")
	}
}

// TestHostileTextIsCancelled: the kernel ends a call within a match.
func TestHostileTextIsCancelled(t *testing.T) {
	vm := loadWith(t, `function GET() pcall(string.find, ("a"):rep(30000), ".-.-.-.-b") end`, endless())
	ctx, cancel := context.WithCancelCause(t.Context())
	r := request("GET")
	r.Yield = func() { cancel(errs.New(errs.Busy, "enough", "")) }
	if _, err := vm.Call(ctx, newFake(), r); errs.From(err) == nil || errs.From(err).Code != "enough" {
		t.Errorf("got %v", err)
	}
}

func TestTables(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`local t = { 3, 1, 2 } table.sort(t) return t`, "[1,2,3]"},
		{`local t = { "b", "a", "B" } table.sort(t) return t`, `["B","a","b"]`},
		{`local t = { 3, 1, 2 } table.sort(t, function(a, b) return a > b end) return t`, "[3,2,1]"},
		{`local t = { 3, 1, 2 } t[3] = nil table.sort(t) return t`, "[1,3]"},
		{`local t = { 3, 1, 2 } pcall(table.sort, t, error) return t`, "[3,1,2]"},
		{`local t = { 3, 1, 2 } table.sort(t, function(a, b) table.remove(t) return a < b end) return t`, "[1,2,3]"},
		{`local t = { 3, 1, 2, 5, 4 } table.sort(t, function(a, b) table.remove(t, 1) return a < b end) return t`, "[1,2,3,4,5]"},
		{`local t, n = { 5, 4, 3, 2, 1 }, 0 pcall(table.sort, t, function(a, b) n = n + 1 if n > 3 then error("x") end return a < b end) return t`, "[5,4,3,2,1]"},
		{`local m = { __lt = function(a, b) return a.n < b.n end } local t = {} for i, n in ipairs{ 3, 1, 2 } do t[i] = setmetatable({ n = n }, m) end
			table.sort(t) return { t[1].n, t[2].n, t[3].n }`, "[1,2,3]"},
		{`local t = {} for i = 1, 1000 do t[i] = (i * 7919) % 1000 end table.sort(t, function() return true end) return #t`, "1000"},
		{`local t = { 1, 2, 3 } t[3] = nil return { table.remove(t), #t }`, "[2,1]"},
		{`local t = { 1, 2, 3 } return { table.remove(t, 1), t[1], t[2], #t, tostring(table.remove(t, 0)), tostring(table.remove(t, 3)), #t }`, `[1,2,3,2,"nil","nil",2]`},
		{`local t = { 1, 2, 3, 4 } t[4] = nil t[3] = nil table.insert(t, 9) return { #t, t[3] }`, "[3,9]"},
		{`local t = { 1, 2 } table.insert(t, 1, 0) table.insert(t, 4, 3) return t`, "[0,1,2,3]"},
		{`local t = { 1, 2, 3 } t[3] = nil return { table.getn(t), table.maxn(t), (unpack(t)), select("#", unpack(t)), select("#", unpack(t, 1, 5)) }`, "[2,2,1,2,5]"},
		{`local t, n = { 1, nil, 3, x = 4, y = 5 }, 0 t.x = nil for k, v in pairs(t) do n = n + v end return n`, "9"},
		{`local t = { 1, 2, 3, x = 4 } local seen = {} for k in pairs(t) do seen[#seen + 1] = tostring(k) t[k] = nil end return { #seen, tostring(next(t)) }`, `[4,"nil"]`},
		{`local t = { [0] = "a", [-1] = "b", [1.5] = "c" } local n = 0 for k, v in pairs(t) do n = n + 1 end return n`, "3"},
		{`return { select(-1, "a", "b"), select(2, "a", "b"), math.max(1, 5, 3), tostring(next({})) }`, `["b","b",5,"nil"]`},
	} {
		want(t, newFake(), c.body, c.want)
	}
}

// BenchmarkPattern has calls that scripts make, here and in the unmodified library.
func BenchmarkPattern(b *testing.B) {
	for _, c := range []struct{ name, body string }{
		{"find-plain", `return (string.find(text, "lazy", 1, true))`},
		{"find-class", `return (string.find(text, "%d+"))`},
		{"match-trim", `return (string.match("  trim me, please  ", "^%s*(.-)%s*$"))`},
		{"match-date", `return (string.match("2024-01-31T10:20:30Z", "^(%d+)-(%d+)-(%d+)"))`},
		{"gmatch-words", `local n = 0 for w in string.gmatch(text, "[%w_]+") do n = n + #w end return n`},
		{"gsub-string", `return (string.gsub(text, "o", "0"))`},
		{"gsub-escape", `return (string.gsub(text, "[<>&]", { ["<"] = "&lt;", [">"] = "&gt;", ["&"] = "&amp;" }))`},
		{"gsub-function", `return (string.gsub(text, "%a+", function(w) return w end))`},
		{"backtrack", `return (string.find(text, ".-.-!"))`},
		{"sub-bytes", `local n = 0 for i = 1, #text do if string.sub(text, i, i) == "o" then n = n + 1 end end return n`},
	} {
		benchmarkBoth(b, c.name, `local text = ("the quick brown fox <jumps> over the lazy dog & 1 cat\n"):rep(4)
			function GET() `+c.body+` end`)
	}
}

package luahost

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

func TestState(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{"return { tostring(state.get('a')), state.get('a', 5), tostring(state.get('a', nil)) }", `["nil",5,"nil"]`},
		{"state.set('a', { b = json.array{}, c = json.null, d = { 1, 2 } }) return state.get('a')", `{"b":[],"c":null,"d":[1,2]}`},
		{"state.set('a', 1) state.set('a', nil) return tostring(state.get('a'))", "nil"},
		{"state.set('a', 1) state.delete('a') return tostring(state.get('a'))", "nil"},
		{"state.set('a', { 1 }) local t = state.get('a') t[1] = 2 return state.get('a')", "[1]"},
		{"state.set('a', { 1 }) local t = state.get('a') table.remove(t) state.set('a', t) return state.get('a')", "[]"},
		{"state.set('a', false) return state.get('a', true)", "false"},
		{"state.set('a', json.null) return state.get('a', 1) == json.null", "true"},
		{"state.set('a', -0) return 1 / state.get('a') > 0", "true"},
		{"state.set('a', 9007199254740992) return state.get('a')", "9007199254740992"},
		{"return { state.incr('n'), state.incr('n', 2.5), state.incr('n', -1) }", "[1,3.5,2.5]"},
		{"return { state.update('n', function(v) return (v or 0) + 1 end), state.update('n', function(v) return v * 10 end) }", "[1,10]"},
		{"state.set('a', 1) return { tostring(state.update('a', function() end)), tostring(state.get('a')) }", `["nil","nil"]`},
		{"state.set('b', 1) state.set('a', 2) state.set('ab', 3) return { state.keys(), state.keys('a'), state.keys('x'), state.all() }",
			`[["a","ab","b"],["a","ab"],[],{"a":2,"ab":3,"b":1}]`},
	} {
		want(t, newFake(), c.body, c.want)
	}
	for _, c := range []struct{ value, path string }{
		{"{ a = { 1, 0/0 } }", "value.a[2]: NaN"}, {"1/0", "value: an infinite"}, {"9007199254740994", "value: whole numbers"}, {"{ x = 1e300 }", "value.x: whole"},
		{"'\\255'", "UTF-8"}, {"{ ['\\255'] = 1 }", "UTF-8"}, {"{ nil, 1 }", "value[1]: a sequence has no holes"}, {"{ 1, x = 1 }", `"x"`},
		{"print", "function"}, {"{ [print] = 1 }", "key of type function"}, {"(function() local t = {} t[1] = t return t end)()", "value[1]: the table contains itself"},
	} {
		_ = wantError(t, newFake(), "state.set('k', "+c.value+")", errs.Script, "script.lua:1: state.set: ")
		_ = wantError(t, newFake(), "state.set('k', "+c.value+")", errs.Script, c.path)
	}
	for _, body := range []string{
		"state.set('', 1)", "state.set('\\255', 1)", "state.set(1, 1)", "state.set('a')", "state.get()", "state.delete({})", "state.incr('a', 'x')",
		"state.set('a', 'x') state.incr('a')", "state.set('a', json.null) state.incr('a')", "state.incr('a', 0/0)", "state.incr('a', 2^53) state.incr('a', 2^53)",
		"state.update('a', 1)", "state.keys({})", "state.list{ limit = 0 }", "state.list{ limit = 1001 }", "state.list{ limit = 1.5 }", "state.list{ limit = true }",
		"state.list{ prefix = 1 }", "state.list(5)",
	} {
		_ = wantError(t, newFake(), body, errs.Script, "script.lua:1:")
	}
}

func TestStateList(t *testing.T) {
	o := newFake()
	for _, k := range []string{"a", "e:1", "e:2", "e:3", "e:4", "f"} {
		o.state[k] = `"` + k + `"`
	}
	for _, c := range []struct{ query, want string }{
		{"{ prefix = 'e:', limit = 2 }", `[[{"key":"e:1","value":"e:1"},{"key":"e:2","value":"e:2"}],"e:2"]`},
		{"{ prefix = 'e:', limit = 2, after = 'e:2' }", `[[{"key":"e:3","value":"e:3"},{"key":"e:4","value":"e:4"}],"nil"]`},
		{"{ prefix = 'e:', limit = 1, reverse = true }", `[[{"key":"e:4","value":"e:4"}],"e:4"]`},
		{"{ prefix = 'e:', after = 'e:2', reverse = true }", `[[{"key":"e:1","value":"e:1"}],"nil"]`},
		{"{ prefix = 'x', after = json.null }", `[[],"nil"]`},
		{"{ prefix = 'e:', limit = '1' }", `[[{"key":"e:1","value":"e:1"}],"e:1"]`},
		{"{ prefix = 'f', limit = json.null }", `[[{"key":"f","value":"f"}],"nil"]`},
	} {
		want(t, o, "local rows, cursor = state.list"+c.query+" return { rows, tostring(cursor) }", c.want)
	}
	want(t, o, "return #state.list()", "6")
	for limit, text := range map[string]string{
		"'0'": "'0'", "'1001'": "'1001'", "'99999999999999999999'": "'99999999999999999999'", "''": "''", "'ten'": "'ten'", "'5.0'": "'5.0'",
		"'+5'": "'+5'", "' 5'": "' 5'", "'0x5'": "'0x5'", "2.5": "2.5", "0/0": "NaN", "true": "a boolean", "{}": "a table",
	} {
		_ = wantError(t, o, "state.list{ limit = "+limit+" }", errs.Script, "state.list: limit must be a whole number from 1 to 1000, not "+text)
	}
}

func TestLog(t *testing.T) {
	o := newFake()
	want(t, o, `log.debug("a") log.info("b", { n = 1, t = { 1 } }) log.warning(5, {}) log.error("bad \255", { s = "\255" }) log.critical("e", nil)
		print("x", 1, nil, true, setmetatable({}, { __tostring = function() return "T" end })) return 1`, "1")
	wantLogs := []entry{
		{storage.Debug, "a", ""}, {storage.Info, "b", `{"n":1,"t":[1]}`}, {storage.Warning, "5", ""},
		{storage.Error, "bad \uFFFD", `{"s":"` + "\uFFFD" + `"}`}, {storage.Critical, "e", ""}, {storage.Info, "x\t1\tnil\ttrue\tT", ""},
	}
	if d := cmp.Diff(wantLogs, o.logs); d != "" {
		t.Error(d)
	}
	for _, body := range []string{"log.info()", "log.info({})", "log.info('x', 1)", "log.info('x', { 1 })", "log.info('x', json.array{})", "log.info('x', { a = print })"} {
		_ = wantError(t, newFake(), body, errs.Script, "script.lua:1: log")
	}
}

func TestJSONAPI(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`return json.encode({ b = 1, a = { true, json.null } })`, `{"a":[true,null],"b":1}`},
		{`return { json.encode("é\n\"\\\1"), json.encode(1e21), json.encode(0.1), json.encode(-0), json.encode(2^53), json.encode(1e-7), json.encode(nil) }`,
			`["\"é\\n\\\"\\\\\\u0001\"","1e+21","0.1","0","9007199254740992","1e-07","null"]`},
		{`return json.decode('{"a":[1,{"b":null}],"c":"\\u00e9\\ud83d\\ude00\\ud800"}')`, `{"a":[1,{"b":null}],"c":"é😀` + "\uFFFD" + `"}`},
		{`local v, e = json.decode("{") return { tostring(v), e }`, `["nil","malformed JSON at byte 2: a key should begin here"]`},
		{`local v, e = json.decode("12345678901234567890") return v == 12345678901234567890`, "true"},
		{`return { json.array{}, json.array(), json.array{ 1 }, json.decode("[]"), tostring(json.null), json.null == json.decode("null") }`, `[[],[],[1],[],"null",true]`},
	} {
		want(t, newFake(), c.body, c.want)
	}
	for _, body := range []string{"json.encode(print)", "json.encode({ a = 0/0 })", "json.decode(5)", "json.decode()", "json.array(1)", "json.encode()"} {
		_ = wantError(t, newFake(), body, errs.Script, "script.lua:1:")
	}
}

func TestTime(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{"local n = time.now() return n >= 1700000000.25 and n < 1700000010", "true"},
		{"return time.iso(1700000000.25)", "2023-11-14T22:13:20.250Z"},
		{"return time.iso():sub(1, 17)", "2023-11-14T22:13:"},
		{"return { time.parse('2023-11-14T22:13:20.25Z'), time.parse('2023-11-14T23:13:20+01:00'), time.parse('1970-01-02') }", "[1700000000.25,1700000000,86400]"},
		{"local v, e = time.parse('soon') return { tostring(v), e }", `["nil","'soon' is no time like 2006-01-02T15:04:05Z or 2006-01-02"]`},
		{"return tostring(time.sleep)", "nil"},
	} {
		want(t, newFake(), c.body, c.want)
	}
	for _, body := range []string{"time.iso('x')", "time.iso(0/0)", "time.iso(1e15)", "time.parse()"} {
		_ = wantError(t, newFake(), body, errs.Script, "script.lua:1:")
	}
}

func TestBuiltins(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`return string.format("%5.1f|%-4d|%04x|%s|%q|%c|%%|%i|%g|%5s", 3.14159, 7, 255, {1} and "s", 'a"\n', 65, 9.9, 0.5, "r")`,
			"  3.1|7   |00ff|s|\"a\\\"\\\n\"|A|%|9|0.5|    r"},
		{`return string.format("%g %g %.3f %5.1f %e %g", 0.1 + 0.2, 1e20, 1/3, -1/0, 12345.678, 0/0)`, "0.3 1e+20 0.333  -inf 1.234568e+04 nan"},
		{`return string.format("entry:%012d", 42)`, "entry:000000000042"},
		{`return { tonumber("1e5"), tonumber(" 10 "), tonumber("0x1f"), tonumber("ff", 16), tonumber("-5"), tonumber("1.5"), tostring(tonumber("inf")), tostring(tonumber("")), tostring(tonumber("5x")), tonumber("010") }`,
			`[100000,10,31,255,-5,1.5,"nil","nil","nil",10]`},
		{`return { math.huge == 1/0, -math.huge == -1/0, 1e308 < math.huge }`, "[true,true,true]"},
		{`return table.concat({ 1, "b", 3 }, ", ")`, "1, b, 3"},
		{`return table.concat({ 1, 2, 3 }, "-", 2, 3) .. table.concat({})`, "2-3"},
		{`local t = { 1 } table.insert(t, 1, 0) table.insert(t, 2) return t`, "[0,1,2]"},
		{`math.randomseed(5) local a = math.random(1000) math.randomseed(5) return a == math.random(1000)`, "true"},
		{`local n = math.random(3, 5) return n >= 3 and n <= 5 and math.random() < 1`, "true"},
		{`return { pcall(error, "x", 0) }`, `[false,"x"]`},
		{`return { pcall(function(...) return ... end, 1, 2) }`, "[true,1,2]"},
		{`return { xpcall(function() error("a", 0) end, function(e) return e .. "!" end) }`, `[false,"a!"]`},
		{`return { xpcall(function() error("a", 0) end, function(e) error("b", 0) end) }`, `[false,"b"]`},
		{`return { xpcall(function() return 1, 2 end, print) }`, "[true,1,2]"},
		{`return { pcall(nil) }`, `[false,"script.lua:1: attempt to call a non-function object"]`},
	} {
		want(t, newFake(), c.body, c.want)
	}
	for _, body := range []string{`string.format("%d", "x")`, `string.format("%v", 1)`, `string.format("%999d", 1)`, `string.format("%s")`, `string.format("%")`,
		`table.concat({ {} })`, `table.insert({}, 5, 1)`, `table.insert({})`, `math.random(0)`, `math.random(5, 1)`} {
		_ = wantError(t, newFake(), body, errs.Script, "script.lua:1:")
	}
}

// TestCaughtErrorsKeepVariables: a variable that a function shares with its
// closures stays one variable after an error was caught.
func TestCaughtErrorsKeepVariables(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`local n = 0 local f = function() n = n + 1 error("x") end pcall(f) xpcall(f, tostring) pcall(f) return n`, "3"},
		{`local n, g = 0 local f = function() local m = 5 g = function() m = m + 1 n = n + m return m end error("x") end
			pcall(f) local a, b, c, d, e = 1, 2, 3, 4, 5 return { g(), g(), n }`, "[6,7,13]"},
		{`local n = 0 local f = function() n = n + 1 error("x") end
			pcall(function() pcall(f) local m = 1 local g = function() m = m + 1 error("y") end pcall(g) pcall(g) n = n + m end)
			pcall(f) return n`, "5"},
		{`local n = 0 local f = coroutine.wrap(function() local m = 0 local g = function() m = m + 1 n = n + 1 error("x") end
			pcall(g) coroutine.yield(m) pcall(g) return m end) return { f(), f(), n }`, "[1,2,2]"},
		{`local out = {} local f = function() local m = #out * 10 out[#out + 1] = function() m = m + 1 return m end error("x") end
			pcall(f) pcall(f) return { out[1](), out[2](), out[1]() }`, "[1,11,2]"},
		{`local n = 0 local f = function() n = n + 1 error("x") end pcall(function() pcall(f) error("y") end) pcall(f) return n`, "2"},
		{`local g pcall(function() local m = 5 g = function() m = m + 1 return m end pcall(error) error("y") end)
			local a, b, c, d, e = 1, 2, 3, 4, 5 return { g(), g() }`, "[6,7]"},
		{`local g pcall(coroutine.wrap(function() local m = 1 g = function() m = m + 1 return m end error("x") end)) return { g(), g() }`, "[2,3]"},
		{`local n = 0 pcall(table.sort, { 2, 1 }, function() n = n + 1 error("x") end) n = n + 1 return (function() return n end)()`, "2"},
		{`local t = {} for i = 1, 3 do local v = i pcall(function() t[i] = function() v = v + 1 return v end error("x") end) v = v * 10 end
			return { t[1](), t[2](), t[3]() }`, "[11,21,31]"},
	} {
		want(t, newFake(), c.body, c.want)
	}
}

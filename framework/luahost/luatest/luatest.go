// Package luatest holds the state of objects to its promise: that an accepted
// value reads the same wherever it has been, and that any other is refused by
// name. It generates values of both kinds and objects that check themselves,
// so that one set of cases serves a VM, a dispatcher and a whole station. It is
// for tests alone.
package luatest

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"pgregory.net/rapid"
)

// Value is a Lua value that state accepts.
type Value struct {
	Lua  string // an expression that makes it
	Data any    // the same as encoding/json reads it
}

// Check says how JSON text differs from the value; nil where it is equal.
func (v Value) Check(text []byte) error {
	var got any
	if err := json.Unmarshal(text, &got); err != nil {
		return fmt.Errorf("%s is %q, which is no JSON: %w", v.Lua, text, err)
	}
	if !reflect.DeepEqual(v.Data, got) { // go-cmp takes exponentially long for deep values
		return fmt.Errorf("%s is %s", v.Lua, text)
	}
	return nil
}

// Refusal is a Lua value that state refuses.
type Refusal struct {
	Lua  string // an expression that makes it
	Path string // of the culprit, as the message names it: "value.a[2]"
	Text string // a part of what the message says of it
}

// maxNesting is how many levels of tables a value has at most.
const maxNesting = 128

// Values generates values that state accepts.
func Values() *rapid.Generator[Value] {
	return rapid.OneOf(rapid.Custom(func(t *rapid.T) Value { return draw(t, 4) }), rapid.Custom(drawDeep))
}

// draw gives a value of at most depth levels of tables.
func draw(t *rapid.T, depth int) Value {
	kinds := []func(*rapid.T) Value{drawConstant, drawNumber, drawNumber, drawString, drawString}
	if depth > 0 {
		kinds = append(kinds,
			func(t *rapid.T) Value { return drawArray(t, depth-1) },
			func(t *rapid.T) Value { return drawObject(t, depth-1) })
	}
	return kinds[rapid.IntRange(0, len(kinds)-1).Draw(t, "kind")](t)
}

func drawConstant(t *rapid.T) Value {
	return rapid.SampledFrom([]Value{
		{"true", true}, {"false", false}, {"json.null", nil}, {"{}", map[string]any{}}, {"json.array()", []any{}},
		{"json.array({ 1 })", []any{1.0}},
		{"(function() local t = json.array({ 1 }) table.remove(t) return t end)()", []any{}},
		{`json.decode('{"a":[],"b":{}}')`, map[string]any{"a": []any{}, "b": map[string]any{}}},
	}).Draw(t, "constant")
}

func drawNumber(t *rapid.T) Value {
	const whole = 1 << 53
	f := rapid.OneOf(
		rapid.SampledFrom([]float64{
			0, 1, -1, 0.1, -0.5, whole, -whole, whole - 1, whole/2 + 0.5, 5e-324, 1e-7, 1e-6, 123456.789, math.Pi, 0x1p-1022,
		}),
		rapid.Map(rapid.Int64Range(-whole, whole), func(n int64) float64 { return float64(n) }),
		rapid.Float64Range(-whole, whole),
		rapid.Float64Range(-1, 1),
	).Draw(t, "number")
	return Value{number(f), f}
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func drawString(t *rapid.T) Value {
	s := text().Draw(t, "string")
	return Value{Quote(s), s}
}

// text generates valid UTF-8, and what an escape or a file format could trip over.
func text() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.String(),
		rapid.SampledFrom([]string{
			"", "\x00", "a\tb\nc\rd", `"\`, "\u2028\u2029", "\ufffd", "\ufeff", "é€😀", "\x7f\u0080", "null", "1", "1e5", "</script>", `\u0041`, "\r\n",
		}),
		rapid.Map(rapid.IntRange(1, 2000), func(n int) string { return strings.Repeat("long ", n) }),
	)
}

// Quote gives the Lua literal of any bytes.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			fmt.Fprintf(&b, `\%03d`, c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func drawArray(t *rapid.T, depth int) Value {
	v := Value{"{ ", []any{}}
	list := []any{}
	for range rapid.IntRange(1, 4).Draw(t, "length") {
		e := draw(t, depth)
		v.Lua += e.Lua + ", "
		list = append(list, e.Data)
	}
	return Value{v.Lua + "}", list}
}

// keys generates the names of fields, those among them that look like others.
func keys() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringMatching(`[a-z_][a-z0-9_]{0,8}`), rapid.SampledFrom([]string{"", "1", "-1", "a b", "end", "é", "\"", "a.b", "\n"}))
}

func drawObject(t *rapid.T, depth int) Value {
	lua, fields := "{ ", map[string]any{}
	for _, k := range rapid.SliceOfNDistinct(keys(), 1, 4, rapid.ID[string]).Draw(t, "keys") {
		e := draw(t, depth)
		lua += "[" + Quote(k) + "] = " + e.Lua + ", "
		fields[k] = e.Data
	}
	return Value{lua + "}", fields}
}

// drawDeep gives a value of many levels, at most as many as may be.
func drawDeep(t *rapid.T) Value {
	n := rapid.OneOf(rapid.IntRange(1, maxNesting), rapid.Just(maxNesting)).Draw(t, "levels")
	var data any = 1.0
	for range n {
		data = []any{data}
	}
	return Value{nested(n), data}
}

func nested(levels int) string {
	return fmt.Sprintf("(function() local t = 1 for i = 1, %d do t = { t } end return t end)()", levels)
}

// culprits are what makes a value refused, wherever it stands. The path is
// that within it.
var culprits = []Refusal{
	{"0/0", "", "NaN is no JSON value"},
	{"1/0", "", "an infinite number is no JSON value"},
	{"-1/0", "", "an infinite number is no JSON value"},
	{"2^53 + 2", "", "whole numbers above 2^53 lose digits"},
	{"-(2^53) - 2", "", "whole numbers above 2^53 lose digits"},
	{"1e300", "", "whole numbers above 2^53 lose digits"},
	{`"\255"`, "", "the string is not UTF-8 at byte 1"},
	{`"ok\192\175"`, "", "the string is not UTF-8 at byte 3"},
	{`"\237\160\128"`, "", "the string is not UTF-8 at byte 1"},
	{"print", "", "a function is no JSON value"},
	{"function() end", "", "a function is no JSON value"},
	{"coroutine.create(function() end)", "", "a thread is no JSON value"},
	{"{ 1, nil, 3 }", "[2]", "a sequence has no holes"},
	{"{ [3] = 1 }", "[1]", "a sequence has no holes"},
	{"{ 1, 2, a = 3 }", "", `has the key "a" beside those of a sequence`},
	{"{ 1, [true] = 3 }", "", "has the key of type boolean beside those of a sequence"},
	{"{ [1.5] = 1 }", "", "the key 1.5 is no string"},
	{"{ [0] = 1 }", "", "the key 0 is no string"},
	{"{ [-1] = 1 }", "", "the key -1 is no string"},
	{"{ [false] = 1 }", "", "the key of type boolean is no string"},
	{"{ [print] = 1 }", "", "the key of type function is no string"},
	{"{ [json.null] = 1 }", "", "the key of type userdata is no string"},
	{`{ ["\255"] = 1 }`, "", "a key is not UTF-8"},
	{"(function() local t = {} t.x = { t } return t end)()", ".x[1]", "the table contains itself"},
	{"(function() local t = { 1 } t[2] = t return t end)()", "[2]", "the table contains itself"},
	{"(function() local t = json.array() t.a = 1 return t end)()", "", `has the key "a" but is marked as an array`},
}

// Refusals generates values that state refuses, the culprit at any place among
// what would be accepted.
func Refusals() *rapid.Generator[Refusal] {
	return rapid.Custom(func(t *rapid.T) Refusal {
		r := rapid.SampledFrom(culprits).Draw(t, "culprit")
		wraps := rapid.IntRange(0, 4).Draw(t, "levels")
		if rapid.IntRange(0, 20).Draw(t, "deep") == 0 {
			r = Refusal{nested(maxNesting + 1 - wraps), strings.Repeat("[1]", maxNesting-wraps), "nested more than 128 levels deep"}
		}
		for range wraps {
			r = wrap(t, r)
		}
		r.Path = shorten("value" + r.Path)
		return r
	})
}

// wrap puts a refused value into a table.
func wrap(t *rapid.T, r Refusal) Refusal {
	if rapid.Bool().Draw(t, "array") {
		before, lua := rapid.IntRange(0, 2).Draw(t, "before"), "{ "
		for range before {
			lua += draw(t, 1).Lua + ", "
		}
		return Refusal{lua + r.Lua + ", " + draw(t, 1).Lua + " }", fmt.Sprintf("[%d]", before+1) + r.Path, r.Text}
	}
	names := rapid.SliceOfNDistinct(keys(), 2, 2, rapid.ID[string]).Draw(t, "keys")
	lua := "{ [" + Quote(names[0]) + "] = " + draw(t, 1).Lua + ", [" + Quote(names[1]) + "] = " + r.Lua + " }"
	return Refusal{lua, member(names[1]) + r.Path, r.Text}
}

// member gives a field as paths name it: .name, or ["any name"].
func member(key string) string {
	if strings.Trim(key, "abcdefghijklmnopqrstuvwxyz_0123456789") == "" && strings.Trim(key[:min(1, len(key))], "0123456789") != "" {
		return "." + key
	}
	return "[" + strconv.Quote(key) + "]"
}

// shorten cuts a path as messages do, after 200 bytes.
func shorten(path string) string {
	const most, mark = 200, "…"
	if len(path) <= most {
		return path
	}
	n := most - len(mark)
	for path[n]&0xc0 == 0x80 {
		n--
	}
	return path[:n] + mark
}

// Key is the state key of the object of Script that has the value i.
func Key(i int) string { return fmt.Sprintf("value:%04d", i) }

// Script gives the source of an object for these cases. Its POST sets the
// values and tries what must be refused. POST and GET then read everything and
// answer a list of what is wrong: [] where nothing is.
func Script(values []Value, refusals []Refusal) string {
	var b strings.Builder
	b.WriteString("local values, refused = {}, {}\n")
	for i, v := range values {
		fmt.Fprintf(&b, "values[%q] = function() return %s end\n", Key(i), v.Lua)
	}
	for i, r := range refusals {
		fmt.Fprintf(&b, "refused[%q] = { make = function() return %s end, path = %s, text = %s }\n",
			fmt.Sprintf("refused:%04d", i), r.Lua, Quote("state.set: "+r.Path+": "), Quote(r.Text))
	}
	b.WriteString(checks)
	return b.String()
}

const checks = `
local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for k, v in pairs(a) do if not same(v, b[k]) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end

local function check(wrong)
  local all, listed, after = state.all(), {}, nil
  repeat
    local rows
    rows, after = state.list{ after = after, limit = 7 }
    for _, row in ipairs(rows) do listed[row.key] = row.value end
  until not after
  for key, make in pairs(values) do
    local want, first = make(), state.get(key)
    local text = json.encode(want)
    if type(first) == "table" then -- a copy, which is the script's to change
      for k in pairs(first) do first[k] = nil end
      first.changed = true
    end
    for how, got in pairs{ get = { state.get(key) }, all = { all[key] }, list = { listed[key] } } do
      if not same(want, got[1]) or json.encode(got[1]) ~= text then
        table.insert(wrong, key .. " by " .. how .. " is " .. json.encode(got[1]) .. ", not " .. text)
      end
    end
  end
  for key in pairs(refused) do
    if state.get(key) ~= "before" then table.insert(wrong, key .. " was changed") end
  end
  return wrong
end

function POST()
  local wrong = json.array()
  for key, make in pairs(values) do state.set(key, make()) end
  for key, r in pairs(refused) do
    state.set(key, "before")
    local ok, e = pcall(state.set, key, r.make())
    if ok or not string.find(e, r.path, 1, true) or not string.find(e, r.text, 1, true) then
      table.insert(wrong, key .. " gives " .. tostring(e) .. ", not " .. r.path .. r.text)
    end
  end
  return check(wrong)
end

function GET() return check(json.array()) end
`

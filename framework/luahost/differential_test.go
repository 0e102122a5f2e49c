package luahost

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// prelude gives both machines the same values to play with, and a trace of what
// metamethods saw.
const prelude = `
	local trace = {}
	local function show(v)
		if type(v) == "table" then return "T" elseif type(v) == "function" then return "F" end
		return type(v) .. ":" .. tostring(v)
	end
	local meta = {
		__concat = function(a, b) trace[#trace + 1] = "concat " .. show(a) .. " " .. show(b) return "<c>" end,
		__newindex = function(t, k, v) trace[#trace + 1] = "set " .. show(k) .. " " .. show(v) rawset(t, k, v) end,
	}
	local function say(n, v) trace[#trace + 1] = "say " .. n return v end
	local a, b, c = "x", 2, 3.5
	local t, u = {}, setmetatable({}, meta)
	local w = setmetatable({}, { __newindex = t })
	local refuse = setmetatable({}, { __concat = function() error("refused", 0) end, __newindex = function() error({ 1 }) end })
`

// postlude turns everything that can be seen into one text.
const postlude = `
	local function dump(v, depth)
		if type(v) ~= "table" or depth > 1 then return show(v) end
		local parts = { "#" .. #v }
		for k, x in next, v do parts[#parts + 1] = show(k) .. "=" .. dump(x, depth + 1) end
		return "{" .. table.concat(parts, ",") .. "}"
	end
	return table.concat({ dump(a, 0), dump(b, 0), dump(c, 0), dump(t, 0), dump(u, 0), dump(w, 0), dump(trace, 0) }, ";")
`

// program draws statements that use what is charged: concatenations, sets,
// constructors, assignments of several values, closures.
func program(t *rapid.T) string {
	atom := rapid.SampledFrom([]string{
		"a", "b", "c", "t", "u", "w", "refuse", "nil", "true", "1", "2", "-0", "0", "1e15", "0/0", "3", "70", "2^40", "1.5", `""`, `"k"`, `"7"`,
		"say(1, a)", "say(2, b)", "say(3, u)", "t[1]", "t.k", "u[2]", "t[t]", "w.k",
	})
	value := rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 6).Draw(t, "kind") {
		case 0, 1:
			return strings.Join(rapid.SliceOfN(atom, 2, 5).Draw(t, "chain"), " .. ")
		case 2:
			return "(" + atom.Draw(t, "l") + " .. " + atom.Draw(t, "m") + ") .. " + atom.Draw(t, "r")
		case 3:
			return fmt.Sprintf("{ [%s] = %s, %s, k = %s }", atom.Draw(t, "k"), atom.Draw(t, "v"), atom.Draw(t, "i"), atom.Draw(t, "f"))
		case 4:
			return "{ " + strings.Repeat(atom.Draw(t, "item")+", ", rapid.SampledFrom([]int{1, 49, 50, 51, 120}).Draw(t, "n")) + "}"
		}
		return atom.Draw(t, "atom")
	})
	place := rapid.Custom(func(t *rapid.T) string {
		if rapid.Bool().Draw(t, "local") {
			return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
		}
		return rapid.SampledFrom([]string{"t", "u", "w", "refuse", "a"}).Draw(t, "of") + "[" + atom.Draw(t, "key") + "]"
	})
	statement := rapid.Custom(func(t *rapid.T) string {
		l, v := place.Draw(t, "place"), value.Draw(t, "value")
		switch rapid.IntRange(0, 7).Draw(t, "statement") {
		case 0:
			return fmt.Sprintf("%s, %s = %s, %s", l, place.Draw(t, "second"), v, value.Draw(t, "other"))
		case 1:
			return fmt.Sprintf("for i = 1, 3 do %s = %s t[i .. ''] = i end", l, v)
		case 2:
			return fmt.Sprintf("do local x = %s %s = function() return x end end", v, l)
		case 3:
			return fmt.Sprintf("repeat local x = %s %s = x until x or true", v, l)
		case 4:
			return fmt.Sprintf("local function f(...) local p = { ... } return #p .. select('#', ...) end %s = f(%s, %s)", l, v, atom.Draw(t, "arg"))
		case 5:
			return fmt.Sprintf("t.k, t['l'] = %s, %s", v, atom.Draw(t, "l"))
		}
		return l + " = " + v
	})
	var body strings.Builder
	for _, s := range rapid.SliceOfN(statement, 1, 6).Draw(t, "statements") {
		// Each is protected, so that the next runs; what it raised is compared.
		fmt.Fprintf(&body, "\tdo local ok, e = pcall(function()\n%s\nend) if not ok then trace[#trace + 1] = show(e) end end\n", s)
	}
	return body.String()
}

// library has the instructions as they are without us: variables get their
// values before init puts our own in front.
var library = jumpTable

// TestSameAsTheLibrary: what is charged means what it means in the library
// alone, whose instructions run each program too: values, order, errors and
// lines. The rest of the VM is the same, since pcall is not the library's.
func TestSameAsTheLibrary(t *testing.T) {
	charged := jumpTable
	addresses := regexp.MustCompile("0x[0-9a-f]+")
	run := func(t *rapid.T, source string) string {
		p, err := Compile([]byte(source))
		if err != nil {
			t.Fatal(err)
		}
		vm, err := p.NewVM(DefaultLimits(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer vm.Close()
		r, err := vm.Call(t.Context(), newFake(), request("GET"))
		if err != nil {
			t.Fatalf("%s\n %v", source, err)
		}
		return fmt.Sprint(addresses.ReplaceAllString(string(r.Body), "0x"))
	}
	rapid.Check(t, func(t *rapid.T) {
		source := "function GET()" + prelude + program(t) + postlude + "end"
		got := run(t, source)
		jumpTable = library
		wanted := func() string {
			defer func() { jumpTable = charged }()
			return run(t, source)
		}()
		if got != wanted {
			t.Fatalf("%s\n got %s\nwant %s", source, got, wanted)
		}
	})
}

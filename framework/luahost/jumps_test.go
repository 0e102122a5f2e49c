package luahost

import (
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// jumpFirst are statements, which end, whose code begins with a jump or could. In
// front of them may stand what needs no code.
var jumpFirst = []string{
	"while false do say('never') end", "while nil do say('never') end", "while false and x do say('never') end", "while not not false do end",
	"while (nil or false) do say('never') end", "while x and false do say('never') end", "repeat until true", "repeat while false do end until not not true",
	"if false then say('never') end", "if nil then else say('else') end", "if not true then else say('else') end", "if nil or x then say('then') end",
	"if true then say('then') end", "if 1 and 'a' then say('then') else say('never') end", "if x then say('then') end", "if n > 2 then say('then') end",
	"local y = false and x say(y)", "local y = nil or x say(y)", "local y = 1 and x say(y)", "local y = 'a' or x say(y)", "local y = not false say(y)", "local y = (nil or x) == x say(y)",
	"t.y = false or x say(t.y)", "t[false or x] = 1 say(t[x])", "y = true and x say(y)", "t.a, y = false and x, 2 say(y)", "x = x say(x)", "do (false or say)('call') end", "local z = -(nil or 3) say(z)",
	"do end", "do while false do end end", "do local _ = false and x end", "for i = (false or 1), 2 do say(i) end", "for _, v in (false or pairs)({ 5 }) do say(v) end",
	"while n < 0 do break end", "while true do break end", "while 1 do if x then break end end", "repeat break until false", "for _ in pairs({ 1 }) do break end", "for i = 1, 2 do break end",
	"while false or x ~= nil do say('once') break end", "while nil or n < 0 do say('never') end", "do local f = function() return x end say(f()) end",
	"goto over ::over::", "do goto over local y = 1 ::over:: ::out:: end", "do goto over end ::over:: say('over')",
}

// loops run a statement a few times; `more` is true twice.
var loops = []string{
	"STATEMENT", "while more() do STATEMENT end", "while true do if not more() then break end STATEMENT end", "while true do STATEMENT if not more() then break end end",
	"while false or more() do STATEMENT end", "while not (false or not more()) do STATEMENT end", "repeat STATEMENT until not more()", "repeat local a = n STATEMENT until a == 3 or not more()",
	"for i = 1, 2 do STATEMENT end", "for _, v in ipairs({ 7, 8 }) do STATEMENT end", "for _, v in pairs({ 7 }) do STATEMENT say(v) end",
	"do ::top:: STATEMENT if more() then goto top end end", "do ::top:: ::again:: STATEMENT if more() then goto again end end",
	"while more() do local f STATEMENT f = function() return f end say(type(f())) end", "while nil or more() do local n = n say((function() return n end)()) STATEMENT end",
}

// TestJumps: loops whose bodies or conditions begin with a jump do what they say.
// The judge is the library, which compiles the same well where nothing leads back to
// a jump: there a call without effect stands in front of every statement.
func TestJumps(t *testing.T) {
	const frame = `local x, n, t, calls, out = 4, 3, {}, 0, {}
		local function say(v) out[#out + 1] = tostring(v) end
		local function more() calls = calls + 1 return calls < 3 end
		local function nop() end
		local y
		%
		return table.concat(out, ",")`
	for _, loop := range loops {
		for _, outer := range []string{"LOOP", "for i = 1, 2 do calls = 0 LOOP end", "while x do LOOP x = nil end", "repeat LOOP until true"} {
			for _, statement := range jumpFirst {
				program := func(before string) string {
					s := before + strings.ReplaceAll(statement, " do ", " do "+before+" ")
					l := strings.ReplaceAll(loop, "STATEMENT", s)
					return strings.Replace(frame, "%", strings.ReplaceAll(outer, "LOOP", before+l), 1)
				}
				plain, reference := program(""), program("nop(); ")
				// A condition that begins with a jump is spelled as one that does not.
				for _, c := range [][2]string{{"while false or ", "while nop() or "}, {"while nil or ", "while nop() or "}, {"while false do", "while nop() do"}, {"while nil do", "while nop() do"},
					{"while false and x", "while nop() and x"}, {"while not not false", "while nop()"}, {"(nil or false)", "(nop() or false)"}, {"not (false or", "not (nop() or"}} {
					reference = strings.ReplaceAll(reference, c[0], c[1])
				}
				L := lua.NewState()
				err := L.DoString("R = (function() " + reference + " end)()")
				want := L.GetGlobal("R").String()
				L.Close()
				if err != nil {
					t.Fatalf("%s\n%v", reference, err)
				}
				r, failed := callSource(t, newFake(), "function GET() "+plain+" end")
				if failed != nil || string(r.Body) != want {
					t.Errorf("%s\n gives %q, %v; want %q", plain, r.Body, failed, want)
				}
			}
		}
	}
}

package luahost

import (
	"testing"

	"github.com/dbbasic/station/sdk/errs"
)

// TestArithmeticOfTexts: a text is a number where tonumber says so.
func TestArithmeticOfTexts(t *testing.T) {
	for body, result := range map[string]string{
		`return { "10" + 1, 1 + "10", "7" - "2", "3" * "4", "9" / "2", -"5", -" 5 " }`: "[11,11,5,12,4.5,-5,-5]",
		`return { "7" % 3, "-7" % 3, 7 % "-3", "5.5" % "2", "2" ^ "10", "9" ^ 0.5 }`:   "[1,2,-2,1.5,1024,3]",
		`return { "0x10" + 0, "1e3" + 0, " 2 " + 0, "1.5e-1" * 2 }`:                    "[16,1000,2,0.3]",
		`local o = setmetatable({}, { __add = function(a, b) return type(a) .. type(b) end, __unm = function() return "m" end })
			return { o + "1", "1" + o, "x" + o, -o }`: `["tablestring","stringtable","stringtable","m"]`,
		`local ok, e = pcall(function() return ("1"):rep(3) + {} end) return e`: `script.lua:1: cannot perform add operation between string and table`,
		`local s = "1" for i = 1, 4 do s = s + s end return s`:                  "16",
	} {
		want(t, newFake(), body, result)
	}
	for body, text := range map[string]string{
		`return "ten" + 1`:   "cannot perform add operation between string and number",
		`return 1 .. {} + 1`: "cannot perform add operation between table and number",
		`return {} % "2"`:    "cannot perform mod operation between table and string",
		`return nil ^ "2"`:   "cannot perform pow operation between nil and string",
		`return "1_0" * 1`:   "cannot perform mul operation between string and number",
		`return "inf" - 1`:   "cannot perform sub operation between string and number",
		`return -"ten"`:      "__unm undefined",
		`return -{}`:         "__unm undefined",
	} {
		if e := wantError(t, newFake(), body, errs.Script, text); e.Line != 1 {
			t.Errorf("%s: line %d", body, e.Line)
		}
	}
}

// TestArithmeticIsCharged: reading a long text as a number costs steps.
func TestArithmeticIsCharged(t *testing.T) {
	for _, op := range []string{"s + 1", "1 - s", "s * s", "-s", "s % 2", "2 ^ s", "tonumber(s)"} {
		l := DefaultLimits()
		l.Steps = 100_000
		vm := loadWith(t, `local s = "0." .. ("1"):rep(1e6) function GET() local n for i = 1, 3 do n = `+op+` end end`, l)
		if _, err := vm.Call(t.Context(), newFake(), request("GET")); errs.From(err) == nil || errs.From(err).Code != "step_limit" {
			t.Errorf("%s: %v", op, err)
		}
	}
}

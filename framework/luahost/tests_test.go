package luahost

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
)

// Tests run in the order in which they stand in the script, whatever their
// names; what is no global function is none.
func TestTestsAreFound(t *testing.T) {
	vm := load(t, `
function test_z() end
local function test_private() end
test_data = { 1 }
function testing() end
test_b, test_a = function() end, function() end
function GET() end
function test_() end`)
	got, err := vm.Tests()
	if d := cmp.Diff([]string{"test_z", "test_a", "test_b", "test_"}, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	if got, err := load(t, "function GET() end").Tests(); len(got) > 0 || err != nil {
		t.Errorf("a script without tests has %q, %v", got, err)
	}
}

func TestNumberAndNamesOfTestsAreBounded(t *testing.T) {
	const many = `for i = 1, %d do _G["test_" .. i] = print end`
	if got, err := load(t, fmt.Sprintf(many, MaxTests)).Tests(); len(got) != MaxTests || err != nil {
		t.Errorf("%d tests give %d, %v", MaxTests, len(got), err)
	}
	name := `_G["test_" .. ("x"):rep(%d)] = print`
	if got, err := load(t, fmt.Sprintf(name, MaxTestName-5)).Tests(); len(got) != 1 || err != nil {
		t.Errorf("a name of %d bytes gives %q, %v", MaxTestName, got, err)
	}
	for _, source := range []string{fmt.Sprintf(many, MaxTests+1), fmt.Sprintf(name, MaxTestName-4), `_G["test_\255"] = print`} {
		if got, err := load(t, source).Tests(); errs.From(err).CodeOf() != "test_limit" || !errs.Is(err, errs.Source) {
			t.Errorf("%s gives %d tests, %v; want test_limit", source, len(got), err)
		}
	}
}

// runTest runs a test with this body in a script with handlers.
func runTest(t *testing.T, limits Limits, body string) (*fake, bool, string, *errs.Error) {
	t.Helper()
	vm := loadWith(t, `
object = { actions = { "act" } }
function GET(request, call) return { n = state.incr("n"), method = call.method } end
function POST() state.set("posted", true) fail(422, "text_required", "Send a text.") end
function PUT() pcall(fail, 409, "not_now", "Try later.") state.set("survived", true) end
function act() return "acted" end
local function attempt(fn) return pcall(fn) end
function test_it(request, call)
`+body+`
end`, limits)
	o := newFake()
	skipped, reason, err := vm.Test(context.Background(), o, request("GET"), "test_it")
	return o, skipped, reason, errs.From(err)
}

func TestOutcomes(t *testing.T) {
	for _, c := range []struct{ body, reason string }{
		{`assert(GET(request, call).n == 1 and GET({}, call).n == 2 and call.method == "GET" and next(request) == nil)`, ""},
		{`assert(act() == "acted") return false, 500`, ""},
		{`return "skip"`, "skipped"},
		{`return "skip", "no net"`, "skipped no net"},
		{`return "skip", 7`, "skipped 7"},
	} {
		_, skipped, reason, err := runTest(t, quick(), c.body)
		if skipped {
			reason = strings.TrimSpace("skipped " + reason)
		}
		if err != nil || reason != c.reason {
			t.Errorf("%s\n gave %q, %v; want %q", c.body, reason, err, c.reason)
		}
	}
	for _, c := range []struct {
		body, code string
		kind       errs.Kind
		line       int
	}{
		{`assert(GET({}, call).n == 2)`, "script_failed", errs.Script, 9},
		{`local x = nil; return x.y`, "script_failed", errs.Script, 9},
		{`POST()`, "text_required", errs.Refused, 4},
		{`while true do end`, "step_limit", errs.Limit, 9},
		{`error({})`, "script_failed", errs.Script, 9},
		{`return "skip" .. nil`, "script_failed", errs.Script, 9},
	} {
		_, skipped, _, err := runTest(t, quick(), c.body)
		if err == nil || skipped || err.Kind != c.kind || err.CodeOf() != c.code || err.Line != c.line || err.Traceback == "" {
			t.Errorf("%s\n gave %v, want %s in line %d with a traceback", c.body, err, c.code, c.line)
		}
	}
}

// A `fail` can be caught in the text of a test, and nowhere else: what a test
// calls behaves as in a call.
func TestOnlyTheTextOfATestCatchesFail(t *testing.T) {
	for _, body := range []string{
		`local ok, e = pcall(POST) assert(not ok and e.status == 422 and e.code == "text_required" and e.message == "Send a text.")`,
		`assert(not xpcall(POST, function(e) assert(e.code == "text_required") end))`,
		`local function try() return pcall(POST) end assert(select(2, try()).status == 422)`,
		`local co = coroutine.wrap(function() return pcall(POST) end) assert(not co())`,
		`local ok, e = pcall(coroutine.wrap(POST)) assert(e.code == "text_required")`,
		`local ok, e = pcall(PUT) assert(e.code == "not_now" and state.get("survived") == nil)`,
		`local ok, e = pcall(error, "mine", 0) assert(e == "mine")`,
		`for i = 1, 100 do pcall(POST) end assert(GET({}, call).n == 1)`,
		`pcall(POST) local ok, e = pcall(function() local x = nil; return x.y end) assert(type(e) == "string")`,
	} {
		if _, _, _, err := runTest(t, quick(), body); err != nil {
			t.Errorf("%s\n gave %v\n%s", body, err, err.Traceback)
		}
	}
	for body, code := range map[string]string{
		`attempt(POST)`: "text_required", `PUT()`: "not_now", `table.sort({1, 2}, function() POST() end)`: "text_required",
		`pcall(POST) while true do end`: "step_limit", `while true do pcall(POST) end`: "step_limit",
		`pcall(function() while true do end end)`: "step_limit", `pcall(log.info, ("x"):rep(9000))`: "log_message_limit",
	} {
		if o, _, _, err := runTest(t, quick(), body); err == nil || err.CodeOf() != code || o.state["survived"] != "" {
			t.Errorf("%s\n gave %v and the state %v, want %s", body, err, o.state, code)
		}
	}
	_ = wantError(t, newFake(), `pcall(fail, 400, "nope", "no") return 1`, errs.Refused, "nope")
}

// A VM that ran a test, however it ended, runs nothing else: in it pcall caught
// what it must not catch.
func TestVMOfATestIsSpent(t *testing.T) {
	vm := load(t, `function GET() pcall(fail, 400, "nope", "no") end function test_it() pcall(fail, 400, "nope", "no") end`)
	if _, _, err := vm.Test(context.Background(), newFake(), request("GET"), "test_it"); err != nil || !vm.Spent() {
		t.Fatalf("%v, spent %v", err, vm.Spent())
	}
	if _, err := vm.Call(context.Background(), newFake(), request("GET")); !errs.Is(err, errs.Internal) {
		t.Errorf("a call after the test gave %v", err)
	}
	if _, _, err := vm.Test(context.Background(), newFake(), request("GET"), "test_it"); !errs.Is(err, errs.Internal) {
		t.Errorf("a test after the test gave %v", err)
	}
}

// From outside a test is as private as any other function.
func TestTestsAreNotReachable(t *testing.T) {
	source := `function POST() return "posted" end function test_it() state.set("touched", true) end `
	r := request("POST")
	r.Call.Query = []host.Field{{Name: "action", Value: "test_it"}}
	for _, c := range []struct{ source, touched string }{{source, ""}, {source + `object = { actions = { "test_it" } }`, "true"}} {
		o := newFake()
		if _, err := load(t, c.source).Call(context.Background(), o, r); err != nil || o.state["touched"] != c.touched {
			t.Errorf("%s: %v, state %v", c.source, err, o.state)
		}
	}
	for _, name := range []string{"POST", "test_none", "print", ""} {
		if _, _, err := load(t, source).Test(context.Background(), newFake(), r, name); !errs.Is(err, errs.NotFound) {
			t.Errorf("the test %q gave %v", name, err)
		}
	}
}

func TestDeadlineOfATest(t *testing.T) {
	l := DefaultLimits()
	l.Time, l.Steps = 20*time.Millisecond, 1<<60
	if _, _, _, err := runTest(t, l, `while true do end`); err == nil || err.CodeOf() != "time_limit" {
		t.Errorf("got %v, want time_limit", err)
	}
}

func TestNamed(t *testing.T) {
	const path = "scripts/$1/a.lua"
	for text, want := range map[string]string{
		"stack traceback:\n\tscript.lua:3: in main chunk": "stack traceback:\n\tscripts/$1/a.lua:3: in main chunk",
		"near (script.lua:3: x)":                          "near (scripts/$1/a.lua:3: x)",
		"myscript.lua:3: x":                               "myscript.lua:3: x",
		"script.lua is a name":                            "script.lua is a name",
		"":                                                "",
	} {
		if got := Named(text, path); got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
	type place struct {
		module string
		line   int
		rest   string
	}
	for text, want := range map[string]place{
		"script.lua:3: x":        {"", 3, "x"},
		"script.lua: x":          {"", 0, "x"},
		"x script.lua:3: y":      {"", 0, "x script.lua:3: y"},
		"":                       {"", 0, ""},
		"script.lua:x":           {"", 0, "script.lua:x"},
		"lib/a/b.lua:12: x":      {"lib/a/b.lua", 12, "x"},
		"lib/a.lua: x":           {"lib/a.lua", 0, "x"},
		"lib/a b.lua:1: x":       {"", 0, "lib/a b.lua:1: x"},
		"lib/a.txt:1: x":         {"", 0, "lib/a.txt:1: x"},
		"script.lua:3: lib/b: x": {"", 3, "lib/b: x"},
	} {
		var got place
		if got.module, got.line, got.rest = Place(text); got != want {
			t.Errorf("%q gives %+v, want %+v", text, got, want)
		}
	}
}

package luahost

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/errs"
)

func TestSourceErrors(t *testing.T) {
	for _, c := range []struct {
		source, message string
		line            int
	}{
		{"local x = = 1", "script.lua:1: syntax error near '='", 1},
		{"\n\nfunction GET(", "script.lua:3: syntax error at the end of the script", 3},
		{"\nbreak", "script.lua:2: no loop to break", 2},
		{"\nlocal s = 'abc", "script.lua:2: unterminated string at the end of the script", 2},
		{"\nfunction GET()\n  schedule.every(1, 'x')\nend", "script.lua:3: `schedule` is not available in this version", 3},
		{"do local http = 1 end\nlocal x = http", "script.lua:2: `http` is not available in this version", 2},
		{"local events = events", "script.lua:1: `events` is not available in this version", 1},
		{"x = " + strings.Repeat("(", 1) + strings.Repeat("{", 5000) + strings.Repeat("}", 5000) + ")", "nested more than 1000 levels deep", 1},
		{"\nstate.set('a', 1)", "script.lua:2: state is not available while the script loads", 2},
		{"print('x')", "script.lua:1: print is not available while the script loads", 1},
		{"log.info('x')", "script.lua:1: log is not available while the script loads", 1},
		{"fail(404, 'x', 'y')", "script.lua:1: fail is not available while the script loads", 1},
		{"\nwhile true do end", "While the script loads: The script used more than its 100000 steps.", 2},
		{"\n\nerror('boom')", "script.lua:3: boom", 3},
		{"object = 5", "script.lua: `object` must be a table, not a number", 0},
		{"object = { name = {} }", "script.lua: `object.name` must be a string, not a table", 0},
		{"object = { actions = { 'clear' } }", "names `clear`, which is no global function", 0},
	} {
		p, err := Compile([]byte(c.source))
		if err == nil {
			l := quick()
			l.Steps = 100_000 // which no machine runs longer than LoadTime
			_, err = p.NewVM(l, nil)
		}
		e := errs.From(err)
		if e == nil || e.Kind != errs.Source || e.Line != c.line || !strings.Contains(e.Message, c.message) {
			t.Errorf("%s\n got %+v\nwant %q at line %d", clip(c.source, 80), e, c.message, c.line)
		}
	}
	if _, err := Compile(make([]byte, MaxSource+1)); !errs.Is(err, errs.Source) || errs.From(err).Code != "source_too_large" {
		t.Errorf("got %v, want a Source error source_too_large", err)
	}
	if _, err := Compile(bytes.Repeat([]byte(" "), MaxSource)); err != nil {
		t.Errorf("a source of the most bytes gives %v", err)
	}
}

func TestNamesOfLaterVersionsAreFree(t *testing.T) {
	for _, source := range []string{
		"local http = {} function GET() return http end",
		"function GET(files) return files end",
		"events = {} function GET() return events end",
		"function schedule() end function GET() schedule() end",
		"local t = { files = 1 } function GET() return t.files end",
		"local function env() return env end",
		"for html = 1, 2 do local x = html end",
		"for _, crypto in ipairs({}) do local x = crypto end",
		"repeat local objects = true until objects",
		"\xef\xbb\xbflocal x = 1",
		"local x = " + strings.Repeat("1 + ", 500) + "1",
	} {
		load(t, source)
	}
}

func TestDeclared(t *testing.T) {
	vm := load(t, `
		object = { name = "guestbook", description = "Notes", version = 2, author = "ada", actions = { "clear" } }
		function clear() return "cleared" end
		function PUT() end function GET() end function OPTIONS() end function helper() end`)
	want := Declared{Name: "guestbook", Description: "Notes", Version: "2", Author: "ada", Actions: []string{"clear"}}
	if d := cmp.Diff(want, vm.Declared()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"GET", "HEAD", "POST", "PUT", "OPTIONS"}, vm.Methods()); d != "" {
		t.Error(d)
	}
}

func TestLoadHasADeadline(t *testing.T) {
	p, err := Compile([]byte("while true do end"))
	if err != nil {
		t.Fatal(err)
	}
	l := DefaultLimits()
	l.Steps = 1 << 60
	for limit, text := range map[time.Duration]string{20 * time.Millisecond: "longer than its 20ms", 5 * time.Second: "longer than its 1s"} {
		l.Time = limit
		if _, err := p.NewVM(l, nil); !errs.Is(err, errs.Source) || !strings.Contains(err.Error(), "While the script loads: The script ran "+text) {
			t.Errorf("with %s: got %v, want %q", limit, err, text)
		}
	}
	// What bounds the load does not bound the calls.
	l.Time = time.Hour
	if vm := loadWith(t, "function GET(_, call) return call.deadline - time.now() > 3000 end", l); vm.limits.Time != time.Hour {
		t.Errorf("the calls got %s", vm.limits.Time)
	} else if r, err := vm.Call(t.Context(), newFake(), request("GET")); err != nil || string(r.Body) != "true" {
		t.Errorf("got %s, %v", r.Body, err)
	}
}

package luahost

import (
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
		{"local env = env", "script.lua:1: `env` is not available in this version", 1},
		{"x = " + strings.Repeat("(", 1) + strings.Repeat("{", 5000) + strings.Repeat("}", 5000) + ")", "nested more than 1000 levels deep", 1},
		{"\nstate.set('a', 1)", "script.lua:2: state is not available while the script loads", 2},
		{"print('x')", "script.lua:1: print is not available while the script loads", 1},
		{"log.info('x')", "script.lua:1: log is not available while the script loads", 1},
		{"fail(404, 'x', 'y')", "script.lua:1: fail is not available while the script loads", 1},
		{"\nwhile true do end", "While the script loads: The script used more than its 3000000 steps.", 2},
		{"\n\nerror('boom')", "script.lua:3: boom", 3},
		{"object = 5", "script.lua: `object` must be a table, not a number", 0},
		{"object = { name = {} }", "script.lua: `object.name` must be a string, not a table", 0},
		{"object = { actions = { 'clear' } }", "names `clear`, which is no global function", 0},
	} {
		p, err := Compile([]byte(c.source))
		if err == nil {
			_, err = p.NewVM(quick())
		}
		e := errs.From(err)
		if e == nil || e.Kind != errs.Source || e.Line != c.line || !strings.Contains(e.Message, c.message) {
			t.Errorf("%s\n got %+v\nwant %q at line %d", clip(c.source, 80), e, c.message, c.line)
		}
	}
	if _, err := Compile(make([]byte, MaxSource+1)); !errs.Is(err, errs.TooLarge) {
		t.Errorf("got %v, want TooLarge", err)
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
	if d := cmp.Diff([]string{"GET", "HEAD", "PUT", "OPTIONS"}, vm.Methods()); d != "" {
		t.Error(d)
	}
}

func TestLoadHasADeadline(t *testing.T) {
	p, err := Compile([]byte("while true do end"))
	if err != nil {
		t.Fatal(err)
	}
	l := DefaultLimits()
	l.Steps, l.Time = 1<<60, 20*time.Millisecond
	if _, err := p.NewVM(l); !errs.Is(err, errs.Source) || !strings.Contains(err.Error(), "longer than its 20ms") {
		t.Errorf("got %v", err)
	}
}

package luahost

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

// linked compiles a script with modules, name → text.
func linked(t *testing.T, source string, texts map[string]string) (*Program, error) {
	t.Helper()
	all := Modules{}
	for name, text := range texts {
		all[name] = CompileModule(name, []byte(text))
	}
	p, err := Compile([]byte(source))
	if err != nil {
		return nil, err
	}
	p, _, err = p.Link(all)
	return p, err
}

func TestRequire(t *testing.T) {
	texts := map[string]string{
		"text":       "local M = {} function M.shout(s) return s:upper() .. require('util.mark') end return M",
		"util/mark":  "return '!'",
		"silent":     "loads = (loads or 0) + 1",
		"loop":       "return require 'loop'",
		"broken":     "\nerror('no')",
		"apart":      "return { n = 0 }",
		"named":      "return ...",
		"asks_state": "return state.get('x')",
	}
	for _, c := range []struct{ source, want string }{
		{"local text = require 'text' function GET() return text.shout('hi') end", "HI!"},
		{"function GET() return require('util.mark') .. require('util/mark') end", "!!"},
		{"require 'silent' require 'silent' function GET() return { require 'silent', loads } end", "[true,1]"},
		{"local n = require 'named' function GET() return n end", "named"},
		{"local a, b = require 'apart', require 'apart' a.n = 7 function GET() return b.n end", "7"},
		{"function GET() return tostring(pcall(require, 'text')) end local function require() return 1 end", ""},
		{"function GET() return tostring(_G.require == nil) end", "false"},
		{"local function require(n) return n .. n end function GET() return require('x') end", "xx"},
		{"function require(n) return n .. n end function GET() return require('x') end", "xx"},
		{"local ok, e = pcall(function() return require 'broken' end) function GET() return e end", "lib/broken.lua:2: no"},
		{"local ok, e = pcall(function() return require 'loop' end) function GET() return e end", "lib/loop.lua:1: require: the module 'loop' requires itself"},
		{"local ok, e = pcall(_G.require, 'text') function GET() return e end", "no `require` of the script names the module 'text' in quotes"},
		{"function GET() local ok, e = pcall(function() return require 'silent' end) return e end", "global 'loads' assigned after the load"},
	} {
		p, err := linked(t, c.source, texts)
		if c.want == "" {
			if !strings.Contains(errs.From(err).Text(), "`require` takes the name of a module in quotes") {
				t.Errorf("%s: got %v", c.source, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		vm, err := p.NewVM(quick(), nil)
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		for range 2 { // warm, too
			r, err := vm.Call(context.Background(), newFake(), request("GET"))
			if err != nil || !strings.Contains(string(r.Body), c.want) {
				t.Errorf("%s: got %s, %v; want %s", c.source, r.Body, err, c.want)
			}
		}
		vm.Close()
	}
}

// TestRequireRefused has what does not compile, link or load, and the line that says so.
func TestRequireRefused(t *testing.T) {
	texts := map[string]string{"broken": "local x\nerror('no')", "lost": "\n\nreturn require 'gone'", "asks": "return state.get('x')", "torn": "x ="}
	for source, want := range map[string]string{
		"\nlocal r = require":                  "script.lua:2: `require` takes the name of a module in quotes, and is no value",
		"local n = 'x'\nrequire(n)":            "script.lua:2: `require` takes the name",
		"require('x', 'y')":                    "script.lua:1: `require` takes the name",
		"require '../secret'":                  "script.lua:1: '../secret' is no name of a module",
		"require 'a..b'":                       "script.lua:1: 'a..b' is no name of a module",
		"require ''":                           "script.lua:1: '' is no name of a module",
		"require 'Text'":                       "script.lua:1: 'Text' is no name of a module",
		"require '" + strings.Repeat("x", 200): "unterminated string",
		"\nlocal x = require 'gone'":           "script.lua:2: there is no module 'gone': it would be lib/gone.lua",
		"require 'lost'":                       "lib/lost.lua:3: there is no module 'gone'",
		"require 'broken'":                     "lib/broken.lua:2: no",
		"require 'torn'":                       "lib/torn.lua:1: syntax error",
		"require 'asks'":                       "lib/asks.lua:1: state is not available while the script loads",
	} {
		p, err := linked(t, source, texts)
		if err == nil {
			var vm *VM
			if vm, err = p.NewVM(quick(), nil); err == nil {
				vm.Close()
			}
		}
		if e := errs.From(err); !errs.Is(err, errs.Source) || !strings.Contains(e.Text(), want) {
			t.Errorf("%s: got %v, want %s", source, err, want)
		}
	}
	if err := CompileModule("x", []byte("local x =\n=")).Err; err == nil || !strings.HasPrefix(errs.From(err).Text(), "lib/x.lua:2: ") {
		t.Errorf("got %v", err)
	}
	if err := CompileModule("x", []byte("schedule.every(1)")).Err; err == nil || errs.From(err).Text() != "lib/x.lua:1: `schedule` is not available in this version" {
		t.Errorf("got %v", err)
	}
}

func TestLinkNames(t *testing.T) {
	all := Modules{}
	for name, text := range map[string]string{"a": "require 'b.c'", "b/c": "require 'a'", "d": ""} {
		all[name] = CompileModule(name, []byte(text))
	}
	p, err := Compile([]byte("require 'a'"))
	if err != nil {
		t.Fatal(err)
	}
	if _, names, err := p.Link(all); err != nil || !slices.Equal(names, []string{"a", "b/c"}) {
		t.Errorf("got %q, %v", names, err)
	}
	if got := ModuleID("b/c"); got != "lib_b_c" {
		t.Errorf("got %s", got)
	}
}

func TestModulesAreBounded(t *testing.T) {
	all := Modules{}
	for i := range storage.MaxUses + 1 {
		all[fmt.Sprintf("m%d", i)] = CompileModule(fmt.Sprintf("m%d", i), fmt.Appendf(nil, "require 'm%d'", i+1))
	}
	last := fmt.Sprintf("m%d", storage.MaxUses)
	all[last] = CompileModule(last, nil)
	for source, want := range map[string]string{"require 'm1'": "", "require 'm0'": "script.lua: it runs with more than 100 modules"} {
		p, err := Compile([]byte(source))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err = p.Link(all); (err == nil) != (want == "") || err != nil && errs.From(err).Text() != want {
			t.Errorf("%s: got %v", source, err)
		}
	}
}

// TestModuleError has an error in a module end a call: its line is the module's.
func TestModuleError(t *testing.T) {
	p, err := linked(t, "local m = require 'm'\nfunction GET() m() end", map[string]string{"m": "return function()\n\nerror('deep') end"})
	if err != nil {
		t.Fatal(err)
	}
	vm, err := p.NewVM(quick(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	_, err = vm.Call(context.Background(), newFake(), request("GET"))
	e := errs.From(err)
	if e.Kind != errs.Script || e.Text() != "lib/m.lua:3: deep" || e.Line != 3 || !strings.Contains(e.Traceback, "script.lua:2") || !strings.Contains(e.Traceback, "lib/m.lua:3") {
		t.Errorf("got %v, line %d\n%s", err, e.Line, e.Traceback)
	}
}

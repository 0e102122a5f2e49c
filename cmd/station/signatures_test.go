package main_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dbbasic/station/framework/luahost"
)

var (
	stubFunction = regexp.MustCompile(`^function ([a-z0-9_.]+)\((.*)\) end$`)
	stubOptions  = regexp.MustCompile(`^---@param query\? \{ (.*) \}$`)
	stubOption   = regexp.MustCompile(`([a-z_]+)\?:`)
	stubField    = regexp.MustCompile(`^---@field ([a-z_]+)`)
	signature    = regexp.MustCompile(`^([a-z0-9_.]+)([({])([^(){}]*)[)}]$`)
)

// TestReferenceSignatures compares the parameters and options that LUA.md gives
// functions with those of the stub for editors.
func TestReferenceSignatures(t *testing.T) {
	params, options := map[string]string{}, map[string]string{}
	option := ""
	for line := range strings.Lines(string(luahost.Stub())) {
		line = strings.TrimSuffix(line, "\n")
		if m := stubOptions.FindStringSubmatch(line); m != nil {
			var names []string
			for _, o := range stubOption.FindAllStringSubmatch(m[1], -1) {
				names = append(names, o[1])
			}
			option = strings.Join(names, ", ")
		}
		if m := stubFunction.FindStringSubmatch(line); m != nil {
			params[m[1]], options[m[1]] = m[2], option
			option = ""
		}
	}
	compared := 0
	for _, tab := range tables(t, "LUA.md") {
		for _, row := range tab.rows {
			if tab.head[0] != "function" {
				break
			}
			for _, s := range quoted(row[0]) {
				m := signature.FindStringSubmatch(s)
				if m == nil {
					t.Errorf("%s is no signature", s)
					continue
				}
				want := params[m[1]]
				if m[2] == "{" {
					want = options[m[1]]
				}
				if m[3] != "…" && m[3] != want {
					t.Errorf("LUA.md gives %s(%s), the stub has %q", m[1], m[3], want)
				}
				compared++
			}
		}
	}
	if compared < 20 {
		t.Errorf("only %d signatures were compared", compared)
	}
}

// TestReferenceCall compares the fields of `call` in LUA.md with those of the stub.
func TestReferenceCall(t *testing.T) {
	stub := map[string]bool{}
	_, class, _ := strings.Cut(string(luahost.Stub()), "---@class station.call\n")
	class, _, _ = strings.Cut(class, "\n\n")
	for line := range strings.Lines(class) {
		if m := stubField.FindStringSubmatch(line); m != nil {
			stub[m[1]] = true
		}
	}
	found := false
	for _, tab := range tables(t, "LUA.md") {
		if tab.head[0] != "field" {
			continue
		}
		for _, row := range tab.rows {
			for _, name := range quoted(row[0]) {
				found = true
				if !stub[name] {
					t.Errorf("the stub's call has no %s", name)
				}
				delete(stub, name)
			}
		}
	}
	if !found || len(stub) > 0 {
		t.Errorf("LUA.md does not name the fields %v of call", slices.Sorted(maps.Keys(stub)))
	}
}

package luahost

import (
	"fmt"
	"strings"
)

// StubHead is the first line of every stub, by which it is known again.
const StubHead = "---@meta station"

// Stub gives the API as LuaCATS annotations, which editors read: every function
// and value that scripts get, standard ones included, and nothing else.
func Stub() []byte {
	var b strings.Builder
	b.WriteString(StubHead + "\n")
	b.WriteString("-- What scripts of a station find. Written by `station types`; it is never run.\n\n")
	b.WriteString(stubClasses)
	tables := map[string]bool{}
	library := func(name string) {
		table, _, ok := strings.Cut(name, ".")
		if !ok || tables[table] {
			return
		}
		tables[table] = true
		class := table + "lib" // as the language server names its own, so that ("x"):rep is found
		fmt.Fprintf(&b, "\n---@class %s\n%s = {}\n", class, table)
	}
	for _, list := range references {
		for _, f := range list {
			library(f.name)
			f.writeTo(&b)
		}
	}
	for _, v := range constants {
		library(v.name)
		fmt.Fprintf(&b, "\n---@type %s\n%s = nil\n", v.kind, v.name)
	}
	return []byte(b.String())
}

func (f *reference) writeTo(b *strings.Builder) {
	fmt.Fprintf(b, "\n---%s\n", f.doc)
	names := make([]string, len(f.params))
	for i, p := range f.params {
		name, _, _ := strings.Cut(p, " ")
		names[i] = strings.TrimSuffix(name, "?")
		fmt.Fprintf(b, "---@param %s\n", p)
	}
	for _, r := range f.returns {
		fmt.Fprintf(b, "---@return %s\n", r)
	}
	fmt.Fprintf(b, "function %s(%s) end\n", f.name, strings.Join(names, ", "))
}

package luahost

import (
	"slices"

	lua "github.com/yuin/gopher-lua"
)

// Functions names every function that the station gives to scripts, sorted:
// "fail", "state.get". It is read from the tables that VMs are made from, so
// that a page about them can be compared with what there is.
func Functions() []string {
	var names []string
	for _, b := range shared().globals {
		switch v := b.value.(type) {
		case *lua.LFunction:
			names = append(names, b.name)
		case *lua.LTable: // the empty front of a library; its functions lie behind it
			library, ok := v.Metatable.(*lua.LTable).RawGetString("__index").(*lua.LTable)
			if !ok {
				continue
			}
			library.ForEach(func(key, value lua.LValue) {
				if _, ok := value.(*lua.LFunction); ok {
					names = append(names, b.name+"."+key.String())
				}
			})
		}
	}
	slices.Sort(names)
	return names
}

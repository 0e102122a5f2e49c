package luahost

import (
	"log/slog"
	"maps"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// Env is the environment variables that scripts may read: name → value. Those
// who print or log one see the names alone.
type Env map[string]string

// String gives the names.
func (e Env) String() string { return strings.Join(slices.Sorted(maps.Keys(e)), " ") }

// GoString gives the names.
func (e Env) GoString() string { return e.String() }

// LogValue gives the names.
func (e Env) LogValue() slog.Value { return slog.StringValue(e.String()) }

// MarshalText gives the names.
func (e Env) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// envGet is get(name); a name that scripts may not read, or that is not set,
// gives nil and says so.
func envGet(L *lua.LState) int {
	name := L.CheckString(1)
	vm := of(L)
	vm.meter.charge(L, 16)
	if v, ok := vm.environ[name]; ok {
		L.Push(lua.LString(v))
		return 1
	}
	L.Push(lua.LNil)
	L.Push(lua.LString("the station gives its scripts no variable '" + clip(name, 64) + "': env does not list it, or it is not set"))
	return 2
}

package luahost

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// keepWhole is up to which length a string may be held by a part of it.
const keepWhole = 64

// part gives bytes from..to of s. A part of a long string is a copy: the
// library's would keep the whole alive, which the account does not see.
func part(L *lua.LState, s string, from, to int) lua.LString {
	switch {
	case to-from == len(s) || len(s) <= keepWhole:
		return lua.LString(s[from:to])
	case to-from == 1:
		return lua.LString(singles[s[from] : int(s[from])+1])
	}
	reserve(L, boxSize+to-from)
	return lua.LString(strings.Clone(s[from:to]))
}

// singles has every byte at its own index.
var singles = func() string {
	var b [256]byte
	for i := range b {
		b[i] = byte(i)
	}
	return string(b[:])
}()

// stringSub is sub(s, i, j): negative positions count from the end.
func stringSub(L *lua.LState) int {
	s := L.CheckString(1)
	from, to := position(L.CheckInt(2), len(s)), position(L.OptInt(3, -1), len(s))
	if from = max(from, 1); from > min(to, len(s)) {
		L.Push(lua.LString(""))
	} else {
		L.Push(part(L, s, from-1, min(to, len(s))))
	}
	return 1
}

func position(i, length int) int {
	if i < 0 {
		return max(length+1+i, 0)
	}
	return i
}

// sized charges for a text as long as the first argument.
func sized(fn lua.LGFunction) lua.LGFunction {
	return func(L *lua.LState) int {
		reserve(L, boxSize+len(L.CheckString(1)))
		return fn(L)
	}
}

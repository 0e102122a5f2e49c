package luahost

import (
	"math"

	lua "github.com/yuin/gopher-lua"
)

// arithmetic are the metamethods of texts: the library asks for them before it
// reads a text as a number itself. It would charge nothing for a text of
// megabytes, which takes milliseconds that no goroutine can interrupt
// (internal/strconv is of the runtime), and would read other texts than tonumber.
func arithmetic() functions {
	all := functions{"__unm": negate}
	for event, of := range map[string]func(a, b float64) float64{
		"add": func(a, b float64) float64 { return a + b },
		"sub": func(a, b float64) float64 { return a - b },
		"mul": func(a, b float64) float64 { return a * b },
		"div": func(a, b float64) float64 { return a / b },
		"mod": modulo,
		"pow": math.Pow,
	} {
		all["__"+event] = operation(event, of)
	}
	return all
}

// operation is `a OP b` where the first that has a metamethod is a text.
func operation(event string, of func(a, b float64) float64) lua.LGFunction {
	return func(L *lua.LState) int {
		a, b := L.Get(1), L.Get(2)
		for _, v := range [...]lua.LValue{a, b} {
			if v.Type() == lua.LTString {
				continue
			}
			if fn, ok := L.GetMetaField(v, "__"+event).(*lua.LFunction); ok {
				L.Push(fn)
				L.Push(a)
				L.Push(b)
				L.Call(2, 1)
				return 1
			}
		}
		x, isNumber := numberOf(L, a)
		y, both := numberOf(L, b)
		if !isNumber || !both {
			L.RaiseError("cannot perform %s operation between %s and %s", event, a.Type(), b.Type())
		}
		L.Push(lua.LNumber(of(x, y)))
		return 1
	}
}

// negate is `-s`.
func negate(L *lua.LState) int {
	n, ok := numberOf(L, L.Get(1))
	if !ok {
		L.RaiseError("__unm undefined")
	}
	L.Push(lua.LNumber(-n))
	return 1
}

// numberOf reads a value as arithmetic does.
func numberOf(L *lua.LState, v lua.LValue) (float64, bool) {
	switch v := v.(type) {
	case lua.LNumber:
		return float64(v), true
	case lua.LString:
		return readNumber(L, string(v), 10)
	}
	return 0, false
}

// modulo is Lua's: the result has the sign of b.
func modulo(a, b float64) float64 {
	m := math.Mod(a, b)
	if b > 0 && m < 0 || b < 0 && m > 0 {
		m += b
	}
	return m
}

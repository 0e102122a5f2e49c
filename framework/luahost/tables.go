package luahost

import (
	"slices"

	lua "github.com/yuin/gopher-lua"
)

// The library's functions of tables walk over gaps and shift elements as if
// that cost nothing. These charge for each element that they look at or move.

// length is #t, and charges for the nils behind the last element.
func length(L *lua.LState, t *lua.LTable) int {
	array := tableOfLua(t).Array
	n := len(array)
	for n > 0 && array[n-1] == lua.LNil {
		n--
	}
	of(L).meter.charge(L, (len(array)-n)/16)
	return n
}

// trim drops the nils behind the last element, so that the next walk over them
// costs nothing, and gives the length.
func trim(L *lua.LState, t *lua.LTable) int {
	n := length(L, t)
	for range len(tableOfLua(t).Array) - n {
		t.Remove(-1)
	}
	return n
}

func tableLength(L *lua.LState) int {
	L.Push(lua.LNumber(length(L, L.CheckTable(1))))
	return 1
}

func tableInsert(L *lua.LState) int {
	t := writable(L)
	n := trim(L, t)
	of(L).meter.lengthen(L, t, n+1)
	switch L.GetTop() {
	case 2:
		t.Append(L.Get(2))
	case 3:
		pos := L.CheckInt(2)
		if pos < 1 || pos > n+1 {
			L.ArgError(2, "position out of bounds")
		}
		of(L).meter.charge(L, (n+1-pos)/16)
		t.Insert(pos, L.Get(3))
	default:
		L.RaiseError("wrong number of arguments to 'insert'")
	}
	return 0
}

// tableRemove removes an element, the last without a position, and gives it; a
// position outside of 1 to #t removes nothing and gives nil.
func tableRemove(L *lua.LState) int {
	t := writable(L)
	n := trim(L, t)
	pos := L.OptInt(2, n)
	if pos < 1 || pos > n {
		L.Push(lua.LNil)
		return 1
	}
	of(L).meter.charge(L, (n-pos)/16)
	L.Push(t.Remove(pos))
	return 1
}

func tableUnpack(L *lua.LState) int {
	t := L.CheckTable(1)
	first := L.OptInt(2, 1)
	last := L.OptInt(3, -1)
	if L.Get(3) == lua.LNil {
		last = length(L, t)
	}
	base := L.GetTop()
	for i := first; i <= last; i++ {
		of(L).meter.charge(L, 1)
		L.Push(t.RawGetInt(i)) // which ends the call where the stack is full
	}
	return L.GetTop() - base
}

// tableSort sorts a copy of the elements 1 to #t, and puts them back when it
// is done: what an order function does to the table meanwhile, and an error in
// it, leave no half-sorted table. An order that contradicts itself gives some
// order of the elements.
func tableSort(L *lua.LState) int {
	t := writable(L)
	less := lessThan
	if L.Get(2) != lua.LNil {
		fn := L.CheckFunction(2)
		less = func(L *lua.LState, a, b lua.LValue) bool {
			L.Push(fn)
			L.Push(a)
			L.Push(b)
			L.Call(2, 1)
			is := lua.LVAsBool(L.Get(-1))
			L.Pop(1)
			return is
		}
	}
	n, meter := length(L, t), of(L).meter
	reserve(L, 16*n)
	sorted := slices.Clone(tableOfLua(t).Array[:n])
	slices.SortFunc(sorted, func(a, b lua.LValue) int {
		meter.charge(L, 1)
		if less(L, a, b) {
			return -1
		}
		return 1 // of which slices asks only whether it is negative
	})
	meter.charge(L, n/16)
	for i, v := range sorted {
		t.RawSetInt(i+1, v)
	}
	return 0
}

// lessThan is the operator <, and charges for the texts that it compares.
func lessThan(L *lua.LState, a, b lua.LValue) bool {
	switch a := a.(type) {
	case lua.LNumber:
		if b, ok := b.(lua.LNumber); ok {
			return a < b
		}
	case lua.LString:
		if b, ok := b.(lua.LString); ok {
			of(L).meter.charge(L, min(len(a), len(b))/64)
			return a < b
		}
	}
	return L.LessThan(a, b)
}

// baseNext is next: first the array, then the other keys in the order of their
// first use. Keys whose values are gone stay in the way, and are charged for.
func baseNext(L *lua.LState) int {
	t, key := L.CheckTable(1), L.Get(2)
	in, meter := tableOfLua(t), of(L).meter
	from, ok := in.after(key)
	if !ok {
		L.RaiseError("invalid key to 'next'")
	}
	for i := from; i < len(in.Array); i++ {
		if i&0xff == 0xff {
			meter.charge(L, 16)
		}
		if v := in.Array[i]; v != lua.LNil {
			L.Push(lua.LNumber(i + 1))
			L.Push(v)
			return 2
		}
	}
	for i := max(from-len(in.Array), 0); i < len(in.Keys); i++ {
		if v := t.RawGetH(in.Keys[i]); v != lua.LNil {
			L.Push(in.Keys[i])
			L.Push(v)
			return 2
		}
		meter.charge(L, 1)
	}
	L.Push(lua.LNil)
	return 1
}

// after gives where a walk goes on behind a key: an index of the array, and
// then of the keys.
func (t *tableInside) after(key lua.LValue) (int, bool) {
	if key == lua.LNil {
		return 0, true
	}
	n, isNumber := key.(lua.LNumber)
	if isNumber && n >= 1 && n <= lua.LNumber(len(t.Array)) && n == lua.LNumber(int(n)) {
		return int(n), true
	}
	if i, ok := t.K2i[key]; ok {
		return len(t.Array) + i + 1, true
	}
	// An array that has become shorter during the walk has no more elements.
	return len(t.Array), isNumber && n >= 1 && n == lua.LNumber(int(n))
}

// pairs gives next, the table and nil.
func pairs(next *lua.LFunction) lua.LGFunction {
	return func(L *lua.LState) int {
		t := L.CheckTable(1)
		L.Push(next)
		L.Push(t)
		L.Push(lua.LNil)
		return 3
	}
}

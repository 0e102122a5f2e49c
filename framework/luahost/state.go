package luahost

import (
	"math"
	"slices"
	"strconv"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/errs"
)

// read gives the value of a key as the script's own copy, LNil if there is none.
func (vm *VM) read(L *lua.LState, key string) lua.LValue {
	data, ok := vm.object.Get(key)
	if !ok {
		return lua.LNil
	}
	vm.meter.charge(L, len(data)/16)
	v, err := decode(L, data)
	if err != nil {
		vm.meter.raise(L)
		vm.meter.fatal(L, errs.Wrap(errs.Corrupt, "luahost.state", err, "The value of the state key %q is no JSON.", clip(key, 64)))
	}
	return v
}

// write stages a value; nil deletes the key.
func (vm *VM) write(L *lua.LState, key string, v lua.LValue, name string) {
	if v == lua.LNil {
		if err := vm.object.Delete(key); err != nil {
			vm.meter.fatal(L, err)
		}
		return
	}
	b, err := vm.encoder.encode(v, vm.limits.Value, true, false)
	if err != nil && err.large {
		vm.meter.fatal(L, errs.New(errs.Limit, "value_limit",
			"The value for the state key %q is longer than %d bytes.", clip(key, 64), vm.limits.Value))
	}
	if err != nil {
		L.RaiseError("%s: %s", name, err.at("value"))
	}
	vm.meter.charge(L, len(b)/16)
	if err := vm.object.Set(key, slices.Clone(b)); err != nil {
		vm.meter.fatal(L, err)
	}
}

// stateGet is get(key, default).
func stateGet(L *lua.LState) int {
	vm := session(L, "state")
	v := vm.read(L, vm.keyArg(L, "state.get"))
	if v == lua.LNil {
		v = L.Get(2)
	}
	L.Push(v)
	return 1
}

// stateSet is set(key, value).
func stateSet(L *lua.LState) int {
	vm := session(L, "state")
	key := vm.keyArg(L, "state.set")
	if L.GetTop() < 2 {
		L.RaiseError("state.set: the value is missing; nil deletes the key")
	}
	vm.write(L, key, L.Get(2), "state.set")
	return 0
}

// stateDelete is delete(key).
func stateDelete(L *lua.LState) int {
	vm := session(L, "state")
	vm.write(L, vm.keyArg(L, "state.delete"), lua.LNil, "state.delete")
	return 0
}

// stateIncr is incr(key, n): adds n, 1 without one, to a number or to nothing,
// and gives the sum.
func stateIncr(L *lua.LState) int {
	vm := session(L, "state")
	key := vm.keyArg(L, "state.incr")
	n := lua.LNumber(1)
	if L.Get(2) != lua.LNil {
		n = L.CheckNumber(2)
	}
	switch v := vm.read(L, key).(type) {
	case lua.LNumber:
		n += v
	default:
		if v != lua.LNil {
			L.RaiseError("state.incr: the value is a %s, not a number", typeName(v))
		}
	}
	vm.write(L, key, n, "state.incr")
	L.Push(n)
	return 1
}

func typeName(v lua.LValue) string {
	if v == null {
		return "null"
	}
	return v.Type().String()
}

// stateUpdate is update(key, fn): sets the key to fn(its value) and gives that.
func stateUpdate(L *lua.LState) int {
	vm := session(L, "state")
	key, fn := vm.keyArg(L, "state.update"), L.CheckFunction(2)
	L.Push(fn)
	L.Push(vm.read(L, key))
	L.Call(1, 1)
	vm.write(L, key, L.Get(-1), "state.update")
	return 1
}

// scan walks keys for a builtin: visit sees each until it says false. Nothing
// is raised while the object iterates; what ended the call is raised after.
func (vm *VM) scan(L *lua.LState, prefix, after string, reverse bool, visit func(key string, value []byte) bool) {
	m := vm.meter
	vm.object.Range(prefix, after, reverse, func(key string, value []byte) bool {
		m.mem.work += 16
		if m.steps += 16; m.steps >= m.due {
			m.check()
		}
		return m.err == nil && visit(key, value)
	})
	m.raise(L)
}

// decodeRow decodes a value inside scan and counts its bytes.
func (vm *VM) decodeRow(L *lua.LState, key string, value []byte) (lua.LValue, bool) {
	vm.meter.steps += int64(len(value) / 16)
	vm.meter.mem.work += int64(len(value) / 16)
	v, err := decode(L, value)
	if err != nil {
		vm.meter.stop(errs.Wrap(errs.Corrupt, "luahost.state", err, "The value of the state key %q is no JSON.", clip(key, 64)))
	}
	return v, err == nil
}

// stateAll is all(): key → value.
func stateAll(L *lua.LState) int {
	vm := session(L, "state")
	t := L.CreateTable(0, 8)
	L.Push(t) // where the account finds it
	vm.scan(L, "", "", false, func(key string, value []byte) bool {
		if !vm.meter.spend(keyBytes + len(key)) {
			return false
		}
		v, ok := vm.decodeRow(L, key, value)
		if ok {
			t.RawSetString(key, v)
		}
		return ok
	})
	return 1
}

// stateKeys is keys(prefix): all keys that begin with it, in order.
func stateKeys(L *lua.LState) int {
	vm := session(L, "state")
	prefix := L.OptString(1, "")
	t := vm.list(0)
	L.Push(t)
	vm.scan(L, prefix, "", false, func(key string, _ []byte) bool {
		t.Append(lua.LString(key))
		return vm.meter.spend(itemBytes + len(key))
	})
	return 1
}

const (
	listLimit = 100  // rows of state.list without a limit
	listMax   = 1000 // rows at most
)

// stateList is list{prefix, limit, after, reverse}: rows of {key, value}, and
// the key to continue behind, nil at the end.
func stateList(L *lua.LState) int {
	vm := session(L, "state")
	q := L.OptTable(1, L.CreateTable(0, 0))
	prefix, after := listText(L, q, "prefix"), listText(L, q, "after")
	limit := listLimitOf(L, "state.list", q.RawGetString("limit"))
	rows, last, more := vm.list(limit), "", false
	L.Push(rows)
	vm.scan(L, prefix, after, lua.LVAsBool(q.RawGetString("reverse")), func(key string, value []byte) bool {
		if rows.Len() == limit {
			more = true
			return false
		}
		if !vm.meter.spend(tableSize + 6*keyBytes + len(key)) {
			return false
		}
		v, ok := vm.decodeRow(L, key, value)
		row := L.CreateTable(0, 2)
		row.RawSetString("key", lua.LString(key))
		row.RawSetString("value", v)
		rows.Append(row)
		last = key
		return ok
	})
	if more {
		L.Push(lua.LString(last))
	} else {
		L.Push(lua.LNil)
	}
	return 2
}

// listText gives a string of the query; nil and json.null mean none, as a
// payload may hold either.
func listText(L *lua.LState, q *lua.LTable, name string) string {
	switch v := q.RawGetString(name).(type) {
	case lua.LString:
		return string(v)
	default:
		if v != lua.LNil && v != null {
			L.RaiseError("state.list: %s must be a string, not a %s", name, v.Type())
		}
		return ""
	}
}

// listLimitOf gives the limit of the query: a number or, as a query has it, its
// digits. nil and json.null mean none.
func listLimitOf(L *lua.LState, api string, v lua.LValue) int {
	if v == lua.LNil || v == null {
		return listLimit
	}
	n, ok := v.(lua.LNumber)
	if s, text := v.(lua.LString); text {
		digits, err := strconv.ParseUint(string(s), 10, 16)
		n, ok = lua.LNumber(digits), err == nil
	}
	if !ok || !(n >= 1 && n <= listMax) || float64(n) != math.Trunc(float64(n)) {
		L.RaiseError("%s: limit must be a whole number from 1 to %d, not %s", api, listMax, shown(v))
	}
	return int(n)
}

// shown gives a wrong argument for a message: a number or a string as it is,
// others by their type.
func shown(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LNumber:
		return v.String()
	case lua.LString:
		return "'" + clip(string(v), 64) + "'"
	}
	return "a " + v.Type().String()
}

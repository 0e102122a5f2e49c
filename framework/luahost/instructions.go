package luahost

import (
	"math"
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// instruction is how the library runs one: it decodes operands from code, and
// says 1 where the main loop ends. The frame is the one that the loop began in.
type instruction = func(L *lua.LState, code uint32, frame unsafe.Pointer) int

// jumpTable is the library's own, by opcode. The instructions that can make
// much at once are charged here, before they run, by functions in front of the
// library's: all others cost what they did, and none changes its meaning. A
// thread without a meter is none of ours.
//
//go:linkname jumpTable github.com/yuin/gopher-lua.jumpTable
var jumpTable [lua.OP_NOP + 1]instruction

func init() {
	for op, charged := range map[int]func(instruction) instruction{
		lua.OP_CONCAT: concat, lua.OP_NEWTABLE: newTable, lua.OP_SETLIST: setList, lua.OP_CLOSURE: closure,
		lua.OP_SETTABLE: setTable, lua.OP_SETTABLEKS: setTable, lua.OP_SETGLOBAL: setGlobal,
	} {
		if jumpTable[op] == nil {
			panic("luahost: gopher-lua has changed: it has no jump table")
		}
		jumpTable[op] = charged(jumpTable[op])
	}
}

// Operands of an instruction.
func operandA(code uint32) int  { return int(code>>18) & 0xff }
func operandB(code uint32) int  { return int(code) & 0x1ff }
func operandC(code uint32) int  { return int(code>>9) & 0x1ff }
func operandBx(code uint32) int { return int(code) & 0x3ffff }

// meterOf gives the thread's meter, nil where it has none.
func (t *threadInside) meter() *meter {
	m, _ := t.Ctx.(*meter)
	return m
}

// register gives a local of the running function.
func (t *threadInside) register(n int) lua.LValue {
	return t.Reg.Array[t.CurrentFrame.LocalBase+n]
}

// registerOrConstant gives an operand that may be either.
func (t *threadInside) registerOrConstant(n int) lua.LValue {
	if n&0x100 != 0 {
		return t.CurrentFrame.Fn.Proto.Constants[n&0xff]
	}
	return t.register(n)
}

// concat charges for the text that `a .. b .. c` makes. Of what a __concat
// returns the length is known afterwards only.
func concat(run instruction) instruction {
	return func(L *lua.LState, code uint32, frame unsafe.Pointer) int {
		t := threadOf(L)
		m := t.meter()
		if m == nil {
			return run(L, code, frame)
		}
		n, plain, first, last := 2*boxSize, true, operandB(code), operandC(code)
		for i := first; i <= last; i++ {
			switch v := t.register(i).(type) {
			case lua.LString:
				n += len(v)
			case lua.LNumber:
				n += boxSize
			default:
				plain = false
			}
		}
		m.take(L, n+boxSize*(last-first)) // the library gathers the parts first
		if m.charge(L, n/64); plain {
			return run(L, code, frame)
		}
		result := t.CurrentFrame.LocalBase + operandA(code)
		r := run(L, code, frame)
		if s, ok := t.Reg.Array[result].(lua.LString); ok {
			m.take(L, len(s))
		}
		return r
	}
}

// newTable charges for a table and its first array. The library makes room for
// all keys of a constructor, also for those that get no value; here for eight,
// so that a table is never larger than the keys it has had tell.
func newTable(run instruction) instruction {
	return func(L *lua.LState, code uint32, frame unsafe.Pointer) int {
		if m := threadOf(L).meter(); m != nil {
			m.take(L, tableSize+16*operandB(code))
			code = code&^(0x1ff<<9) | uint32(min(operandC(code), 8))<<9
		}
		return run(L, code, frame)
	}
}

// setList charges for the items of a constructor, of `{...}` too.
func setList(run instruction) instruction {
	return func(L *lua.LState, code uint32, frame unsafe.Pointer) int {
		t := threadOf(L)
		if m := t.meter(); m != nil {
			n := operandB(code)
			if n == 0 {
				n = t.Reg.Top - t.CurrentFrame.LocalBase - operandA(code) - 1
			}
			block := operandC(code)
			if block == 0 {
				block = int(t.CurrentFrame.Fn.Proto.Code[t.CurrentFrame.Pc])
			}
			if table, ok := t.register(operandA(code)).(*lua.LTable); ok && n > 0 {
				m.lengthen(L, table, (block-1)*lua.FieldsPerFlush+n)
			}
			m.charge(L, n/16)
		}
		return run(L, code, frame)
	}
}

// closure charges for a function and the variables that it captures.
func closure(run instruction) instruction {
	return func(L *lua.LState, code uint32, frame unsafe.Pointer) int {
		t := threadOf(L)
		if m := t.meter(); m != nil {
			proto := t.CurrentFrame.Fn.Proto.FunctionPrototypes[operandBx(code)]
			m.take(L, functionSize+int(proto.NumUpvalues)*(8+upvalueSize))
		}
		return run(L, code, frame)
	}
}

// setTable charges for what `t[k] = v` adds to the table that it ends in.
func setTable(run instruction) instruction {
	return func(L *lua.LState, code uint32, frame unsafe.Pointer) int {
		t := threadOf(L)
		if m := t.meter(); m != nil {
			m.set(L, t.register(operandA(code)), t.registerOrConstant(operandB(code)))
		}
		return run(L, code, frame)
	}
}

// setGlobal charges as setTable does.
func setGlobal(run instruction) instruction {
	return func(L *lua.LState, code uint32, frame unsafe.Pointer) int {
		t := threadOf(L)
		if m := t.meter(); m != nil {
			fn := t.CurrentFrame.Fn
			m.set(L, fn.Env, fn.Proto.Constants[operandBx(code)])
		}
		return run(L, code, frame)
	}
}

// set finds the table that an assignment ends in, as the library does, and
// charges for what the key adds to it. What is no table, or has a function for
// __newindex, gets nothing.
func (m *meter) set(L *lua.LState, object, key lua.LValue) {
	for range lua.MaxTableGetLoop {
		t, ok := object.(*lua.LTable)
		if !ok {
			return
		}
		meta, ok := t.Metatable.(*lua.LTable)
		if !ok {
			m.add(L, t, key)
			return
		}
		next := meta.RawGetString("__newindex")
		if next == lua.LNil || t.RawGet(key) != lua.LNil {
			m.add(L, t, key)
			return
		}
		object = next
	}
}

// add charges for what a key adds to a table. It also makes the table's map of
// texts, which the library would begin with room for 32: so most tables take a
// fifth, and none is larger than the keys it has had tell.
func (m *meter) add(L *lua.LState, t *lua.LTable, key lua.LValue) {
	in := tableOfLua(t)
	switch k := key.(type) {
	case lua.LNumber:
		if i, ok := arrayIndex(k); ok {
			if i > len(in.Array) {
				m.lengthen(L, t, i)
			}
			return
		}
	case lua.LString:
		if in.Strdict == nil {
			in.Strdict = map[string]lua.LValue{}
		}
	}
	if len(in.Keys) == 0 {
		m.take(L, 4*keyBytes) // two maps of eight keys
	}
	m.take(L, keyBytes)
}

// arrayIndex tells the keys that the library keeps in a table's array.
func arrayIndex(k lua.LNumber) (int, bool) {
	i := float64(k)
	return int(i), i > 0 && i < float64(lua.MaxArrayIndex) && i == math.Trunc(i)
}

// lengthen charges for an array that gets n items, with nils in the gap: the
// new one, which the old one lives beside for a moment.
func (m *meter) lengthen(L *lua.LState, t *lua.LTable, n int) {
	in := tableOfLua(t)
	if n <= cap(in.Array) {
		return
	}
	m.take(L, 16*max(32, n+n/4))
	if gap := n - len(in.Array); gap > 64 {
		m.charge(L, gap/16)
	}
}

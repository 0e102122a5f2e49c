package luahost

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/errs"
)

// coroutines gives the coroutine library under the meter. The library's own
// threads would not be bounded in number; its wrap leaves the VM believing that
// a failed coroutine still runs; a yield across a builtin corrupts both stacks;
// and a coroutine whose function is a builtin loses its results, or panics.
func coroutines(original func(library, name string) lua.LGFunction) functions {
	create := original(lua.CoroutineLibName, "create")
	resume := original(lua.CoroutineLibName, "resume")
	yield := original(lua.CoroutineLibName, "yield")
	return functions{
		"create": func(L *lua.LState) int { return coCreate(L, create) },
		"resume": func(L *lua.LState) int { return coResume(L, resume) },
		"yield":  func(L *lua.LState) int { return coYield(L, yield) },
		"wrap": func(L *lua.LState) int {
			coCreate(L, create)
			L.Push(L.NewClosure(func(L *lua.LState) int { return coWrapped(L, resume) }, L.Get(-1)))
			return 1
		},
	}
}

// coCreate makes a thread while the caller has no context, so that the library
// derives none from it, and puts both under the meter afterwards.
func coCreate(L *lua.LState, create lua.LGFunction) int {
	if L.CheckFunction(1).IsG { // as in Lua 5.1
		L.ArgError(1, "a coroutine runs a function written in Lua: wrap this one as function(...) return f(...) end")
	}
	vm := of(L)
	if vm.coroutines >= vm.limits.Coroutines {
		vm.meter.fatal(L, errs.New(errs.Limit, "coroutine_limit",
			"The script holds more than %d unfinished coroutines.", vm.limits.Coroutines))
	}
	vm.meter.charge(L, 1000)
	vm.meter.take(L, threadBytes)
	L.RemoveContext()
	create(L)
	L.SetContext(vm.meter)
	L.Get(-1).(*lua.LState).SetContext(vm.meter)
	vm.coroutines++
	return 1
}

// coResume resumes the thread in argument 1 and gives the library's results.
func coResume(L *lua.LState, resume lua.LGFunction) int {
	vm, thread := of(L), L.CheckThread(1)
	if L.GetTop() > 250 {
		L.RaiseError("too many arguments to resume a coroutine with")
	}
	for t := L; t != nil; t = t.Parent {
		if t == thread {
			L.Push(lua.LFalse)
			L.Push(lua.LString("cannot resume a coroutine that is running"))
			return 2
		}
	}
	wasDead, stack := thread.Dead, len(threadOf(thread).Reg.Array)
	vm.meter.take(L, 16*(len(threadOf(L).Reg.Array)-stackValues)) // which may have grown as far as another thread can
	n := resume(L)
	vm.meter.take(L, 16*(len(threadOf(thread).Reg.Array)-stack))
	if thread.Dead && !wasDead && vm.coroutines > 0 {
		vm.coroutines--
	}
	if n > 1 && L.Get(-n) == lua.LFalse {
		if e := vm.disguised(L, &lua.ApiError{Type: lua.ApiErrorRun, Object: L.Get(1 - n)}); e != nil {
			vm.meter.fatal(L, e)
		}
		vm.meter.charge(L, 200)
		vm.keepError(L, L.Get(1-n))
	}
	return n
}

// coWrapped is the function that coroutine.wrap gives: it resumes its thread
// and raises where that failed.
func coWrapped(L *lua.LState, resume lua.LGFunction) int {
	L.Insert(L.Get(lua.UpvalueIndex(1)), 1)
	n := coResume(L, resume)
	if L.Get(-n) == lua.LTrue {
		return n - 1
	}
	L.Error(L.Get(-1), 0)
	return 0
}

// coYield refuses to yield across a builtin (pcall, table.sort, state.update …),
// a metamethod or an iterator, which Lua 5.1 refuses too and the library does
// not notice: none of its functions but a called one can be left and resumed.
func coYield(L *lua.LState, yield lua.LGFunction) int {
	for f := threadOf(L).CurrentFrame.Parent; f != nil; f = f.Parent {
		if f.Fn.IsG {
			L.RaiseError("attempt to yield across a call of the station")
		}
		if op := int(f.Fn.Proto.Code[f.Pc-1] >> 26); op != lua.OP_CALL && op != lua.OP_TAILCALL {
			L.RaiseError("attempt to yield across a metamethod or an iterator")
		}
	}
	return yield(L)
}

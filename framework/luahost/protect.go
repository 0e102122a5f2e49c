package luahost

import (
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// protectedCall calls the function that lies below its arguments on the stack,
// as L.PCall does, and gives the error object of one that failed; where the
// error ends the call it is raised again instead.
//
// L.PCall alone computes wrong results. When an error is raised, the library
// closes the upvalues of every active function, also of those that go on once
// the error is caught; from then on such a function and its closures each have
// a variable of their own, and
//
//	local n = 0
//	local function try() n = n + 1 error("x") end
//	pcall(try) pcall(try)   -- n is 1
//
// It closes none while an error handler is set, so there is always one here,
// which closes exactly the upvalues of the functions that end.
func protectedCall(L *lua.LState, args int) (lua.LValue, bool) {
	vm, in := of(L), threadOf(L)
	handled, from := in.HasErrorFunc, vm.closeFrom
	vm.closeFrom = in.Reg.Top - args - 1
	err := L.PCall(args, lua.MultRet, vm.shared.closer)
	in.HasErrorFunc, vm.closeFrom = handled, from // an outer protected call still runs
	if err != nil {
		return caught(L, err), false
	}
	return nil, true
}

// closeUpvalues is the handler of protectedCall. It runs while the frames of
// the functions that failed still stand.
func closeUpvalues(L *lua.LState) int {
	from, link := of(L).closeFrom, &threadOf(L).Uvcache
	for *link != nil && (*link).Index < from {
		link = &(*link).Next
	}
	uv := *link
	*link = nil
	for uv != nil {
		next := uv.Next
		(*lua.Upvalue)(unsafe.Pointer(uv)).Close()
		uv = next
	}
	return 1 // the error object, as it is
}

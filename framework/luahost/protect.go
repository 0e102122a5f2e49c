package luahost

import (
	"reflect"
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
	vm, in := of(L), insideOf(L)
	handled, from := *in.handled, vm.closeFrom
	vm.closeFrom = in.top() - args - 1
	err := L.PCall(args, lua.MultRet, vm.shared.closer)
	*in.handled, vm.closeFrom = handled, from // an outer protected call still runs
	if err != nil {
		return caught(L, err), false
	}
	return nil, true
}

// closeUpvalues is the handler of protectedCall. It runs while the frames of
// the functions that failed still stand.
func closeUpvalues(L *lua.LState) int {
	in, from := insideOf(L), of(L).closeFrom
	link := in.open
	for *link != nil && indexOf(*link) < from {
		link = nextOf(*link)
	}
	uv := *link
	*link = nil
	for uv != nil {
		next := *nextOf(uv)
		uv.Close()
		uv = next
	}
	return 1 // the error object, as it is
}

// inside is what protectedCall needs of a thread and the library keeps private.
type inside struct {
	handled  *bool         // hasErrorFunc
	open     **lua.Upvalue // uvcache: open upvalues by rising index
	registry unsafe.Pointer
}

func insideOf(L *lua.LState) inside {
	p := unsafe.Pointer(L)
	return inside{
		handled:  (*bool)(unsafe.Add(p, offsets.handled)),
		open:     (**lua.Upvalue)(unsafe.Add(p, offsets.open)),
		registry: *(*unsafe.Pointer)(unsafe.Add(p, offsets.registry)),
	}
}

// top is the number of registers in use.
func (in inside) top() int { return *(*int)(unsafe.Add(in.registry, offsets.top)) }

func indexOf(uv *lua.Upvalue) int { return *(*int)(unsafe.Add(unsafe.Pointer(uv), offsets.index)) }

func nextOf(uv *lua.Upvalue) **lua.Upvalue {
	return (**lua.Upvalue)(unsafe.Add(unsafe.Pointer(uv), offsets.next))
}

// offsets are those of the library's private fields, found by name and type. A
// release of the library without them fails every test of this package.
var offsets = func() (o struct{ handled, open, registry, top, index, next uintptr }) {
	thread, upvalue := reflect.TypeFor[lua.LState](), reflect.TypeFor[lua.Upvalue]()
	find := func(in reflect.Type, name string, is func(reflect.Type) bool) reflect.StructField {
		f, ok := in.FieldByName(name)
		if !ok || !is(f.Type) {
			panic("luahost: gopher-lua has changed: " + in.String() + "." + name)
		}
		return f
	}
	kind := func(k reflect.Kind) func(reflect.Type) bool {
		return func(t reflect.Type) bool { return t.Kind() == k }
	}
	toUpvalue := func(t reflect.Type) bool { return t == reflect.PointerTo(upvalue) }
	registry := find(thread, "reg", kind(reflect.Pointer))
	o.handled = find(thread, "hasErrorFunc", kind(reflect.Bool)).Offset
	o.open = find(thread, "uvcache", toUpvalue).Offset
	o.registry = registry.Offset
	o.top = find(registry.Type.Elem(), "top", kind(reflect.Int)).Offset
	o.index = find(upvalue, "index", kind(reflect.Int)).Offset
	o.next = find(upvalue, "next", toUpvalue).Offset
	return o
}()

package luahost

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// The library keeps private what protectedCall and the memory account must
// know. The types here have its fields in its order; mirrors compares both when
// the program starts, so that a release which differs fails every test.
type (
	threadInside struct {
		G       *lua.Global
		Parent  *lua.LState
		Env     *lua.LTable
		Panic   func(*lua.LState)
		Dead    bool
		Options lua.Options

		Stop         int32
		Reg          *registryInside
		Stack        any // in the library an interface with methods: see word
		Alloc        *byte
		CurrentFrame *frameInside
		Wrapped      bool
		Uvcache      *upvalueInside
		HasErrorFunc bool
		MainLoop     func(*lua.LState, unsafe.Pointer)
		Ctx          context.Context
		CtxCancelFn  context.CancelFunc
	}

	// registryInside is a thread's stack of values.
	registryInside struct {
		Array   []lua.LValue
		Top     int
		GrowBy  int
		MaxSize int
		Alloc   *byte
		Handler any // the thread: see word
	}

	// stackInside is a thread's stack of functions.
	stackInside struct {
		Array []frameInside
		Sp    int
	}

	frameInside struct {
		Idx        int
		Fn         *lua.LFunction
		Parent     *frameInside
		Pc         int
		Base       int
		LocalBase  int
		ReturnBase int
		NArgs      int
		NRet       int
		TailCall   int
	}

	upvalueInside struct {
		Next   *upvalueInside
		Reg    *registryInside
		Index  int
		Value  lua.LValue
		Closed bool
	}

	tableInside struct {
		Metatable lua.LValue
		Array     []lua.LValue
		Dict      map[lua.LValue]lua.LValue
		Strdict   map[string]lua.LValue
		Keys      []lua.LValue // every key that ever had a value, but for those of Array
		K2i       map[lua.LValue]int
	}
)

func threadOf(L *lua.LState) *threadInside { return (*threadInside)(unsafe.Pointer(L)) }

func tableOfLua(t *lua.LTable) *tableInside { return (*tableInside)(unsafe.Pointer(t)) }

func upvalueOf(uv *lua.Upvalue) *upvalueInside { return (*upvalueInside)(unsafe.Pointer(uv)) }

// word gives the pointer that an interface holds, with or without methods.
func word(i *any) unsafe.Pointer { return (*[2]unsafe.Pointer)(unsafe.Pointer(i))[1] }

func (t *threadInside) frames() *stackInside { return (*stackInside)(word(&t.Stack)) }

// thread gives the thread whose values the registry holds.
func (r *registryInside) thread() *lua.LState { return (*lua.LState)(word(&r.Handler)) }

var _ = func() struct{} {
	thread := reflect.TypeFor[lua.LState]()
	registry := memberOf(thread, "reg").Elem()
	mirrors(thread, reflect.TypeFor[threadInside]())
	mirrors(registry, reflect.TypeFor[registryInside]())
	mirrors(memberOf(thread, "currentFrame").Elem(), reflect.TypeFor[frameInside]())
	mirrors(reflect.TypeFor[lua.Upvalue](), reflect.TypeFor[upvalueInside]())
	mirrors(reflect.TypeFor[lua.LTable](), reflect.TypeFor[tableInside]())

	L := lua.NewState(lua.Options{SkipOpenLibs: true, CallStackSize: stackFrames})
	defer L.Close()
	frames := reflect.ValueOf(L).Elem().FieldByName("stack").Elem().Type()
	mirrors(frames.Elem(), reflect.TypeFor[stackInside]())
	if threadOf(L).Reg.thread() != L {
		panic("luahost: gopher-lua has changed: a registry belongs to something else than its thread")
	}
	return struct{}{}
}()

func memberOf(in reflect.Type, name string) reflect.Type {
	f, ok := in.FieldByName(name)
	if !ok {
		panic("luahost: gopher-lua has changed: " + in.String() + "." + name)
	}
	return f.Type
}

// mirrors panics where a type of the library does not have our fields.
func mirrors(theirs, ours reflect.Type) {
	if theirs.NumField() != ours.NumField() {
		panic(fmt.Sprintf("luahost: gopher-lua has changed: %s has %d fields", theirs, theirs.NumField()))
	}
	for i := range ours.NumField() {
		t, o := theirs.Field(i), ours.Field(i)
		if !strings.EqualFold(t.Name, o.Name) || t.Offset != o.Offset || t.Type.Size() != o.Type.Size() || t.Type.Kind() != o.Type.Kind() {
			panic(fmt.Sprintf("luahost: gopher-lua has changed: %s.%s", theirs, t.Name))
		}
	}
}

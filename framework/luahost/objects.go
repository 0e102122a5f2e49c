package luahost

import (
	"slices"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Objects is what a VM needs of the objects beside its own, during a call.
type Objects interface {
	// Invoke runs a call of another object, an atomic call of its own, and
	// waits for its answer; until then the object's script does not run. c has
	// Object, Station, Method, Path, Type, Body and Deadline; who calls, and
	// through which objects, is the Object's to add. An answer comes only when
	// what it may depend on is durable. Invoke returns at c.Deadline at the
	// latest, and at once where the context ends under which its own call
	// runs. Errors: those of host.Host's Invoke.
	Invoke(c host.Call) (host.Result, error)

	// InService gives the ids of the station's objects that answer calls and
	// begin with prefix, in the order of their bytes.
	InService(prefix string) []id.Object

	// Exists reports whether the station has an object that answers calls.
	Exists(name id.Object) bool
}

// What the calls of this file cost in steps, beside their bytes: about the
// instructions that take as long on the caller's side.
const (
	callSteps = 1000
	nameSteps = 16
)

// objectsCall is call(id, method, request): the value and the status that the
// other object answers. A failure is a value too.
func objectsCall(L *lua.LState) int {
	vm := session(L, "objects")
	address := stringArg(L, 1, "objects.call: the id")
	method := stringArg(L, 2, "objects.call: the method")
	if !slices.Contains(methods, method) {
		L.RaiseError("objects.call: the method must be one of %s, not '%s'", strings.Join(methods, ", "), clip(method, 64))
	}
	c := host.Call{Method: method, Path: "/objects/" + address, Deadline: vm.meter.deadline}
	if L.Get(3) != lua.LNil {
		c.Type, c.Body = "application/json", vm.requestBody(L, L.Get(3))
	}
	vm.meter.charge(L, callSteps+len(c.Body)/16)
	var r host.Result
	var err error
	if c.Object, c.Station, err = id.ParseAddress(address); err == nil {
		r, err = vm.object.Invoke(c)
		// What ended this call while it waited ends it here. Others have run
		// meanwhile, so that its turn begins anew.
		vm.meter.since = time.Now()
		vm.meter.look(vm.meter.since)
		vm.meter.raise(L)
	}
	if err != nil {
		e := errs.From(err)
		L.Push(vm.errorTable(e))
		L.Push(lua.LNumber(e.HTTPStatus()))
		return 2
	}
	L.Push(vm.answerValue(L, method, r))
	L.Push(lua.LNumber(r.Status))
	return 2
}

func stringArg(L *lua.LState, n int, what string) string {
	s, ok := L.Get(n).(lua.LString)
	if !ok {
		L.RaiseError("%s must be a string, not a %s", what, typeName(L.Get(n)))
	}
	return string(s)
}

// requestBody gives the request of objects.call as JSON.
func (vm *VM) requestBody(L *lua.LState, v lua.LValue) []byte {
	if _, ok := v.(*lua.LTable); !ok {
		L.RaiseError("objects.call: the request must be a table, not a %s", typeName(v))
	}
	b, err := vm.encoder.encode(v, vm.limits.Request, false, false)
	if err != nil && err.large {
		vm.meter.fatal(L, errs.New(errs.Limit, "request_limit",
			"The request that the script gives another object is longer than %d bytes.", vm.limits.Request))
	}
	if err != nil {
		L.RaiseError("objects.call: %s", err.at("request"))
	}
	return slices.Clone(b)
}

// errorTable is the error as HTTP clients get it. Line and traceback are for
// callers who may see the source.
func (vm *VM) errorTable(e *errs.Error) *lua.LTable {
	t := vm.state.CreateTable(0, 5)
	t.RawSetString("status", lua.LString("error"))
	t.RawSetString("error", lua.LString(e.Text()))
	t.RawSetString("code", lua.LString(e.CodeOf()))
	if !vm.request.Call.Caller.Has(id.RoleOperator) || e.Kind == errs.Refused {
		return t
	}
	if e.Line > 0 {
		t.RawSetString("line", lua.LNumber(e.Line))
	}
	if e.Traceback != "" {
		t.RawSetString("traceback", lua.LString(e.Traceback))
	}
	return t
}

// answerValue gives what an object answered: JSON as a value, other bytes as a
// string, also those that are called JSON and are none; nil where there is no
// body, as for HEAD. Of a file it says what files.stat says: its bytes stay where
// they are.
func (vm *VM) answerValue(L *lua.LState, method string, r host.Result) lua.LValue {
	if r.File != nil && method != "HEAD" {
		return fileRow(L, &storage.File{Name: r.File.Name, Type: r.File.Type, Size: r.File.Size, Hash: r.File.Hash, Time: r.File.Time})
	}
	if method == "HEAD" || len(r.Body) == 0 {
		return lua.LNil
	}
	vm.meter.charge(L, len(r.Body)/16)
	if hasJSON(r.Header) {
		if v, err := decode(L, r.Body); err == nil {
			return v
		}
	}
	reserve(L, len(r.Body))
	return lua.LString(r.Body)
}

func hasJSON(header []host.Field) bool {
	for _, f := range header {
		if f.Name == "Content-Type" {
			mediaType, _, _ := strings.Cut(f.Value, ";")
			return isJSON(strings.TrimSpace(mediaType))
		}
	}
	return false
}

// objectsList is list(prefix): the ids of the objects in service.
func objectsList(L *lua.LState) int {
	vm := session(L, "objects")
	prefix := ""
	if L.Get(1) != lua.LNil {
		prefix = stringArg(L, 1, "objects.list: the prefix")
	}
	ids := vm.object.InService(prefix)
	vm.meter.charge(L, nameSteps*(len(ids)+1))
	t := vm.list(len(ids))
	for _, name := range ids {
		t.Append(lua.LString(name))
	}
	L.Push(t)
	return 1
}

// objectsExists is exists(id): whether this station has the object. A text
// that is no id names none.
func objectsExists(L *lua.LState) int {
	vm := session(L, "objects")
	name, station, err := id.ParseAddress(stringArg(L, 1, "objects.exists: the id"))
	vm.meter.charge(L, nameSteps)
	here := station == "" || station == vm.request.Station
	L.Push(lua.LBool(err == nil && here && vm.object.Exists(name)))
	return 1
}

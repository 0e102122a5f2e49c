package luahost

import (
	"net/textproto"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
)

// payloadTable builds the script's `request`: the query parameters as strings,
// the last value of a repeated one, overlaid by a JSON object body or by the
// form fields. A JSON body of another type is kept for call.json. Errors:
// errs.Invalid (bad_json).
func (vm *VM) payloadTable() (*lua.LTable, *errs.Error) {
	c := &vm.request.Call
	for _, fields := range [][]host.Field{c.Query, c.Form} {
		if !vm.meter.hold(fieldsBytes(fields, keyBytes)) {
			return nil, vm.meter.err
		}
	}
	defer func() { vm.meter.mem.held = 0 }()
	t := vm.state.CreateTable(0, len(c.Query)+len(c.Form))
	for _, f := range c.Query {
		t.RawSetString(f.Name, lua.LString(f.Value))
	}
	for _, f := range c.Form {
		t.RawSetString(f.Name, lua.LString(f.Value))
	}
	if len(c.Body) == 0 || !isJSON(c.Type) {
		return t, nil
	}
	v, object, err := decodeInto(vm.state, c.Body, t)
	if vm.meter.err != nil {
		return nil, vm.meter.err
	}
	if err != nil {
		e := errs.New(errs.Invalid, "bad_json", "The body is %s.", err.Error())
		return nil, e
	}
	if !object {
		vm.payload = v
	}
	return t, nil
}

func isJSON(mediaType string) bool {
	return strings.EqualFold(mediaType, "application/json") ||
		len(mediaType) > 5 && strings.EqualFold(mediaType[len(mediaType)-5:], "+json")
}

// callIndex is __index of `call`. The table itself stays empty: strings and
// numbers are made when they are read, tables are made once and kept beside it.
// A `call` that a script kept from an earlier call has nothing in it.
func callIndex(L *lua.LState) int {
	vm := of(L)
	name, ok := L.Get(2).(lua.LString)
	if !ok || L.Get(1) != vm.call {
		L.Push(lua.LNil)
		return 1
	}
	vm.meter.take(L, vm.partBytes(string(name)))
	part := vm.callPart(string(name))
	vm.meter.raise(L) // JSON may have been too much
	L.Push(part)
	return 1
}

// partBytes gives about how much a part of the call takes when it is made.
func (vm *VM) partBytes(name string) int {
	c := &vm.request.Call
	switch name {
	case "body":
		return len(c.Body)
	case "query":
		return fieldsBytes(c.Query, keyBytes+tableSize+2*itemBytes)
	case "form":
		return fieldsBytes(c.Form, keyBytes+tableSize+2*itemBytes)
	case "headers":
		return fieldsBytes(c.Header, keyBytes)
	}
	return 0
}

func fieldsBytes(fields []host.Field, each int) int {
	n := 0
	for _, f := range fields {
		n += each + len(f.Name) + len(f.Value)
	}
	return n
}

// once makes a part of the call at its first use.
func (vm *VM) once(name string, build func(*VM) lua.LValue) lua.LValue {
	for _, p := range vm.parts {
		if p.name == name {
			return p.value
		}
	}
	v := build(vm)
	vm.parts = append(vm.parts, binding{name, v})
	return v
}

func (vm *VM) callPart(name string) lua.LValue {
	r := vm.request
	switch name {
	case "method":
		return lua.LString(r.Call.Method)
	case "path":
		return lua.LString(r.Call.Path)
	case "object":
		return lua.LString(r.Call.Object)
	case "station":
		return lua.LString(r.Station)
	case "version":
		return lua.LNumber(r.Version)
	case "request_id":
		return lua.LString(r.Call.RequestID)
	case "form_token":
		return lua.LString(r.Call.FormToken)
	case "deadline":
		return lua.LNumber(seconds(vm.now().Add(vm.meter.deadline.Sub(vm.meter.start))))
	case "user":
		if r.Call.Caller.User != "" {
			return lua.LString(r.Call.Caller.User)
		}
	case "roles":
		return vm.once(name, (*VM).roles)
	case "body":
		return vm.once(name, (*VM).bodyText)
	case "json":
		return vm.once(name, (*VM).callJSON)
	case "query":
		return vm.once(name, func(vm *VM) lua.LValue { return vm.lists(vm.request.Call.Query) })
	case "form":
		return vm.once(name, func(vm *VM) lua.LValue { return vm.lists(vm.request.Call.Form) })
	case "files":
		return vm.once(name, (*VM).uploadFields)
	case "uploads":
		return vm.once(name, (*VM).uploads)
	case "headers":
		return vm.once(name, (*VM).headers)
	}
	return lua.LNil
}

func (vm *VM) bodyText() lua.LValue { return lua.LString(vm.request.Call.Body) }

func (vm *VM) roles() lua.LValue {
	t := vm.list(len(vm.request.Call.Caller.Roles))
	for _, role := range vm.request.Call.Caller.Roles {
		t.Append(lua.LString(role))
	}
	return t
}

// callJSON gives the JSON body without the query; nil where there is none.
func (vm *VM) callJSON() lua.LValue {
	if vm.payload != nil {
		return vm.payload
	}
	if c := &vm.request.Call; len(c.Body) > 0 && isJSON(c.Type) {
		if v, err := decode(vm.state, c.Body); err == nil {
			return v
		}
	}
	return lua.LNil
}

// list makes an empty sequence that encodes as an array.
func (vm *VM) list(n int) *lua.LTable {
	t := vm.state.CreateTable(n, 0)
	t.Metatable = arrayMark
	return t
}

// lists gives name → all values, in their order.
func (vm *VM) lists(fields []host.Field) *lua.LTable {
	t := vm.state.CreateTable(0, len(fields))
	for _, f := range fields {
		values, ok := t.RawGetString(f.Name).(*lua.LTable)
		if !ok {
			values = vm.list(1)
			t.RawSetString(f.Name, values)
		}
		values.Append(lua.LString(f.Value))
	}
	return t
}

// headers gives canonical name → value; the values of a repeated header are
// joined with commas. Reading ignores case.
func (vm *VM) headers() lua.LValue {
	t := vm.state.CreateTable(0, len(vm.request.Call.Header))
	for _, f := range vm.request.Call.Header {
		name := textproto.CanonicalMIMEHeaderKey(f.Name)
		value := f.Value
		if before, ok := t.RawGetString(name).(lua.LString); ok {
			value = string(before) + ", " + value
		}
		t.RawSetString(name, lua.LString(value))
	}
	t.Metatable = vm.shared.headerMeta
	return t
}

// headerIndex is __index of call.headers.
func headerIndex(L *lua.LState) int {
	t, name := L.CheckTable(1), L.CheckString(2)
	L.Push(t.RawGetString(textproto.CanonicalMIMEHeaderKey(name)))
	return 1
}

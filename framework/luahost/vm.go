package luahost

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
)

const (
	stackFrames = 200  // how many functions may be active in one thread
	stackValues = 1024 // how many values its stack has room for at first
)

// methods are the HTTP methods that a script may answer, in the order of Allow.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// VM is a loaded script. One goroutine at a time uses it.
type VM struct {
	state    *lua.LState
	limits   Limits
	environ  Env
	shared   *environment
	meter    *meter
	encoder  encoder
	globals  *lua.LTable // what the script defined; unreachable for it
	env      *lua.LTable // _G: always empty, in front of globals
	handlers map[string]*lua.LFunction
	actions  map[string]*lua.LFunction
	modules  Modules
	loaded   map[string]lua.LValue // what modules returned; nil for one that runs its top level
	answers  []string              // see Methods
	allow    []host.Field          // the answer to OPTIONS; shared, so nobody changes it
	declared Declared

	// Of the call that runs.
	object     Object
	request    *Request
	call       *lua.LTable        // the script's second argument
	parts      []binding          // of call, as far as it was read
	payload    lua.LValue         // a JSON body that is no object
	handles    []upload           // of its uploads, once the script asked for them
	coroutines int                // begun in it and not finished
	random     *rand.Rand         // after math.randomseed
	test       *lua.FunctionProto // of the test that runs, nil in a call

	closeFrom int // register from which protectedCall closes upvalues

	spoofed bool // the script raised a text that looks like the library's
	spent   bool
}

// LoadTime is how long a script may take to load. A load runs while a call
// waits for it, and knows nothing of that call: it has limits of its own.
const LoadTime = time.Second

// NewVM loads the script: its top level runs once, under limits and for at
// most LoadTime, and API tables refuse. Yield, nil for none, is called as a
// Request's; what it takes does not count, up to another LoadTime. Errors:
// errs.Source, with the line; errs.Busy (station_memory), which is no fault of
// the script.
func (p *Program) NewVM(limits Limits, yield func()) (*VM, error) {
	vm := &VM{
		state: lua.NewState(lua.Options{
			SkipOpenLibs:     true,
			CallStackSize:    stackFrames,
			RegistrySize:     stackValues,
			RegistryMaxSize:  65536,
			RegistryGrowStep: 1024,
		}),
		limits:  limits,
		modules: p.modules,
		environ: p.Env,
	}
	vm.meter = &meter{vm: vm, every: interval, mem: memory{limit: int64(limits.Memory), allocated: allocated()}}
	L := vm.state
	L.Panic = raisePlain
	shared().install(vm)
	load := limits
	load.Time = min(load.Time, LoadTime)
	vm.meter.begin(context.Background(), load)
	vm.meter.yield, vm.meter.grace = yield, LoadTime
	L.SetContext(vm.meter)
	L.Push(L.NewFunctionFromProto(p.proto))
	err := vm.protect(0, 0)
	if err == nil {
		err = vm.inspect()
	}
	if err != nil {
		vm.Close()
		return nil, loadError(err)
	}
	vm.meter.yield, vm.meter.grace = nil, 0
	vm.meter.settleCall()
	return vm, nil
}

// raisePlain raises what lies on the stack; where builds the traceback.
func raisePlain(L *lua.LState) {
	panic(&lua.ApiError{Type: lua.ApiErrorRun, Object: L.Get(-1)})
}

// loadError makes any failure of a load one of the source.
func loadError(err *errs.Error) *errs.Error {
	if err.Kind == errs.Internal || err.Kind == errs.Busy {
		return err
	}
	e := *err
	if e.Kind != errs.Source {
		e.Message = "While the script loads: " + e.Text()
		if e.Kind == errs.Script {
			e.Message = err.Text()
		}
	}
	e.Kind = errs.Source
	return &e
}

// protect calls the function that lies below its arguments on the stack.
func (vm *VM) protect(args, results int) (err *errs.Error) {
	defer func() {
		if r := recover(); r != nil {
			vm.spent = true
			err = vm.failure(r)
		}
	}()
	vm.state.Call(args, results)
	return nil
}

// inspect finds what the loaded script answers and declares, and closes its globals.
func (vm *VM) inspect() *errs.Error {
	if err := vm.declare(); err != nil {
		return err
	}
	vm.handlers = map[string]*lua.LFunction{}
	for _, m := range methods {
		fn, ok := vm.globals.RawGetString(m).(*lua.LFunction)
		if !ok && m == "HEAD" {
			fn, ok = vm.handlers["GET"]
		}
		if ok {
			vm.handlers[m] = fn
		}
		if ok || m == "OPTIONS" || m == "POST" && len(vm.actions) > 0 {
			vm.answers = append(vm.answers, m)
		}
	}
	vm.allow = []host.Field{{Name: "Allow", Value: strings.Join(vm.answers, ", ")}}
	vm.env.Metatable.(*lua.LTable).RawSetString("__newindex", vm.shared.sealed)
	return nil
}

// declare reads the table `object`.
func (vm *VM) declare() *errs.Error {
	v := vm.globals.RawGetString("object")
	if v == lua.LNil {
		return nil
	}
	t, ok := v.(*lua.LTable)
	if !ok {
		return sourceError("`object` must be a table, not a " + v.Type().String())
	}
	for _, f := range []struct {
		name string
		to   *string
	}{
		{"name", &vm.declared.Name}, {"description", &vm.declared.Description},
		{"version", &vm.declared.Version}, {"author", &vm.declared.Author},
	} {
		switch v := t.RawGetString(f.name).(type) {
		case lua.LString, lua.LNumber:
			*f.to = clip(v.String(), maxMessage)
		default:
			if v != lua.LNil {
				return sourceError("`object." + f.name + "` must be a string, not a " + v.Type().String())
			}
		}
	}
	return vm.declareActions(t.RawGetString("actions"))
}

func (vm *VM) declareActions(v lua.LValue) *errs.Error {
	if v == lua.LNil {
		return nil
	}
	t, ok := v.(*lua.LTable)
	if !ok {
		return sourceError("`object.actions` must be a list of names, not a " + v.Type().String())
	}
	vm.actions = map[string]*lua.LFunction{}
	for i := range t.MaxN() {
		name, ok := t.RawGetInt(i + 1).(lua.LString)
		if !ok {
			return sourceError("`object.actions` must be a list of names")
		}
		fn, ok := vm.globals.RawGetString(string(name)).(*lua.LFunction)
		if !ok {
			return sourceError("`object.actions` names `" + clip(string(name), 64) + "`, which is no global function")
		}
		vm.actions[string(name)] = fn
		vm.declared.Actions = append(vm.declared.Actions, string(name))
	}
	return nil
}

// Methods gives the HTTP methods that the object answers, in a fixed order:
// those of its functions, HEAD with GET, POST with an action, OPTIONS always.
func (vm *VM) Methods() []string { return slices.Clone(vm.answers) }

// Answers says why the object does not answer a method, nil where it does.
// Errors: errs.MethodNotAllowed with Allow.
func (vm *VM) Answers(method string) error {
	if slices.Contains(vm.answers, method) {
		return nil
	}
	return vm.notAllowed(method)
}

// Declared gives what the script says of itself.
func (vm *VM) Declared() Declared {
	d := vm.declared
	d.Actions = slices.Clone(d.Actions)
	return d
}

// Declares gives the table `object` as JSON, at most maximum bytes: the fields in the
// order of their names, without those that are no JSON or do not fit. It is nil
// where the script has no such table.
func (vm *VM) Declares(maximum int) []byte {
	t, ok := vm.globals.RawGetString("object").(*lua.LTable)
	if !ok {
		return nil
	}
	fields := map[string]lua.LValue{}
	t.ForEach(func(k, v lua.LValue) {
		if name, ok := k.(lua.LString); ok {
			fields[string(name)] = v
		}
	})
	for name, text := range map[string]string{ // numbers count as text there
		"name": vm.declared.Name, "description": vm.declared.Description, "version": vm.declared.Version, "author": vm.declared.Author,
	} {
		if fields[name] != nil {
			fields[name] = lua.LString(text)
		}
	}
	out := []byte{'{'}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		one := vm.state.NewTable()
		one.RawSetString(name, fields[name])
		text, err := vm.encoder.encode(one, maximum, false, true) // {"name":value}
		if err != nil || len(out)+len(text) > maximum {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, text[1:len(text)-1]...)
	}
	return append(out, '}')
}

// Spent reports that a call failed after its script had begun. What the script
// keeps in its locals may then be half changed, so the VM runs no other call:
// close it and take a new one.
func (vm *VM) Spent() bool { return vm.spent }

// Close releases the VM. It may be called more than once.
func (vm *VM) Close() {
	vm.spent = true
	if !vm.state.IsClosed() {
		vm.state.Close()
	}
	vm.limits.Budget.closed(&vm.meter.mem)
}

// of gives the VM that a builtin runs in.
func of(L *lua.LState) *VM { return L.Context().(*meter).vm }

// now is the time that the script sees: the request's, moving with the clock.
func (vm *VM) now() time.Time {
	if vm.request == nil || vm.request.Now.IsZero() {
		return time.Now()
	}
	return vm.request.Now.Add(time.Since(vm.meter.start))
}

package luahost

import (
	"context"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/errs"
)

// Call runs the function that answers the request's method, or the declared
// action that a POST names in its payload. HEAD falls back to GET; its Result
// keeps the body, whose length the response tells. OPTIONS without a function
// is a 204 with Allow, of which the script learns nothing.
//
// Errors before the script began: errs.MethodNotAllowed with Allow,
// errs.Invalid (bad_json). Errors of the script, after which the VM is Spent:
// errs.Script, errs.Refused (its fail), errs.Limit, errs.Timeout, errs.Busy
// (station_memory), what o returned, and what cancelled ctx (its cause where that is an *errs.Error,
// else errs.Unavailable). errs.Internal is a fault of the VM itself.
func (vm *VM) Call(ctx context.Context, o Object, r Request) (Result, error) {
	if vm.spent {
		return Result{}, errs.New(errs.Internal, "", "The VM of a failed call was used again.")
	}
	fn := vm.handlers[r.Call.Method]
	acts := r.Call.Method == "POST" && len(vm.actions) > 0
	switch {
	case fn != nil, acts: // which action, if any, the payload says
	case r.Call.Method == "OPTIONS":
		return Result{Status: 204, Header: vm.allow}, nil
	default:
		return Result{}, vm.notAllowed(r.Call.Method)
	}
	vm.enter(ctx, o, &r)
	defer vm.end()

	payload, err := vm.payloadTable()
	if err != nil {
		return Result{}, err
	}
	if acts {
		if name, ok := payload.RawGetString("action").(lua.LString); ok && vm.actions[string(name)] != nil {
			fn = vm.actions[string(name)]
		}
	}
	if fn == nil {
		return Result{}, vm.notAllowed(r.Call.Method)
	}
	return vm.run(fn, payload)
}

// enter begins a call under its limits; end must follow.
func (vm *VM) enter(ctx context.Context, o Object, r *Request) {
	vm.meter.begin(ctx, vm.limits, r.Deadline, r.Call.Deadline)
	vm.meter.yield = r.Yield
	vm.object, vm.request, vm.coroutines = o, r, 0
}

// invoke calls the function with its two arguments, and leaves three results on the stack.
func (vm *VM) invoke(fn *lua.LFunction, payload *lua.LTable) *errs.Error {
	if vm.meter.look(vm.meter.start); vm.meter.err != nil {
		return vm.meter.err // before the script began
	}
	L := vm.state
	vm.call = L.CreateTable(0, 0)
	vm.call.Metatable = vm.shared.callMeta
	L.Push(fn)
	L.Push(payload)
	L.Push(vm.call)
	return vm.protect(2, 3)
}

// run calls the function and takes its answer from the stack.
func (vm *VM) run(fn *lua.LFunction, payload *lua.LTable) (Result, error) {
	if err := vm.invoke(fn, payload); err != nil {
		return Result{}, err
	}
	L := vm.state
	result, err := vm.answer(L.Get(-3), L.Get(-2), L.Get(-1))
	L.SetTop(0)
	if err != nil {
		vm.spent = true
		return Result{}, err
	}
	return result, nil
}

// end forgets the call, so that a warm VM keeps nothing of it, and measures
// what it keeps nevertheless.
func (vm *VM) end() {
	vm.object, vm.request, vm.call, vm.payload, vm.random = nil, nil, nil, nil, nil
	clear(vm.parts)
	vm.parts = vm.parts[:0]
	vm.handles = nil
	vm.meter.ctx, vm.meter.yield = context.Background(), nil
	vm.spoofed = false
	const keep = 64 << 10
	if cap(vm.encoder.buf) > keep {
		vm.encoder.buf = nil
	}
	if cap(vm.encoder.fields) > 1024 {
		vm.encoder.fields = nil
	}
	vm.meter.settleCall()
}

func (vm *VM) notAllowed(method string) *errs.Error {
	if !slices.Contains(methods, method) {
		method = "this method"
	}
	e := errs.New(errs.MethodNotAllowed, "", "The object does not answer %s; it answers %s.", method, strings.Join(vm.answers, ", "))
	if method == "POST" && len(vm.actions) > 0 {
		e = errs.New(errs.MethodNotAllowed, "", "The object answers POST with an action only, one of: %s.",
			clip(strings.Join(vm.declared.Actions, ", "), maxMessage/2))
	}
	e.Allow = slices.Clone(vm.answers)
	return e
}

package luahost

import (
	"context"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// wait runs work of a builtin that takes time without using the VM: it may
// block, and ends soon after ctx, which ends with the call's deadline or when
// the kernel ends the call. Meanwhile other calls may run in the place of this
// one. Where the call's time is over afterwards, wait raises.
func (vm *VM) wait(L *lua.LState, work func(ctx context.Context)) {
	m := vm.meter
	ctx, cancel := context.WithDeadline(m.ctx, m.deadline)
	defer cancel()
	if vm.request != nil && vm.request.Aside != nil {
		vm.request.Aside(func() { work(ctx) })
	} else {
		work(ctx)
	}
	m.since = time.Now()
	m.look(m.since)
	m.raise(L)
}

package luahost

import (
	"runtime/metrics"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/errs"
)

const (
	// stepBytes is what an instruction or a small builtin makes at most, in the
	// long run, beside what is charged where it is made.
	stepBytes = 24

	// mapBytes is what a map takes that is still empty.
	mapBytes = 48

	// keyBytes is what a new key of a table takes, its growth included.
	keyBytes = 160

	// itemBytes is what an item of an array takes, number and growth included.
	itemBytes = 48

	// threadBytes is what a coroutine takes.
	threadBytes = 36 << 10

	// largeValue is from where on a string or an array makes one instruction
	// take so long that the clock is looked at more often.
	largeValue = 64 << 10

	// freshBytes is the size of a VM that was never measured.
	freshBytes = 57 << 10
)

// memory is a VM's account. The library has no hook where it allocates, and
// only a walk over the live values tells what a script holds. So the account
// keeps an upper bound of what was made since the last walk, garbage included,
// and walks when that may have made a difference.
type memory struct {
	limit     int64
	live      int64  // bytes of the values that the last walk found
	grown     int64  // at most so much was made since
	held      int64  // part of it that a builtin builds and a walk cannot find
	allocated uint64 // what the process had ever allocated at the last walk
	noted     int64  // the steps of the call that grown has
	work      int64  // steps of builtins, which make nothing that is not charged
	counted   int64  // what the station's Budget has of it
}

// room is what may be made between two walks.
func (m *memory) room() int64 { return m.limit / 4 }

// take charges for n bytes that are about to be made, and raises where the
// script would hold more than its limit.
func (m *meter) take(L *lua.LState, n int) {
	if !m.spend(n) {
		m.raise(L)
	}
}

// spend is take where nothing may be raised; it says whether the call may go on.
func (m *meter) spend(n int) bool {
	if m.mem.grown += int64(n); m.mem.grown > m.mem.room() {
		m.settle(int64(n))
	}
	if n > largeValue {
		m.hurry(n)
	}
	return m.err == nil
}

// hurry makes the checks as much more frequent as a value of n bytes is large:
// one instruction may compare it, or read it as a number, from end to end.
func (m *meter) hurry(n int) {
	m.every = min(m.every, max(1, interval*largeValue/int64(n)))
	m.due = min(m.due, m.steps+m.every)
}

// calm undoes what hurry did for values that a walk found to be gone.
func (m *meter) calm() { m.every = max(m.every, interval*largeValue/max(m.mem.live, largeValue)) }

// hold charges for n bytes of something that nothing refers to yet, so that a
// walk would miss it, as spend does. The caller puts held back when the script
// has got the whole.
func (m *meter) hold(n int) bool {
	m.mem.held += int64(n)
	m.mem.grown += int64(n)
	switch room := m.mem.room(); {
	case int64(n) > room: // may not be made yet, so the process does not know
		m.walk(0)
	case m.mem.grown > room:
		m.settle(0)
	}
	if n > largeValue {
		m.hurry(n)
	}
	return m.err == nil
}

// noteSteps charges for what the instructions since the last time made.
func (m *meter) noteSteps() {
	made := m.steps - m.mem.noted - m.mem.work
	m.mem.noted, m.mem.work = m.steps, 0
	if m.mem.grown += made * stepBytes; m.mem.grown > m.mem.room() {
		m.settle(0)
	}
}

// left gives how many bytes a script may hold beyond what it may hold already.
func (m *meter) left() int { return int(max(0, m.mem.limit-m.mem.live-m.mem.grown)) }

// settle finds out what became of what was made since the last walk; next bytes
// of it are not made yet. Where the whole process has not allocated much, it
// was less than thought.
func (m *meter) settle(next int64) {
	if m.err != nil {
		return
	}
	if made := int64(allocated()-m.mem.allocated) + next; made < m.mem.room()*3/4 {
		m.mem.grown = made
		return
	}
	m.walk(next)
}

// walk measures the VM and ends the call if that is over a limit, or would be
// with next bytes more.
func (m *meter) walk(next int64) {
	mem := &m.mem
	mem.allocated = allocated()
	mem.live, mem.grown = m.vm.measure(mem.limit)+mem.held, next
	if mem.live+next > mem.limit {
		m.stop(errs.New(errs.Limit, "memory_limit", "The script needs more than its %d bytes of memory.", mem.limit))
		return
	}
	m.calm()
	if err := m.vm.limits.Budget.account(mem); err != nil {
		m.stop(err)
	}
}

// settleCall measures, after a call or the load, a VM that may have grown or
// shrunk by much, so that a warm VM is known by what it keeps. One that runs no
// other call is not worth it.
func (m *meter) settleCall() {
	if m.vm.spent {
		return
	}
	m.mem.held = 0
	m.mem.grown += (m.steps - m.mem.noted - m.mem.work) * stepBytes
	m.mem.noted, m.mem.work = m.steps, 0
	if m.mem.grown < max(256<<10, m.mem.live/4) {
		return
	}
	m.mem.allocated = allocated()
	m.mem.live, m.mem.grown = m.vm.measure(m.mem.limit), 0
	m.calm()
	m.vm.limits.Budget.settle(&m.mem)
}

// Size gives about how many bytes the VM takes, as of the last time that its
// memory may have changed by more than a quarter.
func (vm *VM) Size() int { return int(max(freshBytes, vm.meter.mem.live)) }

// reserve charges for n bytes that a builtin is about to make at once, and
// ends the call where they exceed the memory budget.
func reserve(L *lua.LState, n int) {
	m := of(L).meter
	m.take(L, n)
	m.charge(L, n/64)
}

// allocated gives how many bytes the process has ever allocated.
func allocated() uint64 {
	sample := [1]metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample[:])
	return sample[0].Value.Uint64()
}

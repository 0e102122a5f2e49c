package luahost

import (
	"math/bits"
	"sync"
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// What the library's things take, as the allocator rounds them.
const (
	tableSize    = 96
	functionSize = 64
	upvalueSize  = 48
	boxSize      = 16 // a string in an LValue: its header
	dataSize     = 64 // a userdata
	frameSize    = int64(unsafe.Sizeof(frameInside{}))
	threadSize   = int64(unsafe.Sizeof(threadInside{})) + 512 // its registry, its block of numbers
)

// short is up to which length a string is counted wherever it stands, instead
// of once.
const short = 32

// tracing counts the bytes that a VM's values take: everything that can be
// reached from its roots, each thing once. What all VMs share costs none of
// them anything.
type tracing struct {
	vm      *VM
	bytes   int64
	stop    int64 // count no further than this
	seen    addresses
	tables  []*lua.LTable // found and not yet walked, as the others
	fns     []*lua.LFunction
	threads []*lua.LState
	recent  [256]unsafe.Pointer // boxes of short strings seen of late
	block   uintptr             // of the last number
}

var tracings = sync.Pool{New: func() any { return new(tracing) }}

// measure gives the bytes that the VM's live values take, or something above
// stop where they are more.
func (vm *VM) measure(stop int64) int64 {
	t := tracings.Get().(*tracing)
	t.vm, t.stop = vm, stop
	t.roots()
	for t.bytes <= stop {
		switch {
		case len(t.tables) > 0:
			t.table(pop(&t.tables))
		case len(t.fns) > 0:
			t.function(pop(&t.fns))
		case len(t.threads) > 0:
			t.thread(pop(&t.threads))
		default:
			stop = 0 // nothing is left
		}
	}
	n := t.bytes
	t.forget()
	tracings.Put(t)
	return n
}

func pop[T any](s *[]T) T {
	last := len(*s) - 1
	v := (*s)[last]
	var none T
	(*s)[last] = none
	*s = (*s)[:last]
	return v
}

func (t *tracing) forget() {
	clear(t.tables)
	clear(t.fns)
	clear(t.threads)
	clear(t.recent[:])
	t.tables, t.fns, t.threads = t.tables[:0], t.fns[:0], t.threads[:0]
	t.vm, t.bytes, t.block = nil, 0, 0
	t.seen.reset()
}

func (t *tracing) roots() {
	vm := t.vm
	t.value(vm.globals)
	for L := vm.state.G.CurrentThread; L != nil; L = L.Parent {
		t.value(L)
	}
	t.value(vm.state)
	if vm.call != nil {
		t.value(vm.call)
	}
	if vm.payload != nil {
		t.value(vm.payload)
	}
	for _, p := range vm.parts {
		t.value(p.value)
	}
	for _, module := range vm.loaded {
		t.value(module)
	}
	t.bytes += int64(cap(vm.encoder.buf)) + int64(cap(vm.encoder.fields))*int64(unsafe.Sizeof(field{}))
}

// value counts what v takes beside the LValue itself.
func (t *tracing) value(v lua.LValue) {
	switch held := v.(type) {
	case nil: // a module that has not returned
	case lua.LNumber:
		t.number(uintptr(boxOf(v)))
	case lua.LString:
		t.text(boxOf(v), string(held))
	case *lua.LTable:
		if t.first(unsafe.Pointer(held)) {
			t.tables = append(t.tables, held)
		}
	case *lua.LFunction:
		if !held.IsG || len(held.Upvalues) > 0 { // the station's functions have none
			t.called(held)
		}
	case *lua.LState:
		if t.first(unsafe.Pointer(held)) {
			t.threads = append(t.threads, held)
		}
	case *lua.LUserData:
		if held == null || !t.first(unsafe.Pointer(held)) {
			return
		}
		t.bytes += dataSize
		if inner, ok := held.Value.(lua.LValue); ok {
			t.value(inner)
		}
	}
}

// boxOf gives the address of a number, or of a string's header.
func boxOf(v lua.LValue) unsafe.Pointer { return (*[2]unsafe.Pointer)(unsafe.Pointer(&v))[1] }

// first reports whether p is seen for the first time.
func (t *tracing) first(p unsafe.Pointer) bool { return t.seen.add(uint64(uintptr(p))) }

func (t *tracing) called(fn *lua.LFunction) {
	if fn != nil && t.first(unsafe.Pointer(fn)) {
		t.fns = append(t.fns, fn)
	}
}

// number counts one for the block that it stands in: the library makes numbers
// in blocks of 32, 256 bytes, and one that is kept keeps its block. A block
// counts half, since numbers that others made share theirs with anything.
func (t *tracing) number(at uintptr) {
	block := at >> 8
	if block == t.block {
		return
	}
	t.block = block
	if t.seen.add(uint64(block) | 1<<63) {
		t.bytes += 128
	}
}

func (t *tracing) text(box unsafe.Pointer, s string) {
	n := int64(len(s)+15) &^ 15
	if len(s) <= short {
		if recent := &t.recent[uintptr(box)>>4&255]; *recent != box {
			*recent = box
			t.bytes += boxSize + n
		}
		return
	}
	// The length as well: a long string may begin where a short one does.
	if t.seen.add(uint64(uintptr(unsafe.Pointer(unsafe.StringData(s))))<<16 ^ uint64(len(s)) | 1<<62) {
		t.bytes += boxSize + n
	}
}

func (t *tracing) values(vs []lua.LValue) {
	for _, v := range vs {
		if v == nil || v == lua.LNil {
			continue
		}
		if t.value(v); t.bytes > t.stop {
			return
		}
	}
}

func (t *tracing) table(table *lua.LTable) {
	in := tableOfLua(table)
	t.bytes += tableSize + int64(cap(in.Array)+cap(in.Keys))*16
	// Maps keep their size when keys are deleted, and so does Keys.
	ever, texts, others := len(in.Keys), len(in.Strdict), len(in.Dict)
	gone := max(0, ever-texts-others)
	if in.K2i != nil {
		t.bytes += mapSize(ever, 24)
	}
	if in.Strdict != nil {
		t.bytes += mapSize(texts+gone, 32)
	}
	if in.Dict != nil {
		t.bytes += mapSize(others+gone, 32)
	}
	if t.bytes > t.stop {
		return
	}
	t.values(in.Array)
	t.values(in.Keys)
	for _, v := range in.Strdict {
		if t.value(v); t.bytes > t.stop {
			return
		}
	}
	for _, v := range in.Dict {
		if t.value(v); t.bytes > t.stop {
			return
		}
	}
	if m, ok := in.Metatable.(*lua.LTable); ok && !t.vm.shared.isMeta(m) && !t.vm.shared.frozen[table] {
		t.value(m)
	}
}

// mapSize estimates a Go map that has held n entries at most: groups of eight
// slots with eight bytes of marks, doubled when seven of eight are taken, and
// beyond 1,024 slots split in parts of which some are fuller than others.
func mapSize(n, slot int) int64 {
	slots := 8
	switch {
	case n == 0:
		slots = 0
	case n > 896:
		slots = n * 3 / 2
	case n > 8:
		slots = 1 << bits.Len(uint(n*8/7))
	}
	return mapBytes + int64(slots)*int64(slot+1)
}

func (t *tracing) function(fn *lua.LFunction) {
	t.bytes += functionSize + int64(cap(fn.Upvalues))*8
	for _, uv := range fn.Upvalues {
		// One that is closed still holds on to the stack that it was part of,
		// and to its neighbour there.
		for in := upvalueOf(uv); in != nil && t.first(unsafe.Pointer(in)); in = in.Next {
			t.bytes += upvalueSize
			t.value(in.Value)
			if in.Reg != nil {
				t.value(in.Reg.thread())
			}
		}
	}
}

func (t *tracing) thread(L *lua.LState) {
	in := threadOf(L)
	frames := in.frames().Array
	t.bytes += threadSize + int64(len(frames))*frameSize + int64(len(in.Reg.Array))*16
	t.values(in.Reg.Array)
	for i := range frames { // also those above the top, which nothing clears
		t.called(frames[i].Fn)
	}
	for uv := in.Uvcache; uv != nil && t.first(unsafe.Pointer(uv)); uv = uv.Next {
		t.bytes += upvalueSize
	}
	if in.Parent != nil {
		t.value(in.Parent)
	}
}

// addresses is a set, for which a map would take twice the time.
type addresses struct {
	slots []uint64 // a power of two of them; 0 is free
	n     int
}

func (a *addresses) add(key uint64) bool {
	if 2*a.n >= len(a.slots) {
		a.grow()
	}
	mask := uint64(len(a.slots) - 1)
	for i := key * 0x9e3779b97f4a7c15 >> 20; ; i++ {
		switch slot := &a.slots[i&mask]; *slot {
		case key:
			return false
		case 0:
			*slot = key
			a.n++
			return true
		}
	}
}

func (a *addresses) grow() {
	old := a.slots
	a.slots, a.n = make([]uint64, max(256, 2*len(old))), 0
	for _, key := range old {
		if key != 0 {
			a.add(key)
		}
	}
}

// reset empties the set; what was needed for one large VM is not kept.
func (a *addresses) reset() {
	if len(a.slots) > 1<<14 {
		a.slots = nil
	}
	clear(a.slots)
	a.n = 0
}

// Package heap has the collector run less often while a process is busy, and gives
// memory back to the system once it is quiet.
//
// Go's collector runs when as much was allocated as was alive, or after two minutes.
// A process that allocated much and then nothing keeps its garbage that long, and
// most of what it was given by the system for minutes after.
package heap

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	every = 5 * time.Second // between two looks of Tend
	much  = 16 << 20        // growth in bytes that is worth a collection, and garbage that a busy process may have
)

// spared is never touched, so that it takes no memory: it is there for the collector
// to count.
var spared []byte

// Spare lets garbage gather to 16 MiB beyond what is alive before the collector runs.
// Left alone it begins at 4 MiB, which a small process that is busy has many times
// a second, and each time wakes threads. It is called once in the life of a process.
func Spare() { spared = make([]byte, much) }

// Tend gives memory back whenever it is due, until ctx ends.
func Tend(ctx context.Context) {
	var w Watch
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		w.Look()
	}
}

// Watch gives memory back when that is due. It is for one goroutine, and its
// zero value begins with a process that held nothing.
type Watch struct {
	base  uint64 // bytes held after the last time, or the least since
	total uint64 // bytes ever allocated, at the last look
}

// Look gives memory back if that is worth its collection now: the heap has
// grown by 16 MiB and by half since the last time, and what was allocated since the
// last look is less than a quarter of the growth, which therefore is not about
// to be used again. Looks are some seconds apart.
func (w *Watch) Look() {
	if !w.due(read()) {
		return
	}
	debug.FreeOSMemory()
	w.base, w.total = read()
}

func (w *Watch) due(held, total uint64) bool {
	allocated := total - w.total
	w.total = total
	w.base = min(w.base, held)
	grown := held - w.base
	return grown >= max(much, w.base/2) && allocated < grown/4
}

// read gives the bytes that the heap holds of the system, and the bytes that
// were ever allocated in it.
func read() (held, total uint64) {
	s := [...]metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(s[:])
	held = s[0].Value.Uint64() + s[1].Value.Uint64() + s[2].Value.Uint64()
	return held - min(held, uint64(len(spared))), s[3].Value.Uint64()
}

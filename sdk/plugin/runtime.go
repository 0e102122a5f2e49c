package plugin

import "runtime/metrics"

// Runtime is what Go tells of its process. The kernel learns it of each plugin
// that sdk.Serve runs; no author has to report it.
type Runtime struct {
	Goroutines  uint64
	Heap        uint64 // bytes of objects, garbage that was not found yet included
	Memory      uint64 // bytes that Go has of the system
	Collections uint64 // rounds of the garbage collector
}

// ReadRuntime reads it of this process, in some microseconds.
func ReadRuntime() Runtime {
	samples := []metrics.Sample{
		{Name: "/sched/goroutines:goroutines"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(samples)
	n := func(i int) uint64 { return samples[i].Value.Uint64() }
	return Runtime{Goroutines: n(0), Heap: n(1), Memory: n(2) - n(3), Collections: n(4)}
}

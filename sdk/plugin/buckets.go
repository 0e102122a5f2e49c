package plugin

import (
	"math"
	"sync/atomic"
)

// Buckets counts observations for a Figure of the type Histogram. It is safe for
// concurrent use, and costs some nanoseconds an observation.
type Buckets struct {
	bounds []float64
	counts []atomic.Uint64
	sum    atomic.Uint64 // math.Float64bits
}

// NewBuckets gives empty buckets with these upper bounds, which must rise.
func NewBuckets(bounds ...float64) *Buckets {
	return &Buckets{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts one value.
func (b *Buckets) Observe(v float64) {
	i := 0
	for i < len(b.bounds) && v > b.bounds[i] {
		i++
	}
	b.counts[i].Add(1)
	for {
		old := b.sum.Load()
		if b.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

// Figure gives what was counted as a figure.
func (b *Buckets) Figure(name, help string) Figure {
	s := Sample{Value: math.Float64frombits(b.sum.Load()), Counts: make([]uint64, len(b.counts))}
	for i := range b.counts {
		s.Counts[i] = b.counts[i].Load()
	}
	return Figure{Name: name, Help: help, Type: Histogram, Bounds: b.bounds, Samples: []Sample{s}}
}

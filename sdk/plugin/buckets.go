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

// NewDurations gives empty buckets for seconds: from 0.1 ms to the longest that work on
// a disk takes in good order, and to the further bounds, which go on from 2.5 s.
func NewDurations(further ...float64) *Buckets {
	return NewBuckets(append([]float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5}, further...)...)
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

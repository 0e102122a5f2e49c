package luahost

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/heap"
)

// DefaultBudget is what the VMs of a station may hold together.
const DefaultBudget = 256 << 20

// Uncounted is how many bytes of each VM a Budget does not count.
const Uncounted = 1 << 20

const (
	much      = 8 << 20         // what a VM held, if not made, that is worth giving back to the system
	interim   = 3 * time.Second // between two times of it
	heapFloor = 640 << 20       // the least that the soft limit lets the process keep
)

// Budget bounds the memory of all VMs of a station together: what each holds
// beyond Uncounted, as last measured. Its goroutine gives memory back to the system
// after VMs that held much were closed and when the process is quiet, and holds
// the collector to a soft limit unless the environment has GOMEMLIMIT. A nil
// Budget bounds nothing.
type Budget struct {
	limit   int64
	used    atomic.Int64
	onFull  func() bool
	interim time.Duration
	release func()
	look    func() // gives back what a quiet process need not hold
	soft    bool
	freed   chan struct{} // a VM that held much was closed
	done    chan struct{}
	close   func()
	group   sync.WaitGroup
}

// NewBudget makes a Budget of limit bytes, one for a process, whose collector it
// has run less often (heap.Spare). Close ends it.
func NewBudget(limit int64) *Budget {
	_, set := os.LookupEnv("GOMEMLIMIT")
	heap.Spare()
	var quiet heap.Watch
	return startBudget(&Budget{limit: limit, interim: interim, release: debug.FreeOSMemory, look: quiet.Look, soft: !set})
}

func startBudget(b *Budget) *Budget {
	b.freed, b.done = make(chan struct{}, 1), make(chan struct{})
	b.close = sync.OnceFunc(func() { close(b.done) })
	b.group.Go(b.tend)
	return b
}

// OnFull has f called, before a VM is refused memory, to close another one that
// holds of the Budget and runs no call; f says whether there was one, and is
// called again while that does not suffice. It runs in the middle of a call or a
// load, on several goroutines at once. OnFull itself comes before the first VM.
func (b *Budget) OnFull(f func() bool) { b.onFull = f }

// Limit gives the bytes that VMs may hold of it.
func (b *Budget) Limit() int64 { return b.limit }

// Used gives the bytes that VMs hold of it.
func (b *Budget) Used() int64 { return b.used.Load() }

// Close ends the Budget's goroutine. VMs may still use the account.
func (b *Budget) Close() {
	b.close()
	b.group.Wait()
}

// account takes what a VM was measured to hold. Errors: errs.Busy
// (station_memory) where all VMs together would hold more than the limit.
func (b *Budget) account(m *memory) *errs.Error {
	if b == nil {
		return nil
	}
	more := max(0, m.live-Uncounted) - m.counted
	for b.used.Add(more) > b.limit && more > 0 {
		b.used.Add(-more)
		if b.onFull != nil && b.onFull() {
			continue
		}
		e := errs.New(errs.Busy, "station_memory",
			"The scripts of the station together need more than its %d bytes of memory; try again.", b.limit)
		e.RetryAfter = time.Second
		return e
	}
	m.counted += more
	return nil
}

// settle takes what a VM holds after its call, also beyond the limit: the next
// call that needs more is refused.
func (b *Budget) settle(m *memory) {
	if b == nil {
		return
	}
	more := max(0, m.live-Uncounted) - m.counted
	b.used.Add(more)
	m.counted += more
}

// closed takes back what a VM held that is no more.
func (b *Budget) closed(m *memory) {
	held := m.live
	m.live = 0
	if b == nil {
		return
	}
	b.used.Add(-m.counted)
	m.counted = 0
	if held < much && !m.busy {
		return
	}
	select {
	case b.freed <- struct{}{}:
	default: // it is about to happen
	}
}

// tend gives memory back and moves the soft limit, at most every interim, until
// the Budget is closed.
func (b *Budget) tend() {
	if b.soft {
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	}
	var limit int64
	ticks := time.NewTicker(b.interim)
	defer ticks.Stop()
	for {
		next := softLimit(alive(), b.Used())
		if b.soft && (next < limit-limit/8 || next > limit+limit/8) {
			limit = next
			debug.SetMemoryLimit(limit)
		}
		select {
		case <-b.done:
			return
		case <-ticks.C:
		}
		select {
		case <-b.freed:
			b.release()
		default:
			b.look()
		}
	}
}

// softLimit gives what the collector shall keep the process to, of which VMs
// hold used. Left alone it lets as much garbage gather as is alive. That is
// good for the rest of the kernel, the states of objects above all, and is left
// to it; but VMs, which live shortly, would double what their budget allows.
func softLimit(alive, used int64) int64 {
	return max(heapFloor, 2*max(0, alive-used)+used)
}

// alive gives the bytes that the last collection found in use.
func alive() int64 {
	sample := [1]metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample[:])
	return int64(sample[0].Value.Uint64())
}

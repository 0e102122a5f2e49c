package luahost

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbbasic/station/sdk/errs"
)

const (
	free    = 1 << 20         // of a VM's memory, which a Budget does not count
	much    = 8 << 20         // what a VM held that is worth giving back to the system
	interim = 3 * time.Second // between two times of it
)

// Budget bounds the memory of all VMs of a station together: what each holds
// beyond 1 MiB, as last measured. Its goroutine gives memory back to the system
// after VMs that held much were closed. A nil Budget bounds nothing.
type Budget struct {
	limit int64
	used  atomic.Int64
	freed chan struct{} // a VM that held much was closed
	done  chan struct{}
	close func()
	group sync.WaitGroup
}

// NewBudget makes a Budget of limit bytes. Close ends it.
func NewBudget(limit int64) *Budget { return newBudget(limit, interim, debug.FreeOSMemory) }

func newBudget(limit int64, interim time.Duration, release func()) *Budget {
	b := &Budget{limit: limit, freed: make(chan struct{}, 1), done: make(chan struct{})}
	b.close = sync.OnceFunc(func() { close(b.done) })
	b.group.Go(func() { b.release(interim, release) })
	return b
}

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
	more := max(0, m.live-free) - m.counted
	if b.used.Add(more) > b.limit && more > 0 {
		b.used.Add(-more)
		return errs.New(errs.Busy, "station_memory", "The scripts of the station together need more than its %d bytes of memory; try again.", b.limit)
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
	more := max(0, m.live-free) - m.counted
	b.used.Add(more)
	m.counted += more
}

// closed takes back what a VM held that is no more.
func (b *Budget) closed(m *memory) {
	if b == nil {
		return
	}
	b.used.Add(-m.counted)
	held := m.live
	m.counted, m.live = 0, 0
	if held < much {
		return
	}
	select {
	case b.freed <- struct{}{}:
	default: // it is about to happen
	}
}

// release gives memory back, interim apart, until the Budget is closed.
func (b *Budget) release(interim time.Duration, release func()) {
	for {
		select {
		case <-b.done:
			return
		case <-b.freed:
			release()
		}
		select {
		case <-b.done:
			return
		case <-time.After(interim):
		}
	}
}

package dispatch

import (
	"sync"

	"github.com/dbbasic/station/framework/luahost"
)

// What a warm object takes in memory beside what Limits.State counts; about as
// TestWeightIsTrue measures it.
const (
	warmOverhead = 1 << 10
	itemOverhead = 160 // of a key's place in the state
	goneOverhead = 200 // of a deleted key's stamp
)

// warmth knows what all warm objects take in memory and which of them rest: no
// call runs or waits, and storage has acknowledged every commit. It makes those
// cold that have rested longest while all together take more than the budget.
type warmth struct {
	budget int

	mu    sync.Mutex
	bytes int    // of all warm objects, as they were when they last rested
	rest  object // the ring of those that rest, longest first; it stands for none itself
}

func newWarmth(budget int) *warmth {
	w := &warmth{budget: budget}
	w.rest.older, w.rest.newer = &w.rest, &w.rest
	return w
}

// weigh is about what the object takes in memory while it is warm. The caller
// holds o.mu, and no goroutine works for o.
func (o *object) weigh() int {
	n := 0
	if o.live != nil {
		n += warmOverhead + o.live.bytes + itemOverhead*o.live.state.Len() + goneOverhead*len(o.live.gone)
	}
	if o.vm != nil {
		n += o.vm.Size()
	}
	return n
}

// rested notes that an object rests now; the caller holds o.mu.
func (w *warmth) rested(o *object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count(o); o.weight > 0 {
		o.older, o.newer = w.rest.older, &w.rest
		o.older.newer, o.newer.older = o, o
	}
}

// count weighs an object; the caller holds o.mu and w.mu.
func (w *warmth) count(o *object) {
	n := o.weigh()
	w.bytes += n - o.weight
	o.weight, o.large = n, o.vm != nil && o.vm.Size() > luahost.Uncounted
}

// roused notes that an object has something to do; the caller holds o.mu.
func (w *warmth) roused(o *object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.newer != nil {
		o.older.newer, o.newer.older = o.newer, o.older
		o.older, o.newer = nil, nil
	}
}

// oldest gives the object that has rested longest, where the budget is
// exceeded; else nil.
func (w *warmth) oldest() *object {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bytes <= w.budget || w.rest.newer == &w.rest {
		return nil
	}
	return w.rest.newer
}

// trim makes objects cold until the budget holds or none rests. The caller
// holds no lock.
func (w *warmth) trim() {
	for o := w.oldest(); o != nil; o = w.oldest() {
		o.mu.Lock()
		if o.resting() { // else it was roused since, and is no longer in the ring
			w.drop(o)
		}
		o.mu.Unlock()
	}
}

// drop makes a resting object cold: the next task loads it again. The caller
// holds o.mu.
func (w *warmth) drop(o *object) {
	w.roused(o)
	o.dropVM()
	o.live, o.latest, o.failed = nil, nil, nil
	w.mu.Lock()
	w.count(o)
	w.mu.Unlock()
}

// shed closes the VM of the object that has rested longest among those whose VMs
// hold of the budget of all VMs; its state stays. False means that none such
// rests. The caller holds no lock.
func (w *warmth) shed() bool {
	for {
		o := w.oldestLarge()
		if o == nil {
			return false
		}
		o.mu.Lock()
		done := o.resting() && o.vm != nil // else it was roused since, or another caller came first
		if done {
			o.dropVM()
			w.mu.Lock()
			w.count(o)
			w.mu.Unlock()
		}
		o.mu.Unlock()
		if done {
			return true
		}
	}
}

func (w *warmth) oldestLarge() *object {
	w.mu.Lock()
	defer w.mu.Unlock()
	for o := w.rest.newer; o != &w.rest; o = o.newer {
		if o.large {
			return o
		}
	}
	return nil
}

// resting reports whether the object can be made cold; the caller holds o.mu.
func (o *object) resting() bool { return !o.busy && o.inflight == 0 }

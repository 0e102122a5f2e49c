package dispatch

import (
	"time"
)

// count counts a call; o is nil where it met no object here.
func (d *Dispatcher) count(o *object, method string, err error, took time.Duration) {
	if d.Calls == nil {
		return
	}
	if o == nil {
		d.Calls.Class("").Count(method, err, took)
		return
	}
	class := o.class.Load()
	if class == nil {
		path := d.PathOf(o.id)
		class = d.Calls.Class(path)
		if path != "" { // else it is not listed yet
			o.class.Store(class)
		}
	}
	class.Count(method, err, took)
}

// Load is what a Dispatcher has to do at one moment.
type Load struct {
	Waiting  int // calls in mailboxes
	Longest  int // of them, in the fullest mailbox
	Running  int // scripts
	VMs      int // warm, or running
	Unstored int // bytes of commits that storage has not answered for
	Warm     int // bytes of warm objects, see Limits.Warm
}

// Load looks at all objects: some microseconds for each hundred.
func (d *Dispatcher) Load() Load {
	l := Load{Running: d.slots.held(), VMs: int(d.vms.Load())}
	d.mu.RLock()
	all := make([]*object, 0, len(d.objects))
	for _, o := range d.objects {
		all = append(all, o)
	}
	d.mu.RUnlock()
	for _, o := range all {
		o.mu.Lock()
		n := len(o.queue)
		o.mu.Unlock()
		l.Waiting += n
		l.Longest = max(l.Longest, n)
	}
	d.pipe.mu.Lock()
	l.Unstored = d.pipe.bytes
	d.pipe.mu.Unlock()
	d.warm.mu.Lock()
	l.Warm = d.warm.bytes
	d.warm.mu.Unlock()
	return l
}

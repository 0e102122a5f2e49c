package dispatch

import "github.com/dbbasic/station/sdk/id"

// Written gives a channel that is closed when the log of an object may hold more
// than it did at the call: once storage has answered for a commit with entries, or
// at a Wake. Whoever takes it before reading the log misses nothing, and where nobody
// does a commit pays for no more than a comparison.
func (d *Dispatcher) Written(name id.Object) <-chan struct{} {
	o := d.ensure(name)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.written == nil {
		o.written = make(chan struct{})
	}
	return o.written
}

// Wake closes the channel of Written, for those who wait for something else than an entry too.
func (d *Dispatcher) Wake(name id.Object) {
	d.mu.RLock()
	o := d.objects[name]
	d.mu.RUnlock()
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wake()
}

// wake tells those who wait for the log. The caller has o.mu.
func (o *object) wake() {
	if o.written != nil {
		close(o.written)
		o.written = nil
	}
}

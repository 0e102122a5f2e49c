package dispatch

import (
	"context"

	"github.com/dbbasic/station/sdk/id"
)

// What tests may see of a mailbox.

// Inflight is the number of commits that storage has not answered.
func (d *Dispatcher) Inflight(name id.Object) int {
	o := d.ensure(name)
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.inflight
}

// Running reports whether a script runs.
func (d *Dispatcher) Running(name id.Object) bool {
	o := d.ensure(name)
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.kill != nil
}

// Mailboxes is how many there are.
func (d *Dispatcher) Mailboxes() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.objects)
}

// Slots is the number of scripts that hold one.
func (d *Dispatcher) Slots() int { return d.slots.held() }

// Queued is the number of tasks that wait in a mailbox.
func (d *Dispatcher) Queued(name id.Object) int {
	o := d.ensure(name)
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue)
}

// Awaits reports whether the running call waits for another mailbox.
func (d *Dispatcher) Awaits(name id.Object) bool {
	o := d.ensure(name)
	d.graph.Lock()
	defer d.graph.Unlock()
	return o.awaits != nil
}

// Warm reports whether an object is warm, and how many bytes all warm ones are
// counted with.
func (d *Dispatcher) Warm(name id.Object) (warm bool, all int) {
	o := d.ensure(name)
	o.mu.Lock()
	defer o.mu.Unlock()
	d.warm.mu.Lock()
	defer d.warm.mu.Unlock()
	return o.weight > 0, d.warm.bytes
}

// Busy reports whether a goroutine works through a mailbox.
func (d *Dispatcher) Busy(name id.Object) bool {
	o := d.ensure(name)
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.busy
}

// Cool makes a resting object cold.
func (d *Dispatcher) Cool(name id.Object) {
	o := d.ensure(name)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.resting() {
		d.warm.drop(o)
	}
}

// Kept is about how many bytes the newest commit of an object holds.
func (d *Dispatcher) Kept(name id.Object) int {
	o := d.ensure(name)
	o.mu.Lock()
	defer o.mu.Unlock()
	return sizeOf(&o.latest.commit)
}

// Hold runs f as a task of an object's mailbox.
func (d *Dispatcher) Hold(ctx context.Context, name id.Object, f func()) error {
	return d.onSource(ctx, name, func(_ context.Context, o *object) (*pending, error) {
		f()
		return o.latest, nil
	})
}

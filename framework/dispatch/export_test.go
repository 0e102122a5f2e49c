package dispatch

import "github.com/dbbasic/station/sdk/id"

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

// Slots is the number of scripts that hold one.
func (d *Dispatcher) Slots() int { return len(d.slots) }

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

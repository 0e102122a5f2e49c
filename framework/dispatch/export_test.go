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

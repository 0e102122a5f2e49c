package dispatch

import (
	"context"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

// aside runs work that waits, on behalf of a script that runs: meanwhile another
// script may run in its place.
func (d *Dispatcher) aside(work func()) {
	d.slots.give()
	defer d.slots.take(nil, nil)
	work()
}

// Logs implements luahost.LogReader. What the object's earlier calls logged may
// still be on its way: it is in the log once storage has acknowledged it.
func (tx *transaction) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	if p := tx.o.latest; p != nil {
		select {
		case <-p.done:
		case <-ctx.Done():
			return storage.LogsPage{}, context.Cause(ctx)
		}
		if p.err != nil {
			return storage.LogsPage{}, errs.Wrap(errs.Unavailable, "dispatch.Logs", p.err, "An earlier change of the object could not be stored, and this call builds on it; nothing was changed. Try again.")
		}
	}
	q.Object = tx.o.id
	return tx.o.d.Store.Logs(ctx, q)
}

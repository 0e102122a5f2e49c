package dispatch

import (
	"context"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Info gives what storage has of an object, changes on their way included. One that
// has no mailbox gets none: anybody may ask for any id, and a mailbox stays.
func (d *Dispatcher) Info(ctx context.Context, name id.Object) (info storage.ObjectInfo, err error) {
	d.mu.RLock()
	o := d.objects[name]
	d.mu.RUnlock()
	if o == nil { // nothing of it is on its way
		ctx, cancel := context.WithTimeout(ctx, d.Limits.MaxTime)
		defer cancel()
		stored, err := d.Store.Load(ctx, name)
		return stored.ObjectInfo, err
	}
	err = d.onSource(ctx, name, func(_ context.Context, o *object) (*pending, error) {
		info = o.live.info
		return o.latest, nil
	})
	return info, err
}

// Note puts an entry of the station's own into an object's log.
func (d *Dispatcher) Note(ctx context.Context, name id.Object, level storage.Level, message string, fields []byte) error {
	return d.onSource(ctx, name, func(_ context.Context, o *object) (*pending, error) {
		tx := &transaction{o: o}
		if err := tx.append(level, message, fields); err != nil {
			return nil, err
		}
		return o.commit(tx, "", 0)
	})
}

// Withdraw takes an object out of service: calls that have begun end as they
// would, all others are errs.NotFound. What is stored of it stays.
func (d *Dispatcher) Withdraw(name id.Object) {
	o := d.ensure(name)
	o.mu.Lock()
	o.source = Source{}
	o.mu.Unlock()
	d.mu.Lock()
	d.served.Delete(name)
	d.mu.Unlock()
}

func notInService(name id.Object) error {
	return errs.New(errs.NotFound, "", "There is no object %q on this station.", name)
}

package dispatch

import (
	"context"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Info gives what storage has of an object, changes on their way included.
func (d *Dispatcher) Info(ctx context.Context, name id.Object) (info storage.ObjectInfo, err error) {
	err = d.work(ctx, name, func(o *object) (*pending, error) {
		info = o.live.info
		return o.latest, nil
	})
	return info, err
}

// SetWorking notes which version an object's script file is known to hold.
func (d *Dispatcher) SetWorking(ctx context.Context, name id.Object, number uint64) error {
	return d.work(ctx, name, func(o *object) (*pending, error) {
		if o.live.info.Working == number {
			return o.latest, nil
		}
		return o.commit(&transaction{o: o, working: number}, "", 0)
	})
}

// Note puts an entry of the station's own into an object's log.
func (d *Dispatcher) Note(ctx context.Context, name id.Object, level storage.Level, message string, fields []byte) error {
	return d.work(ctx, name, func(o *object) (*pending, error) {
		tx := &transaction{o: o}
		if err := tx.append(level, message, fields); err != nil {
			return nil, err
		}
		return o.commit(tx, "", 0)
	})
}

// work does something between two calls of an object, which need not be in service.
func (d *Dispatcher) work(ctx context.Context, name id.Object, f func(o *object) (*pending, error)) error {
	ctx, cancel := context.WithTimeout(ctx, d.Limits.MaxTime)
	defer cancel()
	return d.ensure(name).do(&task{ctx: ctx, work: f})
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

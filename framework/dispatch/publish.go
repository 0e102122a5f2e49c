package dispatch

import (
	"context"

	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Publication is a new source version of an object.
type Publication struct {
	cluster.Proposal         // its Head is filled in
	Program          Program // what runs; nil leaves the object out of service, as modules are
	FromFile         bool    // the object's script file holds the text
}

// Publish stores a new source version of an object and puts it into service. It
// gives the number; minted is false where the newest version is the same. That the
// file holds that version is stored with it. Errors: errs.Conflict where Base is
// not the newest version, and what storage gives; nothing has changed then, except
// after errs.Unknown.
func (d *Dispatcher) Publish(ctx context.Context, p Publication) (number uint64, minted bool, err error) {
	err = d.onSource(ctx, p.Object, func(ctx context.Context, o *object) (*pending, error) {
		var err error
		p.Head = o.live.info
		if number, minted, err = d.Cluster.Propose(ctx, p.Proposal); err != nil {
			return o.latest, err
		}
		tx := transaction{}
		if minted {
			v := p.Version
			v.Number = number
			tx.version = &v
		}
		if p.FromFile && o.live.info.Working != number {
			tx.working = number
		}
		if tx.empty() {
			return o.latest, nil
		}
		return o.commit(&tx, "", 0)
	})
	if err != nil {
		return 0, false, err
	}
	if p.Program != nil {
		d.Serve(p.Object, Source{Version: number, Program: p.Program})
	}
	return number, minted, nil
}

// SetWorking notes which version an object's script file holds. Errors:
// errs.Invalid where there is no such version, and what storage gives.
func (d *Dispatcher) SetWorking(ctx context.Context, name id.Object, number uint64) error {
	return d.onSource(ctx, name, func(_ context.Context, o *object) (*pending, error) {
		switch {
		case number == 0 || number > o.live.info.Head:
			return o.latest, errs.New(errs.Invalid, "", "The object %q has no version %d.", name, number)
		case number == o.live.info.Working:
			return o.latest, nil
		}
		return o.commit(&transaction{working: number}, "", 0)
	})
}

// Imported gives what storage has of an object that was imported past the mailbox,
// and makes the object go on from that. high is the highest stamp of what was
// imported, which the clock goes past.
func (d *Dispatcher) Imported(ctx context.Context, name id.Object, high hlc.Time) (storage.ObjectInfo, error) {
	d.Clock.Observe(high)
	err := d.onSource(ctx, name, func(_ context.Context, o *object) (*pending, error) {
		if o.live.info.Sequence == 0 { // from before the import
			o.mu.Lock()
			o.failed = o.live
			o.mu.Unlock()
		}
		return nil, nil
	})
	if err != nil {
		return storage.ObjectInfo{}, err
	}
	return d.Info(ctx, name)
}

// onSource does something between two calls of an object, in service or not.
func (d *Dispatcher) onSource(ctx context.Context, name id.Object, work func(context.Context, *object) (*pending, error)) error {
	o := d.ensure(name)
	ctx, cancel := context.WithTimeout(ctx, d.Limits.MaxTime)
	defer cancel()
	return o.do(newTask(ctx, func(o *object) (*pending, error) { return work(ctx, o) }))
}

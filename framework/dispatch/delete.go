package dispatch

import (
	"context"

	"github.com/tidwall/btree"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
)

// refusing is the Program of an object that is being deleted: calls go through the
// mailbox, so that what they learn waits for storage as all answers do.
type refusing struct{ err error }

func (r refusing) NewVM(func()) (VM, error) { return nil, r.err }

// Delete begins another life of an object, with nothing in it, and takes it out of
// service. Calls that have begun end before, and those behind them are
// errs.NotFound. Errors: what storage gives. The object is in service as it was then,
// except after errs.Unknown: it answers no call until Serve or Withdraw says what has
// become of it.
func (d *Dispatcher) Delete(ctx context.Context, name id.Object) error {
	var was Source
	err := d.onSource(ctx, name, func(_ context.Context, o *object) (*pending, error) {
		p, err := o.commit(&transaction{o: o, ends: true}, "", 0)
		if err != nil {
			return nil, err
		}
		o.dropVM()
		was = o.refuse()
		return p, nil
	})
	switch {
	case err == nil:
		d.Withdraw(name)
	case was.Program != nil && !errs.Is(err, errs.Unknown):
		d.Serve(name, was)
	}
	return err
}

// refuse has the calls of an object find none, where it is in service, and gives
// what it ran.
func (o *object) refuse() (was Source) {
	o.mu.Lock()
	defer o.mu.Unlock()
	was = o.source
	switch {
	case was.Program == nil:
	case o.failed == o.live: // storage was faster
		o.source.Program = undecided(o.id)
	default:
		o.source.Program = refusing{notInService(o.id)}
	}
	return was
}

// undecided is the Program of an object whose deletion storage did not acknowledge.
func undecided(name id.Object) Program {
	return refusing{errs.New(errs.Unavailable, "deletion_open", "It is not known yet whether the object %q was deleted; try again.", name)}
}

// refusal is why an object answers nothing: it is being deleted, or was taken out of
// service since it was found.
func (o *object) refusal() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch p := o.source.Program.(type) {
	case nil:
		return notInService(o.id)
	case refusing:
		return p.err
	}
	return nil
}

// begin empties the state for another life. The table of files is there, though
// empty: storage may not know of the new life yet.
func (l *live) begin() {
	l.state, l.gone, l.bytes = btree.Map[string, item]{}, map[string]hlc.Stamp{}, 0
	l.files = &fileTable{}
	l.info.Hash, l.info.Working = "", 0
}

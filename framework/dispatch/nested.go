package dispatch

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

// nesting is what a running call knows of the calls that it makes.
type nesting struct {
	ctx      killable   // of the running call
	call     *host.Call // the running call
	slotless bool       // it gave its slot back and ended before it had another
	reached  bool       // what it called may have changed something
}

var _ luahost.Objects = (*transaction)(nil)

// Invoke implements luahost.Objects. While it waits the caller has no slot.
func (tx *transaction) Invoke(c host.Call) (host.Result, error) {
	n, d := &tx.nesting, tx.o.d
	c.RequestID, c.Caller = n.call.RequestID, n.call.Caller
	c.Chain = append(slices.Clip(n.call.Chain), tx.o.id)
	r, err := tx.invoke(c)
	if err != nil {
		level := slog.LevelDebug
		if Grave(err) {
			level = slog.LevelWarn
		}
		d.Log.Log(context.Background(), level, "nested call failed", "object", c.Object, "method", c.Method,
			"caller", tx.o.id, "request_id", c.RequestID, "error", err)
	}
	return r, err
}

// Grave reports an error whose cause the station's log should tell, since
// nobody else does.
func Grave(err error) bool {
	switch errs.KindOf(err) {
	case errs.Internal, errs.Corrupt, errs.Unknown, errs.OutOfSequence, errs.StaleEpoch:
		return true
	}
	return false
}

func (tx *transaction) invoke(c host.Call) (host.Result, error) {
	n, d := &tx.nesting, tx.o.d
	local := c.Station == "" || c.Station == d.Station
	if n.slotless {
		return host.Result{}, left(&n.ctx)
	}
	if err := checkChain(c, d.Limits.Depth, local); err != nil {
		return host.Result{}, err
	}
	var target *object
	if local {
		var err error
		if target, err = d.find(c.Object); err != nil {
			return host.Result{}, err
		}
	}
	ctx, cancel := context.WithDeadline(&n.ctx, c.Deadline)
	defer cancel()
	d.slots.give()
	defer func() { n.slotless = !d.slots.take(ctx.Done(), nil) }()
	// What leaves the object may tell of everything that it has committed.
	if p := tx.o.latest; p != nil {
		select {
		case <-p.done:
		case <-ctx.Done():
		}
		if ctx.Err() != nil || p.err != nil {
			return host.Result{}, left(ctx)
		}
	}
	if !local {
		r, err := d.Cluster.Forward(ctx, c.Station, c)
		n.reached = n.reached || !harmless(err)
		return r, err
	}
	began := time.Now()
	r, err := tx.await(ctx, target, c)
	d.count(target, c.Method, err, time.Since(began))
	return r, err
}

// await runs a call in another mailbox of this station.
func (tx *transaction) await(ctx context.Context, target *object, c host.Call) (host.Result, error) {
	n := &tx.nesting
	due, _ := ctx.Deadline()
	t := &task{ctx: ctx, due: due, began: time.Now(), call: &c, from: tx.o, at: target}
	if err := target.enqueueNested(t); err != nil {
		return host.Result{}, err
	}
	select {
	case <-t.ended:
	case <-ctx.Done():
		t.unlink()
		withdrawn, ran := target.withdraw(t)
		select {
		case <-ran: // it is behind the gate
			n.reached = n.reached || t.wrote || t.nested
			tx.o.d.dropUploads(t)
		default:
			n.reached = n.reached || !withdrawn // it has begun, and goes on without anybody who waits
		}
		return host.Result{}, left(ctx)
	}
	defer tx.o.d.dropUploads(t)
	err := t.told(t.verdict())
	n.reached = n.reached || t.nested || t.wrote && !harmless(err)
	if err != nil {
		return host.Result{}, err
	}
	return t.answer(), nil
}

// harmless reports that a call which gave this error changed nothing.
func harmless(err error) bool {
	switch errs.KindOf(err) {
	case errs.NotFound, errs.Invalid, errs.MethodNotAllowed, errs.Busy, errs.Loop, errs.Source, errs.Unavailable:
		return err != nil
	}
	return false
}

// left is the error of a nested call that its caller no longer waits for. The
// caller's script sees none of it: it ends.
func left(ctx context.Context) error {
	return errs.Wrap(errs.Timeout, "dispatch.nested", context.Cause(ctx), "The call that made this one ended before it was answered.")
}

// told gives the error of a call as its caller gets it. Where what it called
// may have changed something, an error that says "nothing was changed" would
// be wrong: the outcome is open then.
func (t *task) told(err error) error {
	if !t.nested {
		return err
	}
	switch errs.KindOf(err) {
	case errs.Unavailable, errs.OutOfSequence, errs.StaleEpoch:
		if err != nil {
			return errs.Wrap(errs.Unknown, "dispatch.nested", err, "The call failed and changed nothing in its own object, but what it changed in objects that it called stays.")
		}
	}
	return err
}

// enqueueNested puts a task into the mailbox for t.from, whose running call
// then waits for this mailbox. Errors: errs.Loop (call_deadlock) where this
// mailbox waits for that of t.from, be it through others; enqueue's.
func (o *object) enqueueNested(t *task) error {
	g := &o.d.graph
	g.Lock()
	defer g.Unlock()
	for at := o; ; at = at.awaits.at {
		if at == t.from {
			return errs.New(errs.Loop, "call_deadlock", "The objects %q and %q wait for each other: the call cannot run before the one that makes it has ended.", t.from.id, o.id)
		}
		if at.awaits == nil {
			break
		}
	}
	t.ended = make(chan struct{}) // it runs on another goroutine, since its caller may have to leave it
	source, free, err := o.enqueue(t)
	if err != nil {
		return err
	}
	t.from.awaits = t
	if free {
		go o.run(t, source)
	}
	return nil
}

// unlink notes that the caller of a nested call waits for no mailbox any more.
func (t *task) unlink() {
	if t.from == nil {
		return
	}
	g := &t.at.d.graph
	g.Lock()
	if t.from.awaits == t {
		t.from.awaits = nil
	}
	g.Unlock()
}

// InService implements luahost.Objects.
func (tx *transaction) InService(prefix string) []id.Object {
	d := tx.o.d
	d.mu.RLock()
	defer d.mu.RUnlock()
	var list []id.Object
	d.served.Ascend(id.Object(prefix), func(name id.Object) bool {
		if !strings.HasPrefix(string(name), prefix) {
			return false
		}
		list = append(list, name)
		return true
	})
	return list
}

// Exists implements luahost.Objects.
func (tx *transaction) Exists(name id.Object) bool {
	_, err := tx.o.d.find(name)
	return err == nil
}

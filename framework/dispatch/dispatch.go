// Package dispatch runs calls. Each object has a mailbox and runs one call at a
// time; what a call changed becomes one commit; and nothing leaves an object
// before storage has acknowledged every commit that it may depend on. It knows
// no protocol and no file.
package dispatch

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/btree"

	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/framework/metrics"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Store is what dispatch needs of storage.
type Store interface {
	// Up reports whether the store can be asked at all. While it is down a
	// call that would write is refused before anything is sent.
	Up() bool
	// Begin hands over a batch, as storage.Storage's Commit takes it, and does not wait:
	// done gets its results, once, on whatever goroutine has them.
	Begin(commits []storage.Commit, done func([]error))
	Load(ctx context.Context, object id.Object) (storage.Object, error)
	Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error)
	fileStore
}

// Program is a compiled script. It is the seam behind which a later mode can
// run scripts in processes of their own.
type Program interface {
	// NewVM loads the script. Pass, nil where the caller holds no slot, is called now
	// and then by a load that takes long.
	NewVM(pass func()) (VM, error)
}

// VM is a warm script, used by one goroutine at a time.
type VM interface {
	Call(ctx context.Context, o luahost.Object, r luahost.Request) (luahost.Result, error)
	Answers(method string) error // errs.MethodNotAllowed where the object does not
	Size() int                   // bytes of memory, about
	Spent() bool                 // whether a failure made it unfit for another call
	Close()
}

// Source is a source version in service.
type Source struct {
	Version uint64
	Program Program
}

// Limits bound what calls may use. LUA.md lists those that scripts meet.
type Limits struct {
	Time      time.Duration // of a call that brings no deadline, waiting included
	MaxTime   time.Duration // of any call
	Depth     int           // objects in a chain of calls
	Waiting   int           // calls and unacknowledged commits of one object
	Staged    int           // bytes that one call may write
	State     int           // bytes of keys and values of one object
	File      int64         // bytes of one file
	Files     int64         // bytes of all files of one object, and of those that one call writes
	FileCount int           // files of one object
	Pending   int           // bytes of commits of all objects that storage has not acknowledged
	VMs       int           // scripts that run at the same time
	Warm      int           // bytes of warm objects, state and VMs; what rests longest is made cold
}

// DefaultLimits are the limits of a station that is not configured otherwise.
func DefaultLimits() Limits {
	return Limits{
		Time: 5 * time.Second, MaxTime: 30 * time.Second, Depth: 16, Waiting: 1024,
		Staged: 8 << 20, State: 64 << 20, File: 100 << 20, Files: 1 << 30, FileCount: 10_000, Pending: 64 << 20, VMs: 2 * runtime.GOMAXPROCS(0),
		Warm: 256 << 20,
	}
}

// Options are what a Dispatcher works with. All fields are required, but those that count.
type Options struct {
	Station id.Station
	Store   Store
	Cluster cluster.Cluster
	Clock   *hlc.Clock
	Log     *slog.Logger
	Limits  Limits

	Calls   *metrics.Calls         // counts calls; nil for none
	Commits *metrics.Commits       // counts commits; nil for none
	PathOf  func(id.Object) string // the path of an object's script, empty while it is not known; required with Calls
}

// Dispatcher runs the calls of a station's objects. Its methods are safe for
// concurrent use.
type Dispatcher struct {
	Options
	pipe  *pipeline
	slots *slots // held while a script runs
	warm  *warmth
	vms   atomic.Int64 // warm, or running

	timers sync.Pool // of calls that wait

	mu      sync.RWMutex
	objects map[id.Object]*object
	served  btree.Set[id.Object] // those that answer calls
	closed  bool

	graph sync.Mutex // guards the awaits of all objects; taken before an object's mu
}

// New gives a Dispatcher without objects. Close it to end its work.
func New(o Options) *Dispatcher {
	d := &Dispatcher{Options: o, slots: newSlots(o.Limits.VMs), objects: map[id.Object]*object{}, warm: newWarmth(o.Limits.Warm)}
	d.pipe = &pipeline{store: o.Store, cluster: o.Cluster, log: o.Log, limit: o.Limits.Pending, counts: o.Commits}
	return d
}

// Close takes no new work but what running calls ask of other objects, waits
// for what is queued and for storage to answer for it, and stops. Its error is ctx's, where that ends first.
func (d *Dispatcher) Close(ctx context.Context) error {
	d.mu.Lock()
	d.closed = true
	all := make([]*object, 0, len(d.objects))
	for _, o := range d.objects {
		all = append(all, o)
	}
	d.mu.Unlock()
	for again := true; again; { // a call that ran when its mailbox was looked at may have called the one before
		again = false
		for _, o := range all {
			waited, err := o.settle(ctx)
			if err != nil {
				return err
			}
			again = again || waited
		}
	}
	return d.pipe.close(ctx)
}

// Serve puts an object into service with a source version, or replaces the
// one in service unless that is newer. Calls that have begun end on the version
// they began with.
func (d *Dispatcher) Serve(name id.Object, s Source) {
	o := d.ensure(name)
	o.mu.Lock()
	if s.Version >= o.source.Version { // the one that is answered last need not be the newest
		o.source = s
		o.class.Store(nil) // its script may have moved
	}
	o.mu.Unlock()
	d.mu.Lock()
	d.served.Insert(name)
	d.mu.Unlock()
}

// ensure gives the object's mailbox, new where there was none.
func (d *Dispatcher) ensure(name id.Object) *object {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.objects[name]
	if o == nil {
		o = &object{d: d, id: name}
		d.objects[name] = o
	}
	return o
}

// inService gives the mailbox of an object that answers calls from outside.
func (d *Dispatcher) inService(name id.Object) (*object, error) {
	d.mu.RLock()
	closed := d.closed
	d.mu.RUnlock()
	if closed {
		return nil, errs.New(errs.Unavailable, "stopping", "The station is stopping; try again when it is back.")
	}
	return d.find(name)
}

// find gives the mailbox of an object that answers calls.
func (d *Dispatcher) find(name id.Object) (*object, error) {
	d.mu.RLock()
	o := d.objects[name]
	d.mu.RUnlock()
	if o == nil || !o.serving() {
		return nil, notInService(name)
	}
	return o, nil
}

// Invoke runs one call and gives its answer once everything that the answer
// may depend on is durable. Errors are those of host.Host's Invoke.
func (d *Dispatcher) Invoke(ctx context.Context, c host.Call) (host.Result, error) {
	began := time.Now()
	t := &task{call: &c, began: began}
	r, err := d.invoke(ctx, c, t)
	d.count(t.at, c.Method, err, time.Since(began))
	return r, err
}

func (d *Dispatcher) invoke(ctx context.Context, c host.Call, t *task) (host.Result, error) {
	defer d.dropUploads(t)
	if c.Station != "" && c.Station != d.Station {
		if len(c.Uploads) > 0 {
			return host.Result{}, errs.New(errs.Invalid, "not_available", "Files cannot be uploaded to another station in this version.")
		}
		return d.Cluster.Forward(ctx, c.Station, c)
	}
	if err := checkChain(c, d.Limits.Depth, true); err != nil {
		return host.Result{}, err
	}
	o, err := d.inService(c.Object)
	if err != nil {
		return host.Result{}, err
	}
	t.ctx, t.due = ctx, callDeadline(t.began, c.Deadline, d.Limits)
	if err := o.do(t); err != nil {
		return host.Result{}, err
	}
	return t.answer(), nil
}

// State reads an object's state between two calls. Errors are those of
// host.Host's State.
func (d *Dispatcher) State(ctx context.Context, q host.StateQuery) (host.StatePage, error) {
	o, err := d.inService(q.Object)
	if err != nil {
		return host.StatePage{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.Limits.Time)
	defer cancel()
	var page host.StatePage
	err = o.do(newTask(ctx, func(o *object) (*pending, error) {
		if err := o.refusal(); err != nil {
			return o.latest, err
		}
		var err error
		page, err = o.live.page(q)
		return o.latest, err
	}))
	return page, err
}

// takeSlot waits for the place of a script, and says why it gave up, as wait does.
func (d *Dispatcher) takeSlot(t *task) error {
	if d.slots.try() { // without a timer
		return nil
	}
	timer := d.timer(t.due)
	defer d.spare(timer)
	switch {
	case d.slots.take(t.ctx.Done(), timer.C):
		return nil
	case t.ctx.Err() != nil:
		return t.ctx.Err()
	}
	return context.DeadlineExceeded
}

// timer gives one that fires at a time; spare takes it back. Most calls are answered
// long before theirs would fire.
func (d *Dispatcher) timer(at time.Time) *time.Timer {
	timer, ok := d.timers.Get().(*time.Timer)
	if !ok {
		return time.NewTimer(time.Until(at))
	}
	timer.Reset(time.Until(at))
	return timer
}

func (d *Dispatcher) spare(timer *time.Timer) {
	timer.Stop()
	d.timers.Put(timer)
}

// Shed closes the VM of an object that rests, longest before others, where that
// gives something back to the budget of all VMs, and says whether there was one.
// The object's next call starts with a new VM. A VM may call it in the middle of a
// call: it needs no lock that a call holds.
func (d *Dispatcher) Shed() bool { return d.warm.shed() }

// checkChain refuses a chain that is too deep and, where the call runs here,
// one that would wait for itself.
func checkChain(c host.Call, depth int, local bool) error {
	if len(c.Chain) >= depth {
		return errs.New(errs.Loop, "call_depth", "The chain of calls is deeper than %d objects.", depth)
	}
	if local && slices.Contains(c.Chain, c.Object) {
		return errs.New(errs.Loop, "call_cycle", "The object %q cannot be called by a call that it waits for.", c.Object)
	}
	return nil
}

// callDeadline is when a call that began now must have been answered.
func callDeadline(now, asked time.Time, l Limits) time.Time {
	if asked.IsZero() {
		return now.Add(l.Time)
	}
	if latest := now.Add(l.MaxTime); asked.After(latest) {
		return latest
	}
	return asked
}

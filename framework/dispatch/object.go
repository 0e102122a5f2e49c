package dispatch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/framework/metrics"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// object is one mailbox. A goroutine works through its tasks while there are
// any; what only that goroutine touches needs no lock.
type object struct {
	d  *Dispatcher
	id id.Object

	class atomic.Pointer[metrics.Class] // nil until a call is counted

	mu       sync.Mutex
	source   Source
	queue    []*task
	busy     bool                    // a goroutine works through the queue
	idle     chan struct{}           // closed when it stops, where somebody waits for that
	inflight int                     // commits that storage has not answered
	failed   *live                   // the state whose commits storage did not take, and that must not be used again
	kill     context.CancelCauseFunc // ends the call that is running
	killOf   *live                   // the state on which it runs
	written  chan struct{}           // closed when the log may hold more; nil where nobody waits for that

	awaits *task // the nested call whose mailbox the running call waits for; guarded by d.graph

	older, newer *object // neighbours in the ring of those that rest; guarded by d.warm
	weight       int     // what d.warm counts of it; likewise
	large        bool    // its VM holds of the budget of all VMs; likewise

	// For the working goroutine alone, or for whoever makes a resting object cold.
	live   *live    // nil while the object is cold
	vm     VM       // nil until needed
	vmOf   uint64   // the version that vm runs
	latest *pending // the newest commit, acknowledged or not
}

// task is one thing to do between two others: a call, or some work of the kernel.
type task struct {
	ctx   context.Context // has a deadline; ends the wait, and a call that has begun goes on to the deadline
	began time.Time
	call  *host.Call
	work  func(o *object) (*pending, error) // instead of call; it finds the object live
	at    *object                           // whose mailbox it is in
	from  *object                           // whose running call waits for it; nil where that is none of this station

	ran    chan struct{} // closed once the fields below are set
	result luahost.Result
	err    error
	gate   *pending // must be durable before anything of this leaves; nil if nothing must
	wrote  bool     // gate is this task's own commit
	nested bool     // objects that it called may have changed something
	made   []string // uploads that the script made
}

// serving reports whether the object has a source to run.
func (o *object) serving() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.source.Program != nil
}

// do puts a task into the mailbox, waits until it has run and until what it
// depends on is durable, and gives its error.
func (o *object) do(t *task) error {
	t.ran = make(chan struct{})
	if err := o.enqueue(t); err != nil {
		return err
	}
	select {
	case <-t.ran:
	case <-t.ctx.Done():
		if o.withdraw(t) {
			return ended(t.ctx, "The call waited too long for the calls before it.")
		}
		<-t.ran // it runs, and ends with its own deadline
	}
	return t.told(t.settled())
}

// settled gives the error of a task that has run, once what it depends on is durable.
func (t *task) settled() error {
	if t.gate == nil {
		return t.err
	}
	if t.err != nil {
		return t.failure()
	}
	select {
	case <-t.gate.done:
		return t.verdict()
	case <-t.ctx.Done():
		return t.undecided()
	}
}

// verdict gives the error of a task that has run, where storage has answered
// for what it depends on.
func (t *task) verdict() error {
	switch {
	case t.gate == nil || t.gate.err == nil:
		return t.err
	case t.err != nil:
		return errs.Wrap(errs.Unavailable, "dispatch.gate", errors.Join(t.gate.err, t.err), "The call failed and changed nothing, and what it logged could not be stored; try again.")
	case t.wrote:
		return t.gate.err
	}
	return errs.Wrap(errs.Unavailable, "dispatch.gate", t.gate.err, "What this answer depends on could not be stored; try again.")
}

// answer is what a call that gave no error answers.
func (t *task) answer() host.Result {
	return host.Result{Status: t.result.Status, Header: t.result.Header, Body: t.result.Body, File: t.result.File, Station: t.at.d.Station}
}

// grace is how long beyond its deadline a call that failed may wait for the
// acknowledgement of what it logged. Without it no call that timed out could be
// answered with its own error.
const grace = time.Second

// failure is the answer to a call that failed: its own error, once what that
// may tell is durable.
func (t *task) failure() error {
	wait := time.NewTimer(time.Until(t.deadline()) + grace)
	defer wait.Stop()
	select {
	case <-t.gate.done:
		return t.verdict()
	case <-wait.C:
		return errs.Wrap(errs.Unavailable, "dispatch.gate", t.err, "The call failed and changed nothing, and what it logged was not acknowledged in time; try again.")
	}
}

// deadline is when the task must have been answered.
func (t *task) deadline() time.Time {
	at, _ := t.ctx.Deadline() // every task has one
	return at
}

// undecided is the answer to a call whose time ended behind the gate.
func (t *task) undecided() error {
	if t.wrote {
		return errs.New(errs.Unknown, "", "The storage did not acknowledge the change in time; it may or may not be stored.")
	}
	return errs.New(errs.Unavailable, "storage_slow", "The storage did not acknowledge in time what this answer depends on; try again.")
}

// ended is the error of a task whose context ended before it ran.
func ended(ctx context.Context, message string) error {
	if ctx.Err() == context.DeadlineExceeded {
		return errs.New(errs.Timeout, "", "%s", message)
	}
	return errs.Wrap(errs.Unavailable, "dispatch", ctx.Err(), "The caller went away before the call ran.")
}

func (o *object) enqueue(t *task) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue)+o.inflight >= o.d.Limits.Waiting {
		e := errs.New(errs.Busy, "", "The object %q has %d calls waiting; try again later.", o.id, o.d.Limits.Waiting)
		e.RetryAfter = time.Second
		return e
	}
	o.queue = append(o.queue, t)
	if !o.busy {
		o.busy = true
		o.d.warm.roused(o)
		go o.run()
	}
	return nil
}

// withdraw takes a task that has not begun out of the queue.
func (o *object) withdraw(t *task) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, queued := range o.queue {
		if queued == t {
			o.queue = append(o.queue[:i:i], o.queue[i+1:]...)
			return true
		}
	}
	return false
}

// settle waits until the mailbox is empty, and says whether it had to.
func (o *object) settle(ctx context.Context) (waited bool, err error) {
	o.mu.Lock()
	if !o.busy {
		o.mu.Unlock()
		return false, nil
	}
	if o.idle == nil {
		o.idle = make(chan struct{})
	}
	idle := o.idle
	o.mu.Unlock()
	select {
	case <-idle:
		return true, nil
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

// run works through the mailbox until it is empty.
func (o *object) run() {
	for {
		t, source := o.next()
		if t == nil {
			o.d.warm.trim()
			return
		}
		o.perform(t, source)
		t.unlink() // before the next task runs, for which nobody here waits
		close(t.ran)
	}
}

// next takes the oldest task; without one the goroutine is no longer busy. A
// state that storage does not share is dropped first.
func (o *object) next() (*task, Source) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		o.queue, o.busy = nil, false
		if o.idle != nil {
			close(o.idle)
			o.idle = nil
		}
		if o.resting() {
			o.d.warm.rested(o)
		}
		return nil, Source{}
	}
	t := o.queue[0]
	o.queue[0] = nil
	o.queue = o.queue[1:]
	if o.failed != nil {
		if o.failed == o.live {
			o.live = nil
			o.dropVM()
		}
		o.failed = nil
	}
	return t, o.source
}

// perform runs one task and sets its outcome.
func (o *object) perform(t *task, source Source) {
	if t.ctx.Err() != nil {
		t.err = ended(t.ctx, "The call waited too long for the calls before it.")
		return
	}
	if err := o.activate(t.ctx); err != nil {
		t.err = err
		return
	}
	if t.call == nil {
		before := o.latest
		t.gate, t.err = t.work(o)
		t.wrote = t.gate != before
		return
	}
	o.performCall(t, source)
}

// activate loads the object's state where it is cold.
func (o *object) activate(ctx context.Context) error {
	if o.live != nil {
		return nil
	}
	stored, err := o.d.Store.Load(ctx, o.id)
	if err != nil {
		return err
	}
	o.live = newLive(stored)
	o.latest = nil
	return nil
}

func (o *object) dropVM() {
	if o.vm != nil {
		o.vm.Close()
		o.vm = nil
		o.d.vms.Add(-1)
	}
}

// performCall runs a call and commits what it changed.
func (o *object) performCall(t *task, source Source) {
	select {
	case o.d.slots <- struct{}{}:
	case <-t.ctx.Done():
		t.err = ended(t.ctx, "The call waited too long for scripts of other objects.")
		return
	}
	tx := &transaction{o: o, now: t.began, requestID: t.call.RequestID}
	t.result, t.err = o.callScript(t, source, tx)
	if !tx.nesting.slotless {
		<-o.d.slots
	}
	t.nested, t.made = tx.nesting.reached, tx.made
	if t.err != nil {
		tx.undo()
		if o.vm != nil && o.vm.Spent() {
			o.dropVM()
		}
		tx.logFailure(t.err)
	}
	t.gate = o.latest // a warm script may answer with anything that an earlier call saw
	if tx.empty() {
		return
	}
	p, err := o.commit(tx, t.call.RequestID, source.Version)
	if err != nil {
		tx.undo()
		o.dropVM()
		t.err = err
		return
	}
	t.gate, t.wrote = p, true
}

// callScript runs the script's function under a context by which a failing
// commit can end it.
func (o *object) callScript(t *task, source Source, tx *transaction) (luahost.Result, error) {
	if err := o.ensureVM(source); err != nil {
		return luahost.Result{}, err
	}
	ctx, kill := context.WithCancelCause(context.Background())
	defer kill(nil)
	tx.nesting = nesting{ctx: ctx, call: t.call}
	o.mu.Lock()
	o.kill, o.killOf = kill, o.live
	if o.failed == o.live { // since next looked
		kill(unshared(nil))
	}
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		o.kill, o.killOf = nil, nil
		o.mu.Unlock()
	}()
	return o.vm.Call(ctx, tx, luahost.Request{
		Call: *t.call, Station: o.d.Station, Version: source.Version, Now: t.began, Deadline: t.deadline(),
		Yield: o.d.passSlot, Aside: o.d.aside,
	})
}

// ensureVM makes o.vm run the source.
func (o *object) ensureVM(source Source) error {
	if source.Program == nil { // withdrawn while the call waited
		return notInService(o.id)
	}
	if o.vm != nil && o.vmOf == source.Version {
		return nil
	}
	o.dropVM()
	vm, err := source.Program.NewVM()
	if err != nil {
		return err
	}
	o.vm, o.vmOf = vm, source.Version
	o.d.vms.Add(1)
	return nil
}

// commit makes one commit of a transaction, applies it to the object in memory
// and hands it to the pipeline. An error means that nothing was handed over.
func (o *object) commit(tx *transaction, requestID string, source uint64) (*pending, error) {
	if !o.d.Store.Up() {
		return nil, errs.New(errs.Unavailable, "storage_down", "The storage is down and is being started again; nothing was changed.")
	}
	stampTime, _ := o.d.Clock.Next()
	c := o.live.build(o.d.Station, stampTime, tx)
	c.Object, c.RequestID, c.Source = o.id, requestID, source
	p := &pending{o: o, live: o.live, commit: c, size: sizeOf(&c), done: make(chan struct{})}

	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed == o.live {
		return nil, errs.New(errs.Unavailable, "storage_failed", "An earlier change of the object could not be stored, and this one builds on it; nothing was changed. Try again.")
	}
	if err := o.d.pipe.add(p); err != nil {
		return nil, err
	}
	o.inflight++
	o.live.applied(&c)
	o.latest = p
	return p, nil
}

// fail is called by the pipeline when storage did not take a commit that was
// made on l. The call that runs on l ends, and the next one reads storage again.
func (o *object) fail(l *live, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failed = l
	if _, deleting := o.source.Program.(refusing); deleting {
		o.source.Program = undecided(o.id)
	}
	if o.kill != nil && o.killOf == l {
		o.kill(unshared(err))
	}
}

// unshared is the error of a call that runs on a state which storage does not share.
func unshared(err error) error {
	return errs.Wrap(errs.Unavailable, "dispatch", err, "An earlier change of the object could not be stored, and this call builds on it; nothing was changed. Try again.")
}

// resolved is called by the pipeline once a commit's outcome is known; logged says
// that the object's log may hold more than before.
func (o *object) resolved(logged bool) {
	o.mu.Lock()
	o.inflight--
	if logged {
		o.wake()
	}
	if o.resting() {
		o.d.warm.rested(o)
	}
	o.mu.Unlock()
	o.d.warm.trim()
}

// page reads the live state.
func (l *live) page(q host.StateQuery) (host.StatePage, error) {
	if q.HasKey {
		v, ok := l.get(q.Key)
		if !ok {
			return host.StatePage{}, noSuchKey(q.Key)
		}
		return host.StatePage{Items: []host.StateItem{{Key: q.Key, Value: v}}}, nil
	}
	if q.Limit < 0 || q.Limit > storage.MaxPage {
		return host.StatePage{}, errs.New(errs.Invalid, "bad_limit", "The limit is %d; use 1 to %d.", q.Limit, storage.MaxPage)
	}
	var page host.StatePage
	l.scan(q.Prefix, q.After, false, func(key string, value []byte) bool {
		if q.Limit > 0 && len(page.Items) == q.Limit {
			page.More = true
			return false
		}
		page.Items = append(page.Items, host.StateItem{Key: key, Value: value})
		return true
	})
	return page, nil
}

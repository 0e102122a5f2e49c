package dispatch

import (
	"context"
	"fmt"
	"runtime/debug"
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
	busy     bool          // a goroutine works through the queue
	idle     chan struct{} // closed when it stops, where somebody waits for that
	inflight int           // commits that storage has not answered
	failed   *live         // the state whose commits storage did not take, and that must not be used again
	kill     *killable     // ends the call that is running
	killOf   *live         // the state on which it runs
	written  chan struct{} // closed when the log may hold more; nil where nobody waits for that

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

// serving reports whether the object has a source to run.
func (o *object) serving() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.source.Program != nil
}

// do runs a task between two others, waits until what it depends on is durable,
// and gives its error. Where the mailbox is free the task runs on the goroutine of
// its caller, which has nothing else to do; no other is woken for it.
func (o *object) do(t *task) error {
	t.at = o
	source, free, err := o.enqueue(t)
	if err != nil {
		return err
	}
	if free {
		o.runAlone(t, source)
		return t.told(t.settled())
	}
	if why := t.wait(t.ended); why != nil {
		withdrawn, ran := o.withdraw(t)
		if withdrawn {
			return tooLate(why, "The call waited too long for the calls before it.")
		}
		<-ran // where it still runs, it ends with its own deadline
		return t.told(t.settled())
	}
	return t.told(t.verdict())
}

// enqueue takes a task into the mailbox. Where that was free nobody works for the
// object, and the caller runs the task, with the source that it gives.
func (o *object) enqueue(t *task) (source Source, free bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue)+o.inflight >= o.d.Limits.Waiting {
		e := errs.New(errs.Busy, "", "The object %q has %d calls waiting; try again later.", o.id, o.d.Limits.Waiting)
		e.RetryAfter = time.Second
		return Source{}, false, e
	}
	if o.busy {
		t.ended = make(chan struct{})
		o.queue = append(o.queue, t)
		return Source{}, false, nil
	}
	o.busy = true
	o.d.warm.roused(o)
	o.renew()
	return o.source, true, nil
}

// withdraw takes a task that has not begun out of the queue. Of one that has begun
// it gives the channel that is closed once it has run.
func (o *object) withdraw(t *task) (withdrawn bool, ran <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, queued := range o.queue {
		if queued == t {
			o.queue = append(o.queue[:i:i], o.queue[i+1:]...)
			return true, nil
		}
	}
	if t.ran == nil {
		t.ran = make(chan struct{})
		if t.hasRun {
			close(t.ran)
		}
	}
	return false, t.ran
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

// runAlone runs a task on the goroutine of its caller. What came meanwhile gets a
// goroutine of its own: nobody waits for the calls of others.
func (o *object) runAlone(t *task, source Source) {
	defer func() {
		if p := recover(); p != nil { // a fault of the kernel; whoever recovers above would go on with an object that never rests
			stack := debug.Stack()
			go panic(fmt.Sprintf("%v\n\n%s", p, stack))
			select {}
		}
	}()
	o.perform(t, source)
	if next, source := o.next(t); next != nil {
		go o.run(next, source)
		return
	}
	o.d.warm.trim()
}

// run works through the mailbox until it is empty, beginning with t.
func (o *object) run(t *task, source Source) {
	for t != nil {
		o.perform(t, source)
		t.unlink() // before the next task runs, for which nobody here waits
		t, source = o.next(t)
	}
	o.d.warm.trim()
}

// next hands over a task that has run and takes the oldest; without one nobody
// works for the object any more.
func (o *object) next(ran *task) (*task, Source) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.handOver(ran)
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
	o.renew()
	return t, o.source
}

// handOver tells who waits for a task that it has run, or leaves that to the gate,
// so that nobody is woken only to wait again. The caller holds o.mu.
func (o *object) handOver(t *task) {
	t.hasRun = true
	if t.ran != nil {
		close(t.ran)
	}
	switch {
	case t.ended == nil: // ran on its caller's goroutine
	case t.gate != nil && !t.gate.answered:
		t.behind, t.gate.tasks = t.gate.tasks, t
	default:
		close(t.ended)
	}
}

// renew drops a state that storage does not share. The caller holds o.mu, and
// works for the object.
func (o *object) renew() {
	if o.failed == nil {
		return
	}
	if o.failed == o.live {
		o.live = nil
		o.dropVM()
	}
	o.failed = nil
}

// perform runs one task and sets its outcome.
func (o *object) perform(t *task, source Source) {
	if why := t.over(); why != nil {
		t.err = tooLate(why, "The call waited too long for the calls before it.")
		return
	}
	if err := o.activate(t); err != nil {
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
func (o *object) activate(t *task) error {
	if o.live != nil {
		return nil
	}
	ctx, cancel := context.WithDeadline(t.ctx, t.due)
	defer cancel()
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
	if why := o.d.takeSlot(t); why != nil {
		t.err = tooLate(why, "The call waited too long for scripts of other objects.")
		return
	}
	tx := &transaction{o: o, now: t.began, requestID: t.call.RequestID}
	t.result, t.err = o.callScript(t, source, tx)
	if !tx.nesting.slotless {
		o.d.slots.give()
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
	n := &tx.nesting
	n.call = t.call
	defer n.ctx.kill(nil)
	o.mu.Lock()
	o.kill, o.killOf = &n.ctx, o.live
	if o.failed == o.live { // since next looked
		n.ctx.kill(unshared(nil))
	}
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		o.kill, o.killOf = nil, nil
		o.mu.Unlock()
	}()
	return o.vm.Call(&n.ctx, tx, luahost.Request{
		Call: *t.call, Station: o.d.Station, Version: source.Version, Now: t.began, Deadline: t.due,
		Yield: o.d.slots.pass, Aside: o.d.aside,
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
	vm, err := source.Program.NewVM(o.d.slots.pass)
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

	lead, err := o.handIn(p, &c)
	if err != nil {
		return nil, err
	}
	o.latest = p
	if lead {
		o.d.pipe.send()
	}
	return p, nil
}

// handIn hands a commit to the pipeline and applies it to the state in memory. From then
// on p is also the pipeline's, and c a copy of what it commits.
func (o *object) handIn(p *pending, c *storage.Commit) (lead bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed == o.live {
		return false, errs.New(errs.Unavailable, "storage_failed", "An earlier change of the object could not be stored, and this one builds on it; nothing was changed. Try again.")
	}
	if lead, err = o.d.pipe.add(p); err != nil {
		return false, err
	}
	o.inflight++
	o.live.applied(c)
	return lead, nil
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
		o.kill.kill(unshared(err))
	}
}

// unshared is the error of a call that runs on a state which storage does not share.
func unshared(err error) error {
	return errs.Wrap(errs.Unavailable, "dispatch", err, "An earlier change of the object could not be stored, and this call builds on it; nothing was changed. Try again.")
}

// resolved is called by the pipeline once a commit's outcome is known, and tells who
// waits for that; logged says that the object's log may hold more than before.
func (o *object) resolved(p *pending, logged bool) {
	o.mu.Lock()
	o.inflight--
	p.answered = true
	waiting := p.tasks
	p.tasks = nil
	if logged {
		o.wake()
	}
	if o.resting() {
		o.d.warm.rested(o)
	}
	o.mu.Unlock()
	close(p.done)
	for ; waiting != nil; waiting = waiting.behind {
		close(waiting.ended)
	}
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

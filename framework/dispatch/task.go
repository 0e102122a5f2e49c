package dispatch

import (
	"context"
	"errors"
	"time"

	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
)

// task is one thing to do between two others: a call, or some work of the kernel.
type task struct {
	ctx   context.Context // the caller's; ends the wait, and a call that has begun goes on to the deadline
	due   time.Time       // the deadline
	began time.Time
	call  *host.Call
	work  func(o *object) (*pending, error) // instead of call; it finds the object live
	at    *object                           // whose mailbox it is in
	from  *object                           // whose running call waits for it; nil where that is none of this station

	// Of a task that waits in the mailbox.
	ended  chan struct{} // closed once it has run and the outcome of gate is known
	ran    chan struct{} // closed once it has run; nil where nobody waits for that alone. Guarded by o.mu
	hasRun bool          // guarded by o.mu
	behind *task         // the next one that gate is to tell; guarded by o.mu

	// Set by the run.
	result luahost.Result
	err    error
	gate   *pending // must be durable before anything of this leaves; nil if nothing must
	wrote  bool     // gate is this task's own commit
	nested bool     // objects that it called may have changed something
	made   []string // uploads that the script made
}

// newTask gives a task of a caller whose context has a deadline.
func newTask(ctx context.Context, work func(o *object) (*pending, error)) *task {
	due, _ := ctx.Deadline()
	return &task{ctx: ctx, due: due, work: work}
}

// wait waits for c, and says why it gave up, where the task's time ended first
// or its caller went away.
func (t *task) wait(c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	default:
	}
	timer := t.at.d.timer(t.due)
	defer t.at.d.spare(timer)
	select {
	case <-c:
		return nil
	case <-t.ctx.Done():
		return t.ctx.Err()
	case <-timer.C:
		return context.DeadlineExceeded
	}
}

// over says why the task may not begin any more; nil while it may.
func (t *task) over() error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	if !time.Now().Before(t.due) {
		return context.DeadlineExceeded
	}
	return nil
}

// settled gives the error of a task that has run, once what it depends on is durable.
func (t *task) settled() error {
	if t.gate == nil {
		return t.err
	}
	if t.err != nil {
		return t.failure()
	}
	if t.wait(t.gate.done) != nil {
		return t.undecided()
	}
	return t.verdict()
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
	wait := time.NewTimer(time.Until(t.due) + grace)
	defer wait.Stop()
	select {
	case <-t.gate.done:
		return t.verdict()
	case <-wait.C:
		return errs.Wrap(errs.Unavailable, "dispatch.gate", t.err, "The call failed and changed nothing, and what it logged was not acknowledged in time; try again.")
	}
}

// undecided is the answer to a call whose time ended behind the gate.
func (t *task) undecided() error {
	if t.wrote {
		return errs.New(errs.Unknown, "", "The storage did not acknowledge the change in time; it may or may not be stored.")
	}
	return errs.New(errs.Unavailable, "storage_slow", "The storage did not acknowledge in time what this answer depends on; try again.")
}

// tooLate is the error of a task whose time ended before it ran, from the error of its context.
func tooLate(why error, message string) error {
	if errors.Is(why, context.DeadlineExceeded) {
		return errs.New(errs.Timeout, "", "%s", message)
	}
	return errs.Wrap(errs.Unavailable, "dispatch", why, "The caller went away before the call ran.")
}

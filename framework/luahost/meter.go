package luahost

import (
	"context"
	"errors"
	"runtime"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/errs"
)

// interval is how many steps pass at most between two looks at the clock.
const interval = 1024

// yieldAfter is how long a call runs before its Request's Yield is called.
const yieldAfter = 10 * time.Millisecond

// meter bounds a call. It is the context of the VM and of its coroutines: the
// library asks Done once per instruction, which makes it a step counter. A
// meter that has stopped stays so until the next begin, therefore nothing that
// a script catches can outlive it.
type meter struct {
	vm       *VM
	ctx      context.Context
	steps    int64
	limit    int64
	due      int64 // the step of the next check
	every    int64 // steps from one check to the next: interval, or less beside large values
	start    time.Time
	deadline time.Time
	allowed  time.Duration // from start to deadline
	yield    func()        // the request's, nil where it has none
	grace    time.Duration // of the time in yield that does not count, what is left
	since    time.Time     // the call's start, or when yield last returned
	err      *errs.Error   // why the call must end, nil while it may go on
	mem      memory        // goes on from call to call
}

// begin starts the count of a call that may take until deadline at most.
func (m *meter) begin(ctx context.Context, limits Limits, deadlines ...time.Time) {
	m.ctx, m.err = ctx, nil
	m.steps, m.limit, m.due = 0, limits.Steps, min(m.every, limits.Steps+1)
	m.mem.noted, m.mem.work, m.mem.held = 0, 0, 0
	m.start = time.Now()
	m.since = m.start
	m.deadline = m.start.Add(limits.Time)
	for _, d := range deadlines {
		if !d.IsZero() && d.Before(m.deadline) {
			m.deadline = d
		}
	}
	m.allowed = m.deadline.Sub(m.start)
}

// Done is called by the library before each instruction. A nil channel says
// "go on" and costs the least to look at.
func (m *meter) Done() <-chan struct{} {
	m.steps++
	if m.steps < m.due {
		return nil
	}
	m.check()
	if m.err != nil {
		return closed
	}
	return nil
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// check looks at everything that can end a call and yields the processor, so
// that a spinning script does not starve the rest of the station; where the
// call has run for long, it lets the kernel put others first.
func (m *meter) check() {
	if m.err != nil {
		return
	}
	m.due = min(m.steps+m.every, m.limit+1)
	if m.steps > m.limit {
		m.stop(errs.New(errs.Limit, "step_limit", "The script used more than its %d steps.", m.limit))
		return
	}
	m.noteSteps()
	now := time.Now()
	m.look(now)
	switch {
	case m.err != nil:
	case m.yield != nil && now.Sub(m.since) > yieldAfter:
		m.yield()
		m.since = time.Now()
		free := min(m.grace, m.since.Sub(now))
		m.grace, m.deadline = m.grace-free, m.deadline.Add(free)
		m.look(m.since)
	default:
		runtime.Gosched()
	}
}

// look stops the call if its time is over or the kernel ended it.
func (m *meter) look(now time.Time) {
	switch {
	case m.ctx.Err() != nil:
		m.stop(cancelled(m.ctx))
	case m.allowed <= 0:
		m.stop(errs.New(errs.Timeout, "time_limit", "The call's time was over before its script began."))
	case !now.Before(m.deadline):
		m.stop(errs.New(errs.Timeout, "time_limit", "The script ran longer than its %s.", m.allowed.Round(time.Millisecond)))
	}
}

// cancelled says why the kernel ended a call.
func cancelled(ctx context.Context) *errs.Error {
	cause := context.Cause(ctx)
	if e, ok := errors.AsType[*errs.Error](cause); ok {
		own := *e // line and traceback are added to it
		return &own
	}
	if errors.Is(cause, context.DeadlineExceeded) {
		return errs.New(errs.Timeout, "time_limit", "The call passed its deadline.")
	}
	return errs.Wrap(errs.Unavailable, "luahost.Call", cause, "The station ended the call; nothing was changed.")
}

// stop ends the call with err, of which the script gets no say; the first
// reason stands. It notes where the script was.
func (m *meter) stop(err *errs.Error) {
	if m.err != nil {
		return
	}
	m.err, m.due = err, 0
	if err.Line == 0 {
		err.Line, err.Traceback = where(m.vm.state.G.CurrentThread)
	}
}

// charge counts n steps of a builtin's work, and raises where that ends the call.
func (m *meter) charge(L *lua.LState, n int) {
	m.steps += int64(n)
	m.mem.work += int64(n)
	if m.steps >= m.due {
		m.check()
		m.raise(L)
	}
}

// raise unwinds the script if the call must end.
func (m *meter) raise(L *lua.LState) {
	if m.err != nil {
		L.Error(lua.LString(m.err.Text()), 0)
	}
}

// fatal stops the call and unwinds the script.
func (m *meter) fatal(L *lua.LState, err error) {
	m.stop(errs.From(err))
	m.raise(L)
}

// Err is the text that the library raises when Done has fired.
func (m *meter) Err() error {
	if m.err != nil {
		return m.err
	}
	return nil
}

// Deadline makes the meter a context.
func (m *meter) Deadline() (time.Time, bool) { return m.deadline, true }

// Value makes the meter a context; there are no values in it.
func (m *meter) Value(any) any { return nil }

var _ context.Context = (*meter)(nil)

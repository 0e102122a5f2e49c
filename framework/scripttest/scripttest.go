// Package scripttest runs the tests of a script: its global functions test_*.
// Each runs in a VM of its own, on an object of its own that exists in memory
// alone, under the limits of a call. It knows no station: nothing is read from a
// store, committed or logged.
package scripttest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

// What a report holds, so that it can be sent whole.
const (
	maxLog     = 64 << 10 // bytes of the log of one test
	maxDetails = 1 << 20  // bytes of the reasons, tracebacks and logs of all tests
	maxReason  = 256      // bytes of a reason beyond these
)

// Options say what tests see and may use.
type Options struct {
	Object  id.Object
	Station id.Station
	Version uint64          // of the source
	Limits  dispatch.Limits // of the object in memory
	Only    *regexp.Regexp  // tests whose name it does not match are left out; nil means none
	Pass    func()          // called now and then, so that other scripts run first; nil means there are none
}

// Run runs the tests that a script has, in the order in which they stand in it,
// and gives what became of each. load gives the script, loaded anew. A deadline
// of ctx ends the test that is running, and those that follow fail without
// being run. Errors: what load gives at first, errs.Source for too many tests,
// errs.Internal for a fault of the VM, and ctx's, where it was cancelled.
func Run(ctx context.Context, load func() (*luahost.VM, error), o Options) (host.TestReport, error) {
	report := host.TestReport{Object: o.Object}
	names, err := list(load)
	if err != nil {
		return report, err
	}
	left := maxDetails
	for _, name := range names {
		if o.Only != nil && !o.Only.MatchString(name) {
			continue
		}
		if o.Pass != nil {
			o.Pass()
		}
		result, err := one(ctx, load, o, name)
		if err != nil {
			return report, err
		}
		left -= bound(&result, left)
		report.Tests = append(report.Tests, result)
	}
	return report, nil
}

func list(load func() (*luahost.VM, error)) ([]string, error) {
	vm, err := load()
	if err != nil {
		return nil, err
	}
	defer vm.Close()
	return vm.Tests()
}

// one runs one test. An error is none of the test.
func one(ctx context.Context, load func() (*luahost.VM, error), o Options, name string) (host.TestResult, error) {
	result := host.TestResult{Name: name}
	if over(ctx) {
		return result, failed(ctx, &result, notRun())
	}
	vm, err := load()
	if err != nil {
		return result, failed(ctx, &result, err)
	}
	defer vm.Close()
	if over(ctx) { // the load took the rest
		return result, failed(ctx, &result, notRun())
	}
	scratch := dispatch.NewScratch(o.Limits)
	deadline, _ := ctx.Deadline()
	begun := time.Now()
	skipped, reason, err := vm.Test(ctx, scratch, luahost.Request{
		Call: host.Call{
			Object: o.Object, Method: "GET", Path: "/objects/" + string(o.Object),
			RequestID: id.NewRequest(), Caller: id.Caller{Roles: []string{id.RoleOperator}},
		},
		Station: o.Station, Version: o.Version, Now: begun, Deadline: deadline, Yield: o.Pass,
	}, name)
	result.Duration = time.Since(begun)
	for _, e := range scratch.Entries() {
		result.Log = append(result.Log, host.TestEntry{Time: e.Time, Level: e.Level, Message: e.Message, Fields: e.Fields})
	}
	switch {
	case err != nil:
		return result, failed(ctx, &result, err)
	case skipped:
		result.Outcome, result.Reason = host.TestSkipped, reason
	default:
		result.Outcome = host.TestPassed
	}
	return result, nil
}

// over reports whether there is no time left. The clock says so a moment before
// the timer of ctx does.
func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

func notRun() *errs.Error {
	return errs.New(errs.Timeout, "not_run", "Not run: the tests before it took all the time that there is.")
}

// failed makes an error the outcome of a test, unless it is none of the test.
func failed(ctx context.Context, result *host.TestResult, err error) error {
	e := errs.From(err)
	if errors.Is(ctx.Err(), context.Canceled) {
		return errs.Wrap(errs.Unavailable, "scripttest.Run", context.Cause(ctx), "The tests were stopped.")
	}
	if e.Kind == errs.Internal {
		return err
	}
	result.Outcome, result.Reason, result.Code = host.TestFailed, e.Text(), e.CodeOf()
	result.Line, result.Traceback = e.Line, e.Traceback
	if e.Kind == errs.Refused {
		result.Reason = fmt.Sprintf("fail(%d, %q): %s", e.HTTPStatus(), e.CodeOf(), e.Text())
	}
	return nil
}

// bound cuts a result to what there is room for in the report, and gives the
// bytes that it takes of that. Of a log the end is kept: it tells most.
func bound(r *host.TestResult, left int) int {
	used := len(r.Reason) + len(r.Traceback)
	if used > left {
		r.Reason, r.Traceback = clip(r.Reason, maxReason), ""
		used = left
	}
	room, first := min(maxLog, left-used), len(r.Log)
	for first > 0 {
		e := r.Log[first-1]
		n := len(e.Message) + len(e.Fields) + entryOverhead
		if n > room {
			break
		}
		room, used, first = room-n, used+n, first-1
	}
	r.Log, r.Omitted = r.Log[first:], first
	return used
}

// entryOverhead is what an entry takes in a report beside its message and fields.
const entryOverhead = 96

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

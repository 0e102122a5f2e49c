package scripttest_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/framework/scripttest"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
)

func loader(t *testing.T, source string) func() (*luahost.VM, error) {
	t.Helper()
	p, err := luahost.Compile([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	limits := luahost.DefaultLimits()
	limits.Steps, limits.Time = 1<<60, time.Minute
	return func() (*luahost.VM, error) { return p.NewVM(limits, nil) }
}

func options() scripttest.Options {
	return scripttest.Options{Object: "a", Station: "s1", Version: 3, Limits: dispatch.DefaultLimits()}
}

func run(t *testing.T, source string, o scripttest.Options) host.TestReport {
	t.Helper()
	r, err := scripttest.Run(t.Context(), loader(t, source), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantOutcomes checks "name outcome reason" of each test.
func wantOutcomes(t *testing.T, r host.TestReport, want ...string) {
	t.Helper()
	var got []string
	for _, x := range r.Tests {
		got = append(got, strings.TrimSpace(x.Name+" "+string(x.Outcome)+" "+x.Reason))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// No test sees what another did: not to the state, the log, or the script's
// locals and tables.
func TestTestsAreIsolated(t *testing.T) {
	const body = `
  seen = seen + 1
  assert(seen == 1, "locals")
  assert(next(state.all()) == nil, "state")
  state.set("k", 1)
  assert(not shared.touched, "tables")
  shared.touched = true
  log.info("entry", { seen = seen })
`
	r := run(t, "local seen = 0\nshared = {}\nfunction test_b()"+body+"end\nfunction test_a()"+body+"error(\"x\", 0) end\nfunction test_c()"+body+"end", options())
	wantOutcomes(t, r, "test_b passed", "test_a failed x", "test_c passed")
	for _, x := range r.Tests {
		if len(x.Log) != 1 || x.Log[0].Message != "entry" || string(x.Log[0].Fields) != `{"seen":1}` || x.Log[0].Time.IsZero() {
			t.Errorf("%s logged %+v", x.Name, x.Log)
		}
	}
	if r.Object != "a" || r.Count(host.TestPassed) != 2 || r.Count(host.TestFailed) != 1 || r.Count(host.TestSkipped) != 0 {
		t.Errorf("the report counts wrongly: %+v", r)
	}
}

func TestResults(t *testing.T) {
	r := run(t, `function POST() fail(418, "teapot", "No coffee.") end
function test_call(request, call)
  assert(call.method == "GET" and call.object == "a" and call.station == "s1" and call.version == 3, "call")
  assert(call.path == "/objects/a" and #call.request_id > 0 and call.roles[1] == "operator" and next(request) == nil, "more of call")
end
function test_refused() POST() end
function test_skipped() return "skip", "later" end`, options())
	wantOutcomes(t, r, "test_call passed", `test_refused failed fail(418, "teapot"): No coffee.`, "test_skipped skipped later")
	if x := r.Tests[1]; x.Code != "teapot" || x.Line != 1 || !strings.Contains(x.Traceback, "script.lua:6:") || x.Duration <= 0 {
		t.Errorf("a test that was refused: %+v", x)
	}
}

func TestOnly(t *testing.T) {
	o := options()
	o.Only = regexp.MustCompile("b$")
	wantOutcomes(t, run(t, `function test_a() error("x") end function test_b() end`, o), "test_b passed")
}

// Each test is under the limits of a call, those of the object included.
func TestObjectLimits(t *testing.T) {
	o := options()
	o.Limits.Staged = 1000
	r := run(t, `function test_state() for i = 1, 100 do state.set("k" .. i, i) end end
function test_log() for i = 1, 100 do log.info("x") end end
function test_few() state.set("k", 1) log.info("x") end`, o)
	for i, code := range []string{"staged_limit", "staged_limit", ""} {
		if r.Tests[i].Code != code {
			t.Errorf("%s gave %q, want %q", r.Tests[i].Name, r.Tests[i].Code, code)
		}
	}
}

// The deadline of a run ends the test that is running; nothing runs after it,
// not even a load, and nobody takes that for a success.
func TestDeadlineOfARun(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // in which the first test begins, on a busy machine too
	defer cancel()
	loads, load := 0, loader(t, `function test_a() log.info("began") while true do end end function test_b() end`)
	r, err := scripttest.Run(ctx, func() (*luahost.VM, error) { loads++; return load() }, options())
	if err != nil || len(r.Tests) != 2 || r.Tests[0].Code != "time_limit" || r.Tests[1].Code != "not_run" || r.Count(host.TestFailed) != 2 {
		t.Errorf("%v, %+v", err, r)
	}
	if loads != 2 { // for the names, and for the first test
		t.Errorf("the script was loaded %d times", loads)
	}
}

// A load may end after the deadline; its test is not run then.
func TestLoadBeyondTheDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	loads, load := 0, loader(t, `function test_a() end`)
	r, err := scripttest.Run(ctx, func() (*luahost.VM, error) {
		if loads++; loads == 2 {
			<-ctx.Done()
		}
		return load()
	}, options())
	if err != nil || len(r.Tests) != 1 || r.Tests[0].Code != "not_run" {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestCancelledRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if r, err := scripttest.Run(ctx, loader(t, `function test_a() while true do end end`), options()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("%v, %+v", err, r)
	}
}

// A report is bounded, whatever tests log and raise; the outcome of each stays.
func TestReportIsBounded(t *testing.T) {
	r := run(t, `for i = 1, 200 do
  _G[string.format("test_%04d", i)] = function()
    for n = 1, 20 do log.info(("x"):rep(8000), { n = n }) end
    error(("y"):rep(4000), 0)
  end
end`, options())
	size := 0
	for i, x := range r.Tests {
		size += len(x.Name) + len(x.Reason) + len(x.Traceback)
		for _, e := range x.Log {
			size += len(e.Message) + len(e.Fields)
		}
		if x.Outcome != host.TestFailed || !strings.HasPrefix(x.Reason, "yyyy") || len(x.Log)+x.Omitted != 20 {
			t.Fatalf("test %d is %s with a reason of %d bytes, %d entries and %d omitted", i, x.Outcome, len(x.Reason), len(x.Log), x.Omitted)
		}
		if last := len(x.Log) - 1; i < 5 && (last < 0 || string(x.Log[last].Fields) != `{"n":20}`) {
			t.Errorf("test %d has not the end of its log: %d entries", i, len(x.Log))
		}
	}
	if len(r.Tests) != 200 || size > 5<<18 || size < 1<<20 {
		t.Errorf("the report of %d tests has %d bytes", len(r.Tests), size)
	}
}

// What a load gives is no outcome of a test, unless another load succeeded.
func TestLoadThatFails(t *testing.T) {
	broken := errs.New(errs.Source, "", "broken")
	if _, err := scripttest.Run(t.Context(), func() (*luahost.VM, error) { return nil, broken }, options()); err == nil || err.Error() != "broken" {
		t.Errorf("got %v", err)
	}
	n, load := 0, loader(t, `function test_a() end function test_b() end`)
	r, err := scripttest.Run(t.Context(), func() (*luahost.VM, error) {
		if n++; n == 2 {
			return nil, broken
		}
		return load()
	}, options())
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, r, "test_a failed broken", "test_b passed")
}

// Others run first between two tests and within a long one.
func TestPass(t *testing.T) {
	passed := 0
	o := options()
	o.Pass = func() { passed++ }
	run(t, `function test_a() end function test_b() end`, o)
	if passed != 2 {
		t.Errorf("passed %d times at two short tests", passed)
	}
	run(t, fmt.Sprintf(`function test_a() local t = time.now() while time.now() < t + %g do end end`, 0.1), o)
	if passed < 5 {
		t.Errorf("passed %d times in all with one test of 100 ms", passed)
	}
}

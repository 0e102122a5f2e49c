package luahost

import (
	"context"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
)

// endless are limits that leave the end of a call to its deadline.
func endless() Limits {
	l := DefaultLimits()
	l.Steps = 1 << 60
	return l
}

// TestYield: a call that runs on lets others go first, again and again, and no
// more often than said.
func TestYield(t *testing.T) {
	for name, body := range map[string]string{
		"instructions": "while true do end",
		"coroutine":    "coroutine.wrap(function() while true do pcall(error) end end)()",
		"scan":         "while true do state.all() end",
	} {
		o := newFake()
		for _, key := range []string{"a", "b", "c"} {
			o.state[key] = `{"x":1}`
		}
		vm, r := loadWith(t, "function GET() "+body+" end", endless()), request("GET")
		began := time.Now()
		last, n := began, 0
		r.Deadline = began.Add(10 * time.Second)
		ctx, cancel := context.WithCancelCause(t.Context())
		r.Yield = func() { // races with nothing: it runs on this goroutine
			if ran := time.Since(last); ran < yieldAfter {
				t.Errorf("%s: called after %s", name, ran)
			}
			if n++; n == 3 {
				cancel(errs.New(errs.Busy, "enough", ""))
			}
			time.Sleep(yieldAfter) // which does not count as having run
			last = time.Now()
		}
		if _, err := vm.Call(ctx, o, r); errs.From(err) == nil || errs.From(err).Code != "enough" || n != 3 {
			t.Errorf("%s: %v after %d times", name, err, n)
		}
		if vm.meter.yield != nil {
			t.Errorf("%s: the VM keeps the call's Yield", name)
		}
	}
}

// TestYieldNotNeeded: a short call is not asked to wait.
func TestYieldNotNeeded(t *testing.T) {
	vm, r := load(t, "function GET() local n = 0 for i = 1, 2000 do n = n + 1 end return n end"), request("GET")
	for range 100 {
		began, called := time.Now(), 0
		r.Yield = func() { called++ }
		res, err := vm.Call(t.Context(), newFake(), r)
		if err != nil || string(res.Body) != "2000" {
			t.Fatalf("got %s, %v", res.Body, err)
		}
		if called > 0 && time.Since(began) <= yieldAfter {
			t.Fatalf("called %d times in a call of %s", called, time.Since(began))
		}
	}
}

// TestYieldCountsTowardsTheDeadline: the call ends when Yield returns too late,
// before another instruction runs.
func TestYieldCountsTowardsTheDeadline(t *testing.T) {
	vm, r := loadWith(t, "function GET() while true do end end", endless()), request("GET")
	r.Deadline = time.Now().Add(time.Second) // in which it is asked, on a busy machine too
	var steps int64
	r.Yield = func() {
		steps = vm.meter.steps
		time.Sleep(time.Until(r.Deadline))
	}
	_, err := vm.Call(t.Context(), newFake(), r)
	if e := errs.From(err); e == nil || e.Code != "time_limit" || !vm.Spent() {
		t.Fatalf("got %v, spent %v", err, vm.Spent())
	}
	if steps == 0 || vm.meter.steps > steps+1 {
		t.Errorf("Yield was called at step %d, the call ended at %d", steps, vm.meter.steps)
	}
}

// TestLoadsYield: a load is asked to wait as a call is; what it waits does not
// count, up to another LoadTime.
func TestLoadsYield(t *testing.T) {
	p, err := Compile([]byte("while true do end"))
	if err != nil {
		t.Fatal(err)
	}
	called, began := 0, time.Now()
	if _, err := p.NewVM(endless(), func() {
		if called++; called < 3 {
			time.Sleep(LoadTime * 2 / 5)
		}
	}); !errs.Is(err, errs.Source) || errs.From(err).Code != "time_limit" {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); called < 3 || took < LoadTime*9/5 {
		t.Errorf("the load waited %d times and took %s", called, took)
	}
	called = 0
	if _, err := p.NewVM(endless(), func() {
		called++
		time.Sleep(2 * LoadTime)
	}); errs.From(err) == nil || errs.From(err).Code != "time_limit" || called != 1 {
		t.Errorf("a load that waited too long: %v, after %d times", err, called)
	}
}

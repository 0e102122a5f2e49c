package dispatch_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

// patient are limits under which a deadlock shows as a test that waits for
// long, and not as calls that time out early.
func patient() dispatch.Limits {
	l := dispatch.DefaultLimits()
	l.Time, l.MaxTime, l.VMs = 40*time.Second, 40*time.Second, 16
	return l
}

// N chains that each hold one object and call the next one's, around: all but
// one wait, and the last learns that it would close the circle.
func TestObjectsThatWaitForEachOther(t *testing.T) {
	for _, n := range []int{2, 3, 7} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s := newStation(t, patient(), nil)
			all := sync.WaitGroup{} // of the calls that have begun
			all.Add(n)
			results := make(chan error, n)
			name := func(i int) id.Object { return id.Object(fmt.Sprintf("o%d", i%n)) }
			for i := range n {
				s.native(name(i), func(o luahost.Object, r luahost.Request) error {
					if r.Call.Method == "PUT" {
						return nil
					}
					all.Done()
					all.Wait()
					results <- nest(o, r, name(i+1), "PUT")
					return nil
				})
			}
			var calls []<-chan outcome
			for i := range n {
				calls = append(calls, s.start(name(i), "GET"))
			}
			loops := 0
			for range n {
				if err := await(t, results); err != nil {
					wantCode(t, err, "call_deadlock")
					loops++
				}
			}
			if loops != 1 {
				t.Errorf("%d calls were refused; one was needed", loops)
			}
			for _, c := range calls {
				if o := await(t, c); o.err != nil {
					t.Error(o.err)
				}
			}
		})
	}
}

// A call that is queued before a nested call, and calls the one that waits
// behind it, is refused when it does so.
func TestWaitingBehindACallThatWaitsForOneself(t *testing.T) {
	s := newStation(t, patient(), nil)
	hold, running := make(chan struct{}), make(chan struct{})
	s.native("b", func(o luahost.Object, r luahost.Request) error {
		switch r.Call.Method {
		case "GET":
			close(running)
			<-hold
			return nil
		case "PATCH":
			return nest(o, r, "a", "PUT")
		}
		return nil
	})
	s.native("a", func(o luahost.Object, r luahost.Request) error { return nest(o, r, "b", "PUT") })
	first := s.start("b", "GET")
	<-running
	between := s.start("b", "PATCH")
	until(t, "it is queued", func() bool { return s.Queued("b") == 1 })
	behind := s.start("a", "GET")
	until(t, "the nested call is queued", func() bool { return s.Queued("b") == 2 })
	close(hold)
	wantCode(t, await(t, between).err, "call_deadlock")
	for _, c := range []<-chan outcome{first, behind} {
		if o := await(t, c); o.err != nil {
			t.Error(o.err)
		}
	}
}

// A caller whose nested call has run waits for storage alone: what its callee
// runs next may call it.
func TestWaitingForStorageIsNoDeadlock(t *testing.T) {
	g := newGate()
	s := newStation(t, patient(), func(m *storagetest.Memory) { m.OnCommit = g.hook })
	s.native("b", func(o luahost.Object, r luahost.Request) error {
		if r.Call.Method == "PUT" {
			return o.Set("x", []byte("1"))
		}
		return nest(o, r, "a", "PUT")
	})
	s.native("a", func(o luahost.Object, r luahost.Request) error {
		if r.Call.Method == "PUT" {
			return nil
		}
		return nest(o, r, "b", "PUT")
	})
	first := s.start("a", "GET")
	await(t, g.entered)
	second := s.start("b", "GET")
	until(t, "the second call runs", func() bool { return s.Running("b") })
	g.verdict <- nil
	for _, c := range []<-chan outcome{first, second} {
		if o := await(t, c); o.err != nil {
			t.Error(o.err)
		}
	}
}

// plan is what a call does: it calls these, in their order.
type plan []step

type step struct {
	Object string
	Plan   plan
}

var plans = rapid.Custom(func(t *rapid.T) plan { return drawPlan(t, 3) })

func drawPlan(t *rapid.T, depth int) plan {
	p := plan{}
	for range rapid.IntRange(0, 3).Draw(t, "calls") {
		s := step{Object: fmt.Sprintf("o%d", rapid.IntRange(0, 3).Draw(t, "object")), Plan: plan{}}
		if depth > 1 {
			s.Plan = drawPlan(t, depth-1)
		}
		p = append(p, s)
	}
	return p
}

// follower counts what it does and follows a plan. It answers how many calls
// below it ran, its own included, and the codes of those that did not.
const follower = `
function POST(request)
  local ran, codes = 1, {}
  state.incr("n")
  for _, step in ipairs(request.plan) do
    local v, status = objects.call(step.Object, "POST", { plan = step.Plan })
    if status == 200 then
      ran = ran + v.ran
      for _, c in ipairs(v.codes) do table.insert(codes, c) end
    else
      table.insert(codes, v.code)
    end
  end
  return { ran = ran, codes = json.array(codes) }
end
function GET() return state.get("n", 0) end`

// Whatever objects call each other at once: no call waits until its deadline,
// every refusal is a loop, and what ran is what was counted.
func TestRandomCallsNeverDeadlock(t *testing.T) {
	program := compile(t, follower)
	rapid.Check(t, func(rt *rapid.T) {
		limits := patient()
		limits.VMs = rapid.IntRange(1, 3).Draw(rt, "vms")
		s := newStation(t, limits, nil)
		for i := range 4 {
			s.Serve(id.Object(fmt.Sprintf("o%d", i)), dispatch.Source{Version: 1, Program: program})
		}
		var calls []<-chan outcome
		for _, p := range rapid.SliceOfN(plans, 1, 6).Draw(rt, "roots") {
			body, err := json.Marshal(map[string]any{"plan": p})
			if err != nil {
				rt.Fatal(err)
			}
			root := id.Object(fmt.Sprintf("o%d", rapid.IntRange(0, 3).Draw(rt, "root")))
			c := make(chan outcome, 1)
			go func() {
				r, err := s.Invoke(t.Context(), host.Call{Object: root, Method: "POST", RequestID: "r", Type: "application/json", Body: body})
				c <- outcome{r, err}
			}()
			calls = append(calls, c)
		}
		ran := 0
		for _, c := range calls {
			var v struct {
				Ran   int
				Codes []string
			}
			select {
			case o := <-c:
				if o.err != nil {
					rt.Fatalf("a root call failed: %v", o.err)
				}
				if err := json.Unmarshal(o.result.Body, &v); err != nil {
					rt.Fatal(err)
				}
			case <-time.After(time.Minute):
				rt.Fatal("a call waits although no script runs for long: a deadlock")
			}
			ran += v.Ran
			for _, code := range v.Codes {
				if code != "call_cycle" && code != "call_deadlock" {
					rt.Fatalf("a nested call was refused with %s", code)
				}
			}
		}
		counted := 0
		for i := range 4 {
			r, err := s.call(id.Object(fmt.Sprintf("o%d", i)), "GET")
			var n int
			if err != nil || json.Unmarshal(r.Body, &n) != nil {
				rt.Fatalf("%s, %v", r.Body, err)
			}
			counted += n
		}
		if counted != ran {
			rt.Fatalf("%d calls ran, %d were counted", ran, counted)
		}
	})
}

// One call raises three counters; under load and with one slot none of the
// increments is lost, and every answer was true.
func TestThreeCountersUnderLoad(t *testing.T) {
	limits := patient()
	limits.VMs = 1
	s := newStation(t, limits, nil)
	for _, n := range []id.Object{"one", "two", "three"} {
		s.put(t, n, counter)
	}
	s.put(t, "sum", `function GET()
		local n = 0
		for _, name in ipairs{ "one", "two", "three" } do
			local v, status = objects.call(name, "GET")
			if status ~= 200 then fail(500, v.code, v.error) end
			n = n + v.count
		end
		return { count = state.incr("calls"), sum = n }
	end`)
	const workers, each = 8, 25
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for range each {
				target := id.Object("sum")
				if i%4 == 3 { // beside those that come directly
					target = "two"
				}
				if _, err := s.call(target, "GET"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for n, want := range map[id.Object]int{"one": workers * each * 3 / 4, "two": workers * each, "three": workers * each * 3 / 4} {
		if got := s.mustCount(t, n, "PUT"); got != want {
			t.Errorf("%s counts %d, want %d", n, got, want)
		}
	}
}

// A nested call that cannot even be queued leaves nobody waiting.
func TestNestedCallToAFullMailbox(t *testing.T) {
	limits := patient()
	limits.Waiting = 1
	s := newStation(t, limits, nil)
	hold, running := make(chan struct{}), make(chan struct{}, 1)
	s.native("b", func(luahost.Object, luahost.Request) error { running <- struct{}{}; <-hold; return nil })
	s.native("a", func(o luahost.Object, r luahost.Request) error { return nest(o, r, "b", "GET") })
	first := s.start("b", "GET")
	await(t, running)
	second := s.start("b", "GET")
	until(t, "the mailbox is full", func() bool { return s.Queued("b") == 1 })
	_, err := s.call("a", "GET")
	wantKind(t, err, errs.Busy)
	if s.Awaits("a") {
		t.Error("the caller still counts as waiting")
	}
	close(hold)
	await(t, first)
	await(t, second)
}

package dispatch_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

func TestChains(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	s.put(t, "c", counter)
	deep := make([]id.Object, 16)
	for i := range deep {
		deep[i] = id.Object(fmt.Sprintf("o%d", i))
	}
	for name, c := range map[string]struct {
		chain []id.Object
		code  string
	}{
		"cycle":    {[]id.Object{"a", "c", "b"}, "call_cycle"},
		"too deep": {deep, "call_depth"},
		"allowed":  {deep[:15], ""},
	} {
		_, err := s.Invoke(t.Context(), host.Call{Object: "c", Method: "PUT", Chain: c.chain})
		if c.code == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if e := errs.From(err); e == nil || e.Kind != errs.Loop || e.Code != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
}

func TestFullMailboxIsBusy(t *testing.T) {
	g := newGate()
	limits := dispatch.DefaultLimits()
	limits.Waiting = 3
	s := newStation(t, limits, func(m *storagetest.Memory) { m.OnCommit = g.hook })
	s.put(t, "c", counter)
	var calls []<-chan outcome
	for range 3 { // each leaves a commit that storage has not answered
		calls = append(calls, s.start("c", "GET"))
		until(t, "it has run", func() bool { return s.Inflight("c") == len(calls) })
	}
	_, err := s.call("c", "GET")
	wantKind(t, err, errs.Busy)
	if errs.From(err).RetryAfter <= 0 {
		t.Error("a full mailbox does not say when to come back")
	}
	g.verdict <- nil
	g.verdict <- nil
	for _, c := range calls {
		if o := await(t, c); o.err != nil {
			t.Error(o.err)
		}
	}
	g.verdict <- nil
	if got := s.mustCount(t, "c", "GET"); got != 4 {
		t.Errorf("the count is %d, want 4", got)
	}
}

// A call whose time ends in the queue never runs.
func TestQueuedCallTimesOut(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	s.put(t, "c", counter)
	spin := make(chan outcome, 1)
	go func() {
		r, err := s.Invoke(t.Context(), host.Call{
			Object: "c", Method: "POST", Query: []host.Field{{Name: "how", Value: "spin"}}, Deadline: time.Now().Add(3 * time.Second),
		})
		spin <- outcome{r, err}
	}()
	until(t, "the spinning call runs", func() bool { return s.Running("c") })
	_, err := s.Invoke(t.Context(), host.Call{Object: "c", Method: "GET", Deadline: time.Now().Add(20 * time.Millisecond)})
	wantKind(t, err, errs.Timeout)
	if !s.Running("c") {
		t.Error("the queued call was told only when the call before it had ended")
	}
	wantKind(t, await(t, spin).err, errs.Timeout)
	if got := s.mustCount(t, "c", "PUT"); got != 0 {
		t.Errorf("the count is %d: a call that had timed out in the queue ran", got)
	}
}

// A call that ran out of time is told so, once its log is durable, although
// its time is over by then.
func TestTimedOutCallWaitsForItsLog(t *testing.T) {
	g := newGate()
	limits := dispatch.DefaultLimits()
	limits.Time = time.Second // in which the call begins, on a busy machine too
	s := newStation(t, limits, func(m *storagetest.Memory) { m.OnCommit = g.hook })
	s.put(t, "c", counter)
	spin := s.start("c", "POST", host.Field{Name: "how", Value: "spin"})
	await(t, g.entered) // the commit of what it logged, after its time
	select {
	case o := <-spin:
		t.Fatalf("answered %v before the log was durable", o.err)
	case <-time.After(20 * time.Millisecond):
	}
	g.verdict <- nil
	wantKind(t, await(t, spin).err, errs.Timeout)
}

// What storage has not acknowledged is bounded for the station as a whole.
func TestPendingBytesAreBounded(t *testing.T) {
	g := newGate()
	limits := dispatch.DefaultLimits()
	limits.Pending = 1
	s := newStation(t, limits, func(m *storagetest.Memory) { m.OnCommit = g.hook })
	s.put(t, "a", counter)
	s.put(t, "b", counter)
	for n := 1; n <= 2; n++ {
		first := s.start("a", "GET")
		await(t, g.entered)
		_, err := s.call("b", "GET")
		if e := errs.From(err); e == nil || e.Code != "storage_behind" {
			t.Fatalf("round %d: a commit over the bound gives %v", n, err)
		}
		g.verdict <- nil
		if o := await(t, first); o.err != nil || count(t, o.result) != n {
			t.Fatalf("round %d: the first call gave %s, %v", n, o.result.Body, o.err)
		}
	}
	g.verdict <- nil
	if got := s.mustCount(t, "b", "GET"); got != 1 {
		t.Errorf("the refused object counts %d, want 1", got)
	}
}

func TestStagedAndStateLimits(t *testing.T) {
	limits := dispatch.DefaultLimits()
	limits.Staged, limits.State = 1200, 1500
	s := newStation(t, limits, nil)
	s.put(t, "c", `
function GET(r) state.set(r.key, string.rep("x", tonumber(r.n))) return { count = #state.keys() } end
function POST(r) for i = 1, 10 do state.set("same", string.rep("x", 90)) end end`)
	set := func(key, n string) error {
		_, err := s.call("c", "GET", host.Field{Name: "key", Value: key}, host.Field{Name: "n", Value: n})
		return err
	}
	code := func(err error) string {
		if err == nil {
			return ""
		}
		return errs.From(err).CodeOf()
	}
	if err := set("a", "900"); err != nil {
		t.Fatalf("just below the limit: %v", err)
	}
	if got := code(set("b", "950")); got != "staged_limit" {
		t.Errorf("a write over the staged limit gives %q", got)
	}
	_, err := s.call("c", "POST")
	if got := code(err); got != "staged_limit" {
		t.Errorf("overwrites are not charged: %q", got)
	}
	if got := code(set("b", "500")); got != "state_limit" {
		t.Errorf("a write over the state limit gives %q", got)
	}
	if err := set("b", "400"); err != nil {
		t.Errorf("below the state limit, after undone calls: %v", err)
	}
}

// More spinning scripts than may run at once do not hold up a short call. On a busy
// machine their time may end before all of them have had a turn: then they get more.
func TestSpinningScriptsLeaveRoom(t *testing.T) {
	for spin := 3 * time.Second; ; spin *= 2 {
		late := spinners(t, spin)
		if late == "" {
			return
		}
		if spin > 10*time.Second {
			t.Fatal(late)
		}
	}
}

// spinners has scripts spin for so long, and says what has not happened meanwhile.
func spinners(t *testing.T, spin time.Duration) (late string) {
	limits := dispatch.DefaultLimits()
	limits.VMs, limits.Time = 2, time.Minute
	s := newStation(t, limits, nil)
	s.put(t, "short", counter)
	const spinners = 6
	var spinning []<-chan outcome
	var ended atomic.Int64
	for i := range spinners {
		name := id.Object(fmt.Sprintf("spin%d", i))
		s.put(t, name, counter)
		c := make(chan outcome, 1)
		go func() {
			r, err := s.Invoke(context.Background(), host.Call{
				Object: name, Method: "POST", Query: []host.Field{{Name: "how", Value: "spin"}}, Deadline: time.Now().Add(spin),
			})
			ended.Add(1)
			c <- outcome{r, err}
		}()
		spinning = append(spinning, c)
	}
	until(t, "all scripts have had their turn, or one has ended", func() bool {
		for i := range spinners {
			if !s.Running(id.Object(fmt.Sprintf("spin%d", i))) {
				return ended.Load() > 0
			}
		}
		return true
	})
	if got := s.mustCount(t, "short", "GET"); got != 1 {
		t.Errorf("the short call counts %d", got)
	}
	if n := ended.Load(); n > 0 {
		late = fmt.Sprintf("%d spinning calls ended after %v, before the short one was answered", n, spin)
	}
	for _, c := range spinning {
		wantKind(t, await(t, c).err, errs.Timeout)
	}
	return late
}

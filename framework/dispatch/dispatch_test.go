package dispatch_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

func TestConcurrentIncrementsAreAllCounted(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	s.put(t, "c", counter)
	const workers, each = 16, 50
	var mu sync.Mutex
	seen := map[int]bool{}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				r, err := s.call("c", "GET")
				if err != nil {
					t.Error(err)
					return
				}
				n := count(t, r)
				mu.Lock()
				if seen[n] {
					t.Errorf("two calls got %d", n)
				}
				seen[n] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if got := s.mustCount(t, "c", "PUT"); got != workers*each {
		t.Errorf("the count is %d after %d increments", got, workers*each)
	}
	entries := s.logs(t, "c")
	if len(entries) != workers*each {
		t.Fatalf("%d log entries for %d increments", len(entries), workers*each)
	}
	for i, e := range entries {
		if want := (id.Entry{Station: "s1", Boot: 1, Sequence: uint64(i) + 1}); e.ID != want {
			t.Fatalf("entry %d has id %v, want %v", i, e.ID, want)
		}
		if want := fmt.Sprintf(`{"request_id":"r1","n":%d}`, i+1); string(e.Fields) != want {
			t.Fatalf("entry %d has fields %s, want %s", i, e.Fields, want)
		}
	}
}

func TestFailedCallChangesNothingAndKeepsItsLog(t *testing.T) {
	for how, want := range map[string]struct {
		kind  errs.Kind
		level storage.Level
		text  string
	}{
		"fail": {errs.Refused, storage.Warning, "not today"},
		"bug":  {errs.Script, storage.Error, "broken"},
		"spin": {errs.Timeout, storage.Error, ""},
	} {
		t.Run(how, func(t *testing.T) {
			limits := dispatch.DefaultLimits()
			limits.Time = 300 * time.Millisecond
			s := newStation(t, limits, nil)
			s.put(t, "c", counter)
			if got := s.mustCount(t, "c", "GET"); got != 1 {
				t.Fatalf("the first count is %d", got)
			}
			_, err := s.call("c", "POST", host.Field{Name: "how", Value: how})
			wantKind(t, err, want.kind)
			if got := s.mustCount(t, "c", "PUT"); got != 1 {
				t.Errorf("the count is %d after a failed call, want 1", got)
			}
			stored, err := s.disk.Load(t.Context(), "c")
			if err != nil || len(stored.State) != 1 || string(stored.State[0].Value) != "1" {
				t.Errorf("storage holds %+v, %v", stored.State, err)
			}
			entries := s.logs(t, "c")
			if len(entries) != 3 || entries[1].Message != "before" {
				t.Fatalf("the log is %+v; want the first call's entry, the failed call's, and its error", entries)
			}
			if e := entries[2]; e.Level != want.level || !strings.Contains(e.Message, want.text) || !strings.Contains(string(e.Fields), `"request_id":"r1"`) {
				t.Errorf("the error's entry is %+v", e)
			}
		})
	}
}

// An answer leaves when its commit is acknowledged and not before, and so
// does an answer that only read what that commit wrote.
func TestNothingLeavesBeforeItIsDurable(t *testing.T) {
	g := newGate()
	s := newStation(t, dispatch.DefaultLimits(), func(m *storagetest.Memory) { m.OnCommit = g.hook })
	s.put(t, "c", counter)
	s.put(t, "other", counter)
	write := s.start("c", "GET")
	await(t, g.entered)
	read := s.start("c", "PUT")
	if got := s.mustCount(t, "other", "PUT"); got != 0 { // another object's reads do not wait
		t.Errorf("the other object's count is %d", got)
	}
	select {
	case o := <-write:
		t.Fatalf("the write answered %s before it was durable", o.result.Body)
	case o := <-read:
		t.Fatalf("the read answered %s before what it read was durable", o.result.Body)
	case <-time.After(50 * time.Millisecond):
	}
	g.verdict <- nil
	for _, c := range []<-chan outcome{write, read} {
		if o := await(t, c); o.err != nil || count(t, o.result) != 1 {
			t.Errorf("answer %s, %v", o.result.Body, o.err)
		}
	}
}

// A commit that fails takes down everything that was built on it, and nothing
// else; the object then goes on from what storage holds.
func TestFailedCommitDiscardsWhatWasBuiltOnIt(t *testing.T) {
	g := newGate()
	s := newStation(t, dispatch.DefaultLimits(), func(m *storagetest.Memory) { m.OnCommit = g.hook })
	s.put(t, "c", counter)
	s.put(t, "other", counter)
	calls := []<-chan outcome{s.start("c", "GET")}
	await(t, g.entered)
	for range 5 {
		calls = append(calls, s.start("c", "GET"))
	}
	calls = append(calls, s.start("c", "PUT"))
	other := s.start("other", "GET")
	until(t, "all calls have run", func() bool { return s.Inflight("c") == 6 && s.Inflight("other") == 1 })
	g.verdict <- errs.New(errs.Unavailable, "", "disk full")
	for i, c := range calls {
		if o := await(t, c); errs.From(o.err).HTTPStatus() != 503 {
			t.Errorf("call %d gave %s, %v; want a 503", i, o.result.Body, o.err)
		}
	}
	g.verdict <- nil
	if batch := await(t, g.entered); len(batch) != 1 || batch[0].Object != "other" {
		t.Errorf("what was built on the failed commit was sent: %+v", batch)
	}
	if o := await(t, other); o.err != nil {
		t.Errorf("the other object's call failed: %v", o.err)
	}
	g.verdict <- nil
	if got := s.mustCount(t, "c", "GET"); got != 1 {
		t.Errorf("the count is %d, want 1: nothing was stored before", got)
	}
}

// A commit whose acknowledgement is lost is not promised; the state is then
// what storage holds, and no later commit is lost or refused.
func TestLostAcknowledgement(t *testing.T) {
	lose := make(chan bool, 10)
	s := newStation(t, dispatch.DefaultLimits(), func(m *storagetest.Memory) {
		m.AfterCommit = func(context.Context, []storage.Commit) error {
			if <-lose {
				return errs.New(errs.Unknown, "", "connection lost")
			}
			return nil
		}
	})
	s.put(t, "c", counter)
	lose <- true
	_, err := s.call("c", "GET")
	wantKind(t, err, errs.Unknown)
	lose <- false
	if got := s.mustCount(t, "c", "GET"); got != 2 {
		t.Errorf("the count is %d, want 2: the unacknowledged commit was stored", got)
	}
}

// A call that runs on a state that storage does not share ends at once.
func TestFailedCommitEndsTheRunningCall(t *testing.T) {
	g := newGate()
	limits := dispatch.DefaultLimits()
	limits.Time = 2 * time.Minute
	s := newStation(t, limits, func(m *storagetest.Memory) { m.OnCommit = g.hook })
	s.put(t, "c", counter)
	first := s.start("c", "GET")
	await(t, g.entered)
	spinning := s.start("c", "POST", host.Field{Name: "how", Value: "spin"})
	until(t, "the second call runs", func() bool { return s.Running("c") })
	g.verdict <- errs.New(errs.Unavailable, "", "disk full")
	for _, c := range []<-chan outcome{first, spinning} {
		if o := await(t, c); errs.From(o.err).HTTPStatus() != 503 {
			t.Errorf("got %v, want a 503", o.err)
		}
	}
	g.verdict <- nil
	if got := s.mustCount(t, "c", "GET"); got != 1 {
		t.Errorf("the count is %d, want 1", got)
	}
}

func TestStorageDownRefusesWritesAndServesWarmReads(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	s.put(t, "c", counter)
	s.mustCount(t, "c", "GET")
	s.disk.down.Store(true)
	for range 3 {
		_, err := s.call("c", "GET")
		wantKind(t, err, errs.Unavailable)
		if got := s.mustCount(t, "c", "PUT"); got != 1 {
			t.Fatalf("a warm read gives %d, want 1", got)
		}
	}
	s.disk.down.Store(false)
	if got := s.mustCount(t, "c", "GET"); got != 2 {
		t.Errorf("the count is %d, want 2", got)
	}
}

func TestSlowStorageIsNotPromised(t *testing.T) {
	g := newGate()
	limits := dispatch.DefaultLimits()
	limits.Time = 50 * time.Millisecond
	s := newStation(t, limits, func(m *storagetest.Memory) { m.OnCommit = g.hook })
	s.put(t, "c", counter)
	_, err := s.call("c", "GET")
	wantKind(t, err, errs.Unknown)
	_, err = s.call("c", "PUT")
	wantKind(t, err, errs.Unavailable)
	g.verdict <- nil
	until(t, "the read is answered", func() bool {
		r, err := s.call("c", "PUT")
		return err == nil && count(t, r) == 1
	})
}

func TestUnknownObjectStationAndMethod(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	s.put(t, "c", counter)
	_, err := s.call("nobody", "GET")
	wantKind(t, err, errs.NotFound)
	_, err = s.Invoke(t.Context(), host.Call{Object: "c", Method: "GET", Station: "elsewhere"})
	wantKind(t, err, errs.NotFound)
	if _, err = s.Invoke(t.Context(), host.Call{Object: "c", Method: "GET", Station: "s1"}); err != nil {
		t.Errorf("a call @ this station: %v", err)
	}
	_, err = s.call("c", "PATCH")
	wantKind(t, err, errs.MethodNotAllowed)
	if allow := errs.From(err).Allow; len(allow) < 4 {
		t.Errorf("Allow is %v", allow)
	}
}

// The request id in an entry is the station's word, whatever the script says.
func TestRequestIDCannotBeForged(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	s.put(t, "c", `
function GET()
  log.info("forged", { request_id = "forged", a = 1 })
  log.info("deeper", { a = { request_id = "kept" } })
  log.info("bare")
  return { count = 0 }
end`)
	s.mustCount(t, "c", "GET")
	var got []string
	for _, e := range s.logs(t, "c") {
		got = append(got, string(e.Fields))
	}
	want := []string{`{"request_id":"r1","a":1}`, `{"request_id":"r1","a":{"request_id":"kept"}}`, `{"request_id":"r1"}`}
	if !slices.Equal(got, want) {
		t.Errorf("fields %q, want %q", got, want)
	}
}

func TestState(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	s.put(t, "c", `function GET() for _, k in ipairs{ "b", "a2", "a1", "a3" } do state.set(k, k) end return { count = 0 } end`)
	s.mustCount(t, "c", "GET")
	p, err := s.State(t.Context(), host.StateQuery{Object: "c", Prefix: "a", After: "a1", Limit: 1})
	if err != nil || len(p.Items) != 1 || p.Items[0].Key != "a2" || string(p.Items[0].Value) != `"a2"` || !p.More {
		t.Errorf("page %+v, %v", p, err)
	}
	p, err = s.State(t.Context(), host.StateQuery{Object: "c"})
	if err != nil || len(p.Items) != 4 || p.More {
		t.Errorf("all: %+v, %v", p, err)
	}
	_, err = s.State(t.Context(), host.StateQuery{Object: "c", Key: "none", HasKey: true})
	wantKind(t, err, errs.NotFound)
	_, err = s.State(t.Context(), host.StateQuery{Object: "nobody"})
	wantKind(t, err, errs.NotFound)
	_, err = s.State(t.Context(), host.StateQuery{Object: "c", Limit: -1})
	wantKind(t, err, errs.Invalid)
}

// Close answers what has begun and refuses what has not.
func TestCloseDrains(t *testing.T) {
	g := newGate()
	s := newStation(t, dispatch.DefaultLimits(), func(m *storagetest.Memory) { m.OnCommit = g.hook })
	s.put(t, "c", counter)
	s.put(t, "other", counter)
	first := s.start("c", "GET")
	await(t, g.entered)
	closed := make(chan error, 1)
	go func() { closed <- s.Close(context.Background()) }()
	until(t, "new calls are refused", func() bool {
		_, err := s.call("other", "PUT")
		return errs.Is(err, errs.Unavailable) && errs.From(err).Code == "stopping"
	})
	g.verdict <- nil
	if o := await(t, first); o.err != nil || count(t, o.result) != 1 {
		t.Errorf("the call in flight gave %s, %v", o.result.Body, o.err)
	}
	if err := await(t, closed); err != nil {
		t.Error(err)
	}
}

// A large commit has a batch of its own, and those of other objects go before it, some
// batches of them; but none of an object goes before another of that object.
func TestLargeCommitsLetOthersPass(t *testing.T) {
	g := newGate()
	s := newStation(t, dispatch.DefaultLimits(), func(m *storagetest.Memory) { m.OnCommit = g.hook })
	for _, name := range []id.Object{"a", "b", "c", "d"} {
		s.put(t, name, `
			function POST() for i = 1, 6 do state.set("k" .. i, ("x"):rep(200000)) end end
			function GET() state.set("n", 1) end`)
	}
	calls := []<-chan outcome{s.start("a", "POST")}
	order := []storage.Commit{await(t, g.entered)[0]}
	for _, call := range []struct {
		object   id.Object
		method   string
		inflight int
	}{{"b", "POST", 1}, {"b", "GET", 2}, {"c", "GET", 1}, {"c", "POST", 2}} {
		calls = append(calls, s.start(call.object, call.method))
		until(t, "the call has run", func() bool { return s.Inflight(call.object) == call.inflight })
	}
	for n := range 12 {
		g.verdict <- nil
		batch := await(t, g.entered)
		if len(batch) != 1 {
			t.Errorf("a batch of %d", len(batch))
		}
		if order = append(order, batch...); n < 8 { // there is always another
			calls = append(calls, s.start("d", "GET"))
			until(t, "the call has run", func() bool { return s.Inflight("d") == 1+min(n, 1) })
		}
	}
	g.verdict <- nil
	var got []string
	for _, c := range order {
		got = append(got, fmt.Sprint(c.Object, c.Sequence))
	}
	if want := []string{"a1", "c1", "d1", "d2", "d3", "d4", "d5", "d6", "d7", "b1", "b2", "d8", "c2"}; !slices.Equal(got, want) {
		t.Errorf("the commits are sent in the order %v, want %v", got, want)
	}
	for _, c := range calls {
		if o := await(t, c); o.err != nil {
			t.Error(o.err)
		}
	}
}

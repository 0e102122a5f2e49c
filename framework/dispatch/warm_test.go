package dispatch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

func numbered(i int) id.Object { return id.Object(fmt.Sprintf("o%05d", i)) }

// heap is what is in use, after all garbage is gone.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers and pools held
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// What a commit wrote does not stay in memory beside the state once it is durable.
func TestDurableCommitsAreLetGo(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	s.put(t, "heavy", `function GET() log.info(string.rep("m", 4000)) state.set("v", string.rep("x", 100000)) end`)
	if _, err := s.call("heavy", "GET"); err != nil {
		t.Fatal(err)
	}
	until(t, "the commit is acknowledged", func() bool { return s.Inflight("heavy") == 0 })
	if n := s.Kept("heavy"); n > 1000 {
		t.Errorf("%d bytes of a durable commit are kept", n)
	}
}

// Objects that were called once do not stay in memory, and answer as before.
func TestManyObjectsNeedTheBudgetOnly(t *testing.T) {
	const objects, budget = 10_000, 8 << 20
	limits := dispatch.DefaultLimits()
	limits.Warm = budget
	s := newStation(t, limits, nil)
	p := compile(t, `function GET(r) if r.set then state.set("v", r.set .. string.rep("x", 100)) end return state.get("v") end`)
	for i := range objects {
		s.Serve(numbered(i), dispatch.Source{Version: 1, Program: p})
		if _, err := s.call(numbered(i), "GET", host.Field{Name: "set", Value: "first"}); err != nil {
			t.Fatal(err)
		}
	}
	before := heap()
	for i := range objects { // reads add nothing to the store
		if r, err := s.call(numbered(i), "GET"); err != nil || len(r.Body) != 105 {
			t.Fatalf("object %d: %q, %v", i, r.Body, err)
		}
	}
	until(t, "the budget holds", func() bool { _, all := s.Warm(numbered(0)); return all <= budget })
	if warm, all := s.Warm(numbered(0)); warm || all == 0 {
		t.Errorf("the first object is warm: %v; %d bytes are", warm, all)
	}
	if warm, _ := s.Warm(numbered(objects - 1)); !warm {
		t.Error("the last object is cold")
	}
	if grown := heap() - before; grown > 2*budget {
		t.Errorf("the heap grew by %d bytes under a budget of %d", grown, budget)
	}
}

// What an object is counted with is about what it takes.
func TestWeightIsTrue(t *testing.T) {
	for name, source := range map[string]string{
		"small": `function GET() state.set("k", 1) end`,
		"keys":  `function GET() for i = 1, 1000 do state.set("key" .. i, i) end end`,
		"gone":  `function GET() for i = 1, 1000 do state.set("key" .. i, i) end end function PUT() for i = 1, 1000 do state.delete("key" .. i) end end`,
	} {
		t.Run(name, func(t *testing.T) {
			const objects = 60
			limits := dispatch.DefaultLimits()
			limits.Warm = 1 << 40
			m := storagetest.NewMemory()
			s := newStationOver(t, m, limits)
			p := compile(t, source)
			for i := range objects {
				s.Serve(numbered(i), dispatch.Source{Version: 1, Program: p})
				if _, err := s.call(numbered(i), "GET"); err != nil {
					t.Fatal(err)
				}
				if name == "gone" {
					if _, err := s.call(numbered(i), "PUT"); err != nil {
						t.Fatal(err)
					}
				}
			}
			var counted int
			until(t, "all rest", func() bool {
				_, counted = s.Warm(numbered(0))
				return counted > 0 && s.Inflight(numbered(objects-1)) == 0
			})
			warm := heap()
			for i := range objects {
				s.Cool(numbered(i))
			}
			took := warm - heap()
			t.Logf("%d bytes an object, counted as %d", took/objects, counted/objects)
			if counted < took/2 || counted > 3*took {
				t.Errorf("%d bytes are counted as %d", took, counted)
			}
		})
	}
}

// What rests longest goes first, and a call makes it the last to go.
func TestTheLeastRecentlyUsedGoes(t *testing.T) {
	limits := dispatch.DefaultLimits()
	limits.Warm = 1 << 40
	probe := newStation(t, limits, nil)
	probe.put(t, "a", counter)
	probe.mustCount(t, "a", "PUT")
	until(t, "it rests", func() bool { warm, _ := probe.Warm("a"); return warm })
	_, one := probe.Warm("a")
	limits.Warm = 3*one + one/2

	s := newStation(t, limits, nil)
	for _, n := range []id.Object{"a", "b", "c", "d"} {
		s.put(t, n, counter)
	}
	for _, n := range []id.Object{"a", "b", "c", "a", "d"} {
		s.mustCount(t, n, "PUT")
		until(t, "it rests", func() bool { warm, _ := s.Warm(n); return warm })
	}
	for n, want := range map[id.Object]bool{"a": true, "b": false, "c": true, "d": true} {
		until(t, fmt.Sprintf("%s is warm: %v", n, want), func() bool { warm, _ := s.Warm(n); return warm == want })
	}
}

// An object whose commit storage has not acknowledged stays warm, whatever the
// budget is: only its own memory has what it committed.
func TestUnacknowledgedCommitsKeepAnObjectWarm(t *testing.T) {
	g := newGate()
	limits := dispatch.DefaultLimits()
	limits.Warm = 0
	s := newStation(t, limits, func(m *storagetest.Memory) { m.OnCommit = g.hook })
	s.put(t, "c", counter)
	first := s.start("c", "GET")
	await(t, g.entered)
	until(t, "the mailbox is empty", func() bool { return s.Inflight("c") == 1 && !s.Busy("c") })
	second := s.start("c", "GET")
	until(t, "it has run too", func() bool { return s.Inflight("c") == 2 && !s.Busy("c") })
	g.verdict <- nil
	g.verdict <- nil
	for want, c := range []<-chan outcome{first, second} {
		if o := await(t, c); o.err != nil || count(t, o.result) != want+1 {
			t.Errorf("got %s, %v; want %d", o.result.Body, o.err, want+1)
		}
	}
	until(t, "it is cold", func() bool { warm, all := s.Warm("c"); return !warm && all == 0 })
}

// Increments of many objects, some through another object, under a budget for
// ten and while every hundredth batch fails: what was acknowledged is there, and
// nothing else is.
func TestNothingIsLostByEviction(t *testing.T) {
	const objects, workers, each = 200, 8, 200
	limits := dispatch.DefaultLimits()
	limits.Warm = 10 * 60 << 10
	limits.Time, limits.MaxTime = time.Minute, time.Minute
	batches := 0 // of the pipeline's goroutine alone
	s := newStation(t, limits, func(m *storagetest.Memory) {
		m.OnCommit = func(context.Context, []storage.Commit) error {
			if batches++; batches%100 == 0 {
				return errs.New(errs.Unavailable, "", "disk full")
			}
			return nil
		}
	})
	p, front := compile(t, counter), compile(t, `function GET(request) return objects.call(request.id, "GET") end`)
	for i := range objects {
		s.Serve(numbered(i), dispatch.Source{Version: 1, Program: p})
		s.Serve("front-"+numbered(i), dispatch.Source{Version: 1, Program: front})
	}
	var stored [objects]atomic.Int64
	var failed atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		random := rand.New(rand.NewPCG(1, uint64(w)))
		wg.Go(func() {
			for range each {
				i := random.IntN(objects)
				target := numbered(i)
				if random.IntN(3) == 0 {
					target = "front-" + target
				}
				switch r, err := s.call(target, "GET", host.Field{Name: "id", Value: string(numbered(i))}); {
				case err == nil && r.Status == 200:
					stored[i].Add(1)
				case err == nil && r.Status == 503, errs.Is(err, errs.Unavailable):
					failed.Add(1)
				default:
					t.Errorf("%s gives %d %s, %v", target, r.Status, r.Body, err)
				}
			}
		})
	}
	wg.Wait()
	if failed.Load() == 0 {
		t.Error("no batch failed")
	}
	for i := range objects {
		if got := s.mustCount(t, numbered(i), "PUT"); got != int(stored[i].Load()) {
			t.Errorf("object %d counts %d, %d increments were acknowledged", i, got, stored[i].Load())
		}
	}
	_, all := s.Warm(numbered(0))
	until(t, "the budget holds", func() bool { _, all = s.Warm(numbered(0)); return all <= limits.Warm })
}

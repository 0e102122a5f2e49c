package luahost

import (
	"math"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/dbbasic/station/sdk/errs"
)

// keeper keeps megabytes from call to call; its HEAD lets go of them.
func keeper(t *testing.T, b *Budget) *VM {
	t.Helper()
	l := spacious()
	l.Budget = b
	return loadWith(t, `local kept = {}
		function GET(request) for i = 1, 12 do kept[#kept + 1] = ("x"):rep(2 ^ 20) end return #kept end
		function HEAD() kept = {} for i = 1, 40 do local s = ("x"):rep(2 ^ 20) end end
		function PUT() return 1 end`, l)
}

func call(t *testing.T, vm *VM, method string) *errs.Error {
	t.Helper()
	_, err := vm.Call(t.Context(), newFake(), request(method))
	return errs.From(err)
}

// TestBudget: what VMs hold together is bounded, counted while they are warm,
// and free again when they let go of it or are closed.
func TestBudget(t *testing.T) {
	b := startBudget(&Budget{limit: 28 << 20, interim: time.Hour, release: func() {}, look: func() {}})
	defer b.Close()
	one, two, three := keeper(t, b), keeper(t, b), keeper(t, b)
	for _, vm := range []*VM{one, two} {
		if err := call(t, vm, "GET"); err != nil {
			t.Fatal(err)
		}
		if n := vm.Size(); n < 12<<20 || n > 14<<20 {
			t.Errorf("a VM that keeps 12 MiB says %d", n)
		}
	}
	if n := b.Used(); n < 22<<20 || n > 26<<20 {
		t.Errorf("two VMs that keep 12 MiB each hold %d of the budget", n)
	}
	err := call(t, three, "GET")
	if err == nil || err.Kind != errs.Busy || err.Code != "station_memory" || err.RetryAfter == 0 || err.Line != 2 || !three.Spent() {
		t.Fatalf("got %+v, want station_memory", err)
	}
	if err := call(t, one, "PUT"); err != nil {
		t.Errorf("a call that needs nothing: %v", err)
	}
	three.Close()
	used := b.Used()
	if err := call(t, two, "HEAD"); err != nil {
		t.Fatal(err)
	}
	if n := b.Used(); n > used-11<<20 || two.Size() > 1<<20 {
		t.Errorf("%d of the budget were held, %d after a VM of %d had let go", used, n, two.Size())
	}
	if err := call(t, keeper(t, b), "GET"); err != nil {
		t.Errorf("there is room again: %v", err)
	}
	for _, vm := range []*VM{one, one, two} { // closing twice gives back once
		vm.Close()
	}
	if n := b.Used(); n < 10<<20 || n > 14<<20 {
		t.Errorf("one VM is left, and %d of the budget held", n)
	}
}

// TestSizeAfterTheLoad: what the top level keeps is known before the first call.
func TestSizeAfterTheLoad(t *testing.T) {
	if n := load(t, "kept = ('x'):rep(2 ^ 20)").Size(); n < 1<<20 || n > 1<<20+150<<10 {
		t.Errorf("a VM that keeps 1 MiB says %d", n)
	}
}

func TestFreshSize(t *testing.T) {
	vm := load(t, "function GET() return 1 end")
	for range 10 {
		if err := call(t, vm, "GET"); err != nil {
			t.Fatal(err)
		}
	}
	if n, real := vm.Size(), vm.measure(math.MaxInt64); n < int(real) || n > 2*int(real) {
		t.Errorf("a small VM says %d and measures %d", n, real)
	}
}

// TestRelease: memory is given back some time after a VM that held much was
// closed, once for many, and not for small ones.
func TestRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n, looks atomic.Int64
		b := startBudget(&Budget{limit: 1 << 40, interim: time.Second, release: func() { n.Add(1) }, look: func() { looks.Add(1) }})
		b.closed(&memory{live: much - 1})
		time.Sleep(5 * time.Second)
		if got := n.Load(); got != 0 {
			t.Errorf("released %d times after a small VM", got)
		}
		if got := looks.Load(); got < 4 || got > 5 {
			t.Errorf("%d looks in 5 s whether the process is quiet, want one a second", got)
		}
		for range 100 {
			b.closed(&memory{live: much})
		}
		time.Sleep(5 * time.Second)
		if got := n.Load(); got != 1 {
			t.Errorf("released %d times after 100 VMs at once", got)
		}
		for range 50 { // for 5 s
			b.closed(&memory{live: much})
			time.Sleep(100 * time.Millisecond)
		}
		if got := n.Load(); got < 5 || got > 7 {
			t.Errorf("released %d times in 5 s, want one a second", got-1)
		}
		got := n.Load()
		b.closed(&memory{busy: true}) // held nothing, but left garbage
		time.Sleep(5 * time.Second)
		if n.Load() != got+1 {
			t.Error("garbage is not given back")
		}
		b.Close()
		b.Close()
	})
}

// TestLoadMeetsTheBudget: that others hold much is no error of a source.
func TestLoadMeetsTheBudget(t *testing.T) {
	b := startBudget(&Budget{limit: 4 << 20, interim: time.Hour, release: func() {}, look: func() {}})
	defer b.Close()
	p, err := Compile([]byte("kept = {} for i = 1, 12 do kept[i] = ('x'):rep(2 ^ 20) end"))
	if err != nil {
		t.Fatal(err)
	}
	l := spacious()
	l.Budget = b
	if _, err := p.NewVM(l, nil); !errs.Is(err, errs.Busy) || errs.From(err).Code != "station_memory" {
		t.Errorf("got %v, want station_memory", err)
	}
	if n := b.Used(); n != 0 {
		t.Errorf("a VM that did not load holds %d", n)
	}
}

// TestBudgetEnds: a real Budget leaves neither its goroutine nor its soft limit.
func TestBudgetEnds(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Setenv("GOMEMLIMIT", "") // brings the variable back
	limit := debug.SetMemoryLimit(-1)
	b := startBudget(&Budget{limit: 1, interim: time.Millisecond, release: func() {}, look: func() {}, soft: true})
	deadline := time.Now().Add(time.Minute)
	for debug.SetMemoryLimit(-1) == limit && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if debug.SetMemoryLimit(-1) == limit {
		t.Error("a Budget sets no soft limit")
	}
	b.Close()
	if got := debug.SetMemoryLimit(-1); got != limit {
		t.Errorf("the soft limit was %d and is %d", limit, got)
	}
	b = NewBudget(DefaultBudget) // GOMEMLIMIT is set, if to nothing
	defer b.Close()
	if b.soft {
		t.Error("the Budget overrides GOMEMLIMIT")
	}
}

func TestSoftLimit(t *testing.T) {
	for _, c := range []struct{ alive, used, want int64 }{
		{10 << 20, 0, 640 << 20},
		{300 << 20, 256 << 20, 640 << 20},
		{2 << 30, 0, 4 << 30}, // states of objects: the collector's own pace
		{2<<30 + 256<<20, 256 << 20, 4<<30 + 256<<20},
	} {
		if got := softLimit(c.alive, c.used); got != c.want {
			t.Errorf("alive %d, of VMs %d: %d, want %d", c.alive, c.used, got, c.want)
		}
	}
}

// TestNoBudget: a VM without one is bounded by itself alone.
func TestNoBudget(t *testing.T) {
	vm := keeper(t, nil)
	if err := call(t, vm, "GET"); err != nil {
		t.Fatal(err)
	}
	if err := call(t, vm, "GET"); err != nil {
		t.Fatal(err)
	}
	if err := call(t, vm, "GET"); err == nil || err.Code != "memory_limit" || !strings.Contains(err.Text(), "33554432 bytes") {
		t.Errorf("got %v, want memory_limit", err)
	}
}

package kernel

import (
	"context"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
)

// Objects with their methods come in pages that are bounded.
func TestMethodsAreAskedForByThePage(t *testing.T) {
	h := &Host{objects: &objects{}}
	for _, limit := range []int{0, host.MaxMethods + 1, -1} {
		if _, err := h.Objects(t.Context(), host.ObjectsQuery{Limit: limit, Methods: true}); !errs.Is(err, errs.Invalid) {
			t.Errorf("the limit %d: %v", limit, err)
		}
	}
	if page, err := h.Objects(t.Context(), host.ObjectsQuery{Limit: host.MaxMethods, Methods: true}); err != nil || len(page.Objects) != 0 {
		t.Errorf("%+v, %v", page, err)
	}
}

// Who waits for a page of metrics in vain is told so.
func TestMetricsAreMadeOneAtATime(t *testing.T) {
	h := &Host{watch: watch{turn: make(chan struct{}, 1)}}
	h.watch.turn <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := h.Metrics(ctx); !errs.Is(err, errs.Timeout) {
		t.Errorf("%v", err)
	}
}

// The load of the machine is of the time since the measurement before, and is
// not measured again at once.
func TestMachineLoad(t *testing.T) {
	m := newMachine()
	if m.taken.IsZero() || m.memory <= 0 || m.memory > 100 {
		t.Fatalf("%+v", m)
	}
	m.was = cpu.TimesStat{} // as if it had just been started
	m.taken = time.Now().Add(-time.Minute)
	before := time.Now()
	p, memory := m.load(t.Context())
	if p <= 0 || p > 100 || memory <= 0 || m.taken.Before(before) {
		t.Errorf("%v %% of processors, %v %% of memory, taken %v", p, memory, m.taken)
	}
	taken := m.taken
	again, _ := m.load(t.Context())
	if (again != p || m.taken != taken) && time.Since(taken) < time.Second {
		t.Error("it was measured again within a second")
	}
	for in, want := range map[float64]float64{-1: 0, 12.34: 12.3, 101: 100} {
		if percent(in) != want {
			t.Errorf("%v is %v", in, percent(in))
		}
	}
}

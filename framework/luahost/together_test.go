package luahost

import (
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
)

// resident gives what the Go runtime has of the system, and has not given back.
func resident() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64())
}

// TestSixteenAtOnce runs 16 bombs at a time, again and again: each ends with a
// limit, the process stays under 1 GiB, and gives back what it took.
func TestSixteenAtOnce(t *testing.T) {
	bombs := []string{
		"local t = {} for i = 1, 1e7 do t[i] = ('x'):rep(1e5) end",
		"local t = {} for i = 1, 1e7 do t[i] = { name = 'x', at = i } end",
		"local s = 'x' while true do s = s .. s end",
		"local t = {} while true do t = { t } end",
		"local t = {} for i = 1, 1000 do t[i] = {} t[i][1e5] = 1 end",
		"local t = {} for i = 1, 1e7 do t[i] = function() return i end end",
		"while true do local ok = pcall(function() local t = {} for i = 1, 2e5 do t[i] = {} end end) end",
		"while true do local s = ('x'):rep(5e6) end",
	}
	debug.FreeOSMemory()
	before := resident()
	b := startBudget(&Budget{limit: DefaultBudget, interim: 100 * time.Millisecond, release: debug.FreeOSMemory, look: func() {}, soft: true})
	defer b.Close()
	l := DefaultLimits()
	l.Budget, l.Time = b, 3*time.Second

	done := make(chan struct{})
	var peak int64
	var watch, calls sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				peak = max(peak, resident())
			}
		}
	})
	for i := range 16 {
		calls.Go(func() {
			for round := range 2 {
				p, err := Compile([]byte("function GET() " + bombs[(i+round)%len(bombs)] + " end"))
				if err != nil {
					t.Error(err)
					return
				}
				vm, err := p.NewVM(l, nil)
				if errs.Is(err, errs.Source) && strings.Contains(err.Error(), "ran longer") {
					continue // on a busy machine, where the collector has much to do
				}
				if err != nil {
					t.Error(err)
					return
				}
				_, failed := vm.Call(t.Context(), newFake(), request("GET"))
				switch e := errs.From(failed); {
				case e == nil:
					t.Errorf("%s: no error", bombs[(i+round)%len(bombs)])
				case e.CodeOf() != "memory_limit" && e.CodeOf() != "station_memory" && e.CodeOf() != "time_limit" && e.CodeOf() != "step_limit":
					t.Errorf("%s: %v", bombs[(i+round)%len(bombs)], e)
				}
				vm.Close()
			}
		})
	}
	calls.Wait()
	close(done)
	watch.Wait()
	if peak > 1<<30 {
		t.Errorf("the process took %d MiB", peak>>20)
	}
	if used := b.Used(); used != 0 {
		t.Errorf("%d bytes of the budget are held by nobody", used)
	}
	deadline := time.Now().Add(time.Minute)
	for resident() > before+64<<20 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if after := resident(); after > before+64<<20 {
		t.Errorf("the process took %d MiB before and %d after", before>>20, after>>20)
	}
	t.Logf("%d MiB before, %d at most", before>>20, peak>>20)
}

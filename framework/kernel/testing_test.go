package kernel

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

// memory is a store for a dispatcher.
type memory struct{ storage.Storage }

func (memory) Up() bool { return true }

func (m memory) Begin(commits []storage.Commit, done func([]error)) {
	storagetest.Begin(m, commits, done)
}

// A test that takes long holds up no call of its object, also where one script
// runs at a time, and touches nothing of the object.
func TestCallsRunBesideATest(t *testing.T) {
	limits := dispatch.DefaultLimits()
	limits.VMs = 1
	d := dispatch.New(dispatch.Options{
		Station: "s1", Store: memory{storagetest.NewMemory().Open(t, plugin.Config{Station: "s1", DataDir: "d"})}, Cluster: cluster.None{},
		Clock: hlc.NewClock(time.Now, 0), Log: slog.New(slog.DiscardHandler), Limits: limits,
	})
	t.Cleanup(func() {
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	l := luahost.DefaultLimits()
	l.Steps, l.Time = 1<<60, time.Hour
	p := &script{limits: l, text: []byte(`function GET() return state.incr("n") end
function test_it() state.set("n", 41) log.info("began") while true do end end`)}
	d.Serve("a", dispatch.Source{Version: 1, Program: p})
	h := &Host{dispatch: d, objects: &objects{all: map[id.Object]served{"a": {program: p}}}, testing: make(chan struct{}, TestRuns)}

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := h.Test(ctx, "a")
		ended <- err
	}()
	for end := time.Now().Add(time.Minute); len(h.testing) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the test does not begin")
		}
	}
	for n := range 20 { // the test has the only slot before the last of them
		r, err := d.Invoke(t.Context(), host.Call{Object: "a", Method: "GET", RequestID: "r"})
		if err != nil {
			t.Fatal(err)
		}
		if string(r.Body) != strconv.Itoa(n+1) {
			t.Fatalf("call %d gave %s", n+1, r.Body)
		}
	}
	select {
	case err := <-ended:
		t.Errorf("the test ended by itself: %v", err)
	default:
	}
	stop()
	select {
	case err := <-ended:
		if !errs.Is(err, errs.Unavailable) {
			t.Errorf("a test that was stopped gave %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the test goes on after its caller went")
	}
	if len(h.testing) != 0 {
		t.Error("the run still counts")
	}
}

// Tests beyond the number that may run at once wait, and are told so in the end.
func TestRunsOfTestsAreBounded(t *testing.T) {
	h := &Host{objects: &objects{all: map[id.Object]served{"a": {}}}, testing: make(chan struct{}, TestRuns)}
	for range TestRuns {
		h.testing <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := h.Test(ctx, "a")
	if e := errs.From(err); e == nil || e.Kind != errs.Busy || e.RetryAfter == 0 {
		t.Errorf("got %v, want busy with a time to come back", err)
	}
	if _, err := h.Test(ctx, "b"); !errs.Is(err, errs.NotFound) {
		t.Errorf("an unknown object gave %v", err)
	}
	if _, err := h.Test(ctx, "../a"); !errs.Is(err, errs.Invalid) {
		t.Errorf("a bad id gave %v", err)
	}
}

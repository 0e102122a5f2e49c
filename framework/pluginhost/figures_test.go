package pluginhost_test

import (
	"testing"
	"time"

	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk/errs"
)

// A plugin that hangs, or reports nonsense, costs its own report and two seconds.
func TestReports(t *testing.T) {
	h := newHost(t)
	var a, b, c pluginhost.Storage
	supervise(t, h, "well", a.Use(config))
	supervise(t, h, "silent about its figures", b.Use(config))
	supervise(t, h, "unsound figures", c.Use(config)).Status()
	var reports []pluginhost.Report
	until(t, "the plugins that answer do so in time", func() bool { // on a busy machine two seconds may not be enough for them
		began := time.Now()
		reports = h.Reports(t.Context())
		if took := time.Since(began); took < 2*time.Second || took > 20*time.Second {
			t.Errorf("the reports took %v: one plugin hangs, for which 2 s are waited", took)
		}
		return len(reports) != 3 || reports[0].Err == nil && errs.Is(reports[2].Err, errs.Invalid)
	})
	if len(reports) != 3 {
		t.Fatalf("%d reports", len(reports))
	}
	if r := reports[0]; r.Err != nil || len(r.Figures) == 0 || r.Runtime.Goroutines == 0 || r.Status.PID == 0 {
		t.Errorf("a plugin that is well reports %+v", r)
	}
	if r := reports[1]; r.Err == nil || r.Figures != nil {
		t.Errorf("a plugin that hangs reports %+v", r)
	}
	if r := reports[2]; !errs.Is(r.Err, errs.Invalid) || r.Figures != nil {
		t.Errorf("a plugin whose figures are not sound reports %+v", r)
	}
}

// A plugin that is down reports nothing at once.
func TestReportsOfThePluginThatIsDown(t *testing.T) {
	h := newHost(t)
	var s pluginhost.Storage
	supervise(t, h, "well", s.Use(config)).Stop()
	for tries := 1; ; tries++ {
		began := time.Now()
		r := h.Reports(t.Context())
		took := time.Since(began)
		if len(r) != 1 || !errs.Is(r[0].Err, errs.Unavailable) || r[0].Status.PID != 0 {
			t.Errorf("%+v after %v", r, took)
		}
		if took < time.Second {
			return
		}
		if tries == 3 { // what is late three times in a row does it by itself
			t.Fatalf("nothing was reported after %v", took)
		}
	}
}

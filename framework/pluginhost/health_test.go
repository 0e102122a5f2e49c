package pluginhost_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/pluginhost"
)

// status gives the one plugin of a host.
func status(t *testing.T, h *pluginhost.Host) pluginhost.Status {
	t.Helper()
	all := h.Plugins()
	if len(all) != 1 {
		t.Fatalf("the host has %d plugins, want one", len(all))
	}
	return all[0]
}

// A plugin that says that it is not well is shown and left alive.
func TestUnwellPluginIsShownAndLeft(t *testing.T) {
	h := newHost(t)
	var s pluginhost.Storage
	pid := supervise(t, h, "sick", s.Use(config)).Status().PID
	until(t, "the status has the problem", func() bool { return status(t, h).Problem == "The disk is full." })
	began := time.Now()
	until(t, "as many pings as would end it", func() bool { return status(t, h).LastSeen.After(began.Add(3500 * time.Millisecond)) })
	if st := status(t, h); st.PID != pid || st.Restarts != 0 || st.Healthy() || !s.Up() {
		t.Errorf("%+v; want process %d, unwell and never started again", st, pid)
	}
}

// What is over stays to be seen.
func TestLastProblemIsKept(t *testing.T) {
	h := newHost(t)
	var s pluginhost.Storage
	sup := supervise(t, h, "recovers", s.Use(config))
	st := sup.Status()
	pinged := time.Since(st.Since) > time.Second // or may have been, on a busy machine
	if !st.Healthy() && !pinged || (st.LastProblem != "" || !st.LastSeen.IsZero()) && !pinged || time.Since(st.Since) > time.Minute || st.Since.IsZero() {
		t.Errorf("at first %+v", st)
	}
	until(t, "the problem is over", func() bool {
		st := status(t, h)
		return st.LastProblem != "" && st.Problem == ""
	})
	if st := status(t, h); !st.Healthy() || st.LastProblem != "The disk is full." || st.LastSeen.IsZero() || st.Restarts != 0 {
		t.Errorf("%+v; want a healthy plugin with its last problem", st)
	}
	sup.Stop()
	if st := status(t, h); st.Healthy() || st.PID != 0 || !st.Since.IsZero() || st.Problem == "" {
		t.Errorf("after Stop %+v", st)
	}
}

// A plugin that answers pings and is not in use yet shows why.
func TestProblemStaysUntilThePluginIsUp(t *testing.T) {
	h := newHost(t)
	var s pluginhost.Storage
	sup := supervise(t, h, "slow", s.Use(config))
	kill(t, sup.Status().PID, syscall.SIGKILL)
	until(t, "the death is seen", func() bool { return status(t, h).PID == 0 })
	until(t, "the plugin is up again", func() bool {
		st := status(t, h)
		if st.PID == 0 && !strings.Contains(st.Problem, "killed") {
			t.Fatalf("%+v; want to see why it is down", st)
		}
		return st.Healthy()
	})
}

// A plugin ends in order also if it is told so right after its start.
func TestStopRightAfterTheStart(t *testing.T) {
	h := newHost(t)
	for range 30 {
		var s pluginhost.Storage
		c := config
		c.DataDir = t.TempDir()
		sup, err := h.Supervise(t.Context(), spec("notes its end"), s.Use(c))
		if err != nil {
			t.Fatal(err)
		}
		sup.Stop()
		if _, err := os.Stat(filepath.Join(c.DataDir, "closed")); err != nil {
			t.Fatalf("the plugin was not closed: %v", err)
		}
	}
}

// Three pings in a row that fail end a plugin; two do not.
func TestFailedPings(t *testing.T) {
	h, patient := newHost(t), newHost(t)
	var s, s2 pluginhost.Storage
	began := time.Now()
	supervise(t, h, "pings fail", s.Use(config))
	supervise(t, patient, "two pings of three fail", s2.Use(config))
	var st pluginhost.Status
	until(t, "the plugin is started again", func() bool { st = status(t, h); return st.Restarts >= 1 })
	if took := time.Since(began); took < 3*time.Second || !strings.Contains(st.LastProblem, "3 pings in a row failed") {
		t.Errorf("after %v: %+v; want the end after three pings", took, st)
	}

	until(t, "two series of failed pings", func() bool {
		st := status(t, patient)
		return time.Since(st.Since) > 6500*time.Millisecond
	})
	if st := status(t, patient); st.Restarts != 0 || !strings.Contains(st.LastProblem, "A ping failed") {
		t.Errorf("%+v; want a plugin that was not ended", st)
	}
}

package main_test

import (
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestServe is the first command of the README, but for the port and the
// folder: three processes answer, and what they count survives them.
func TestServe(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	goRun := func() *exec.Cmd {
		cmd := exec.Command("go", "run", "./cmd/station", "serve", "--data", data, "--listen", "127.0.0.1:0")
		cmd.Dir = root
		return cmd
	}
	s := launch(t, goRun())
	// Go run is the parent of the kernel, and passes no signal on.
	kernel := kernelOf(t, s.cmd.Process.Pid)
	plugins := pluginsOf(t, kernel)
	if got := slices.Sorted(maps.Keys(plugins)); !slices.Equal(got, []string{"storage-tsv", "transport-http"}) {
		t.Errorf("the kernel runs the plugins %v; want storage-tsv and transport-http", got)
	}
	c := client(t)
	for want := 1; want <= 3; want++ {
		if a := get(t.Context(), c, s.url+counterPath); a.status != http.StatusOK || a.count != want {
			t.Fatalf("call %d gave %d %s", want, a.status, a.body)
		}
	}
	if err := syscall.Kill(kernel, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-s.done
	for name, pid := range plugins {
		until(t, name+" ends", func() bool { return ended(t, pid) })
	}

	again := launch(t, goRun())
	if a := get(t.Context(), c, again.url+counterPath); a.status != http.StatusOK || a.count != 4 {
		t.Errorf("after a restart the counter gives %d %s, want 4", a.status, a.body)
	}
	if err := syscall.Kill(kernelOf(t, again.cmd.Process.Pid), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-again.done
}

// onStorages runs a test with each storage: its program, and the flags of a station
// that uses it.
func onStorages(t *testing.T, test func(t *testing.T, program string, flags []string)) {
	t.Run("tsv", func(t *testing.T) { test(t, "storage-tsv", nil) })
	t.Run("bolt", func(t *testing.T) {
		config := filepath.Join(t.TempDir(), "station.hcl")
		if err := os.WriteFile(config, []byte(boltConfig(t)), 0o600); err != nil {
			t.Fatal(err)
		}
		test(t, "storage-bolt", []string{"--config", config})
	})
}

// TestIncrements counts from many connections at once: no increment is lost
// and none is answered twice.
func TestIncrements(t *testing.T) { onStorages(t, countIncrements) }

func countIncrements(t *testing.T, _ string, flags []string) {
	s := start(t, t.TempDir(), flags...)
	var n atomic.Int64
	began := time.Now()
	all := s.load(func() bool { return n.Add(1) <= int64(*increments) })
	t.Logf("%d increments over %d connections in %v", len(all), *connections, time.Since(began).Round(time.Millisecond))
	seen := map[int]bool{}
	for _, a := range all {
		if a.status != http.StatusOK || seen[a.count] {
			t.Fatalf("answer %d %s; every one must be a 200 with a count of its own", a.status, a.body)
		}
		seen[a.count] = true
	}
	if got := s.storedCount(); got != *increments || len(all) != *increments {
		t.Errorf("%d answers, and the count is %d; want %d", len(all), got, *increments)
	}
	s.end()
}

// TestKernelKilled kills the kernel under load: whatever was answered with a
// 200 is in the state and in the log afterwards, and no plugin outlives it.
func TestKernelKilled(t *testing.T) { onStorages(t, killKernel) }

func killKernel(t *testing.T, _ string, flags []string) {
	data := t.TempDir()
	acknowledged := map[int]bool{}
	for kill := 1; kill <= *kernelKills; kill++ {
		s := start(t, data, flags...)
		plugins := s.plugins()
		if len(plugins) != 2 {
			t.Fatalf("the plugins are %v", plugins)
		}
		time.AfterFunc(time.Duration(100+50*kill)*time.Millisecond, s.kill)
		for _, a := range s.load(func() bool { return true }) {
			switch {
			case a.status == 0:
			case strings.Contains(a.body, `"code":"outcome_unknown"`): // by a transport that outlived its kernel for a moment
			case a.status != http.StatusOK || acknowledged[a.count]:
				t.Fatalf("kill %d: answer %d %s; want a 200 with a count of its own", kill, a.status, a.body)
			default:
				acknowledged[a.count] = true
			}
		}
		<-s.done
		for name, pid := range plugins {
			within(t, name+" ends after its kernel", until(t, name+" ends", func() bool { return ended(t, pid) }), time.Second)
		}
		began := time.Now()
		s = start(t, data, flags...)
		within(t, "the next start", time.Since(began), 2*time.Second)
		s.checkCounter(acknowledged, len(acknowledged), -1)
		s.end()
	}
}

// TestStorageKilled kills the storage plugin under load: answers are 200 or
// 503, and the count is what the log says.
func TestStorageKilled(t *testing.T) { onStorages(t, killStorage) }

func killStorage(t *testing.T, program string, flags []string) {
	s := start(t, t.TempDir(), flags...)
	var stop atomic.Bool
	answers := make(chan []answer)
	var asked atomic.Int64 // increments, answered or not
	go func() { answers <- s.load(func() bool { asked.Add(1); return !stop.Load() }) }()
	probe := client(t)
	up, before := time.Now(), int64(0)
	for kill := 1; kill <= *storageKills; kill++ {
		// A plugin that died within a second of its start would meet back-off.
		until(t, "the plugin has served under load for a while", func() bool {
			return time.Since(up) > 1200*time.Millisecond && asked.Load() > before+1000
		})
		before = asked.Load()
		pid := s.plugins()[program]
		if pid == 0 {
			t.Fatal("the storage plugin does not run")
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		until(t, "another storage plugin runs", func() bool { p := s.plugins()[program]; return p != 0 && p != pid })
		// The log is read from storage; state that is warm is answered without it.
		until(t, "the counter's log answers", func() bool {
			return get(t.Context(), probe, s.url+counterPath+"?logs=true&limit=1").status == http.StatusOK
		})
		within(t, "answering again after a kill", time.Since(began), 2*time.Second)
		up = time.Now()
	}
	stop.Store(true)
	acknowledged, refused, unknown := map[int]bool{}, 0, 0
	for _, a := range <-answers {
		switch {
		case strings.Contains(a.body, `"code":"outcome_unknown"`):
			unknown++
		case a.status == http.StatusServiceUnavailable:
			refused++
		case a.status != http.StatusOK || acknowledged[a.count]:
			t.Fatalf("answer %d %s; want a 503, or a 200 with a count of its own", a.status, a.body)
		default:
			acknowledged[a.count] = true
		}
	}
	if len(acknowledged) == 0 {
		t.Fatal("no increment was acknowledged")
	}
	// Only a change whose outcome is unknown may have been stored without a 200.
	s.checkCounter(acknowledged, len(acknowledged), len(acknowledged)+unknown)
	t.Logf("%d acknowledged, %d refused, %d unknown", len(acknowledged), refused, unknown)
	s.end()
}

// TestStopDrains sends the signal to the kernel's whole process group, as a
// terminal or a service manager may: a call in flight is answered, everything ends
// in order, and then all three processes are gone. It does so again where the machine was
// so busy that the call may have ended before the signal.
func TestStopDrains(t *testing.T) {
	for range 5 {
		if inTime := stopInACall(t); inTime || t.Failed() {
			return
		}
	}
	t.Fatal("five times a call of 1 s had ended before the signal")
}

func stopInACall(t *testing.T) (inTime bool) {
	scripts, data := t.TempDir(), t.TempDir()
	slow := `function GET() local began = time.now() while time.now() - began < 1 do end return { count = state.incr("done") } end`
	if err := os.WriteFile(filepath.Join(scripts, "slow.lua"), []byte(slow), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	s := launch(t, exec.Command(path, "serve", "--data", data, "--scripts", scripts, "--listen", "127.0.0.1:0"))
	plugins := s.plugins()
	answers := make(chan answer, 1)
	go func() { answers <- get(t.Context(), client(t), s.url+"/objects/slow") }()
	until(t, "the call runs, or has ended", func() bool { return s.runs("slow") || len(answers) > 0 })
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	inTime = len(answers) == 0
	if a := <-answers; a.status != http.StatusOK || a.count != 1 {
		t.Errorf("the call in flight gave %d %s", a.status, a.body)
	}
	<-s.done
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the station exited with %d", code)
	}
	if log := s.logs.String(); strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
		t.Errorf("the station did not end in order:\n%s", log)
	}
	for name, pid := range plugins {
		until(t, name+" ends", func() bool { return ended(t, pid) })
	}
	return inTime
}

// runs reports whether a call of an object runs.
func (s *station) runs(object string) bool {
	s.t.Helper()
	var v struct{ Running bool }
	s.read("/objects/"+object+"?status=true", &v)
	return v.Running
}

// checkCounter compares the bundled counter with what was answered, see checkCounterAt.
func (s *station) checkCounter(acknowledged map[int]bool, least, most int) {
	s.t.Helper()
	s.checkCounterAt(counterPath, acknowledged, least, most)
}

// checkCounterAt compares a counter's state and log with what was answered: a
// count between least and most (-1: any), one log entry per unit of it, and every
// acknowledged count among them.
func (s *station) checkCounterAt(path string, acknowledged map[int]bool, least, most int) {
	s.t.Helper()
	final := s.countOf(path)
	if final < least || most >= 0 && final > most {
		s.t.Errorf("the count is %d; want %d to %d", final, least, most)
	}
	logged := s.logged(path)
	for n := 1; n <= final; n++ {
		if logged[n] != 1 {
			s.t.Fatalf("count %d of %d is in the log %d times", n, final, logged[n])
		}
	}
	if len(logged) != final {
		s.t.Errorf("the log has %d counts, the state says %d", len(logged), final)
	}
	for n := range acknowledged {
		if n > final {
			s.t.Errorf("count %d was answered with 200, but the state says %d", n, final)
		}
	}
}

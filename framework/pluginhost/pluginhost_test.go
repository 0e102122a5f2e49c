package pluginhost_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

var config = plugin.Config{Station: "s1", DataDir: "d"}

func spec(how string) pluginhost.Spec {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return pluginhost.Spec{Kind: plugin.Storage, Name: "told", Command: pluginhost.Command{Path: self, Args: []string{"plugin", how}}}
}

func newHost(t *testing.T) *pluginhost.Host {
	t.Helper()
	t.Setenv("TMPDIR", shortTemp(t))
	h, err := pluginhost.New(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// shortTemp is a temporary folder whose path leaves room for that of a socket.
func shortTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ph")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// A long path of the temporary folder does not keep plugins from starting.
func TestLongTemporaryFolder(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 80))
	if err := os.MkdirAll(long, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", long)
	h, err := pluginhost.New(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	var s pluginhost.Storage
	supervise(t, h, "ok", s.Use(config))
}

func supervise(t *testing.T, h *pluginhost.Host, how string, use pluginhost.Use) *pluginhost.Supervisor {
	t.Helper()
	s, err := h.Supervise(t.Context(), spec(how), use)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// state is the letter by which Linux names the state of a process, "" for none.
func state(pid int) string {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ""
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return after[:1]
}

// gone reports whether a process has ended, reaped or not.
func gone(pid int) bool { return slices.Contains([]string{"", "Z", "X"}, state(pid)) }

// freeze stops a process and waits until it has stopped.
func freeze(t *testing.T, pid int) {
	t.Helper()
	kill(t, pid, syscall.SIGSTOP)
	until(t, "the process is frozen", func() bool { return state(pid) == "T" })
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("kill %d: %v", pid, err)
	}
}

// commit is a batch of one commit, the first of its object.
func commit(object id.Object) []storage.Commit {
	stamp := hlc.Stamp{Time: hlc.At(time.Now()), Station: "s1"}
	return []storage.Commit{{
		Object: object, Incarnation: 1, Sequence: 1, Stamp: stamp,
		State: []storage.StateChange{{Key: "k", Value: []byte("1"), Stamp: stamp}},
	}}
}

// stored waits for what comes of a batch.
func stored(s *pluginhost.Storage, batch []storage.Commit) []error {
	done := make(chan []error, 1)
	s.Begin(batch, func(results []error) { done <- results })
	return <-done
}

func TestKilledPluginIsReplaced(t *testing.T) {
	var s pluginhost.Storage
	sup := supervise(t, newHost(t), "ok", s.Use(config))
	for i := range 3 {
		before := sup.Status()
		if !s.Up() || before.PID == 0 || before.Restarts != i || before.Problem != "" {
			t.Fatalf("status %+v before kill %d", before, i)
		}
		if err := stored(&s, commit("a"))[0]; err != nil {
			t.Fatal(err)
		}
		kill(t, before.PID, syscall.SIGKILL)
		until(t, "another process serves", func() bool {
			st := sup.Status()
			return st.Restarts == i+1 && st.PID != 0 && s.Up()
		})
		if !gone(before.PID) {
			t.Errorf("process %d is still there", before.PID)
		}
	}
}

// A call may write 8 MiB at once, and an object's state has several times that.
func TestLargeMessages(t *testing.T) {
	var s pluginhost.Storage
	supervise(t, newHost(t), "ok", s.Use(config))
	c := commit("large")
	value := []byte(`"` + strings.Repeat("x", 256<<10-2) + `"`)
	const keys = 5 * 32 // of 256 KiB: five commits of 8 MiB
	for n := range 5 {
		c[0].Sequence, c[0].State = uint64(n)+1, nil
		for k := range keys / 5 {
			c[0].State = append(c[0].State, storage.StateChange{Key: fmt.Sprintf("%d.%02d", n, k), Value: value, Stamp: c[0].Stamp})
		}
		if err := stored(&s, c)[0]; err != nil {
			t.Fatalf("commit %d: %v", n, err)
		}
	}
	o, err := s.Load(t.Context(), "large")
	if err != nil || len(o.State) != keys {
		t.Fatalf("Load gives %d keys, %v; want %d", len(o.State), err, keys)
	}
	for _, c := range o.State {
		if !bytes.Equal(c.Value, value) {
			t.Fatalf("the value of %s has %d bytes, want %d", c.Key, len(c.Value), len(value))
		}
	}
}

// While the plugin is down nothing waits and nothing is sent.
func TestDownIsUnavailableAtOnce(t *testing.T) {
	var s pluginhost.Storage
	if err := stored(&s, commit("a"))[0]; !errs.Is(err, errs.Unavailable) {
		t.Errorf("Commit: %v", err)
	}
	if _, err := s.Load(t.Context(), "a"); !errs.Is(err, errs.Unavailable) {
		t.Errorf("Load: %v", err)
	}
}

// A commit that was on its way when the plugin died may have been stored.
func TestDeathDuringCommitIsUnknown(t *testing.T) {
	var s pluginhost.Storage
	c := config
	c.DataDir = t.TempDir()
	sup := supervise(t, newHost(t), "hangs in a commit", s.Use(c))
	result := make(chan error, 1)
	go func() { result <- stored(&s, commit("a"))[0] }()
	until(t, "the plugin commits", func() bool {
		_, err := os.Stat(filepath.Join(c.DataDir, "committing"))
		return err == nil
	})
	kill(t, sup.Status().PID, syscall.SIGKILL)
	select {
	case err := <-result:
		if !errs.Is(err, errs.Unknown) {
			t.Errorf("the commit gave %v, want kind %v", err, errs.Unknown)
		}
	case <-time.After(time.Minute):
		t.Fatal("the commit did not end")
	}
}

func TestFrozenPluginIsReplaced(t *testing.T) {
	var s pluginhost.Storage
	sup := supervise(t, newHost(t), "ok", s.Use(config))
	before := sup.Status().PID
	freeze(t, before)
	until(t, "another process serves", func() bool {
		st := sup.Status()
		return st.Restarts == 1 && st.PID != 0 && st.PID != before
	})
	if !gone(before) {
		t.Errorf("the frozen process %d is still there", before)
	}
}

// A plugin that freezes while it is configured is replaced like any other.
func TestFrozenInConfigureIsReplaced(t *testing.T) {
	pids := make(chan int, 10)
	first := true
	var s pluginhost.Storage
	use := s.Use(config)
	up := use.Up
	use.Up = func(ctx context.Context, p *pluginhost.Plugin) error {
		pids <- p.PID()
		if len(pids) == 2 && first { // the first replacement
			first = false
			kill(t, p.PID(), syscall.SIGSTOP)
		}
		return up(ctx, p)
	}
	sup := supervise(t, newHost(t), "ok", use)
	kill(t, sup.Status().PID, syscall.SIGKILL)
	until(t, "a third process serves", func() bool { return len(pids) == 3 && s.Up() })
	<-pids
	if frozen := <-pids; !gone(frozen) {
		t.Errorf("the frozen process %d is still there", frozen)
	}
}

func TestPanicInAHandlerIsAnError(t *testing.T) {
	var s pluginhost.Storage
	sup := supervise(t, newHost(t), "panic", s.Use(config))
	if err := stored(&s, commit("a"))[0]; !errs.Is(err, errs.Unknown) {
		t.Errorf("Commit: %v, want kind %v", err, errs.Unknown)
	}
	if _, err := s.Load(t.Context(), "a"); !errs.Is(err, errs.Internal) || strings.Contains(errs.From(err).Text(), "goroutine") {
		t.Errorf("Load: %v, want kind %v without a stack", err, errs.Internal)
	}
	if st := sup.Status(); st.Restarts != 0 || !s.Up() {
		t.Errorf("the plugin did not outlive its panics: %+v", st)
	}
}

// What a plugin writes to standard output is nobody's, and keeps nobody.
func TestStandardOutputIsDrained(t *testing.T) {
	var s pluginhost.Storage
	sup := supervise(t, newHost(t), "babbles on stdout", s.Use(config))
	done := make(chan error, 1)
	go func() { done <- stored(&s, commit("a"))[0] }()
	select {
	case err := <-done:
		if err != nil || sup.Status().Restarts != 0 {
			t.Errorf("the commit gives %v: %+v", err, sup.Status())
		}
	case <-time.After(time.Minute):
		t.Fatal("the commit does not end")
	}
}

func TestPluginThatCannotServe(t *testing.T) {
	for how, want := range map[string]string{
		"exit": "did not start", "garbage": "did not start", "long line": "did not start", "refuse": "the folder d is locked", "other version": "ncompatible API version", "other kind": `says that it is a cluster plugin`,
	} {
		t.Run(how, func(t *testing.T) {
			var s pluginhost.Storage
			_, err := newHost(t).Supervise(t.Context(), spec(how), s.Use(config))
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"told"`) {
				t.Errorf("error %v; want one that names the plugin and says %q", err, want)
			}
		})
	}
	var s pluginhost.Storage
	missing := pluginhost.Spec{Kind: plugin.Storage, Name: "told", Command: pluginhost.Command{Path: "/nowhere/plugin"}}
	if _, err := newHost(t).Supervise(t.Context(), missing, s.Use(config)); err == nil || !strings.Contains(err.Error(), "/nowhere/plugin") {
		t.Errorf("a missing program gives %v", err)
	}
}

func TestEnvironmentIsAnAllowList(t *testing.T) {
	t.Setenv("STATION_TEST_SECRET", "hunter2")
	t.Setenv("TZ", "Europe/Vienna")
	t.Setenv("STATION_TEST_GIVEN", "given")
	t.Setenv("STATION_LIFELINE_FD", "99") // what the kernel tells a plugin is not its own environment's to say
	for _, more := range [][]string{nil, {"STATION_TEST_GIVEN", "STATION_TEST_UNSET", "STATION_LIFELINE_FD"}} {
		told := spec("environment")
		told.Command.Env = more
		var s pluginhost.Storage
		sup, err := newHost(t).Supervise(t.Context(), told, s.Use(config))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(sup.Stop)
		env := strings.Split(sup.Status().Info.Version, "\n")
		for _, v := range env {
			if strings.HasPrefix(v, "STATION_TEST_SECRET") || strings.HasPrefix(v, "STATION_TEST_UNSET") || strings.HasPrefix(v, "PATH=") {
				t.Errorf("with %v the plugin sees the kernel's %s", more, v)
			}
		}
		if !slices.Contains(env, "TZ=Europe/Vienna") || slices.Contains(env, "STATION_TEST_GIVEN=given") != (more != nil) {
			t.Errorf("with %v the plugin sees\n%s", more, strings.Join(env, "\n"))
		}
	}
}

func TestServeThatEndsIsReplaced(t *testing.T) {
	var down []error // written by the supervisor before the status that the test polls
	fail := make(chan error)
	var sup *pluginhost.Supervisor
	sup = supervise(t, newHost(t), "ok", pluginhost.Use{
		Up: func(ctx context.Context, p *pluginhost.Plugin) error { return p.Configure(ctx, config) },
		Serve: func(ctx context.Context, _ *pluginhost.Plugin) error {
			select {
			case err := <-fail:
				return err
			case <-ctx.Done():
				return nil
			}
		},
		Down: func(err error) {
			down = append(down, err)
			if st := sup.Status(); st.Healthy() && !errors.Is(err, context.Canceled) {
				t.Error("calls are refused while its status says that it is well")
			}
		},
	})
	reason := errors.New("the listener failed")
	fail <- reason
	until(t, "another process serves", func() bool { return sup.Status().Restarts == 1 && sup.Status().PID != 0 })
	if len(down) != 1 || !errors.Is(down[0], reason) {
		t.Errorf("Down was told %v", down)
	}
	fail <- nil
	until(t, "another process serves", func() bool { return sup.Status().Restarts == 2 && sup.Status().PID != 0 })
	if len(down) != 2 || !strings.Contains(down[1].Error(), "nobody told it to") {
		t.Errorf("Down was told %v", down)
	}
}

func TestStopEndsThePlugin(t *testing.T) {
	h := newHost(t)
	var s pluginhost.Storage
	sup, err := h.Supervise(t.Context(), spec("ok"), s.Use(config))
	if err != nil {
		t.Fatal(err)
	}
	pid := sup.Status().PID
	sup.Stop()
	if !gone(pid) || s.Up() {
		t.Errorf("after Stop: process gone %v, up %v", gone(pid), s.Up())
	}
}

// However the kernel ends, its plugins end with it: by the lifeline alone, and
// where they are frozen by the death signal, which Linux alone has.
func TestPluginsEndWithTheirKernel(t *testing.T) {
	for name, how := range map[string]string{"by the lifeline": "no death signal", "frozen": "ok"} {
		t.Run(name, func(t *testing.T) {
			if name == "frozen" && runtime.GOOS != "linux" {
				t.Skip("only Linux sends a signal when a parent dies")
			}
			cmd := exec.Command(spec("").Command.Path, "kernel", how)
			cmd.Env = append(os.Environ(), "TMPDIR="+shortTemp(t))
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cmd.Wait() }() // it was killed
			var pid int
			if _, err := fmt.Fscan(out, &pid); err != nil {
				kill(t, cmd.Process.Pid, syscall.SIGKILL)
				t.Fatalf("the kernel did not start a plugin: %v", err)
			}
			if name == "frozen" {
				freeze(t, pid)
			}
			kill(t, cmd.Process.Pid, syscall.SIGKILL)
			began := time.Now()
			until(t, "the plugin ends", func() bool { return gone(pid) })
			t.Logf("the plugin ended %v after its kernel", time.Since(began))
		})
	}
}

func TestSocketFoldersArePrivateAndSwept(t *testing.T) {
	tmp := shortTemp(t)
	t.Setenv("TMPDIR", tmp)
	folders := func() []string {
		found, err := filepath.Glob(filepath.Join(tmp, "station-*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	abandoned := filepath.Join(tmp, fmt.Sprintf("station-%d-1", os.Getuid()))
	if err := os.Mkdir(abandoned, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(abandoned, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := pluginhost.New(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	second, err := pluginhost.New(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	now := folders()
	if len(now) != 2 {
		t.Fatalf("folders %v; want those of the two hosts", now)
	}
	for _, f := range now {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v; want mode 0700", f, info.Mode(), err)
		}
	}
	first.Close()
	second.Close()
	if left := folders(); len(left) != 0 {
		t.Errorf("after Close %v is left", left)
	}
}

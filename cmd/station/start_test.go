package main_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manyScripts makes a folder of so many objects that their first start takes a while.
func manyScripts(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i := range 1500 {
		text := fmt.Sprintf("function GET() return { count = %d } end", i)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("o%d.lua", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func starting(t *testing.T, scripts, data string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(path, "serve", "--data", data, "--scripts", scripts, "--listen", "127.0.0.1:0")
}

// storageOf waits for the storage plugin of a station that is starting.
func storageOf(t *testing.T, r *running) (pid int) {
	t.Helper()
	until(t, "the storage plugin runs", func() bool {
		pid = pluginsOf(t, r.cmd.Process.Pid)["storage-tsv"]
		return pid != 0
	})
	return pid
}

// TestStopWhileStarting: told to stop before it is ready, a station ends in
// order and says nothing of faults.
func TestStopWhileStarting(t *testing.T) {
	r, _, err := begin(starting(t, manyScripts(t), t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.kill)
	storageOf(t, r)
	if err := r.stop(); err != nil {
		t.Errorf("%v:\n%s", err, r.logs)
	}
}

// TestStorageKilledWhileStarting: a storage that dies while objects are brought
// into service is waited for.
func TestStorageKilledWhileStarting(t *testing.T) {
	r, ready, err := begin(starting(t, manyScripts(t), t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.kill)
	until(t, "the storage serves", func() bool { return strings.Contains(r.logs.String(), "plugin is up") })
	if err := syscall.Kill(storageOf(t, r), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case url := <-ready:
		if a := get(t.Context(), client(t), url+"/objects/o1499"); a.status != http.StatusOK || a.count != 1499 {
			t.Errorf("the last object gives %d %s", a.status, a.body)
		}
	case <-r.done:
		t.Errorf("the station ended:\n%s", r.logs)
	case <-time.After(2 * patience):
		t.Errorf("the station was not ready:\n%s", r.logs)
	}
	if !strings.Contains(r.logs.String(), "plugin is down") {
		t.Log("the storage was killed too late to be missed")
	}
}

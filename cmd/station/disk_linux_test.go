package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFullDisk counts on a file system of 4 MiB until it is full: the answer is
// a 503 that says so, what was answered before stays, and with room again the
// station goes on.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("cannot mount a small file system here (that needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 2); err != nil { // MNT_DETACH
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	s := start(t, data)
	leaveFree(t, dir, 128<<10)
	c := client(t)
	count := 0
	for end := time.Now().Add(patience); ; {
		a := get(t.Context(), c, s.url+counterPath)
		if a.status == http.StatusOK {
			count = a.count
			if time.Now().After(end) {
				t.Fatalf("the disk is not full after %d calls", count)
			}
			continue
		}
		if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "The disk is full") || !strings.Contains(a.body, "nothing was stored") {
			t.Fatalf("after %d calls: %d %s; want a 503 that says that the disk is full", count, a.status, a.body)
		}
		break
	}
	if got := s.storedCount(); got != count {
		t.Errorf("the count is %d, %d was answered", got, count)
	}
	ready := func() answer { return get(t.Context(), c, s.url+"/health/ready") }
	until(t, "the station says that it is not ready, and why", func() bool {
		a := ready()
		return a.status == http.StatusServiceUnavailable && strings.Contains(a.body, "storage: It takes no changes") && strings.Contains(a.body, "The disk is full")
	})
	if a := get(t.Context(), c, s.url+"/health"); a.status != http.StatusOK {
		t.Errorf("with a full disk the station is not alive: %d %s", a.status, a.body)
	}
	if count < 10 {
		t.Errorf("the disk was full after %d calls, which tests nothing", count)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	until(t, "the counter counts again", func() bool { return get(t.Context(), c, s.url+counterPath).status == http.StatusOK })
	until(t, "the station is ready again", func() bool { return ready().status == http.StatusOK })
	got := s.storedCount()
	s.end()
	if got < count+1 {
		t.Errorf("the count is %d after %d", got, count)
	}
	again := start(t, data)
	if now := again.storedCount(); now != got {
		t.Errorf("after a restart the count is %d, was %d", now, got)
	}
	again.end()
}

// leaveFree fills a file system but for so many bytes, so that calls do the rest.
func leaveFree(t *testing.T, dir string, bytes int64) {
	t.Helper()
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		t.Fatal(err)
	}
	if fill := int64(disk.Bavail)*disk.Bsize - bytes; fill > 0 {
		if err := os.WriteFile(filepath.Join(dir, "fill"), make([]byte, fill), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFolderInUse starts a second station on the data folder of one that runs:
// it waits, then names the holder and exits with 1.
func TestFolderInUse(t *testing.T) {
	t.Parallel() // it waits
	data := t.TempDir()
	s := start(t, data)
	holder := s.plugins()["storage-tsv"]
	began := time.Now()
	r, _, err := begin(starting(t, filepath.Join(root, "scripts"), data))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.kill)
	select {
	case <-r.done:
	case <-time.After(patience):
		t.Fatal("the second station does not end")
	}
	if took := time.Since(began); took < 5*time.Second {
		t.Errorf("it waited %v, want 5 s", took)
	}
	text := r.logs.String()
	if code := r.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(text, "locked by process "+strconv.Itoa(holder)) || !strings.Contains(text, data) {
		t.Errorf("exit code %d, want 1; the holder %d and %s must be in:\n%s", code, holder, data, text)
	}
	s.end()
}

package pluginhost_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/pluginhost"
)

// pinned is a plugin that runs a copy of this program, at a path of its own,
// and only as long as that has its checksum.
func pinned(t *testing.T) pluginhost.Spec {
	t.Helper()
	s := spec("ok")
	text, err := os.ReadFile(s.Command.Path)
	if err != nil {
		t.Fatal(err)
	}
	s.Command.Path = filepath.Join(t.TempDir(), "plugin")
	put(t, s.Command.Path, text)
	s.Command.SHA256 = sum(text)
	return s
}

func sum(text []byte) string {
	h := sha256.Sum256(text)
	return hex.EncodeToString(h[:])
}

// put replaces a program, which may run, by rename.
func put(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", text, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// A program that was changed since is not run, at no start; the right one is again.
func TestChecksumIsCheckedAtEachStart(t *testing.T) {
	spec := pinned(t)
	right, err := os.ReadFile(spec.Command.Path)
	if err != nil {
		t.Fatal(err)
	}
	ran := filepath.Join(t.TempDir(), "ran")
	wrong := []byte("#!/bin/sh\ntouch " + ran + "\n")
	both := func(text string) bool {
		return strings.Contains(text, sum(wrong)) && strings.Contains(text, spec.Command.SHA256) && strings.Contains(text, spec.Command.Path)
	}

	h := newHost(t)
	var s pluginhost.Storage
	put(t, spec.Command.Path, wrong)
	if _, err := h.Supervise(t.Context(), spec, s.Use(config)); err == nil || !both(err.Error()) {
		t.Errorf("the wrong program gives %v; want the path and both checksums", err)
	}
	put(t, spec.Command.Path, right)
	sup, err := h.Supervise(t.Context(), spec, s.Use(config))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sup.Stop)
	put(t, spec.Command.Path, wrong)
	kill(t, sup.Status().PID, syscall.SIGKILL)
	until(t, "the status has both checksums", func() bool { return both(sup.Status().Problem) })
	if s.Up() || sup.Status().PID != 0 {
		t.Errorf("the plugin is up: %+v", sup.Status())
	}
	put(t, spec.Command.Path, right)
	until(t, "the right program serves", func() bool { return s.Up() && sup.Status().PID != 0 })
	if _, err := os.Stat(ran); err == nil {
		t.Error("the wrong program was run")
	}
}

func TestChecksumThatIsNone(t *testing.T) {
	for _, text := range []string{"x", "abcd", strings.Repeat("z", 64), sum(nil) + "00"} {
		c := spec("ok")
		c.Command.SHA256 = text
		var s pluginhost.Storage
		if _, err := newHost(t).Supervise(t.Context(), c, s.Use(config)); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q is no SHA-256", text)) {
			t.Errorf("the checksum %q gives %v", text, err)
		}
	}
}

// What is no file is no program, and reading it must not hold up the station.
func TestProgramThatIsNoFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, t.TempDir()} {
		for _, checksum := range []string{"", sum(nil)} {
			c := spec("ok")
			c.Command.Path, c.Command.SHA256 = path, checksum
			failed := make(chan error, 1)
			h, use := newHost(t), new(pluginhost.Storage).Use(config)
			go func() {
				_, err := h.Supervise(t.Context(), c, use)
				failed <- err
			}()
			select {
			case err := <-failed:
				if err == nil || !strings.Contains(err.Error(), path+" is no program") {
					t.Errorf("%s with the checksum %q gives %v", path, checksum, err)
				}
			case <-time.After(time.Minute):
				t.Fatalf("%s with the checksum %q is still being read", path, checksum)
			}
		}
	}
}

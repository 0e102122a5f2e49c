package catalogue_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/framework/catalogue"
	"github.com/dbbasic/station/sdk/storage"
)

// folder makes a scripts folder of the files.
func folder(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("-- "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestScan(t *testing.T) {
	dir := folder(t,
		"b.lua", "a.lua", "tutorial/03_counter.lua", "deep/er/x-1.lua", "lib/util.lua", "lib/more/dates.lua", "lib/a.b.lua", "deep/lib/y.lua",
		"notes.txt", ".hidden.lua", ".git/z.lua", "Upper.lua", "sp ace.lua", "lua", "x.lua.bak")
	l, err := catalogue.Scan(dir)
	found, skipped := l.Scripts, l.Skipped
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	var order []string
	for _, s := range found {
		got[string(s.Object)+" "+s.Module] = s.Path
		order = append(order, string(s.Object))
		if want := "-- " + s.Path; string(s.Text) != want || s.Hash != storage.Hash([]byte(want)) {
			t.Errorf("%s: text %q, hash %s", s.Path, s.Text, s.Hash)
		}
	}
	want := map[string]string{
		"a ": "a.lua", "b ": "b.lua", "tutorial_03_counter ": "tutorial/03_counter.lua", "deep_er_x-1 ": "deep/er/x-1.lua", "deep_lib_y ": "deep/lib/y.lua",
		"lib_util util": "lib/util.lua", "lib_more_dates more/dates": "lib/more/dates.lua",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"a", "b", "deep_er_x-1", "deep_lib_y", "lib_more_dates", "lib_util", "tutorial_03_counter"}, order); d != "" {
		t.Errorf("order (-want +got):\n%s", d)
	}
	var paths []string
	for _, s := range skipped {
		paths = append(paths, s.Path)
	}
	if d := cmp.Diff([]string{"Upper.lua", "lib/a.b.lua", "sp ace.lua"}, paths); d != "" {
		t.Errorf("skipped (-want +got):\n%s", d)
	}
}

func TestTwoScriptsWithOneID(t *testing.T) {
	_, err := catalogue.Scan(folder(t, "a_b.lua", "a/b.lua"))
	if err == nil || !strings.Contains(err.Error(), "a_b.lua") || !strings.Contains(err.Error(), "a/b.lua") {
		t.Errorf("the error %v does not name both scripts", err)
	}
}

func TestNoFolder(t *testing.T) {
	_, err := catalogue.Scan(filepath.Join(t.TempDir(), "none"))
	if err == nil || !strings.Contains(err.Error(), "--scripts") {
		t.Errorf("the error %v does not say what to do", err)
	}
}

// A named pipe does not keep the station waiting.
func TestNoRegularFile(t *testing.T) {
	dir := folder(t, "a.lua")
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.lua"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := catalogue.Scan(dir)
	found, skipped := l.Scripts, l.Skipped
	if err != nil || len(found) != 1 || len(skipped) != 1 || skipped[0].Path != "pipe.lua" {
		t.Errorf("found %v, skipped %v, %v; want pipe.lua skipped", found, skipped, err)
	}
}

// A link that leads out of the folder is not followed.
func TestLinksOut(t *testing.T) {
	secret := folder(t, "secret.lua")
	dir := folder(t, "a.lua")
	for name, target := range map[string]string{"file.lua": filepath.Join(secret, "secret.lua"), "dir": secret} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	l, err := catalogue.Scan(dir)
	found, skipped := l.Scripts, l.Skipped
	if err != nil || len(found) != 1 || found[0].Object != "a" {
		t.Errorf("found %v, %v; want a alone", found, err)
	}
	if len(skipped) != 1 || skipped[0].Path != "file.lua" {
		t.Errorf("skipped %v; want file.lua", skipped)
	}
}

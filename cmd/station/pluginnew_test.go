package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// examples are the plugins below sdk/examples, by the kind whose template they are.
var examples = map[string]string{"storage": "bolt", "transport": "jsonl"}

// That what the command writes builds, and passes its tests, TestPluginsPage shows.

// newPlugin runs `station plugin new` in a folder, and gives that of the plugin.
func newPlugin(t *testing.T, work, kind, name string, more ...string) string {
	t.Helper()
	if out, code := stationCommand(t, work, append([]string{"plugin", "new", kind, name}, more...)...); code != 0 {
		t.Fatalf("plugin new %s %s: exit code %d\n%s", kind, name, code, out)
	}
	return filepath.Join(work, kind+"-"+name)
}

// stationCommand runs the station in a folder, and gives what it says and its exit code.
func stationCommand(t *testing.T, work string, args ...string) (string, int) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = work
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// TestExamplesAreTemplates: an example is what the command writes for its name, its
// module aside, which the examples share.
func TestExamplesAreTemplates(t *testing.T) {
	kinds, err := os.ReadDir("template")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		kind, name := k.Name(), examples[k.Name()]
		if name == "" {
			t.Errorf("there is no example of the template %s", kind)
			continue
		}
		written := folderOf(t, newPlugin(t, t.TempDir(), kind, name), nil)
		if !strings.Contains(written["go.mod"], "module "+kind+"-"+name+"\n") {
			t.Errorf("go.mod of %s %s is\n%s", kind, name, written["go.mod"])
		}
		delete(written, "go.mod")
		dir := filepath.Join(root, "sdk/examples", kind+"-"+name)
		out, err := exec.Command("git", "-C", dir, "ls-files").Output()
		if err != nil {
			t.Skipf("not a git checkout: %v", err)
		}
		example := folderOf(t, dir, strings.Fields(string(out)))
		for file, text := range example {
			if written[file] != text {
				t.Errorf("%s of sdk/examples is not what the template %s gives", file, kind)
			}
			delete(written, file)
		}
		for file := range written {
			t.Errorf("sdk/examples/%s-%s has no %s", kind, name, file)
		}
	}
}

// folderOf gives the files of a folder, or those that are named, by their names.
func folderOf(t *testing.T, dir string, names []string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		if names != nil && !slices.Contains(names, e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(text)
	}
	return files
}

// TestPluginNewRefuses: nothing is overwritten, and what cannot be a plugin is said.
func TestPluginNewRefuses(t *testing.T) {
	work := t.TempDir()
	dir := newPlugin(t, work, "transport", "one")
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"transport one", 1, "the folder transport-one has files and was left as it is"},
		{"transport two transport-one", 1, "has files"},
		{"transport two two --sdk .", 1, "is no checkout of the station"},
		{"transport", 2, "see station plugin new --help"},
		{"transports two", 2, `not a "transports"`},
		{"transport ../two", 2, `"../two" cannot be the name of a plugin`},
		{"transport Two", 2, "cannot be the name"},
		{"transport 2", 2, "cannot be the name"},
		{"transport two dir more", 2, "see station plugin new --help"},
	} {
		out, code := stationCommand(t, work, append([]string{"plugin", "new"}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("plugin new %s: exit code %d, %s\nwant %d and %q", c.args, code, out, c.code, c.says)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "main.go")); err != nil || string(text) != "mine" {
		t.Errorf("main.go is now %q, %v", text, err)
	}
	if entries, err := os.ReadDir(work); err != nil || len(entries) != 1 {
		t.Errorf("refused commands left %v, %v", entries, err)
	}
	out, _ := stationCommand(t, work, "plugin", "new", "transport", "three")
	if !strings.Contains(out, "go mod edit -replace github.com/dbbasic/station=CHECKOUT") {
		t.Errorf("a station of a checkout does not say how to name that:\n%s", out)
	}
}

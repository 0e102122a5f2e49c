// Package framework_test guards the one direction in which the parts of the
// station know each other.
package framework_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/dbbasic/station"

// allowed lists, for each part, the other parts of the module that it may
// import. A part is a top-level folder, or one of its folders where the rule
// is finer; the longest match counts.
var allowed = map[string][]string{
	"scripts":                {},
	"sdk":                    {"sdk"},
	"framework":              {"framework", "sdk"},
	"framework/luahost":      {"sdk"},
	"framework/catalogue":    {"sdk"},
	"framework/config":       {"framework/listen", "framework/pluginhost", "sdk"},
	"framework/listen":       {"sdk"},
	"framework/metrics":      {"sdk"},
	"framework/pluginhost":   {"sdk"},
	"framework/prototype":    {"sdk"},
	"framework/dispatch":     {"framework/luahost", "framework/metrics", "sdk"},
	"framework/importer":     {"framework/dispatch", "framework/luahost", "framework/prototype", "sdk"},
	"framework/scripttest":   {"framework/dispatch", "framework/luahost", "sdk"},
	"plugins/storage-tsv":    {"sdk"},
	"plugins/transport-http": {"sdk"},
	"cmd/station":            {"framework/config", "framework/importer", "framework/kernel", "framework/luahost", "framework/pluginhost", "framework/prototype", "plugins", "scripts", "sdk"},
	"cmd/storage-tsv":        {"plugins/storage-tsv", "sdk"},
	"cmd/transport-http":     {"plugins/transport-http", "sdk"},
}

// folders are the only ones that the repository has at its top.
var folders = []string{"cmd", "framework", "plugins", "scripts", "sdk"}

func TestImportsGoOneWay(t *testing.T) {
	for _, p := range packages(t, "..", 10) {
		part := longest(p.ImportPath)
		if part == "" {
			t.Errorf("%s belongs to no part: add it to the rules", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			path, ok := strings.CutPrefix(imported, module+"/")
			if !ok || within(path, part) {
				continue
			}
			if !slices.ContainsFunc(allowed[part], func(a string) bool { return within(path, a) }) {
				t.Errorf("%s imports %s; %s may import %v only", p.ImportPath, imported, part, allowed[part])
			}
		}
	}
}

// TestExamplesImportTheSDK: the plugins of sdk/examples are a module of their own,
// as an author's are, and know of the station what one has.
func TestExamplesImportTheSDK(t *testing.T) {
	for _, p := range packages(t, "../sdk/examples", 2) {
		for _, imported := range p.Imports {
			path, ok := strings.CutPrefix(imported, module+"/")
			if ok && (!within(path, "sdk") || strings.Contains(path+"/", "/internal/")) {
				t.Errorf("%s imports %s; an example imports the sdk only, and nothing internal of it", p.ImportPath, imported)
			}
		}
	}
}

// TestBuiltinsAreNamedOnce keeps the list of bundled plugins in one file. Tests
// may wrap a plugin.
func TestBuiltinsAreNamedOnce(t *testing.T) {
	files, err := filepath.Glob("../cmd/station/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in cmd/station (%v)", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), module+"/plugins/") && filepath.Base(f) != "builtin.go" && !strings.HasSuffix(f, "_test.go") {
			t.Errorf("%s imports a plugin; builtin.go alone does", f)
		}
	}
}

func TestTopLevelFolders(t *testing.T) {
	out, err := exec.Command("git", "-C", "..", "ls-files").Output()
	if err != nil {
		t.Skipf("not a git checkout: %v", err)
	}
	for _, f := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		top, _, inFolder := strings.Cut(f, "/")
		if inFolder && !strings.HasPrefix(top, ".") && !slices.Contains(folders, top) {
			t.Errorf("%s: the top-level folders are exactly %v", f, folders)
		}
	}
}

func longest(importPath string) string {
	path := strings.TrimPrefix(importPath, module+"/")
	best := ""
	for part := range allowed {
		if within(path, part) && len(part) > len(best) {
			best = part
		}
	}
	return best
}

func within(path, part string) bool { return path == part || strings.HasPrefix(path, part+"/") }

type listed struct {
	ImportPath string
	Imports    []string
}

// packages lists those of the module in a folder, at least so many.
func packages(t *testing.T, dir string, least int) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < least {
		t.Fatalf("go list gave %d packages only", len(all))
	}
	return all
}

package transporthttp

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRoutesOfThePage compares the table "Paths" of HTTP.md with the routes, both ways.
func TestRoutesOfThePage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "HTTP.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "## Paths\n| path | methods | does |\n|---|---|---|\n")
	text, _, _ := strings.Cut(rest, "\n\n")
	named := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		for _, path := range strings.Split(strings.TrimSpace(cells[0]), ", ") {
			named[strings.Trim(path, "`")] = cells[1]
		}
	}
	for i := range routes {
		r := &routes[i]
		path := r.address()
		if want := strings.Join(r.allowed(), ", "); named[path] != want {
			t.Errorf("HTTP.md gives %s the methods %q, it has %q", path, named[path], want)
		}
		delete(named, path)
	}
	for path := range named {
		t.Errorf("HTTP.md names %s, which is not served", path)
	}
}

// TestParametersOfThePage: the table of parameters in HTTP.md has a row for each look,
// which names all of its parameters.
func TestParametersOfThePage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "HTTP.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "\n| | parameters |\n|---|---|\n")
	text, _, _ := strings.Cut(rest, "\n\n")
	rows := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		looks, params, _ := strings.Cut(strings.Trim(line, "| "), " | ")
		for _, look := range strings.Split(looks, ", ") {
			rows[strings.Trim(look, "`")] = params
		}
	}
	for i := range routes {
		r := &routes[i]
		op := r.operation(http.MethodGet)
		if op == nil || r.flag == "" && len(op.params) == 0 {
			continue
		}
		_, look, _ := strings.Cut(r.address(), "?")
		if r.flag == "" {
			look = r.path
		}
		row, is := rows[look]
		if !is || len(op.params) == 0 && row != "none" {
			t.Errorf("HTTP.md has no row of %s, or one that is wrong: %q", look, row)
		}
		for _, p := range op.params {
			if !strings.Contains(row, "`"+p.name+"`") {
				t.Errorf("the row of %s lacks %s: %q", look, p.name, row)
			}
		}
		delete(rows, look)
	}
	for look := range rows {
		t.Errorf("HTTP.md has a row of %s, which takes no parameters", look)
	}
}

// TestRoutesAreServed asks for each row: OPTIONS tells its methods, and those
// that it does not have are refused.
func TestRoutesAreServed(t *testing.T) {
	s := serve(t)
	for i := range routes {
		r := &routes[i]
		if len(r.ops) == 0 {
			continue // the object answers
		}
		target := strings.Replace(r.address(), "{id}", "a", 1)
		allow := strings.Join(r.allowed(), ", ")
		if a := s.do(http.MethodOptions, target, ""); a.StatusCode != http.StatusNoContent || a.Header.Get("Allow") != allow {
			t.Errorf("OPTIONS %s: %d %q, want 204 %q", target, a.StatusCode, a.Header.Get("Allow"), allow)
		}
		for _, method := range methods {
			if a := s.do(method, target, ""); (a.StatusCode == http.StatusMethodNotAllowed) == slices.Contains(r.allowed(), method) {
				t.Errorf("%s %s: %d, though it has %s", method, target, a.StatusCode, allow)
			}
		}
	}
}

// TestRoutesAreSound: each row is there once, and its parameters are no flags.
func TestRoutesAreSound(t *testing.T) {
	seen := map[string]bool{}
	flags := newTable().flags
	for i := range routes {
		r := &routes[i]
		if seen[r.address()] || r.does == "" || r.value != "" && r.flag == "" || r.flag != "" && r.path != objectPath {
			t.Errorf("the row %s is there twice, or is not sound", r.address())
		}
		seen[r.address()] = true
		for _, op := range r.ops {
			for _, p := range op.params {
				if p.doc == "" || r.path == objectPath && flags[p.name] != nil {
					t.Errorf("%s %s: the parameter %q has no text, or is a flag", op.method, r.address(), p.name)
				}
			}
		}
	}
}

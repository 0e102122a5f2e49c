package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is one fenced block of a document.
type block struct{ language, text string }

func blocks(t *testing.T, file string) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	var list []block
	for _, m := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		list = append(list, block{m[1], m[2]})
	}
	return list
}

// TestReadme follows the README: it begins with the two commands, and each
// command that it prints works and gives what the block behind it shows. TestServe
// runs the first command itself, and CI the second.
func TestReadme(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("the README's commands need curl, which is not installed")
	}
	all := blocks(t, "README.md")
	if first := all[0]; first.language != "sh" || first.text != "go run ./cmd/station serve\ngo test ./...\n" {
		t.Fatalf("the README begins with %q", first.text)
	}
	work := t.TempDir()
	if err := os.CopyFS(filepath.Join(work, "scripts"), os.DirFS(filepath.Join(root, "scripts"))); err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		if b.language == "lua" {
			if err := os.WriteFile(filepath.Join(work, "scripts", "guestbook.lua"), []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "serve", "--listen", "127.0.0.1:0")
	cmd.Dir = work
	s := launch(t, cmd)
	ran := 0
	for i, b := range all[1:] {
		if b.language != "sh" {
			continue
		}
		for _, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
			out := shell(t, work, strings.ReplaceAll(line, "http://127.0.0.1:8001", s.url))
			ran++
			if next := all[1:]; i+1 < len(next) && next[i+1].language == "json" {
				if want := strings.TrimSpace(next[i+1].text); strings.TrimSpace(out) != want {
					t.Errorf("%s\ngives %s\nthe README says %s", line, out, want)
				}
			} else if strings.Contains(out, `"status":"error"`) || out == "" {
				t.Errorf("%s\ngives %q", line, out)
			}
		}
	}
	if ran < 8 {
		t.Errorf("only %d commands were found", ran)
	}
	s.end()
}

// shell runs a line of the README in a folder and gives what it prints. What
// lies in the data folder may take a moment to be carried there.
func shell(t *testing.T, dir, line string) (out string) {
	t.Helper()
	file := strings.HasPrefix(line, "cat ")
	until(t, line, func() bool {
		cmd := exec.Command("sh", "-c", strings.Replace(line, "curl ", "curl -sS ", 1))
		cmd.Dir = dir
		text, err := cmd.CombinedOutput()
		if err != nil && !file {
			t.Fatalf("%s: %v\n%s", line, err, text)
		}
		out = string(text)
		return err == nil
	})
	return out
}

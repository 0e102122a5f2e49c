package main_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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
	work, scripts := workFolder(t)
	s := launchIn(t, work)
	commands, configured := 0, false
	for _, b := range all {
		switch b.language {
		case "lua":
			if err := os.WriteFile(filepath.Join(scripts, "guestbook.lua"), []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
			until(t, "the script is live", func() bool {
				return get(t.Context(), http.DefaultClient, s.url+"/objects/guestbook").status == http.StatusOK
			})
		case "hcl": // its values are not this test's: the station runs without it
			file := filepath.Join(t.TempDir(), "station.hcl")
			if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
			shell(t, work, s.url, "go run ./cmd/station config validate "+file)
			configured = true
		case "sh":
			commands += strings.Count(b.text, "\n")
		}
	}
	if commands < 10 || !configured {
		t.Errorf("only %d commands were found, a configuration: %v", commands, configured)
	}
	drawing := func(b block) bool { return b.language == "" || b.language == "hcl" }
	checkCommands(t, s, work, slices.DeleteFunc(all[1:], drawing))
	s.end()
}

// workFolder is a folder in which a station finds the bundled scripts, which a
// test may change.
func workFolder(t *testing.T) (work, scripts string) {
	t.Helper()
	work = t.TempDir()
	scripts = filepath.Join(work, "scripts")
	if err := os.CopyFS(scripts, os.DirFS(filepath.Join(root, "scripts"))); err != nil {
		t.Fatal(err)
	}
	return work, scripts
}

// launchIn runs a station in a folder, with its scripts and data.
func launchIn(t *testing.T, work string) *station {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "serve", "--listen", "127.0.0.1:0")
	cmd.Dir = work
	return launch(t, cmd)
}

// shell runs a line of the README in a folder and gives what it prints. What
// lies in the data folder may take a moment to be carried there. Commands ask the
// station at url.
func shell(t *testing.T, dir, url, line string) (out string) {
	t.Helper()
	file := strings.HasPrefix(line, "cat ")
	station, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	until(t, line, func() bool {
		command := strings.ReplaceAll(line, "go run ./cmd/station", station)
		cmd := exec.Command("sh", "-c", strings.Replace(command, "curl ", "curl -sS ", 1))
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "STATION_URL="+url)
		text, err := cmd.CombinedOutput()
		if err != nil && !file {
			t.Fatalf("%s: %v\n%s", line, err, text)
		}
		out = string(text)
		return err == nil
	})
	return out
}

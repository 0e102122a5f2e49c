package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	program "github.com/dbbasic/station/cmd/station"
)

// notRun are the examples of commands that do not end by themselves, and what runs them.
var notRun = map[string]string{
	"station serve": "TestServe",
	"station serve --data /var/lib/station --listen 127.0.0.1:9000": "options.txtar runs its flags",
	"station serve --fsync interval --log-retention 30d":            "options.txtar runs its flags",
	"MAIL_KEY=... station serve --env MAIL_KEY":                     "env.txtar runs its flags",
	"station logs tutorial_03_counter -f":                           "follow.txtar",
}

// exampleFiles are what the folder has in which the examples run.
var exampleFiles = map[string]string{
	"scripts/guestbook.lua": `function POST(request)
  state.set(string.format("entry:%08d", state.incr("total")), request.text)
end`,
	"scripts/echo.lua":                    `function POST(request) return request end`,
	"scripts/notes.lua":                   `function GET() return files.list() end`,
	"greeter.lua":                         `function GET() return "Hello again" end`,
	"plan.txt":                            "Buy milk\n",
	"cat.png":                             "\x89PNG\r\n\x1a\n",
	"../prototype/data/state/a/state.tsv": "key\tvalue\nn\t1\n",
}

// exampleSetup is what happens before the examples run.
const exampleSetup = `
station run tutorial_03_counter
station run guestbook POST text='Hello!'
echo 'function GET() return "Hello" end' | station save greeter -
echo 'function GET() return "Hello you" end' | station save greeter -
station files put notes plan.txt todo.txt
station files put notes plan.txt old.txt
`

// TestExamples walks the commands: each that people see and that does something has
// a summary and an example, and all examples work.
func TestExamples(t *testing.T) {
	var lines []string
	walk(program.RootCommand(), func(cmd *cobra.Command) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") || cmd.Long == "" && !cmd.HasSubCommands() {
			t.Errorf("%s: it says %q and %q of itself", cmd.CommandPath(), cmd.Short, cmd.Long)
		}
		if cmd.HasSubCommands() {
			return
		}
		examples := strings.Split(cmd.Example, "\n")
		for _, line := range examples {
			if !strings.HasPrefix(line, "  ") || !strings.Contains(line, cmd.CommandPath()+" ") && !strings.HasSuffix(line, cmd.CommandPath()) {
				t.Errorf("%s: its example %q does not call it", cmd.CommandPath(), line)
			}
		}
		lines = append(lines, examples...)
	})
	if len(lines) < 40 {
		t.Fatalf("only %d examples were found", len(lines))
	}
	s, work := exampleStation(t)
	removes := func(line string) int { return strings.Count(line, " rm ") + strings.Count(line, "station rm ") }
	slices.SortStableFunc(lines, func(a, b string) int { return removes(a) - removes(b) }) // what is removed is needed before
	run := 0
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if notRun[line] != "" {
			continue
		}
		run++
		if out, err := sh(t, s, work, line); err != nil {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
	if run+len(notRun) != len(lines) {
		t.Errorf("%d of %d examples ran, and %d are said not to", run, len(lines), len(notRun))
	}
	s.end()
}

// walk visits a command and those below it that people see.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			visit(c)
			walk(c, visit)
		}
	}
}

// exampleStation runs a station in a folder that init has written, with what the
// examples need.
func exampleStation(t *testing.T) (*station, string) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	work := filepath.Join(t.TempDir(), "work")
	if out, err := exec.Command(path, "init", work).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.Symlink(root, filepath.Join(work, "../station")); err != nil {
		t.Fatal(err)
	}
	for name, text := range exampleFiles {
		file := filepath.Join(work, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := launchIn(t, work)
	if out, err := sh(t, s, work, "set -e\n"+exampleSetup); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return s, work
}

var anyURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// sh runs lines of a shell in which "station" is the program, and its station is s.
func sh(t *testing.T, s *station, dir, lines string) (string, error) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", anyURL.ReplaceAllString(lines, s.url))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "STATION_URL="+s.url, fmt.Sprintf("PATH=%s:%s", filepath.Dir(path), os.Getenv("PATH")))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

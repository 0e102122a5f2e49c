package main_test

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// newcomer is somebody who follows PLUGINS.md.
type newcomer struct {
	t     *testing.T
	home  string   // where the page begins
	at    string   // where it has gone to
	env   []string // of commands
	s     *station // nil while none runs
	said  string   // what the last command printed
	lines int
}

// TestPluginsPage follows PLUGINS.md, from nothing to two plugins at work: its
// commands are run in order, its files are written, and what it shows is what comes.
func TestPluginsPage(t *testing.T) {
	t.Parallel()
	plainOnly(t)
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("the page's commands need curl, which is not installed")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "plugins-") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	n := &newcomer{t: t, home: home, at: home, env: append(os.Environ(), "GOWORK=off", "CHECKOUT="+root,
		"PATH="+filepath.Dir(path)+string(os.PathListSeparator)+os.Getenv("PATH"))}
	for _, b := range blocks(t, "PLUGINS.md") {
		n.follow(b)
	}
	if n.lines < 20 {
		t.Errorf("only %d commands were found", n.lines)
	}
	if n.s != nil {
		n.s.end()
	}
	for kind, name := range map[string]string{"transport": "gopher", "storage": "mydb"} {
		program := kind + "-" + name
		cmd := exec.Command(filepath.Join(home, program, program))
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "plugin") {
			t.Errorf("%s, run by hand: %v, %s", program, err, out)
		}
	}
}

var namedFile = regexp.MustCompile(`^(?:#|--) ([a-z./]+)\n`)

func (n *newcomer) follow(b block) {
	n.t.Helper()
	switch {
	case b.language == "sh":
		for _, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
			n.lines++
			n.run(line)
		}
	case namedFile.MatchString(b.text):
		name := filepath.Join(n.home, namedFile.FindStringSubmatch(b.text)[1])
		n.write(name, strings.ReplaceAll(b.text, "127.0.0.1:8001", "127.0.0.1:0"))
	case b.language == "hcl": // how a block can look: a station would take it
		name := filepath.Join(n.home, "shown.hcl")
		n.write(name, b.text)
		if out, code := stationCommand(n.t, n.home, "config", "validate", name); !strings.Contains(out, "its SHA-256 is ") || !strings.Contains(out, "1 problem\n") || code != 1 {
			n.t.Errorf("a block of the page, whose only mistake is its checksum: exit code %d\n%s", code, out)
		}
	case strings.HasPrefix(b.text, "→ "):
		n.talk(b.text)
	case b.language == "" || b.language == "json":
		n.compare(b.text)
	default:
		n.t.Errorf("a block of the language %q, which nothing checks:\n%s", b.language, b.text)
	}
}

func (n *newcomer) write(name, text string) {
	n.t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// run runs a command where the page is.
func (n *newcomer) run(line string) {
	n.t.Helper()
	if dir, ok := strings.CutPrefix(line, "cd "); ok {
		n.at = filepath.Join(n.at, dir)
		return
	}
	if line == "station serve" {
		n.serve()
		return
	}
	if n.s != nil {
		line = strings.ReplaceAll(line, "http://127.0.0.1:8001", n.s.url)
	}
	cmd := exec.Command("sh", "-c", strings.Replace(line, "curl ", "curl -sS ", 1))
	cmd.Dir, cmd.Env = n.at, n.env
	if n.s != nil {
		cmd.Env = append(cmd.Env, "STATION_URL="+n.s.url)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		n.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	n.said = string(out)
}

// serve runs a station, in place of the one before.
func (n *newcomer) serve() {
	n.t.Helper()
	if n.s != nil {
		n.s.end()
	}
	path, err := binary()
	if err != nil {
		n.t.Fatal(err)
	}
	cmd := exec.Command(path, "serve")
	cmd.Dir = n.at
	n.s = launch(n.t, cmd)
}

// compare holds the last command to what the page shows of it. White space of
// tables is as wide as what stands in them.
func (n *newcomer) compare(want string) {
	n.t.Helper()
	words := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	pattern := strings.ReplaceAll(regexp.QuoteMeta(words(want)), "…", `\S+`)
	if got := words(n.said); !regexp.MustCompile("^" + pattern + "$").MatchString(got) {
		n.t.Errorf("the command says\n%s\nthe page has\n%s", n.said, want)
	}
}

// talk says lines to the station's socket.
func (n *newcomer) talk(text string) {
	n.t.Helper()
	conn, err := new(net.Dialer).DialContext(context.Background(), "unix", filepath.Join(n.home, "station.sock"))
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		n.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if said, ok := strings.CutPrefix(line, "→ "); ok {
			if _, err := conn.Write([]byte(said + "\n")); err != nil {
				n.t.Fatal(err)
			}
			if n.said, err = in.ReadString('\n'); err != nil {
				n.t.Fatal(err)
			}
		} else {
			n.compare(strings.TrimPrefix(line, "← "))
		}
	}
}

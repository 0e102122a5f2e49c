package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs testdata/script/*.txtar, each a session in a folder of its
// own. Beside testscript's commands they have
//
//	serve [flag...]             start a station with these flags and a free port; sets URL
//	halt                        end it as an interrupt does; it must exit with 0
//	kill9 kernel|PLUGIN         kill -9
//	http METHOD PATH [-H 'Name: value']... [BODY]
//	                            send a request; status, headers and body are its stdout
//	upload METHOD PATH FIELD=VALUE|FIELD=@FILE...
//	                            the same with a form, as curl -F sends it
//	submit PATH FIELD=VALUE|FIELD=@FILE...
//	                            load a page and submit its form that has these fields as a browser does; see submit_test.go
//	keep NAME PATTERN           set a variable to what the first group matches in stdout
//	await METHOD PATH PATTERN   send a request again and again until status, headers and body match
//	waitfile FILE [PATTERN]     wait until there is a file, and its text matches
//	exits CODE PROGRAM [arg...] run a program, which must exit with this code
//	terminal CODE FILE PROGRAM [arg...]
//	                            the same on a terminal, on which the file is typed; what there is then to read is its stdout
//	log PATTERN...              each must stand in the station's own log
func TestScripts(t *testing.T) { runScripts(t, "testdata/script", "") }

// runScripts runs the scripts of a folder; config, where there is one, is the
// text of the station.hcl in the folder of each.
func runScripts(t *testing.T, dir, config string) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Vars = append(env.Vars, "STATION="+path, "PATH="+filepath.Dir(path)+string(os.PathListSeparator)+os.Getenv("PATH"))
			if config != "" {
				if err := writeNew(filepath.Join(env.WorkDir, "station.hcl"), config); err != nil {
					return err
				}
			}
			env.Values[sessionKey{}] = &session{}
			scripts := filepath.Join(env.WorkDir, "scripts") // of its own, which it may change
			return os.CopyFS(scripts, os.DirFS(filepath.Join(root, "scripts")))
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"serve": scriptServe, "halt": scriptHalt, "kill9": scriptKill, "http": scriptHTTP, "keep": scriptKeep, "upload": scriptUpload, "submit": scriptSubmit, "log": scriptLog, "await": scriptAwait, "waitfile": scriptWaitFile, "exits": scriptExits, "terminal": scriptTerminal,
		},
	})
}

// writeNew writes a file that must not be there.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

type sessionKey struct{}

// session is the station of one script; nil before serve.
type session struct{ *running }

func sessionOf(ts *testscript.TestScript) *session {
	s, ok := ts.Value(sessionKey{}).(*session)
	if !ok {
		ts.Fatalf("the session has no place for its station")
	}
	return s
}

func scriptServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("a station that must not start is run with: ! exec station serve")
	}
	s := sessionOf(ts)
	if s.running != nil {
		ts.Fatalf("a station runs already")
	}
	cmd := exec.Command(ts.Getenv("STATION"), append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"))
	for i, arg := range args { // what the session has set for the station
		if i > 0 && args[i-1] == "--env" && ts.Getenv(arg) != "" {
			cmd.Env = append(cmd.Env, arg+"="+ts.Getenv(arg))
		}
	}
	r, err := run(cmd)
	ts.Check(err)
	s.running = r
	ts.Defer(func() {
		r.kill()
		ts.Logf("the station's log:\n%s", r.logs)
	})
	ts.Setenv("URL", r.url)
	ts.Setenv("ADDR", strings.TrimPrefix(r.url, "http://"))
}

func scriptHalt(ts *testscript.TestScript, _ bool, _ []string) {
	s := sessionOf(ts)
	ts.Check(s.stop())
	s.running = nil
}

func scriptKill(ts *testscript.TestScript, _ bool, args []string) {
	s := sessionOf(ts)
	if len(args) != 1 {
		ts.Fatalf("usage: kill9 kernel|PLUGIN")
	}
	if args[0] == "kernel" {
		s.kill()
		s.running = nil
		return
	}
	all, err := processes(s.cmd.Process.Pid)
	ts.Check(err)
	pid, ok := plugins(all)[args[0]]
	if !ok {
		ts.Fatalf("no plugin %q runs, only %v", args[0], slices.Sorted(maps.Keys(plugins(all))))
	}
	ts.Check(syscall.Kill(pid, syscall.SIGKILL))
	for end := time.Now().Add(patience); !over(pid); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("process %d is still there", pid)
		}
	}
}

func scriptHTTP(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: http METHOD PATH [-H 'Name: value']... [BODY]")
	}
	method, path, rest := args[0], args[1], args[2:]
	header, host := http.Header{}, ""
	for len(rest) > 1 && rest[0] == "-H" {
		name, value, _ := strings.Cut(rest[1], ": ")
		if header.Add(name, value); name == "Host" {
			host = value
		}
		rest = rest[2:]
	}
	body := strings.Join(rest, " ")
	req, err := http.NewRequest(method, ts.Getenv("URL")+path, strings.NewReader(body))
	ts.Check(err)
	req.Header, req.Host = header, host
	if body != "" && header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
	}
	send(ts, req)
}

func scriptKeep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: keep NAME PATTERN")
	}
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	found := pattern.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) < 2 {
		ts.Fatalf("stdout has no %s with a group", pattern)
	}
	ts.Setenv(args[0], found[1])
}

// scriptUpload sends a form; the type of a file is that of its name.
func scriptUpload(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: upload METHOD PATH FIELD=VALUE|FIELD=@FILE...")
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, arg := range args[2:] {
		field, value, _ := strings.Cut(arg, "=")
		file, isFile := strings.CutPrefix(value, "@")
		if !isFile {
			ts.Check(form.WriteField(field, value))
			continue
		}
		part, err := form.CreateFormFile(field, file)
		ts.Check(err)
		_, err = io.WriteString(part, ts.ReadFile(file))
		ts.Check(err)
	}
	ts.Check(form.Close())
	req, err := http.NewRequest(args[0], ts.Getenv("URL")+args[1], &body)
	ts.Check(err)
	req.Header.Set("Content-Type", form.FormDataContentType())
	send(ts, req)
}

// send prints what a request gives.
func send(ts *testscript.TestScript, req *http.Request) {
	show(ts, &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}, req)
}

func show(ts *testscript.TestScript, c *http.Client, req *http.Request) {
	resp, err := c.Do(req)
	ts.Check(err)
	defer func() { _ = resp.Body.Close() }() // it is read to its end below
	fmt.Fprintln(ts.Stdout(), resp.StatusCode)
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		fmt.Fprintf(ts.Stdout(), "%s: %s\n", name, strings.Join(resp.Header[name], ", "))
	}
	fmt.Fprintln(ts.Stdout())
	_, err = io.Copy(ts.Stdout(), resp.Body)
	ts.Check(err)
}

// scriptExits is exec with the exit code that it must end with.
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [arg...]")
	}
	code := 0
	exit := (*exec.ExitError)(nil)
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("%s exits with %d", args[1], code)
	}
}

// scriptTerminal stands for testscript's ttyin, which closes the terminal as soon
// as the program has ended: what nobody had read by then is lost.
func scriptTerminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: terminal CODE FILE PROGRAM [arg...]")
	}
	self, err := os.Executable()
	ts.Check(err)
	scriptExits(ts, neg, slices.Concat(args[:1], []string{self, "on-a-terminal"}, args[1:]))
}

// onATerminal types a file on a new terminal, on which a program runs, writes what
// there is to read on it, and exits as the program does.
func onATerminal() error {
	typed, err := os.ReadFile(os.Args[2])
	if err != nil {
		return err
	}
	cmd := exec.Command(os.Args[3], os.Args[4:]...)
	terminal, err := pty.Start(cmd)
	if err != nil {
		return err
	}
	if _, err := terminal.Write(append(typed, 4)); err != nil { // a line's end, or the input's
		return err
	}
	if _, err := io.Copy(os.Stdout, terminal); err != nil && !errors.Is(err, syscall.EIO) { // which is how Linux says that nobody else has it open
		return err
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(exit.ExitCode())
	}
	return err
}

// scriptLog looks for texts in the station's log. It polls, since a line may
// come after the answer that it is about.
func scriptLog(ts *testscript.TestScript, neg bool, args []string) {
	s := sessionOf(ts)
	for _, want := range args {
		found := func() bool { return strings.Contains(s.logs.String(), want) }
		if neg {
			if found() {
				ts.Fatalf("the station's log has %q", want)
			}
			continue
		}
		for end := time.Now().Add(patience); !found(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				ts.Fatalf("the station's log has no %q", want)
			}
		}
	}
}

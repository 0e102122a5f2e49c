package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The counts of the tests below. CI runs the defaults; make soak runs more.
var (
	increments   = flag.Int("increments", 10_000, "increments of TestIncrements")
	connections  = flag.Int("connections", 64, "connections under load")
	kernelKills  = flag.Int("kernel-kills", 3, "kills of the kernel under load")
	storageKills = flag.Int("storage-kills", 2, "kills of the storage plugin under load")
	strict       = flag.Bool("strict", false, "hold the time limits of restarts, which a busy machine may miss")
)

const patience = time.Minute

// root is the top of the checkout.
var root = func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
}()

// binary builds the station once, as people build it, and gives its path.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "station-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "station")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/station")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// helpers are what the test binary is too, by its first argument.
var helpers = map[string]func() error{"bare-hello": bareHello, "control": control, "on-a-terminal": onATerminal}

// TestMain lets the test binary be the faulty plugins and the helpers too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && helpers[os.Args[1]] != nil {
		if err := helpers[os.Args[1]](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(125) // none of station's, which a script may expect of what runs on a terminal
		}
		os.Exit(0)
	}
	if len(os.Args) == 4 && os.Args[1] == "faulty-plugin" {
		faultyPlugin(os.Args[2], faultFile(os.Args[3]))
	}
	flag.Parse()
	given := *strict
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given { // most of what is parallel waits: for a plugin that is frozen, a compiler, a file that settles
		if err := flag.Set("test.parallel", "6"); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path)) // in the system's temporary folder
	}
	os.Exit(code)
}

// running is a process that serves a station.
type running struct {
	cmd  *exec.Cmd
	url  string
	done chan struct{} // closed once it has ended
	logs *lockedBuffer
}

// lockedBuffer keeps what a process writes.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// run starts a command that serves a station and waits until it is ready.
func run(cmd *exec.Cmd) (*running, error) {
	r, ready, err := begin(cmd)
	if err != nil {
		return nil, err
	}
	select {
	case r.url = <-ready:
		return r, nil
	case <-r.done:
		return nil, fmt.Errorf("the station ended before it was ready:\n%s", r.logs)
	case <-time.After(patience):
		r.kill()
		return nil, fmt.Errorf("the station was not ready within %v:\n%s", patience, r.logs)
	}
}

// begin starts a command that serves a station; ready gets its address.
func begin(cmd *exec.Cmd) (r *running, ready chan string, err error) {
	r = &running{cmd: cmd, done: make(chan struct{}), logs: &lockedBuffer{}}
	cmd.Stderr = r.logs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	ready = make(chan string, 1)
	go func() {
		defer close(r.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if _, url, ok := strings.Cut(lines.Text(), " is ready at "); ok {
				url, _, _ = strings.Cut(url, ",") // what else is said of it comes after a comma
				ready <- url
			}
		}
		_ = cmd.Wait() // how it ended is the tests' business
	}()
	return r, ready, nil
}

// signal sends a signal to the process; one that has ended is no error.
func (r *running) signal(sig syscall.Signal) error {
	if err := r.cmd.Process.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// kill ends the process with SIGKILL and waits.
func (r *running) kill() {
	_ = r.signal(syscall.SIGKILL) // there is no other way to end it
	<-r.done
}

// stop ends the process as an interrupt does; it must exit with 0.
func (r *running) stop() error {
	if err := r.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-r.done:
	case <-time.After(patience):
		return fmt.Errorf("the station did not stop within %v", patience)
	}
	if code := r.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the station exited with %d", code)
	}
	return nil
}

// station is a running station with what tests ask of it.
type station struct {
	*running
	t *testing.T
}

// start runs `station serve` over a data folder, with the bundled scripts, a free
// port, and more flags.
func start(t *testing.T, data string, more ...string) *station {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"serve", "--data", data, "--scripts", filepath.Join(root, "scripts"), "--listen", "127.0.0.1:0"}, more...)
	return launch(t, exec.Command(path, args...))
}

// launch runs a command that serves a station until the test ends.
func launch(t *testing.T, cmd *exec.Cmd) *station {
	t.Helper()
	r, err := run(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			t.Logf("the station's log:\n%s", r.logs)
		}
	})
	return &station{running: r, t: t}
}

// end stops the station in order.
func (s *station) end() {
	s.t.Helper()
	if err := s.stop(); err != nil {
		s.t.Error(err)
	}
}

// plugins gives the process ids of the kernel's plugins, by their names.
func (s *station) plugins() map[string]int {
	s.t.Helper()
	return pluginsOf(s.t, s.cmd.Process.Pid)
}

func pluginsOf(t testing.TB, kernel int) map[string]int {
	t.Helper()
	all, err := processes(kernel)
	if err != nil {
		t.Fatal(err)
	}
	return plugins(all)
}

// plugins picks the plugins of a station among processes, by their names.
func plugins(all []process) map[string]int {
	found := map[string]int{}
	for _, p := range all {
		if len(p.args) == 3 && p.args[1] == "plugin-serve" {
			found[p.args[2]] = p.pid
		}
		if len(p.args) == 1 && strings.HasPrefix(filepath.Base(p.args[0]), "storage-") { // a program of its own
			found[filepath.Base(p.args[0])] = p.pid
		}
	}
	return found
}

// kernelOf gives the station that a go run started, 0 while there is none.
func kernelOf(t *testing.T, parent int) int {
	t.Helper()
	all, err := processes(parent)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if len(p.args) > 1 && p.args[1] == "serve" {
			return p.pid
		}
	}
	return 0
}

type process struct {
	pid  int
	args []string
}

// processes lists the children of a process.
func processes(parent int) ([]process, error) {
	out, err := exec.Command("ps", "-eo", "pid=,ppid=,args=").Output()
	if err != nil {
		return nil, fmt.Errorf("ps: %w", err)
	}
	var list []process
	for _, line := range strings.Split(string(out), "\n") {
		f := strings.Fields(line)
		if len(f) < 3 || f[1] != strconv.Itoa(parent) {
			continue
		}
		pid, err := strconv.Atoi(f[0])
		if err != nil {
			return nil, err
		}
		list = append(list, process{pid: pid, args: f[2:]})
	}
	return list, nil
}

// ended reports whether a process is no more than an entry in the table.
func ended(t *testing.T, pid int) bool {
	t.Helper()
	return over(pid)
}

func over(pid int) bool {
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err != nil || strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

func until(t *testing.T, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > patience {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(began)
}

// within holds a time limit where the test is strict about it.
func within(t *testing.T, what string, took, limit time.Duration) {
	t.Helper()
	t.Logf("%s: %v", what, took.Round(time.Millisecond))
	if *strict && took > limit {
		t.Errorf("%s took %v, more than %v", what, took, limit)
	}
}

// plainOnly skips a test that does little but drive programs: these are built without
// the race detector, so that with it there is nothing to see, and plain tests run all of it.
func plainOnly(t *testing.T) {
	t.Helper()
	if underRace {
		t.Skip("the programs that it drives are built without the race detector; the plain tests do it")
	}
}

const counterPath = "/objects/tutorial_03_counter"

// answer is what one request gave.
type answer struct {
	status int // 0 where none came
	count  int
	body   string
}

// get sends a GET and reads the count of a JSON answer.
func get(ctx context.Context, c *http.Client, url string) answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{body: err.Error()}
	}
	resp, err := c.Do(req)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer func() { _ = resp.Body.Close() }() // it was read to its end, or the connection is lost
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{body: err.Error()}
	}
	a := answer{status: resp.StatusCode, body: string(body)}
	var v struct{ Count int }
	if a.status == http.StatusOK && json.Unmarshal(body, &v) == nil {
		a.count = v.Count
	}
	return a
}

// client gives an HTTP client with its own connections.
func client(t *testing.T) *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 128}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// storedCount reads the counter's state.
func (s *station) storedCount() int {
	s.t.Helper()
	return s.countOf(counterPath)
}

// countOf reads the state of a counter.
func (s *station) countOf(path string) int {
	s.t.Helper()
	var v struct{ State struct{ Count int } }
	s.read(path+"?state=true&prefix=count", &v)
	return v.State.Count
}

// logged walks a counter's log and gives how often each count was logged.
func (s *station) logged(path string) map[int]int {
	s.t.Helper()
	times := map[int]int{}
	for cursor := ""; ; {
		var page struct {
			Logs []struct {
				Message string
				Count   int
			}
			NextCursor string `json:"next_cursor"`
		}
		s.read(path+"?logs=true&order=asc&limit=1000&cursor="+cursor, &page)
		for _, e := range page.Logs {
			if e.Message == "Counter incremented" {
				times[e.Count]++
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			return times
		}
	}
}

// read gets a path, which must answer 200 with JSON.
func (s *station) read(path string, v any) {
	s.t.Helper()
	a := get(s.t.Context(), client(s.t), s.url+path)
	if a.status != http.StatusOK {
		s.t.Fatalf("GET %s: %d %s", path, a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		s.t.Fatalf("GET %s: %v in %s", path, err, a.body)
	}
}

// load sends GETs of the counter from many connections while more says so. A
// worker whose request gets no answer stops.
func (s *station) load(more func() bool) []answer {
	var mu sync.Mutex
	var all []answer
	var wg sync.WaitGroup
	c := client(s.t)
	for range *connections {
		wg.Go(func() {
			var mine []answer
			for more() {
				a := get(context.Background(), c, s.url+counterPath)
				mine = append(mine, a)
				if a.status == 0 {
					break
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
		})
	}
	wg.Wait()
	return all
}

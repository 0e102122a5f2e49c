package main_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// bench is a station one of whose plugins is faulty, with clients that count.
type bench struct {
	*station // the one that runs
	t        *testing.T
	kind     string // of the faulty plugin: storage or transport
	dir      string // configuration and data
	tmp      string // the station's temporary folder
	faults   faultFile
	binary   string // of the station
	program  string // of the faulty plugin
	round    int
	seen     map[int]bool

	mu           sync.Mutex
	acknowledged map[int]bool
	open         int // calls that may have counted without an acknowledgement
	refused      int // answers that say that the storage is down or slow
	slowest      time.Duration
}

// newBench prepares a station without starting it. Where pin says so, the
// faulty plugin is a copy of this program, pinned to its checksum.
func newBench(t *testing.T, kind string, pin bool) *bench {
	t.Helper()
	b := &bench{t: t, kind: kind, dir: t.TempDir(), seen: map[int]bool{}, acknowledged: map[int]bool{}}
	b.faults = faultFile(filepath.Join(b.dir, "fault"))
	var err error
	if b.binary, err = binary(); err != nil {
		t.Fatal(err)
	}
	if b.tmp, err = os.MkdirTemp("/tmp", "sf"); err != nil { // short, as the path of a socket must be
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(b.tmp) })
	if b.program, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	line := ""
	if pin {
		text, err := os.ReadFile(b.program)
		if err != nil {
			t.Fatal(err)
		}
		b.program = filepath.Join(b.dir, "plugin")
		b.replace(text)
		sum := sha256.Sum256(text)
		line = fmt.Sprintf("sha256 = %q\n", hex.EncodeToString(sum[:]))
	}
	faulty := fmt.Sprintf("program = %q\nargs = [\"faulty-plugin\", %q, %q]\n", b.program, kind, b.faults) + line
	blocks := map[string]string{"storage": "", "transport": ""}
	blocks[kind] = faulty
	config := fmt.Sprintf("data = %q\nscripts = %q\nstorage \"tsv\" {\n%s}\ntransport \"http\" {\nlisten = \"127.0.0.1:0\"\n%s}\n",
		filepath.Join(b.dir, "data"), filepath.Join(root, "scripts"), blocks["storage"], blocks["transport"])
	if err := os.WriteFile(filepath.Join(b.dir, "station.hcl"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

// replace puts another program in the place of the faulty plugin.
func (b *bench) replace(text []byte) {
	b.t.Helper()
	if err := os.WriteFile(b.program+".new", text, 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Rename(b.program+".new", b.program); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) begin() {
	b.t.Helper()
	cmd := exec.Command(b.binary, "serve", "--config", filepath.Join(b.dir, "station.hcl"))
	cmd.Env = append(os.Environ(), "TMPDIR="+b.tmp)
	b.station = launch(b.t, cmd)
	b.look()
}

// restart ends the station in order and starts it again: its supervisors
// have seen no failed start then.
func (b *bench) restart() {
	b.t.Helper()
	b.end()
	b.begin()
}

// look gives the process ids of the plugins, by their kinds.
func (b *bench) look() map[string]int {
	b.t.Helper()
	all, err := processes(b.cmd.Process.Pid)
	if err != nil {
		b.t.Fatal(err)
	}
	found := map[string]int{}
	for _, p := range all {
		line := strings.Join(p.args, " ")
		for _, kind := range []string{"storage", "transport"} {
			if strings.Contains(line, "plugin-serve "+kind) || strings.Contains(line, "faulty-plugin "+kind) {
				found[kind] = p.pid
				b.seen[p.pid] = true
			}
		}
	}
	return found
}

// gone reports whether a process has ended and was waited for.
func gone(pid int) bool { return syscall.Kill(pid, 0) != nil }

// noOrphans wants that no plugin but these is left of all that were seen.
func (b *bench) noOrphans(but map[string]int) {
	b.t.Helper()
	for pid := range b.seen {
		if !slices.Contains([]int{but["storage"], but["transport"]}, pid) {
			until(b.t, fmt.Sprintf("plugin %d is gone", pid), func() bool { return gone(pid) || ended(b.t, pid) })
			delete(b.seen, pid)
		}
	}
}

// settle waits until the faulty plugin has been well for a ping or two.
func (b *bench) settle() {
	b.t.Helper()
	until(b.t, "the plugins have been well for a moment", func() bool {
		list := b.plugins()
		return list["storage"].steady() && list["transport"].steady()
	})
}

type pluginState struct {
	Kind        string
	Healthy     bool
	PID         int
	UpSince     time.Time `json:"up_since"`
	Restarts    int
	LastProblem string `json:"last_problem"`
}

func (p pluginState) steady() bool { return p.Healthy && time.Since(p.UpSince) > 1200*time.Millisecond }

// plugins gives what the station says of its plugins, by their kinds.
func (b *bench) plugins() map[string]pluginState {
	b.t.Helper()
	var answer struct{ Plugins []pluginState }
	a := get(b.t.Context(), once(), b.url+"/plugins")
	if err := json.Unmarshal([]byte(a.body), &answer); a.status != http.StatusOK || err != nil {
		b.t.Fatalf("GET /plugins: %d %s (%v)", a.status, a.body, err)
	}
	found := map[string]pluginState{}
	for _, p := range answer.Plugins {
		found[p.Kind] = p
	}
	return found
}

// victim is the process of the faulty plugin.
func (b *bench) victim() int {
	b.t.Helper()
	pid := b.look()[b.kind]
	if pid == 0 {
		b.t.Fatalf("there is no %s plugin", b.kind)
	}
	return pid
}

func (b *bench) signal(pid int, sig syscall.Signal) {
	b.t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		b.t.Fatalf("kill %d: %v", pid, err)
	}
}

// once gives a client with a connection for each request: net/http sends a GET
// again by itself where a connection that it kept is closed. It keeps none open,
// of which a station has 4,096 at most.
func once() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
}

const countingClients = 4

// count calls the counter from several connections, until the function that it
// gives is called, which waits for all answers. Some have come when it returns.
func (b *bench) count() (stop func()) {
	var stopped atomic.Bool
	var all sync.WaitGroup
	url := b.url + counterPath
	for range countingClients {
		all.Go(func() {
			c := once()
			for !stopped.Load() {
				began := time.Now()
				a := get(context.Background(), c, url)
				b.keep(a, time.Since(began))
				time.Sleep(5 * time.Millisecond) // so that logs stay short
			}
		})
	}
	already := b.counted()
	until(b.t, "the clients count", func() bool { return b.counted() > already+20 })
	return func() {
		stopped.Store(true)
		all.Wait()
	}
}

func (b *bench) counted() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.acknowledged)
}

// keep judges an answer: no count twice, and nothing but what a part that is
// down or slow may answer.
func (b *bench) keep(a answer, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slowest = max(b.slowest, took)
	switch {
	case a.status == http.StatusOK && !b.acknowledged[a.count]:
		b.acknowledged[a.count] = true
	case a.status == 0: // the connection was closed, or there was none
		if !strings.Contains(a.body, "connection refused") {
			b.open++
		}
	case a.status == http.StatusServiceUnavailable:
		if strings.Contains(a.body, `"code":"outcome_unknown"`) {
			b.open++
		}
		b.refused++
	case a.status == http.StatusInternalServerError && strings.Contains(a.body, `"code":"internal"`) && b.faults.now() == "":
		b.open++ // the call that panicked; it took the fault
	default:
		b.t.Errorf("answer %d %s; want a 200 with a count of its own, or a 503", a.status, a.body)
	}
}

// slowestCall gives how long the slowest call took since the last time.
func (b *bench) slowestCall() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	took := b.slowest
	b.slowest = 0
	return took
}

func (b *bench) refusals() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refused
}

// back waits until the counter counts again, which it must within 2 s of since.
func (b *bench) back(since time.Time) {
	b.t.Helper()
	c := once()
	until(b.t, "the counter counts", func() bool {
		began := time.Now()
		a := get(b.t.Context(), c, b.url+counterPath)
		b.keep(a, time.Since(began))
		return a.status == http.StatusOK
	})
	within(b.t, "back", time.Since(since), 2*time.Second)
}

// check wants that what was acknowledged is there, once, also after a restart,
// and that nothing of the station is left when it has ended.
func (b *bench) check() {
	b.t.Helper()
	b.checkCounter(b.acknowledged, len(b.acknowledged), len(b.acknowledged)+b.open)
	b.restart()
	b.checkCounter(b.acknowledged, len(b.acknowledged), len(b.acknowledged)+b.open)
	b.end()
	b.noOrphans(nil)
	if left := b.socketFolders(); len(left) > 0 {
		b.t.Errorf("the station left %v", left)
	}
	b.t.Logf("%d counts were acknowledged, %d calls were left open, %d refused", len(b.acknowledged), b.open, b.refused)
}

func (b *bench) socketFolders() []string {
	b.t.Helper()
	found, err := filepath.Glob(filepath.Join(b.tmp, "station-*"))
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

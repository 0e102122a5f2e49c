package main_test

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What TestSpeed measures, and for how long. CI runs the defaults, which show that
// each case works and that its counts are right; make bench runs more.
var (
	speedTime = flag.Duration("speed-time", 100*time.Millisecond, "how long TestSpeed measures each time")
	speedWarm = flag.Duration("speed-warm", 30*time.Millisecond, "how long TestSpeed sends the same before it measures")
	speedRuns = flag.Int("speed-runs", 1, "how often TestSpeed measures each case")
	speedFile = flag.String("speed-file", "", "a Markdown file whose last section, Figures, TestSpeed writes")
)

// TestSpeed measures a station in its default configuration, each case on one of
// its own. An answer other than 200 or a count that is not what was answered is a
// failure, and nothing is said of that case.
func TestSpeed(t *testing.T) {
	r := newReport()
	plain := startBare(t)
	t.Run("hello", func(t *testing.T) {
		s := speedStation(t)
		r.measure(t, trial{what: "hello", on: s.subject(), beside: plain, traffic: only(helloPath, 64)})
		s.end()
	})
	for _, n := range []int{1, 16, 64} {
		t.Run(fmt.Sprintf("counter-%d", n), func(t *testing.T) {
			s := speedStation(t)
			r.measure(t, trial{what: "counter", on: s.subject(), beside: plain, traffic: only(counterPath, n), counts: s.storedCount})
			s.end()
		})
	}
	t.Run("control", r.control)
	t.Run("reads", r.reads)
	t.Run("mixed", r.mixed)
	t.Run("sixteen", r.sixteen)
	t.Run("keys", func(t *testing.T) { r.large(t, "keys", sizes().keys) })
	t.Run("entries", func(t *testing.T) { r.large(t, "entries", sizes().entries) })
	t.Run("post", r.post)
	t.Run("nested", r.nested)
	t.Run("start", r.start)
	t.Run("objects", r.objects)
	t.Run("memory", r.memory)
	r.end(t)
}

// speedStation starts a station with the bundled scripts and more, given as names
// and texts.
func speedStation(t *testing.T, scripts ...string) *station {
	t.Helper()
	return launchIn(t, speedFolder(t, scripts...))
}

// speedFolder is a work folder with the bundled scripts and more.
func speedFolder(t *testing.T, scripts ...string) string {
	t.Helper()
	work, folder := workFolder(t)
	for i := 0; i < len(scripts); i += 2 {
		if err := os.WriteFile(filepath.Join(folder, scripts[i]+".lua"), []byte(scripts[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return work
}

// subject is what is measured: an address, and the processes behind it.
type subject struct {
	url      string
	pids     map[string]int         // by what they are
	answered func() (good, bad int) // requests with a status of 2xx, and others; nil where nothing counts them
}

func (s *station) subject() *subject {
	s.t.Helper()
	return &subject{url: s.url, answered: s.answered, pids: s.members()}
}

// answered asks the station what its transport has answered, but for the question.
func (s *station) answered() (good, bad int) {
	s.t.Helper()
	a := get(s.t.Context(), client(s.t), s.url+"/metrics")
	const name = `station_transport_requests_total{plugin="http",status="`
	for line := range strings.Lines(a.body) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok {
			continue
		}
		class, value, _ := strings.Cut(rest, `xx"} `)
		n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			s.t.Fatalf("/metrics: %v in %s", err, line)
		}
		if class == "2" {
			good = int(n)
		} else {
			bad += int(n)
		}
	}
	if good == 0 {
		s.t.Fatalf("/metrics has no %s: %d %.300s", name, a.status, a.body)
	}
	return good, bad
}

// launchHelper runs this test binary as something else that serves HTTP.
func launchHelper(t *testing.T, args ...string) *station {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return launch(t, exec.Command(self, args...))
}

// alone is what is one process.
func (s *station) alone() *subject {
	return &subject{url: s.url, pids: map[string]int{"all": s.cmd.Process.Pid}}
}

// startBare starts what a station is compared with: net/http and a handler that
// answers as hello does.
func startBare(t *testing.T) *subject { return launchHelper(t, "bare-hello").alone() }

func bareHello() error {
	const body = `{"message":"Hello from tutorial_01_hello on station1","status":"ok"}`
	return serveAlone("bare-hello", func(ln net.Listener) error {
		return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body)) // the client is gone
		}))
	})
}

// serveAlone serves on a free port, says where, and ends with the test.
func serveAlone(name string, serve func(net.Listener) error) error {
	parent := os.Getppid()
	go func() {
		for os.Getppid() == parent {
			time.Sleep(time.Second)
		}
		os.Exit(1)
	}()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("%s is ready at http://%s\n", name, ln.Addr())
	return serve(ln)
}

// trial is one case: traffic, and how its answers are checked.
type trial struct {
	what    string
	on      *subject
	beside  *subject // measured in turns with it, where it is not nil
	traffic traffic
	counts  func() int // what was counted so far, one for each request; nil where nothing counts
	brief   bool       // half as long, after a fifth of the time: one of many measurements in turns
}

// measure makes the runs of a case.
func (r *report) measure(t *testing.T, c trial) {
	t.Helper()
	row := r.row(c.what, c.traffic.connections)
	for range *speedRuns {
		o := r.run(t, c)
		row.add(o)
		if c.beside != nil {
			bare := r.run(t, trial{what: "net/http", on: c.beside, traffic: only("/", c.traffic.connections)})
			other := r.row("net/http alone", c.traffic.connections)
			other.add(bare)
			other.whole = true
			row.ratios = append(row.ratios, o.rate()/bare.rate())
		}
	}
	row.whole = true
}

// measured is an outcome with what it cost.
type measured struct {
	outcome
	cpu time.Duration   // of all processes for each request; 0 where the system does not say
	of  map[string]cost // each of them; none where the system does not say
}

// cost is the processor time of a process, in its own code and in the operating system's.
type cost struct{ user, system time.Duration }

// run measures once, and checks what was answered.
func (r *report) run(t *testing.T, c trial) measured {
	t.Helper()
	warm, lasts := *speedWarm, *speedTime
	if c.brief {
		warm, lasts = warm/5, lasts/2
	}
	if _, err := drive(t, c.on.url, c.traffic, warm); err != nil {
		t.Fatalf("void: %s, before it was measured: %v", c.what, err)
	}
	var counted, good, bad int
	if c.counts != nil {
		counted = rests(t, c.counts)
	}
	if c.on.answered != nil {
		good, bad = c.on.answered()
	}
	before := costs(c.on.pids)
	o, err := drive(t, c.on.url, c.traffic, lasts)
	after := costs(c.on.pids)
	if err != nil {
		t.Fatalf("void: %s: %v", c.what, err)
	}
	if c.counts != nil {
		if n := rests(t, c.counts) - counted; n < o.answered || n > o.answered+o.open {
			t.Fatalf("void: %s: %d requests were answered with 200, and %d were counted", c.what, o.answered, n)
		}
	}
	if c.on.answered != nil {
		goodNow, badNow := c.on.answered()
		if goodNow-good < o.answered || badNow > bad {
			t.Fatalf("void: %s: of %d answers %d were of 2xx and %d were not", c.what, o.answered, goodNow-good, badNow-bad)
		}
	}
	m := measured{outcome: o, of: map[string]cost{}}
	if before == nil {
		after = nil
	}
	for name, end := range after {
		n, begin := time.Duration(o.answered), before[name]
		each := cost{(end.user - begin.user) / n, (end.system - begin.system) / n}
		m.of[name] = each
		m.cpu += each.user + each.system
	}
	t.Logf("%s: %.0f/s, p50 %v, p99 %v, %s of CPU a request", c.what, o.rate(), o.p50, o.p99, brief(m.cpu))
	return m
}

// rests gives a count once requests that nobody waits for have ended.
func rests(t *testing.T, counts func() int) (n int) {
	t.Helper()
	n = counts()
	until(t, "the count rests", func() bool {
		time.Sleep(20 * time.Millisecond) // a request in flight takes less
		before := n
		n = counts()
		return n == before
	})
	return n
}

// costs gives what each of the processes has taken so far; nothing where the system does not
// say it of all.
func costs(pids map[string]int) map[string]cost {
	const tick = 10 * time.Millisecond // on every Linux that Go runs on
	all := map[string]cost{}
	for name, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return nil
		}
		f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		user, userErr := strconv.ParseInt(f[11], 10, 64)
		system, systemErr := strconv.ParseInt(f[12], 10, 64)
		if userErr != nil || systemErr != nil {
			return nil
		}
		all[name] = cost{time.Duration(user) * tick, time.Duration(system) * tick}
	}
	return all
}

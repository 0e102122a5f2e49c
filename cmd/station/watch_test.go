package main_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const helloPath = "/objects/tutorial_01_hello"

// pulse calls hello 10 times a second. A call is due at its time, whether those
// before it were answered or not, and its latency counts from there.
type pulse struct {
	stop    chan struct{}
	running sync.WaitGroup

	mu   sync.Mutex
	took []time.Duration // since the last lap
	bad  []string        // answers other than 200, likewise
}

const pulseInterval = 100 * time.Millisecond

// sayHello begins a pulse.
func (s *station) sayHello() *pulse {
	p := &pulse{stop: make(chan struct{})}
	c, began := client(s.t), time.Now()
	p.running.Go(func() {
		for n := 0; ; n++ {
			due := began.Add(time.Duration(n) * pulseInterval)
			select {
			case <-p.stop:
				return
			case <-time.After(time.Until(due)):
			}
			p.running.Go(func() {
				a := get(context.Background(), c, s.url+helloPath)
				took := time.Since(due)
				p.mu.Lock()
				defer p.mu.Unlock()
				p.took = append(p.took, took)
				if a.status != http.StatusOK {
					p.bad = append(p.bad, fmt.Sprintf("%d %s", a.status, a.body))
				}
			})
		}
	})
	return p
}

// end stops the pulse and waits for the calls on their way.
func (p *pulse) end() {
	close(p.stop)
	p.running.Wait()
}

// lap says how hello was answered since the last lap, always with 200, and gives
// the 99th of 100 latencies.
func (p *pulse) lap(t *testing.T, when string) (p99 time.Duration) {
	t.Helper()
	p.mu.Lock()
	took, bad := p.took, p.bad
	p.took, p.bad = nil, nil
	p.mu.Unlock()
	if len(bad) > 0 {
		t.Errorf("%s: hello gave %d answers other than 200, the first %s", when, len(bad), bad[0])
	}
	if len(took) == 0 {
		t.Errorf("%s: hello was not answered once", when)
		return 0
	}
	slices.Sort(took)
	p99 = took[(len(took)*99+99)/100-1]
	t.Logf("%s: %d calls of hello, median %v, p99 %v, slowest %v", when, len(took),
		took[len(took)/2].Round(100*time.Microsecond), p99.Round(100*time.Microsecond), took[len(took)-1].Round(100*time.Microsecond))
	return p99
}

// memories are the bytes in memory of a station's processes, by their names.
type memories map[string]int64

func (m memories) sum() (n int64) {
	for _, bytes := range m {
		n += bytes
	}
	return n
}

func (m memories) String() string {
	var parts []string
	for name, bytes := range m {
		parts = append(parts, fmt.Sprintf("%s %d", name, bytes>>20))
	}
	slices.Sort(parts)
	return "(" + strings.Join(parts, ", ") + ")"
}

// members gives the process ids of a station, by their names.
func (s *station) members() map[string]int {
	s.t.Helper()
	m := s.plugins()
	m["kernel"] = s.cmd.Process.Pid
	return m
}

// memory says what the station's processes take now.
func (s *station) memory() memories {
	s.t.Helper()
	m := memories{}
	for name, pid := range s.members() {
		if m[name] = memory(pid); m[name] == 0 {
			s.t.Fatalf("nothing says what %s takes", name)
		}
	}
	return m
}

// memoryWatch looks again and again at what the processes of a station take.
type memoryWatch struct {
	pids    map[string]int
	stop    chan struct{}
	stopped chan struct{}
	most    int64 // of all of them at one time
}

func (s *station) watchMemory() *memoryWatch {
	s.t.Helper()
	w := &memoryWatch{pids: s.members(), stop: make(chan struct{}), stopped: make(chan struct{})}
	go func() {
		defer close(w.stopped)
		for {
			var now int64
			for _, pid := range w.pids {
				now += memory(pid)
			}
			w.most = max(w.most, now)
			select {
			case <-w.stop:
				return
			case <-time.After(250 * time.Millisecond):
			}
		}
	}()
	return w
}

// end gives the most that the processes took together. Where the system keeps
// what each took at most, also before the watch began, it is the sum of that,
// which no moment exceeded.
func (w *memoryWatch) end() int64 {
	close(w.stop)
	<-w.stopped
	var most int64
	for _, pid := range w.pids {
		n := highWater(pid)
		if n == 0 {
			return w.most
		}
		most += n
	}
	return most
}

// highWater gives the most bytes that a process had in memory, 0 where the
// system does not say.
func highWater(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			return kib << 10
		}
	}
	return 0
}

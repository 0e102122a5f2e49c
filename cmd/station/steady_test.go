package main_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// How long TestSteady goes on. CI runs the defaults; make soak runs more.
var (
	steadyTime    = flag.Duration("steady-time", 4*time.Second, "how long TestSteady sends mixed traffic")
	steadyKills   = flag.Duration("steady-kills", time.Second, "time between two kills of TestSteady")
	steadyClients = flag.Int("steady-clients", 4, "connections of TestSteady")
)

const steadyCounters = 16

// How much more the processes of the last third may have than those of the first.
const (
	moreThreads = 12
	moreHandles = 16
	moreMemory  = 48 << 20 // with -strict
)

// steadyCounter is one object of TestSteady, and what its clients know of it.
type steadyCounter struct {
	path string

	mu           sync.Mutex
	acknowledged map[int]bool
	highest      int
	open         int // calls that may have counted without an acknowledgement
}

// endurance is a station under mixed traffic whose processes are killed.
type endurance struct {
	*station
	t       *testing.T
	url     atomic.Value // string: of the kernel that runs
	objects []*steadyCounter
	sums    []float64
	stopped atomic.Bool

	counted, read, refused atomic.Int64
}

// used is what a process has of the system.
type used struct {
	threads, handles int
	memory           int64
}

// TestSteady sends mixed traffic while storage, transport and kernel are killed in
// turns, and a while without kills. No read shows less than was acknowledged before it
// was sent, all that was acknowledged is there at the end, once, and no process grows:
// not from kill to kill, as the data do, nor in one life, with the calls and the time.
// None ends but those that are killed: another would take its place, and nobody see it.
func TestSteady(t *testing.T) {
	t.Parallel()
	scripts, paths := counters(t, "steady", steadyCounters)
	work := speedFolder(t, scripts...)
	s := &endurance{station: launchIn(t, work), t: t, sums: zipf(steadyCounters)}
	s.url.Store(s.running.url)
	for _, path := range paths {
		s.objects = append(s.objects, &steadyCounter{path: path, acknowledged: map[int]bool{}})
	}
	var clients sync.WaitGroup
	for i := range *steadyClients {
		clients.Go(func() { s.client(rand.New(rand.NewPCG(uint64(i), 7))) })
	}
	kills, killed := 0, []map[string]used(nil)
	members := s.members()
	for end := time.Now().Add(*steadyTime); kills < 3 || time.Now().Add(*steadyKills).Before(end); kills++ { // each at least once
		s.goesOn()
		<-time.After(*steadyKills) // of load without a kill
		killed = append(killed, s.sample())
		s.alive(members)
		switch victim := []string{"storage-tsv", "transport-http", "kernel"}[kills%3]; victim {
		case "kernel":
			pids := s.station.plugins()
			s.kill()
			for name, pid := range pids {
				until(t, name+" ends with its kernel", func() bool { return ended(t, pid) })
			}
			s.station = launchIn(t, work)
			s.url.Store(s.running.url)
			members = s.members()
		default:
			pid := s.station.plugins()[victim]
			if err := syscall.Kill(pid, syscall.SIGKILL); pid == 0 || err != nil {
				t.Fatalf("%s (%d): %v", victim, pid, err)
			}
			until(t, "another "+victim+" runs", func() bool {
				p := s.station.plugins()[victim]
				members[victim] = p
				return p != 0 && p != pid
			})
		}
	}
	s.goesOn()
	<-time.After(*steadyKills / 2)
	killed = append(killed, s.sample())
	calm := s.calm()
	s.alive(members)
	s.stopped.Store(true)
	clients.Wait()
	all := 0
	for _, o := range s.objects {
		s.checkCounterAt(o.path, o.acknowledged, len(o.acknowledged), len(o.acknowledged)+o.open)
		all += len(o.acknowledged)
	}
	t.Logf("%d kills: %d counts were acknowledged, %d reads answered, %d calls refused", kills, all, s.read.Load(), s.refused.Load())
	s.flat("from kill to kill", killed)
	s.flat("in one life", calm)
	s.end()
}

// calm takes samples of processes that nobody kills: what leaks with each call or with
// the time is not seen where no process gets old.
func (s *endurance) calm() (samples []map[string]used) {
	s.t.Helper()
	const looks = 6
	each := max(*steadyTime/4, 2**steadyKills) / (looks + 2)
	<-time.After(2 * each) // what they hold under this load they have by then
	for range looks {
		s.goesOn()
		<-time.After(each)
		samples = append(samples, s.sample())
	}
	return samples
}

// alive wants that the processes are those that were there: none has ended by itself.
func (s *endurance) alive(members map[string]int) {
	s.t.Helper()
	if now := s.members(); !maps.Equal(now, members) {
		s.t.Fatalf("the processes are %v and were %v: one ended that nobody killed", now, members)
	}
}

// goesOn waits until calls are answered and counted after what was done last.
func (s *endurance) goesOn() {
	s.t.Helper()
	counted, read := s.counted.Load(), s.read.Load()
	until(s.t, "the traffic goes on", func() bool { return s.counted.Load() > counted+5 && s.read.Load() > read+20 })
}

// client reads and counts until the test has seen enough.
func (s *endurance) client(rnd *rand.Rand) {
	c := &caller{}
	defer c.close()
	for !s.stopped.Load() {
		if addr := strings.TrimPrefix(s.url.Load().(string), "http://"); c.addr != addr {
			c.close()
			c.addr = addr
		}
		o := s.objects[draw(rnd, s.sums)]
		var answered bool
		switch rnd.IntN(10) {
		case 0, 1:
			answered = s.count(c, o)
		case 2:
			answered = s.look(c, request{http.MethodGet, helloPath, ""}, nil)
		case 3:
			answered = s.look(c, request{http.MethodGet, o.path + "?logs=true&limit=10", ""}, nil)
		default:
			answered = s.look(c, request{http.MethodGet, o.path + "?state=true", ""}, o)
		}
		if !answered {
			time.Sleep(2 * time.Millisecond) // who was refused does not hurry
		}
	}
}

// count calls a counter, and reports whether that was answered with a count.
func (s *endurance) count(c *caller, o *steadyCounter) bool {
	status, body, err := c.call(request{http.MethodGet, o.path, ""})
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err != nil && !c.sent: // nobody listens
	case err != nil, status == http.StatusServiceUnavailable && strings.Contains(string(body), `"code":"outcome_unknown"`):
		o.open++
	case status == http.StatusServiceUnavailable:
		s.refused.Add(1)
	default:
		var v struct{ Count int }
		if err := json.Unmarshal(body, &v); err != nil || status != http.StatusOK || o.acknowledged[v.Count] {
			s.t.Errorf("%s: %d %.300s; want a 503, or a 200 with a count of its own", o.path, status, body)
			return false
		}
		o.acknowledged[v.Count], o.highest = true, max(o.highest, v.Count)
		s.counted.Add(1)
		return true
	}
	return false
}

// look reads, and reports whether that was answered. A counter's state must show
// what was acknowledged before.
func (s *endurance) look(c *caller, r request, o *steadyCounter) bool {
	least := 0
	if o != nil {
		o.mu.Lock()
		least = o.highest
		o.mu.Unlock()
	}
	status, body, err := c.call(r)
	switch {
	case err != nil:
		return false
	case status == http.StatusServiceUnavailable:
		s.refused.Add(1)
		return false
	case status != http.StatusOK:
		s.t.Errorf("%s: %d %.300s; want 200 or 503", r.path, status, body)
		return false
	}
	var v struct{ State struct{ Count int } }
	if err := json.Unmarshal(body, &v); err != nil || o != nil && v.State.Count < least {
		s.t.Errorf("%s: %.300s (%v); the count %d was acknowledged before", r.path, body, err, least)
	}
	s.read.Add(1)
	return true
}

// sample gives what the processes have of the system.
func (s *endurance) sample() map[string]used {
	s.t.Helper()
	pids := s.members()
	handles := handlesOf(pids)
	now := map[string]used{}
	for name, pid := range pids {
		u := used{handles: handles[name], memory: memory(pid)}
		_, _ = fmt.Sscanf(firstLine(fmt.Sprintf("/proc/%d/status", pid), "Threads:"), "Threads: %d", &u.threads) // 0 where the system does not say
		now[name] = u
	}
	return now
}

// flat wants that the processes have no more in the last samples than in the first.
func (s *endurance) flat(when string, samples []map[string]used) {
	s.t.Helper()
	third := max(1, len(samples)/3)
	first, last := samples[:third], samples[len(samples)-third:]
	for name := range samples[0] {
		a, b := most(first, name), most(last, name)
		s.t.Logf("%s, %s: %d threads, %d handles and %d MiB at first, %d, %d and %d at last", name, when, a.threads, a.handles, a.memory>>20, b.threads, b.handles, b.memory>>20)
		if b.threads > a.threads+moreThreads || b.handles > a.handles+moreHandles || *strict && b.memory > a.memory+moreMemory {
			s.t.Errorf("%s, %s, grew from %+v to %+v", name, when, a, b)
		}
	}
}

// most gives the most that a process had in some samples.
func most(samples []map[string]used, name string) (m used) {
	for _, sample := range samples {
		u := sample[name]
		m = used{max(m.threads, u.threads), max(m.handles, u.handles), max(m.memory, u.memory)}
	}
	return m
}

package main_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var slowConnections = flag.Int("slow", 8, "connections of each kind in TestSlowConnections")

// What holds while connections are slow.
const (
	slowTimes  = 2                      // the p99 of other callers, times what it was
	burstTimes = 10                     // that of the worst round, in which the answers leave that slow clients asked for,
	burstLeast = 100 * time.Millisecond // or this, which is more where the rounds are short
	slowMemory = 96 << 20               // bytes that a process may take more than it took or, where it has one, than its collector's limit
)

// slowHeap are the limits to which processes hold their collectors, in bytes.
var slowHeap = map[string]int64{"transport-http": 512 << 20, "kernel": 640 << 20}

// slowest is how long a connection may go on: its answer may lie in the buffers of
// the system, so that the transport takes it for idle.
const slowest = 2 * time.Minute

// slowKinds are the ways in which a client takes its time, a byte a second.
var slowKinds = []struct {
	begin string // what is sent at once
	read  bool   // the client reads slowly, where others send slowly
}{
	{"GET /objects/tutorial_01_hello HTTP/1.1\r\nHost: localhost\r\nX: ", false},
	{"POST /objects/tutorial_03_counter HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 1000000\r\n\r\n", false},
	{"GET /objects/long HTTP/1.1\r\nHost: localhost\r\n\r\n", true},
}

// TestSlowConnections: clients that take their time do not take that of others, and
// all that they held is free afterwards. With -strict it waits until the station has
// closed all their connections, else they give up.
func TestSlowConnections(t *testing.T) {
	work, scripts := workFolder(t)
	const source = `local long = string.rep("x", 1048576 - 64)
function GET() return long end`
	if err := os.WriteFile(filepath.Join(scripts, "long.lua"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	s := launchIn(t, work)
	c := client(t)
	if a := get(t.Context(), c, s.url+"/objects/long"); a.status != http.StatusOK || len(a.body) < 1<<20-64 {
		t.Fatalf("%d with %d bytes", a.status, len(a.body))
	}
	before, worstBefore := s.latencies(c)
	pids, memory := s.members(), s.memory()
	handles := handlesOf(pids)

	clients, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	for kind := range slowKinds {
		for range *slowConnections {
			all.Go(func() {
				if err := beSlow(clients, strings.TrimPrefix(s.url, "http://"), kind); err != nil {
					t.Error(err)
				}
			})
		}
	}
	if handles != nil {
		until(t, "the connections are open", func() bool { return handlesOf(pids)["transport-http"] >= handles["transport-http"]+3**slowConnections })
	}
	until(t, "the calls among them are over", func() bool { return get(t.Context(), c, s.url+"/objects/long").status == http.StatusOK })
	over := time.Now() // the last answers are on their way
	meanwhile, worst := s.latencies(c)
	t.Logf("%d slow connections of each kind: other callers' p99 was %v and is %v", *slowConnections, before, meanwhile)
	if *strict && meanwhile > slowTimes*before {
		t.Errorf("the p99 of other callers went from %v to %v", before, meanwhile)
	}
	if *strict && worst > max(burstTimes*worstBefore, burstLeast) {
		t.Errorf("the p99 of other callers in the worst round went from %v to %v", worstBefore, worst)
	}
	if *strict && handles != nil {
		open := func() bool { return handlesOf(pids)["transport-http"] > handles["transport-http"]+2 }
		for open() && time.Since(over) < 2*slowest {
			time.Sleep(100 * time.Millisecond)
		}
		within(t, "until the station has closed all connections", time.Since(over), slowest+10*time.Second)
	}
	stop()
	all.Wait()
	for name, bytes := range s.memory() {
		peak := max(highWater(s.members()[name]), bytes)
		t.Logf("%s: %d MiB before, %d MiB at most", name, memory[name]>>20, peak>>20)
		if *strict && peak > max(memory[name], slowHeap[name])+slowMemory {
			t.Errorf("%s grew from %d MiB to %d MiB", name, memory[name]>>20, peak>>20)
		}
	}
	for name, n := range handles {
		until(t, name+" has its handles back", func() bool { return handlesOf(pids)[name] <= n+2 })
	}
	if n := s.storedCount(); n != 0 {
		t.Errorf("the counter is at %d", n)
	}
	s.end()
}

// beSlow takes its time until the station closes the connection, or ctx ends.
func beSlow(ctx context.Context, addr string, kind int) error {
	k := slowKinds[kind]
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it was of no use any more
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, k.begin); err != nil {
		return err
	}
	closed := make(chan struct{})
	if !k.read {
		go func() {
			defer close(closed)
			_, _ = io.Copy(io.Discard, bufio.NewReader(conn)) // to its end, however that comes
		}()
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	piece := make([]byte, 1)
	for {
		select {
		case <-closed:
			return nil
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if k.read {
			_, err = conn.Read(piece)
		} else {
			_, err = conn.Write([]byte("x"))
		}
		if err != nil {
			return nil // the station has closed it, which is what it shall do
		}
	}
}

// latencies calls hello again and again, and gives the 99th of 100 latencies; with
// -strict those of three rounds, the one which is neither the least nor the most, and the
// most: the first round may fall into the time in which the answers leave that slow
// clients have asked for.
func (s *station) latencies(c *http.Client) (middle, worst time.Duration) {
	s.t.Helper()
	if !*strict {
		p99 := s.latency(c, 100)
		return p99, p99
	}
	rounds := []time.Duration{s.latency(c, 2000), s.latency(c, 2000), s.latency(c, 2000)}
	s.t.Logf("p99 of hello in three rounds: %v", rounds)
	slices.Sort(rounds)
	return rounds[1], rounds[2]
}

func (s *station) latency(c *http.Client, calls int) time.Duration {
	s.t.Helper()
	var took []time.Duration
	for range calls {
		began := time.Now()
		if a := get(s.t.Context(), c, s.url+helloPath); a.status != http.StatusOK {
			s.t.Fatalf("hello gave %d %s", a.status, a.body)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// handlesOf counts the open files of processes, by their names; nil where the system
// does not say.
func handlesOf(pids map[string]int) map[string]int {
	all := map[string]int{}
	for name, pid := range pids {
		list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			return nil
		}
		all[name] = len(list)
	}
	return all
}

package main_test

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/transport"
)

var terms = flag.Int("terms", 1, "rounds of TestTermUnderLoad")

// termScripts are the objects of TestTermUnderLoad: each call leaves its key in
// the state.
var termScripts = map[string]string{
	"quick": `function POST(r) state.set(r.key, true) return { key = r.key } end`,
	"slow": `function POST(r)
  local began = time.now()
  while time.now() - began < 1 do end
  state.set(r.key, true)
  return { key = r.key }
end`,
	"upload": `function POST(r, call)
  state.set(r.key, files.put(r.key, call.files.f).size)
  return { key = r.key }
end`,
}

// The clients of TestTermUnderLoad: how many of each, and what they call.
var termClients = []struct {
	n      int
	object string
	kept   bool // one connection for all calls
}{
	{40, "quick", true}, {16, "quick", false}, {1, "slow_1", true}, {1, "slow_2", false}, {1, "slow_3", true}, {5, "upload", true},
}

// TestTermUnderLoad ends a station in the midst of calls. Whoever gets an answer
// gets all of it, and it is no refusal by the station; what was answered is
// stored, and what was not has not happened.
func TestTermUnderLoad(t *testing.T) {
	for round := 1; round <= *terms; round++ {
		termUnderLoad(t)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

func termUnderLoad(t *testing.T) {
	work, scripts := t.TempDir(), ""
	scripts = filepath.Join(work, "scripts")
	if err := os.Mkdir(scripts, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range termClients {
		source := termScripts[strings.TrimRight(c.object, "_123")]
		if err := os.WriteFile(filepath.Join(scripts, c.object+".lua"), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := launchIn(t, work)
	pids := s.members()
	var clients []*termClient
	var all sync.WaitGroup
	for _, c := range termClients {
		for range c.n {
			client := &termClient{addr: strings.TrimPrefix(s.url, "http://"), object: c.object, kept: c.kept, name: fmt.Sprintf("c%d", len(clients))}
			clients = append(clients, client)
			all.Go(client.run)
		}
	}
	until(t, "each client has been answered", func() bool {
		for _, c := range clients {
			if c.answered.Load() == 0 {
				return false
			}
		}
		return true
	})
	began := time.Now()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	within(t, "the end under load", time.Since(began), transport.DrainTime)
	all.Wait()
	for name, pid := range pids {
		until(t, name+" ends", func() bool { return over(pid) })
	}
	if log := s.logs.String(); strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
		t.Errorf("the station did not end in order:\n%s", log)
	}
	checkTerm(t, launchIn(t, work), clients)
}

// checkTerm compares what clients were told with what is stored.
func checkTerm(t *testing.T, s *station, clients []*termClient) {
	t.Helper()
	stored := map[string]map[string]any{}
	answered := 0
	ends := map[string]int{}
	for _, c := range clients {
		keys, known := stored[c.object]
		if !known {
			var v struct{ State map[string]any }
			s.read("/objects/"+c.object+"?state=true", &v)
			keys, stored[c.object] = v.State, v.State
		}
		n := int(c.answered.Load())
		for i := range n {
			if keys[c.key(i)] == nil {
				t.Errorf("%s: call %d of %d was answered with 200, and is not in the state", c.object, i+1, n)
			}
		}
		if c.fault != nil {
			t.Errorf("%s, kept connection %v: call %d: %v", c.object, c.kept, n+1, c.fault)
		} else if keys[c.key(n)] != nil {
			t.Errorf("%s, kept connection %v: call %d got no answer (%s), and is in the state", c.object, c.kept, n+1, c.end)
		}
		answered += n
		ends[c.end]++
	}
	t.Logf("%d calls were answered; the ends of %d clients: %v", answered, len(clients), ends)
	s.end()
}

// termClient calls one object until it gets no answer.
type termClient struct {
	addr, object, name string
	kept               bool
	answered           atomic.Int64

	end   string // how the last call ended, which the station never took
	fault error  // an answer that none may get
}

func (c *termClient) key(n int) string { return fmt.Sprintf("%s-%d", c.name, n) }

// run makes calls until one is refused.
func (c *termClient) run() {
	var conn net.Conn
	var in *bufio.Reader
	defer func() {
		if conn != nil {
			_ = conn.Close() // all was read
		}
	}()
	for used := false; ; used = true {
		if conn == nil {
			var err error
			if conn, err = net.Dial("tcp", c.addr); err != nil {
				conn, c.end = nil, "refused"
				if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) {
					c.fault = err
				}
				return
			}
			_ = conn.SetDeadline(time.Now().Add(patience)) // a connection takes it
			in, used = bufio.NewReader(conn), false
		}
		again, err := c.call(conn, in)
		switch {
		case errors.Is(err, errNotTaken) && used:
			c.end = "closed while idle"
			return
		case errors.Is(err, errNotTaken):
			c.end = "closed in the queue"
			return
		case err != nil:
			c.fault = err
			return
		}
		c.answered.Add(1)
		if !again || !c.kept {
			_ = conn.Close() // all was read
			conn = nil
		}
	}
}

// errNotTaken is a connection that was closed before a byte of an answer.
var errNotTaken = errors.New("no answer")

// call makes one call and wants a whole answer of 200, or not a byte.
func (c *termClient) call(conn net.Conn, in *bufio.Reader) (again bool, err error) {
	target := "/objects/" + c.object + "?key=" + c.key(int(c.answered.Load()))
	sent := make(chan struct{})
	go func() { // an answer may come before all is sent
		defer close(sent)
		if c.object == "upload" {
			_ = sendSlowly(conn, target) // what became of it is in what is read
			return
		}
		_, _ = io.WriteString(conn, "POST "+target+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
	}()
	defer func() { <-sent }()
	if _, err := in.Peek(1); err != nil {
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
			return false, fmt.Errorf("no answer, and no end: %w", err)
		}
		_ = conn.Close() // ends what is still being sent
		return false, errNotTaken
	}
	res, err := http.ReadResponse(in, &http.Request{Method: http.MethodPost})
	if err != nil {
		return false, fmt.Errorf("the answer was cut: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // it is read to its end
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return false, fmt.Errorf("the answer was cut: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return false, fmt.Errorf("%d %s", res.StatusCode, body)
	}
	return !res.Close, nil
}

// sendSlowly uploads 128 KiB, which takes about half a second.
func sendSlowly(w io.Writer, target string) error {
	const head = "--b\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n"
	const tail = "\r\n--b--\r\n"
	const pieces, piece = 16, 8 << 10
	_, err := fmt.Fprintf(w, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n%s",
		target, len(head)+pieces*piece+len(tail), head)
	for range pieces {
		if err != nil {
			return err
		}
		time.Sleep(30 * time.Millisecond)
		_, err = io.WriteString(w, strings.Repeat("x", piece))
	}
	if err == nil {
		_, err = io.WriteString(w, tail)
	}
	return err
}

// TestTermTwice: the second signal ends a station at once, and its plugins with
// it, when the station says that it stops, and when it has not yet seen the first.
func TestTermTwice(t *testing.T) {
	t.Run("once it stops", func(t *testing.T) {
		termTwice(t, syscall.SIGTERM, func(s *station) {
			until(t, "the station says that it ends", func() bool { return strings.Contains(s.logs.String(), "station is stopping") })
		})
	})
	// Two of one kind would be one to the system.
	t.Run("at the same time", func(t *testing.T) { termTwice(t, syscall.SIGINT, func(*station) {}) })
}

// termTwice does so again where the machine was so busy that the call may have ended
// by itself before the second signal.
func termTwice(t *testing.T, second syscall.Signal, wait func(*station)) {
	for range 5 {
		if inTime := termTwiceInACall(t, second, wait); inTime {
			return
		}
	}
	t.Fatal("five times a call of 4 s had ended before the second signal")
}

func termTwiceInACall(t *testing.T, second syscall.Signal, wait func(*station)) (inTime bool) {
	work, scripts := workFolder(t)
	const source = `function GET() local began = time.now() while time.now() - began < 4 do end end`
	if err := os.WriteFile(filepath.Join(scripts, "slow.lua"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	s := launchIn(t, work)
	pids := s.members()
	answers, asked := make(chan answer, 1), time.Now()
	go func() { answers <- get(t.Context(), client(t), s.url+"/objects/slow") }()
	until(t, "the call runs, or has ended", func() bool { return s.runs("slow") || len(answers) > 0 })
	if err := s.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wait(s)
	began := time.Now()
	if err := s.signal(second); err != nil {
		t.Fatal(err)
	}
	if time.Since(asked) > 3500*time.Millisecond {
		s.kill()
		return false
	}
	<-s.done
	for name, pid := range pids {
		until(t, name+" ends", func() bool { return over(pid) })
	}
	within(t, "the end after a second signal", time.Since(began), time.Second)
	if a := <-answers; a.status != 0 {
		t.Errorf("the call in flight was answered with %d %s; the second signal has not ended it", a.status, a.body)
	}
	if status, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
		t.Errorf("the station ended with %v, want a signal", s.cmd.ProcessState)
	}
	return true
}

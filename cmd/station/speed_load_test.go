package main_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var generator = flag.String("generator", "", "what makes the load of TestSpeed, wrk or go; else wrk where it is installed and the times are whole seconds")

// request is what a client sends, to a path of the station.
type request struct{ method, path, body string }

// traffic is what clients send: each connection goes through order again and again,
// from a place of its own, and sends its next request when it has the last answer.
type traffic struct {
	requests    []request
	order       []int // of requests; nil for one that is always the same
	connections int
}

// only is traffic of GETs of one path.
func only(path string, connections int) traffic {
	return traffic{requests: []request{{http.MethodGet, path, ""}}, connections: connections}
}

func (w traffic) at(i int) request {
	if w.order == nil {
		return w.requests[0]
	}
	return w.requests[w.order[i%len(w.order)]]
}

// outcome is how traffic was answered, always with 200.
type outcome struct {
	answered int
	open     int // at most so many more were sent, whose answers nobody waited for
	took     time.Duration
	p50, p99 time.Duration
}

func (o outcome) rate() float64 { return float64(o.answered) / o.took.Seconds() }

// drive makes traffic for a time. An error is one answer that was not 200 or did
// not come: what was measured then says nothing.
func drive(t *testing.T, url string, w traffic, d time.Duration) (outcome, error) {
	t.Helper()
	_, missing := exec.LookPath("wrk")
	switch {
	case *generator == "go", *generator == "" && (missing != nil || d%time.Second != 0):
		return driveGo(url, w, d)
	case *generator != "" && *generator != "wrk":
		t.Fatalf("-generator is %q; it is wrk or go", *generator)
	case d%time.Second != 0:
		t.Fatalf("wrk measures whole seconds, not %v", d)
	}
	return driveWrk(t, url, w, d)
}

// generatorName says what drive uses for a time.
func generatorName(d time.Duration) string {
	if _, missing := exec.LookPath("wrk"); *generator == "go" || *generator == "" && (missing != nil || d%time.Second != 0) {
		return "the Go generator"
	}
	return "wrk, one thread"
}

// wrkScript has the requests in their order, and says how it went in one line.
const wrkScript = `
local all, order, at = {}, {}, 0
local threads = 0
function setup(thread)
  thread:set("first", threads * 7919)
  threads = threads + 1
end
function init()
  %s
  for n in ("%s"):gmatch("%%d+") do order[#order + 1] = tonumber(n) end
  at = first
  if #all == 1 then request = function() return all[1] end end
end
function request()
  at = at %% #order + 1
  return all[order[at]]
end
function done(summary, latency)
  local e = summary.errors
  io.write(("outcome %%d %%d %%d %%d %%d %%d %%d %%d\n"):format(summary.requests, summary.duration,
    e.connect, e.read, e.write, e.status, latency:percentile(50), latency:percentile(99)))
end
`

func driveWrk(t *testing.T, url string, w traffic, d time.Duration) (outcome, error) {
	t.Helper()
	var all, order strings.Builder
	for _, r := range w.requests {
		fmt.Fprintf(&all, "all[#all + 1] = wrk.format(%q, %q, { [\"Content-Type\"] = \"application/json\" }, [==[%s]==])\n", r.method, r.path, r.body)
	}
	for _, n := range w.order {
		fmt.Fprint(&order, n+1, " ")
	}
	script := filepath.Join(t.TempDir(), "traffic.lua")
	if err := os.WriteFile(script, fmt.Appendf(nil, wrkScript, all.String(), order.String()), 0o600); err != nil {
		return outcome{}, err
	}
	out, err := exec.Command("wrk", "-t1", "-c", strconv.Itoa(w.connections), "-d", fmt.Sprintf("%ds", int(d.Seconds())),
		"--timeout", "30s", "-s", script, url).CombinedOutput()
	if err != nil {
		return outcome{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	_, line, _ := strings.Cut(string(out), "outcome ")
	var o outcome
	var took, connect, read, write, status, p50, p99 int64
	if _, err := fmt.Sscan(line, &o.answered, &took, &connect, &read, &write, &status, &p50, &p99); err != nil {
		return outcome{}, fmt.Errorf("wrk: %w in\n%s", err, out)
	}
	if connect+read+write+status > 0 {
		return outcome{}, fmt.Errorf("%d connections failed, %d reads, %d writes, and %d answers were errors", connect, read, write, status)
	}
	if o.answered == 0 {
		return o, fmt.Errorf("no answer came in %v", d)
	}
	o.open = w.connections // wrk closes them when the time is over
	o.took, o.p50, o.p99 = micros(took), micros(p50), micros(p99)
	return o, nil
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

func driveGo(url string, w traffic, d time.Duration) (outcome, error) {
	var mu sync.Mutex
	var all []time.Duration
	var faults []error
	var clients sync.WaitGroup
	began := time.Now()
	ctx, stop := context.WithTimeout(context.Background(), d)
	defer stop()
	for i := range w.connections {
		clients.Go(func() {
			took, err := sendOver(ctx, url, w, i)
			mu.Lock()
			defer mu.Unlock()
			all, faults = append(all, took...), append(faults, err)
		})
	}
	clients.Wait()
	o := outcome{answered: len(all), took: time.Since(began)}
	if err := errors.Join(faults...); err != nil {
		return o, err
	}
	if len(all) == 0 {
		return o, fmt.Errorf("no answer came in %v", d)
	}
	slices.Sort(all)
	o.p50, o.p99 = all[len(all)/2], all[(len(all)*99+99)/100-1]
	return o, nil
}

// sendOver sends what the n-th connection sends until ctx ends, and gives the
// latency of each answer.
func sendOver(ctx context.Context, url string, w traffic, n int) (took []time.Duration, err error) {
	c := caller{addr: strings.TrimPrefix(url, "http://")}
	defer c.close()
	for i := n * 7919; ctx.Err() == nil; i++ {
		r := w.at(i)
		began := time.Now()
		status, body, err := c.call(r)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d %.300s", status, body)
		}
		if err != nil {
			return took, fmt.Errorf("%s %s: %w", r.method, r.path, err)
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// caller is one connection, made again after an error. It sends nothing twice, as
// net/http does with a GET when a connection that it kept is closed.
type caller struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
	sent bool // whether the station may have got the last request
}

// call sends a request and reads the answer.
func (c *caller) call(r request) (status int, body []byte, err error) {
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	c.sent = false
	if c.conn == nil {
		if c.conn, err = net.Dial("tcp", c.addr); err != nil {
			return 0, nil, err
		}
		c.in = bufio.NewReader(c.conn)
	}
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	text := r.method + " " + r.path + " HTTP/1.1\r\nHost: " + c.addr + "\r\n"
	if r.body != "" {
		text += "Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(r.body)) + "\r\n"
	}
	c.sent = true
	if _, err := io.WriteString(c.conn, text+"\r\n"+r.body); err != nil {
		return 0, nil, err
	}
	res, err := http.ReadResponse(c.in, &http.Request{Method: r.method})
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }() // it was read to its end, or the connection is lost
	if body, err = io.ReadAll(res.Body); err != nil {
		return 0, nil, err
	}
	if res.Close {
		c.close()
	}
	return res.StatusCode, body, nil
}

func (c *caller) close() {
	if c.conn != nil {
		_ = c.conn.Close() // all was read, or it is of no use any more
		c.conn = nil
	}
}

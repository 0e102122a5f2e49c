package luahost

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

// childEnv, set, makes this test binary run programs that it is sent, instead of tests.
const childEnv = "LUAHOST_RUN_PROGRAMS"

// slack is how much later than at its limit a load or call may end: what does not end
// by itself never does, and a busy machine may be late.
const slack = 10 * time.Second

// childMemory is the most that the child may ever have of the system's memory,
// with two VMs of 8 MiB at a time.
const childMemory = 384 << 20

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		runPrograms()
	}
	os.Exit(m.Run())
}

// childLimits are small, so that programs end soon.
func childLimits() Limits {
	l := DefaultLimits()
	l.Steps, l.Time, l.Memory = 100_000, time.Second, 8<<20
	return l
}

// report is what the child says of one program.
type report struct {
	Runs   []ending
	Faults []string // what was wrong beside
	Peak   int      // bytes of memory that the child had at most, 0 where the system does not tell
}

// ending is how one load or call of a program ended.
type ending struct {
	What string // "load", "GET"
	Took time.Duration
	Code string // of its error; empty without one
}

// runPrograms reads programs, each a line that is a JSON string, and answers each
// with a line of its report. It ends with its input.
func runPrograms() {
	programs := make(chan string)
	go func() {
		in := json.NewDecoder(bufio.NewReader(os.Stdin))
		for {
			var source []byte
			if err := in.Decode(&source); err != nil { // the parent has gone, whatever runs
				os.Exit(0)
			}
			programs <- string(source)
		}
	}()
	go func() { // a program that takes all there is must not take it from the machine
		for range time.Tick(5 * time.Millisecond) {
			if n := resident(); n > 2*childMemory {
				panic(fmt.Sprintf("the child takes %d MiB", n>>20))
			}
		}
	}()
	out := json.NewEncoder(os.Stdout)
	before := runtime.NumGoroutine()
	for source := range programs {
		r := examine([]byte(source))
		for end := time.Now().Add(time.Minute); runtime.NumGoroutine() > before && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if n := runtime.NumGoroutine(); n > before {
			r.Faults = append(r.Faults, fmt.Sprintf("%d goroutines are left", n-before))
		}
		r.Peak = mostMemory()
		if err := out.Encode(r); err != nil {
			panic(err)
		}
	}
}

// mostMemory reads the most memory that this process ever had, as Linux counts it.
func mostMemory() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kilobytes, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, err := strconv.Atoi(kilobytes)
	if err != nil {
		return 0
	}
	return n << 10
}

// examine runs a program twice at a time, each in VMs of its own, so that what
// they share without a right to is written by two.
func examine(source []byte) report {
	module := CompileModule("shared", []byte(`local n = 0 return { next = function() n = n + 1 return n end, list = {} }`))
	p, err := Compile(source)
	if err == nil {
		p, _, err = p.Link(Modules{"shared": module})
	}
	if err != nil {
		var r report
		r.note("compile", time.Now(), err)
		return r
	}
	p.Env = Env{"HOME": "/home"}
	var reports [2]report
	var both sync.WaitGroup
	for i := range reports {
		both.Go(func() { reports[i].run(p) })
	}
	both.Wait()
	return report{Runs: slices.Concat(reports[0].Runs, reports[1].Runs), Faults: slices.Concat(reports[0].Faults, reports[1].Faults)}
}

// run loads a program and calls it several times, in the same VM while that may be.
func (r *report) run(p *Program) {
	o := &staging{fake: newFake()}
	o.ids = []id.Object{"a", "b"}
	o.invoke = func(c host.Call) (host.Result, error) {
		if c.Object == "a" {
			return typed("application/json", string(c.Body)), nil
		}
		return host.Result{}, errs.New(errs.NotFound, "", "There is no such object.")
	}
	var vm *VM
	for _, call := range []host.Call{
		{Method: "GET", Query: []host.Field{{Name: "a", Value: "1"}}},
		{Method: "POST", Type: "application/json", Body: []byte(`{"a":{"b":[1,2]},"c":null}`)},
		{Method: "POST", Form: []host.Field{{Name: "action", Value: "act"}}},
		{Method: "GET"},
	} {
		if vm == nil || vm.Spent() {
			began := time.Now()
			fresh, err := p.NewVM(childLimits(), nil)
			r.note("load", began, err)
			if err != nil {
				return
			}
			defer fresh.Close()
			vm = fresh
		}
		o.bytes = 0
		began := time.Now()
		call.Object, call.Path, call.RequestID = "a", "/objects/a", "r-1"
		answer, err := vm.Call(context.Background(), o, Request{Call: call, Station: "alpha", Version: 7})
		r.note(call.Method, began, err)
		if err == nil && (answer.Status < 200 || answer.Status > 599 || len(answer.Body) > childLimits().Response) {
			r.Faults = append(r.Faults, fmt.Sprintf("%s gave %d with %d bytes", call.Method, answer.Status, len(answer.Body)))
		}
	}
}

// endings are the codes that a load or a call of any program may end with, but for
// those that a script names itself with fail.
var endings = func() map[string]bool {
	known := map[string]bool{}
	for code := range fields(`step_limit time_limit memory_limit recursion_limit coroutine_limit response_limit request_limit
		staged_limit file_read_limit key_limit value_limit log_message_limit log_entry_limit source_too_large no_such_file`) {
		known[code] = true
	}
	for _, k := range []errs.Kind{errs.Source, errs.Script, errs.MethodNotAllowed} {
		known[(&errs.Error{Kind: k}).CodeOf()] = true
	}
	return known
}()

// note adds how a load or a call ended, and what was wrong with that.
func (r *report) note(what string, began time.Time, err error) {
	run := ending{What: what, Took: time.Since(began)}
	if err != nil {
		e, ok := errors.AsType[*errs.Error](err)
		switch {
		case !ok:
			r.Faults = append(r.Faults, fmt.Sprintf("%s: an error of another type: %v", what, err))
			e = errs.From(err)
		case e.Kind == errs.Refused && isCode(e.CodeOf()) && e.Status >= 400 && e.Status <= 599:
		case !endings[e.CodeOf()] || e.Kind == errs.Internal:
			r.Faults = append(r.Faults, fmt.Sprintf("%s ended with %v %s: %v\n%s", what, e.Kind, e.CodeOf(), e, e.Traceback))
		}
		run.Code = e.CodeOf()
	}
	if most := childLimits().Time + slack; run.Took > most {
		r.Faults = append(r.Faults, fmt.Sprintf("%s took %v, more than %v", what, run.Took, most))
	}
	r.Runs = append(r.Runs, run)
}

// nursery runs programs in a child process, which lives on from one to the next
// and is started anew when it has died.
type nursery struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	stderr *tail
	ran    int // programs that this child has run
}

// tail keeps the beginning of what was written to it, where a crash says what it is.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p[:min(len(p), 16<<10-len(t.text))]...)
	return len(p), nil
}

func (n *nursery) start() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	n.cmd, n.stderr, n.ran = exec.Command(self), &tail{}, 0
	n.cmd.Env = append(os.Environ(), childEnv+"=1")
	n.cmd.Stderr = n.stderr
	if n.in, err = n.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	n.out = json.NewDecoder(out)
	return n.cmd.Start()
}

// run gives the child's report of a program, or how the child died of it. A
// child that does not answer is told to say where it is, and dies of that.
func (n *nursery) run(source string) (r report, err error) {
	if n.cmd == nil {
		if err := n.start(); err != nil {
			return report{}, err
		}
	}
	n.ran++
	const phases = 8 // of a program: a load and a call for each request
	hung := time.AfterFunc(phases*(childLimits().Time+slack), func() { _ = n.cmd.Process.Signal(syscall.SIGQUIT) })
	defer hung.Stop()
	if err = json.NewEncoder(n.in).Encode([]byte(source)); err == nil {
		err = n.out.Decode(&r)
	}
	if err != nil {
		cmd := n.cmd
		n.stop()
		return report{}, fmt.Errorf("the child died or hung (%v), its program number %d: %w\n%s", cmd.ProcessState, n.ran, err, n.stderr.text)
	}
	if r.Peak > childMemory {
		n.stop()
		r.Faults = append(r.Faults, fmt.Sprintf("the child took %d MiB, with its program number %d", r.Peak>>20, n.ran))
	}
	return r, nil
}

// stop ends the child and waits for it. The kill reaches one that ignores the end of its input.
func (n *nursery) stop() {
	if n.cmd == nil {
		return
	}
	_ = n.in.Close()
	kill := time.AfterFunc(5*time.Second, func() { _ = n.cmd.Process.Kill() })
	_ = n.cmd.Wait() // how it ended is in ProcessState
	kill.Stop()
	n.cmd = nil
}

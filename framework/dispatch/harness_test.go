package dispatch_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

const counter = `
function GET()
  local n = (state.get("count") or 0) + 1
  state.set("count", n)
  log.info("up", { n = n })
  return { count = n }
end
function PUT() return { count = state.get("count") or 0 } end
function POST(request)
  state.set("count", 1000)
  log.info("before")
  if request.how == "fail" then fail(409, "no_way", "not today") end
  if request.how == "spin" then while true do end end
  error("broken")
end
function DELETE() state.delete("count") end`

// disk is a memory store that can be taken down, with the hooks of the fake.
type disk struct {
	*storagetest.Memory
	storage.Storage
	down atomic.Bool
}

func (d *disk) Up() bool { return !d.down.Load() }

func (d *disk) Begin(commits []storage.Commit, done func([]error)) {
	storagetest.Begin(d, commits, done)
}

type program struct {
	*luahost.Program
	limits luahost.Limits
}

func (p program) NewVM(pass func()) (dispatch.VM, error) {
	return p.Program.NewVM(p.limits, pass)
}

// compile gives a program that the limits of a call alone bound in time.
func compile(t *testing.T, source string) dispatch.Program {
	t.Helper()
	p, err := luahost.Compile([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	limits := luahost.DefaultLimits()
	limits.Steps, limits.Time = 1<<60, time.Hour
	return program{p, limits}
}

// station is a dispatcher over a memory store; hooks may be nil.
type station struct {
	*dispatch.Dispatcher
	disk *disk
}

func newStation(t *testing.T, limits dispatch.Limits, hooks func(*storagetest.Memory)) *station {
	t.Helper()
	m := storagetest.NewMemory()
	if hooks != nil {
		hooks(m)
	}
	return newStationOver(t, m, limits)
}

// newStationOver opens a station on a disk, which outlives it.
func newStationOver(t *testing.T, m *storagetest.Memory, limits dispatch.Limits) *station {
	t.Helper()
	d := &disk{Memory: m, Storage: m.Open(t, plugin.Config{Station: "s1", DataDir: "d"})}
	boot, err := d.Boot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &station{disk: d, Dispatcher: dispatch.New(dispatch.Options{
		Station: "s1", Store: d, Cluster: cluster.None{}, Clock: hlc.NewClock(time.Now, boot.High),
		Log: slog.New(slog.DiscardHandler), Limits: limits,
	})}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// put serves a source under a name, as version 1.
func (s *station) put(t *testing.T, name id.Object, source string) {
	t.Helper()
	s.Serve(name, dispatch.Source{Version: 1, Program: compile(t, source)})
}

func (s *station) call(name id.Object, method string, query ...host.Field) (host.Result, error) {
	return s.Invoke(context.Background(), host.Call{Object: name, Method: method, RequestID: "r1", Query: query})
}

// count reads {"count": n} from an answer.
func count(t *testing.T, r host.Result) int {
	t.Helper()
	var v struct{ Count int }
	if err := json.Unmarshal(r.Body, &v); err != nil {
		t.Fatalf("answer %q: %v", r.Body, err)
	}
	return v.Count
}

func (s *station) mustCount(t *testing.T, name id.Object, method string) int {
	t.Helper()
	r, err := s.call(name, method)
	if err != nil {
		t.Fatalf("%s %s: %v", method, name, err)
	}
	return count(t, r)
}

func wantKind(t *testing.T, err error, k errs.Kind) {
	t.Helper()
	if !errs.Is(err, k) {
		t.Fatalf("error is %v, want kind %v", err, k)
	}
}

func (s *station) logs(t *testing.T, name id.Object) []storage.Entry {
	t.Helper()
	p, err := s.disk.Logs(t.Context(), storage.LogsQuery{Object: name, Limit: storage.MaxPage, Oldest: true})
	if err != nil {
		t.Fatal(err)
	}
	return p.Entries
}

// gate is a hook that holds batches until it is opened.
type gate struct {
	entered chan []storage.Commit // each batch, as it arrives
	verdict chan error            // what becomes of it
}

func newGate() *gate {
	return &gate{entered: make(chan []storage.Commit, 100), verdict: make(chan error, 100)}
}

func (g *gate) hook(_ context.Context, c []storage.Commit) error {
	g.entered <- append([]storage.Commit(nil), c...)
	return <-g.verdict
}

// await fails the test if nothing comes within a minute.
func await[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(time.Minute):
		t.Fatal("nothing came within a minute")
		panic("unreachable")
	}
}

// outcome is what a call in the background gave.
type outcome struct {
	result host.Result
	err    error
}

func (s *station) start(name id.Object, method string, query ...host.Field) <-chan outcome {
	c := make(chan outcome, 1)
	go func() {
		r, err := s.call(name, method, query...)
		c <- outcome{r, err}
	}()
	return c
}

// until polls a condition for at most a minute.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// goroutine gives the number of the one that runs.
func goroutine() string {
	stack := make([]byte, 64)
	return strings.Fields(string(stack[:runtime.Stack(stack, false)]))[1]
}

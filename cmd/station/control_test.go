package main_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/framework/metrics"
	transporthttp "github.com/dbbasic/station/plugins/transport-http"
	"github.com/dbbasic/station/scripts"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

var speedProfiles = flag.String("speed-profiles", "", "folder into which TestSpeed writes processor profiles of the control")

// inProcess is what the report adds to the name of what the control does.
const inProcess = ", in one process"

// control measures hello and the counter without processes between the parts.
func (r *report) control(t *testing.T) {
	for _, c := range []struct{ what, path string }{{"hello", helloPath}, {"counter", counterPath}} {
		t.Run(c.what, func(t *testing.T) {
			profile := ""
			if *speedProfiles != "" {
				if err := os.MkdirAll(*speedProfiles, 0o755); err != nil {
					t.Fatal(err)
				}
				profile = filepath.Join(*speedProfiles, "control-"+c.what+".pprof")
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			s := launch(t, exec.Command(self, "control", profile))
			on := &subject{url: s.url, pids: []int{s.cmd.Process.Pid}}
			measured := trial{what: c.what + inProcess, on: on, traffic: only(c.path, 64)}
			if c.path == counterPath {
				measured.counts = s.storedCount
			}
			r.measure(t, measured)
			s.end()
		})
	}
}

// control is a station without hops, for comparison: the HTTP transport, the kernel's
// dispatch with its meter and metrics, and a storage in memory are one process.
func control() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 2 && os.Args[2] != "" {
		f, err := os.Create(os.Args[2])
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
	}
	const station = "station1"
	store := storagetest.NewMemory().New()
	if err := store.Configure(ctx, plugin.Config{Station: station, DataDir: "data"}); err != nil {
		return err
	}
	budget := luahost.NewBudget(luahost.DefaultBudget)
	log := slog.New(slog.DiscardHandler)
	d := dispatch.New(dispatch.Options{
		Station: station, Store: withoutLog{store}, Cluster: cluster.None{}, Clock: hlc.NewClock(time.Now, 0), Log: log, Limits: dispatch.DefaultLimits(),
		Calls: metrics.NewCalls(), Commits: metrics.NewCommits(), PathOf: func(object id.Object) string { return "tutorial/" + string(object) },
	})
	budget.OnFull(d.Shed)
	for object, file := range map[id.Object]string{"tutorial_01_hello": "tutorial/01_hello.lua", "tutorial_03_counter": "tutorial/03_counter.lua"} {
		text, err := scripts.Files.ReadFile(file)
		if err != nil {
			return err
		}
		compiled, err := luahost.Compile(text)
		if err != nil {
			return err
		}
		limits := luahost.DefaultLimits()
		limits.Budget = budget
		d.Serve(object, dispatch.Source{Version: 1, Program: limited{compiled, limits}})
	}
	transport := transporthttp.New(log, "control")
	if err := transport.Configure(ctx, plugin.Config{Station: station, Boot: 1}); err != nil {
		return err
	}
	err := serveAlone("control", func(ln net.Listener) error { return transport.Serve(ctx, ln, controlHost{objects: d}) })
	if err != nil {
		return err
	}
	pprof.StopCPUProfile()
	return nil
}

// limited is a program whose calls have the limits of a station.
type limited struct {
	*luahost.Program
	limits luahost.Limits
}

// NewVM implements dispatch.Program.
func (p limited) NewVM(pass func()) (dispatch.VM, error) {
	return p.Program.NewVM(p.limits, pass)
}

// withoutLog is a store in memory that keeps no log entries, so that it does not grow.
type withoutLog struct{ storage.Storage }

// Up implements dispatch.Store.
func (withoutLog) Up() bool { return true }

// Begin implements dispatch.Store.
func (s withoutLog) Begin(commits []storage.Commit, done func([]error)) {
	commits = slices.Clone(commits)
	for i := range commits {
		commits[i].Entries = nil
	}
	done(s.Commit(context.Background(), commits))
}

// controlHost is the part of the kernel's host that the control asks for.
type controlHost struct {
	host.Host
	objects *dispatch.Dispatcher
}

// Identity implements host.Host.
func (controlHost) Identity(context.Context) (host.Identity, error) {
	return host.Identity{Station: "station1", Version: "control"}, nil
}

// Invoke implements host.Host, with the checks of the kernel's.
func (h controlHost) Invoke(ctx context.Context, c host.Call) (host.Result, error) {
	if _, err := id.ParseObject(string(c.Object)); err != nil {
		return host.Result{}, err
	}
	if !id.ValidRequest(c.RequestID) {
		return host.Result{}, fmt.Errorf("the request id %q is malformed", c.RequestID)
	}
	return h.objects.Invoke(ctx, c)
}

// State implements host.Host.
func (h controlHost) State(ctx context.Context, q host.StateQuery) (host.StatePage, error) {
	return h.objects.State(ctx, q)
}

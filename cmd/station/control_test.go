package main_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/framework/metrics"
	storagetsv "github.com/dbbasic/station/plugins/storage-tsv"
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

// What the report adds to the name of what the control does, and where it keeps its data
// on storage-tsv.
const (
	inProcess = ", in one process"
	onTSV     = inProcess + ", on storage-tsv"
)

// control measures hello and the counter without processes between the parts, in turns with
// a station, and what that takes more.
func (r *report) control(t *testing.T) {
	for _, c := range []struct{ what, path, store, name, more string }{
		{"hello", helloPath, "memory", inProcess, "the hop between transport and kernel"},
		{"counter", counterPath, "memory", inProcess, "both hops, and the storage's own work"},
		{"counter", counterPath, "tsv", onTSV, "both hops"},
	} {
		t.Run(c.what+"-"+c.store, func(t *testing.T) {
			profile := ""
			if *speedProfiles != "" {
				if err := os.MkdirAll(*speedProfiles, 0o755); err != nil {
					t.Fatal(err)
				}
				profile = filepath.Join(*speedProfiles, "control-"+c.what+"-"+c.store+".pprof")
			}
			dir := ""
			if c.store == "tsv" {
				dir = t.TempDir()
			}
			s, whole := launchHelper(t, "control", profile, dir), speedStation(t)
			alone := trial{what: c.what + c.name, on: s.alone(), traffic: only(c.path, 64)}
			station := trial{what: c.what, on: whole.subject(), traffic: alone.traffic}
			if c.path == counterPath {
				alone.counts, station.counts = s.storedCount, whole.storedCount
			}
			row, more := r.row(alone.what, 64), []time.Duration(nil)
			for range *speedRuns {
				m := r.run(t, alone)
				row.add(m)
				more = append(more, r.run(t, station).cpu-m.cpu)
			}
			row.whole = true
			s.end()
			whole.end()
			r.fact("%s: %s of CPU per request more than%s, the median of %d pairs in turns: %s",
				c.what, spread(more, brief), strings.TrimPrefix(c.name, ","), len(more), c.more)
		})
	}
}

// control is a station without hops, for comparison: the HTTP transport, the kernel's
// dispatch with its meter and metrics, and storage are one process. Its arguments are the file of
// a profile and the data folder of storage-tsv; without that, storage is one in memory.
func control() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	profile, dir := os.Args[2], os.Args[3]
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
	}
	const station = "station1"
	log := slog.New(slog.DiscardHandler)
	var store storage.Storage = storagetsv.New(log, "control")
	var objects dispatch.Store = together{store}
	if dir == "" {
		store = storagetest.NewMemory().New()
		objects = withoutLog{store}
	}
	if err := store.Configure(ctx, plugin.Config{Station: station, DataDir: cmp.Or(dir, "none")}); err != nil {
		return err
	}
	budget := luahost.NewBudget(luahost.DefaultBudget)
	d := dispatch.New(dispatch.Options{
		Station: station, Store: objects, Cluster: cluster.None{}, Clock: hlc.NewClock(time.Now, 0), Log: log, Limits: dispatch.DefaultLimits(),
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
	return store.Close(context.WithoutCancel(ctx))
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

// together is a store that commits while calls go on, as one behind a link does.
type together struct{ storage.Storage }

// Up implements dispatch.Store.
func (together) Up() bool { return true }

// Begin implements dispatch.Store. The dispatcher has one batch on its way at a time.
func (s together) Begin(commits []storage.Commit, done func([]error)) {
	go func() { done(s.Commit(context.Background(), commits)) }()
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

// Package kernel puts a station together: the plugins, the objects and what
// runs them. It starts the parts in the order in which they need each other,
// ends them in the reverse order, and leaves all else to them.
package kernel

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/dbbasic/station/framework/catalogue"
	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/listen"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// Config is what a station is started with. All fields but Env and
// Ready are required, and one of Scripts and Bundled.
type Config struct {
	Station    id.Station
	Version    string // of the binary
	Data       string // folder; made where there is none
	Scripts    string // folder; must exist. Empty where the bundled scripts are served
	Bundled    fs.FS  // scripts inside the program, served where Scripts names no folder
	Storage    Plugin
	Transports []Transport // at least one
	Log        *slog.Logger
	Env        luahost.Env            // environment variables that scripts may read; nil for none
	Ready      func(addrs []net.Addr) // called once the station answers, with the address of each transport
}

// Plugin names a plugin and how to run it.
type Plugin struct {
	Name    string
	Command pluginhost.Command
	Options map[string]string // its own settings, see plugin.Config; nil for its defaults
}

// Transport is a transport plugin and where it answers.
type Transport struct {
	Plugin
	Listen listen.Address
}

// settleTime is how long the calls that are left may take at the end, after
// the transport has drained.
const settleTime = 10 * time.Second

// Run runs a station until ctx ends, and gives nil after an orderly end.
func Run(ctx context.Context, c Config) error {
	data, err := filepath.Abs(c.Data)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	c.Data = data
	scripts, err := list(c)
	if err != nil {
		return err
	}
	for _, s := range scripts.Skipped {
		c.Log.Warn("script is left out", "path", s.Path, "error", s.Err)
	}
	sockets, err := openSockets(ctx, c.Transports)
	if err != nil {
		return err
	}
	defer closeSockets(sockets) //nolint:errcheck // closed already after an orderly end
	plugins, err := pluginhost.New(c.Log)
	if err != nil {
		return err
	}
	defer plugins.Close()
	err = run(ctx, c, plugins, scripts, sockets)
	if err != nil && ctx.Err() != nil { // told to stop while it was starting
		c.Log.Info("station was stopped before it was ready", "cause", err)
		return nil
	}
	return err
}

// list gives the scripts of a station.
func list(c Config) (catalogue.Listing, error) {
	if c.Scripts == "" {
		return catalogue.ListInside(c.Bundled)
	}
	return catalogue.Scan(c.Scripts)
}

func run(ctx context.Context, c Config, plugins *pluginhost.Host, scripts catalogue.Listing, sockets []*listen.Socket) error {
	var store pluginhost.Storage
	storageSpec := pluginhost.Spec{Kind: plugin.Storage, Name: c.Storage.Name, Command: c.Storage.Command}
	storageRun, err := plugins.Supervise(ctx, storageSpec, store.Use(plugin.Config{Station: c.Station, DataDir: c.Data, Options: c.Storage.Options}))
	if err != nil {
		return err
	}
	defer storageRun.Stop()

	var boot storage.Boot
	if err := persist(ctx, func() (err error) { boot, err = store.Boot(ctx); return err }); err != nil {
		return err
	}
	budget := luahost.NewBudget(luahost.DefaultBudget)
	defer budget.Close()
	alone := cluster.None{}
	var o *objects
	w := newWatch(plugins, budget)
	d := dispatch.New(dispatch.Options{
		Station: c.Station, Store: &store, Cluster: alone, Clock: hlc.NewClock(time.Now, boot.High),
		Log: c.Log, Limits: dispatch.DefaultLimits(),
		Calls: w.calls, Commits: w.commits, PathOf: func(object id.Object) string { return o.pathOf(object) },
	})
	budget.OnFull(d.Shed)
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
		defer cancel()
		if err := d.Close(end); err != nil {
			c.Log.Warn("calls were still running at the end", "error", err)
		}
	}()
	limits := luahost.DefaultLimits()
	limits.Budget = budget
	var folder *catalogue.Folder
	if c.Scripts != "" {
		if folder, err = catalogue.OpenFolder(c.Scripts, scripts); err != nil {
			return err
		}
		defer folder.Close() //nolint:errcheck // it was only read
	}
	o = newObjects(d, &store, folder, c.Log)
	o.limits, o.env = limits, c.Env
	if err := o.load(ctx, scripts); err != nil {
		return err
	}
	defer o.live(ctx)()

	h := &Host{
		station: c.Station, version: c.Version, dispatch: d, objects: o, store: &store, log: c.Log,
		files: &store, archives: &store, streams: newStreams(maxUploads, maxReads), testing: make(chan struct{}, TestRuns), follows: make(chan struct{}, MaxFollows), reads: make(chan struct{}, followReads),
		cluster: alone, plugins: plugins.Plugins, watch: w,
	}
	var running transports
	defer running.stop()
	for i, t := range c.Transports {
		if err := running.start(ctx, plugins, t, sockets[i], &store, h); err != nil {
			return err
		}
	}

	if c.Ready != nil {
		c.Ready(addresses(sockets))
	}
	<-ctx.Done()
	c.Log.Info("station is stopping")
	// From here on only the transports have the sockets: once they stop listening,
	// clients are refused instead of waiting for nobody.
	return closeSockets(sockets)
}

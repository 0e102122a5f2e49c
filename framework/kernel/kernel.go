// Package kernel puts a station together: the plugins, the objects and what
// runs them. It starts the parts in the order in which they need each other,
// ends them in the reverse order, and leaves all else to them.
package kernel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/dbbasic/station/framework/catalogue"
	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// Config is what a station is started with. All fields but Env and Ready are required.
type Config struct {
	Station   id.Station
	Version   string // of the binary
	Data      string // folder; made where there is none
	Scripts   string // folder; must exist
	Listen    string // HOST:PORT, on loopback; port 0 means any
	Storage   Plugin
	Transport Plugin
	Log       *slog.Logger
	Env       luahost.Env         // environment variables that scripts may read; nil for none
	Ready     func(addr net.Addr) // called once the station answers
}

// Plugin names a plugin and how to run it.
type Plugin struct {
	Name    string
	Command pluginhost.Command
	Options map[string]string // its own settings, see plugin.Config; nil for its defaults
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
	scripts, err := catalogue.Scan(c.Scripts)
	if err != nil {
		return err
	}
	for _, s := range scripts.Skipped {
		c.Log.Warn("script is left out", "path", s.Path, "error", s.Err)
	}
	ln, addr, err := listen(ctx, c.Listen)
	if err != nil {
		return err
	}
	defer ln.Close() //nolint:errcheck // closed already after an orderly end
	plugins, err := pluginhost.New(c.Log)
	if err != nil {
		return err
	}
	defer plugins.Close()
	err = run(ctx, c, plugins, scripts, ln, addr)
	if err != nil && ctx.Err() != nil { // told to stop while it was starting
		c.Log.Info("station was stopped before it was ready", "cause", err)
		return nil
	}
	return err
}

func run(ctx context.Context, c Config, plugins *pluginhost.Host, scripts catalogue.Listing, ln *os.File, addr net.Addr) error {
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
	d := dispatch.New(dispatch.Options{
		Station: c.Station, Store: &store, Cluster: alone, Clock: hlc.NewClock(time.Now, boot.High),
		Log: c.Log, Limits: dispatch.DefaultLimits(),
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
	folder, err := catalogue.OpenFolder(c.Scripts, scripts)
	if err != nil {
		return err
	}
	defer folder.Close() //nolint:errcheck // it was only read
	o := newObjects(d, &store, folder, c.Log)
	o.limits, o.env = limits, c.Env
	if err := o.load(ctx, scripts); err != nil {
		return err
	}
	defer o.live(ctx)()

	h := &Host{
		station: c.Station, version: c.Version, dispatch: d, objects: o, store: &store, log: c.Log,
		files: &store, streams: newStreams(maxUploads, maxReads), testing: make(chan struct{}, TestRuns),
		cluster: alone, plugins: plugins.Plugins,
	}
	transportSpec := pluginhost.Spec{Kind: plugin.Transport, Name: c.Transport.Name, Command: c.Transport.Command, Listener: ln}
	transportRun, err := plugins.Supervise(ctx, transportSpec, pluginhost.Use{
		Up: func(ctx context.Context, p *pluginhost.Plugin) error {
			boot, err := store.Boot(ctx)
			if err != nil {
				return err
			}
			return p.Configure(ctx, plugin.Config{Station: c.Station, Boot: boot.Number, Options: c.Transport.Options})
		},
		Serve: func(ctx context.Context, p *pluginhost.Plugin) error { return p.Transport.Serve(ctx, h) },
		Down:  func(error) {},
	})
	if err != nil {
		return err
	}
	defer transportRun.Stop()

	if c.Ready != nil {
		c.Ready(addr)
	}
	<-ctx.Done()
	c.Log.Info("station is stopping")
	// From here on only the transport has the socket: once it stops listening,
	// clients are refused instead of waiting for nobody.
	return ln.Close()
}

// CheckListen says whether a station may answer on an address. Without
// accounts whoever reaches it runs the station, so that it must be on loopback.
func CheckListen(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--listen %q is not HOST:PORT: %w", address, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return notLoopback(address)
	}
	return nil
}

func notLoopback(address string) error {
	return fmt.Errorf("--listen %q is not on loopback: this version has no accounts, so that anybody who reached it could change everything; use 127.0.0.1", address)
}

// listen opens the socket that the transport answers on.
func listen(ctx context.Context, address string) (*os.File, net.Addr, error) {
	if err := CheckListen(address); err != nil {
		return nil, nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot listen on %s (is another station running?): %w", address, err)
	}
	defer l.Close() //nolint:errcheck // the copy of its descriptor stays open
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil, nil, errors.New("the listener is not TCP")
	}
	if at, ok := l.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() { // whatever the system takes localhost for
		return nil, nil, notLoopback(address)
	}
	f, err := tcp.File()
	if err != nil {
		return nil, nil, fmt.Errorf("listener: %w", err)
	}
	return f, l.Addr(), nil
}

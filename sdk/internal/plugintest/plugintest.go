// Package plugintest runs a plugin inside a test process with all of the shims
// between it and its caller: go-plugin's server and client, gRPC over a unix
// socket, and the broker.
package plugintest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/dbbasic/station/sdk/internal/shim"
)

// handshake is that of plugins in tests. (The real one is in package sdk, which
// the contracts' packages cannot import.)
var handshake = goplugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "STATION_PLUGIN_TEST", MagicCookieValue: "1"}

// Connect serves a plugin under a name and gives what the kernel's side of it gives at
// the other end, and what closes both ends. Side gives either, with its end of the link.
func Connect(t testing.TB, name string, side func(link *net.UnixConn) goplugin.Plugin) (raw any, disconnect func()) {
	t.Helper()
	kernel, plugin := Link(t)
	ctx, cancel := context.WithCancel(context.Background())
	config, closed := make(chan *goplugin.ReattachConfig, 1), make(chan struct{})
	go goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  handshake,
		VersionedPlugins: map[int]goplugin.PluginSet{1: {name: side(plugin)}},
		GRPCServer:       shim.NewServer,
		Logger:           hclog.NewNullLogger(),
		Test:             &goplugin.ServeTestConfig{Context: ctx, ReattachConfigCh: config, CloseCh: closed},
	})
	var reattach *goplugin.ReattachConfig
	select {
	case reattach = <-config:
	case <-time.After(time.Minute):
		t.Fatal("the plugin's server did not start")
	}
	run := newInProcess(reattach.Addr)
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  handshake,
		VersionedPlugins: map[int]goplugin.PluginSet{1: {name: side(kernel)}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		GRPCDialOptions:  shim.DialOptions(),
		Logger:           hclog.NewNullLogger(),
		RunnerFunc: func(hclog.Logger, *exec.Cmd, string) (runner.Runner, error) {
			return run, nil
		},
	})
	conn, err := client.Client()
	if err != nil {
		t.Fatalf("connecting to the plugin: %v", err)
	}
	if raw, err = conn.Dispense(name); err != nil {
		t.Fatalf("dispensing the plugin: %v", err)
	}
	return raw, func() {
		cancel()
		<-closed
		run.end()
		client.Kill()
		_ = kernel.Close() // either may be closed already
		_ = plugin.Close()
	}
}

// Link gives the two ends of a link.
func Link(t testing.TB) (kernel, plugin *net.UnixConn) {
	t.Helper()
	kernel, f, err := shim.NewLink()
	if err != nil {
		t.Fatal(err)
	}
	if plugin, err = shim.OpenLink(f); err != nil {
		t.Fatal(err)
	}
	return kernel, plugin
}

// inProcess is the runner of a plugin that runs in this process already: it
// says what a process of its own would print, and ends when told.
type inProcess struct {
	stdout, stderr *io.PipeReader
	end            func()
	ended          chan struct{}
}

var _ runner.Runner = (*inProcess)(nil)

func newInProcess(addr net.Addr) *inProcess {
	stdout, out := io.Pipe()
	stderr, err := io.Pipe()
	ended := make(chan struct{})
	go func() {
		// A pipe gives an error only once it is closed, which is the end.
		_, _ = fmt.Fprintf(out, "%d|1|%s|%s|grpc\n", goplugin.CoreProtocolVersion, addr.Network(), addr)
	}()
	return &inProcess{stdout: stdout, stderr: stderr, ended: ended, end: sync.OnceFunc(func() {
		_ = out.Close() // always nil
		_ = err.Close()
		close(ended)
	})}
}

func (r *inProcess) Start(context.Context) error { return nil }

func (r *inProcess) Wait(context.Context) error {
	<-r.ended
	return nil
}

func (r *inProcess) Kill(context.Context) error {
	r.end()
	return nil
}

func (r *inProcess) Stdout() io.ReadCloser           { return r.stdout }
func (r *inProcess) Stderr() io.ReadCloser           { return r.stderr }
func (r *inProcess) Name() string                    { return "plugin in the test's process" }
func (r *inProcess) ID() string                      { return "test" }
func (r *inProcess) Diagnose(context.Context) string { return "" }

func (r *inProcess) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

func (r *inProcess) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}

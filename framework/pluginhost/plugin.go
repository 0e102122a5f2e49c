package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/dbbasic/station/sdk"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport"
)

const (
	startTimeout = 10 * time.Second // from starting a process to the end of its handshake
	closeTimeout = 10 * time.Second // for an orderly Close; the process is killed then
	killTimeout  = 2 * time.Second  // for go-plugin to tidy up after a process that is gone
)

// common is what the clients of all contracts offer.
type common interface {
	AskInfo(ctx context.Context) (plugin.Info, error)
	Configure(ctx context.Context, c plugin.Config) error
	Ping(ctx context.Context) (plugin.Health, error)
	AskFigures(ctx context.Context) ([]plugin.Figure, plugin.Runtime, error)
	Close(ctx context.Context) error
}

// Plugin is one running plugin process. One of Storage and Transport is set.
type Plugin struct {
	Storage   *storage.Client
	Transport *transport.Client
	Info      plugin.Info

	common common
	client *goplugin.Client
	proc   *process
	link   *net.UnixConn
	log    *sink
}

// start runs a plugin and shakes hands with it. It is not configured yet.
func (h *Host) start(ctx context.Context, s Spec) (*Plugin, error) {
	program, err := checked(s.Command)
	if err != nil {
		return nil, fmt.Errorf("the %s plugin %q: %w", s.Kind, s.Name, err)
	}
	if program != nil {
		defer program.Close() //nolint:errcheck // it was only read; the process has its own descriptor
	}
	link, theirs, err := sdk.NewLink()
	if err != nil {
		return nil, fmt.Errorf("the link to the %s plugin %q: %w", s.Kind, s.Name, err)
	}
	defer theirs.Close() //nolint:errcheck // the process has its own descriptor
	p := &Plugin{log: newSink(h.log, s), link: link}
	p.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake,
		VersionedPlugins: sdk.Plugins(link),
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		SkipHostEnv:      true,
		StartTimeout:     startTimeout,
		Logger:           p.log.logger(),
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: h.run.path},
		GRPCDialOptions:  sdk.DialOptions(),
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
			proc, err := newProcess(h, s, program, theirs, cmd.Env)
			p.proc = proc
			return proc, err
		},
	})
	if err := p.connect(ctx, s); err != nil {
		p.kill()
		return nil, fmt.Errorf("the %s plugin %q (%s) did not start: %w", s.Kind, s.Name, s.Command.Path, err)
	}
	return p, nil
}

// connect shakes hands and learns who the plugin is.
func (p *Plugin) connect(ctx context.Context, s Spec) error {
	conn, err := p.client.Client()
	if err != nil {
		return err
	}
	raw, err := conn.Dispense(string(s.Kind))
	if err != nil {
		return err
	}
	switch c := raw.(type) {
	case *storage.Client:
		p.Storage, p.common = c, c
	case *transport.Client:
		p.Transport, p.common = c, c
	default:
		return fmt.Errorf("kind %q is not one that a station runs as a plugin", s.Kind)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if p.Info, err = p.common.AskInfo(ctx); err != nil {
		return err
	}
	if p.Info.Kind != s.Kind {
		return fmt.Errorf("it says that it is a %s plugin", p.Info.Kind)
	}
	return nil
}

// Configure tells the plugin what it needs to know.
func (p *Plugin) Configure(ctx context.Context, c plugin.Config) error {
	return p.common.Configure(ctx, c)
}

// PID is the id of the process.
func (p *Plugin) PID() int { return p.proc.cmd.Process.Pid }

// gone is closed once the process has ended.
func (p *Plugin) gone() <-chan struct{} { return p.proc.gone }

// death says how the process ended, once it is gone.
func (p *Plugin) death() error {
	return fmt.Errorf("its process %d ended: %s", p.PID(), p.proc.cmd.ProcessState)
}

// close ends the plugin in an orderly way, and kills it if it does not end.
func (p *Plugin) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	err := p.common.Close(ctx)
	p.kill()
	return err
}

// kill ends the process with SIGKILL, which a frozen one obeys too. go-plugin's
// own Kill asks the plugin first, for which a frozen one lets it wait for ever.
func (p *Plugin) kill() {
	if p.proc != nil {
		_ = p.proc.Kill(context.Background()) // the process is gone already, or about to be
	}
	_ = p.link.Close() // who uses it may have closed it already
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.client.Kill() // and its goroutines have read all that the process wrote
		p.log.close()
	}()
	select {
	case <-done:
	case <-time.After(killTimeout):
	}
}

// errSilent is a ping without any answer in time.
var errSilent = fmt.Errorf("no answer within %v", pingTimeout)

// ping asks for the plugin's health. An error is what came instead of it.
func (p *Plugin) ping(ctx context.Context) (plugin.Health, error) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	health, err := p.common.Ping(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = errSilent
	}
	return health, err
}

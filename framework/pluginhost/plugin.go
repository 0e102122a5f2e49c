package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
	p := &Plugin{}
	p.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake,
		VersionedPlugins: sdk.Plugins(),
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		SkipHostEnv:      true,
		StartTimeout:     startTimeout,
		Logger:           forwardLog(h.log, s),
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: h.run.path},
		GRPCDialOptions:  sdk.DialOptions(),
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
			proc, err := newProcess(h, s, program, cmd.Env)
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
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.client.Kill()
	}()
	select {
	case <-done:
	case <-time.After(killTimeout):
	}
}

// ping asks for the plugin's health. An error means that it does not answer.
func (p *Plugin) ping(ctx context.Context, timeout time.Duration) (plugin.Health, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	health, err := p.common.Ping(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v", timeout)
	}
	return health, err
}

// forwardLog gives the logger through which go-plugin hands on what a plugin
// writes. What go-plugin says itself is for debugging: the supervisor reports
// deaths in better words.
func forwardLog(to *slog.Logger, s Spec) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: s.Name, Output: io.Discard, Level: hclog.Trace}) // go-plugin drops what is below the level
	l.RegisterSink(&sink{log: to.With("plugin", s.Name), own: s.Name})
	return l
}

type sink struct {
	log *slog.Logger
	own string // the name under which go-plugin itself speaks
}

// Accept implements hclog.SinkAdapter.
func (s *sink) Accept(name string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	if name != s.own {
		switch {
		case level >= hclog.Error:
			to = slog.LevelError
		case level == hclog.Warn:
			to = slog.LevelWarn
		case level == hclog.Info:
			to = slog.LevelInfo
		}
	}
	kept := args[:0:0]
	for i := 0; i+1 < len(args); i += 2 {
		if args[i] != "timestamp" { // the station's own log has one
			kept = append(kept, args[i], args[i+1])
		}
	}
	s.log.Log(context.Background(), to, msg, kept...)
}

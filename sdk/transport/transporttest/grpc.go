package transporttest

import (
	"context"
	"net"
	"testing"

	goplugin "github.com/hashicorp/go-plugin"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/internal/plugintest"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/transport"
)

// ThroughGRPC gives a Harness whose transports are reached as the kernel
// reaches a plugin, and reach their host as a plugin does: through the shims,
// gRPC and the broker.
func ThroughGRPC(h Harness) Harness {
	inner := h.New
	h.New = func(t testing.TB) transport.Transport {
		t.Helper()
		return &remote{t: t, impl: inner(t)}
	}
	return h
}

// remote is a transport behind the shims. A process gets its listener when it
// is started, so that the connection is made when Serve brings one.
type remote struct {
	t    testing.TB
	impl transport.Transport
}

var _ transport.Transport = (*remote)(nil)

func (r *remote) Info() plugin.Info { return r.impl.Info() }

func (r *remote) Configure(ctx context.Context, c plugin.Config) error {
	return r.impl.Configure(ctx, c)
}

func (r *remote) Health(ctx context.Context) plugin.Health { return r.impl.Health(ctx) }

func (r *remote) Figures(ctx context.Context) []plugin.Figure { return r.impl.Figures(ctx) }

func (r *remote) Close(ctx context.Context) error { return r.impl.Close(ctx) }

func (r *remote) Serve(ctx context.Context, ln net.Listener, h host.Host) error {
	raw, disconnect := plugintest.Connect(r.t, transport.PluginName, func(link *net.UnixConn) goplugin.Plugin {
		return &transport.Plugin{Impl: r.impl, Listener: ln, Link: link}
	})
	defer disconnect()
	client, ok := raw.(*transport.Client)
	if !ok {
		r.t.Error("the plugin gives no *transport.Client")
		return nil
	}
	return client.Serve(ctx, h)
}

package transporttest

import (
	"context"
	"net"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/transport"
)

// healthFaults say something else of the station than it is.
func healthFaults() []fault {
	on := func(name string, h func(host.Host) host.Host) fault {
		return fault{name: name, check: "Health",
			serve: func(ctx context.Context, ln net.Listener, kernel host.Host, l transport.Transport) error {
				return l.Serve(ctx, ln, h(kernel))
			}}
	}
	onPlugin := func(change func(*host.Plugin)) func(host.Host) host.Host {
		return func(h host.Host) host.Host { return changesPlugins{h, change} }
	}
	return []fault{
		on("plugins without their restarts", onPlugin(func(p *host.Plugin) { p.Restarts = 0 })),
		on("plugins without what is over", onPlugin(func(p *host.Plugin) {
			if p.Problem == "" {
				p.LastProblem = ""
			}
		})),
		on("a dead plugin since 1970", onPlugin(func(p *host.Plugin) {
			if p.Since.IsZero() {
				p.Since = p.Since.AddDate(1969, 0, 0)
			}
		})),
		on("metrics cut short", func(h host.Host) host.Host { return cutMetrics{h} }),
		on("metrics from memory", func(h host.Host) host.Host { return metricsFromMemory{h} }),
		on("always ready", func(h host.Host) host.Host { return alwaysReady{h} }),
		on("ready without the kernel", func(h host.Host) host.Host { return healthFromMemory{h} }),
		on("not alive while something is missing", func(h host.Host) host.Host { return neverUnready{h} }),
	}
}

type changesPlugins struct {
	host.Host
	change func(*host.Plugin)
}

func (h changesPlugins) Plugins(ctx context.Context) ([]host.Plugin, error) {
	list, err := h.Host.Plugins(ctx)
	for i := range list {
		h.change(&list[i])
	}
	return list, err
}

type cutMetrics struct{ host.Host }

func (h cutMetrics) Metrics(ctx context.Context) ([]byte, error) {
	text, err := h.Host.Metrics(ctx)
	return text[:max(0, len(text)-1)], err
}

type metricsFromMemory struct{ host.Host }

func (h metricsFromMemory) Metrics(ctx context.Context) ([]byte, error) {
	text, _ := h.Host.Metrics(ctx)
	return text, nil
}

type alwaysReady struct{ host.Host }

func (h alwaysReady) Health(ctx context.Context) (host.Health, error) {
	health, err := h.Host.Health(ctx)
	health.Checks = append([]host.Check(nil), health.Checks...)
	for i := range health.Checks {
		health.Checks[i].Problem = ""
	}
	return health, err
}

type healthFromMemory struct{ host.Host }

func (h healthFromMemory) Health(ctx context.Context) (host.Health, error) {
	health, _ := h.Host.Health(ctx)
	return health, nil
}

type neverUnready struct{ host.Host }

func (h neverUnready) Health(ctx context.Context) (host.Health, error) {
	health, err := h.Host.Health(ctx)
	if err == nil {
		err = health.Ready()
	}
	return health, err
}

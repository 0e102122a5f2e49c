package kernel

import (
	"context"
	"fmt"
	"strings"

	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/plugin"
)

// Plugins implements host.Host.
func (h *Host) Plugins(context.Context) ([]host.Plugin, error) {
	return pluginsOf(h.plugins()), nil
}

// Health implements host.Host.
func (h *Host) Health(ctx context.Context) (host.Health, error) {
	return healthOf(pluginsOf(h.plugins()), h.cluster.Health(ctx)), nil
}

func pluginsOf(all []pluginhost.Status) []host.Plugin {
	list := make([]host.Plugin, len(all))
	for i := range all {
		s := &all[i]
		list[i] = host.Plugin{
			Kind: s.Spec.Kind, Name: s.Spec.Name, Version: s.Info.Version, PID: s.PID, Since: s.Since,
			Problem: s.Problem, Restarts: s.Restarts, LastProblem: s.LastProblem, LastSeen: s.LastSeen,
		}
	}
	return list
}

// healthOf follows from how the plugins are. That the storage takes changes is
// what it says itself: it knows of a full disk from its own work.
func healthOf(list []host.Plugin, registry plugin.Health) host.Health {
	var plugins, store []string
	for _, p := range list {
		if p.Healthy() {
			continue
		}
		plugins = append(plugins, unwell(p))
		if p.Kind == plugin.Storage {
			store = append(store, "It takes no changes while its plugin is "+state(p)+".")
		}
	}
	health := host.Health{Checks: []host.Check{
		{Name: host.CheckPlugins, Problem: strings.Join(plugins, " ")},
		{Name: host.CheckStorage, Problem: strings.Join(store, " ")},
		{Name: host.CheckRegistry},
	}}
	if !registry.OK {
		health.Checks[2].Problem = sentence(registry.Problem)
	}
	return health
}

// unwell says of a plugin what is wrong with it, and how often that has been so.
func unwell(p host.Plugin) string {
	times := ""
	switch p.Restarts {
	case 0:
	case 1:
		times = " (it was started again once)"
	default:
		times = fmt.Sprintf(" (it was started again %d times)", p.Restarts)
	}
	return fmt.Sprintf("The %s plugin %q is %s%s: %s", p.Kind, p.Name, state(p), times, sentence(p.Problem))
}

func state(p host.Plugin) string {
	if p.PID == 0 {
		return "down"
	}
	return "not well"
}

// sentence ends a text that may have no end.
func sentence(s string) string {
	if s == "" || strings.ContainsAny(s[len(s)-1:], ".!?") {
		return s
	}
	return s + "."
}

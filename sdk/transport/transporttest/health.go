package transporttest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/plugin"
)

// How tells the host how its plugins and what it needs are from now on.
func (h *Host) How(plugins []host.Plugin, health host.Health) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.plugins, h.health = plugins, health
}

// Plugins gives what How told.
func (h *Host) Plugins(ctx context.Context) ([]host.Plugin, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.plugins, h.enter(ctx)
}

// Health gives what How told.
func (h *Host) Health(ctx context.Context) (host.Health, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.health, h.enter(ctx)
}

// Counts tells the host what its metrics are from now on.
func (h *Host) Counts(exposition string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.metrics = exposition
}

// Metrics gives what Counts told.
func (h *Host) Metrics(ctx context.Context) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return []byte(h.metrics), h.enter(ctx)
}

// Is tells the host of which stations it knows from now on.
func (h *Host) Is(c host.Cluster) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cluster = c
}

// Cluster gives what Is told.
func (h *Host) Cluster(ctx context.Context) (host.Cluster, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cluster, h.enter(ctx)
}

// somePlugins are one of each sort: well, recovered, unwell, down, never up.
func somePlugins() []host.Plugin {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	return []host.Plugin{
		{Kind: plugin.Storage, Name: "tsv", Version: "1.2.3-ü", PID: 4711, Since: at},
		{Kind: plugin.Transport, Name: "tsv", Version: "2", PID: 12, Since: at.Add(time.Hour), Restarts: 3, LastProblem: "its process 11 ended: signal: killed", LastSeen: at.Add(59 * time.Minute)},
		{Kind: plugin.Transport, Name: "sick", Version: "2", PID: 13, Since: at, Problem: "The <disk> is \"full\".", LastProblem: "The <disk> is \"full\".", LastSeen: at.Add(time.Minute)},
		{Kind: plugin.Transport, Name: "dead", Version: "2", Problem: "down", Restarts: 1_000_000, LastProblem: "down", LastSeen: at},
		{Kind: plugin.Transport, Name: "new", Problem: "It is being started."},
	}
}

func someHealth(storage string) host.Health {
	return host.Health{Checks: []host.Check{{Name: host.CheckPlugins}, {Name: host.CheckStorage, Problem: storage}, {Name: host.CheckRegistry}}}
}

// checkHealth: how the plugins are arrives unchanged; the health is told as long
// as the kernel answers, and whether the station is ready is one answer.
func checkHealth(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.How(somePlugins(), someHealth(""))
	got := read(t, c, Read{What: Plugins})
	if diff := cmp.Diff(somePlugins(), got.Plugins); got.Status != 200 || got.RequestID == "" || diff != "" {
		t.Errorf("the plugins: status %d %q, changed on their way (-want +got):\n%s", got.Status, got.RequestID, diff)
	}
	if got := read(t, c, Read{What: Ready}); got.Status != 200 || got.Code != "" {
		t.Errorf("a station that has all it needs is not ready: %d %q %q", got.Status, got.Code, got.Message)
	}

	const problem = "It takes no changes: the \"disk\" is <full>."
	kernel.How(somePlugins(), someHealth(problem))
	alive := read(t, c, Read{What: Health})
	if diff := cmp.Diff(someHealth(problem), alive.Health); alive.Status != 200 || diff != "" {
		t.Errorf("the health: status %d, changed on its way (-want +got):\n%s", alive.Status, diff)
	}
	if got := read(t, c, Read{What: Ready}); got.Status != 503 || got.Code != "not_ready" || !strings.Contains(got.Message, problem) {
		t.Errorf("a station whose storage takes no changes: %d %q %q, want 503 not_ready and why", got.Status, got.Code, got.Message)
	}
	const counts = "# HELP station_calls_total Calls of \"objects\" <ü>\\n.\n# TYPE station_calls_total counter\nstation_calls_total{class=\"a\\\\b\"} 1e+06\n"
	kernel.Counts(counts)
	if got := read(t, c, Read{What: Metrics}); got.Status != 200 || got.Metrics != counts {
		t.Errorf("the metrics: status %d, %q, want them as they are: %q", got.Status, got.Metrics, counts)
	}
	if n := kernel.WithoutDeadline(); n > 0 {
		t.Errorf("%d reads reached the host without a deadline", n)
	}

	kernel.Down(true)
	for _, what := range []string{Plugins, Health, Ready, Metrics} {
		if got := read(t, c, Read{What: what}); got.Status != 503 || got.Code != "unavailable" {
			t.Errorf("%s of a host that is down gave %d %q, want 503 unavailable", what, got.Status, got.Code)
		}
	}
}

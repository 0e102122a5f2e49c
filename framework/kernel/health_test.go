package kernel

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/plugin"
)

func TestPluginsAreTold(t *testing.T) {
	since, seen := time.Unix(1, 0), time.Unix(2, 0)
	got := pluginsOf([]pluginhost.Status{{
		Spec: pluginhost.Spec{Kind: plugin.Transport, Name: "web"}, Info: plugin.Info{Name: "http", Version: "1.2"},
		PID: 7, Since: since, Problem: "now", Restarts: 3, LastProblem: "then", LastSeen: seen,
	}})
	want := []host.Plugin{{
		Kind: plugin.Transport, Name: "web", Version: "1.2", PID: 7, Since: since, Problem: "now", Restarts: 3, LastProblem: "then", LastSeen: seen,
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// The health says which part is missing, why, and how often that was so.
func TestHealthSaysWhatIsMissing(t *testing.T) {
	store := host.Plugin{Kind: plugin.Storage, Name: "tsv", PID: 1}
	web := host.Plugin{Kind: plugin.Transport, Name: "http", PID: 2}
	with := func(p host.Plugin, pid int, problem string, restarts int) host.Plugin {
		p.PID, p.Problem, p.Restarts = pid, problem, restarts
		return p
	}
	well := plugin.Health{OK: true}
	for name, c := range map[string]struct {
		list     []host.Plugin
		registry plugin.Health
		want     [3]string
	}{
		"all is well": {[]host.Plugin{store, web}, well, [3]string{}},
		"a dead storage": {[]host.Plugin{with(store, 0, "its process 1 ended: signal: killed", 2), web}, well, [3]string{
			`The storage plugin "tsv" is down (it was started again 2 times): its process 1 ended: signal: killed.`,
			"It takes no changes while its plugin is down.", ""}},
		"a full disk": {[]host.Plugin{with(store, 1, "The disk is full.", 0), web}, well, [3]string{
			`The storage plugin "tsv" is not well: The disk is full.`, "It takes no changes while its plugin is not well.", ""}},
		"two dead transports": {[]host.Plugin{store, with(web, 0, "It is new!", 1), with(web, 0, "x", 0)}, well, [3]string{
			`The transport plugin "http" is down (it was started again once): It is new! The transport plugin "http" is down: x.`, "", ""}},
		"no quorum": {[]host.Plugin{store, web}, plugin.Health{Problem: "There is no quorum"}, [3]string{"", "", "There is no quorum."}},
	} {
		h := healthOf(c.list, c.registry)
		if len(h.Checks) != 3 {
			t.Fatalf("%s: %d checks", name, len(h.Checks))
		}
		for i, part := range []string{host.CheckPlugins, host.CheckStorage, host.CheckRegistry} {
			if h.Checks[i] != (host.Check{Name: part, Problem: c.want[i]}) {
				t.Errorf("%s: %+v, want %s: %q", name, h.Checks[i], part, c.want[i])
			}
		}
		if ready := h.Ready() == nil; ready != (c.want == [3]string{}) {
			t.Errorf("%s: ready %v", name, ready)
		}
	}
}

package kernel

import (
	"context"
	"math"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/process"

	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/framework/metrics"
	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/plugin"
)

// watch is what the kernel needs to tell how the station is doing.
type watch struct {
	calls   *metrics.Calls
	commits *metrics.Commits
	budget  *luahost.Budget
	plugins *pluginhost.Host
	started time.Time
	turn    chan struct{} // held while a page of metrics is made
	machine *machine
}

func newWatch(plugins *pluginhost.Host, budget *luahost.Budget) watch {
	return watch{
		calls: metrics.NewCalls(), commits: metrics.NewCommits(), budget: budget, plugins: plugins,
		started: time.Now(), turn: make(chan struct{}, 1), machine: newMachine(),
	}
}

// Metrics implements host.Host. One page is made at a time: who reads it often
// costs the plugins no more than one question each.
func (h *Host) Metrics(ctx context.Context) ([]byte, error) {
	w := &h.watch
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return nil, errs.Wrap(errs.Timeout, "kernel.Metrics", ctx.Err(), "Others are reading the metrics; try again.")
	}
	load, limits := h.dispatch.Load(), h.dispatch.Limits
	now := metrics.Now{
		Station: h.station, Version: h.version, Started: w.started, Objects: h.objects.count(),
		Waiting: load.Waiting, Longest: load.Longest, Running: load.Running, VMs: load.VMs,
		Unstored: load.Unstored, Warm: load.Warm, WarmMost: limits.Warm,
		Memory: w.budget.Used(), MemoryMax: w.budget.Limit(),
		Processes: []metrics.Process{processOf(ctx, "kernel", os.Getpid(), plugin.ReadRuntime())},
	}
	named := map[string]int{}
	for _, r := range w.plugins.Reports(ctx) {
		s := &r.Status
		name, process := s.Spec.Name, string(s.Spec.Kind)+"/"+s.Spec.Name
		if named[process]++; named[process] > 1 { // two transports of one name are two series
			count := "#" + strconv.Itoa(named[process])
			name, process = name+count, process+count
		}
		if r.Err != nil {
			h.log.Debug("a plugin reports no figures", "kind", s.Spec.Kind, "plugin", s.Spec.Name, "error", r.Err)
		}
		now.Plugins = append(now.Plugins, metrics.Plugin{
			Kind: s.Spec.Kind, Name: name, Up: s.Healthy() && r.Err == nil, Restarts: s.Restarts, Figures: r.Figures,
		})
		if s.PID != 0 {
			now.Processes = append(now.Processes, processOf(ctx, process, s.PID, r.Runtime))
		}
	}
	return metrics.Page(w.calls, w.commits, now)
}

// processOf asks the system for a process. What it does not tell, or of one that
// has just ended, is left out: the figures of the others count.
func processOf(ctx context.Context, name string, pid int, r plugin.Runtime) metrics.Process {
	out := metrics.Process{Name: name, Files: -1, Runtime: r}
	p, err := process.NewProcessWithContext(ctx, int32(pid))
	if err != nil {
		return out
	}
	if t, err := p.TimesWithContext(ctx); err == nil {
		out.CPU = t.User + t.System
	}
	if m, err := p.MemoryInfoWithContext(ctx); err == nil {
		out.Memory = m.RSS
	}
	if n, err := p.NumFDsWithContext(ctx); err == nil {
		out.Files = int(n)
	}
	return out
}

// Cluster implements host.Host: a station on its own is all there is.
func (h *Host) Cluster(ctx context.Context) (host.Cluster, error) {
	processors, memory := h.watch.machine.load(ctx)
	return host.Cluster{Leader: h.station, Members: []host.Member{{
		Station: h.station, Version: h.version, Active: true, Heartbeat: time.Now(),
		CPU: processors, Memory: memory, Objects: h.objects.count(),
	}}}, nil
}

// machine measures how busy the machine is.
type machine struct {
	mu     sync.Mutex
	taken  time.Time
	was    cpu.TimesStat // at that time
	cpu    float64       // percent, in the time before
	memory float64       // percent
}

// machineEvery is how old a measurement is at least before the next.
const machineEvery = time.Second

func newMachine() *machine {
	m := &machine{}
	m.measure(context.Background(), time.Now())
	return m
}

// load gives the percent of processors and of memory that are in use, of the
// processors since the measurement before.
func (m *machine) load(ctx context.Context) (processors, memory float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := time.Now(); now.Sub(m.taken) >= machineEvery {
		m.measure(ctx, now)
	}
	return m.cpu, m.memory
}

// measure keeps what was, where the system does not tell.
func (m *machine) measure(ctx context.Context, now time.Time) {
	if v, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		m.memory = percent(v.UsedPercent)
	}
	times, err := cpu.TimesWithContext(ctx, false)
	if err != nil || len(times) != 1 {
		return
	}
	t := times[0]
	idle := t.Idle + t.Iowait - m.was.Idle - m.was.Iowait
	if total := busy(&t) - busy(&m.was) + idle; total > 0 {
		m.cpu = percent(100 * (total - idle) / total)
	}
	m.taken, m.was = now, t
}

// busy is the time of a machine's processors that was not idle.
func busy(t *cpu.TimesStat) float64 {
	return t.User + t.System + t.Nice + t.Irq + t.Softirq + t.Steal
}

// percent keeps a tenth, within 0 and 100.
func percent(p float64) float64 { return math.Round(10*min(100, max(0, p))) / 10 }

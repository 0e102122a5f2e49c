package metrics

import (
	"bytes"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
)

// Now is what a station is at one moment, for a page.
type Now struct {
	Station id.Station
	Version string
	Started time.Time

	Objects   int   // in service
	Waiting   int   // calls in mailboxes
	Longest   int   // of them, in the fullest mailbox
	Running   int   // scripts
	VMs       int   // warm
	Unstored  int   // bytes of commits that storage has not answered for
	Warm      int   // bytes of warm objects
	WarmMost  int   // that they may have
	Memory    int64 // bytes of the budget of all VMs that are in use
	MemoryMax int64

	Plugins   []Plugin
	Processes []Process // the kernel's and those of plugins that are up
}

// Plugin is a plugin and what it reports.
type Plugin struct {
	Kind     plugin.Kind
	Name     string
	Up       bool // it is well, and has answered
	Restarts int
	Figures  []plugin.Figure // that pass plugin.CheckFigures; nil of one that has not answered
}

// Process is one process of a station.
type Process struct {
	Name    string  // "kernel", or the plugin's as in "storage/tsv"
	CPU     float64 // seconds
	Memory  uint64  // bytes that are resident
	Files   int     // open descriptors; below 0 where nobody can tell
	Runtime plugin.Runtime
}

// Page gives a page in the text format of Prometheus.
func Page(calls *Calls, commits *Commits, now Now) ([]byte, error) {
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(collector{calls, commits, now}); err != nil {
		return nil, errs.Wrap(errs.Internal, "metrics.Page", err, "")
	}
	families, err := registry.Gather()
	if err != nil {
		return nil, errs.Wrap(errs.Internal, "metrics.Page", err, "")
	}
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			return nil, errs.Wrap(errs.Internal, "metrics.Page", err, "")
		}
	}
	return b.Bytes(), nil
}

// collector gives the metrics of one page.
type collector struct {
	calls   *Calls
	commits *Commits
	now     Now
}

// Describe says nothing: what there is depends on the plugins.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	p := page{ch}
	c.ofCalls(p)
	c.ofCommits(p)
	c.ofStation(p)
	c.ofProcesses(p)
	c.ofPlugins(p)
}

// page takes metrics. Labels are names and values by turns.
type page struct{ ch chan<- prometheus.Metric }

func (p page) gauge(name, help string, value float64, labels ...string) {
	p.put(name, help, prometheus.GaugeValue, value, labels)
}

func (p page) counter(name, help string, value float64, labels ...string) {
	p.put(name, help, prometheus.CounterValue, value, labels)
}

func (p page) put(name, help string, t prometheus.ValueType, value float64, labels []string) {
	names, values := split(labels)
	p.ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), t, value, values...)
}

func (p page) histogram(name, help string, f *plugin.Figure, s *plugin.Sample, labels ...string) {
	names, values := split(labels)
	buckets, n := map[float64]uint64{}, uint64(0)
	for i, bound := range f.Bounds {
		n += s.Counts[i]
		buckets[bound] = n
	}
	p.ch <- prometheus.MustNewConstHistogram(prometheus.NewDesc(name, help, names, nil), s.Total(), s.Value, buckets, values...)
}

func split(labels []string) (names, values []string) {
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	return names, values
}

func (c collector) ofCalls(p page) {
	if c.calls == nil {
		return
	}
	for _, class := range c.calls.all() {
		for i := range class.by {
			t := class.by[i].Load()
			if t == nil {
				continue
			}
			by := map[string]uint64{} // a kind that is not known here has the name of another
			for o := range t.outcomes {
				if n := t.outcomes[o].Load(); n > 0 {
					by[outcomeName(o)] += n
				}
			}
			for outcome, n := range by {
				p.counter("station_calls_total", "Calls of objects, those that other objects make included, by the kind of their error or ok.",
					float64(n), "class", class.name, "method", methods[i], "outcome", outcome)
			}
			f := t.seconds.Figure("", "")
			p.histogram("station_call_duration_seconds", "How long calls took, their waiting included.", &f, &f.Samples[0], "class", class.name, "method", methods[i])
		}
	}
}

func (c collector) ofCommits(p page) {
	if c.commits == nil {
		return
	}
	const help = "Commits that storage has answered for."
	p.counter("station_commits_total", help, float64(c.commits.durable.Load()), "outcome", "durable")
	p.counter("station_commits_total", help, float64(c.commits.failed.Load()), "outcome", "failed")
	size, seconds := c.commits.size.Figure("", ""), c.commits.seconds.Figure("", "")
	p.histogram("station_commit_batch_size", "How many commits went to storage at once.", &size, &size.Samples[0])
	p.histogram("station_commit_duration_seconds", "How long storage took for a batch of commits.", &seconds, &seconds.Samples[0])
}

func (c collector) ofStation(p page) {
	n := &c.now
	p.gauge("station_info", "Always 1; which station this is, and the version of its program.", 1, "station", string(n.Station), "version", n.Version)
	p.gauge("station_start_time_seconds", "When the station was started, in seconds since 1970.", float64(n.Started.UnixMilli())/1000)
	p.gauge("station_objects", "Objects in service.", float64(n.Objects))
	p.gauge("station_calls_waiting", "Calls that wait for their object.", float64(n.Waiting))
	p.gauge("station_calls_waiting_longest", "Calls that wait for the object for which most wait.", float64(n.Longest))
	p.gauge("station_scripts_running", "Scripts that run.", float64(n.Running))
	p.gauge("station_vms", "Lua VMs that are warm or run.", float64(n.VMs))
	p.gauge("station_commits_unanswered_bytes", "Bytes of commits that storage has not answered for.", float64(n.Unstored))
	p.gauge("station_warm_bytes", "Bytes that warm objects take, states and VMs.", float64(n.Warm))
	p.gauge("station_warm_limit_bytes", "Bytes that warm objects may take before those that rest are made cold.", float64(n.WarmMost))
	p.gauge("station_script_memory_bytes", "Bytes of the budget of all scripts' memory that are in use.", float64(n.Memory))
	p.gauge("station_script_memory_limit_bytes", "Bytes of the budget of all scripts' memory.", float64(n.MemoryMax))
}

func (c collector) ofProcesses(p page) {
	for i := range c.now.Processes {
		o := &c.now.Processes[i]
		r := &o.Runtime
		p.counter("station_process_cpu_seconds_total", "Processor time of a process of the station.", o.CPU, "process", o.Name)
		p.gauge("station_process_resident_memory_bytes", "Bytes of memory that a process has.", float64(o.Memory), "process", o.Name)
		if o.Files >= 0 {
			p.gauge("station_process_open_fds", "Descriptors that a process has open.", float64(o.Files), "process", o.Name)
		}
		if *r == (plugin.Runtime{}) {
			continue // it has not answered, or is no Go program
		}
		p.gauge("station_process_goroutines", "Goroutines of a process.", float64(r.Goroutines), "process", o.Name)
		p.gauge("station_process_heap_bytes", "Bytes of objects on the heap of a process.", float64(r.Heap), "process", o.Name)
		p.gauge("station_process_go_memory_bytes", "Bytes that Go has of the system in a process.", float64(r.Memory), "process", o.Name)
		p.counter("station_process_gc_cycles_total", "Rounds of the garbage collector in a process.", float64(r.Collections), "process", o.Name)
	}
}

func (c collector) ofPlugins(p page) {
	first := map[string]*plugin.Figure{} // by their full names
	for i := range c.now.Plugins {
		o := &c.now.Plugins[i]
		up := 0.0
		if o.Up {
			up = 1
		}
		p.gauge("station_plugin_up", "Whether a plugin is well and has answered.", up, "kind", string(o.Kind), "plugin", o.Name)
		p.counter("station_plugin_restarts_total", "How often a plugin was started again, in vain too.", float64(o.Restarts), "kind", string(o.Kind), "plugin", o.Name)
		for j := range o.Figures {
			f := &o.Figures[j]
			name := "station_" + string(o.Kind) + "_" + f.Name
			if first[name] == nil {
				first[name] = f
			}
			if g := first[name]; g.Help == f.Help && g.Type == f.Type && g.Label == f.Label && slices.Equal(g.Bounds, f.Bounds) {
				p.figure(name, f, o.Name)
			} // else two plugins mean different things by a name, and the first one's is shown
		}
	}
}

// figure shows what a plugin reports.
func (p page) figure(name string, f *plugin.Figure, of string) {
	for i := range f.Samples {
		s := &f.Samples[i]
		labels := []string{"plugin", of}
		if f.Label != "" {
			labels = append(labels, f.Label, s.Label)
		}
		switch f.Type {
		case plugin.Counter:
			p.counter(name, f.Help, s.Value, labels...)
		case plugin.Gauge:
			p.gauge(name, f.Help, s.Value, labels...)
		case plugin.Histogram:
			p.histogram(name, f.Help, f, s, labels...)
		}
	}
}

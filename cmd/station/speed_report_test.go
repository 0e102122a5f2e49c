package main_test

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// report is the figures of a run of TestSpeed.
type report struct {
	began time.Time
	load  string // of the machine before the first case
	rows  []*figures
	facts []string // figures that are no rate
}

// figures are those of one case, one of each run.
type figures struct {
	what          string
	connections   int
	whole         bool // all runs were made, and none was void
	rates, ratios []float64
	p50, p99, cpu []time.Duration
	of            map[string][]cost // each process of it
}

func newReport() *report {
	load, _, _ := strings.Cut(firstLine("/proc/loadavg", ""), " ")
	return &report{began: time.Now().UTC(), load: load}
}

// row gives the figures of a case, which are made where there are none.
func (r *report) row(what string, connections int) *figures {
	for _, row := range r.rows {
		if row.what == what && row.connections == connections {
			return row
		}
	}
	r.rows = append(r.rows, &figures{what: what, connections: connections, of: map[string][]cost{}})
	return r.rows[len(r.rows)-1]
}

func (r *figures) add(m measured) {
	r.rates = append(r.rates, m.rate())
	r.p50, r.p99, r.cpu = append(r.p50, m.p50), append(r.p99, m.p99), append(r.cpu, m.cpu)
	for name, c := range m.of {
		r.of[name] = append(r.of[name], c)
	}
}

// fact adds a figure that is no rate.
func (r *report) fact(format string, args ...any) {
	r.facts = append(r.facts, fmt.Sprintf(format, args...))
}

// end shows the figures, and writes them where the flag says and no case failed.
func (r *report) end(t *testing.T) {
	t.Helper()
	text := r.markdown()
	t.Logf("figures:\n%s", text)
	if *speedFile == "" {
		return
	}
	if t.Failed() {
		t.Fatalf("%s is left as it is, since a case failed", *speedFile)
	}
	if !r.measured() {
		t.Fatalf("%s is left as it is, since nothing was measured: BENCHMARKS.md names the cases", *speedFile)
	}
	if err := writeSection(*speedFile, "## Figures\n", text); err != nil {
		t.Fatal(err)
	}
}

// measured reports whether there is a figure at all.
func (r *report) measured() bool {
	return len(r.facts) > 0 || slices.ContainsFunc(r.rows, func(row *figures) bool { return row.whole })
}

// writeSection writes the last section of a file, which are made where there are none.
func writeSection(file, head, text string) error {
	was, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	before, _, _ := strings.Cut(string(was), head)
	return os.WriteFile(file, []byte(strings.TrimSpace(before)+"\n\n"+head+"\n"+text), 0o644)
}

// markdown gives the figures as tables.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. Load before the first case: %s. Made by %s; runs of each case: %d of %v, after %v of the same.\nEach figure is the median of these; in brackets the least and the most.\n\n",
		machineText(), r.load, generatorName(*speedTime), *speedRuns, *speedTime, *speedWarm)
	b.WriteString("| case | connections | requests/s | p50 | p99 | CPU per request | of net/http |\n|---|---:|---:|---:|---:|---:|---:|\n")
	for _, row := range r.rows {
		if !row.whole {
			continue
		}
		ratio := ""
		if len(row.ratios) > 0 {
			ratio = fmt.Sprintf("%.2f", median(row.ratios))
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %s | %s |\n", row.what, row.connections, spread(row.rates, func(rate float64) string { return count(int(rate)) }),
			brief(median(row.p50)), brief(median(row.p99)), brief(median(row.cpu)), ratio)
	}
	b.WriteString("\n")
	for _, fact := range append(r.processes(), r.facts...) {
		fmt.Fprintf(&b, "- %s.\n", fact)
	}
	return b.String()
}

// processes says what the processes of a station take of a request.
func (r *report) processes() (facts []string) {
	for _, row := range r.rows {
		if !row.whole || row.connections != 64 || len(row.of) < 2 || row.what != "hello" && row.what != "counter" {
			continue
		}
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(row.of)) {
			var users, systems []time.Duration
			for _, c := range row.of[name] {
				users, systems = append(users, c.user), append(systems, c.system)
			}
			if user, system := median(users), median(systems); user+system >= 100*time.Nanosecond {
				parts = append(parts, fmt.Sprintf("%s %s and %s in the operating system", name, cmp.Or(brief(user), "0 µs"), cmp.Or(brief(system), "0 µs")))
			}
		}
		facts = append(facts, fmt.Sprintf("%s, CPU per request: %s", row.what, strings.Join(parts, "; ")))
	}
	return facts
}

// spread gives the median of what was measured, and the least and the most; it sorts that.
func spread[T time.Duration | float64](list []T, show func(T) string) string {
	middle := show(median(list))
	if len(list) == 1 {
		return middle
	}
	return fmt.Sprintf("%s (%s to %s)", middle, show(list[0]), show(list[len(list)-1]))
}

// brief gives three digits or so of a time; empty for 0, which is not known.
func brief(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d < time.Millisecond:
		return fmt.Sprintf("%.1f µs", float64(d)/float64(time.Microsecond))
	case d < time.Second:
		return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// machineText says what the figures were measured on.
func machineText() string {
	model := firstLine("/proc/cpuinfo", "model name")
	_, model, _ = strings.Cut(model, ": ")
	commit, err := exec.Command("git", "-C", root, "describe", "--always", "--dirty").Output()
	if err != nil {
		commit = []byte("unknown")
	}
	return fmt.Sprintf("%s, commit %s; %d processors (%s), %s/%s, Linux %s, %s, data on %s", time.Now().UTC().Format(time.DateOnly), strings.TrimSpace(string(commit)),
		runtime.NumCPU(), model, runtime.GOOS, runtime.GOARCH, firstLine("/proc/sys/kernel/osrelease", ""), runtime.Version(), fileSystem(os.TempDir()))
}

// fileSystem says what a folder lies on.
func fileSystem(dir string) string {
	out, err := exec.Command("df", "--output=fstype", dir).Output()
	if err != nil {
		return "a file system that nothing tells of"
	}
	f := strings.Fields(string(out))
	return f[len(f)-1]
}

// firstLine gives the first line of a file that begins with a text, empty where
// there is none.
func firstLine(file, begin string) string {
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // it was only read
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), begin) {
			return lines.Text()
		}
	}
	return ""
}

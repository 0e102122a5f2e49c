// Package pluginhost starts the plugin processes of a station, watches them,
// and starts them again when they die. It knows what every plugin has in
// common and nothing of what one is for; it never restarts a station's work,
// only the process that did it.
package pluginhost

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"

	"github.com/dbbasic/station/sdk/plugin"
)

// Command is how to run a plugin.
type Command struct {
	Path   string
	Args   []string // without the program's name
	SHA256 string   // of the program, 64 hex digits; any program at Path is run where it is empty
	Env    []string // names of variables that the plugin inherits beside those that every plugin does
}

// Spec says which plugin to run.
type Spec struct {
	Kind     plugin.Kind
	Name     string // as people know it: "tsv", "http"
	Command  Command
	Listener *os.File // the socket on which a transport answers; nil for others
}

// Host is what all plugins of one kernel share: the lifeline, the private
// folder of their sockets, and the thread that starts them. Close it once
// their supervisors have stopped.
type Host struct {
	log      *slog.Logger
	run      *runDir
	lifeline *os.File // the end that plugins read
	alive    *os.File // the end that the kernel holds; it must stay referenced
	starts   chan func()

	mu          sync.Mutex
	supervisors []*Supervisor // in the order in which they began
}

// New prepares to run plugins. The sockets of kernels that were killed are swept.
func New(log *slog.Logger) (*Host, error) {
	run, err := newRunDir(os.TempDir())
	if err != nil {
		return nil, fmt.Errorf("private folder for the plugins' sockets: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		run.remove()
		return nil, fmt.Errorf("lifeline of the plugins: %w", err)
	}
	h := &Host{log: log, run: run, lifeline: r, alive: w, starts: make(chan func())}
	go func() {
		// Linux sends a child its parent-death signal when the thread that started
		// it ends, so that one thread starts all plugins and lives as long as they do.
		runtime.LockOSThread()
		for f := range h.starts {
			f()
		}
	}()
	return h, nil
}

// Close ends whatever plugin is still there and removes the sockets' folder.
func (h *Host) Close() {
	close(h.starts)
	_ = h.alive.Close() // plugins end when they see it; there is no other use of the pipe
	_ = h.lifeline.Close()
	h.run.remove()
}

func (h *Host) keep(s *Supervisor) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.supervisors = append(h.supervisors, s)
}

// Plugins says how all plugins are, in the order in which their supervision began.
func (h *Host) Plugins() []Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]Status, len(h.supervisors))
	for i, s := range h.supervisors {
		all[i] = s.Status()
	}
	return all
}

// onStarter runs f on the thread that starts plugins.
func (h *Host) onStarter(f func() error) error {
	done := make(chan error, 1)
	h.starts <- func() { done <- f() }
	return <-done
}

// Package plugin is what every plugin of a station has in common, whatever
// its kind: who it is, how it is configured, and how it feels.
package plugin

import (
	"context"

	"github.com/dbbasic/station/sdk/id"
)

// Kind is what a plugin is for.
type Kind string

// The kinds of plugin.
const (
	Storage   Kind = "storage"
	Transport Kind = "transport"
	Cluster   Kind = "cluster"
)

// Info says who a plugin is.
type Info struct {
	Name    string // as in the configuration: "tsv", "http"
	Kind    Kind
	Version string
	Options Schema // what the plugin lets its operator set; nil for nothing
}

// Config is what the kernel tells a plugin before anything else.
type Config struct {
	Station id.Station        // the station that the plugin serves
	DataDir string            // an absolute path; only a storage plugin gets one
	Boot    uint64            // the boot of the station's storage; 0 for storage itself
	Options map[string]string // the plugin's own settings by name, as text that its Schema reads; one that is not given has its default
}

// Health is how a plugin feels. Asking touches no disk.
type Health struct {
	OK      bool
	Problem string // one sentence where OK is false
}

// Plugin is the part of every plugin's contract that does not depend on its
// kind. All methods are safe for concurrent use.
type Plugin interface {
	// Info says who the plugin is and what can be set. It is valid before
	// Configure, always the same, and its Options pass Schema.Check.
	Info() Info

	// Configure prepares the plugin to serve. The kernel calls it once, first.
	// A data folder that is locked by another process, unreadable, or of
	// another station is errs.Unavailable or errs.Invalid with the path in the text;
	// one that is locked has the code "folder_in_use", by which people are told what to do.
	// Settings are read with Schema.Parse: an option that the plugin does not know,
	// or whose value it does not take, is errs.Invalid with the option, its value
	// and what is allowed in the text, and nothing has been made or changed.
	Configure(ctx context.Context, c Config) error

	// Health says how the plugin feels. It answers within milliseconds,
	// touches no disk and takes no lock that a disk may hold: the kernel ends a
	// plugin that does not answer.
	Health(ctx context.Context) Health

	// Figures gives what the plugin counts and measures, for the station's metrics;
	// none is fine. It answers as fast as Health does, and what it gives passes
	// CheckFigures: the same figures each time, and counters that never fall.
	Figures(ctx context.Context) []Figure

	// Close ends the plugin in an orderly way and releases what it holds. The
	// kernel may kill the process instead at any time; nothing acknowledged may
	// depend on Close.
	Close(ctx context.Context) error
}

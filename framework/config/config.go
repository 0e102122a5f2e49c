// Package config decides what a station is started with: what the file says, over
// it the variables, over those the flags, and below all the defaults. It knows where
// each value came from, and says of everything that is wrong where it stands and what
// was meant.
//
// A plugin's block is read by the options that the plugin itself declares, for which
// its process is started and asked. The package starts nothing itself, and changes
// nothing.
package config

import (
	"context"
	"slices"
	"strings"

	"github.com/dbbasic/station/framework/listen"
	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
)

// FileName is that of the file which is read where none is named.
const FileName = "station.hcl"

// Sources are where settings come from.
type Sources struct {
	File    string     // path of the file; empty for none
	Over    []Override // in rising order: a later one counts
	Bundled map[plugin.Kind]map[string]pluginhost.Command
	Ask     func(context.Context, pluginhost.Spec) (plugin.Info, error) // who a plugin is, by starting it; nil to read only what stands outside of blocks
	Whole   bool                                                        // also ask plugins of which no option is given, for Settings to have all
}

// Override is a value from a variable or a flag.
type Override struct {
	Setting string // one of those in Overrides
	Value   string // as text, as plugin.Option.Check takes it
	From    Source // Variable or Flag
	At      string // its name: "STATION_DATA", "--data"
}

// Source is a kind of place that values come from.
type Source string

// The sources, in rising order.
const (
	Default  Source = "default"
	File     Source = "file"
	Variable Source = "variable"
	Flag     Source = "flag"
)

// Config is what a station is started with.
type Config struct {
	Station      id.Station
	Data         string // folder
	Scripts      string // folder
	ScriptsNamed bool   // somebody named it: that it is missing is an error
	Env          []string
	Storage      Plugin
	Transports   []Plugin  // at least one
	Settings     []Setting // in the order of a file; those of plugins that were not asked are missing
}

// Plugin is one plugin that the station runs.
type Plugin struct {
	Kind    plugin.Kind
	Name    string
	Command pluginhost.Command
	Options map[string]string // by name, each as the plugin's schema takes it; those that were given
	Listen  listen.Address    // of a transport
}

// Setting is one effective value.
type Setting struct {
	Block string      // such as `storage "tsv"`; empty for the station's own
	Name  string      // within its block
	Type  plugin.Type // of Value
	Value string      // as text, as plugin.Option.Check takes it
	From  Source
	At    string // "station.hcl:3", "STATION_DATA" or "--data"; empty for a default
}

// Origin says in words where a value came from.
func (s Setting) Origin() string {
	if s.From == Default {
		return string(Default)
	}
	return s.At
}

// Load reads all sources. Its error is an *Error with all that is wrong, or the one
// that a canceled ctx gives.
func Load(ctx context.Context, src Sources) (*Config, error) {
	l := &loader{src: src, file: src.File}
	content := l.read()
	if l.failed() {
		return nil, l.error()
	}
	l.station(content)
	if src.Ask == nil {
		return l.done()
	}
	storage, transports := l.blocks(content)
	all := append([]*block{storage}, transports...)
	l.ask(ctx, slices.DeleteFunc(slices.Clone(all), func(b *block) bool { return b.broken || !src.Whole && !l.given(b) }))
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	l.out.Storage = l.plugin(storage)
	for _, b := range transports {
		l.out.Transports = append(l.out.Transports, l.plugin(b))
	}
	l.unused(storage)
	return l.done()
}

func (l *loader) done() (*Config, error) {
	if l.failed() {
		return nil, l.error()
	}
	return &l.out, nil
}

// loader is one Load.
type loader struct {
	src      Sources
	file     string // as messages name it
	http     bool   // a block of the transport "http" has been read
	problems []Problem
	out      Config
}

func (l *loader) failed() bool { return len(l.problems) > 0 }

// Problem is one thing that is wrong.
type Problem struct {
	At           string // the file, or the variable or flag
	Line, Column int    // in a file; 0 where it is about all of it
	Text         string // a sentence
	Usage        bool   // it is in how the program was called
}

// Error is all that is wrong, in the order of the file.
type Error struct {
	Problems []Problem
	More     int // that were left out
}

// maxProblems is how many problems an Error lists.
const maxProblems = 50

func (l *loader) error() error {
	sortProblems(l.problems)
	e := &Error{Problems: l.problems}
	if n := len(e.Problems); n > maxProblems {
		e.Problems, e.More = e.Problems[:maxProblems], n-maxProblems
	}
	return e
}

// Error gives a line for each problem.
func (e *Error) Error() string { return strings.Join(e.Lines(), "\n") }

// Usage reports whether nothing is wrong but how the program was called.
func (e *Error) Usage() bool {
	for _, p := range e.Problems {
		if !p.Usage {
			return false
		}
	}
	return true
}

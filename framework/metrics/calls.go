// Package metrics is what a station counts of its own work, and how that and
// what its plugins report becomes a page that Prometheus reads. It is told of
// calls and commits, decides nothing, and its labels are bounded whatever
// objects there are and whatever they answer.
package metrics

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/plugin"
)

// MaxClasses is how many folders have a class of their own; objects of others
// share the class Other.
const MaxClasses = 20

// The classes that no folder can have: ids begin with a letter or a digit.
const (
	Root    = "."        // scripts that are in no folder
	Other   = "_other"   // folders beyond MaxClasses
	Unknown = "_unknown" // calls of what is no object in service
)

// Calls counts calls by the class of their object, which is the first folder of
// its script's path. A nil *Calls counts nothing.
type Calls struct {
	mu      sync.RWMutex
	classes map[string]*Class
	other   *Class
	unknown *Class
}

// NewCalls gives a Calls that has counted nothing.
func NewCalls() *Calls {
	return &Calls{classes: map[string]*Class{}, other: &Class{name: Other}, unknown: &Class{name: Unknown}}
}

// Class gives the class of a script's path: that of Unknown where it is empty,
// nil for a nil Calls.
func (c *Calls) Class(path string) *Class {
	if c == nil {
		return nil
	}
	if path == "" {
		return c.unknown
	}
	name := Root
	if folder, _, inFolder := strings.Cut(path, "/"); inFolder {
		name = folder
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	class := c.classes[name]
	if class == nil && name != Root && c.folders() >= MaxClasses {
		return c.other
	}
	if class == nil {
		class = &Class{name: name}
		c.classes[name] = class
	}
	return class
}

// folders is how many classes are those of folders.
func (c *Calls) folders() int {
	if c.classes[Root] != nil {
		return len(c.classes) - 1
	}
	return len(c.classes)
}

// all gives every class.
func (c *Calls) all() []*Class {
	c.mu.RLock()
	defer c.mu.RUnlock()
	list := []*Class{c.other, c.unknown}
	for _, class := range c.classes {
		list = append(list, class)
	}
	return list
}

// methods are those that an object answers; anything else is counted as the last.
var methods = [...]string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "other"}

func methodIndex(method string) int {
	for i := range len(methods) - 1 {
		if methods[i] == method {
			return i
		}
	}
	return len(methods) - 1
}

// outcomes is above the number of kinds of errors, and one for none.
const outcomes = 40

// Class counts the calls of one class. A nil *Class counts nothing.
type Class struct {
	name string
	by   [len(methods)]atomic.Pointer[tally] // nil until there was a call
}

// tally counts the calls of one method.
type tally struct {
	outcomes [outcomes]atomic.Uint64 // 0: no error; else 1 and the kind
	seconds  *plugin.Buckets
}

// durations reach from a call that is answered from memory to the longest there is.
func durations() *plugin.Buckets { return plugin.NewDurations(5, 30) }

// Count counts one call, its waiting included. Of an error the kind counts, of which
// there are few: its code may be a script's own.
func (c *Class) Count(method string, err error, took time.Duration) {
	if c == nil {
		return
	}
	by := &c.by[methodIndex(method)]
	t := by.Load()
	if t == nil {
		by.CompareAndSwap(nil, &tally{seconds: durations()})
		t = by.Load()
	}
	outcome := 0
	if err != nil {
		outcome = 1 + int(errs.KindOf(err))
	}
	t.outcomes[min(outcome, outcomes-1)].Add(1)
	t.seconds.Observe(took.Seconds())
}

// outcomeName is the label of an outcome.
func outcomeName(i int) string {
	if i == 0 {
		return "ok"
	}
	return errs.Kind(i - 1).String()
}

// Commits counts what is sent to storage. A nil *Commits counts nothing.
type Commits struct {
	durable, failed atomic.Uint64
	size            *plugin.Buckets // commits of a batch
	seconds         *plugin.Buckets // until storage has answered
}

// NewCommits gives a Commits that has counted nothing.
func NewCommits() *Commits {
	return &Commits{
		size:    plugin.NewBuckets(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
		seconds: durations(),
	}
}

// Batch counts one batch of commits, of which some are durable.
func (c *Commits) Batch(size, durable int, took time.Duration) {
	if c == nil {
		return
	}
	c.durable.Add(uint64(durable))
	c.failed.Add(uint64(size - durable))
	c.size.Observe(float64(size))
	c.seconds.Observe(took.Seconds())
}

// Package luahost compiles the scripts of objects and runs their calls in
// warm Lua VMs. It knows what a script sees (LUA.md) and what a script may
// cost; it knows nothing of storage, queues or transports: during a call a VM
// speaks to its object through the interface Object.
//
// A VM serves one version of one object, and one call at a time. Whatever a
// script does, a call ends with a Result or an *errs.Error: it never panics,
// and it ends soon after its limits do.
package luahost

import (
	"time"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Limits bounds what one call, or one load, may use.
type Limits struct {
	Steps  int64         // VM instructions, and the work of builtins counted in them
	Time   time.Duration // wall time
	Memory int           // bytes that the VM's values take, about

	Response   int // bytes of a response's body
	Header     int // bytes of the headers that a script gives its response
	Message    int // bytes of a log message
	Entry      int // bytes of a log entry, message and fields
	Key        int // bytes of a state key
	Value      int // bytes of a state value as JSON
	Coroutines int // coroutines that a call began and did not finish
	Request    int // bytes of the request that a script gives another object

	Budget *Budget // of the memory of all VMs together; nil is no bound
}

// DefaultLimits gives the figures that hold where the config says nothing.
func DefaultLimits() Limits {
	return Limits{
		Steps:      100_000_000,
		Time:       5 * time.Second,
		Memory:     32 << 20,
		Response:   1 << 20,
		Header:     32 << 10,
		Message:    8 << 10,
		Entry:      64 << 10,
		Key:        512,
		Value:      256 << 10,
		Coroutines: 100,
		Request:    1 << 20,
	}
}

// MaxSource is the most bytes that a script has.
const MaxSource = 256 << 10

// Object is what a VM needs of its object during a call. It is called only
// from the goroutine that runs the call. An error of Set, Delete or Log ends
// the call with that error; the script cannot catch it.
type Object interface {
	// Get gives the value of a key as canonical JSON, which the VM does not change.
	Get(key string) (value []byte, ok bool)

	// Set stages a value, canonical JSON that the object now owns.
	// Errors: errs.Limit where the staged writes or the state are full.
	Set(key string, value []byte) error

	// Delete stages the removal of a key, also of one that is not there.
	Delete(key string) error

	// Range yields the keys that begin with prefix in the order of their
	// bytes, or against it where reverse, beginning behind after: an empty
	// after means all. It ends when yield returns false. What the call has
	// staged is seen; yield changes nothing.
	Range(prefix, after string, reverse bool, yield func(key string, value []byte) bool)

	// Log adds an entry; fields is a JSON object that the object now owns, or nil.
	Log(level storage.Level, message string, fields []byte) error

	LogReader
	Objects
	Files
}

// Request is one call to run.
type Request struct {
	Call     host.Call
	Station  id.Station // that runs it
	Version  uint64     // of the source that runs
	Now      time.Time  // what time.now says when the call begins; zero means the clock
	Deadline time.Time  // zero means that Limits.Time alone bounds it

	// Yield, where there is one, is called when the call has run for more than
	// 10 ms since it began or since Yield last returned, and again so, on the
	// goroutine that runs the call: there the caller may let other calls run
	// first. The time in it counts towards the deadline, which is looked at
	// when it returns. It may be called in the middle of the Object's Range. It
	// does not panic, and uses neither the VM nor what the Object holds.
	Yield func()

	// Aside, where there is one, is called with work of a builtin that waits, or
	// that takes long without the VM: it runs the work on the same goroutine and
	// returns when that has returned. Meanwhile the caller may let another call run
	// in the place of this one. The time in it counts towards the deadline.
	Aside func(work func())
}

// Result is what the script answered.
type Result struct {
	Status int          // 200 to 599
	Header []host.Field // sorted by name, Content-Type among them where there is a Body; not to be changed
	Body   []byte       // nil where there is none; the caller owns it
	File   *host.File   // to answer with instead of Body; nil where there is none
}

// Declared is what a script says of itself in its table `object`.
type Declared struct {
	Name        string
	Description string
	Version     string
	Author      string
	Actions     []string // names of global functions that POST may choose with "action"
}

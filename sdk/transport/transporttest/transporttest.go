// Package transporttest is the contract of package transport as a test suite,
// with a fake host to serve and a small transport that passes. It speaks of
// calls and answers, never of a protocol: the author of a transport adds a
// Client of a page or two.
package transporttest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport"
)

// Config is what the transport under test is configured with.
var Config = plugin.Config{Station: "here", Boot: 1}

// Harness is how the suite gets at a transport.
type Harness struct {
	// New gives a transport that waits for Configure. The suite calls it several
	// times, and configures most with Config.
	New func(t testing.TB) transport.Transport

	// Dial gives a client of the transport that listens at addr. It need not
	// connect before its first call.
	Dial func(t testing.TB, addr net.Addr) Client

	// Network is what the transport listens on: "tcp" or "unix". Empty is "tcp".
	Network string

	// TooLarge is a number of bytes that the transport refuses in a body.
	TooLarge int
}

// Client speaks the transport's protocol. It is safe for concurrent use, and
// a slow call holds up no other. Its errors say that no answer came; what the
// station answered, refusals included, is a Response.
type Client interface {
	Do(ctx context.Context, r Request) (Response, error)
	Read(ctx context.Context, r Read) (Reading, error)
	Change(ctx context.Context, c Change) (Changed, error)
	Close()
}

// Request asks for one call of an object.
type Request struct {
	Object    string // "id" or "id@station"; may be malformed
	Method    string
	Query     []host.Field
	Header    []host.Field
	Type      string // media type of Body
	Body      []byte
	Form      []host.Field // with Files, instead of Body
	Files     []Part
	RequestID string // may be malformed; empty means that none is sent
}

// Response is what the station answered.
type Response struct {
	Status    int // as over HTTP
	Header    []host.Field
	Body      []byte
	RequestID string
	Station   id.Station // that ran the call

	// Of errors that the station raised; empty where an object answered.
	Code       string
	Message    string
	Line       int
	Traceback  string
	Allow      []string
	RetryAfter time.Duration // whole seconds are enough, rounded up
}

// What a Read is for.
const (
	Objects = "objects"
	Source  = "source"
	State   = "state"
	Logs    = "logs"
	Follow  = "follow" // of a log: until Limit entries have come or Wait is over
	Tests   = "tests"

	Versions = "versions"
	Version  = "version" // one, with its text
	Diff     = "diff"
	Metadata = "metadata"
	Export   = "export"

	Files  = "files"
	File   = "file"   // the bytes of one: a Response alone, with its type
	Status = "status" // what the object does now

	Plugins = "plugins" // of the station; no object, as with the next two
	Health  = "health"  // what the station needs, and what is missing
	Ready   = "ready"   // a Response alone: 200, or the error of host.Health's Ready
	Metrics = "metrics" // of the station; no object
)

// Read asks for a look at objects, or at the station.
type Read struct {
	What   string
	Object string // "id"; not with Objects
	Number uint64 // Version; Diff: the older one
	To     uint64 // Diff: the newer one, 0 for the newest
	Name   string // File
	Prefix string // Objects, State, Files
	Key    string // State: this one alone, where it is not empty
	Levels []storage.Level
	Since  time.Time // Logs, as the next four
	Until  time.Time
	Text   string
	Fields []storage.FieldFilter
	Oldest bool
	Limit  int           // 0 means the transport's own, but not with Follow
	Cursor string        // Next of the page before; Follow: also one of Cursors
	Last   int           // Follow, without Cursor
	Wait   time.Duration // Follow
}

// Reading is the answer to a Read: a Response that failed, or what was asked for.
type Reading struct {
	Response
	Objects []host.ObjectInfo
	Source  host.Source
	State   []host.StateItem // in the order of the keys' bytes
	Logs    []storage.Entry  // Fields in canonical JSON
	Cursors []string         // Follow: one for each of Logs
	Tests   host.TestReport  // Fields likewise, durations to the microsecond

	Versions []storage.Version // without texts and uses, but for that of Version

	Diff     []byte
	Metadata host.Metadata // Declared in canonical JSON
	Archive  []byte        // Export
	Plugins  []host.Plugin // in the host's order
	Health   host.Health
	Metrics  string // as the host gave them

	Files []host.File
	Doing host.Status

	Next string // cursor of the next page; empty on the last
}

// Change asks for another source of an object, for its end, for another file or key, or for an
// object made of an archive: one of these is set.
type Change struct {
	Publish     *host.Publication   `json:",omitempty"`
	Rollback    *host.Rollback      `json:",omitempty"`
	Delete      *host.Deletion      `json:",omitempty"`
	PutFile     *PutFile            `json:",omitempty"`
	DeleteFile  *host.FileDeletion  `json:",omitempty"`
	SetState    *host.StateChange   `json:",omitempty"`
	DeleteState *host.StateDeletion `json:",omitempty"`
	Import      *Import             `json:",omitempty"`
}

// Import is an object that shall be made of an archive.
type Import struct {
	Object  id.Object
	Archive []byte
	Cut     bool // the client goes away behind these bytes, without having said that they are all
}

// Changed is the answer to a Change: a Response that failed, or what the object
// now runs, or the file that was put. Not every protocol tells the hash of a source,
// and whether it is new.
type Changed struct {
	Response
	Object  id.Object
	Version uint64 // 0 but of a source
	File    host.File
	New     bool // there was no file of that name
}

// Run checks a transport against the contract. There is no optional part.
func Run(t *testing.T, h Harness) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.run(t, h) })
	}
}

// check is one part of the contract. It takes a testing.TB so that the suite
// can be tested on broken transports.
type check struct {
	name string
	run  func(t testing.TB, h Harness)
}

var checks = []check{
	{"Plugin", checkPlugin},
	{"Options", checkOptions},
	{"Methods", checkMethods},
	{"Query", checkQuery},
	{"Headers", checkHeaders},
	{"Address", checkAddress},
	{"Caller", checkCaller},
	{"RequestIDs", checkRequestIDs},
	{"FormTokens", checkFormTokens},
	{"Bodies", checkBodies},
	{"BodyTooLarge", checkBodyTooLarge},
	{"Uploads", checkUploads},
	{"UploadsRefused", checkUploadsRefused},
	{"Files", checkFiles},
	{"BrokenFiles", checkBrokenFiles},
	{"Exports", checkExports},
	{"BrokenExports", checkBrokenExports},
	{"Imports", checkImports},
	{"CutImports", checkCutImports},
	{"MalformedIDs", checkMalformedIDs},
	{"Statuses", checkStatuses},
	{"Errors", checkErrors},
	{"CausesStayInside", checkCauses},
	{"Unavailable", checkUnavailable},
	{"Concurrent", checkConcurrent},
	{"Slow", checkSlow},
	{"ClientGone", checkClientGone},
	{"Objects", checkObjects},
	{"Source", checkSource},
	{"State", checkState},
	{"Logs", checkLogs},
	{"Follow", checkFollow},
	{"FollowWaits", checkFollowWaits},
	{"FollowResumes", checkFollowResumes},
	{"FollowEnds", checkFollowEnds},
	{"FollowStops", checkFollowStops},
	{"Tests", checkTests},
	{"Versions", checkVersions},
	{"Diffs", checkDiffs},
	{"Metadata", checkMetadata},
	{"ReadErrors", checkReadErrors},
	{"Health", checkHealth},
	{"Figures", checkFigures},
	{"Changes", checkChanges},
	{"ChangeErrors", checkChangeErrors},
	{"Deletions", checkDeletions},
	{"FileLists", checkFileLists},
	{"FileReads", checkFileReads},
	{"FileErrors", checkFileErrors},
	{"FileChanges", checkFileChanges},
	{"StateChanges", checkStateChanges},
	{"Status", checkStatus},
	{"Drain", checkDrain},
	{"Handover", checkHandover},
	{"FailedListener", checkFailedListener},
	{"NoLeak", checkNoLeak},
}

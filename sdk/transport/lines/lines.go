// Package lines is a complete transport for any protocol whose messages are
// lines on a unix socket. The author of a protocol writes how a line is read and
// how one is written; connections, limits, several requests at a time, files in
// pieces and the orderly end are here.
//
// A client sends requests, each with an id of its own, and gets an answer for each,
// in any order. Files and archives have no limit that a line could hold, so they come in
// pieces, and who receives asks for each: nothing is sent that nobody can take,
// and a slow file holds up no other request of its connection.
package lines

import (
	"log/slog"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport"
)

// What clients may take of the station. Every wait has an end and every buffer a
// bound: a plugin that one client can fill up takes all others with it.
const (
	MaxBody   = 8 << 20          // bytes of a body
	MaxLine   = 12 << 20         // bytes of a line: the largest body in base64, and some
	MaxFields = 10_000           // of a query, a header or a form
	MaxFiles  = 100              // files of a form
	MaxConns  = 256              // open connections; others wait in the listener's queue
	MaxCalls  = 128              // requests of one connection that are under way
	MaxHeld   = 256 << 20        // bytes of all lines above 64 KiB that are in memory
	IdleTime  = 2 * time.Minute  // from one line to the next
	LineTime  = 30 * time.Second // for a line to cross once it has begun, and for a piece that was asked for
	CallTime  = 35 * time.Second // for the host to answer; the kernel's own limit is 30 s
)

// Protocol is what the lines of a transport look like. Its methods are safe for
// concurrent use.
type Protocol interface {
	// Decode reads a line of a client, which ends before its newline. Errors:
	// errs.Invalid, with the ID in the Request where that could be read.
	Decode(line []byte) (Request, error)

	// Encode writes an answer as a line, without a newline in it or behind it. An
	// error, which is a fault of the transport, becomes an answer by itself.
	Encode(a *Answer) ([]byte, error)
}

// Action is what a client asks for: each is a method of host.Host.
type Action string

// The actions. What they use of a Request stands there, what they give with Answer.
const (
	Invoke   Action = "invoke"
	Identity Action = "identity"
	Objects  Action = "objects"
	Source   Action = "source"
	State    Action = "state"
	Logs     Action = "logs"
	Follow   Action = "follow" // of a log; answered once there is an entry, or Wait is over, or the client or the station goes
	Test     Action = "test"
	Versions Action = "versions"
	Version  Action = "version"
	Diff     Action = "diff"
	Metadata Action = "metadata"
	Publish  Action = "publish"
	Rollback Action = "rollback"
	Delete   Action = "delete"
	Export   Action = "export" // answered in pieces, as a file is
	Import   Action = "import" // the station asks for the pieces of the archive, as for a file of a form
	Files    Action = "files"
	File     Action = "file"
	PutFile  Action = "put_file"
	Status   Action = "status"
	Plugins  Action = "plugins"
	Health   Action = "health" // answered as long as the kernel is alive
	Ready    Action = "ready"  // the same, or the error of host.Health's Ready
	Metrics  Action = "metrics"

	DeleteFile  Action = "delete_file"
	SetState    Action = "set_state"
	DeleteState Action = "delete_state"
)

// Request is a line of a client: an action or, where it has none, a Piece of a file
// for a request that is under way.
type Request struct {
	ID        uint64 // from 1; no two requests of a connection that are under way share it
	Do        Action
	Object    string // "id" or "id@station", any text; not with Objects and what is of the station
	RequestID string // that the client wants, any text

	Call  host.Call       // Invoke: Method, Query, Header, Form, Type and Body
	Files []host.Uploaded // Invoke: Field, Name and Type of the files whose pieces follow, with Form and without Body

	Prefix string  // Objects, State, Files
	Key    *string // State: this one alone; SetState, DeleteState
	Limit  int     // of a list, 1 to storage.MaxPage; 0 means 100
	Cursor string  // of a list: Next of the answer before; Follow: also one of Cursors

	Logs        storage.LogsQuery // Logs: Since, Until, Levels, Text, Fields and Oldest; Follow: Since, Levels, Text and Fields
	Last        int               // Follow, as in host.FollowQuery
	Wait        time.Duration     // Follow, up to 30 s
	Version     uint64            // Version, Rollback; Diff: the older one
	To          uint64            // Diff: the newer one, 0 for the newest
	Publication host.Publication  // Publish: all but Object; Rollback: Author and Message; Delete: IfMatch

	Name     string // File, PutFile, DeleteFile: its name; with PutFile Call.Type is its type, and its pieces follow
	IfMatch  string // PutFile, DeleteFile: as in host.NewFile
	IfAbsent bool   // PutFile: likewise
	Value    []byte // SetState: one JSON value

	Piece *Piece
}

// Piece is a line about a file or an archive: bytes of one that the station asked for,
// or what the client says of one that it gets.
type Piece struct {
	Bytes []byte // of a file of the client; the pieces of one file of a form follow those of the one before
	More  bool   // others of the same file follow
	Send  bool   // instead: the next piece of the file that the station sends, please
	Drop  bool   // instead: the client gives the file up
}

// Answer is a line of the station. It is the last one of its request unless Send or
// More is set.
type Answer struct {
	ID        uint64     // of the request, 0 where the line could not be read
	RequestID string     // the one that the station uses
	Station   id.Station // that ran the call

	Err    *errs.Error  // what went wrong; its Op and Err are not for the client
	Result *host.Result // Invoke, and File with the status 200; Piece is the first of its File. Header has canonical names, and the file's type
	Value  any          // of the other actions: see Answer's Values
	Next   string       // cursor of the next page; empty on the last

	Send  bool   // the next piece of the files of the form, or of what is put or imported, please
	Piece []byte // of a file or an archive
	More  bool   // others follow, each when the client asks for it
}

// Values of an Answer, by action:
//
//	Identity          host.Identity
//	Objects           []host.ObjectInfo
//	Source            host.Source
//	State             []host.StateItem
//	Logs              []storage.Entry
//	Follow            host.FollowPage, whose Next is the answer's too
//	Test              host.TestReport
//	Versions          []storage.Version
//	Version           storage.Version
//	Diff, Metrics     string
//	Metadata          host.Metadata
//	Publish, Rollback host.Published
//	Import            host.Published
//	Export            nil; Piece is the first of the archive
//	Delete            id.Object, which is no more
//	Files             []host.File
//	PutFile           host.StoredFile
//	DeleteFile        host.FileDeletion, which is done
//	SetState          host.StateChange, likewise
//	DeleteState       host.StateDeletion, likewise
//	Status            host.Status
//	Plugins           []host.Plugin
//	Health, Ready     host.Health

// New gives the transport of a protocol. Its info declares no Options.
func New(log *slog.Logger, info plugin.Info, p Protocol) transport.Transport {
	return &server{log: log, info: info, protocol: p, most: defaults()}
}

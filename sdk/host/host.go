// Package host is what the kernel offers to a transport plugin: to run
// objects and to look at them. A transport translates a protocol into these
// calls and their results back, and decides nothing else.
package host

import (
	"context"
	"io"
	"time"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Call is one call of an object.
type Call struct {
	Object  id.Object
	Station id.Station // where it must run; empty means wherever the kernel routes it
	Method  string     // GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS
	Path    string     // as the client wrote it; "/objects/{id}" over HTTP
	Query   []Field    // decoded, in the order of the request; UTF-8
	Header  []Field    // names in canonical form, as net/http has them; no Authorization, Cookie or Proxy-Authorization: no script may see those
	Form    []Field    // decoded form fields, where the body was a form; UTF-8
	Type    string     // media type of Body without parameters; empty where there is none
	Body    []byte     // as received; empty where it was a form
	Uploads []Uploaded // the files of a form, in its order; the call uses them up or the kernel drops them

	RequestID string
	Caller    id.Caller
	Chain     []id.Object // the objects whose calls led here, outermost first
	FormToken string      // lets the pages of this object alone send it forms; empty where the transport shows no pages
	Deadline  time.Time   // zero means the object's own limit
}

// Field is one name and value of a query, form or header.
type Field struct{ Name, Value string }

// Uploaded is one file of a form, whose bytes Host.Upload has put aside.
type Uploaded struct {
	Field  string // of the form
	Name   string // as the client calls it, without folders; any text
	Type   string // media type as the client gave it, or empty
	Size   int64  // bytes
	Upload string // storage.Upload.ID
}

// Result is what an object answered.
type Result struct {
	Status  int     // HTTP status
	Header  []Field // as the script set them, Content-Type among them where there is a Body; where it is, it goes before that of File
	Body    []byte
	File    *File      // to send instead of Body, see Host.ReadFile; nil where there is none
	Station id.Station // the station that ran the call
}

// File is a file of an object as it was when the object answered.
type File struct {
	Name string
	Type string // media type, or empty
	Size int64  // bytes
	Hash string // SHA-256 of the bytes, 64 lower-case hex digits
	Time time.Time
}

// UploadFor says for what call an upload is.
type UploadFor struct {
	Object  id.Object
	Station id.Station // as in the Call
	Method  string
}

// ObjectInfo is one row of the list of objects in service.
type ObjectInfo struct {
	Object  id.Object
	Path    string // of the script, below the scripts folder, with slashes
	File    string // the last element of Path
	Version uint64 // of the source in service
}

// ObjectsQuery selects a page of the objects in service, in the order of their ids.
type ObjectsQuery struct {
	Prefix  string
	After   id.Object
	Limit   int  // 1 to storage.MaxPage, and to MaxMethods with Methods; 0 means all
	Methods bool // what the objects answer is asked too, for which their scripts may have to be loaded
}

// MaxMethods is the most objects of a page with their methods.
const MaxMethods = 100

// ObjectsPage is a page of objects; More says that others follow.
type ObjectsPage struct {
	Objects []ObjectInfo
	Methods [][]string // of each of Objects, where the query asks; none of a script that does not load
	More    bool
}

// Source is the source of an object in service.
type Source struct {
	Object  id.Object
	Version uint64
	Hash    string // SHA-256, 64 hex digits
	Text    []byte
}

// StateQuery selects keys of an object's state, in the order of the keys' bytes.
type StateQuery struct {
	Object id.Object
	Key    string // this one only, where HasKey
	HasKey bool
	Prefix string
	After  string
	Limit  int // 0 means all
}

// StatePage is a page of state; More says that other keys follow.
type StatePage struct {
	Items []StateItem
	More  bool
}

// StateItem is one key with its value.
type StateItem struct {
	Key   string
	Value []byte // JSON
}

// TestReport is what became of the tests of an object's script.
type TestReport struct {
	Object id.Object
	Tests  []TestResult // in the order in which they ran
}

// Count says how many tests ended so.
func (r TestReport) Count(o TestOutcome) int {
	n := 0
	for i := range r.Tests {
		if r.Tests[i].Outcome == o {
			n++
		}
	}
	return n
}

// TestOutcome is how a test ended.
type TestOutcome string

// The outcomes.
const (
	TestPassed  TestOutcome = "passed"
	TestFailed  TestOutcome = "failed"
	TestSkipped TestOutcome = "skipped"
)

// TestResult is what became of one test.
type TestResult struct {
	Name      string
	Outcome   TestOutcome
	Reason    string // why it failed, or what it gave as the reason to be skipped
	Code      string // of the error of a test that failed
	Line      int    // where it failed; 0 if that is no line of the script
	Traceback string
	Duration  time.Duration // of the test alone, without the load of the script
	Log       []TestEntry   // what it logged, oldest first; of a long log the end
	Omitted   int           // entries before those of Log
}

// TestEntry is one entry of a test's log.
type TestEntry struct {
	Time    time.Time // microseconds are kept
	Level   storage.Level
	Message string
	Fields  []byte // a JSON object, or nil
}

// Identity is what a transport tells its clients of the station.
type Identity struct {
	Station id.Station
	Version string // of the station binary
}

// OutOfService is the code of errs.Unavailable for an object of which storage gives or
// takes nothing, while it does of others. Metadata says why, and gives the hash on
// which a mended source can be published.
const OutOfService = "out_of_service"

// Host is the kernel as a transport sees it. All methods are safe for
// concurrent use, and each takes its deadline from ctx. Every method that names
// an object gives errs.NotFound for one that is not in service, and errs.Invalid
// for malformed input. No result leaves before what it depends on is durable.
// Source, Logs, Follow, Versions, Version, Diff and Metadata work for modules too, by the
// ids that they are kept under: lib_util_dates is lib/util/dates.lua.
type Host interface {
	// Identity says which station this is.
	Identity(ctx context.Context) (Identity, error)

	// Invoke runs one call. Errors are those of HTTP-API: MethodNotAllowed with
	// Allow, Busy, Refused, Script, Limit, Timeout, Loop, Unavailable, Unknown.
	Invoke(ctx context.Context, c Call) (Result, error)

	// Objects lists the objects in service.
	Objects(ctx context.Context, q ObjectsQuery) (ObjectsPage, error)

	// Source gives the source that an object runs. Errors: also errs.Unavailable
	// (OutOfService) where it runs none, since storage does not give it.
	Source(ctx context.Context, object id.Object) (Source, error)

	// State reads an object's state between two of its calls. Errors: also
	// errs.NotFound for a Key that is not there.
	State(ctx context.Context, q StateQuery) (StatePage, error)

	// Logs reads a page of an object's log.
	Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error)

	// Follow gives what stands in an object's log behind a cursor, each entry once
	// it is durable, and waits for an entry where nothing does: for q.Wait at most,
	// after which the page is empty. Who goes on with a cursor of the page meets each
	// entry exactly once, whatever was started again meanwhile. It ends with ctx.
	// Errors: also errs.NotFound as soon as the object is deleted or out of service;
	// errs.Invalid (bad_cursor) for what is no cursor of this log, such as one of an
	// object that was deleted and made again since; errs.Busy where too many wait.
	Follow(ctx context.Context, q FollowQuery) (FollowPage, error)

	// Upload puts the bytes that r gives aside, durable when it returns, for a call
	// that names them. A call uses up what its script made files of, and what it
	// left is dropped when Invoke returns; an upload that no call names is to be
	// dropped by who made it, and is gone after storage.UploadLife. Nothing is read
	// of r where no call could use it. An error of r is given back as it is and
	// leaves nothing; ctx may have no deadline. Errors: errs.MethodNotAllowed with
	// Allow; errs.TooLarge (file_too_large), after which the rest of r is not read;
	// errs.Busy where too many uploads run; errs.Unavailable.
	Upload(ctx context.Context, call UploadFor, r io.Reader) (storage.Upload, error)

	// DropUpload removes an upload that no call will name. One that is not there
	// is no error.
	DropUpload(ctx context.Context, object id.Object, upload string) error

	// ReadFile gives the bytes of a file with that hash, from an offset to its end:
	// those that a Result named or none. The caller closes it; ctx may have no
	// deadline. Errors, of ReadFile or of the reader: errs.Unavailable
	// (file_changed) where the file was replaced or deleted since; errs.Busy where
	// too many files are read; errs.Corrupt as with storage.Storage.ReadFile.
	ReadFile(ctx context.Context, object id.Object, name, hash string, from int64) (io.ReadCloser, error)

	// Test runs the tests of the script that an object runs, on an empty state
	// and a log of their own: nothing of the object is read or changed. Tests
	// that fail are no error. Errors: also errs.Source for a script that does not
	// load, errs.Busy where too many tests are running.
	Test(ctx context.Context, object id.Object) (TestReport, error)

	// Versions lists an object's source versions without their texts, the newest first.
	Versions(ctx context.Context, q storage.VersionsQuery) ([]storage.Version, error)

	// Version gives one source version. Errors: also errs.NotFound (no_such_version).
	Version(ctx context.Context, object id.Object, number uint64) (storage.Version, error)

	// Publish makes a text the newest version of an object, which runs it when
	// Publish returns; calls that have begun end on the version they began with.
	// Errors, after which the object runs what it ran: errs.Source with the line
	// for a text that does not compile or load; errs.Precondition where IfMatch is
	// not the newest version's hash; errs.Conflict for a module; errs.Unavailable.
	// After errs.Unknown the version may have been stored.
	Publish(ctx context.Context, p Publication) (Published, error)

	// Rollback makes the text of an older version the newest version, as Publish
	// does. Errors: those of Publish and of Version.
	Rollback(ctx context.Context, r Rollback) (Published, error)

	// Diff gives a unified diff of two versions of an object's source, with lines as
	// they are stored; empty where their texts are the same. Errors: also
	// errs.NotFound (no_such_version).
	Diff(ctx context.Context, q DiffQuery) ([]byte, error)

	// Delete ends an object: its script's file, state, log, versions and files are
	// gone when Delete returns. Calls that have begun end as they would, and those
	// behind them find no object. One that is made again under the id begins empty,
	// and its version numbers go on. An object whose file was removed can be deleted
	// too. A script that is saved meanwhile makes the object again. Errors, after
	// which nothing has changed: errs.Precondition where IfMatch is not the newest
	// version's hash; errs.Conflict for a module; errs.Unavailable. After
	// errs.Unknown the object may be deleted.
	Delete(ctx context.Context, d Deletion) error

	// Export gives an object as one stream, as it was between two of its commits, all
	// acknowledged; package archive says how it looks. An error of Read means that the
	// stream is no whole archive. The caller closes it; ctx may have no deadline.
	// Errors, of Export or of the reader: errs.Conflict for a module; errs.Busy where too
	// many objects are exported; those of storage.Storage's Export.
	Export(ctx context.Context, object id.Object) (io.ReadCloser, error)

	// Import makes an object of such a stream, whole or not at all, whatever object the
	// stream names, and puts it into service: it is durable and live when Import
	// returns. Its newest version runs with the modules that this station has; where
	// those are others than it ran with, a version that says so is added. Nothing is
	// read of r where there can be no such object. An error of r is given back as it is
	// and leaves nothing; ctx may have no deadline. Errors: errs.Conflict (object_exists)
	// where there is or was an object of that id, or a script of it; errs.Conflict
	// (import_runs) where one of that id still runs after a wait of 2 s: it may be one
	// that broke off, which is being removed; errs.Conflict for an id of a module; errs.Invalid (bad_archive) for what is no whole archive, or holds
	// what no object may; errs.TooLarge (import_too_large) for more than an object may
	// have; errs.Source with the line where the newest version does not load here;
	// errs.Busy where too many imports run; errs.Unavailable. After errs.Unknown the
	// object may have been made.
	Import(ctx context.Context, object id.Object, r io.Reader) (Published, error)

	// Metadata gives what the script of an object declares of itself and what the
	// station knows of it.
	Metadata(ctx context.Context, q MetadataQuery) (Metadata, error)

	// Files lists an object's files as of its last commit. Errors: also errs.NotFound
	// (no_such_file) for a Name that is not there.
	Files(ctx context.Context, q FilesQuery) (FilesPage, error)

	// PutFile makes the bytes that r gives a file of the object, in a commit of its own
	// between two of its calls, with an entry in its log; durable when it returns.
	// Nothing is read of r where the object does not take the file as it is. An error
	// of r is given back as it is and changes nothing; ctx may have no deadline, and
	// once r has ended the time of a call begins. Errors: errs.Precondition where
	// IfMatch or IfAbsent does not hold, before r is read or after; errs.TooLarge
	// (file_too_large, files_limit, file_count_limit); errs.Conflict where the object
	// was deleted and made again while r was read; errs.Busy where too many uploads
	// run, or too many calls wait; errs.Timeout, errs.Unavailable. After errs.Unknown
	// the file may have been stored.
	PutFile(ctx context.Context, f NewFile, r io.Reader) (StoredFile, error)

	// DeleteFile ends a file, as PutFile makes one. Errors: also errs.NotFound
	// (no_such_file); those of PutFile.
	DeleteFile(ctx context.Context, d FileDeletion) error

	// SetState sets a key of an object's state, in a commit of its own between two of
	// its calls, with an entry in its log; durable when it returns, and what the next
	// call reads. Errors: errs.Invalid (bad_json, bad_key); errs.Refused (bad_value) for
	// what no state holds, with its place; errs.TooLarge (value_limit, key_limit,
	// state_limit); errs.Busy, errs.Timeout, errs.Unavailable. After errs.Unknown the
	// value may have been stored.
	SetState(ctx context.Context, s StateChange) error

	// DeleteState ends a key, as SetState makes one. Errors: also errs.NotFound
	// (no_such_key); those of SetState.
	DeleteState(ctx context.Context, d StateDeletion) error

	// Status says what an object does now. It waits for nothing that the object does.
	Status(ctx context.Context, object id.Object) (Status, error)

	// Plugins says how the station's plugins are, the asking one among them:
	// storage first, then transports in the order of the configuration. It asks
	// nobody: what it says was learnt from the last pings.
	Plugins(ctx context.Context) ([]Plugin, error)

	// Health says whether the station has what it needs to answer calls. It costs
	// as little as Plugins, and writes nothing. That it answers at all says that
	// the kernel is alive.
	Health(ctx context.Context) (Health, error)

	// Metrics gives what the station counts and measures, of its plugins too, in the
	// text format of Prometheus (version 0.0.4). A plugin that does not answer in two
	// seconds is left out and shown as down.
	Metrics(ctx context.Context) ([]byte, error)

	// Cluster says which stations there are and how they are, from memory.
	Cluster(ctx context.Context) (Cluster, error)
}

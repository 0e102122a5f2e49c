// Package storage is the contract between the kernel and a storage plugin:
// types, interface and law, with no implementation beside it. Package
// storagetest is the same contract as a test suite.
//
// The law, in short. A commit is durable when Commit returns nil for it. The
// store accepts exactly the sequence that follows an object's last one. Every
// read sees every acknowledged commit. A store whose fsync failed ends its
// process; it never repeats that fsync.
package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
)

// Commit is everything that one call changed in one object, stored whole or
// not at all. Working is about a file of this station: it is part of no digest and
// of no export, and a new incarnation begins without it.
type Commit struct {
	Object      id.Object
	Incarnation uint64    // 1 for an object's first life; rises when it is deleted
	Sequence    uint64    // the object's last sequence on this station, plus one
	Stamp       hlc.Stamp // of the commit; later than those of the object's earlier commits made here
	RequestID   string    // of the call that made it, or empty
	Source      uint64    // the source version that ran, 0 where none did
	HomeEpoch   uint64    // of the object's home, 0 where it has none
	State       []StateChange
	Entries     []Entry
	Version     *Version // a new source version with its text, or nil
	Working     uint64   // the version that the object's script file holds from now on, this commit's or an earlier one; 0: as before
	Files       []FileChange
}

// StateChange sets or deletes one key. At most one change of a key stands in a commit.
type StateChange struct {
	Key     string    // 1 to 512 bytes of UTF-8
	Value   []byte    // one JSON value in canonical form; nil where Deleted
	Deleted bool      // a tombstone: kept, with its stamp, until the cluster collects it
	Stamp   hlc.Stamp // of the change: the commit's own where it was made here
	Was     hlc.Stamp // of what it replaces, a tombstone's included; zero where the key had nothing. Earlier than Stamp
}

// Entry is one line of an object's log. Entries of an object keep the order of
// their commits, and within a commit the order of Entries.
type Entry struct {
	ID      id.Entry
	Time    time.Time // microseconds are kept
	Level   Level
	Message string
	Fields  []byte // a JSON object, or nil
}

// Level is the severity of a log entry.
type Level string

// The levels, from least to most severe.
const (
	Debug    Level = "DEBUG"
	Info     Level = "INFO"
	Warning  Level = "WARNING"
	Error    Level = "ERROR"
	Critical Level = "CRITICAL"
)

// Known reports whether l is one of the levels.
func (l Level) Known() bool {
	switch l {
	case Debug, Info, Warning, Error, Critical:
		return true
	}
	return false
}

// Version is one source version of an object.
type Version struct {
	Number  uint64 // from 1, each one more than the last, across incarnations
	Time    time.Time
	Author  string
	Message string
	Hash    string // Hash(Text)
	Uses    []Use  // the modules that the text runs with, those of modules included: CheckUses
	Text    []byte // the source; absent in lists
}

// Use is a version of a module that a source version runs with. A module is kept
// like an object that is never called: its versions are those of its id.
type Use struct {
	Module  id.Object
	Version uint64
}

// MaxUses is the most modules that a source version runs with.
const MaxUses = 100

// CheckUses says why a source version cannot run with these modules: they are
// not at most MaxUses in the order of their ids, each once and with a version
// from 1. Errors: errs.Invalid.
func CheckUses(uses []Use) error {
	if len(uses) > MaxUses {
		return errs.New(errs.Invalid, "", "A source version runs with %d modules; the most is %d.", len(uses), MaxUses)
	}
	for i, u := range uses {
		if _, err := id.ParseObject(string(u.Module)); err != nil {
			return err
		}
		if u.Version == 0 || i > 0 && u.Module <= uses[i-1].Module {
			return errs.New(errs.Invalid, "", "Module %q of a source version has no version, or stands out of order.", u.Module)
		}
	}
	return nil
}

// Hash is the hash of a source text as versions carry it: SHA-256, 64 hex digits.
func Hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// File is what the store knows of one file of an object, without its bytes.
type File struct {
	Name    string    // CheckFileName
	Type    string    // the media type, or empty: CheckMediaType
	Size    int64     // bytes
	Hash    string    // SHA-256 of the bytes, 64 lower-case hex digits
	Time    time.Time // of the change; microseconds are kept
	Stamp   hlc.Stamp // of the change: the commit's own where it was made here
	Deleted bool      // a tombstone: Type, Size and Hash are empty
}

// FileChange sets or deletes one file. At most one change of a name stands in a commit.
type FileChange struct {
	File
	Upload string // the bytes: what WriteFile gave; empty where Deleted
}

// Upload is bytes that WriteFile has put aside.
type Upload struct {
	ID   string // names it in a commit of its object
	Size int64  // bytes
	Hash string // SHA-256, 64 lower-case hex digits
}

// UploadLife is how long an upload that no commit has named is kept.
const UploadLife = time.Hour

// Boot is what the store says of itself after Configure.
type Boot struct {
	Number uint64   // rises at every start of the store
	High   hlc.Time // the highest stamp time in the store
}

// ObjectInfo is one row of the list of objects.
type ObjectInfo struct {
	Object      id.Object
	Incarnation uint64
	Sequence    uint64 // of the last acknowledged commit
	Head        uint64 // number of the newest source version, 0 without one
	Hash        string // of the newest source version
	Working     uint64 // the version that the script file was last known to hold, see Commit; 0 where none was
}

// Object is what the kernel needs to activate an object: its whole present state.
type Object struct {
	ObjectInfo
	Boot    uint64        // the store's present boot
	Entries uint64        // the highest entry sequence among the object's entries of this station and Boot
	State   []StateChange // in the order of the keys' bytes, tombstones included
}

// ObjectsQuery selects a page of objects in the order of their ids.
type ObjectsQuery struct {
	Prefix string
	After  id.Object // only ids greater than this
	Limit  int       // 1 to MaxPage
}

// StateQuery selects a page of an object's keys, in the order of their bytes.
type StateQuery struct {
	Object id.Object
	Prefix string // only keys that begin with it
	After  string // only keys greater than this, the Next of the page before; empty means from the first
	Limit  int    // 1 to MaxPage
}

// StatePage is a page of state without tombstones. Next is the After of the page
// that follows, and empty on the last one. A page may hold fewer items than asked
// for, even none, and still have a Next: it ends after about 4 MiB of keys and
// values, and after a bounded search where many keys have been deleted.
type StatePage struct {
	Items []StateChange
	Next  string
}

// LogsQuery selects a page of an object's log.
//
// The order of a log is the order of arrival. Since and Until select a
// contiguous range of it by the running maximum of the entries' times: an entry
// that arrived late, with a time before that of an entry which stands before it,
// counts as of the newest entry before it. So it is found where it arrived, and
// a store finds both ends of the range without reading the log. Whole
// microseconds of Since and Until count.
//
// Levels, Text and Fields leave entries of that range out. A store looks at the
// entries one by one for them, so a page may end before its limit.
//
// Cursors are for those who read what comes: an Oldest query goes on from one when
// and where it likes, after a restart of the store too, and meets each entry that
// stands behind it exactly once. It holds until the object's life ends; where entries
// behind it were removed since, what is left of the log is behind it.
type LogsQuery struct {
	Object id.Object
	Since  time.Time     // entries from this time on; zero means from the first
	Until  time.Time     // entries before this time, which is not before Since; zero means to the last
	Levels []Level       // none means all
	Text   string        // entries that contain it, ignoring case, at most MaxText bytes; empty means all
	Fields []FieldFilter // that all hold, at most MaxFields; none means all
	Limit  int           // 1 to MaxPage
	Oldest bool          // oldest first; otherwise newest first
	Cursor string        // from the page before, with the same query otherwise; or empty. Of an Oldest query also one of Cursors, or End, of any page of the log
	Places bool          // the page gives Cursors and End
}

// FieldFilter holds for an entry whose field of that name has that text. The
// text of a string is what it says, of any other value its JSON without white
// space between its parts: true, 42, null, [1,2].
//
// Text of a query is looked for in the message and in the text of each field,
// all in the lower case of Unicode; bytes that are not UTF-8 stand for themselves.
type FieldFilter struct {
	Name  string
	Value string
}

// The largest Text of a query, in bytes, and the most Fields.
const (
	MaxText   = 1 << 10
	MaxFields = 16
)

// LogsPage is a page of a log. Next is empty on the last page. A page may hold
// fewer entries than asked for, even none, and still have a Next: it ends after
// a bounded amount of work. Cursors are of 1 to MaxCursor printable ASCII
// characters, white space not among them.
type LogsPage struct {
	Entries []Entry
	Next    string
	Scanned int      // entries looked at
	Cursors []string // with Places: for each of Entries, the Cursor of an Oldest query that begins behind it
	End     string   // with Places: the Cursor of one that begins behind all that was in the log, also where that is empty
}

// MaxCursor is the most bytes of a cursor of a log.
const MaxCursor = 256

// VersionsQuery selects a page of source versions, newest first.
type VersionsQuery struct {
	Object id.Object
	Before uint64 // only numbers less than this; 0 means from the newest
	Limit  int    // 1 to MaxPage
}

// FilesQuery selects a page of an object's files in the order of their names' bytes.
type FilesQuery struct {
	Object     id.Object
	Prefix     string // of the name
	After      string // only names greater than this
	Limit      int    // 1 to MaxPage
	Tombstones bool   // deleted files too
}

// MaxPage is the largest Limit of a query.
const MaxPage = 1000

// Storage is what a storage plugin implements. All methods but Commit are safe
// for concurrent use; Commit is called by one goroutine at a time. The caller
// does not change what it passed until the method returns, and owns what it gets.
//
// Each method but those of plugin.Plugin may return errs.Unavailable where the
// store cannot serve now (nothing was done).
type Storage interface {
	plugin.Plugin

	// Boot says how often the store has been started, this time included.
	Boot(ctx context.Context) (Boot, error)

	// Commit stores the commits in order and gives one error per commit; nil
	// means that it is durable. Commits of one object stand in the order of
	// their sequences; one that fails makes those that follow it in its object
	// fail too, and no other. Errors: errs.OutOfSequence, errs.StaleEpoch (an
	// incarnation or home epoch older than the object's), errs.Invalid,
	// errs.Unavailable: not stored. errs.Unknown: may have been.
	Commit(ctx context.Context, commits []Commit) []error

	// Objects lists the objects that have at least one commit.
	// Errors: errs.Invalid.
	Objects(ctx context.Context, q ObjectsQuery) ([]ObjectInfo, error)

	// Load gives an object's present state. An object without a commit is no
	// error: its sequence, incarnation and head are 0. Errors: errs.Corrupt.
	Load(ctx context.Context, object id.Object) (Object, error)

	// State gives a page of an object's keys with their values; of an unknown
	// object it is empty. It costs about the same however many keys the object
	// has, also directly after a start. A walk from page to page meets each key
	// that is there throughout exactly once; of what is committed meanwhile it
	// shows what each page finds. Errors: errs.Invalid for a limit that is none.
	State(ctx context.Context, q StateQuery) (StatePage, error)

	// Logs gives a page of an object's log; of an unknown object it is empty.
	// Errors: errs.Invalid for a limit, level or cursor that is none, for times
	// in the wrong order, and for a text or filters above their bounds.
	Logs(ctx context.Context, q LogsQuery) (LogsPage, error)

	// Digest sums up an object's present state and log, or, where object is
	// empty, those of all objects, then with the items of an object in the bucket
	// of its id. It is kept with each commit, from StateItem and LogItem: asking
	// reads no state and no log, but where damage or an edit by hand made it
	// necessary to sum up anew. Of an unknown object it is zero. It rests on the
	// Was of the changes; a store may refuse a wrong one with errs.Invalid.
	Digest(ctx context.Context, object id.Object) (Digest, error)

	// Export gives an object as one stream, as it was between two of its commits;
	// package archive says how it looks. What comes later is not in it. An error of
	// Read means that the stream is no whole archive: errs.Unavailable also where the
	// object's log was shortened, many of its files were changed, or its life ended
	// meanwhile, errs.Corrupt for damage.
	// The caller closes it. Errors: errs.NotFound for an object without a commit.
	Export(ctx context.Context, object id.Object) (io.ReadCloser, error)

	// Import makes an object from such a stream, whole or not at all, durable when
	// it returns: with its incarnation, sequence, epoch, stamps, entry ids and version
	// numbers, whatever object the archive names. It reads r to its end first: there r
	// may still say that nothing is to be made. No boot that an entry of this
	// station names is given again. One that failed, or whose ctx ended, does not stand
	// in the way of the next: that waits until what was written is removed. Errors:
	// errs.Conflict for an object that has a commit or is being imported; errs.Invalid or errs.Corrupt for what is no whole archive; those of r.
	Import(ctx context.Context, object id.Object, r io.Reader) (ObjectInfo, error)

	// Versions lists source versions without their texts; of an unknown
	// object the list is empty. Errors: errs.Invalid.
	Versions(ctx context.Context, q VersionsQuery) ([]Version, error)

	// Version gives one source version with its text. Errors: errs.NotFound;
	// errs.Corrupt where the text does not match its hash.
	Version(ctx context.Context, object id.Object, number uint64) (Version, error)

	// WriteFile puts the bytes that r gives aside, durable when it returns.
	// Nothing shows them until a commit of the object names the upload, with its
	// size and hash; that uses it up. One that no commit has named is gone when the
	// store ends, and UploadLife after WriteFile returned: a commit that names it
	// then is errs.Invalid with the code "no_upload", as is one with another size or
	// hash. A commit that was not stored leaves its uploads as they were.
	// An error of r, other than io.EOF, is given back as it is and leaves nothing.
	// Errors: errs.Invalid for an id that is none.
	WriteFile(ctx context.Context, object id.Object, r io.Reader) (Upload, error)

	// DropUpload removes an upload that no commit will name. One that is not
	// there, or was used, is no error.
	DropUpload(ctx context.Context, object id.Object, upload string) error

	// ReadUpload gives an upload and its bytes, until the reader is closed or ctx
	// ends, also where a commit uses it or somebody drops it meanwhile. Errors, of
	// ReadUpload or of the reader: errs.NotFound for one that is not there, was used
	// or is of another object; errs.Corrupt as with ReadFile.
	ReadUpload(ctx context.Context, object id.Object, upload string) (Upload, io.ReadCloser, error)

	// Files lists an object's files; of an unknown object the list is empty.
	// Errors: errs.Invalid.
	Files(ctx context.Context, q FilesQuery) ([]File, error)

	// ReadFile gives a file and its bytes from an offset in bytes, 0 to its size, to
	// its end. The reader gives the bytes of that moment, whatever is committed
	// meanwhile, until it is closed or ctx ends. Errors, of ReadFile or of the
	// reader: errs.NotFound; errs.Invalid for a name or an offset that is none;
	// errs.Corrupt where the bytes are not those that were stored, which reading
	// from 0 to the end always finds: then not all of them are given.
	ReadFile(ctx context.Context, object id.Object, name string, from int64) (File, io.ReadCloser, error)
}

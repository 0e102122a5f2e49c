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
	"time"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
)

// Commit is everything that one call changed in one object, stored whole or
// not at all.
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
}

// StateChange sets or deletes one key. At most one change of a key stands in a commit.
type StateChange struct {
	Key     string    // 1 to 512 bytes of UTF-8
	Value   []byte    // one JSON value in canonical form; nil where Deleted
	Deleted bool      // a tombstone: kept, with its stamp, until the cluster collects it
	Stamp   hlc.Stamp // of the change: the commit's own where it was made here
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

// Version is one source version of an object.
type Version struct {
	Number  uint64 // from 1, each one more than the last, across incarnations
	Time    time.Time
	Author  string
	Message string
	Hash    string // Hash(Text)
	Text    []byte // the source; absent in lists
}

// Hash is the hash of a source text as versions carry it: SHA-256, 64 hex digits.
func Hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

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
type LogsQuery struct {
	Object id.Object
	Levels []Level // none means all
	Limit  int     // 1 to MaxPage
	Oldest bool    // oldest first; otherwise newest first
	Cursor string  // from the page before, or empty
}

// LogsPage is a page of a log. Next is empty on the last page; a page may hold
// fewer entries than asked for, even none, and still have a Next.
type LogsPage struct {
	Entries []Entry
	Next    string
	Scanned int // entries looked at
}

// VersionsQuery selects a page of source versions, newest first.
type VersionsQuery struct {
	Object id.Object
	Before uint64 // only numbers less than this; 0 means from the newest
	Limit  int    // 1 to MaxPage
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
	// Errors: errs.Invalid for a limit, level or cursor that is none.
	Logs(ctx context.Context, q LogsQuery) (LogsPage, error)

	// Versions lists source versions without their texts; of an unknown
	// object the list is empty. Errors: errs.Invalid.
	Versions(ctx context.Context, q VersionsQuery) ([]Version, error)

	// Version gives one source version with its text. Errors: errs.NotFound;
	// errs.Corrupt where the text does not match its hash.
	Version(ctx context.Context, object id.Object, number uint64) (Version, error)
}

// Package kv is a complete storage over any ordered key-value database with
// transactions: an author implements DB, and Store is the whole contract of
// package storage. Package kvtest tests a DB by itself, and storagetest the
// storage that comes of it.
//
//	func main() {
//		sdk.Serve(kv.New(kv.Options{
//			Info: plugin.Info{Name: "bolt", Version: "1"},
//			Log:  sdk.Log(),
//			Open: func(dir string, v plugin.Values) (kv.DB, error) { … },
//		}))
//	}
//
// The package never caches: what it answers is what the database holds. DESIGN.md
// beside it says how the rows look and why.
package kv

import (
	"log/slog"

	"github.com/dbbasic/station/sdk/plugin"
)

// The largest of what a Store puts, in bytes.
const (
	MaxKeySize   = 600
	MaxValueSize = 64 << 20
)

// DB is an open database: a map from keys to values, both byte strings, ordered by
// the keys' bytes. A Store never puts an empty key or an empty value, and none
// larger than MaxKeySize and MaxValueSize; a database that takes less refuses what
// is larger with an error of Put.
//
// View is called by many goroutines at once, also while an Update runs. Update is
// called by one goroutine at a time, and may wait until the Views that run have ended;
// neither is called within the other. The Store does nothing slow in a transaction, and keeps none open between calls: a
// stream of a file is many short ones.
type DB interface {
	// View calls f once with the database as the last Update that succeeded left
	// it. Whatever is written meanwhile, f sees none of it. It gives f's error as it is.
	View(f func(Reader) error) error

	// Update calls f once, and makes all that f put and deleted durable, or none
	// of it. Where it returns nil, that has been synced to the disk: a power cut
	// the moment after takes none of it, and each View from then on sees it all.
	//
	// Where f gives an error, Update keeps nothing and gives that error as it is.
	// An error of the database itself has the kind errs.Unavailable where it is
	// certain that nothing was kept and that the database can go on: a full disk, for
	// one. After any other error, above all that of a failed sync, nobody knows what is
	// kept: the Store ends the process, and the next one opens the database anew.
	// Update never tries a sync again.
	Update(f func(Writer) error) error

	// Close closes the database and lets go of its lock. No transaction runs then.
	Close() error
}

// Reader reads the database as of one moment. It is for the goroutine that got it,
// until the function that got it returns.
type Reader interface {
	// Get gives the value of a key, nil where there is none. The value must not be
	// changed, and is valid until the transaction ends.
	Get(key []byte) ([]byte, error)

	// Range calls use with each key from from on and before to, and its value, in
	// the order of the keys' bytes, or, where down, in the opposite one, until
	// use returns false; none where from is not before to. Its cost is that of the rows it gives, however many others
	// there are. Both are valid until use returns. Within use nothing is put or deleted.
	Range(from, to []byte, down bool, use func(key, value []byte) bool) error
}

// Writer reads and changes the database. What it has put and deleted shows in its
// own Get and Range.
type Writer interface {
	Reader

	// Put gives a key a value, whether or not it had one. Both belong to the caller
	// again once the transaction has ended, and are not changed before.
	Put(key, value []byte) error

	// Delete takes a key out. One that is not there is no error.
	Delete(key []byte) error
}

// Options say how a Store comes to its database.
type Options struct {
	// Info is the plugin's name, version and what can be set of it. Its Kind is filled in.
	Info plugin.Info

	// Open opens the database in a data folder, which is there, and makes it where
	// it is missing, durably. Values are those of Info.Options. A database that another
	// process holds is errs.Unavailable after a few seconds at most, with who holds
	// it in the text where that is known.
	Open func(dir string, v plugin.Values) (DB, error)

	// Log is where damage and what is cleared away are told.
	Log *slog.Logger

	// End ends the process, after an error of which nobody knows what it has left.
	// Nil logs it and exits with 1. It is for tests: a Store serves nothing any more.
	End func(error)
}

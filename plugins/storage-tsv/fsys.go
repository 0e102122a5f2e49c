package storagetsv

import (
	"context"
	"errors"
	"io"
)

// fsys is all that the store asks of a file system. Names are slash-separated
// and relative to the data folder. An error of a missing file satisfies
// errors.Is(err, fs.ErrNotExist). What is written is durable after Sync of the
// file; that a name exists, is gone or leads to another file, after SyncDir of
// its directory.
type fsys interface {
	// Open opens a file in the mode.
	Open(name string, m mode) (file, error)
	// Rename replaces the file to, if there is one.
	Rename(from, to string) error
	Remove(name string) error
	// Mkdir makes one directory; one that exists is no error.
	Mkdir(name string) error
	// ReadDir gives the names in a directory, sorted.
	ReadDir(name string) ([]string, error)
	// SyncDir opens a directory and syncs it. A failed fsync is an fsyncError; any
	// other error says that none was tried. "." is open already.
	SyncDir(name string) error
	// SyncAll makes durable everything that was written and all names, at once.
	// Where the system cannot, the error is errors.ErrUnsupported.
	SyncAll() error
	// Lock takes the folder for this process. When ctx ends it gives up with an
	// errLocked that says who holds it.
	Lock(ctx context.Context, name string) error
	// Close releases the lock.
	Close() error
}

// file is an open file. Offsets are explicit: there is no position.
type file interface {
	io.ReaderAt
	io.WriterAt
	Size() (int64, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// mode is how a file is opened.
type mode int

const (
	toRead   mode = iota // the file must exist
	toWrite              // made if missing
	toCreate             // made anew: emptied if it exists
)

// errLocked is a folder that another process holds.
var errLocked = errors.New("it is locked")

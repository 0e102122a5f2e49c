//go:build unix

package storagetsv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// osFS is a real data folder. os.Root keeps every name inside it.
type osFS struct {
	root *os.Root
	top  *os.File // the folder: what is synced behind a rename in it must not lack a descriptor
	lock *os.File
	all  *os.File // the folder, open since before anything was written; nil where SyncAll cannot work
}

// openOS opens the folder, and makes it, with its parents, where it is missing.
func openOS(dir string) (fsys, error) {
	if err := makeAll(filepath.Clean(dir)); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	top, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &osFS{root: root, top: top, all: openAll(root)}, nil
}

// makeAll is os.MkdirAll whose result survives a power cut.
func makeAll(dir string) error {
	parent := filepath.Dir(dir)
	if _, err := os.Stat(dir); err == nil {
		// A process before may have been killed between making it and the sync. In a
		// folder that one may not even list nobody else has made it for us.
		if err := syncFolder(parent); !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeAll(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(parent)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (f *osFS) Open(name string, m mode) (file, error) {
	flags := [...]int{toRead: os.O_RDONLY, toWrite: os.O_RDWR | os.O_CREATE, toCreate: os.O_RDWR | os.O_CREATE | os.O_TRUNC}
	h, err := f.root.OpenFile(name, flags[m], 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{h}, nil
}

func (f *osFS) Rename(from, to string) error { return f.root.Rename(from, to) }

func (f *osFS) Remove(name string) error { return f.root.Remove(name) }

func (f *osFS) Mkdir(name string) error {
	if err := f.root.Mkdir(name, 0o700); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (f *osFS) ReadDir(name string) ([]string, error) {
	d, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	slices.Sort(names)
	return names, errors.Join(err, d.Close())
}

func (f *osFS) SyncDir(name string) error {
	if name == "." {
		return syncedDir(f.top)
	}
	d, err := f.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(syncedDir(d), d.Close())
}

func syncedDir(d *os.File) error {
	if err := d.Sync(); err != nil {
		return fsyncError{err}
	}
	return nil
}

// lockPoll is how often Lock asks again for a lock that another holds.
const lockPoll = 25 * time.Millisecond

func (f *osFS) Lock(ctx context.Context, name string) error {
	h, err := f.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	for {
		err := unix.Flock(int(h.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = h.Close()
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(lockedBy(h), h.Close())
		case <-time.After(lockPoll):
		}
	}
	if err := errors.Join(h.Truncate(0), writePID(h)); err != nil {
		_ = h.Close()
		return err
	}
	f.lock = h
	return nil
}

func writePID(h *os.File) error {
	_, err := h.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func lockedBy(h *os.File) error {
	b := make([]byte, 32)
	n, _ := h.ReadAt(b, 0)
	return fmt.Errorf("%w by process %s", errLocked, strings.TrimSpace(string(b[:n])))
}

func (f *osFS) Close() error {
	var err error
	if f.lock != nil {
		err = f.lock.Close() // which also unlocks it
	}
	for _, d := range []*os.File{f.top, f.all} {
		if d != nil {
			err = errors.Join(err, d.Close())
		}
	}
	return errors.Join(err, f.root.Close())
}

// osFile is an open file of an osFS.
type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	i, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return i.Size(), nil
}

func (f osFile) Sync() error { return datasync(f.File) }

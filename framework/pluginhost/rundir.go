package pluginhost

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// runDir is a private folder for the sockets between a kernel and its plugins.
// It lies in the system's temporary folder because the path of a unix socket
// has about 100 bytes at most. Its owner holds a lock in it, so that the
// folders of kernels that were killed can be told from those in use.
type runDir struct {
	path string
	lock *os.File
}

const lockName = "lock"

// maxParent is the most bytes that the path of the temporary folder may have:
// the 104 bytes of a socket's path on the strictest systems, less what this
// package and go-plugin append ("/station-4294967295-1234567890",
// "/plugin-dir1234567890", "/plugin1234567890" and the end of the string).
const maxParent = 104 - 30 - 21 - 17 - 1

func newRunDir(parent string) (*runDir, error) {
	if len(parent) > maxParent {
		parent = "/tmp"
	}
	prefix := fmt.Sprintf("station-%d-", os.Getuid())
	sweep(parent, prefix)
	path, err := os.MkdirTemp(parent, prefix) // mode 0700
	if err != nil {
		return nil, err
	}
	// The lock gets its name once it is held: a sweep sees none or a held one.
	f, err := os.CreateTemp(path, "new-")
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(path, lockName))
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	return &runDir{path: path, lock: f}, nil
}

// sweep removes the folders whose owner is gone. A folder without a lock file
// is one that is just being made, or not ours: it stays.
func sweep(parent, prefix string) {
	old, err := filepath.Glob(filepath.Join(parent, prefix+"*"))
	if err != nil {
		return // only a malformed pattern gives an error; old folders do no harm
	}
	for _, path := range old {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() {
			continue
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Getuid() {
			continue // anybody may make a folder of that name
		}
		f, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(path) // what cannot be removed is tried again at the next start
		}
		_ = f.Close()
	}
}

func (r *runDir) remove() {
	_ = os.RemoveAll(r.path) // the next start sweeps what remains
	_ = r.lock.Close()
}

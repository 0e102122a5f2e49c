package storagetsv

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// datasync leaves out the times of the inode; size and blocks are included.
// An interrupted call is repeated: the kernel has not reported anything yet.
func datasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}

// openAll opens the folder for SyncAll. Before Linux 5.8 syncfs did not say that
// a page could not be written, so there nil is given.
func openAll(root *os.Root) *os.File {
	var u unix.Utsname
	var major, minor int
	if err := unix.Uname(&u); err != nil {
		return nil
	}
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil || major < 5 || major == 5 && minor < 8 {
		return nil
	}
	d, err := root.Open(".")
	if err != nil {
		return nil // files are then synced one by one
	}
	return d
}

// SyncAll syncs the file system that the folder lies on. It reports what could
// not be written since the descriptor was opened, whichever file that was of.
func (f *osFS) SyncAll() error {
	if f.all == nil || !f.oneDevice() {
		return errors.ErrUnsupported
	}
	for {
		if err := unix.Syncfs(int(f.all.Fd())); err != unix.EINTR {
			return err
		}
	}
}

// oneDevice reports whether the folders of the objects lie where the data folder
// does: any of them may be a mount point.
func (f *osFS) oneDevice() bool {
	var first unix.Stat_t
	if unix.Fstat(int(f.all.Fd()), &first) != nil {
		return false
	}
	for _, name := range []string{"state", "logs", "versions", "files"} {
		var other unix.Stat_t
		if unix.Fstatat(int(f.all.Fd()), name, &other, 0) != nil || other.Dev != first.Dev {
			return false
		}
	}
	return true
}

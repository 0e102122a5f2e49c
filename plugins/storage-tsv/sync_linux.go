package storagetsv

import (
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

package catalogue

import (
	"errors"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// exchange has two files of one folder change places at once. It is
// errors.ErrUnsupported where the file system cannot do that.
func exchange(root *os.Root, one, other string) error {
	dir, err := root.Open(path.Dir(one))
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // nothing was written by it
	fd := int(dir.Fd())
	err = unix.Renameat2(fd, path.Base(one), fd, path.Base(other), unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return errors.ErrUnsupported
	}
	return err
}

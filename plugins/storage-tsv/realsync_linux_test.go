package storagetsv

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// The syncs of the real file system are seen where the kernel refuses them: it
// syncs nothing of /proc (EINVAL), and nothing by a descriptor that only names a
// file (EBADF).

func TestFilesAndFoldersAreSynced(t *testing.T) {
	root, err := os.OpenRoot("/proc/self")
	if err != nil {
		t.Skipf("there is no /proc here: %v", err)
	}
	f := &osFS{root: root}
	defer func() { _ = f.Close() }()
	if err := f.SyncDir("task"); !errors.Is(err, unix.EINVAL) {
		t.Errorf("SyncDir: %v, want EINVAL: nobody asked the kernel", err)
	} else if _, failed := errors.AsType[fsyncError](err); !failed {
		t.Error("a failed fsync is no fsyncError")
	}
	err = f.SyncDir("nowhere")
	if _, failed := errors.AsType[fsyncError](err); failed || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("SyncDir of a folder that is missing: %v, want fs.ErrNotExist: no fsync has failed", err)
	}
	h, err := f.Open("status", toRead)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	if err := h.Sync(); !errors.Is(err, unix.EINVAL) {
		t.Errorf("Sync: %v, want EINVAL: nobody asked the kernel", err)
	}
}

func TestFileSystemIsSynced(t *testing.T) {
	dir := t.TempDir()
	f, err := openOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, name := range []string{"state", "logs", "versions", "files"} {
		if err := f.Mkdir(name); err != nil {
			t.Fatal(err)
		}
	}
	if f.(*osFS).all == nil {
		t.Skip("before Linux 5.8 files are synced one by one")
	}
	if err := f.SyncAll(); err != nil {
		t.Errorf("SyncAll: %v", err)
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	named := &osFS{all: os.NewFile(uintptr(fd), dir)}
	defer func() { _ = named.all.Close() }()
	if err := named.SyncAll(); !errors.Is(err, unix.EBADF) {
		t.Errorf("SyncAll: %v, want EBADF: nobody asked the kernel", err)
	}
}

// TestMadeFoldersAreSynced: a data folder is made durable in the one above it, be
// it new or not.
func TestMadeFoldersAreSynced(t *testing.T) {
	if err := makeAll("/proc/self/task"); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a folder that is there: %v, want EINVAL: nobody asked the kernel", err)
	}
	above := t.TempDir()
	if err := os.Chmod(above, 0o300); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(above, 0o700) })
	dir := filepath.Join(above, "data")
	// One may write into the folder above, but not open it, which a sync needs.
	if err := asNobody(t, above, func() error { return makeAll(dir) }); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a new folder: %v, want fs.ErrPermission: nobody has opened the one above it", err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

// asNobody calls do as a user whom rights bind, who owns the folder.
func asNobody(t *testing.T, folder string, do func() error) error {
	t.Helper()
	if os.Geteuid() != 0 {
		return do()
	}
	const nobody = 65534
	if err := errors.Join(os.Chown(folder, nobody, nobody), os.Chmod(filepath.Dir(folder), 0o711)); err != nil {
		t.Skipf("there is no other user here: %v", err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its user
		if err := unix.Setfsuid(nobody); err != nil {
			done <- err
			return
		}
		done <- do()
	}()
	return <-done
}

package storagetsv

import (
	"errors"
	"os"
)

// unsyncedFS is a real folder whose fsyncs do nothing. It is for tests that kill
// processes, start many stores and damage bytes: no power goes there, so that
// what a disk would have kept makes no difference, and an fsync costs only time.
type unsyncedFS struct{ fsys }

type unsyncedFile struct{ file }

// openUnsynced stands in for openOS.
func openUnsynced(dir string) (fsys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return unsyncedFS{&osFS{root: root}}, nil
}

func (f unsyncedFS) Open(name string, m mode) (file, error) {
	h, err := f.fsys.Open(name, m)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{h}, nil
}

func (f unsyncedFS) SyncDir(name string) error {
	_, err := f.ReadDir(name) // one that is missing stays an error
	return err
}

func (unsyncedFS) SyncAll() error { return errors.ErrUnsupported }

func (unsyncedFile) Sync() error { return nil }

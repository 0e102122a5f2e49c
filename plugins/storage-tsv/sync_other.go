//go:build unix && !linux

package storagetsv

import (
	"errors"
	"os"
)

func datasync(f *os.File) error { return f.Sync() }

func openAll(*os.Root) *os.File { return nil }

// SyncAll implements fsys: there is no such call here.
func (f *osFS) SyncAll() error { return errors.ErrUnsupported }

//go:build unix && !linux

package storagetsv

import "os"

func datasync(f *os.File) error { return f.Sync() }

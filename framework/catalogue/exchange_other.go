//go:build !linux

package catalogue

import (
	"errors"
	"os"
)

// exchange is for Linux alone.
func exchange(*os.Root, string, string) error { return errors.ErrUnsupported }

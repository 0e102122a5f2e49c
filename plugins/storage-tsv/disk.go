package storagetsv

import (
	"errors"
	"syscall"
)

// diskSays names the cause of a failed file operation in words that tell an
// operator what to do.
func diskSays(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "The disk is full"
	case errors.Is(err, syscall.EDQUOT):
		return "The disk quota is used up"
	case errors.Is(err, syscall.EROFS):
		return "The file system is read-only"
	case errors.Is(err, syscall.EIO):
		return "The disk failed"
	default:
		return "The storage cannot write its files"
	}
}

package storage

import (
	"encoding/hex"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/shim"
)

// The most bytes of a file's name and of its media type.
const (
	MaxFileName  = 200
	MaxMediaType = 255
)

// CheckFileName says why a text is no name of a file: it is not 1 to MaxFileName
// bytes of UTF-8, is "." or "..", or has a slash, a backslash or a control
// character. Errors: errs.Invalid.
func CheckFileName(name string) error {
	why := ""
	switch {
	case name == "":
		why = "a name has at least one byte"
	case len(name) > MaxFileName:
		return errs.New(errs.Invalid, "bad_file_name", "A file's name of %d bytes is too long; the most is %d.", len(name), MaxFileName)
	case !utf8.ValidString(name):
		why = "a name is UTF-8"
	case name == "." || name == "..":
		why = "that is a folder's name"
	case strings.ContainsAny(name, `/\`):
		why = "a name has no slash and no backslash"
	case strings.ContainsFunc(name, unicode.IsControl):
		why = "a name has no control characters"
	default:
		return nil
	}
	return errs.New(errs.Invalid, "bad_file_name", "%q is not a file's name: %s.", name, why)
}

// CheckMediaType says why a text is no media type that a store keeps: it is not
// at most MaxMediaType bytes of printable ASCII. Errors: errs.Invalid.
func CheckMediaType(t string) error {
	if len(t) <= MaxMediaType && !strings.ContainsFunc(t, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil
	}
	return errs.New(errs.Invalid, "bad_media_type", "A media type is at most %d bytes of printable ASCII.", MaxMediaType)
}

// CheckFile says why a store does not take a file, or a tombstone of one.
// Errors: errs.Invalid.
func CheckFile(f *File) error {
	if err := CheckFileName(f.Name); err != nil {
		return err
	}
	if err := CheckMediaType(f.Type); err != nil {
		return err
	}
	_, badStation := id.ParseStation(string(f.Stamp.Station))
	year := f.Time.UTC().Year()
	switch {
	case f.Deleted && (f.Type != "" || f.Size != 0 || f.Hash != ""):
		return errs.New(errs.Invalid, "", "The deletion of file %q has a content.", f.Name)
	case !f.Deleted && !isHash(f.Hash), f.Size < 0:
		return errs.New(errs.Invalid, "", "The size or the hash of file %q is wrong.", f.Name)
	case badStation != nil:
		return errs.New(errs.Invalid, "", "The stamp of file %q names no station.", f.Name)
	case year < 0 || year > 9999:
		return errs.New(errs.Invalid, "", "The time of file %q is out of range.", f.Name)
	}
	return nil
}

func isHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && s == strings.ToLower(s)
}

// ReadChunk fills b from r as far as r goes, and says whether that was its end.
// Only io.EOF itself is an end: io.ErrUnexpectedEOF, or an error that wraps one
// of the two, is how a reader says that it was cut off.
func ReadChunk(r io.Reader, b []byte) (n int, end bool, err error) { return shim.ReadChunk(r, b) }

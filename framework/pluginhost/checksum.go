package pluginhost

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
)

// checked looks at the program of a command before it is executed. Where the
// command has a checksum, it gives the open file whose bytes have it.
func checked(c Command) (*os.File, error) {
	info, err := os.Stat(c.Path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular(): // opening a pipe would wait for a writer, and a device may have no end
		return nil, fmt.Errorf("%s is no program: it is no regular file", c.Path)
	case c.SHA256 == "":
		return nil, nil
	}
	want, err := hex.DecodeString(c.SHA256)
	if err != nil || len(want) != sha256.Size {
		return nil, fmt.Errorf("its checksum %q is no SHA-256: write %d hex digits, as sha256sum prints them", c.SHA256, 2*sha256.Size)
	}
	f, err := os.Open(c.Path)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	if _, err = io.Copy(sum, f); err == nil && !bytes.Equal(sum.Sum(nil), want) {
		err = fmt.Errorf("%s is not the program that the configuration names, and is not run: its SHA-256 is %x, not %x", c.Path, sum.Sum(nil), want)
	}
	if err != nil {
		_ = f.Close() // it was only read
		return nil, err
	}
	return f, nil
}

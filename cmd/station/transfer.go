package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// writeFile writes a file that has its name once all of it is there. One that
// exists is replaced with force alone.
func writeFile(path string, force bool, write func(io.Writer) error) (err error) {
	if err := mayWrite(path, force); err != nil {
		return err
	}
	part := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%08x.part", filepath.Base(path), rand.Uint32()))
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // what a station keeps private stays so
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part))
		}
	}()
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if force {
		if err := mayWrite(path, force); err != nil { // it may have become a folder or a link
			return err
		}
		return os.Rename(part, path)
	}
	return place(part, path, os.Link)
}

// place gives a file its name if nothing has it, however late that has appeared.
// Where link does not work, as on some file systems, the name is taken with an empty
// file first, which the rename replaces.
func place(part, path string, link func(part, path string) error) error {
	err := link(part, path)
	if err == nil {
		return os.Remove(part)
	}
	if !errors.Is(err, fs.ErrExist) {
		var name *os.File
		if name, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			if err = errors.Join(name.Close(), os.Rename(part, path)); err != nil {
				err = errors.Join(err, os.Remove(path))
			}
			return err
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return cmp.Or(mayWrite(path, false), err)
	}
	return err
}

func mayWrite(path string, force bool) error {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no file that can be replaced: name another", path)
	case !force:
		return fmt.Errorf("%s exists already: replace it with --force, or name another", path)
	}
	return nil
}

func forceFlag(cmd *cobra.Command, to *bool, what string) {
	cmd.Flags().BoolVar(to, "force", false, "replace "+what+" that exists")
}

// get writes what the station answers at path into a file, or to the standard output
// where that is "-". Its bytes have the hash that the station says, if it says one.
func (c *client) get(cmd *cobra.Command, path, label, to string, force bool) error {
	if to != "-" {
		if err := mayWrite(to, force); err != nil { // before anything is sent
			return err
		}
	}
	resp, err := c.open(cmd.Context(), request{method: http.MethodGet, path: path})
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	body, end := progress(cmd.ErrOrStderr(), label, resp.ContentLength, resp.Body)
	defer end()
	copyTo := func(w io.Writer) error {
		sum := sha256.New()
		n, err := io.Copy(io.MultiWriter(w, sum), body)
		if err != nil {
			return broken(cmd.Context(), n, err)
		}
		return checkHash(sum, resp.Header.Get("ETag"))
	}
	if to != "-" {
		return writeFile(to, force, copyTo)
	}
	if isTerminal(cmd.OutOrStdout()) {
		return usageError{errors.New("the bytes are not shown on a terminal: name a file, or send them to one with > FILE")}
	}
	return copyTo(cmd.OutOrStdout())
}

// broken says that an answer ended early.
func broken(ctx context.Context, n int64, err error) error {
	if ctx.Err() != nil { // an interrupt
		return ctx.Err()
	}
	if path := (*fs.PathError)(nil); errors.As(err, &path) { // of this side
		return err
	}
	return fmt.Errorf("the station broke the answer off after %d bytes, and nothing is kept of it: try again (%w)", n, err)
}

func checkHash(sum hash.Hash, tag string) error {
	if want := strings.Trim(tag, `"`); want != "" && want != hex.EncodeToString(sum.Sum(nil)) {
		return errors.New("what arrived is not what the station has, by its hash: try again")
	}
	return nil
}

// put sends a file, or the standard input where from is "-", as the body of r.
func (c *client) put(cmd *cobra.Command, r request, label, from string) error {
	in, err := openInput(cmd, from)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it was only read
	r.size = in.size
	r.header = withHeader(r.header, "Expect", "100-continue") // what the station refuses is not sent
	body, end := progress(cmd.ErrOrStderr(), label, r.size, in)
	defer end()
	r.body = body
	var done struct{ Message string }
	if err := c.do(cmd.Context(), r, &done); err != nil {
		return err
	}
	end()
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", label, visible(done.Message, ""))
	return nil
}

func withHeader(h http.Header, name, value string) http.Header {
	if h == nil {
		h = http.Header{}
	}
	h.Set(name, value)
	return h
}

package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/spf13/cobra"
)

// A file that changes its size or breaks while it is sent is to blame itself, and the
// station never gets a part of it that looks whole.
func TestInputAtFault(t *testing.T) {
	const text = "twelve bytes"
	for name, c := range map[string]struct {
		size int64
		r    io.Reader
		want string // of the error
	}{
		"as it is":      {12, strings.NewReader(text), ""},
		"in pieces":     {12, iotest.OneByteReader(strings.NewReader(text)), ""},
		"end with data": {12, iotest.DataErrReader(strings.NewReader(text)), ""},
		"unknown size":  {-1, strings.NewReader(text), ""},
		"shorter":       {13, strings.NewReader(text), "f.txt has changed its size"},
		"longer":        {11, strings.NewReader(text), "f.txt has changed its size"},
		"longer, later": {5, iotest.OneByteReader(strings.NewReader(text)), "f.txt has changed its size"},
		"broken":        {12, io.MultiReader(strings.NewReader(text[:4]), iotest.ErrReader(errors.New("the disk is gone"))), "f.txt cannot be read to its end"},
		"broken at end": {12, io.MultiReader(strings.NewReader(text), iotest.ErrReader(errors.New("the disk is gone"))), "f.txt cannot be read to its end"},
		"broken stream": {-1, io.MultiReader(strings.NewReader(text), iotest.ErrReader(errors.New("the disk is gone"))), "f.txt cannot be read to its end"},
	} {
		whole := make(chan bool, 1)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			whole <- err == nil
			_, _ = io.WriteString(w, `{"status":"ok"}`) // the client may be gone
		}))
		station, err := newClient(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		in := &input{name: "f.txt", size: c.size, r: c.r, Closer: io.NopCloser(nil)}
		err = station.do(t.Context(), request{method: http.MethodPut, path: "/", body: in, size: c.size}, &struct{}{})
		if arrived := <-whole; arrived != (c.want == "") {
			t.Errorf("%s: what arrives looks whole: %v", name, arrived)
		}
		srv.Close()
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if exitCode(err) != exitFailed || err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: exit code %d and %v, want %d and %q", name, exitCode(err), err, exitFailed, c.want)
		}
	}
}

// The size of a form is known before it is sent where those of its files are.
func TestFormBodySize(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.txt")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := &cobra.Command{}
	cmd.SetIn(strings.NewReader("more"))
	for _, args := range [][]string{{"a@" + file}, {"a@" + file, "b@" + file}, {"a@-", "b@" + file}} {
		files, err := attachmentsOf(cmd, args)
		if err != nil {
			t.Fatal(err)
		}
		r, err := formBody([]field{{name: "k", text: "v"}}, files)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r.body)
		for _, f := range files {
			err = errors.Join(err, f.file.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		if known := args[0] != "a@-"; known && r.size != n || !known && r.size != -1 {
			t.Errorf("%v: the size is %d, of %d bytes", args, r.size, n)
		}
	}
}

// Each parameter of the station's own that is refused has a command, or none that
// anybody could be told of.
func TestCommandsForParameters(t *testing.T) {
	for name, command := range commandsFor {
		if _, own := ownParameter("GET", name, "true"); !own {
			t.Errorf("%s is no parameter of the station", name)
		}
		words := strings.Fields(command)
		found, rest, err := rootCommand().Find(words)
		if err == nil {
			err = found.ParseFlags(append(rest, "1"))
		}
		if err != nil || !found.Runnable() {
			t.Errorf("there is no command %q for %s: %v", command, name, err)
		}
	}
}

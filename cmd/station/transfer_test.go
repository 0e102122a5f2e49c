package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file that appears under the name while another is written for it is kept without
// --force, on file systems without links too.
func TestPlace(t *testing.T) {
	links := map[string]func(string, string) error{
		"with links": os.Link,
		"without links": func(part, path string) error {
			return &os.LinkError{Op: "link", Old: part, New: path, Err: errors.ErrUnsupported}
		},
	}
	for name, link := range links {
		dir := t.TempDir()
		part, path := filepath.Join(dir, ".part"), filepath.Join(dir, "file")
		write := func(file, text string) {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(part, "new")
		if err := place(part, path, link); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantFiles(t, name, dir, map[string]string{"file": "new"})
		write(part, "newer")
		if err := place(part, path, link); err == nil || !strings.HasSuffix(err.Error(), "exists already: replace it with --force, or name another") {
			t.Errorf("%s: a file that is there: %v", name, err)
		}
		wantFiles(t, name, dir, map[string]string{"file": "new", ".part": "newer"})
		if err := place(filepath.Join(dir, "none"), filepath.Join(dir, "other"), link); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: nothing to place: %v", name, err)
		}
		wantFiles(t, name, dir, map[string]string{"file": "new", ".part": "newer"})
	}
}

// What appears while a file is written is kept, or is replaced with --force; the
// hidden file is gone.
func TestWriteFile(t *testing.T) {
	late := func(path, text string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, "written")
			return errors.Join(err, os.WriteFile(path, []byte(text), 0o600))
		}
	}
	for _, force := range []bool{false, true} {
		dir := t.TempDir()
		path := filepath.Join(dir, "file")
		err := writeFile(path, force, late(path, "late"))
		if force {
			if err != nil {
				t.Error(err)
			}
			wantFiles(t, "forced", dir, map[string]string{"file": "written"})
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "exists already") {
			t.Errorf("a file that appears is no error: %v", err)
		}
		wantFiles(t, "not forced", dir, map[string]string{"file": "late"})
	}
}

func wantFiles(t *testing.T, name, dir string, want map[string]string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != len(want) {
		t.Errorf("%s: the folder has %v, want %v", name, list, want)
	}
	for file, text := range want {
		if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != text {
			t.Errorf("%s: %s has %q, %v; want %q", name, file, got, err, text)
		}
	}
}

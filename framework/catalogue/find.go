package catalogue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Find reads the scripts that a path names, and gives the folder that their
// paths begin in. A path within the scripts folder, or an empty one for all of
// it, names a part of the station's objects: a script's id is the one that the
// station gives it. Another path is a scripts folder of its own, or a single
// script in one.
func Find(folder, path string) (Listing, string, error) {
	if path == "" {
		l, err := List(folder)
		return l, folder, err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Listing{}, "", fmt.Errorf("there is no file or folder %s", path)
	}
	if err != nil {
		return Listing{}, "", err
	}
	if within, ok := below(folder, path); ok {
		l, err := List(folder)
		l = l.part(within)
		if err == nil && !info.IsDir() && l.empty() {
			err = fmt.Errorf("%s is not the script of an object: that is a file *.lua outside of hidden folders", path)
		}
		return l, folder, err
	}
	if info.IsDir() {
		l, err := List(path)
		return l, path, err
	}
	return single(path)
}

// Modules reads the modules of a scripts folder alone. One that cannot be read, or
// whose path gives no name, is left out: List names it.
func Modules(folder string) ([]Script, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // it was only read
	s := newScan(root)
	if err := fs.WalkDir(root.FS(), "lib", s.visit); err != nil {
		return nil, fmt.Errorf("scripts folder %s: %w", folder, err)
	}
	return s.found.Scripts, nil
}

// below gives the path of a file or folder below a folder, with slashes.
func below(folder, path string) (string, bool) {
	f, err1 := resolve(folder)
	p, err2 := resolve(path)
	if err1 != nil || err2 != nil {
		return "", false
	}
	rel, err := filepath.Rel(f, p)
	if err != nil || !filepath.IsLocal(rel) {
		return "", false
	}
	return filepath.ToSlash(rel), true
}

func resolve(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// single reads one script in a folder that is not read otherwise.
func single(file string) (Listing, string, error) {
	dir, name := filepath.Split(file)
	dir = filepath.Clean(dir)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Listing{}, "", err
	}
	defer root.Close() //nolint:errcheck // it was only read
	if filepath.Ext(name) != ".lua" {
		return Listing{}, "", fmt.Errorf("%s is not a script: its name does not end in .lua", file)
	}
	s := newScan(root)
	s.take(name)
	return s.found, dir, nil
}

// part gives what lies at or below a path; a script of an id that another one
// has belongs to both of their places.
func (l Listing) part(path string) Listing {
	inside := func(p string) bool { return path == "." || p == path || strings.HasPrefix(p, path+"/") }
	return Listing{
		Scripts: slices.DeleteFunc(l.Scripts, func(s Script) bool { return !inside(s.Path) }),
		Skipped: slices.DeleteFunc(l.Skipped, func(s Skipped) bool { return !inside(s.Path) }),
		Twice:   slices.DeleteFunc(l.Twice, func(t Twice) bool { return !inside(t.Path) && !inside(t.Other) }),
	}
}

func (l Listing) empty() bool { return len(l.Scripts)+len(l.Skipped)+len(l.Twice) == 0 }

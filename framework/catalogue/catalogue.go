// Package catalogue finds the scripts of a station: which files below the
// scripts folder are objects, under which ids, and when they change. It writes a
// script only where it is told to, and knows nothing of versions.
package catalogue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"
	"strings"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// MaxFile is the most bytes of a script that are read. It is more than a
// script may have, so that one that is too large is refused by the compiler, with
// its reason.
const MaxFile = 1 << 20

// Script is one file that is an object, or a module.
type Script struct {
	Object id.Object // for a module the id under which its versions are kept
	Module string    // its name; empty for an object
	Path   string    // below the scripts folder, with slashes
	Text   []byte
	Hash   string // storage.Hash(Text)

	stamp stamp // when it was read
}

// Skipped is a script that cannot be an object, and why.
type Skipped struct {
	Path string
	Err  error
}

// Listing is what there is below a scripts folder.
type Listing struct {
	Scripts []Script  // sorted by id
	Skipped []Skipped // cannot be objects
	Twice   []Twice   // would be the object of another script
	Aside   []Aside   // what a station has left that was killed while it deleted objects
	Drafts  []string  // what one has left that was killed while it wrote scripts
}

// Twice is a script whose id another one has, which comes before it.
type Twice struct {
	Path, Other string
	Object      id.Object
}

// Error says what to do about it.
func (t Twice) Error() string {
	return fmt.Sprintf("%s and %s would both be the object %q: rename one of them", t.Other, t.Path, t.Object)
}

// Scan reads all scripts of a station. Two scripts of one id are an error that
// names both; else it is List.
func Scan(folder string) (Listing, error) {
	l, err := List(folder)
	if err == nil && len(l.Twice) > 0 {
		err = l.Twice[0]
	}
	return l, err
}

// List reads all scripts below a folder. The id of a script is its path without
// .lua, "/" turned into "_". Those in lib/ are modules, whose names are their
// paths below it. Files in hidden folders and of other endings are neither. A
// script that cannot be read, that is empty, or whose id no object can have, is
// skipped.
func List(folder string) (Listing, error) {
	root, err := os.OpenRoot(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return Listing{}, fmt.Errorf("there is no scripts folder %s: create it, or name another with --scripts", folder)
	}
	if err != nil {
		return Listing{}, fmt.Errorf("scripts folder: %w", err)
	}
	defer root.Close() //nolint:errcheck // it was only read
	s := newScan(root)
	if err := s.walk(root.FS()); err != nil {
		return Listing{}, fmt.Errorf("scripts folder %s: %w", folder, err)
	}
	return s.found, nil
}

// ListInside reads the scripts that a program has inside itself, which do not
// change while it runs. Two of one id are an error.
func ListInside(files fs.FS) (Listing, error) {
	s := &scan{seen: map[id.Object]string{}, read: func(name string) ([]byte, stamp, error) {
		text, err := fs.ReadFile(files, name)
		return text, stamp{}, err
	}}
	if err := s.walk(files); err != nil {
		return Listing{}, fmt.Errorf("bundled scripts: %w", err)
	}
	if len(s.found.Twice) > 0 {
		return Listing{}, s.found.Twice[0]
	}
	return s.found, nil
}

type scan struct {
	read  func(name string) ([]byte, stamp, error)
	seen  map[id.Object]string
	found Listing
}

func newScan(root *os.Root) *scan {
	return &scan{seen: map[id.Object]string{}, read: func(name string) ([]byte, stamp, error) { return read(root, name) }}
}

func (s *scan) walk(files fs.FS) error {
	err := fs.WalkDir(files, ".", s.visit)
	sort.Slice(s.found.Scripts, func(i, j int) bool { return s.found.Scripts[i].Object < s.found.Scripts[j].Object })
	return err
}

func (s *scan) visit(name string, d fs.DirEntry, err error) error {
	if err != nil {
		if name == "." {
			return err
		}
		s.skip(name, err)
		if d != nil && d.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	if d.IsDir() {
		if name != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		return nil
	}
	if isScript(name) {
		s.take(name)
	} else if a, ok := asideOf(name); ok {
		s.found.Aside = append(s.found.Aside, a)
	} else if _, ok := scriptOf(name); ok {
		s.found.Drafts = append(s.found.Drafts, name)
	}
	return nil
}

// take reads one script.
func (s *scan) take(name string) {
	object, module, err := Name(name)
	if err != nil {
		s.skip(name, err)
		return
	}
	if other, ok := s.seen[object]; ok {
		s.found.Twice = append(s.found.Twice, Twice{Path: name, Other: other, Object: object})
		return
	}
	s.seen[object] = name
	text, at, err := s.read(name)
	if err == nil && len(text) == 0 {
		err = errors.New("the file is empty, as if it were being written")
	}
	if err != nil {
		s.skip(name, err)
		return
	}
	s.found.Scripts = append(s.found.Scripts, Script{Object: object, Module: module, Path: name, Text: text, Hash: storage.Hash(text), stamp: at})
}

func (s *scan) skip(name string, err error) {
	s.found.Skipped = append(s.found.Skipped, Skipped{Path: name, Err: err})
}

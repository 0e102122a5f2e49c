// Package catalogue finds the scripts of a station: which files below the
// scripts folder are objects, and under which ids. It reads; it never writes.
package catalogue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
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
}

// Skipped is a script that cannot be an object, and why.
type Skipped struct {
	Path string
	Err  error
}

// Scan reads all scripts below a folder, sorted by id. The id of a script is
// its path without .lua, "/" turned into "_". Those in lib/ are modules, whose
// names are their paths below it. Files in hidden folders and of other endings
// are neither. Two scripts of one id are an error that names both. A script that
// cannot be read, or whose id no object can have, is skipped.
func Scan(folder string) ([]Script, []Skipped, error) {
	root, err := os.OpenRoot(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("there is no scripts folder %s: create it, or name another with --scripts", folder)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("scripts folder: %w", err)
	}
	defer root.Close() //nolint:errcheck // it was only read
	s := &scan{fsys: root.FS(), seen: map[id.Object]string{}}
	if err := fs.WalkDir(s.fsys, ".", s.visit); err != nil {
		return nil, nil, fmt.Errorf("scripts folder %s: %w", folder, err)
	}
	sort.Slice(s.found, func(i, j int) bool { return s.found[i].Object < s.found[j].Object })
	return s.found, s.skipped, nil
}

type scan struct {
	fsys    fs.FS
	seen    map[id.Object]string
	found   []Script
	skipped []Skipped
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
	if path.Ext(name) != ".lua" || strings.HasPrefix(d.Name(), ".") {
		return nil
	}
	bare := strings.TrimSuffix(name, ".lua")
	object, err := id.ParseObject(strings.ReplaceAll(bare, "/", "_"))
	module, ok := strings.CutPrefix(bare, "lib/")
	if !ok {
		module = ""
	}
	if strings.Contains(module, ".") {
		err = errors.New("the name of a module has no dot: it stands for a folder in require")
	}
	if err != nil {
		s.skip(name, err)
		return nil
	}
	if other, ok := s.seen[object]; ok {
		return fmt.Errorf("%s and %s would both be %q: rename one of them", other, name, object)
	}
	s.seen[object] = name
	text, err := s.read(name)
	if err != nil {
		s.skip(name, err)
		return nil
	}
	s.found = append(s.found, Script{Object: object, Module: module, Path: name, Text: text, Hash: storage.Hash(text)})
	return nil
}

func (s *scan) skip(name string, err error) {
	s.skipped = append(s.skipped, Skipped{Path: name, Err: err})
}

func (s *scan) read(name string) ([]byte, error) {
	info, err := fs.Stat(s.fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for a writer
		return nil, errors.New("not a regular file")
	}
	f, err := s.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	return io.ReadAll(io.LimitReader(f, MaxFile))
}

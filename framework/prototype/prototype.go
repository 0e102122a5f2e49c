// Package prototype reads a data folder of the Python prototype as the types of
// the storage contract, and reports what could not be taken as it stood. It
// writes nothing, neither into the folder nor into a store.
//
// The folder:
//
//	state/{id}/state.tsv        key, value; perhaps a time
//	logs/{id}/log.tsv           entry_id, timestamp, level, message, one column per field
//	versions/{id}/metadata.tsv  version_id, timestamp, author, message, hash
//	versions/{id}/v1.txt …      source texts, of Python
//	files/{id}/<name>           any bytes
//
// Tables are in the dialect of Python's csv module with tabs; columns are found
// by their names in the header.
//
// What is read is taken as it is or, where the store cannot hold it so, in
// another form that the report names, or left and named in the report. A
// call returns an error only where the folder cannot be read.
//
// Text of the prototype becomes a JSON number where it is spelled as Python
// spells an int within ±2^53 or a finite float other than -0.0, so that no digit
// of it changes, and a JSON string everywhere else: 5, -0.25, 1e-07 and 3.0
// (which is stored as 3) are numbers; 007, +5, 1_000, 1.50, 1e5, nan, True, None
// and {"a":1} are strings.
package prototype

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
)

// Folder is an open data folder of the prototype. What it lists is what was
// there when it was opened. It is not for concurrent use.
type Folder struct {
	fsys    fs.FS
	root    *os.Root // nil if the folder was given as an fs.FS
	objects []*Object
}

// Object is one object of the prototype: the folders of one name.
type Object struct {
	ID   id.Object // in the station
	Name string    // in the prototype

	// Sizes in bytes, 0 where there is none. The sum of the first three is what
	// Counts.Bytes of the report comes to.
	StateBytes, LogBytes, VersionBytes, FileBytes int64

	fsys     fs.FS
	state    bool // there is a state.tsv
	log      bool
	metadata bool
	texts    map[uint64][]text // by number; one each, once the folder is open
	files    []File
}

// OpenDir opens the folder with the path dir. No symbolic link leads out of
// it, and names may be any bytes. Errors: as of Open.
func OpenDir(dir string, r *Report) (*Folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, "prototype.Open", err, "The folder %s cannot be opened.", printable(dir))
	}
	f, err := Open(rooted{root}, r)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	f.root = root
	return f, nil
}

// Open lists the folder and reports what does not belong into it. Errors:
// errs.Invalid where fsys is no data folder of the prototype, errs.Unavailable
// where it cannot be read.
func Open(fsys fs.FS, r *Report) (*Folder, error) {
	top, err := list(fsys, ".")
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(top, func(d fs.DirEntry) bool { return d.Name() == "station.tsv" }) {
		return nil, errs.New(errs.Invalid, "not_a_prototype",
			"The folder holds station.tsv: it is a data folder of this station, not of the prototype.")
	}
	s := &survey{fsys: fsys, report: r, names: map[string][]Kind{}}
	found := 0
	for _, d := range top {
		switch {
		case slices.Contains(parts, Kind(d.Name())) && d.IsDir():
			found++
			if err := s.part(d.Name()); err != nil {
				return nil, err
			}
		default:
			s.left(Layout, "", d.Name(), "it is none of the folders state, logs, versions and files"+nature(d))
		}
	}
	if found == 0 {
		return nil, errs.New(errs.Invalid, "not_a_prototype",
			"The folder has none of the folders state, logs, versions and files: name the data folder of the prototype.")
	}
	objects, err := s.objects()
	if err != nil {
		return nil, err
	}
	return &Folder{fsys: fsys, objects: objects}, nil
}

// Objects gives the objects in the order of their ids.
func (f *Folder) Objects() []*Object { return slices.Clone(f.objects) }

// Close ends the use of a folder that OpenDir opened.
func (f *Folder) Close() error {
	if f.root == nil {
		return nil
	}
	return f.root.Close()
}

// rooted is an os.Root as an fs.FS that, unlike that of its method FS, also
// opens names that are not UTF-8.
type rooted struct{ root *os.Root }

func (r rooted) Open(name string) (fs.File, error) { return r.root.Open(name) }

// list reads a directory, sorted by name.
func list(fsys fs.FS, dir string) ([]fs.DirEntry, error) {
	all, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, unreadable(dir, err)
	}
	return all, nil
}

func unreadable(name string, err error) error {
	return errs.Wrap(errs.Unavailable, "prototype", err, "%s cannot be read: mend it, or move it out of the folder, and import again.", printable(name))
}

// readAll reads a file of at most limit bytes; it is false for a longer one.
func readAll(fsys fs.FS, name string, limit int) ([]byte, bool, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, false, unreadable(name, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, false, unreadable(name, err)
	}
	return b, len(b) <= limit, nil
}

// nature names what is no regular file and no folder.
func nature(d fs.DirEntry) string {
	switch t := d.Type(); {
	case t.IsRegular(), t.IsDir():
		return ""
	case t&fs.ModeSymlink != 0:
		return " but a symbolic link, which is not followed"
	default:
		return " but a device, pipe or socket"
	}
}

func (o *Object) path(k Kind, name string) string { return path.Join(string(k), o.Name, name) }

// safeID makes an object id of any name: lower case, other characters as '_',
// nothing but a letter or digit at the start. It is empty where nothing is left.
func safeID(name string) id.Object {
	var b strings.Builder
	for _, c := range strings.ToLower(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			b.WriteRune(c)
		case b.Len() == 0:
		case c == '.', c == '-':
			b.WriteRune(c)
		default:
			b.WriteByte('_')
		}
		if b.Len() == id.MaxLength {
			break
		}
	}
	return id.Object(b.String())
}

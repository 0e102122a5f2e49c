package storagetsv

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/archive"
)

// Export implements storage.Storage: a view of the object, which is written while
// the object goes on.
func (s *Store) Export(_ context.Context, name id.Object) (io.ReadCloser, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	o := s.objects.get(name)
	if o == nil {
		return nil, errs.New(errs.NotFound, "", "There is no object %q.", name)
	}
	e, err := s.openExport(o)
	if err != nil {
		return nil, s.readError("storage.Export", name, err)
	}
	r, w := io.Pipe()
	go func() {
		defer e.close()
		err := e.write(w)
		if _, kind := errors.AsType[*errs.Error](err); err != nil && !kind {
			err = s.readError("storage.Export", name, err)
		}
		w.CloseWithError(err)
	}()
	return r, nil
}

// export is an object at one moment, with what is needed to write it.
type export struct {
	view
	s        *Store
	o        *object
	state    []storage.StateChange
	log      *logView
	versions []storage.Version // newest first, pending ones with their texts
	files    []storage.File
	uploads  map[string]string // by a file's name: its pending upload, which the carrier may have given the name since

	held  map[string]heldFile // what the carrier was about to take away; guarded by o.files, as begun is
	begun string              // the last file of which the bytes were opened: they are written by name
}

// heldFile is the bytes of a file as they were, or why there are none.
type heldFile struct {
	f   file
	err error
}

// maxHeld is how many files an export keeps open because they were changed before it
// came to them. The others are opened when they are written.
const maxHeld = 512

// openExport takes the view. While it holds the object's lock nothing is carried
// over, and what is committed meanwhile is behind the view. The bytes of files are
// opened when they are written, or by the carrier before it changes them: an object
// may have more files than a process descriptors.
func (s *Store) openExport(o *object) (*export, error) {
	o.files.Lock()
	defer o.files.Unlock()
	e := &export{view: o.look(), s: s, o: o, uploads: map[string]string{}, held: map[string]heldFile{}}
	for _, step := range []func() error{e.openState, e.openLog, e.openVersions, e.openFiles} {
		if err := step(); err != nil {
			if e.log != nil {
				e.log.close()
			}
			return nil, err
		}
	}
	o.exports = append(o.exports, e)
	return e, nil
}

func (e *export) openState() error {
	v, err := e.s.viewState(e.o, e.view)
	if err != nil {
		return err
	}
	defer v.close()
	return e.s.walkState(e.o, v, func(v *stateView) error {
		e.state = nil
		return e.s.eachChange(v, true, func(c storage.StateChange) { e.state = append(e.state, c) })
	})
}

func (e *export) openLog() (err error) {
	e.log, err = e.s.viewLog(e.o, e.view, noTime)
	return err
}

func (e *export) openVersions() (err error) {
	f, size, err := e.table(e.o.versionsPath())
	if err != nil {
		return err
	}
	e.versions, err = e.s.versionsIn(e.o, e.view, f, size, 0, math.MaxInt)
	return err
}

// table opens a table of the object; nil where there is none.
func (e *export) table(name string) (f file, size int64, err error) {
	if !e.onDisk {
		return nil, 0, nil
	}
	if f, size, err = e.s.openWhole(name, toRead); err != nil {
		return nil, 0, unlessMissing(err)
	}
	return f, size, nil
}

func (e *export) openFiles() error {
	f, size, err := e.table(e.o.indexPath())
	if err != nil {
		return err
	}
	files := map[string]storage.File{}
	if f != nil {
		defer f.Close()
		if err := e.s.eachFile(e.o, f, size, func(g storage.File) { files[g.Name] = g }); err != nil {
			return err
		}
	}
	newest, _ := newestFiles(e.pending)
	for _, c := range newest {
		files[c.Name] = c.File
		if !c.Deleted {
			e.uploads[c.Name] = c.Upload
		}
	}
	for _, g := range files {
		e.files = append(e.files, g)
	}
	slices.SortFunc(e.files, func(a, b storage.File) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// hold opens the bytes of the files of the view that are about to be changed, with
// o.files held, for an export that has not come to them.
func (e *export) hold(changes []*storage.FileChange) {
	if e.o.look().incarnation != e.incarnation {
		return // its files are gone
	}
	for _, c := range changes {
		_, held := e.held[c.Name]
		i, inView := slices.BinarySearchFunc(e.files, c.Name, func(g storage.File, name string) int { return strings.Compare(g.Name, name) })
		switch {
		case held || !inView || e.files[i].Deleted || c.Name <= e.begun:
		case !c.Deleted && c.Upload == e.uploads[c.Name]: // the view's own bytes get their name
		case len(e.held) >= maxHeld:
			e.held[c.Name] = heldFile{err: e.gone()}
		default:
			f, err := e.open(c.Name)
			e.held[c.Name] = heldFile{f, err}
		}
	}
}

// open opens the bytes of a file, which nothing has changed since the view was
// taken; nil where they are missing.
func (e *export) open(name string) (file, error) {
	if upload := e.uploads[name]; upload != "" {
		if f, err := e.s.openThere(uploadPath(e.o.id, upload)); f != nil || err != nil {
			return f, err
		}
	}
	return e.s.openThere(e.o.filePath(name))
}

// opened gives the bytes of the next file; nil where they are missing.
func (e *export) opened(name string) (file, error) {
	e.o.files.Lock()
	defer e.o.files.Unlock()
	e.begun = name
	if h, ok := e.held[name]; ok {
		delete(e.held, name)
		return h.f, h.err
	}
	if e.o.look().incarnation != e.incarnation {
		return nil, e.gone()
	}
	return e.open(name)
}

func (e *export) close() {
	e.o.files.Lock()
	defer e.o.files.Unlock()
	e.o.exports = slices.DeleteFunc(e.o.exports, func(other *export) bool { return other == e })
	e.log.close()
	for _, h := range e.held {
		if h.f != nil {
			_ = h.f.Close() // it was read
		}
	}
}

// write writes the archive.
func (e *export) write(w io.Writer) error {
	a, err := archive.NewWriter(w, archive.Header{
		Object: e.o.id, Incarnation: e.incarnation, Sequence: e.sequence, HomeEpoch: e.epoch, Head: e.head,
	})
	if err != nil {
		return err
	}
	slices.Reverse(e.versions)
	for _, step := range []func() error{
		func() error { return a.State(e.state) },
		func() error { return a.Versions(e.versions, e.source) },
		func() error { return a.Files(e.files, e.content) },
		func() error { return e.entries(a) },
		a.Close,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// source gives the text of a version.
func (e *export) source(number uint64) ([]byte, error) {
	i, _ := slices.BinarySearchFunc(e.versions, number, func(v storage.Version, n uint64) int { return cmp.Compare(v.Number, n) })
	if v := e.versions[i]; v.Text != nil {
		return v.Text, nil
	}
	b, err := e.s.versionText(e.o, e.incarnation, &e.versions[i])
	if errors.Is(err, errGone) {
		err = e.gone()
	}
	return b, err
}

func (e *export) gone() error {
	return errs.New(errs.Unavailable, "", "Object %q lost a part of its log, changed many files, or ended, while it was exported. Try again.", e.o.id)
}

// content gives the bytes of a file, which it checks as ReadFile does.
func (e *export) content(f *storage.File) (io.ReadCloser, error) {
	c, err := e.opened(f.Name)
	if err != nil {
		return nil, err
	}
	r := &fileReader{s: e.s, o: e.o, file: *f, f: c}
	if c == nil {
		return nil, r.corrupt("its bytes are missing")
	}
	if err := r.begin(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// entries writes the log, which may have become shorter since the view was taken.
func (e *export) entries(a *archive.Writer) error {
	cols := make([][]byte, logColumns)
	for i := range e.log.last() + 1 {
		f, err := e.log.open(i)
		if errors.Is(err, errGone) {
			return e.gone()
		}
		if err != nil {
			return err
		}
		next := f.lines(e.s, true, f.first, f.size)
		for {
			line, at, err := next.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if len(line) == 0 {
				continue
			}
			how := split(line, cols)
			entry, ok := parseEntry(cols, how)
			if how == damaged || !ok {
				e.s.setAside(f.path, f.r, at, 0, line, reason(how))
				continue
			}
			if err := a.Entry(&entry); err != nil {
				return err
			}
		}
	}
	return nil
}

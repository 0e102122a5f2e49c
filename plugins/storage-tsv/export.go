package storagetsv

import (
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

// Export implements storage.Storage: a view of the object with its files opened,
// which is written while the object goes on.
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
	contents map[string]file // open, by the file's name
}

// openExport takes the view. While it holds the object's lock nothing is carried
// over, and what is committed meanwhile is behind the view.
func (s *Store) openExport(o *object) (*export, error) {
	o.files.Lock()
	defer o.files.Unlock()
	e := &export{view: o.look(), s: s, o: o, contents: map[string]file{}}
	for _, step := range []func() error{e.openState, e.openLog, e.openVersions, e.openFiles} {
		if err := step(); err != nil {
			e.close()
			return nil, err
		}
	}
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
	f, size, err := e.open(e.o.versionsPath())
	if err != nil {
		return err
	}
	e.versions, err = e.s.versionsIn(e.o, e.view, f, size, 0, math.MaxInt)
	return err
}

// open opens a table of the object; nil where there is none.
func (e *export) open(name string) (f file, size int64, err error) {
	if !e.onDisk {
		return nil, 0, nil
	}
	if f, size, err = e.s.openWhole(name, toRead); err != nil {
		return nil, 0, unlessMissing(err)
	}
	return f, size, nil
}

func (e *export) openFiles() error {
	f, size, err := e.open(e.o.indexPath())
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
	}
	for _, g := range files {
		e.files = append(e.files, g)
		if g.Deleted {
			continue
		}
		from := e.o.filePath(g.Name)
		if i := slices.IndexFunc(newest, func(c *storage.FileChange) bool { return c.Name == g.Name }); i >= 0 {
			upload, err := e.s.openThere(uploadPath(e.o.id, newest[i].Upload))
			if err != nil {
				return err
			}
			if upload != nil {
				e.contents[g.Name] = upload
				continue
			}
		}
		c, err := e.s.openThere(from)
		if err != nil {
			return err
		}
		if c != nil {
			e.contents[g.Name] = c
		}
	}
	slices.SortFunc(e.files, func(a, b storage.File) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

func (e *export) close() {
	if e.log != nil {
		e.log.close()
	}
	for _, c := range e.contents {
		_ = c.Close() // it was read
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
	i := slices.IndexFunc(e.versions, func(v storage.Version) bool { return v.Number == number })
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
	return errs.New(errs.Unavailable, "", "Object %q lost a part of its log, or ended, while it was exported. Try again.", e.o.id)
}

// content gives the bytes of a file, which it checks as ReadFile does.
func (e *export) content(f *storage.File) (io.ReadCloser, error) {
	c := e.contents[f.Name]
	delete(e.contents, f.Name)
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

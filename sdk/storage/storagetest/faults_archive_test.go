package storagetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/archive"
)

// thinExport leaves the tombstones out.
type thinExport struct{ storage.Storage }

func (f thinExport) Export(ctx context.Context, o id.Object) (io.ReadCloser, error) {
	r, err := f.Storage.Export(ctx, o)
	if err != nil {
		return nil, err
	}
	return refiltered(r, func(t *filtered) { t.tombstones = false })
}

// shortImport forgets the last log entry.
type shortImport struct{ storage.Storage }

func (f shortImport) Import(ctx context.Context, o id.Object, r io.Reader) (storage.ObjectInfo, error) {
	short, err := refiltered(r, func(t *filtered) { t.skipLast = true })
	if err != nil {
		return storage.ObjectInfo{}, err
	}
	return f.Storage.Import(ctx, o, short)
}

// anyImport says that an object was imported that is there already.
type anyImport struct{ storage.Storage }

func (f anyImport) Import(ctx context.Context, o id.Object, r io.Reader) (storage.ObjectInfo, error) {
	i, err := f.Storage.Import(ctx, o, r)
	if errs.Is(err, errs.Conflict) {
		l, err := f.Load(ctx, o)
		return l.ObjectInfo, err
	}
	return i, err
}

// jammed takes an import that failed for one that runs.
type jammed struct {
	storage.Storage
	runs map[id.Object]bool
}

func (f *jammed) Import(ctx context.Context, o id.Object, r io.Reader) (storage.ObjectInfo, error) {
	if f.runs[o] {
		return storage.ObjectInfo{}, errs.New(errs.Conflict, "import_runs", "Object %q is being imported.", o)
	}
	i, err := f.Storage.Import(ctx, o, r)
	if err != nil {
		if f.runs == nil {
			f.runs = map[id.Object]bool{}
		}
		f.runs[o] = true
	}
	return i, err
}

// hasty takes what has an end for the end.
type hasty struct{ storage.Storage }

func (f hasty) Import(ctx context.Context, o id.Object, r io.Reader) (storage.ObjectInfo, error) {
	data, err := io.ReadAll(r)
	if err != nil && !bytes.HasSuffix(data, make([]byte, 1024)) {
		return storage.ObjectInfo{}, err
	}
	return f.Storage.Import(ctx, o, bytes.NewReader(data))
}

// filtered writes an archive again, without some of it.
type filtered struct {
	tombstones, skipLast bool

	out      bytes.Buffer
	w        *archive.Writer
	state    []storage.StateChange
	versions []storage.Version
	files    []storage.File
	contents map[string][]byte
	entries  []storage.Entry
}

func refiltered(r io.Reader, with func(*filtered)) (io.ReadCloser, error) {
	t := &filtered{tombstones: true, contents: map[string][]byte{}}
	with(t)
	if err := archive.Read(r, t); err != nil {
		return nil, err
	}
	if t.skipLast && len(t.entries) > 0 {
		t.entries = t.entries[:len(t.entries)-1]
	}
	err := errors.Join(t.w.State(t.state),
		t.w.Versions(t.versions, func(n uint64) ([]byte, error) {
			return t.versions[slices.IndexFunc(t.versions, func(v storage.Version) bool { return v.Number == n })].Text, nil
		}),
		t.w.Files(t.files, func(f *storage.File) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(t.contents[f.Name])), nil
		}))
	for i := range t.entries {
		err = errors.Join(err, t.w.Entry(&t.entries[i]))
	}
	return io.NopCloser(&t.out), errors.Join(err, t.w.Close())
}

func (t *filtered) Begin(h archive.Header) (err error) {
	t.w, err = archive.NewWriter(&t.out, h)
	return err
}

func (t *filtered) State(c storage.StateChange) error {
	if t.tombstones || !c.Deleted {
		t.state = append(t.state, c)
	}
	return nil
}

func (t *filtered) Version(v storage.Version) error {
	t.versions = append(t.versions, v)
	return nil
}

func (t *filtered) File(f storage.File, r io.Reader) (err error) {
	t.files = append(t.files, f)
	t.contents[f.Name], err = io.ReadAll(r)
	return err
}

func (t *filtered) Entry(e storage.Entry) error {
	t.entries = append(t.entries, e)
	return nil
}

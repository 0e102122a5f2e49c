package storagetest

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// fileFaults are stores that do one thing wrong with files.
var fileFaults = []fault{
	{"files that lose their last byte", "FilesRoundTrip", func(s storage.Storage) storage.Storage { return cutFiles{s, 1 << 10} }},
	{"large files that are cut", "FilesLarge", func(s storage.Storage) storage.Storage { return cutFiles{s, 16 << 20} }},
	{"replaced files that stay", "FilesReplaceAndDelete", func(s storage.Storage) storage.Storage { return &firstFile{Storage: s} }},
	{"deletions that are forgotten", "FilesReplaceAndDelete", func(s storage.Storage) storage.Storage { return noDeletes{s} }},
	{"pages in the wrong order", "FilesList", func(s storage.Storage) storage.Storage { return wrongFiles{s} }},
	{"tombstones unasked", "FilesList", func(s storage.Storage) storage.Storage { return allTombstones{s} }},
	{"offsets that are ignored", "FilesFromAnOffset", func(s storage.Storage) storage.Storage { return noOffset{s} }},
	{"uploads that are kept", "Uploads", func(s storage.Storage) storage.Storage { return noDrop{s} }},
	{"commits that lose their files", "Uploads", func(s storage.Storage) storage.Storage { return noFiles{s} }},
	{"uploads that lose their last byte", "UploadsAreRead", func(s storage.Storage) storage.Storage { return cutUploads{s} }},
	{"uploads of any object", "UploadsAreRead", func(s storage.Storage) storage.Storage { return anyUpload{s} }},
	{"uploads that are read once used", "UploadsAreRead", func(s storage.Storage) storage.Storage {
		return &oldUploads{Storage: s, data: map[string][]byte{}}
	}},
	{"a reader's error as an end", "UploadReaderError", func(s storage.Storage) storage.Storage { return errorIsEnd{s} }},
	{"a reader's error without its kind", "UploadReaderError", func(s storage.Storage) storage.Storage { return plainError{s} }},
	{"readers of the newest bytes", "FilesConcurrentReads", func(s storage.Storage) storage.Storage { return &lateReads{s} }},
	{"readers that leave a goroutine", "FilesClosedEarly", func(s storage.Storage) storage.Storage { return leaks{s} }},
	{"names that are cleaned", "FilesInvalid", func(s storage.Storage) storage.Storage { return cleansNames{s} }},
	{"files that outlive their object", "FilesIncarnations", func(s storage.Storage) storage.Storage {
		return &oldLife{Storage: s, files: map[string]storage.File{}}
	}},
	{"half of a commit's files", "FilesAtomic", func(s storage.Storage) storage.Storage { return dropsBadFiles{s} }},
}

// fault is a store that is wrong in one way, and the check that must see it.
type fault struct {
	fault, caughtBy string
	wrap            func(storage.Storage) storage.Storage
}

// cutFiles drops the last byte of an upload of at least one size; its hash and
// size are those of what was to be stored.
type cutFiles struct {
	storage.Storage
	above int64
}

func (f cutFiles) ReadFile(ctx context.Context, o id.Object, name string, from int64) (storage.File, io.ReadCloser, error) {
	g, r, err := f.Storage.ReadFile(ctx, o, name, from)
	if err == nil && (g.Size > f.above || f.above < 1<<20 && g.Size > 0) {
		b, _ := io.ReadAll(r)
		r = io.NopCloser(bytes.NewReader(b[:len(b)-1]))
	}
	return g, r, err
}

// firstFile gives the bytes of the first read of a name again.
type firstFile struct {
	storage.Storage
	first []byte
}

func (f *firstFile) ReadFile(ctx context.Context, o id.Object, name string, from int64) (storage.File, io.ReadCloser, error) {
	g, r, err := f.Storage.ReadFile(ctx, o, name, from)
	if err == nil && f.first != nil {
		return g, io.NopCloser(bytes.NewReader(f.first)), nil
	}
	if err == nil {
		f.first, _ = io.ReadAll(r)
		r = io.NopCloser(bytes.NewReader(f.first))
	}
	return g, r, err
}

type noDeletes struct{ storage.Storage }

func (f noDeletes) Commit(ctx context.Context, list []storage.Commit) []error {
	for i := range list {
		var kept []storage.FileChange
		for _, c := range list[i].Files {
			if !c.Deleted {
				kept = append(kept, c)
			}
		}
		list[i].Files = kept
	}
	return f.Storage.Commit(ctx, list)
}

type wrongFiles struct{ storage.Storage }

func (f wrongFiles) Files(ctx context.Context, q storage.FilesQuery) ([]storage.File, error) {
	l, err := f.Storage.Files(ctx, q)
	if n := len(l); n > 2 {
		l[0], l[1] = l[1], l[0]
	}
	return l, err
}

type allTombstones struct{ storage.Storage }

func (f allTombstones) Files(ctx context.Context, q storage.FilesQuery) ([]storage.File, error) {
	q.Tombstones = true
	return f.Storage.Files(ctx, q)
}

type noOffset struct{ storage.Storage }

func (f noOffset) ReadFile(ctx context.Context, o id.Object, name string, _ int64) (storage.File, io.ReadCloser, error) {
	return f.Storage.ReadFile(ctx, o, name, 0)
}

type noDrop struct{ storage.Storage }

func (noDrop) DropUpload(context.Context, id.Object, string) error { return nil }

type noFiles struct{ storage.Storage }

func (f noFiles) Commit(ctx context.Context, list []storage.Commit) []error {
	for i := range list {
		list[i].Files = nil
	}
	return f.Storage.Commit(ctx, list)
}

type errorIsEnd struct{ storage.Storage }

func (f errorIsEnd) WriteFile(ctx context.Context, o id.Object, r io.Reader) (storage.Upload, error) {
	b, _ := io.ReadAll(r)
	return f.Storage.WriteFile(ctx, o, bytes.NewReader(b))
}

type plainError struct{ storage.Storage }

func (f plainError) WriteFile(ctx context.Context, o id.Object, r io.Reader) (storage.Upload, error) {
	u, err := f.Storage.WriteFile(ctx, o, r)
	if err != nil {
		err = errors.New(err.Error())
	}
	return u, err
}

// lateReads opens the file at the first Read beyond the first bytes.
type lateReads struct{ storage.Storage }

func (f *lateReads) ReadFile(ctx context.Context, o id.Object, name string, from int64) (storage.File, io.ReadCloser, error) {
	g, r, err := f.Storage.ReadFile(ctx, o, name, from)
	if err != nil {
		return g, nil, err
	}
	return g, &lateReader{f: f, ctx: ctx, o: o, name: name, ReadCloser: r}, nil
}

type lateReader struct {
	io.ReadCloser
	f    *lateReads
	ctx  context.Context
	o    id.Object
	name string
	at   int64
}

func (r *lateReader) Read(b []byte) (int, error) {
	if r.at > 0 {
		_, now, err := r.f.Storage.ReadFile(r.ctx, r.o, r.name, r.at)
		if err != nil {
			return 0, err
		}
		r.ReadCloser = now
	}
	n, err := r.ReadCloser.Read(b)
	r.at += int64(n)
	return n, err
}

type leaks struct{ storage.Storage }

func (f leaks) ReadFile(ctx context.Context, o id.Object, name string, from int64) (storage.File, io.ReadCloser, error) {
	go func() { <-ctx.Done() }()
	return f.Storage.ReadFile(ctx, o, name, from)
}

// cleansNames makes a valid name of one that is not.
type cleansNames struct{ storage.Storage }

func (f cleansNames) Commit(ctx context.Context, list []storage.Commit) []error {
	for i := range list {
		for k := range list[i].Files {
			if storage.CheckFileName(list[i].Files[k].Name) != nil {
				list[i].Files[k].Name = "cleaned"
			}
		}
	}
	return f.Storage.Commit(ctx, list)
}

// oldLife lists every file that it has ever seen.
type oldLife struct {
	storage.Storage
	files map[string]storage.File
}

func (f *oldLife) Commit(ctx context.Context, list []storage.Commit) []error {
	for i := range list {
		for _, c := range list[i].Files {
			f.files[c.Name] = c.File
		}
	}
	return f.Storage.Commit(ctx, list)
}

func (f *oldLife) Files(ctx context.Context, q storage.FilesQuery) ([]storage.File, error) {
	var list []storage.File
	for _, g := range f.files {
		list = append(list, g)
	}
	_, err := f.Storage.Files(ctx, q)
	return list, err
}

// dropsBadFiles stores a commit without the file changes that are refused.
type dropsBadFiles struct{ storage.Storage }

func (f dropsBadFiles) Commit(ctx context.Context, list []storage.Commit) []error {
	r := f.Storage.Commit(ctx, list)
	for i, err := range r {
		if errs.Is(err, errs.Invalid) && len(list[i].Files) > 1 {
			list[i].Files = list[i].Files[:1]
			r[i] = f.Storage.Commit(ctx, list[i:i+1])[0]
		}
	}
	return r
}

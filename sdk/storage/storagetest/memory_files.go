package storagetest

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// content is the bytes of a file or of an upload, never changed, and what is known of them.
type content struct {
	storage.File
	data   []byte
	object id.Object // of an upload
	since  time.Time // when an upload was made
}

func (s *memoryStore) WriteFile(ctx context.Context, object id.Object, r io.Reader) (storage.Upload, error) {
	if _, err := id.ParseObject(string(object)); err != nil {
		return storage.Upload{}, err
	}
	f, err := s.hold()
	if err != nil {
		return storage.Upload{}, err
	}
	f.mu.Unlock()
	data, err := readAll(ctx, r)
	if err != nil {
		return storage.Upload{}, err
	}
	if f, err = s.hold(); err != nil {
		return storage.Upload{}, err
	}
	defer f.mu.Unlock()
	s.uploads++
	u := storage.Upload{ID: strconv.FormatUint(f.boot, 10) + "-" + strconv.Itoa(s.uploads), Size: int64(len(data)), Hash: storage.Hash(data)}
	f.uploads[u.ID] = content{storage.File{Size: u.Size, Hash: u.Hash}, data, object, time.Now()}
	return u, nil
}

func readAll(ctx context.Context, r io.Reader) ([]byte, error) {
	var data []byte
	for chunk := make([]byte, 64<<10); ; {
		if err := ctx.Err(); err != nil {
			return nil, errs.Wrap(errs.Unavailable, "storage.WriteFile", err, "The file was given up before it was written.")
		}
		n, end, err := storage.ReadChunk(r, chunk)
		data = append(data, chunk[:n]...)
		if end || err != nil {
			return data, err
		}
	}
}

func (s *memoryStore) DropUpload(_ context.Context, object id.Object, upload string) error {
	f, err := s.hold()
	if err != nil {
		return err
	}
	defer f.mu.Unlock()
	if f.uploads[upload].object == object {
		delete(f.uploads, upload)
	}
	return nil
}

func (s *memoryStore) ReadUpload(_ context.Context, object id.Object, upload string) (storage.Upload, io.ReadCloser, error) {
	f, err := s.hold()
	if err != nil {
		return storage.Upload{}, nil, err
	}
	defer f.mu.Unlock()
	u, ok := f.uploads[upload]
	if !ok || u.object != object || time.Since(u.since) >= storage.UploadLife {
		return storage.Upload{}, nil, errs.New(errs.NotFound, "no_upload", "There is no upload %q of object %q.", upload, object)
	}
	return storage.Upload{ID: upload, Size: u.Size, Hash: u.Hash}, io.NopCloser(bytes.NewReader(u.data)), nil
}

// checkUploads says why the uploads that a commit names cannot be used.
func (f *folder) checkUploads(c *storage.Commit) error {
	seen := map[string]bool{}
	for _, ch := range c.Files {
		if ch.Deleted {
			continue
		}
		u, ok := f.uploads[ch.Upload]
		if !ok || seen[ch.Upload] || u.object != c.Object || time.Since(u.since) >= storage.UploadLife || u.Size != ch.Size || u.Hash != ch.Hash {
			return errs.New(errs.Invalid, "no_upload", "There is no upload %q of object %q with that size and hash.", ch.Upload, c.Object)
		}
		seen[ch.Upload] = true
	}
	return nil
}

func (f *folder) takeFiles(r *record, c *storage.Commit) {
	for _, ch := range c.Files {
		r.files[ch.Name] = content{File: ch.File, data: f.uploads[ch.Upload].data}
		delete(f.uploads, ch.Upload)
		f.high = max(f.high, ch.Stamp.Time)
	}
}

func (s *memoryStore) Files(_ context.Context, q storage.FilesQuery) ([]storage.File, error) {
	f, err := s.hold()
	if err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	if err := storage.CheckLimit(q.Limit); err != nil {
		return nil, err
	}
	r := f.objects[q.Object]
	if r == nil {
		return nil, nil
	}
	var list []storage.File
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		g := r.files[name].File
		if len(list) < q.Limit && name > q.After && strings.HasPrefix(name, q.Prefix) && (q.Tombstones || !g.Deleted) {
			g.Time = micro(g.Time)
			list = append(list, g)
		}
	}
	return list, nil
}

func (s *memoryStore) ReadFile(_ context.Context, object id.Object, name string, from int64) (storage.File, io.ReadCloser, error) {
	f, err := s.hold()
	if err != nil {
		return storage.File{}, nil, err
	}
	defer f.mu.Unlock()
	if err := storage.CheckFileName(name); err != nil {
		return storage.File{}, nil, err
	}
	var g content
	if r := f.objects[object]; r != nil {
		g = r.files[name]
	}
	switch {
	case g.Hash == "":
		return storage.File{}, nil, errs.New(errs.NotFound, "", "Object %q has no file %q.", object, name)
	case from < 0 || from > g.Size:
		return storage.File{}, nil, errs.New(errs.Invalid, "bad_offset", "File %q has no offset %d.", name, from)
	}
	g.Time = micro(g.Time)
	return g.File, io.NopCloser(bytes.NewReader(g.data[from:])), nil
}

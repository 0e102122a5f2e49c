package storagetsv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// ReadUpload implements storage.Storage.
func (s *Store) ReadUpload(_ context.Context, name id.Object, upload string) (storage.Upload, io.ReadCloser, error) {
	if err := s.enter(); err != nil {
		return storage.Upload{}, nil, err
	}
	defer s.leave()
	missing := errs.New(errs.NotFound, "no_upload", "There is no upload %q of object %q.", upload, name)
	u, ok := s.unused(name, upload)
	if !ok {
		return storage.Upload{}, nil, missing
	}
	f, err := s.openThere(uploadPath(name, upload)) // without the lock, which each commit takes
	if err != nil {
		return storage.Upload{}, nil, s.readError("storage.ReadUpload", name, err)
	}
	if f == nil { // a commit has used it meanwhile, and its name is gone
		return storage.Upload{}, nil, missing
	}
	return storage.Upload{ID: upload, Size: u.size, Hash: u.hash},
		&uploadReader{object: name, f: f, size: u.size, want: u.hash, hash: sha256.New()}, nil
}

// unused gives what is known of an upload that is whole and that no durable commit
// has used.
func (s *Store) unused(name id.Object, upload string) (uploadState, bool) {
	s.uploads.mu.Lock()
	defer s.uploads.mu.Unlock()
	u := s.uploads.byID[upload]
	if u == nil || u.object != name || u.since.IsZero() || s.expired(u) {
		return uploadState{}, false
	}
	return *u, true
}

// uploadReader reads the bytes of an upload, once and in order.
type uploadReader struct {
	object id.Object
	f      file
	at     int64
	size   int64
	want   string // the hash
	hash   hash.Hash
}

// Read implements io.Reader. The last bytes of an upload that is not what was
// stored are not given.
func (r *uploadReader) Read(b []byte) (int, error) {
	b = b[:min(int64(len(b)), r.size-r.at)]
	if r.at == r.size {
		return 0, io.EOF
	}
	if err := readFull(r.f, b, r.at); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, r.corrupt()
		}
		return 0, errs.Wrap(errs.Unavailable, "storage.ReadUpload", err, "The data of object %q cannot be read.", r.object)
	}
	_, _ = r.hash.Write(b) // never fails
	if r.at+int64(len(b)) == r.size && hex.EncodeToString(r.hash.Sum(nil)) != r.want {
		return 0, r.corrupt()
	}
	r.at += int64(len(b))
	return len(b), nil
}

func (r *uploadReader) corrupt() error {
	return errs.New(errs.Corrupt, "", "An upload of object %q is not what was stored.", r.object)
}

// Close implements io.Closer.
func (r *uploadReader) Close() error { return r.f.Close() }

package storagetest

import (
	"bytes"
	"context"
	"io"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// cutUploads gives large uploads without their last byte.
type cutUploads struct{ storage.Storage }

func (f cutUploads) ReadUpload(ctx context.Context, o id.Object, upload string) (storage.Upload, io.ReadCloser, error) {
	u, r, err := f.Storage.ReadUpload(ctx, o, upload)
	if err == nil && u.Size > 1<<19 {
		b, _ := io.ReadAll(r)
		r = io.NopCloser(bytes.NewReader(b[:len(b)-1]))
	}
	return u, r, err
}

// anyUpload does not look whose an upload is.
type anyUpload struct{ storage.Storage }

func (f anyUpload) ReadUpload(ctx context.Context, _ id.Object, upload string) (storage.Upload, io.ReadCloser, error) {
	return f.Storage.ReadUpload(ctx, "a", upload)
}

// oldUploads gives uploads that have been read once again, whatever became of them.
type oldUploads struct {
	storage.Storage
	data map[string][]byte
}

func (f *oldUploads) ReadUpload(ctx context.Context, o id.Object, upload string) (storage.Upload, io.ReadCloser, error) {
	if b, ok := f.data[upload]; ok {
		return storage.Upload{ID: upload, Size: int64(len(b)), Hash: storage.Hash(b)}, io.NopCloser(bytes.NewReader(b)), nil
	}
	u, r, err := f.Storage.ReadUpload(ctx, o, upload)
	if err == nil {
		f.data[upload], _ = io.ReadAll(r)
		r = io.NopCloser(bytes.NewReader(f.data[upload]))
	}
	return u, r, err
}

package kernel

import (
	"context"
	"io"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// The most streams of each kind at once. Each holds some chunks in memory, as
// long as its client is slow.
const (
	maxUploads = 64
	maxReads   = 256
)

// retryAfter is when a client that found too many streams may come back.
const retryAfter = time.Second

// fileStore is what the kernel needs of storage for files.
type fileStore interface {
	Files(ctx context.Context, q storage.FilesQuery) ([]storage.File, error)
	WriteFile(ctx context.Context, object id.Object, r io.Reader) (storage.Upload, error)
	DropUpload(ctx context.Context, object id.Object, upload string) error
	ReadFile(ctx context.Context, object id.Object, name string, from int64) (storage.File, io.ReadCloser, error)
}

// streams counts what is under way.
type streams struct {
	uploads, reads, exports, imports chan struct{}
}

func newStreams(uploads, reads int) streams {
	return streams{
		uploads: make(chan struct{}, uploads), reads: make(chan struct{}, reads),
		exports: make(chan struct{}, MaxExports), imports: make(chan struct{}, MaxImports),
	}
}

// take begins a stream of a kind; the caller ends it with give. what is what the
// station does with so many now.
func take(kind chan struct{}, what string) error {
	select {
	case kind <- struct{}{}:
		return nil
	default:
		e := errs.New(errs.Busy, "", "The station "+what+" now; try again later.", cap(kind))
		e.RetryAfter = retryAfter
		return e
	}
}

func give(kind chan struct{}) { <-kind }

// Upload implements host.Host.
func (h *Host) Upload(ctx context.Context, call host.UploadFor, r io.Reader) (storage.Upload, error) {
	c := host.Call{Object: call.Object, Station: call.Station, Method: call.Method}
	if err := check(&c); err != nil {
		return storage.Upload{}, err
	}
	if call.Station != "" && call.Station != h.station {
		return storage.Upload{}, errs.New(errs.Invalid, "not_available", "Files cannot be uploaded to another station in this version.")
	}
	if err := h.dispatch.Answers(ctx, call.Object, call.Method); err != nil {
		return storage.Upload{}, err
	}
	return h.receive(ctx, call.Object, r)
}

// receive puts the bytes of a file aside.
func (h *Host) receive(ctx context.Context, object id.Object, r io.Reader) (storage.Upload, error) {
	if err := take(h.streams.uploads, "receives %d files"); err != nil {
		return storage.Upload{}, err
	}
	defer give(h.streams.uploads)
	return h.files.WriteFile(ctx, object, &bounded{r: r, most: h.dispatch.Limits.File, left: h.dispatch.Limits.File})
}

// bounded gives the bytes of r, and errs.TooLarge where there are more than most.
type bounded struct {
	r          io.Reader
	most, left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one more tells whether there is more
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errs.New(errs.TooLarge, "file_too_large", "A file may have %d bytes at most.", b.most)
	}
	return n, err
}

// DropUpload implements host.Host.
func (h *Host) DropUpload(ctx context.Context, object id.Object, upload string) error {
	if _, err := id.ParseObject(string(object)); err != nil {
		return err
	}
	return h.files.DropUpload(ctx, object, upload)
}

// ReadFile implements host.Host.
func (h *Host) ReadFile(ctx context.Context, object id.Object, name, hash string, from int64) (io.ReadCloser, error) {
	if err := h.inService(object); err != nil {
		return nil, err
	}
	if err := take(h.streams.reads, "sends %d files"); err != nil {
		return nil, err
	}
	f, r, err := h.files.ReadFile(ctx, object, name, from)
	if err == nil && f.Hash != hash {
		_ = r.Close() // nothing was read
		err = errs.New(errs.NotFound, "", "The file %q has another content.", name)
	}
	if errs.Is(err, errs.NotFound) {
		e := errs.New(errs.Unavailable, "file_changed", "The file %q was replaced or deleted meanwhile; try again.", name)
		e.Op, e.Err = "kernel.ReadFile", err
		err = e
	}
	return streaming(h.streams.reads, r, err)
}

// streaming gives what was opened in a place of that kind, which an error frees.
func streaming(kind chan struct{}, r io.ReadCloser, err error) (io.ReadCloser, error) {
	if err != nil {
		give(kind)
		return nil, err
	}
	return &stream{ReadCloser: r, kind: kind}, nil
}

// stream is what is being read; it keeps its place until it is closed.
type stream struct {
	io.ReadCloser
	kind   chan struct{}
	closed bool
}

// Close implements io.Closer.
func (s *stream) Close() error {
	if !s.closed {
		s.closed = true
		give(s.kind)
	}
	return s.ReadCloser.Close()
}

package transporttest

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"strconv"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// fileLimit is how many bytes of a file a Host takes unless FileLimit says otherwise.
const fileLimit = 20 << 20

// files is what a Host has of uploads and files.
type files struct {
	limit    int // bytes of one upload; 0 means fileLimit
	count    int // of uploads that there have been
	kept     map[string][]byte
	read     int64             // bytes that were read of all uploads
	contents map[string][]byte // by object, "/" and name
	known    map[string]host.File
	breaks   bool // files break off after whole bytes
	whole    int
}

// AddFile gives an object a file, and what a Result says of it.
func (h *Host) AddFile(object id.Object, name, media string, content []byte) host.File {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.addFile(object, name, media, content)
}

// addFile does what AddFile does; h.mu is held.
func (h *Host) addFile(object id.Object, name, media string, content []byte) host.File {
	if h.files.contents == nil {
		h.files.contents, h.files.known = map[string][]byte{}, map[string]host.File{}
	}
	f := host.File{Name: name, Type: media, Size: int64(len(content)), Hash: storage.Hash(content), Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)}
	h.files.contents[string(object)+"/"+name], h.files.known[string(object)+"/"+name] = content, f
	return f
}

// FileLimit sets how many bytes of a file the host takes.
func (h *Host) FileLimit(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.files.limit = n
}

// BreakFiles lets files break off with an error after so many bytes, or ends that
// where the number is negative.
func (h *Host) BreakFiles(after int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.files.breaks, h.files.whole = after >= 0, after
}

// errorReader fails.
type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// Uploads counts the uploads that have not been dropped. The fake's calls use none up.
func (h *Host) Uploads() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.files.kept)
}

// UploadBytes counts the bytes that were read of all uploads.
func (h *Host) UploadBytes() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.files.read
}

// Uploaded gives the bytes of an upload that has not been dropped.
func (h *Host) Uploaded(upload string) ([]byte, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, ok := h.files.kept[upload]
	return b, ok
}

// Upload keeps the bytes, for an object that answers.
func (h *Host) Upload(ctx context.Context, call host.UploadFor, r io.Reader) (storage.Upload, error) {
	h.mu.Lock()
	_, known := h.answers[call.Object]
	down, limit := h.down, cmp.Or(h.files.limit, fileLimit)
	h.mu.Unlock()
	switch {
	case down:
		return storage.Upload{}, errs.New(errs.Unavailable, "", "The kernel is down for the test.")
	case !known:
		return storage.Upload{}, noObject(call.Object)
	}
	var content []byte
	for b := make([]byte, 32<<10); ; {
		n, end, err := storage.ReadChunk(r, b)
		h.mu.Lock()
		h.files.read += int64(n)
		h.mu.Unlock()
		if content = append(content, b[:n]...); len(content) > limit {
			err = errs.New(errs.TooLarge, "file_too_large", "A file may have %d bytes at most.", limit)
		}
		if err == nil && ctx.Err() != nil {
			err = errs.Wrap(errs.Unavailable, "transporttest.Upload", ctx.Err(), "The upload was given up.")
		}
		if err != nil {
			return storage.Upload{}, err
		}
		if end {
			break
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.files.kept == nil {
		h.files.kept = map[string][]byte{}
	}
	h.files.count++
	u := storage.Upload{ID: strconv.Itoa(h.files.count), Size: int64(len(content)), Hash: storage.Hash(content)}
	h.files.kept[u.ID] = content
	return u, nil
}

// DropUpload forgets an upload.
func (h *Host) DropUpload(_ context.Context, _ id.Object, upload string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.files.kept, upload)
	return nil
}

// ReadFile gives a file that was added.
func (h *Host) ReadFile(ctx context.Context, object id.Object, name, hash string, from int64) (io.ReadCloser, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	content, ok := h.files.contents[string(object)+"/"+name]
	switch {
	case h.down:
		return nil, errs.New(errs.Unavailable, "", "The kernel is down for the test.")
	case !ok || storage.Hash(content) != hash:
		return nil, errs.New(errs.Unavailable, "file_changed", "The file %q was replaced or deleted meanwhile.", name)
	case from < 0 || from > int64(len(content)):
		return nil, errs.New(errs.Invalid, "bad_offset", "The file has no offset %d.", from)
	}
	if h.files.breaks {
		broken := errs.New(errs.Corrupt, "", "The file is damaged.")
		return io.NopCloser(io.MultiReader(bytes.NewReader(content[from:max(from, int64(h.files.whole))]), errorReader{broken})), nil
	}
	return io.NopCloser(&heldBy{ctx, bytes.NewReader(content[from:])}), nil
}

// heldBy reads until its context ends, as what comes from a kernel does.
type heldBy struct {
	ctx context.Context
	io.Reader
}

func (r *heldBy) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, errs.Wrap(errs.Unavailable, "host.ReadFile", err, "The file was given up before its end.")
	}
	return r.Reader.Read(b)
}

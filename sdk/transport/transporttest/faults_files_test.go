package transporttest

import (
	"bytes"
	"context"
	"io"
	"net"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport"
)

// fileFaults do one thing wrong with uploads or files.
func fileFaults() []fault {
	on := func(name, check string, h func(host.Host) host.Host) fault {
		return fault{name: name, check: check,
			serve: func(ctx context.Context, ln net.Listener, kernel host.Host, l transport.Transport) error {
				return l.Serve(ctx, ln, h(kernel))
			}}
	}
	return []fault{
		{name: "uploads without their names", check: "Uploads", invoke: onCall(func(c *host.Call) {
			for i := range c.Uploads {
				c.Uploads[i].Name = ""
			}
		})},
		{name: "one upload of each field", check: "Uploads", invoke: onCall(func(c *host.Call) { c.Uploads = c.Uploads[:min(2, len(c.Uploads))] })},
		on("uploads that lose their line ends", "Uploads", func(h host.Host) host.Host { return textUploads{h} }),
		on("uploads that are cut at 64 KiB", "Uploads", func(h host.Host) host.Host { return cutUploads{h, 64 << 10} }),
		on("uploads that are left", "UploadsRefused", func(h host.Host) host.Host { return leftUploads{h} }),
		on("uploads that are cut at 8 MiB", "Uploads", func(h host.Host) host.Host { return cutUploads{h, 8 << 20} }),
		{name: "uploads with the client's folders", check: "Uploads", invoke: onCall(func(c *host.Call) {
			for i := range c.Uploads {
				c.Uploads[i].Name = "sub/" + c.Uploads[i].Name
			}
		})},
		on("broken files that end in good order", "BrokenFiles", func(h host.Host) host.Host { return quietEnds{h} }),
		on("no file after a broken one", "BrokenFiles", func(h host.Host) host.Host { return &once{Host: h} }),
		on("files that are cut at 8 MiB", "Files", func(h host.Host) host.Host { return cutFiles{h, 8 << 20} }),
		on("files that are cut", "Files", func(h host.Host) host.Host { return cutFiles{h, 64 << 10} }),
		on("whatever file there is", "Files", func(h host.Host) host.Host { return anyFile{h} }),
		{name: "files without a type", check: "Files", invoke: onResult(func(r *host.Result) {
			if r.File != nil {
				r.File = &host.File{Name: r.File.Name, Size: r.File.Size, Hash: r.File.Hash}
			}
		})},
	}
}

type textUploads struct{ host.Host }

func (h textUploads) Upload(ctx context.Context, call host.UploadFor, r io.Reader) (storage.Upload, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return storage.Upload{}, err
	}
	return h.Host.Upload(ctx, call, bytes.NewReader(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))))
}

type cutUploads struct {
	host.Host
	most int64
}

func (h cutUploads) Upload(ctx context.Context, call host.UploadFor, r io.Reader) (storage.Upload, error) {
	return h.Host.Upload(ctx, call, io.LimitReader(r, h.most))
}

type leftUploads struct{ host.Host }

func (leftUploads) DropUpload(context.Context, id.Object, string) error { return nil }

type cutFiles struct {
	host.Host
	most int64
}

func (h cutFiles) ReadFile(ctx context.Context, object id.Object, name, hash string, from int64) (io.ReadCloser, error) {
	r, err := h.Host.ReadFile(ctx, object, name, hash, from)
	if err == nil {
		r = io.NopCloser(io.LimitReader(r, h.most))
	}
	return r, err
}

// quietEnds take an error of a file for its end.
type quietEnds struct{ host.Host }

func (h quietEnds) ReadFile(ctx context.Context, object id.Object, name, hash string, from int64) (io.ReadCloser, error) {
	r, err := h.Host.ReadFile(ctx, object, name, hash, from)
	if err != nil {
		return nil, err
	}
	content, _ := io.ReadAll(r)
	return io.NopCloser(bytes.NewReader(content)), nil
}

// once keeps the first file for good, broken or not.
type once struct {
	host.Host
	kept io.ReadCloser
}

func (h *once) ReadFile(ctx context.Context, object id.Object, name, hash string, from int64) (io.ReadCloser, error) {
	var err error
	if h.kept == nil {
		h.kept, err = h.Host.ReadFile(ctx, object, name, hash, from)
	}
	return h.kept, err
}

// anyFile gives the bytes that there are, whatever the call answered with.
type anyFile struct{ host.Host }

func (h anyFile) ReadFile(ctx context.Context, object id.Object, name, hash string, from int64) (io.ReadCloser, error) {
	r, err := h.Host.ReadFile(ctx, object, name, hash, from)
	if err != nil {
		return h.Host.ReadFile(ctx, object, name, storage.Hash([]byte("other")), from)
	}
	return r, nil
}

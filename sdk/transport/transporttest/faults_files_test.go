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
		on("uploads that are cut at 64 KiB", "Uploads", func(h host.Host) host.Host { return cutUploads{h} }),
		on("uploads that are left", "UploadsRefused", func(h host.Host) host.Host { return leftUploads{h} }),
		on("files that are cut", "Files", func(h host.Host) host.Host { return cutFiles{h} }),
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

type cutUploads struct{ host.Host }

func (h cutUploads) Upload(ctx context.Context, call host.UploadFor, r io.Reader) (storage.Upload, error) {
	return h.Host.Upload(ctx, call, io.LimitReader(r, 64<<10))
}

type leftUploads struct{ host.Host }

func (leftUploads) DropUpload(context.Context, id.Object, string) error { return nil }

type cutFiles struct{ host.Host }

func (h cutFiles) ReadFile(ctx context.Context, object id.Object, name, hash string, from int64) (io.ReadCloser, error) {
	r, err := h.Host.ReadFile(ctx, object, name, hash, from)
	if err == nil {
		r = io.NopCloser(io.LimitReader(r, 64<<10))
	}
	return r, err
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

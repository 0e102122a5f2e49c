package transporttest

import (
	"bytes"
	"context"
	"io"
	"net"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/transport"
)

// archiveFaults do one thing wrong with exports or imports.
func archiveFaults() []fault {
	exports := func(name, check string, change func(io.Reader) io.Reader) fault {
		return archiveFault(name, check, func(h host.Host) host.Host { return changedExport{h, change} })
	}
	imports := func(name, check string, change func(io.Reader) io.Reader) fault {
		return archiveFault(name, check, func(h host.Host) host.Host { return changedImport{h, change} })
	}
	return []fault{
		exports("exports that are cut at 8 MiB", "Exports", func(r io.Reader) io.Reader { return io.LimitReader(r, 8<<20) }),
		exports("exports that lose their line ends", "Exports", unixEnds),
		exports("exports that break off in good order", "BrokenExports", quietly),
		archiveFault("exports that stay open", "Exports", func(h host.Host) host.Host { return openExport{h} }),
		archiveFault("an unknown object is empty", "Exports", func(h host.Host) host.Host { return emptyExport{h} }),
		imports("imports that are cut at 8 MiB", "Imports", func(r io.Reader) io.Reader { return io.LimitReader(r, 8<<20) }),
		imports("imports that lose their line ends", "Imports", unixEnds),
		imports("half of an import is taken", "CutImports", quietly),
		archiveFault("every import is of one object", "Imports", func(h host.Host) host.Host { return sameImport{h} }),
		archiveFault("an import that is refused without its line", "Imports", func(h host.Host) host.Host { return noImportLine{h} }),
		archiveFault("an import over an object is no error", "Imports", func(h host.Host) host.Host { return calmImport{h} }),
	}
}

func archiveFault(name, check string, h func(host.Host) host.Host) fault {
	return fault{name: name, check: check,
		serve: func(ctx context.Context, ln net.Listener, kernel host.Host, l transport.Transport) error {
			return l.Serve(ctx, ln, h(kernel))
		}}
}

func unixEnds(r io.Reader) io.Reader {
	b, err := io.ReadAll(r)
	return io.MultiReader(bytes.NewReader(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))), ending(err))
}

// quietly takes an error for the end.
func quietly(r io.Reader) io.Reader {
	b, _ := io.ReadAll(r)
	return bytes.NewReader(b)
}

func ending(err error) io.Reader {
	if err == nil {
		return bytes.NewReader(nil)
	}
	return errorReader{err}
}

type changedExport struct {
	host.Host
	change func(io.Reader) io.Reader
}

func (h changedExport) Export(ctx context.Context, object id.Object) (io.ReadCloser, error) {
	r, err := h.Host.Export(ctx, object)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{h.change(r), r}, nil
}

type openExport struct{ host.Host }

func (h openExport) Export(ctx context.Context, object id.Object) (io.ReadCloser, error) {
	r, err := h.Host.Export(ctx, object)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(r), nil
}

type emptyExport struct{ host.Host }

func (h emptyExport) Export(ctx context.Context, object id.Object) (io.ReadCloser, error) {
	r, err := h.Host.Export(ctx, object)
	if errs.Is(err, errs.NotFound) {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	return r, err
}

type changedImport struct {
	host.Host
	change func(io.Reader) io.Reader
}

func (h changedImport) Import(ctx context.Context, object id.Object, r io.Reader) (host.Published, error) {
	return h.Host.Import(ctx, object, h.change(r))
}

type sameImport struct{ host.Host }

func (h sameImport) Import(ctx context.Context, _ id.Object, r io.Reader) (host.Published, error) {
	return h.Host.Import(ctx, "i0", r)
}

type noImportLine struct{ host.Host }

func (h noImportLine) Import(ctx context.Context, object id.Object, r io.Reader) (host.Published, error) {
	done, err := h.Host.Import(ctx, object, r)
	if err != nil {
		e := *errs.From(err)
		e.Line = 0
		return done, &e
	}
	return done, nil
}

type calmImport struct{ host.Host }

func (h calmImport) Import(ctx context.Context, object id.Object, r io.Reader) (host.Published, error) {
	done, err := h.Host.Import(ctx, object, r)
	if errs.Is(err, errs.Conflict) {
		return done, nil
	}
	return done, err
}

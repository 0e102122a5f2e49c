package transporttest

import (
	"context"
	"net"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport"
)

// sourceFaults do one thing wrong with versions or changes of a source.
func sourceFaults() []fault {
	on := func(name, check string, h func(host.Host) host.Host) fault {
		return fault{name: name, check: check,
			serve: func(ctx context.Context, ln net.Listener, kernel host.Host, l transport.Transport) error {
				return l.Serve(ctx, ln, h(kernel))
			}}
	}
	onPublish := func(f func(*host.Publication)) func(host.Host) host.Host {
		return func(h host.Host) host.Host { return publishes{h, f} }
	}
	return []fault{
		on("versions from the newest alone", "Versions", func(h host.Host) host.Host { return firstVersions{h} }),
		on("the newest version whichever is asked for", "Versions", func(h host.Host) host.Host { return newestVersion{h} }),
		on("a source without its author", "Changes", onPublish(func(p *host.Publication) { p.Author = "" })),
		on("a source without its message", "Changes", onPublish(func(p *host.Publication) { p.Message = "" })),
		on("a source that is cut", "Changes", onPublish(func(p *host.Publication) { p.Text = p.Text[:len(p.Text)-1] })),
		on("a lost update", "ChangeErrors", onPublish(func(p *host.Publication) { p.IfMatch = "" })),
		on("a refused source without its line", "ChangeErrors", func(h host.Host) host.Host { return noLine{h} }),
		on("a rollback to the version before", "Changes", func(h host.Host) host.Host { return oneBack{h} }),
	}
}

type publishes struct {
	host.Host
	change func(*host.Publication)
}

func (h publishes) Publish(ctx context.Context, p host.Publication) (host.Published, error) {
	h.change(&p)
	return h.Host.Publish(ctx, p)
}

type firstVersions struct{ host.Host }

func (h firstVersions) Versions(ctx context.Context, q storage.VersionsQuery) ([]storage.Version, error) {
	q.Before = 0
	return h.Host.Versions(ctx, q)
}

type newestVersion struct{ host.Host }

func (h newestVersion) Version(ctx context.Context, object id.Object, _ uint64) (storage.Version, error) {
	list, err := h.Host.Versions(ctx, storage.VersionsQuery{Object: object, Limit: 1})
	if err != nil {
		return storage.Version{}, err
	}
	return h.Host.Version(ctx, object, list[0].Number)
}

type noLine struct{ host.Host }

func (h noLine) Publish(ctx context.Context, p host.Publication) (host.Published, error) {
	res, err := h.Host.Publish(ctx, p)
	if err != nil {
		e := *errs.From(err)
		e.Line = 0
		return res, &e
	}
	return res, nil
}

type oneBack struct{ host.Host }

func (h oneBack) Rollback(ctx context.Context, r host.Rollback) (host.Published, error) {
	list, err := h.Versions(ctx, storage.VersionsQuery{Object: r.Object, Limit: 2})
	if err == nil && len(list) == 2 {
		r.Version = list[0].Number
	}
	return h.Host.Rollback(ctx, r)
}

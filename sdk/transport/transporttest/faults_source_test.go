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
		on("a diff from the other side", "Diffs", func(h host.Host) host.Host { return turnedDiff{h} }),
		on("a diff to the version before the newest", "Diffs", func(h host.Host) host.Host { return fixedDiff{h} }),
		on("a diff without its last line", "Diffs", func(h host.Host) host.Host { return cutDiff{h} }),
		on("metadata asked for nobody", "Metadata", onMetadata(func(q *host.MetadataQuery) { q.Caller = id.Caller{} }, nil)),
		on("metadata without trouble", "Metadata", onMetadata(nil, func(m *host.Metadata) { m.Trouble = nil })),
		on("metadata without what is declared", "Metadata", onMetadata(nil, func(m *host.Metadata) { m.Declared = nil })),
		on("metadata that calls itself whole", "Metadata", onMetadata(nil, func(m *host.Metadata) { m.MoreKeys = false })),
		on("a script that speaks for its station", "Metadata", onMetadata(nil, func(m *host.Metadata) {
			if m.Object == "liar" {
				m.Trouble = &host.Trouble{Kind: host.Conflict}
			}
		})),
		on("a deletion without its condition", "Deletions", func(h host.Host) host.Host { return rashDelete{h} }),
		on("a deletion that is no error twice", "Deletions", func(h host.Host) host.Host { return calmDelete{h} }),
		on("a rollback to the version before", "Changes", func(h host.Host) host.Host { return oneBack{h} }),
	}
}

func onMetadata(ask func(*host.MetadataQuery), change func(*host.Metadata)) func(host.Host) host.Host {
	return func(h host.Host) host.Host { return metadata{h, ask, change} }
}

type metadata struct {
	host.Host
	ask    func(*host.MetadataQuery)
	change func(*host.Metadata)
}

func (h metadata) Metadata(ctx context.Context, q host.MetadataQuery) (host.Metadata, error) {
	if h.ask != nil {
		h.ask(&q)
	}
	m, err := h.Host.Metadata(ctx, q)
	if h.change != nil {
		h.change(&m)
	}
	return m, err
}

type turnedDiff struct{ host.Host }

func (h turnedDiff) Diff(ctx context.Context, q host.DiffQuery) ([]byte, error) {
	if q.To > 0 {
		q.From, q.To = q.To, q.From
	}
	return h.Host.Diff(ctx, q)
}

type fixedDiff struct{ host.Host }

func (h fixedDiff) Diff(ctx context.Context, q host.DiffQuery) ([]byte, error) {
	if q.To == 0 {
		q.To = 2
	}
	return h.Host.Diff(ctx, q)
}

type cutDiff struct{ host.Host }

func (h cutDiff) Diff(ctx context.Context, q host.DiffQuery) ([]byte, error) {
	text, err := h.Host.Diff(ctx, q)
	return text[:max(0, len(text)-1)], err
}

type rashDelete struct{ host.Host }

func (h rashDelete) Delete(ctx context.Context, d host.Deletion) error {
	d.IfMatch = ""
	return h.Host.Delete(ctx, d)
}

type calmDelete struct{ host.Host }

func (h calmDelete) Delete(ctx context.Context, d host.Deletion) error {
	err := h.Host.Delete(ctx, d)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
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

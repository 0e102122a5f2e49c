package kernel

import (
	"context"
	"fmt"

	"github.com/aymanbagabas/go-udiff"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/storage"
)

// Diff implements host.Host.
func (h *Host) Diff(ctx context.Context, q host.DiffQuery) ([]byte, error) {
	s, err := h.look(q.Object)
	if err != nil {
		return nil, err
	}
	if q.From == 0 {
		return nil, errs.New(errs.Invalid, "bad_version", "A diff begins at a version: they are numbered from 1.")
	}
	if q.To == 0 {
		newest, err := h.store.Versions(ctx, storage.VersionsQuery{Object: q.Object, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(newest) > 0 { // without one From is not there either
			q.To = newest[0].Number
		}
	}
	from, err := h.Version(ctx, q.Object, q.From)
	if err != nil {
		return nil, err
	}
	to, err := h.Version(ctx, q.Object, q.To)
	if err != nil {
		return nil, err
	}
	return unified(s.info.Path, from, to)
}

// unified gives a unified diff. The library gives up the search for the shortest one
// after a bounded number of differences, so that no text takes long.
func unified(path string, from, to storage.Version) ([]byte, error) {
	label := func(v storage.Version) string { return fmt.Sprintf("%s\tversion %d", path, v.Number) }
	before, after := string(from.Text), string(to.Text)
	text, err := udiff.ToUnified(label(from), label(to), before, udiff.Lines(before, after), udiff.DefaultContextLines)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, "kernel.Diff", err, "The versions %d and %d of %q cannot be compared.", from.Number, to.Number, path)
	}
	return []byte(text), nil
}

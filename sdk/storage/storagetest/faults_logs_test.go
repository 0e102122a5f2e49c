package storagetest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/storage"
)

// ownTimes takes entries by their own times, not by those before them.
type ownTimes struct{ storage.Storage }

func (f ownTimes) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	p, err := f.Storage.Logs(ctx, q)
	p.Entries = slices.DeleteFunc(p.Entries, func(e storage.Entry) bool { return e.Time.Before(micro(q.Since)) })
	return p, err
}

type lateEnd struct{ storage.Storage }

func (f lateEnd) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	if !q.Until.IsZero() {
		q.Until = q.Until.Add(time.Microsecond)
	}
	return f.Storage.Logs(ctx, q)
}

type exactText struct{ storage.Storage }

func (f exactText) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	p, err := f.Storage.Logs(ctx, q)
	p.Entries = slices.DeleteFunc(p.Entries, func(e storage.Entry) bool { return !strings.Contains(e.Message+string(e.Fields), q.Text) })
	return p, err
}

type oneField struct{ storage.Storage }

func (f oneField) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	q.Fields = q.Fields[:min(1, len(q.Fields))]
	return f.Storage.Logs(ctx, q)
}

type unbounded struct{ storage.Storage }

func (f unbounded) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	q.Fields = q.Fields[:min(storage.MaxFields, len(q.Fields))]
	return f.Storage.Logs(ctx, q)
}

type firstPageTimes struct{ storage.Storage }

func (f firstPageTimes) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	if q.Cursor != "" {
		q.Since, q.Until = time.Time{}, time.Time{}
	}
	return f.Storage.Logs(ctx, q)
}

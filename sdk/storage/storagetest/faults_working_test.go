package storagetest

import (
	"context"
	"io"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

var workingFaults = []fault{
	{"what the file holds is forgotten", "Working", func(s storage.Storage) storage.Storage { return noWorking{s} }},
	{"what the file holds is forgotten where nothing else changed", "Working", func(s storage.Storage) storage.Storage { return noBareWorking{s} }},
	{"what the file holds is any number", "Working", func(s storage.Storage) storage.Storage { return anyWorking{s} }},
	{"what the file holds stays through an import", "Working", func(s storage.Storage) storage.Storage { return importedWorking{s} }},
	{"what the file holds is always the newest version", "Working", func(s storage.Storage) storage.Storage { return newestWorking{s} }},
}

type noWorking struct{ storage.Storage }

func (f noWorking) Commit(ctx context.Context, list []storage.Commit) []error {
	for i := range list {
		list[i].Working = 0
	}
	return f.Storage.Commit(ctx, list)
}

type noBareWorking struct{ storage.Storage }

func (f noBareWorking) Commit(ctx context.Context, list []storage.Commit) []error {
	for i := range list {
		if c := &list[i]; c.Version == nil && c.State == nil {
			c.Working = 0
		}
	}
	return f.Storage.Commit(ctx, list)
}

type anyWorking struct{ storage.Storage }

func (f anyWorking) Commit(ctx context.Context, list []storage.Commit) []error {
	errs := f.Storage.Commit(ctx, list)
	for i := range list {
		if list[i].Working > 3 && errs[i] != nil {
			list[i].Working = 0
			errs[i] = f.Storage.Commit(ctx, list[i:i+1])[0]
		}
	}
	return errs
}

type importedWorking struct{ storage.Storage }

func (f importedWorking) Import(ctx context.Context, object id.Object, r io.Reader) (storage.ObjectInfo, error) {
	i, err := f.Storage.Import(ctx, object, r)
	i.Working = i.Head
	return i, err
}

type newestWorking struct{ storage.Storage }

func (f newestWorking) Load(ctx context.Context, o id.Object) (storage.Object, error) {
	l, err := f.Storage.Load(ctx, o)
	l.Working = l.Head
	return l, err
}

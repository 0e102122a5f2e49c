package storagetest

import (
	"context"
	"slices"
	"strings"

	"github.com/dbbasic/station/sdk/storage"
)

type wrongPage struct{ storage.Storage }

func (f wrongPage) State(ctx context.Context, q storage.StateQuery) (storage.StatePage, error) {
	p, err := f.Storage.State(ctx, q)
	slices.SortFunc(p.Items, func(a, b storage.StateChange) int { // as the escaped keys would be
		return strings.Compare(strings.ReplaceAll(a.Key, "\t", `\t`), strings.ReplaceAll(b.Key, "\t", `\t`))
	})
	return p, err
}

type anywhere struct{ storage.Storage }

func (f anywhere) State(ctx context.Context, q storage.StateQuery) (storage.StatePage, error) {
	prefix := q.Prefix
	q.Prefix = ""
	p, err := f.Storage.State(ctx, q)
	p.Items = slices.DeleteFunc(p.Items, func(c storage.StateChange) bool { return !strings.Contains(c.Key, prefix) })
	return p, err
}

// ghosts lists deleted keys as if they were there.
type ghosts struct{ storage.Storage }

func (f ghosts) State(ctx context.Context, q storage.StateQuery) (storage.StatePage, error) {
	var p storage.StatePage
	o, err := f.Load(ctx, q.Object)
	for _, c := range o.State {
		if c.Key <= q.After || !strings.HasPrefix(c.Key, q.Prefix) {
			continue
		}
		if len(p.Items) == q.Limit {
			p.Next = p.Items[q.Limit-1].Key
			break
		}
		p.Items = append(p.Items, c)
	}
	return p, err
}

type shortPage struct{ storage.Storage }

func (f shortPage) State(ctx context.Context, q storage.StateQuery) (storage.StatePage, error) {
	p, err := f.Storage.State(ctx, q)
	if p.Next != "" {
		p.Items = p.Items[:len(p.Items)-1]
	}
	return p, err
}

type inclusive struct{ storage.Storage }

func (f inclusive) State(ctx context.Context, q storage.StateQuery) (storage.StatePage, error) {
	if q.After != "" {
		q.After = q.After[:len(q.After)-1] + string(q.After[len(q.After)-1]-1) + "~"
	}
	return f.Storage.State(ctx, q)
}

// counted takes Next for the number of keys that have been given.
type counted struct {
	storage.Storage
	at map[string]int
}

func (f *counted) State(ctx context.Context, q storage.StateQuery) (storage.StatePage, error) {
	from := f.at[q.After]
	q.After = ""
	limit := q.Limit
	q.Limit = 1000
	p, err := f.Storage.State(ctx, q)
	p.Items = p.Items[min(from, len(p.Items)):]
	if len(p.Items) > limit {
		p.Items = p.Items[:limit]
		p.Next = p.Items[limit-1].Key
		f.at[p.Next] = from + limit
	}
	return p, err
}

// staleState gives each page as it was asked for before.
type staleState struct {
	storage.Storage
	last storage.StatePage
}

func (f *staleState) State(ctx context.Context, q storage.StateQuery) (storage.StatePage, error) {
	old := f.last
	var err error
	f.last, err = f.Storage.State(ctx, q)
	return old, err
}

type hugePage struct{ storage.Storage }

func (f hugePage) State(ctx context.Context, q storage.StateQuery) (storage.StatePage, error) {
	var all storage.StatePage
	for {
		p, err := f.Storage.State(ctx, q)
		all.Items = append(all.Items, p.Items...)
		if q.After = p.Next; q.After == "" || err != nil || len(all.Items) >= q.Limit {
			return all, err
		}
	}
}

type anyLimit struct{ storage.Storage }

func (f anyLimit) State(ctx context.Context, q storage.StateQuery) (storage.StatePage, error) {
	q.Limit = max(1, min(q.Limit, storage.MaxPage))
	return f.Storage.State(ctx, q)
}

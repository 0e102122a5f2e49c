package storagetest

import (
	"context"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

// placeFaults break the cursors of those who read what comes.
var placeFaults = []fault{
	{"no cursors", "LogPlaces", func(s storage.Storage) storage.Storage {
		return places{s, func(_ storage.LogsQuery, p *storage.LogsPage) { p.Cursors = nil }}
	}},
	{"the end of an empty log is none", "LogPlaces", func(s storage.Storage) storage.Storage {
		return places{s, func(_ storage.LogsQuery, p *storage.LogsPage) {
			if len(p.Entries) == 0 {
				p.End = ""
			}
		}}
	}},
	{"the end of the page for that of the log", "LogPlaces", func(s storage.Storage) storage.Storage {
		return places{s, func(_ storage.LogsQuery, p *storage.LogsPage) {
			if n := len(p.Cursors); n > 0 {
				p.End = p.Cursors[n-1]
			}
		}}
	}},
	{"cursors before their entries", "LogPlaces", func(s storage.Storage) storage.Storage {
		return places{s, func(_ storage.LogsQuery, p *storage.LogsPage) {
			for i := len(p.Cursors) - 1; i > 0; i-- {
				p.Cursors[i] = p.Cursors[i-1]
			}
		}}
	}},
	{"cursors of the page's end", "LogPlacesWhileAppending", func(s storage.Storage) storage.Storage {
		return places{s, func(_ storage.LogsQuery, p *storage.LogsPage) {
			for i := range p.Cursors {
				p.Cursors[i] = p.End
			}
		}}
	}},
	{"cursors that end with the store", "LogPlacesWhileAppending", func(s storage.Storage) storage.Storage {
		return &forgetful{Storage: s, given: map[string]bool{"": true}}
	}},
	{"cursors with a newline", "LogPlaces", func(s storage.Storage) storage.Storage {
		return places{s, func(_ storage.LogsQuery, p *storage.LogsPage) {
			if p.End != "" {
				p.End += "\n"
			}
		}}
	}},
}

type places struct {
	storage.Storage
	change func(storage.LogsQuery, *storage.LogsPage)
}

func (f places) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	if n := len(q.Cursor); n > 0 && q.Cursor[n-1] == '\n' {
		q.Cursor = q.Cursor[:n-1]
	}
	p, err := f.Storage.Logs(ctx, q)
	f.change(q, &p)
	return p, err
}

// forgetful knows the cursors alone that it gave itself.
type forgetful struct {
	storage.Storage
	given map[string]bool
}

func (f *forgetful) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	if !f.given[q.Cursor] {
		return storage.LogsPage{}, errs.New(errs.Invalid, "bad_cursor", "Unknown.")
	}
	p, err := f.Storage.Logs(ctx, q)
	for _, c := range append([]string{p.Next, p.End}, p.Cursors...) {
		f.given[c] = true
	}
	return p, err
}

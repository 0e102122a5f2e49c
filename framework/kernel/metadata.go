package kernel

import (
	"context"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Metadata implements host.Host. It asks storage and not the object, so that an
// object whose calls hang or wait answers, and is not made warm.
func (h *Host) Metadata(ctx context.Context, q host.MetadataQuery) (host.Metadata, error) {
	s, err := h.look(q.Object)
	if err != nil {
		return host.Metadata{}, err
	}
	m := host.Metadata{Object: q.Object, Path: s.info.Path, Version: s.source.Version, Hash: s.source.Hash}
	if s.program != nil {
		d, err := h.declared(ctx, s.program)
		if err != nil {
			return host.Metadata{}, err
		}
		m.Declared, m.Methods = d.fields, d.methods
	}
	if t := h.objects.troubleOf(q.Object); t.Kind != "" {
		if !q.Caller.Has(id.RoleOperator) { // as outward does
			t.Line = 0
		}
		m.Trouble = &t
	}
	if s.isWithheld() { // what is stored of it may be what is wrong
		return m, nil
	}
	if m.Versions, err = h.countVersions(ctx, q.Object); err != nil {
		return host.Metadata{}, err
	}
	log, err := h.store.Logs(ctx, storage.LogsQuery{Object: q.Object, Limit: host.MaxCounted})
	if err != nil {
		return host.Metadata{}, err
	}
	m.Entries, m.MoreEntries = uint64(len(log.Entries)), log.Next != ""
	m.Keys, m.MoreKeys, err = h.keys(ctx, q.Object)
	return m, err
}

// declared is what a script says of itself.
type declared struct {
	fields  []byte // JSON
	methods []string
}

// declared loads the script when somebody first asks, in the place of one that runs.
// One that does not load declares nothing.
func (h *Host) declared(ctx context.Context, s *script) (*declared, error) {
	if d := s.declared.Load(); d != nil {
		return d, nil
	}
	d := &declared{}
	var err error
	waited := h.dispatch.Occupy(ctx, func(pass func()) {
		vm, failed := s.load(pass)
		if err = failed; err == nil {
			d.fields, d.methods = vm.Declares(host.MaxDeclared), vm.Methods()
			vm.Close()
		}
	})
	switch {
	case waited != nil:
		return nil, waited
	case err != nil && !errs.Is(err, errs.Source) && !s.withheld:
		return nil, err
	}
	s.declared.Store(d)
	return d, nil
}

// countVersions finds the first version of the object's present life by halving, since
// numbers go on from one life to the next. Most objects have one life, and version 1.
func (h *Host) countVersions(ctx context.Context, object id.Object) (uint64, error) {
	before := func(n uint64) (uint64, error) {
		list, err := h.store.Versions(ctx, storage.VersionsQuery{Object: object, Before: n, Limit: 1})
		if err != nil || len(list) == 0 {
			return 0, err
		}
		return list[0].Number, nil
	}
	head, err := before(0)
	if err != nil || head == 0 {
		return 0, err
	}
	first, err := before(2)
	if err != nil || first == 1 {
		return head, err
	}
	low, high := uint64(2), head // the first version is one of these
	for low < high {
		middle := low + (high-low)/2
		n, err := before(middle + 1)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return head - low + 1, nil
}

// keyPages is how many pages of state are read for the names of its keys: of large
// values each has about 4 MiB.
const keyPages = 4

// keys gives the first keys of an object's state, and says whether there are more.
func (h *Host) keys(ctx context.Context, object id.Object) (keys []string, more bool, err error) {
	q := storage.StateQuery{Object: object}
	for range keyPages {
		q.Limit = host.MaxCounted - len(keys)
		page, err := h.store.State(ctx, q)
		if err != nil {
			return nil, false, err
		}
		for _, item := range page.Items {
			keys = append(keys, item.Key)
		}
		if q.After = page.Next; page.Next == "" || len(keys) == host.MaxCounted {
			break
		}
	}
	return keys, q.After != "", nil
}

package transporttest

import (
	"cmp"
	"context"
	"io"
	"slices"
	"strings"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// PutFile is a host.NewFile with its bytes.
type PutFile struct {
	host.NewFile
	Content []byte
}

// Changes gives the changes of files and state that have arrived, in their order: each
// is a host.NewFile, host.FileDeletion, host.StateChange or host.StateDeletion.
func (h *Host) Changes() []any {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.changes)
}

// arrive keeps a change of an object that has data; h.mu is held.
func (h *Host) arrive(object id.Object, change any) error {
	h.changes = append(h.changes, change)
	if err := h.answers[object].Err; err != nil {
		return err
	}
	if _, ok := h.data[object]; !ok {
		return noObject(object)
	}
	return nil
}

// filesOf gives the files of an object in the order of their names; h.mu is held.
func (h *Host) filesOf(object id.Object) []host.File {
	var list []host.File
	for key, f := range h.files.known {
		if strings.HasPrefix(key, string(object)+"/") {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b host.File) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Files gives files of an object that has data.
func (h *Host) Files(ctx context.Context, q host.FilesQuery) (host.FilesPage, error) {
	if _, err := h.look(ctx, q.Object); err != nil {
		return host.FilesPage{}, err
	}
	if err := storage.CheckFileName(q.Name); q.HasName && err != nil {
		return host.FilesPage{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	list := slices.DeleteFunc(h.filesOf(q.Object), func(f host.File) bool {
		return q.HasName && f.Name != q.Name || !q.HasName && (!strings.HasPrefix(f.Name, q.Prefix) || f.Name <= q.After)
	})
	if q.HasName && len(list) == 0 {
		return host.FilesPage{}, noFile(q.Name)
	}
	page, more := first(list, q.Limit)
	return host.FilesPage{Files: page, More: more}, nil
}

func noFile(name string) error {
	return errs.New(errs.NotFound, "no_such_file", "There is no file %q.", name)
}

// condition says whether a file is the one that is meant; h.mu is held.
func (h *Host) condition(object id.Object, name, hash string) error {
	f, has := h.files.known[string(object)+"/"+name]
	if hash == "" || has && (hash == host.AnyFile || hash == f.Hash) {
		return nil
	}
	return errs.New(errs.Precondition, "", "The file is another.")
}

// PutFile keeps a file of an object that has data.
func (h *Host) PutFile(ctx context.Context, f host.NewFile, r io.Reader) (host.StoredFile, error) {
	limit, err := h.takes(f)
	if err != nil {
		return host.StoredFile{}, err
	}
	content, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	switch {
	case err != nil:
		return host.StoredFile{}, err
	case len(content) > limit:
		return host.StoredFile{}, errs.New(errs.TooLarge, "file_too_large", "A file may have %d bytes at most.", limit)
	case ctx.Err() != nil:
		return host.StoredFile{}, errs.Wrap(errs.Unavailable, "transporttest.PutFile", ctx.Err(), "The file was given up.")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, had := h.files.known[string(f.Object)+"/"+f.Name]
	return host.StoredFile{File: h.addFile(f.Object, f.Name, f.Type, content), New: !had}, nil
}

// takes says whether a file is taken, and how many bytes of it.
func (h *Host) takes(f host.NewFile) (limit int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		return 0, errs.New(errs.Unavailable, "", "The kernel is down for the test.")
	}
	if err := h.arrive(f.Object, f); err != nil {
		return 0, err
	}
	if err := storage.CheckFileName(f.Name); err != nil {
		return 0, err
	}
	if _, had := h.files.known[string(f.Object)+"/"+f.Name]; had && f.IfAbsent {
		return 0, errs.New(errs.Precondition, "", "The file is there.")
	}
	return cmp.Or(h.files.limit, fileLimit), h.condition(f.Object, f.Name, f.IfMatch)
}

// DeleteFile removes a file.
func (h *Host) DeleteFile(ctx context.Context, d host.FileDeletion) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.enter(ctx); err != nil {
		return err
	}
	if err := h.arrive(d.Object, d); err != nil {
		return err
	}
	key := string(d.Object) + "/" + d.Name
	if _, has := h.files.known[key]; !has {
		return noFile(d.Name)
	}
	if err := h.condition(d.Object, d.Name, d.IfMatch); err != nil {
		return err
	}
	delete(h.files.known, key)
	delete(h.files.contents, key)
	return nil
}

// SetState keeps a value, as it is, of an object that has data.
func (h *Host) SetState(ctx context.Context, s host.StateChange) error {
	return h.changeState(ctx, s.Object, s.Key, s, func(d *Data, at int, has bool) error {
		if has {
			d.State[at].Value = s.Value
		} else {
			d.State = slices.Insert(d.State, at, host.StateItem{Key: s.Key, Value: s.Value})
		}
		return nil
	})
}

// DeleteState removes a key.
func (h *Host) DeleteState(ctx context.Context, s host.StateDeletion) error {
	return h.changeState(ctx, s.Object, s.Key, s, func(d *Data, at int, has bool) error {
		if !has {
			return errs.New(errs.NotFound, "no_such_key", "There is no key %q.", s.Key)
		}
		d.State = slices.Delete(d.State, at, at+1)
		return nil
	})
}

// changeState changes the state of an object that has data, at the place of a key.
func (h *Host) changeState(ctx context.Context, object id.Object, key string, what any, change func(d *Data, at int, has bool) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.enter(ctx); err != nil {
		return err
	}
	if err := h.arrive(object, what); err != nil {
		return err
	}
	if key == "" {
		return errs.New(errs.Invalid, "bad_key", "A key is not empty.")
	}
	d := h.data[object]
	d.State = slices.Clone(d.State)
	at, has := slices.BinarySearchFunc(d.State, key, func(i host.StateItem, key string) int { return cmp.Compare(i.Key, key) })
	if err := change(&d, at, has); err != nil {
		return err
	}
	h.data[object] = d
	return nil
}

// Status gives that of an object that has data.
func (h *Host) Status(ctx context.Context, object id.Object) (host.Status, error) {
	d, err := h.look(ctx, object)
	return d.Status, err
}

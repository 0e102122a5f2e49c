package kernel

import (
	"context"
	"io"
	"unicode/utf8"

	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Files implements host.Host. It asks storage and not the object, as Metadata does:
// storage shows all that was acknowledged.
func (h *Host) Files(ctx context.Context, q host.FilesQuery) (host.FilesPage, error) {
	if err := h.inService(q.Object); err != nil {
		return host.FilesPage{}, err
	}
	if q.HasName {
		return h.file(ctx, q.Object, q.Name)
	}
	if q.Limit < 0 || q.Limit > storage.MaxPage {
		return host.FilesPage{}, errs.New(errs.Invalid, "bad_limit", "The limit is %d; use 1 to %d.", q.Limit, storage.MaxPage)
	}
	var page host.FilesPage
	for after := q.After; ; {
		limit := storage.MaxPage
		if q.Limit > 0 {
			limit = min(limit, q.Limit+1-len(page.Files)) // one more tells whether there is more
		}
		list, err := h.files.Files(ctx, storage.FilesQuery{Object: q.Object, Prefix: q.Prefix, After: after, Limit: limit})
		if err != nil {
			return host.FilesPage{}, err
		}
		for i := range list {
			if q.Limit > 0 && len(page.Files) == q.Limit {
				page.More = true
				return page, nil
			}
			page.Files = append(page.Files, outer(&list[i]))
		}
		if len(list) < limit {
			return page, nil
		}
		after = list[len(list)-1].Name
	}
}

// file gives one file.
func (h *Host) file(ctx context.Context, object id.Object, name string) (host.FilesPage, error) {
	if err := storage.CheckFileName(name); err != nil {
		return host.FilesPage{}, err
	}
	list, err := h.files.Files(ctx, storage.FilesQuery{Object: object, Prefix: name, Limit: 1}) // the first with a prefix is the prefix itself
	switch {
	case err != nil:
		return host.FilesPage{}, err
	case len(list) == 0 || list[0].Name != name:
		return host.FilesPage{}, errs.New(errs.NotFound, "no_such_file", "There is no file %q.", name)
	}
	return host.FilesPage{Files: []host.File{outer(&list[0])}}, nil
}

func outer(f *storage.File) host.File {
	return host.File{Name: f.Name, Type: f.Type, Size: f.Size, Hash: f.Hash, Time: f.Time}
}

// inService says why an object does not answer calls, if it does not.
func (h *Host) inService(object id.Object) error {
	if _, err := id.ParseObject(string(object)); err != nil {
		return err
	}
	_, err := h.objects.find(object)
	return err
}

// admit checks what comes with every change of an object's data, and gives a change
// without a request id one.
func admit(object id.Object, requestID *string) error {
	c := host.Call{Object: object, Method: "PUT", RequestID: *requestID}
	err := check(&c)
	*requestID = c.RequestID
	return err
}

// PutFile implements host.Host.
func (h *Host) PutFile(ctx context.Context, f host.NewFile, r io.Reader) (host.StoredFile, error) {
	if err := admit(f.Object, &f.RequestID); err != nil {
		return host.StoredFile{}, err
	}
	if err := storage.CheckFileName(f.Name); err != nil {
		return host.StoredFile{}, err
	}
	if err := storage.CheckMediaType(f.Type); err != nil {
		return host.StoredFile{}, err
	}
	life, err := h.dispatch.TakesFile(ctx, f)
	if err != nil {
		return host.StoredFile{}, err
	}
	u, err := h.receive(ctx, f.Object, r)
	if err != nil {
		return host.StoredFile{}, err
	}
	return h.dispatch.PutFile(ctx, f, life, u)
}

// DeleteFile implements host.Host.
func (h *Host) DeleteFile(ctx context.Context, d host.FileDeletion) error {
	if err := admit(d.Object, &d.RequestID); err != nil {
		return err
	}
	if err := storage.CheckFileName(d.Name); err != nil {
		return err
	}
	return h.dispatch.DeleteFile(ctx, d)
}

// SetState implements host.Host.
func (h *Host) SetState(ctx context.Context, s host.StateChange) error {
	if err := admit(s.Object, &s.RequestID); err != nil {
		return err
	}
	served, err := h.objects.find(s.Object)
	if err != nil {
		return err
	}
	limits := served.program.limits
	if err := checkKey(s.Key, limits.Key); err != nil {
		return err
	}
	if s.Value, err = luahost.StateValue(s.Value, limits); err != nil {
		return err
	}
	return h.dispatch.SetState(ctx, s)
}

// DeleteState implements host.Host.
func (h *Host) DeleteState(ctx context.Context, d host.StateDeletion) error {
	if err := admit(d.Object, &d.RequestID); err != nil {
		return err
	}
	if err := checkKey(d.Key, storage.MaxKey); err != nil {
		return err
	}
	return h.dispatch.DeleteState(ctx, d)
}

// checkKey says why a text is no key of a state.
func checkKey(key string, most int) error {
	switch {
	case key == "" || !utf8.ValidString(key):
		return errs.New(errs.Invalid, "bad_key", "A key of the state is UTF-8 text and not empty.")
	case len(key) > most:
		return errs.New(errs.TooLarge, "key_limit", "A key of the state may have %d bytes.", most)
	}
	return nil
}

// Status implements host.Host.
func (h *Host) Status(_ context.Context, object id.Object) (host.Status, error) {
	if _, err := id.ParseObject(string(object)); err != nil {
		return host.Status{}, err
	}
	return h.dispatch.Status(object)
}

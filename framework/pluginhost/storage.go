package pluginhost

import (
	"context"
	"io"
	"slices"
	"sync/atomic"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// Storage is the station's storage across the lives of its plugin: the methods
// of storage.Storage by which data is read and written. While the plugin is
// down every one gives errs.Unavailable at once: nothing was sent, so that
// nothing was done.
type Storage struct {
	current atomic.Pointer[running]
}

type running struct {
	client *storage.Client
	boot   storage.Boot
}

// Use gives what a supervisor does with a storage plugin on behalf of s.
func (s *Storage) Use(c plugin.Config) Use {
	return Use{
		Up: func(ctx context.Context, p *Plugin) error {
			if err := p.Configure(ctx, c); err != nil {
				return err
			}
			boot, err := p.Storage.Boot(ctx)
			if err != nil {
				return err
			}
			s.current.Store(&running{client: p.Storage, boot: boot})
			return nil
		},
		Serve: func(ctx context.Context, p *Plugin) error { return p.Storage.Last(ctx) },
		Down:  func(error) { s.current.Store(nil) },
	}
}

// Up reports whether a plugin is there to be asked.
func (s *Storage) Up() bool { return s.alive() != nil }

// alive gives the plugin that can be asked. One that gets no commits any more cannot: until
// it is ended it may still store those whose outcome is open, and nothing may be read before.
func (s *Storage) alive() *running {
	if r := s.current.Load(); r != nil && !r.client.Broken() {
		return r
	}
	return nil
}

func (s *Storage) get(op string) (*storage.Client, error) {
	if r := s.alive(); r != nil {
		return r.client, nil
	}
	e := errs.New(errs.Unavailable, "storage_down", "The storage is down and is being started again; nothing was changed.")
	e.Op = "storage." + op
	return nil, e
}

// Boot implements storage.Storage, from memory.
func (s *Storage) Boot(context.Context) (storage.Boot, error) {
	if r := s.alive(); r != nil {
		return r.boot, nil
	}
	_, err := s.get("Boot")
	return storage.Boot{}, err
}

// Begin hands over a batch as storage.Storage's Commit takes it, and does not wait: done
// gets the results, see storage.Client.
func (s *Storage) Begin(commits []storage.Commit, done func([]error)) {
	c, err := s.get("Commit")
	if err != nil {
		done(slices.Repeat([]error{err}, len(commits)))
		return
	}
	c.Begin(commits, done)
}

// Objects implements storage.Storage.
func (s *Storage) Objects(ctx context.Context, q storage.ObjectsQuery) ([]storage.ObjectInfo, error) {
	c, err := s.get("Objects")
	if err != nil {
		return nil, err
	}
	return c.Objects(ctx, q)
}

// Load implements storage.Storage.
func (s *Storage) Load(ctx context.Context, object id.Object) (storage.Object, error) {
	c, err := s.get("Load")
	if err != nil {
		return storage.Object{}, err
	}
	return c.Load(ctx, object)
}

// State implements storage.Storage.
func (s *Storage) State(ctx context.Context, q storage.StateQuery) (storage.StatePage, error) {
	c, err := s.get("State")
	if err != nil {
		return storage.StatePage{}, err
	}
	return c.State(ctx, q)
}

// Logs implements storage.Storage.
func (s *Storage) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	c, err := s.get("Logs")
	if err != nil {
		return storage.LogsPage{}, err
	}
	return c.Logs(ctx, q)
}

// Digest implements storage.Storage.
func (s *Storage) Digest(ctx context.Context, object id.Object) (storage.Digest, error) {
	c, err := s.get("Digest")
	if err != nil {
		return storage.Digest{}, err
	}
	return c.Digest(ctx, object)
}

// Versions implements storage.Storage.
func (s *Storage) Versions(ctx context.Context, q storage.VersionsQuery) ([]storage.Version, error) {
	c, err := s.get("Versions")
	if err != nil {
		return nil, err
	}
	return c.Versions(ctx, q)
}

// Version implements storage.Storage.
func (s *Storage) Version(ctx context.Context, object id.Object, number uint64) (storage.Version, error) {
	c, err := s.get("Version")
	if err != nil {
		return storage.Version{}, err
	}
	return c.Version(ctx, object, number)
}

// WriteFile implements storage.Storage.
func (s *Storage) WriteFile(ctx context.Context, object id.Object, r io.Reader) (storage.Upload, error) {
	c, err := s.get("WriteFile")
	if err != nil {
		return storage.Upload{}, err
	}
	return c.WriteFile(ctx, object, r)
}

// DropUpload implements storage.Storage.
func (s *Storage) DropUpload(ctx context.Context, object id.Object, upload string) error {
	c, err := s.get("DropUpload")
	if err != nil {
		return err
	}
	return c.DropUpload(ctx, object, upload)
}

// ReadUpload implements storage.Storage.
func (s *Storage) ReadUpload(ctx context.Context, object id.Object, upload string) (storage.Upload, io.ReadCloser, error) {
	c, err := s.get("ReadUpload")
	if err != nil {
		return storage.Upload{}, nil, err
	}
	return c.ReadUpload(ctx, object, upload)
}

// Files implements storage.Storage.
func (s *Storage) Files(ctx context.Context, q storage.FilesQuery) ([]storage.File, error) {
	c, err := s.get("Files")
	if err != nil {
		return nil, err
	}
	return c.Files(ctx, q)
}

// ReadFile implements storage.Storage.
func (s *Storage) ReadFile(ctx context.Context, object id.Object, name string, from int64) (storage.File, io.ReadCloser, error) {
	c, err := s.get("ReadFile")
	if err != nil {
		return storage.File{}, nil, err
	}
	return c.ReadFile(ctx, object, name, from)
}

// Export implements storage.Storage.
func (s *Storage) Export(ctx context.Context, object id.Object) (io.ReadCloser, error) {
	c, err := s.get("Export")
	if err != nil {
		return nil, err
	}
	return c.Export(ctx, object)
}

// Import implements storage.Storage.
func (s *Storage) Import(ctx context.Context, object id.Object, r io.Reader) (storage.ObjectInfo, error) {
	c, err := s.get("Import")
	if err != nil {
		return storage.ObjectInfo{}, err
	}
	return c.Import(ctx, object, r)
}

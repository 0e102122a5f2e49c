package dispatch

import (
	"context"
	"time"

	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Scratch is an object that exists in memory alone: empty at first, under the
// limits of any call, and gone with its last reference. Tests of scripts run on
// it. It has no way to a store or to another object, so each group of methods
// of luahost.Object is written out here: what is added to that interface must
// be decided for tests too.
type Scratch struct {
	tx   transaction
	data map[string]string // the bytes of its files, by the hash
}

var _ luahost.Object = (*Scratch)(nil)

// maxScratchFiles is the most bytes that one writes of files, which are in memory.
const maxScratchFiles = 32 << 20

// NewScratch gives an empty object.
func NewScratch(l Limits) *Scratch {
	l.Files = min(l.Files, maxScratchFiles)
	live := newLive(storage.Object{})
	live.files = &fileTable{}
	o := &object{d: &Dispatcher{Options: Options{Limits: l}}, live: live}
	return &Scratch{tx: transaction{o: o, now: time.Now()}, data: map[string]string{}}
}

// Get implements luahost.Object.
func (s *Scratch) Get(key string) ([]byte, bool) { return s.tx.Get(key) }

// Set implements luahost.Object.
func (s *Scratch) Set(key string, value []byte) error { return s.tx.Set(key, value) }

// Delete implements luahost.Object.
func (s *Scratch) Delete(key string) error { return s.tx.Delete(key) }

// Range implements luahost.Object.
func (s *Scratch) Range(prefix, after string, reverse bool, yield func(key string, value []byte) bool) {
	s.tx.Range(prefix, after, reverse, yield)
}

// Log implements luahost.Object.
func (s *Scratch) Log(level storage.Level, message string, fields []byte) error {
	return s.tx.Log(level, message, fields)
}

// Entries gives what was logged, oldest first. The entries have no ids.
func (s *Scratch) Entries() []storage.Entry { return s.tx.entries }

// Logs implements luahost.LogReader. No call was made before.
func (s *Scratch) Logs(context.Context, storage.LogsQuery) (storage.LogsPage, error) {
	return storage.LogsPage{}, nil
}

// Invoke implements luahost.Objects. There are no other objects.
func (s *Scratch) Invoke(c host.Call) (host.Result, error) {
	return host.Result{}, errs.New(errs.NotFound, "", "A test has no other objects: %q cannot be called.", c.Object)
}

// InService implements luahost.Objects.
func (s *Scratch) InService(string) []id.Object { return nil }

// Exists implements luahost.Objects.
func (s *Scratch) Exists(id.Object) bool { return false }

// File implements luahost.Files.
func (s *Scratch) File(ctx context.Context, name string) (storage.File, bool, error) {
	return s.tx.File(ctx, name)
}

// EachFile implements luahost.Files.
func (s *Scratch) EachFile(ctx context.Context, yield func(storage.File) bool) error {
	return s.tx.EachFile(ctx, yield)
}

// ReadFile implements luahost.Files.
func (s *Scratch) ReadFile(ctx context.Context, name string) ([]byte, error) {
	f, ok, err := s.tx.File(ctx, name)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, noSuchFile(name)
	}
	return []byte(s.data[f.Hash]), nil
}

// PutFile implements luahost.Files.
func (s *Scratch) PutFile(_ context.Context, name, media, data string) (storage.File, error) {
	t := s.tx.o.live.files
	if err := s.tx.roomFor(t, name, media, int64(len(data))); err != nil {
		return storage.File{}, err
	}
	u := storage.Upload{Hash: storage.Hash([]byte(data)), Size: int64(len(data))}
	s.data[u.Hash] = data
	return s.tx.stage(t, name, media, u), nil
}

// PutUpload implements luahost.Files. The call of a test has no uploads.
func (s *Scratch) PutUpload(context.Context, string, string, host.Uploaded) (storage.File, error) {
	return storage.File{}, uploadGone(errs.New(errs.NotFound, "", "A test has no uploads."))
}

// DeleteFile implements luahost.Files.
func (s *Scratch) DeleteFile(ctx context.Context, name string) error {
	return s.tx.DeleteFile(ctx, name)
}

// Occupy runs f in the place of a script that no mailbox waits for: f holds one
// of the slots of scripts, and calls pass now and then, so that others run
// first. Its error is ctx's, where that ends before there is a slot.
func (d *Dispatcher) Occupy(ctx context.Context, f func(pass func())) error {
	if !d.slots.take(ctx.Done(), nil) {
		return tooLate(ctx.Err(), "The work waited too long for the scripts that were running.")
	}
	defer d.slots.give()
	f(d.slots.pass)
	return nil
}

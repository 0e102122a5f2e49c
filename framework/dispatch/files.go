package dispatch

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/btree"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// fileStore is what dispatch needs of storage for files.
type fileStore interface {
	Files(ctx context.Context, q storage.FilesQuery) ([]storage.File, error)
	ReadFile(ctx context.Context, object id.Object, name string, from int64) (storage.File, io.ReadCloser, error)
	WriteFile(ctx context.Context, object id.Object, r io.Reader) (storage.Upload, error)
	ReadUpload(ctx context.Context, object id.Object, upload string) (storage.Upload, io.ReadCloser, error)
	DropUpload(ctx context.Context, object id.Object, upload string) error
}

// fileTable is what an object's files are, without their bytes. It is read from
// storage when a call first asks for a file, and lives as long as the state.
type fileTable struct {
	all   btree.Map[string, file]
	bytes int64 // of all files
}

// file is one file. Its bytes lie in an upload while the call runs that put it;
// afterwards storage has them under the file's name, once it has acknowledged
// the commit.
type file struct {
	storage.File
	upload string
}

func (t *fileTable) put(f file) {
	old, _ := t.all.Set(f.Name, f)
	t.bytes += f.Size - old.Size
}

func (t *fileTable) remove(name string) {
	old, _ := t.all.Delete(name)
	t.bytes -= old.Size
}

// fileWas remembers what a file was before the call.
type fileWas struct {
	name string
	old  file
	had  bool
}

// fileTable gives the object's files.
func (tx *transaction) fileTable(ctx context.Context) (t *fileTable, err error) {
	if tx.o.live.files != nil {
		return tx.o.live.files, nil
	}
	tx.o.d.aside(func() { t, err = tx.o.fileTable(ctx) })
	return t, err
}

// fileTable gives the object's files, to its goroutine. It waits for storage where
// the state has no table yet: a script that runs does so aside.
func (o *object) fileTable(ctx context.Context) (*fileTable, error) {
	if o.live.files != nil {
		return o.live.files, nil
	}
	t, err := o.loadFiles(ctx)
	if err == nil {
		o.live.files = t
	}
	return t, err
}

// loadFiles reads the table. No commit that changes a file is on its way then:
// such a commit is made on a live state that has its table.
func (o *object) loadFiles(ctx context.Context) (*fileTable, error) {
	t := &fileTable{}
	for q := (storage.FilesQuery{Object: o.id, Limit: storage.MaxPage}); ; {
		page, err := o.d.Store.Files(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, f := range page {
			t.put(file{File: f})
		}
		if len(page) < q.Limit {
			return t, nil
		}
		q.After = page[len(page)-1].Name
	}
}

// File implements luahost.Files.
func (tx *transaction) File(ctx context.Context, name string) (storage.File, bool, error) {
	t, err := tx.fileTable(ctx)
	if err != nil {
		return storage.File{}, false, err
	}
	f, ok := t.all.Get(name)
	return f.File, ok, nil
}

// EachFile implements luahost.Files.
func (tx *transaction) EachFile(ctx context.Context, yield func(storage.File) bool) error {
	t, err := tx.fileTable(ctx)
	if err != nil {
		return err
	}
	t.all.Scan(func(_ string, f file) bool { return yield(f.File) })
	return nil
}

// ReadFile implements luahost.Files.
func (tx *transaction) ReadFile(ctx context.Context, name string) (data []byte, err error) {
	t, err := tx.fileTable(ctx)
	if err != nil {
		return nil, err
	}
	f, ok := t.all.Get(name)
	if !ok {
		return nil, noSuchFile(name)
	}
	tx.o.d.aside(func() { data, err = tx.o.readFile(ctx, f) })
	return data, err
}

func noSuchFile(name string) error {
	return errs.New(errs.NotFound, "no_such_file", "There is no file %q.", name)
}

// readFile reads the bytes of a file of the table, and never those of another
// content. A file whose commit is on its way is read when that has arrived.
func (o *object) readFile(ctx context.Context, f file) ([]byte, error) {
	var hash string
	var r io.ReadCloser
	var err error
	if f.upload != "" {
		var u storage.Upload
		u, r, err = o.d.Store.ReadUpload(ctx, o.id, f.upload)
		hash, err = u.Hash, uploadGone(err)
	} else {
		if err = o.acknowledged(ctx); err != nil {
			return nil, err
		}
		var stored storage.File
		stored, r, err = o.d.Store.ReadFile(ctx, o.id, f.Name, 0)
		hash = stored.Hash
	}
	if err != nil {
		return nil, err
	}
	data := make([]byte, f.Size)
	if hash != f.Hash {
		err = errs.New(errs.Corrupt, "", "The storage has another file %q than the object.", f.Name)
	} else {
		_, err = io.ReadFull(r, data)
	}
	return data, errors.Join(err, r.Close())
}

// acknowledged waits until storage shows all that the object has committed.
func (o *object) acknowledged(ctx context.Context) error {
	if o.latest == nil {
		return nil
	}
	select {
	case <-o.latest.done:
		if o.latest.err != nil {
			return errs.Wrap(errs.Unavailable, "dispatch.ReadFile", o.latest.err, "An earlier change of the object could not be stored; nothing was changed. Try again.")
		}
		return nil
	case <-ctx.Done():
		return errs.Wrap(errs.Unavailable, "dispatch.ReadFile", ctx.Err(), "The storage did not acknowledge in time what the call reads; nothing was changed. Try again.")
	}
}

// uploadGone makes an upload that storage does not have an error for those who
// sent it: it was too old, or storage has been started again.
func uploadGone(err error) error {
	if !errs.Is(err, errs.NotFound) {
		return err
	}
	return uploadLost("dispatch.PutUpload", err)
}

func uploadLost(op string, err error) error {
	e := errs.New(errs.Unavailable, "upload_lost", "The uploaded bytes are not there any more; nothing was changed. Send them again.")
	e.Op, e.Err = op, err
	return e
}

// PutFile implements luahost.Files.
func (tx *transaction) PutFile(ctx context.Context, name, media, data string) (storage.File, error) {
	t, err := tx.fileTable(ctx)
	if err != nil {
		return storage.File{}, err
	}
	if err := tx.roomFor(t, name, media, int64(len(data))); err != nil {
		return storage.File{}, err
	}
	var u storage.Upload
	tx.o.d.aside(func() { u, err = tx.o.d.Store.WriteFile(ctx, tx.o.id, strings.NewReader(data)) })
	if err != nil {
		return storage.File{}, err
	}
	tx.made = append(tx.made, u.ID)
	return tx.stage(t, name, media, u), nil
}

// PutUpload implements luahost.Files. What the upload is, storage says: a
// transport is not trusted with it.
func (tx *transaction) PutUpload(ctx context.Context, name, media string, up host.Uploaded) (storage.File, error) {
	t, err := tx.fileTable(ctx)
	if err != nil {
		return storage.File{}, err
	}
	taken := tx.takes(t, name, up.Upload)
	var u storage.Upload
	tx.o.d.aside(func() {
		var r io.ReadCloser
		if u, r, err = tx.o.d.Store.ReadUpload(ctx, tx.o.id, up.Upload); err != nil {
			err = uploadGone(err)
			return
		}
		if err = tx.roomFor(t, name, media, u.Size); err == nil && taken {
			if u, err = tx.o.d.Store.WriteFile(ctx, tx.o.id, r); err == nil {
				tx.made = append(tx.made, u.ID)
			}
		}
		err = errors.Join(err, r.Close())
	})
	if err != nil {
		return storage.File{}, err
	}
	return tx.stage(t, name, media, u), nil
}

// takes reports whether the call has made an upload another file already. A
// commit uses an upload once, so that the second file needs a copy.
func (tx *transaction) takes(t *fileTable, name, upload string) bool {
	return slices.ContainsFunc(tx.files, func(w fileWas) bool {
		f, _ := t.all.Get(w.name)
		return f.upload == upload && w.name != name
	})
}

// roomFor charges for a file of size bytes and says why there is no room for it.
func (tx *transaction) roomFor(t *fileTable, name, media string, size int64) error {
	l := &tx.o.d.Limits
	old, had := t.all.Get(name)
	if size > l.File {
		return errs.New(errs.Limit, "file_limit", "The file %q would have %d bytes; the most is %d.", name, size, l.File)
	}
	if tx.written += size; t.bytes-old.Size+size > l.Files || tx.written > l.Files {
		return errs.New(errs.Limit, "files_limit", "The object's files, or what one call writes of them, would exceed %d bytes.", l.Files)
	}
	if !had && t.all.Len() >= l.FileCount {
		return errs.New(errs.Limit, "file_count_limit", "The object would have more than %d files.", l.FileCount)
	}
	return tx.charge(len(name) + len(media) + changeOverhead)
}

// stage makes an upload a file, as the call sees it.
func (tx *transaction) stage(t *fileTable, name, media string, u storage.Upload) storage.File {
	f := file{upload: u.ID, File: storage.File{
		Name: name, Type: media, Size: u.Size, Hash: u.Hash, Time: time.Now().UTC().Truncate(time.Microsecond),
	}}
	tx.touchFile(t, name)
	t.put(f)
	return f.File
}

// DeleteFile implements luahost.Files.
func (tx *transaction) DeleteFile(ctx context.Context, name string) error {
	t, err := tx.fileTable(ctx)
	if err != nil {
		return err
	}
	if _, ok := t.all.Get(name); !ok {
		return nil
	}
	if err := tx.charge(len(name) + changeOverhead); err != nil {
		return err
	}
	tx.touchFile(t, name)
	t.remove(name)
	return nil
}

// touchFile remembers what a file was, once.
func (tx *transaction) touchFile(t *fileTable, name string) {
	if tx.touchedFiles[name] {
		return
	}
	if tx.touchedFiles == nil {
		tx.touchedFiles = map[string]bool{}
	}
	tx.touchedFiles[name] = true
	old, had := t.all.Get(name)
	tx.files = append(tx.files, fileWas{name, old, had})
}

// undoFiles takes back the file changes.
func (tx *transaction) undoFiles() {
	for _, w := range tx.files {
		if w.had {
			tx.o.live.files.put(w.old)
		} else {
			tx.o.live.files.remove(w.name)
		}
	}
	tx.files, tx.touchedFiles = nil, nil
}

// fileChanges gives what a transaction changed of the files.
func (l *live) fileChanges(tx *transaction, stamp hlc.Stamp) []storage.FileChange {
	var changes []storage.FileChange
	for _, w := range tx.files {
		f, has := l.files.all.Get(w.name)
		switch {
		case has:
			f.Stamp = stamp
			changes = append(changes, storage.FileChange{File: f.File, Upload: f.upload})
		case w.had:
			changes = append(changes, storage.FileChange{File: storage.File{
				Name: w.name, Time: time.Now().UTC().Truncate(time.Microsecond), Stamp: stamp, Deleted: true,
			}})
		}
	}
	return changes
}

// appliedFiles notes that a commit has taken the uploads of its files.
func (l *live) appliedFiles(c *storage.Commit) {
	for i := range c.Files {
		if f := &c.Files[i]; !f.Deleted {
			l.files.put(file{File: f.File})
		}
	}
}

// dropUploads removes what a call has left of its uploads, and of those that it
// made itself: all but what a commit names. Those of a commit that storage did
// not take are dropped too. One whose outcome is open keeps them: they are gone
// by themselves after storage.UploadLife, as those are that cannot be dropped now.
func (d *Dispatcher) dropUploads(t *task) {
	if len(t.call.Uploads) == 0 && len(t.made) == 0 {
		return
	}
	kept := map[string]bool{}
	if t.wrote && !t.refused() {
		for i := range t.gate.commit.Files {
			kept[t.gate.commit.Files[i].Upload] = true
		}
	}
	all := t.made
	for i := range t.call.Uploads {
		all = append(all, t.call.Uploads[i].Upload)
	}
	d.drop(t.call.Object, slices.DeleteFunc(all, func(upload string) bool { return kept[upload] }))
}

// drop removes uploads, whoever still waits for what.
func (d *Dispatcher) drop(object id.Object, uploads []string) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	for _, upload := range uploads {
		if err := d.Store.DropUpload(ctx, object, upload); err != nil {
			d.Log.Debug("an upload is left until its time is over", "object", object, "upload", upload, "error", err)
		}
	}
}

// refused reports whether storage has answered the task's commit with an error.
func (t *task) refused() bool {
	select {
	case <-t.gate.done:
		return t.gate.err != nil
	default:
		return false
	}
}

// Answers says why an object does not answer a method, before a call of it is
// made: errs.NotFound, errs.MethodNotAllowed with Allow, errs.Source, and those
// of a mailbox.
func (d *Dispatcher) Answers(ctx context.Context, name id.Object, method string) error {
	o, err := d.inService(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, d.Limits.Time)
	defer cancel()
	t := newTask(ctx, nil)
	t.work = func(o *object) (*pending, error) {
		if why := d.takeSlot(t); why != nil {
			return nil, tooLate(why, "The call waited too long for scripts of other objects.")
		}
		defer d.slots.give()
		o.mu.Lock()
		source := o.source
		o.mu.Unlock()
		if err := o.ensureVM(source); err != nil {
			return nil, err
		}
		return nil, o.vm.Answers(method)
	}
	return o.do(t)
}

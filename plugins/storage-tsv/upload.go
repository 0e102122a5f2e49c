package storagetsv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

const (
	uploadChunk  = 256 << 10 // bytes of an upload that are in memory
	uploadPrefix = ".upload-"
)

// uploads is what WriteFile has put aside in this run and no commit has used.
type uploads struct {
	mu    sync.Mutex
	last  uint64                  // number of the last one
	byID  map[string]*uploadState // also those that are being written
	ready map[id.Object]bool      // the object's folder is there, durable, without uploads of a run before

	preparing sync.Mutex // held while a folder is made ready, or put in its place by an import
}

// uploadState is what is known of one upload.
type uploadState struct {
	object  id.Object
	size    int64
	hash    string
	since   time.Time // when it was whole; zero until then
	claimed bool      // by a commit that is on its way into the journal
}

// uploadID gives the n-th upload of a boot its id. Boots rise, so that no id is
// given twice, and an id of an older boot is one of a run before.
func uploadID(boot, n uint64) string { return fmt.Sprintf("%d-%d", boot, n) }

// parseUploadID reads an id, which is a part of a path.
func parseUploadID(s string) (boot uint64, ok bool) {
	b, n, _ := strings.Cut(s, "-")
	boot, ok1 := number([]byte(b))
	last, ok2 := number([]byte(n))
	return boot, ok1 && ok2 && s == uploadID(boot, last)
}

// uploadChunks keeps the memory of uploads: most files are far smaller than it.
var uploadChunks = sync.Pool{New: func() any { return new(make([]byte, uploadChunk)) }}

func filesDir(o id.Object) string { return "files/" + string(o) }

func uploadPath(o id.Object, upload string) string { return filesDir(o) + "/" + uploadPrefix + upload }

// WriteFile implements storage.Storage. The store is not held open meanwhile: a
// slow reader must not keep it from closing, which removes what is half written.
func (s *Store) WriteFile(ctx context.Context, name id.Object, r io.Reader) (storage.Upload, error) {
	if _, err := id.ParseObject(string(name)); err != nil {
		return storage.Upload{}, err
	}
	w := uploadWriter{s: s, object: name, hash: sha256.New()}
	if err := w.held(w.begin); err != nil {
		return storage.Upload{}, err
	}
	defer w.f.Close()
	chunk := uploadChunks.Get().(*[]byte)
	defer uploadChunks.Put(chunk)
	for b := *chunk; ; {
		n, end, err := storage.ReadChunk(r, b)
		if err == nil && ctx.Err() != nil {
			err = errs.Wrap(errs.Unavailable, "storage.WriteFile", ctx.Err(), "The file was given up before it was written.")
		}
		if err != nil {
			_ = w.held(w.giveUp) // logged; where the store has been closed nothing is left
			return storage.Upload{}, err
		}
		if err := w.held(func() error { return w.write(b[:n]) }); err != nil {
			return storage.Upload{}, err
		}
		if end {
			break
		}
	}
	if err := w.held(w.end); err != nil {
		return storage.Upload{}, err
	}
	return storage.Upload{ID: w.id, Size: w.size, Hash: w.sum()}, nil
}

// uploadWriter is one WriteFile.
type uploadWriter struct {
	s      *Store
	object id.Object
	id     string
	f      file
	size   int64
	hash   hash.Hash
}

func (w *uploadWriter) sum() string { return hex.EncodeToString(w.hash.Sum(nil)) }

// held does one step while the store is open.
func (w *uploadWriter) held(step func() error) error {
	if err := w.s.enter(); err != nil {
		return err
	}
	defer w.s.leave()
	return step()
}

func (w *uploadWriter) begin() error {
	u := &w.s.uploads
	u.mu.Lock()
	u.last++
	w.id = uploadID(w.s.boot, u.last)
	if u.byID == nil {
		u.byID = map[string]*uploadState{}
	}
	u.byID[w.id] = &uploadState{object: w.object}
	u.mu.Unlock()
	for again := true; ; again = false {
		err := w.s.readyFiles(w.object)
		if err == nil {
			w.f, err = w.s.fs.Open(uploadPath(w.object, w.id), toCreate)
		}
		switch {
		case err == nil:
			return nil
		case again && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)): // somebody has taken the folder away
			u.mu.Lock()
			delete(u.ready, w.object)
			u.mu.Unlock()
		default:
			return w.failed(err)
		}
	}
}

func (w *uploadWriter) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if _, err := w.f.WriteAt(b, w.size); err != nil {
		return w.failed(err)
	}
	w.size += int64(len(b))
	_, _ = w.hash.Write(b) // never fails
	return nil
}

// end makes the upload durable, and known. A file whose fsync failed is removed,
// and nothing rests on it; an fsync of the folder is of other files' names too.
func (w *uploadWriter) end() error {
	if err := w.f.Sync(); err != nil {
		return w.failed(err)
	}
	if err := w.s.fs.SyncDir(filesDir(w.object)); err != nil {
		return w.failed(err)
	}
	if !w.s.uploads.whole(w) {
		return w.failed(errors.New("an import has taken the place of the object's folder"))
	}
	return nil
}

// drop forgets the uploads of an object whose folder has been taken away.
func (u *uploads) drop(name id.Object) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.ready, name)
	maps.DeleteFunc(u.byID, func(_ string, p *uploadState) bool { return p.object == name })
}

// whole notes that an upload is durable, and says whether it is still known.
func (u *uploads) whole(w *uploadWriter) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := u.byID[w.id]
	if p != nil {
		p.size, p.hash, p.since = w.size, w.sum(), time.Now()
	}
	return p != nil
}

// failed removes what is there of the upload and gives the error of its write.
func (w *uploadWriter) failed(err error) error {
	if _, ok := errors.AsType[fsyncError](err); ok {
		w.s.end(err)
	}
	return errs.Wrap(errs.Unavailable, "storage.WriteFile", errors.Join(err, w.giveUp()), "The file could not be written; nothing was stored.")
}

// giveUp removes an upload that is not whole.
func (w *uploadWriter) giveUp() error {
	w.s.uploads.mu.Lock()
	delete(w.s.uploads.byID, w.id)
	w.s.uploads.mu.Unlock()
	return w.s.removeUpload(w.object, w.id)
}

func (s *Store) removeUpload(o id.Object, upload string) error {
	if s.dead.Load() {
		return nil // the next start removes it
	}
	err := unlessMissing(s.fs.Remove(uploadPath(o, upload)))
	if err != nil {
		s.log.Error("an upload could not be removed", "file", uploadPath(o, upload), "error", err)
	}
	return err
}

// DropUpload implements storage.Storage.
func (s *Store) DropUpload(_ context.Context, name id.Object, upload string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.dropUploads("storage.DropUpload", func(n string, u *uploadState) bool {
		return n == upload && u.object == name && !u.since.IsZero()
	})
}

// dropUploads removes the uploads that which names, but none that a commit has claimed.
func (s *Store) dropUploads(op string, which func(id string, u *uploadState) bool) error {
	s.uploads.mu.Lock()
	drop := map[string]id.Object{}
	for n, u := range s.uploads.byID {
		if !u.claimed && which(n, u) {
			drop[n] = u.object
			delete(s.uploads.byID, n)
		}
	}
	s.uploads.mu.Unlock()
	var failed error
	for n, o := range drop {
		failed = errors.Join(failed, s.removeUpload(o, n))
	}
	if failed != nil {
		return errs.Wrap(errs.Unavailable, op, failed, "An upload could not be removed; the next start will do so.")
	}
	return nil
}

// expireUploads removes what no commit has named in time. What cannot be removed
// is logged, and is no reason to hold a checkpoint up.
func (s *Store) expireUploads() {
	_ = s.dropUploads("storage.round", func(_ string, u *uploadState) bool { return s.expired(u) })
}

func (s *Store) expired(u *uploadState) bool {
	return !u.since.IsZero() && time.Since(u.since) >= s.uploadLife
}

// claim takes the uploads that a commit names, all or none: from here on nobody
// drops them. They are the commit's once it is durable (used), or go back (unclaim).
func (s *Store) claim(c *storage.Commit) error {
	if len(c.Files) == 0 {
		return nil
	}
	s.uploads.mu.Lock()
	defer s.uploads.mu.Unlock()
	var claimed []*uploadState
	for i := range c.Files {
		f := &c.Files[i]
		if f.Deleted {
			continue
		}
		u := s.uploads.byID[f.Upload]
		if u == nil || u.object != c.Object || u.claimed || u.since.IsZero() || s.expired(u) || u.size != f.Size || u.hash != f.Hash {
			for _, u := range claimed {
				u.claimed = false
			}
			return errs.New(errs.Invalid, "no_upload", "There is no upload %q of object %q with the size and the hash of file %q.", f.Upload, c.Object, f.Name)
		}
		u.claimed, s.batch.claimed = true, true
		claimed = append(claimed, u)
	}
	return nil
}

// claims calls do with each upload that the batch's commits have claimed.
func (s *Store) claims(do func(upload string)) {
	if !s.batch.claimed {
		return
	}
	s.uploads.mu.Lock()
	defer s.uploads.mu.Unlock()
	for _, g := range s.batch.order {
		for i := range g.changes {
			for k := range g.changes[i].files {
				if f := &g.changes[i].files[k]; !f.Deleted {
					do(f.Upload)
				}
			}
		}
	}
}

// unclaim is for a batch that was not stored.
func (s *Store) unclaim() { s.claims(func(n string) { s.uploads.byID[n].claimed = false }) }

// used is for a batch that is durable.
func (s *Store) used() { s.claims(func(n string) { delete(s.uploads.byID, n) }) }

// readyFiles makes an object's folder for files, durable, and once in each run
// removes from it the uploads that a run before has left. An object that is
// never written to again keeps them: no start looks into all folders for them.
func (s *Store) readyFiles(name id.Object) error {
	u := &s.uploads
	u.preparing.Lock()
	defer u.preparing.Unlock()
	u.mu.Lock()
	ready := u.ready[name]
	u.mu.Unlock()
	if ready {
		return nil
	}
	dir := filesDir(name)
	if err := s.fs.Mkdir(dir); err != nil {
		return err
	}
	left, err := s.leftUploads(name)
	if errors.Is(err, syscall.ENOTDIR) {
		if err = s.giveUp(&object{id: name}, dir+"/"+indexFile, &mark{}, err); err == nil {
			err = s.fs.Mkdir(dir)
		}
	}
	if err != nil {
		return err
	}
	for _, n := range left {
		s.log.Info("an upload that no commit has named is removed", "file", dir+"/"+n)
		if err := unlessMissing(s.fs.Remove(dir + "/" + n)); err != nil { // missing: carried over meanwhile
			return err
		}
	}
	if err := s.fs.SyncDir("files"); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ready == nil {
		u.ready = map[id.Object]bool{}
	}
	u.ready[name] = true
	return nil
}

// leftUploads gives the files of uploads of runs before that no commit which
// became pending again names.
func (s *Store) leftUploads(name id.Object) ([]string, error) {
	names, err := s.fs.ReadDir(filesDir(name))
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	if o := s.objects.get(name); o != nil {
		o.mu.Lock()
		for i := range o.pending {
			for k := range o.pending[i].files {
				named[o.pending[i].files[k].Upload] = true
			}
		}
		o.mu.Unlock()
	}
	return slices.DeleteFunc(names, func(n string) bool {
		upload, is := strings.CutPrefix(n, uploadPrefix)
		boot, ok := parseUploadID(upload)
		return !is || !ok || boot == s.boot || named[upload]
	}), nil
}

package kv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// uploads are the bytes that WriteFile has put aside, by their ids. Their spaces
// are pinned, and doomed: what no commit has named is gone when the store ends.
// None is taken out but with Store.write held, so that a Commit can rely on them.
type uploads struct {
	mu   sync.Mutex
	byID map[string]upload
}

type upload struct {
	storage.Upload
	object id.Object
	space  uint64
	since  time.Time
}

func (u *upload) expired(now time.Time) bool { return now.Sub(u.since) >= storage.UploadLife }

func (u *uploads) add(one upload) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.byID == nil {
		u.byID = map[string]upload{}
	}
	u.byID[one.ID] = one
}

func (u *uploads) get(name string) (upload, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	one, ok := u.byID[name]
	return one, ok
}

// space gives the space of an upload that is there.
func (u *uploads) space(name string) uint64 {
	one, _ := u.get(name)
	return one.space
}

// check says why the uploads that a commit names cannot be used. Errors: errs.Invalid.
func (u *uploads) check(c *storage.Commit, used map[string]bool, now time.Time) error {
	for i := range c.Files {
		f := &c.Files[i]
		if f.Deleted {
			continue
		}
		one, ok := u.get(f.Upload)
		for _, other := range c.Files[:i] {
			ok = ok && other.Upload != f.Upload
		}
		if !ok || used[f.Upload] || one.object != c.Object || one.expired(now) || one.Size != f.Size || one.Hash != f.Hash {
			return errs.New(errs.Invalid, "no_upload", "There is no upload %q of object %q with the size and the hash of file %q.", f.Upload, c.Object, f.Name)
		}
	}
	return nil
}

// forget takes uploads out that a commit has used, or that nobody will use, and
// releases their spaces.
func (u *uploads) forget(names map[string]bool, release func(space uint64)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for name := range names {
		if one, ok := u.byID[name]; ok {
			delete(u.byID, name)
			release(one.space)
		}
	}
}

// expire takes out the uploads that are too old.
func (s *Store) expire() {
	s.write.Lock()
	defer s.write.Unlock()
	now, old := time.Now(), map[string]bool{}
	s.uploads.mu.Lock()
	for name, one := range s.uploads.byID {
		if one.expired(now) {
			old[name] = true
		}
	}
	s.uploads.mu.Unlock()
	s.uploads.forget(old, s.release)
}

// WriteFile implements storage.Storage.
func (s *Store) WriteFile(ctx context.Context, object id.Object, r io.Reader) (storage.Upload, error) {
	if _, err := id.ParseObject(string(object)); err != nil {
		return storage.Upload{}, err
	}
	if err := s.serves(); err != nil { // before a byte is read
		return storage.Upload{}, err
	}
	t := &pieces{s: s, ctx: ctx, op: "storage.WriteFile"}
	t.begin()
	size, hash, err := t.bytes(t.space, r)
	if err == nil {
		err = t.flush()
	}
	if err != nil {
		t.giveUp()
		return storage.Upload{}, err
	}
	u := storage.Upload{ID: strconv.FormatUint(s.boot, 10) + "-" + strconv.FormatUint(t.space, 10), Size: size, Hash: hash}
	s.uploads.add(upload{Upload: u, object: object, space: t.space, since: time.Now()})
	return u, nil
}

// DropUpload implements storage.Storage.
func (s *Store) DropUpload(_ context.Context, object id.Object, name string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	s.write.Lock()
	defer s.write.Unlock()
	if one, ok := s.uploads.get(name); ok && one.object == object {
		s.uploads.forget(map[string]bool{name: true}, s.release)
		s.sweeper.wake()
	}
	return nil
}

// ReadUpload implements storage.Storage.
func (s *Store) ReadUpload(ctx context.Context, object id.Object, name string) (storage.Upload, io.ReadCloser, error) {
	if err := s.enter(); err != nil {
		return storage.Upload{}, nil, err
	}
	defer s.leave()
	s.uploads.mu.Lock() // as long as it is there, its space is pinned
	defer s.uploads.mu.Unlock()
	one, ok := s.uploads.byID[name]
	if !ok || one.object != object || one.expired(time.Now()) {
		return storage.Upload{}, nil, errs.New(errs.NotFound, "no_upload", "There is no upload %q of object %q.", name, object)
	}
	s.pin(one.space)
	return one.Upload, s.read(ctx, object, one.space, one.Size, one.Hash, 0), nil
}

// pieces writes what is too large for one transaction into spaces that nobody
// finds yet, a few rows in each.
type pieces struct {
	s   *Store
	ctx context.Context
	op  string

	space  uint64 // of all of it: pinned, and doomed until a transaction says otherwise
	doomed bool
	rows   []row
	size   int
}

type row struct{ key, value []byte }

// begin makes the space.
func (p *pieces) begin() {
	p.space = p.s.reserve()
	p.s.pin(p.space)
}

// reserve gives the number of a new space. It is durable with the first row of it.
func (s *Store) reserve() uint64 {
	s.write.Lock()
	defer s.write.Unlock()
	s.next++
	return s.next
}

// put adds a row.
func (p *pieces) put(key, value []byte) error {
	p.rows = append(p.rows, row{key, value})
	p.size += len(key) + len(value)
	if p.size < p.s.limits.piece && len(p.rows) < p.s.limits.pieceRows {
		return nil
	}
	return p.flush()
}

// flush writes the rows that there are, durably.
func (p *pieces) flush() error {
	if err := p.ctx.Err(); err != nil {
		return errs.Wrap(errs.Unavailable, p.op, err, "The data was given up before its end.")
	}
	err := p.s.update(func(w Writer) error {
		if !p.doomed {
			if err := w.Put(doomedKey(p.space), []byte("1")); err != nil {
				return err
			}
		}
		if err := putNumber(w, "next", p.s.next); err != nil {
			return err
		}
		return p.putRows(w)
	})
	if err != nil {
		return err
	}
	p.doomed = true
	clear(p.rows)
	p.rows, p.size = p.rows[:0], 0
	return nil
}

func (p *pieces) putRows(w Writer) error {
	for _, r := range p.rows {
		if err := w.Put(r.key, r.value); err != nil {
			return err
		}
	}
	return nil
}

// giveUp leaves what was written to the sweeper.
func (p *pieces) giveUp() {
	p.s.release(p.space)
	p.s.sweeper.wake()
}

// bytes writes the bytes that r gives into a space, and says how many there were.
func (p *pieces) bytes(space uint64, r io.Reader) (size int64, hash string, err error) {
	sum := sha256.New()
	for n := uint64(0); ; n++ {
		if err := p.ctx.Err(); err != nil {
			return 0, "", errs.Wrap(errs.Unavailable, p.op, err, "The data was given up before its end.")
		}
		b := make([]byte, p.s.limits.chunk)
		got, end, err := storage.ReadChunk(r, b)
		if err != nil {
			return 0, "", err
		}
		if got > 0 {
			_, _ = sum.Write(b[:got]) // a hash takes every byte
			size += int64(got)
			if err := p.put(chunkKey(space, n), b[:got]); err != nil {
				return 0, "", err
			}
		}
		if end {
			return size, hex.EncodeToString(sum.Sum(nil)), nil
		}
	}
}

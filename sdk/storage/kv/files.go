package kv

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"strconv"
	"sync"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Files implements storage.Storage.
func (s *Store) Files(_ context.Context, q storage.FilesQuery) (list []storage.File, err error) {
	err = s.view(func(r Reader) error {
		if err := storage.CheckLimit(q.Limit); err != nil {
			return err
		}
		rec, err := readRecord(r, q.Object)
		if rec == nil || err != nil || len(q.Prefix) > storage.MaxFileName {
			return err
		}
		from, to := named(rec.space, fileRow, q.Prefix, q.After, storage.MaxFileName)
		var bad error
		err = r.Range(from, to, false, func(k, v []byte) bool {
			f, ok := parseFile(v)
			if !ok {
				bad = corrupt(q.Object, "the row of file "+strconv.Quote(string(k[rowPrefix:]))+" cannot be read")
				return false
			}
			if !f.Deleted || q.Tombstones {
				list = append(list, f.File)
			}
			return len(list) < q.Limit
		})
		if err == nil {
			err = bad
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// named gives the range of the rows whose names begin with prefix and are greater
// than last; most is how long a name can be.
func named(space uint64, row byte, prefix, last string, most int) (from, to []byte) {
	from = rowKey(space, row, prefix)
	to = after(from)
	if last == "" || last < prefix {
		return from, to
	}
	if len(last) > most { // no name lies between the two
		last = last[:most]
	}
	return append(rowKey(space, row, last), 0), to
}

// ReadFile implements storage.Storage.
func (s *Store) ReadFile(ctx context.Context, object id.Object, name string, from int64) (storage.File, io.ReadCloser, error) {
	if err := s.serves(); err != nil {
		return storage.File{}, nil, err
	}
	if err := storage.CheckFileName(name); err != nil {
		return storage.File{}, nil, err
	}
	var f *file
	err := s.find(func(r Reader, pin func(uint64)) error {
		rec, err := readRecord(r, object)
		if err == nil && rec != nil {
			f, err = readFile(r, object, rec.space, name)
		}
		switch {
		case err != nil:
			return err
		case f == nil || f.Deleted:
			return errs.New(errs.NotFound, "", "Object %q has no file %q.", object, name)
		case from < 0 || from > f.Size:
			return errs.New(errs.Invalid, "bad_offset", "File %q has no offset %d.", name, from)
		}
		pin(f.bytes)
		return nil
	})
	if err != nil {
		return storage.File{}, nil, err
	}
	return f.File, s.read(ctx, object, f.bytes, f.Size, f.Hash, from), nil
}

// read gives a reader of the bytes in a space that is pinned for it.
func (s *Store) read(ctx context.Context, object id.Object, space uint64, size int64, want string, from int64) io.ReadCloser {
	c := &content{s: s, ctx: ctx, object: object, space: space, size: size, at: from}
	if from == 0 {
		c.want, c.hash = want, sha256.New()
	}
	c.release = sync.OnceFunc(func() { s.release(space) })
	c.stop = context.AfterFunc(ctx, c.release)
	return c
}

// content reads the bytes in a space, each row in a transaction of its own.
type content struct {
	s      *Store
	ctx    context.Context
	object id.Object
	space  uint64
	size   int64
	at     int64 // behind what was given
	rest   []byte

	want string // what the hash of all of it must be; the last bytes are given only then
	hash hash.Hash

	release func()
	stop    func() bool
}

// Read implements io.Reader.
func (c *content) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if len(c.rest) == 0 {
		if c.at == c.size {
			return 0, c.whole()
		}
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	c.at += int64(n)
	return n, nil
}

// next reads the row that holds what stands at at.
func (c *content) next() error {
	if err := c.givenUp(); err != nil {
		return err
	}
	chunk := int64(c.s.limits.chunk)
	n := c.at / chunk
	err := c.s.view(func(r Reader) error {
		row, err := r.Get(chunkKey(c.space, uint64(n)))
		if err != nil {
			return err
		}
		if int64(len(row)) != min(chunk, c.size-n*chunk) {
			return cmp.Or(c.givenUp(), c.corrupt())
		}
		c.rest = append(c.rest[:0:0], row[c.at-n*chunk:]...)
		return nil
	})
	if err != nil || c.hash == nil {
		return err
	}
	_, _ = c.hash.Write(c.rest) // a hash takes every byte
	if c.at+int64(len(c.rest)) < c.size {
		return nil
	}
	return c.compare()
}

// givenUp is for a context that has ended: the rows are not kept any longer.
func (c *content) givenUp() error {
	if err := c.ctx.Err(); err != nil {
		return errs.Wrap(errs.Unavailable, "storage.ReadFile", err, "The data of object %q was given up before its end.", c.object)
	}
	return nil
}

// compare says that what was read is what was stored.
func (c *content) compare() error {
	if hex.EncodeToString(c.hash.Sum(nil)) != c.want {
		c.rest = nil
		return c.corrupt()
	}
	return nil
}

// whole is what a read at the end gives.
func (c *content) whole() error {
	if c.size == 0 && c.hash != nil {
		if err := c.compare(); err != nil {
			return err
		}
	}
	return io.EOF
}

func (c *content) corrupt() error {
	return errs.New(errs.Corrupt, "", "The bytes of a file of object %q are not those that were stored.", c.object)
}

// Close implements io.Closer.
func (c *content) Close() error {
	c.stop()
	c.release()
	return nil
}

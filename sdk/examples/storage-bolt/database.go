package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage/kv"
)

// To build on another database, keep the names of this file's functions and write
// their bodies anew. The comments of kv.DB, kv.Reader and kv.Writer are what they must
// keep to, and TestDatabase says which of it they break.

// lockWait is how long an opening waits for a process that has the database open:
// the one before may be about to end.
const lockWait = 2 * time.Second

// bucket is bbolt's word for a table. One holds everything.
var bucket = []byte("station")

// database is a kv.DB.
type database struct {
	*bolt.DB
	holder *os.File // names this process to one that finds the database locked
}

// openDatabase opens the database in a data folder, and makes it where it is missing.
func openDatabase(dir, file string) (kv.DB, error) {
	if file == "." || file != filepath.Base(file) || !filepath.IsLocal(file) {
		return nil, errs.New(errs.Invalid, "", "The option file is %q; it must be the name of a file without a folder.", file)
	}
	path := filepath.Join(dir, file)
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout:      lockWait,
		FreelistType: bolt.FreelistMapType, // the other one gets slow with many free pages
		// Address space, not memory. A file that outgrows what is mapped has to be mapped
		// anew, and an Update that does it waits for all Views that run.
		InitialMmapSize: 1 << 30,
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, errs.New(errs.Unavailable, "folder_in_use", "The database %s is in use by process %s.", path, heldBy(path))
	}
	if err != nil {
		return nil, errs.Wrap(errs.Unavailable, "storage.Configure", err, "The database %s cannot be opened.", path)
	}
	d := &database{DB: db}
	if err := d.prepare(dir, path); err != nil {
		return nil, errs.Wrap(errs.Unavailable, "storage.Configure", errors.Join(err, d.Close()), "The database %s cannot be used.", path)
	}
	return d, nil
}

// prepare makes the bucket, and the names of new files durable.
func (d *database) prepare(dir, path string) (err error) {
	if d.holder, err = os.OpenFile(path+".pid", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(d.holder, os.Getpid()); err != nil {
		return err
	}
	if err := d.DB.Update(func(t *bolt.Tx) error {
		_, err := t.CreateBucketIfNotExists(bucket)
		return err
	}); err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// heldBy says which process has the database open, as far as it has said so.
func heldBy(path string) string {
	text, err := os.ReadFile(path + ".pid")
	pid, parsed := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || parsed != nil {
		return "(unknown)"
	}
	return strconv.Itoa(pid)
}

// Close implements kv.DB.
func (d *database) Close() error {
	err := d.DB.Close()
	if d.holder != nil {
		err = errors.Join(err, d.holder.Close())
	}
	return err
}

// View implements kv.DB.
func (d *database) View(f func(kv.Reader) error) error {
	return d.DB.View(func(t *bolt.Tx) error { return f(transaction{t.Bucket(bucket)}) })
}

// Update implements kv.DB. bbolt syncs twice before it gives nil: what changed, and
// then the page that makes it count.
func (d *database) Update(f func(kv.Writer) error) error {
	err := d.DB.Update(func(t *bolt.Tx) error { return f(transaction{t.Bucket(bucket)}) })
	if full(err) {
		return errs.Wrap(errs.Unavailable, "storage.Commit", err, "The disk is full; nothing was stored.")
	}
	return err
}

// full reports whether a write found no room, before anything counted: that page is
// there from the beginning. It is no such error where a sync gives it.
func full(err error) bool {
	write, ok := errors.AsType[*os.PathError](err)
	return ok && write.Op == "write" && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG))
}

// transaction is a kv.Reader and a kv.Writer.
type transaction struct{ *bolt.Bucket }

// Get implements kv.Reader.
func (t transaction) Get(key []byte) ([]byte, error) { return t.Bucket.Get(key), nil }

// Range implements kv.Reader.
func (t transaction) Range(from, to []byte, down bool, use func(key, value []byte) bool) error {
	c := t.Cursor()
	if !down {
		for k, v := c.Seek(from); k != nil && bytes.Compare(k, to) < 0 && use(k, v); k, v = c.Next() {
		}
		return nil
	}
	before := c.Prev
	if k, _ := c.Seek(to); k == nil { // nothing stands at the end or behind it
		before = c.Last
	}
	for k, v := before(); k != nil && bytes.Compare(k, from) >= 0 && use(k, v); k, v = c.Prev() {
	}
	return nil
}

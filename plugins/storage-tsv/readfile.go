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
	"slices"
	"strings"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Files implements storage.Storage: the lines of index.tsv, the last of a name
// wins, then the commits that are not there yet.
func (s *Store) Files(_ context.Context, q storage.FilesQuery) ([]storage.File, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := storage.CheckLimit(q.Limit); err != nil {
		return nil, err
	}
	o := s.objects.get(q.Object)
	if o == nil {
		return nil, nil
	}
	v, f, size, err := s.openView(o, o.indexPath())
	if err != nil {
		return nil, s.readError("storage.Files", q.Object, err)
	}
	files := map[string]storage.File{}
	use := func(g storage.File) {
		if g.Name > q.After && strings.HasPrefix(g.Name, q.Prefix) {
			files[g.Name] = g
		}
	}
	if f != nil {
		defer f.Close()
		if err := s.eachFile(o, f, size, use); err != nil {
			return nil, s.readError("storage.Files", q.Object, err)
		}
	}
	for i := range v.pending {
		for k := range v.pending[i].files {
			use(v.pending[i].files[k].File)
		}
	}
	list := make([]storage.File, 0, len(files))
	for _, g := range files {
		if q.Tombstones || !g.Deleted {
			list = append(list, g)
		}
	}
	slices.SortFunc(list, func(a, b storage.File) int { return strings.Compare(a.Name, b.Name) })
	return list[:min(len(list), q.Limit)], nil
}

// ReadFile implements storage.Storage.
func (s *Store) ReadFile(_ context.Context, name id.Object, file string, from int64) (storage.File, io.ReadCloser, error) {
	if err := s.enter(); err != nil {
		return storage.File{}, nil, err
	}
	defer s.leave()
	if err := storage.CheckFileName(file); err != nil {
		return storage.File{}, nil, err
	}
	missing := errs.New(errs.NotFound, "", "Object %q has no file %q.", name, file)
	o := s.objects.get(name)
	if o == nil {
		return storage.File{}, nil, missing
	}
	g, c, err := s.openFile(o, file)
	if err != nil {
		return storage.File{}, nil, s.readError("storage.ReadFile", name, err)
	}
	r := &fileReader{s: s, o: o, file: g, f: c, at: from}
	switch {
	case g.Hash == "":
		err = missing
	case from < 0 || from > g.Size:
		err = errs.New(errs.Invalid, "bad_offset", "File %q of object %q has %d bytes; it cannot be read from %d.", file, name, g.Size, from)
	case c == nil:
		err = r.corrupt("its bytes are missing")
	default:
		err = r.begin()
	}
	if err != nil {
		return storage.File{}, nil, errors.Join(err, r.Close())
	}
	return g, r, nil
}

// openFile gives what is known of a file, without a hash where there is none, and
// its bytes as they are at this moment, nil where they are missing.
func (s *Store) openFile(o *object, name string) (g storage.File, c file, err error) {
	g, c, index, size, err := s.openPending(o, name)
	if index == nil || err != nil {
		return g, c, err
	}
	defer index.Close()
	if g, err = s.findFile(o, index, size, name); (err != nil || g.Hash == "") && c != nil {
		err = errors.Join(err, c.Close())
		c = nil
	}
	return g, c, err
}

// openPending opens the bytes of a file together with what says whose they are:
// its newest pending change, which g is then, or else the index as far as size.
func (s *Store) openPending(o *object, name string) (g storage.File, c, index file, size int64, err error) {
	o.files.Lock() // a round of the carrier is either before this or after it
	defer o.files.Unlock()
	v := o.look()
	newest, _ := newestFiles(v.pending)
	if i := slices.IndexFunc(newest, func(f *storage.FileChange) bool { return f.Name == name }); i >= 0 {
		g = newest[i].File
		if g.Deleted {
			return g, nil, nil, 0, nil
		}
		c, err = s.openThere(uploadPath(o.id, newest[i].Upload))
		if c == nil && err == nil { // renamed by the process before, or in a round that failed
			c, err = s.openThere(o.filePath(name))
		}
		return g, c, nil, 0, err
	}
	if !v.onDisk {
		return g, nil, nil, 0, nil
	}
	if index, size, err = s.openWhole(o.indexPath(), toRead); err != nil {
		return g, nil, nil, 0, unlessMissing(err)
	}
	if c, err = s.openThere(o.filePath(name)); err != nil {
		return g, nil, nil, 0, errors.Join(err, index.Close())
	}
	return g, c, index, size, nil
}

// openThere opens a file to read; of a missing one it gives nil.
func (s *Store) openThere(name string) (file, error) {
	f, err := s.fs.Open(name, toRead)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

// findFile gives the last line of a name in an index, from its end.
func (s *Store) findFile(o *object, index file, size int64, name string) (storage.File, error) {
	cols := make([][]byte, indexColumns)
	for lines := s.readTable(o.indexPath(), index, readBackward(index, 0, size), indexColumns, indexHeader); ; {
		line, at, err := lines.next()
		if errors.Is(err, io.EOF) {
			return storage.File{}, nil
		}
		if err != nil {
			return storage.File{}, err
		}
		if len(line) == 0 || at == 0 && isHeader(line, indexHeader) {
			continue
		}
		how := split(line, cols)
		g, ok := parseFile(cols)
		if how == damaged || !ok {
			s.setAside(o.indexPath(), index, at, 0, line, reason(how))
			continue
		}
		if g.Name == name {
			if how == byHand {
				s.damage.edited.Add(1)
			}
			return g, nil
		}
	}
}

// fileReader reads the bytes of a file that stays as it is while it is open.
type fileReader struct {
	s    *Store
	o    *object
	file storage.File
	f    file
	at   int64
	hash hash.Hash // of what was read, where that began at 0; else nil
}

// begin looks at the file's size, so that not even a part of a file that was cut
// is taken for one.
func (r *fileReader) begin() error {
	size, err := r.f.Size()
	switch {
	case err != nil:
		return r.s.readError("storage.ReadFile", r.o.id, err)
	case size != r.file.Size:
		return r.corrupt(fmt.Sprintf("it has %d bytes, %d were stored", size, r.file.Size))
	case r.at > 0:
		return nil
	case r.file.Size == 0:
		return r.check(sha256.New())
	}
	r.hash = sha256.New()
	return nil
}

// Read implements io.Reader. The last bytes of a file that is not what was
// stored are not given, so that nobody who counts the bytes takes it for whole.
func (r *fileReader) Read(b []byte) (int, error) {
	b = b[:min(int64(len(b)), r.file.Size-r.at)]
	if r.at == r.file.Size {
		return 0, io.EOF
	}
	if err := readFull(r.f, b, r.at); errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, r.corrupt("it was cut while it was read")
	} else if err != nil {
		return 0, r.s.readError("storage.ReadFile", r.o.id, err)
	}
	if r.hash != nil {
		_, _ = r.hash.Write(b) // never fails
		if r.at+int64(len(b)) == r.file.Size {
			if err := r.check(r.hash); err != nil {
				return 0, err
			}
		}
	}
	r.at += int64(len(b))
	return len(b), nil
}

func (r *fileReader) check(h hash.Hash) error {
	if sum := hex.EncodeToString(h.Sum(nil)); sum != r.file.Hash {
		return r.corrupt("its hash is " + sum)
	}
	return nil
}

// corrupt says that the bytes are not those that were stored; the station's log
// says it once.
func (r *fileReader) corrupt(why string) error {
	r.s.badFile(r.o, r.file.Name, why)
	return errs.New(errs.Corrupt, "", "File %q of object %q is not what was stored: %s. "+
		"If somebody has edited %s on purpose, put its new size and hash into its last line in %s and remove that line's checksum.",
		r.file.Name, r.o.id, why, r.o.filePath(r.file.Name), r.o.indexPath())
}

// Close implements io.Closer.
func (r *fileReader) Close() error {
	if r.f == nil {
		return nil
	}
	return r.f.Close()
}

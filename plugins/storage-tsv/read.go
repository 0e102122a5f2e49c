package storagetsv

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Objects implements storage.Storage, from memory.
func (s *Store) Objects(_ context.Context, q storage.ObjectsQuery) ([]storage.ObjectInfo, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := storage.CheckLimit(q.Limit); err != nil {
		return nil, err
	}
	ids := s.objects.list()
	i, _ := slices.BinarySearch(ids, max(q.After, id.Object(q.Prefix)))
	var list []storage.ObjectInfo
	for ; i < len(ids) && len(list) < q.Limit; i++ {
		if ids[i] <= q.After {
			continue
		}
		if !strings.HasPrefix(string(ids[i]), q.Prefix) {
			break
		}
		list = append(list, info(ids[i], s.objects.get(ids[i]).look().tip))
	}
	return list, nil
}

func info(name id.Object, t tip) storage.ObjectInfo {
	return storage.ObjectInfo{Object: name, Incarnation: t.incarnation, Sequence: t.sequence, Head: t.head, Hash: t.hash, Working: t.working}
}

// readError is the error of a read that the disk failed. A read that mends the
// end of a file syncs the copy of what it cuts off; where that fails the store ends.
func (s *Store) readError(op string, o id.Object, err error) error {
	if fe, ok := errors.AsType[fsyncError](err); ok {
		s.end(fe)
	}
	return errs.Wrap(errs.Unavailable, op, err, "The data of object %q cannot be read.", o)
}

// openView gives a view of an object together with one of its files as far as
// the view reaches: f is nil where there is none. The caller closes f.
func (s *Store) openView(o *object, name string) (v view, f file, size int64, err error) {
	o.files.Lock() // a round of the carrier is either before the view or after it
	defer o.files.Unlock()
	v = o.look()
	if !v.onDisk {
		return v, nil, 0, nil
	}
	f, size, err = s.openWhole(name, toRead)
	if errors.Is(err, fs.ErrNotExist) {
		return v, nil, 0, nil
	}
	return v, f, size, err
}

// Versions implements storage.Storage.
func (s *Store) Versions(_ context.Context, q storage.VersionsQuery) ([]storage.Version, error) {
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
	list, err := s.versionLines(o, q.Before, q.Limit)
	if err != nil {
		return nil, s.readError("storage.Versions", q.Object, err)
	}
	for i := range list {
		list[i].Text = nil
	}
	return list, nil
}

// versionLines gives versions, newest first: those that are not carried over, with
// their text, which is not the caller's to change, then without it the lines of metadata.tsv from its end. A replay may have
// written a number twice; numbers only fall on the way.
func (s *Store) versionLines(o *object, before uint64, limit int) ([]storage.Version, error) {
	v, f, size, err := s.openView(o, o.versionsPath())
	if err != nil {
		return nil, err
	}
	return s.versionsIn(o, v, f, size, before, limit)
}

// versionsIn is versionLines of a view and its metadata.tsv, which it closes; nil
// where there is none.
func (s *Store) versionsIn(o *object, v view, f file, size int64, before uint64, limit int) ([]storage.Version, error) {
	var list []storage.Version
	take := func(v storage.Version) {
		if before == 0 || v.Number < before {
			list = append(list, v)
			before = v.Number
		}
	}
	for i := len(v.pending) - 1; i >= 0 && len(list) < limit; i-- {
		if p := v.pending[i].version; p != nil {
			take(*p)
		}
	}
	if f == nil {
		return list, nil
	}
	defer f.Close()
	lines := s.readTable(o.versionsPath(), f, readBackward(f, 0, size), versionsColumns, versionsHeader)
	cols := make([][]byte, versionsColumns)
	for len(list) < limit {
		line, at, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(line) == 0 || at == 0 && isHeader(line, versionsHeader) {
			continue
		}
		how := split(line, cols)
		p, ok := parseVersion(cols)
		if how == damaged || !ok {
			s.setAside(o.versionsPath(), f, at, 0, line, reason(how))
			continue
		}
		if how == byHand {
			s.tookEdited(o.versionsPath())
		}
		take(p)
	}
	return list, nil
}

// Version implements storage.Storage.
func (s *Store) Version(_ context.Context, name id.Object, number uint64) (storage.Version, error) {
	if err := s.enter(); err != nil {
		return storage.Version{}, err
	}
	defer s.leave()
	missing := errs.New(errs.NotFound, "", "Object %q has no version %d.", name, number)
	o := s.objects.get(name)
	if o == nil || number == 0 {
		return storage.Version{}, missing
	}
	life := o.look().incarnation
	list, err := s.versionLines(o, number+1, 1)
	if err != nil {
		return storage.Version{}, s.readError("storage.Version", name, err)
	}
	if len(list) == 0 || list[0].Number != number {
		return storage.Version{}, missing
	}
	v := list[0]
	if v.Text != nil { // its file may not have it yet
		v.Text = slices.Clone(v.Text)
		return v, nil
	}
	v.Text, err = s.versionText(o, life, &v)
	switch {
	case errors.Is(err, errGone):
		return storage.Version{}, missing
	case errs.Is(err, errs.Corrupt):
		return storage.Version{}, err
	case err != nil:
		return storage.Version{}, s.readError("storage.Version", name, err)
	}
	return v, nil
}

// versionText reads the text of a version of one of the object's lives. Where it is
// not that version's and the life has ended meanwhile, the error is errGone; else
// the damage is reported, and the error is errs.Corrupt.
func (s *Store) versionText(o *object, life uint64, v *storage.Version) ([]byte, error) {
	name := versionPath(o, v.Number)
	b, err := s.readAll(name)
	if err != nil || storage.Hash(b) == v.Hash {
		return b, err
	}
	if o.look().incarnation != life { // wiped between the two reads
		return nil, errGone
	}
	s.badContent(name, o.versionsPath(), "its hash is "+storage.Hash(b))
	return nil, errs.New(errs.Corrupt, "", "The text of version %d of object %q in %s does not match its hash.", v.Number, o.id, name)
}

package kv

import (
	"bytes"
	"context"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Objects implements storage.Storage.
func (s *Store) Objects(_ context.Context, q storage.ObjectsQuery) (list []storage.ObjectInfo, err error) {
	err = s.view(func(r Reader) error {
		if err := storage.CheckLimit(q.Limit); err != nil {
			return err
		}
		if len(q.Prefix) > id.MaxLength {
			return nil
		}
		from := objectKey(id.Object(q.Prefix))
		to := after(from)
		if q.After != "" && string(q.After) >= q.Prefix {
			from = append(objectKey(q.After[:min(len(q.After), id.MaxLength)]), 0)
		}
		var bad error
		err := r.Range(from, to, false, func(k, v []byte) bool {
			name := id.Object(k[1:])
			rec, ok := parseRecord(v)
			if !ok {
				bad = corrupt(name, "its row cannot be read")
				return false
			}
			list = append(list, rec.info(name))
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

// Load implements storage.Storage.
func (s *Store) Load(_ context.Context, object id.Object) (o storage.Object, err error) {
	err = s.view(func(r Reader) error {
		o = storage.Object{ObjectInfo: storage.ObjectInfo{Object: object}, Boot: s.boot}
		rec, err := readRecord(r, object)
		if rec == nil || err != nil {
			return err
		}
		o.ObjectInfo = rec.info(object)
		if rec.ownBoot == s.boot {
			o.Entries = rec.own
		}
		o.State, err = readState(r, object, rec.space)
		return err
	})
	return o, err
}

// readState gives all keys of an object, tombstones included.
func readState(r Reader, object id.Object, space uint64) (list []storage.StateChange, err error) {
	from := rowKey(space, stateRow, "")
	var bad error
	err = r.Range(from, after(from), false, func(_, v []byte) bool {
		c, ok := parseState(v)
		if !ok {
			bad = corrupt(object, "the row of a key cannot be read")
			return false
		}
		list = append(list, c)
		return true
	})
	if err == nil {
		err = bad
	}
	return list, err
}

// State implements storage.Storage.
func (s *Store) State(_ context.Context, q storage.StateQuery) (page storage.StatePage, err error) {
	err = s.view(func(r Reader) error {
		if err := storage.CheckLimit(q.Limit); err != nil {
			return err
		}
		rec, err := readRecord(r, q.Object)
		if rec == nil || err != nil || len(q.Prefix) > storage.MaxKey {
			return err
		}
		from, to := named(rec.space, stateRow, q.Prefix, q.After, storage.MaxKey)
		p := statePager{limits: s.limits, limit: q.Limit}
		if err := r.Range(from, to, false, p.take); err != nil {
			return err
		}
		if p.bad {
			return corrupt(q.Object, "the row of a key cannot be read")
		}
		page = p.page
		return nil
	})
	return page, err
}

// statePager makes one page of state. It looks one key further than it gives, so
// that the last page is known as such.
type statePager struct {
	limits limits
	limit  int
	page   storage.StatePage
	looked int
	bytes  int
	last   string
	bad    bool
}

func (p *statePager) take(_, v []byte) bool {
	if p.looked == p.limits.rows {
		p.page.Next = p.last
		return false
	}
	p.looked++
	c, ok := parseState(v)
	if !ok {
		p.bad = true
		return false
	}
	if !c.Deleted {
		if len(p.page.Items) == p.limit || p.bytes >= p.limits.bytes {
			p.page.Next = p.last
			return false
		}
		p.page.Items = append(p.page.Items, c)
		p.bytes += len(c.Key) + len(c.Value)
	}
	p.last = c.Key
	return true
}

// Digest implements storage.Storage.
func (s *Store) Digest(_ context.Context, object id.Object) (d storage.Digest, err error) {
	err = s.view(func(r Reader) error {
		prefix := []byte{bucketTable}
		if object != "" {
			rec, err := readRecord(r, object)
			if rec == nil || err != nil {
				return err
			}
			prefix = append(spaceKey(rec.space), sumRow)
		}
		bad := false
		if err := r.Range(prefix, after(prefix), false, func(k, v []byte) bool {
			sum, ok := storage.ParseSum(v)
			if bad = !ok; bad {
				return false
			}
			d.Buckets[k[len(k)-1]] = sum
			d.Sum.Add(sum)
			return true
		}); err != nil {
			return err
		}
		if bad {
			return errs.New(errs.Corrupt, "", "A sum of the digest of object %q is damaged.", object)
		}
		return nil
	})
	if err != nil {
		return storage.Digest{}, err
	}
	return d, nil
}

// Versions implements storage.Storage.
func (s *Store) Versions(_ context.Context, q storage.VersionsQuery) (list []storage.Version, err error) {
	err = s.view(func(r Reader) error {
		if err := storage.CheckLimit(q.Limit); err != nil {
			return err
		}
		rec, err := readRecord(r, q.Object)
		if rec == nil || err != nil {
			return err
		}
		list, err = readVersions(r, q.Object, rec.space, q.Before, q.Limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// readVersions gives versions before a number, all of them where that is 0, newest first.
func readVersions(r Reader, object id.Object, space, before uint64, limit int) (list []storage.Version, err error) {
	from := rowKey(space, versionRow, "")
	to := after(from)
	if before > 0 {
		to = numberKey(space, versionRow, before)
	}
	var bad error
	err = r.Range(from, to, true, func(_, v []byte) bool {
		version, ok := parseVersion(v)
		if !ok {
			bad = corrupt(object, "the row of a version cannot be read")
			return false
		}
		list = append(list, version)
		return len(list) < limit
	})
	if err == nil {
		err = bad
	}
	return list, err
}

// Version implements storage.Storage.
func (s *Store) Version(_ context.Context, object id.Object, number uint64) (v storage.Version, err error) {
	err = s.view(func(r Reader) error {
		missing := errs.New(errs.NotFound, "", "Object %q has no version %d.", object, number)
		rec, err := readRecord(r, object)
		if rec == nil && err == nil {
			return missing
		}
		if err != nil {
			return err
		}
		line, err := r.Get(numberKey(rec.space, versionRow, number))
		if line == nil && err == nil {
			return missing
		}
		if err != nil {
			return err
		}
		var ok bool
		if v, ok = parseVersion(line); !ok {
			return corrupt(object, "the row of a version cannot be read")
		}
		v.Text, err = readSource(r, object, rec.space, &v)
		return err
	})
	if err != nil {
		return storage.Version{}, err
	}
	return v, nil
}

// readSource gives the text of a version.
func readSource(r Reader, object id.Object, space uint64, v *storage.Version) ([]byte, error) {
	row, err := r.Get(numberKey(space, sourceRow, v.Number))
	if err != nil {
		return nil, err
	}
	if storage.Hash(row) != v.Hash {
		return nil, errs.New(errs.Corrupt, "", "The text of version %d of object %q does not match its hash.", v.Number, object)
	}
	return bytes.Clone(row), nil
}

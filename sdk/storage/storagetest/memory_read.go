package storagetest

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

func (s *memoryStore) Objects(_ context.Context, q storage.ObjectsQuery) ([]storage.ObjectInfo, error) {
	f, err := s.hold()
	if err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	if err := storage.CheckLimit(q.Limit); err != nil {
		return nil, err
	}
	var list []storage.ObjectInfo
	for _, o := range slices.Sorted(maps.Keys(f.objects)) {
		if len(list) < q.Limit && o > q.After && strings.HasPrefix(string(o), q.Prefix) {
			list = append(list, f.objects[o].info)
		}
	}
	return list, nil
}

func (s *memoryStore) Load(_ context.Context, object id.Object) (storage.Object, error) {
	f, err := s.hold()
	if err != nil {
		return storage.Object{}, err
	}
	defer f.mu.Unlock()
	o := storage.Object{ObjectInfo: storage.ObjectInfo{Object: object}, Boot: f.boot}
	r := f.objects[object]
	if r == nil {
		return o, nil
	}
	o.ObjectInfo, o.Entries = r.info, r.own[f.boot]
	for _, c := range r.state {
		o.State = append(o.State, cloneChange(c))
	}
	slices.SortFunc(o.State, compareChanges)
	return o, nil
}

func (s *memoryStore) State(_ context.Context, q storage.StateQuery) (storage.StatePage, error) {
	f, err := s.hold()
	if err != nil {
		return storage.StatePage{}, err
	}
	defer f.mu.Unlock()
	if err := storage.CheckLimit(q.Limit); err != nil {
		return storage.StatePage{}, err
	}
	var page storage.StatePage
	r := f.objects[q.Object]
	if r == nil {
		return page, nil
	}
	size := 0
	for _, k := range slices.Sorted(maps.Keys(r.state)) {
		c := r.state[k]
		if c.Deleted || k <= q.After || !strings.HasPrefix(k, q.Prefix) {
			continue
		}
		if len(page.Items) == q.Limit || size >= maxStateBytes {
			page.Next = page.Items[len(page.Items)-1].Key
			break
		}
		page.Items = append(page.Items, cloneChange(c))
		size += len(k) + len(c.Value)
	}
	return page, nil
}

// maxStateBytes is about how many bytes of keys and values a page of state holds.
const maxStateBytes = 4 << 20

// Logs counts positions from the first entry, which stay when entries are
// appended: a cursor is a direction, the incarnation and a position.
func (s *memoryStore) Logs(_ context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	f, err := s.hold()
	if err != nil {
		return storage.LogsPage{}, err
	}
	defer f.mu.Unlock()
	if err := storage.CheckLogs(&q); err != nil {
		return storage.LogsPage{}, err
	}
	r := f.objects[q.Object]
	if r == nil {
		r = &record{}
		r.info.Incarnation = 1 // its first life is to come
	}
	head, step, at := "n"+strconv.FormatUint(r.info.Incarnation, 10)+".", -1, len(r.entries)-1
	if q.Oldest {
		head, step, at = "o"+head[1:], 1, 0
	}
	if q.Cursor != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(q.Cursor, head))
		if !strings.HasPrefix(q.Cursor, head) || err != nil || n < 0 || n > len(r.entries) || n == len(r.entries) && !q.Oldest {
			return storage.LogsPage{}, errs.New(errs.Invalid, "bad_cursor", "%q is not a cursor of this log.", q.Cursor)
		}
		at = n
	}
	from, to := timeRange(r.entries, q)
	end := from - 1
	if q.Oldest {
		at, end = max(at, from), to
	} else {
		at = min(at, to-1)
	}
	var page storage.LogsPage
	behind := func(at int) string { return "o" + head[1:] + strconv.Itoa(at) }
	if q.Places {
		page.End = behind(len(r.entries))
	}
	for ; (end-at)*step > 0 && len(page.Entries) < q.Limit; at += step {
		page.Scanned++
		if e := r.entries[at]; asked(e, q) {
			page.Entries = append(page.Entries, cloneEntry(e))
			if q.Places {
				page.Cursors = append(page.Cursors, behind(at+1))
			}
		}
	}
	if (end-at)*step > 0 {
		page.Next = head + strconv.Itoa(at)
	}
	return page, nil
}

// Digest sums up what is there, each time anew.
func (s *memoryStore) Digest(_ context.Context, object id.Object) (storage.Digest, error) {
	var d storage.Digest
	f, err := s.hold()
	if err != nil {
		return d, err
	}
	defer f.mu.Unlock()
	add := func(bucket uint8, item storage.Sum) {
		d.Sum.Add(item)
		d.Buckets[bucket].Add(item)
	}
	for name, r := range f.objects {
		if object != "" && name != object {
			continue
		}
		bucket := func(item string) uint8 {
			if object == "" {
				return storage.Bucket(string(name))
			}
			return storage.Bucket(item)
		}
		for _, c := range r.state {
			add(bucket(c.Key), storage.StateItem(name, r.info.Incarnation, c.Key, c.Stamp))
		}
		for i := range r.entries {
			e := r.entries[i].ID.String()
			add(bucket(e), storage.LogItem(name, r.info.Incarnation, []byte(e)))
		}
	}
	return d, nil
}

func (s *memoryStore) Versions(_ context.Context, q storage.VersionsQuery) ([]storage.Version, error) {
	f, err := s.hold()
	if err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	if err := storage.CheckLimit(q.Limit); err != nil {
		return nil, err
	}
	var list []storage.Version
	if r := f.objects[q.Object]; r != nil {
		for _, v := range slices.Backward(r.versions) {
			if len(list) < q.Limit && (q.Before == 0 || v.Number < q.Before) {
				v.Text = nil
				list = append(list, v)
			}
		}
	}
	return list, nil
}

func (s *memoryStore) Version(_ context.Context, object id.Object, number uint64) (storage.Version, error) {
	f, err := s.hold()
	if err != nil {
		return storage.Version{}, err
	}
	defer f.mu.Unlock()
	if r := f.objects[object]; r != nil {
		for _, v := range r.versions {
			if v.Number == number {
				return cloneVersion(v), nil
			}
		}
	}
	return storage.Version{}, errs.New(errs.NotFound, "", "Object %q has no version %d.", object, number)
}

func micro(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

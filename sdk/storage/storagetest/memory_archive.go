package storagetest

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/archive"
)

// Export writes the archive into memory, which nothing changes afterwards.
func (s *memoryStore) Export(_ context.Context, object id.Object) (io.ReadCloser, error) {
	f, err := s.hold()
	if err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	r := f.objects[object]
	if r == nil {
		return nil, errs.New(errs.NotFound, "", "There is no object %q.", object)
	}
	var out bytes.Buffer
	w, err := archive.NewWriter(&out, archive.Header{
		Object: object, Incarnation: r.info.Incarnation, Sequence: r.info.Sequence, HomeEpoch: r.epoch, Head: r.info.Head,
	})
	if err != nil {
		return nil, err
	}
	var state []storage.StateChange
	for _, c := range r.state {
		state = append(state, c)
	}
	slices.SortFunc(state, compareChanges)
	var files []storage.File
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		files = append(files, r.files[name].File)
	}
	for _, step := range []func() error{
		func() error { return w.State(state) },
		func() error {
			return w.Versions(r.versions, func(number uint64) ([]byte, error) {
				i := slices.IndexFunc(r.versions, func(v storage.Version) bool { return v.Number == number })
				return r.versions[i].Text, nil
			})
		},
		func() error {
			return w.Files(files, func(f *storage.File) (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(r.files[f.Name].data)), nil
			})
		},
		func() error {
			for i := range r.entries {
				if err := w.Entry(&r.entries[i]); err != nil {
					return err
				}
			}
			return nil
		},
		w.Close,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return io.NopCloser(&out), nil
}

// Import reads the archive to its end before anything shows.
func (s *memoryStore) Import(ctx context.Context, object id.Object, r io.Reader) (storage.ObjectInfo, error) {
	if _, err := id.ParseObject(string(object)); err != nil {
		return storage.ObjectInfo{}, err
	}
	f, err := s.hold()
	if err != nil {
		return storage.ObjectInfo{}, err
	}
	station := f.station
	f.mu.Unlock()
	data, err := readAll(ctx, r)
	if err != nil {
		return storage.ObjectInfo{}, err
	}
	in := &imported{station: station, record: &record{own: map[uint64]uint64{}, state: map[string]storage.StateChange{}, files: map[string]content{}}}
	if err := archive.Read(bytes.NewReader(data), in); err != nil {
		return storage.ObjectInfo{}, err
	}
	if f, err = s.hold(); err != nil {
		return storage.ObjectInfo{}, err
	}
	defer f.mu.Unlock()
	if f.objects[object] != nil {
		return storage.ObjectInfo{}, errs.New(errs.Conflict, "object_exists", "There is an object %q already.", object)
	}
	in.record.info.Object = object
	f.objects[object] = in.record
	for _, c := range in.record.state {
		f.high = max(f.high, c.Stamp.Time)
	}
	for boot := range in.record.own {
		f.floor = max(f.floor, boot)
	}
	return in.record.info, nil
}

// imported is what an archive was read into.
type imported struct {
	station id.Station
	record  *record
}

func (m *imported) Begin(h archive.Header) error {
	m.record.info = storage.ObjectInfo{Incarnation: h.Incarnation, Sequence: h.Sequence, Head: h.Head}
	m.record.epoch = h.HomeEpoch
	return nil
}

func (m *imported) State(c storage.StateChange) error {
	m.record.state[c.Key] = c
	return nil
}

func (m *imported) Version(v storage.Version) error {
	m.record.versions = append(m.record.versions, v)
	if v.Number == m.record.info.Head {
		m.record.info.Hash = v.Hash
	}
	return nil
}

func (m *imported) File(f storage.File, r io.Reader) error {
	var data strings.Builder
	if _, err := io.Copy(&data, r); err != nil {
		return err
	}
	m.record.files[f.Name] = content{File: f, data: []byte(data.String())}
	return nil
}

func (m *imported) Entry(e storage.Entry) error {
	m.record.entries = append(m.record.entries, e)
	if e.ID.Station == m.station {
		m.record.own[e.ID.Boot] = max(m.record.own[e.ID.Boot], e.ID.Sequence)
	}
	return nil
}

package kv

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"slices"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/archive"
)

// Export implements storage.Storage: the keys and the lists of one moment, and
// then what they name, of spaces that stay until the stream is closed.
func (s *Store) Export(_ context.Context, object id.Object) (io.ReadCloser, error) {
	e := &export{s: s, object: object}
	if err := s.find(e.look); err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	go func() {
		defer e.release()
		w.CloseWithError(e.write(w))
	}()
	return r, nil
}

// export is an object at one moment.
type export struct {
	s        *Store
	object   id.Object
	rec      record
	state    []storage.StateChange
	versions []storage.Version // oldest first
	files    []storage.File
	bytes    map[string]uint64 // the spaces of the files, by their names
	pinned   []uint64
}

func (e *export) look(r Reader, pin func(uint64)) error {
	rec, err := readRecord(r, e.object)
	if err != nil {
		return err
	}
	if rec == nil {
		return errs.New(errs.NotFound, "", "There is no object %q.", e.object)
	}
	e.rec, e.bytes = *rec, map[string]uint64{}
	keep := func(space uint64) {
		pin(space)
		e.pinned = append(e.pinned, space)
	}
	keep(rec.space)
	if e.state, err = readState(r, e.object, rec.space); err != nil {
		return err
	}
	if e.versions, err = readVersions(r, e.object, rec.space, 0, math.MaxInt); err != nil {
		return err
	}
	slices.Reverse(e.versions)
	from := rowKey(rec.space, fileRow, "")
	bad := false
	if err := r.Range(from, after(from), false, func(_, v []byte) bool {
		f, ok := parseFile(v)
		if bad = !ok; bad {
			return false
		}
		e.files = append(e.files, f.File)
		if f.bytes != 0 {
			e.bytes[f.Name] = f.bytes
			keep(f.bytes)
		}
		return true
	}); err != nil {
		return err
	}
	if bad {
		return corrupt(e.object, "the row of a file cannot be read")
	}
	return nil
}

func (e *export) release() {
	for _, space := range e.pinned {
		e.s.release(space)
	}
}

func (e *export) write(to io.Writer) error {
	w, err := archive.NewWriter(to, archive.Header{
		Object: e.object, Incarnation: e.rec.Incarnation, Sequence: e.rec.Sequence, HomeEpoch: e.rec.HomeEpoch, Head: e.rec.Head,
	})
	if err != nil {
		return err
	}
	if err := w.State(e.state); err != nil {
		return err
	}
	e.state = nil
	if err := w.Versions(e.versions, e.source); err != nil {
		return err
	}
	if err := w.Files(e.files, e.content); err != nil {
		return err
	}
	if err := e.entries(w); err != nil {
		return err
	}
	return w.Close()
}

func (e *export) source(number uint64) (source []byte, err error) {
	i, _ := slices.BinarySearchFunc(e.versions, number, func(v storage.Version, n uint64) int { return cmp.Compare(v.Number, n) })
	err = e.s.view(func(r Reader) error {
		source, err = readSource(r, e.object, e.rec.space, &e.versions[i])
		return err
	})
	return source, err
}

func (e *export) content(f *storage.File) (io.ReadCloser, error) {
	space := e.bytes[f.Name]
	e.s.pin(space)
	return e.s.read(context.Background(), e.object, space, f.Size, f.Hash, 0), nil
}

// entries writes the log, a page of it in each transaction.
func (e *export) entries(w *archive.Writer) error {
	for at := uint64(0); at < e.rec.entries; {
		page, err := e.page(at)
		if err != nil {
			return err
		}
		at += uint64(len(page))
		for i := range page {
			if err := w.Entry(&page[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// page gives entries from a position on, one at least.
func (e *export) page(at uint64) (page []storage.Entry, err error) {
	var bad error
	size := 0
	err = e.s.view(func(r Reader) error {
		return r.Range(numberKey(e.rec.space, entryRow, at), numberKey(e.rec.space, entryRow, e.rec.entries), false, func(k, v []byte) bool {
			entry, ok := parseEntry(v)
			if !ok || binary.BigEndian.Uint64(k[rowPrefix:]) != at+uint64(len(page)) {
				bad = corrupt(e.object, "an entry of its log cannot be read")
				return false
			}
			page = append(page, entry)
			size += len(v)
			return len(page) < e.s.limits.pieceRows && size < e.s.limits.piece
		})
	})
	if err == nil {
		err = bad
	}
	if err == nil && len(page) == 0 {
		err = corrupt(e.object, "an entry of its log is not there")
	}
	return page, err
}

// Import implements storage.Storage: a life that is written into a space nobody
// finds, piece by piece, and becomes an object with the row that names it.
func (s *Store) Import(ctx context.Context, object id.Object, r io.Reader) (storage.ObjectInfo, error) {
	if _, err := id.ParseObject(string(object)); err != nil {
		return storage.ObjectInfo{}, err
	}
	if err := s.view(func(r Reader) error { return vacant(r, object) }); err != nil {
		return storage.ObjectInfo{}, err
	}
	in := &importer{pieces: pieces{s: s, ctx: ctx, op: "storage.Import"}, object: object}
	in.begin()
	err := archive.Read(r, in)
	if err == nil {
		err = in.flush()
	}
	if err == nil {
		err = s.place(in)
	}
	if err != nil {
		in.giveUp()
		return storage.ObjectInfo{}, readError(err)
	}
	s.release(in.space)
	return in.rec.info(object), nil
}

// place makes the import an object.
func (s *Store) place(in *importer) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	s.write.Lock()
	defer s.write.Unlock()
	err := s.change(in.place)
	if err == nil {
		s.observe(in.high)
	}
	return err
}

// vacant says that there is no object of that name.
func vacant(r Reader, object id.Object) error {
	row, err := r.Get(objectKey(object))
	if err == nil && row != nil {
		err = errs.New(errs.Conflict, "object_exists", "There is an object %q already. Import under another id.", object)
	}
	return err
}

// importer is the archive.Sink of an import.
type importer struct {
	pieces
	object id.Object
	rec    record
	sums   [storage.Buckets]storage.Sum
	floor  uint64 // the highest of this station's boots that an entry names
	high   hlc.Time
}

// Begin implements archive.Sink.
func (in *importer) Begin(h archive.Header) error {
	in.rec = record{Tip: storage.Tip{Incarnation: h.Incarnation, Sequence: h.Sequence, HomeEpoch: h.HomeEpoch, Head: h.Head}, space: in.space}
	return nil
}

func (in *importer) count(item string, sum storage.Sum) {
	in.sums[storage.Bucket(item)].Add(sum)
	in.rec.contents.Add(sum)
}

// State implements archive.Sink.
func (in *importer) State(c storage.StateChange) error {
	in.high = max(in.high, c.Stamp.Time)
	in.count(c.Key, storage.StateItem(in.object, in.rec.Incarnation, c.Key, c.Stamp))
	return in.put(rowKey(in.space, stateRow, c.Key), stateLine(&c))
}

// Version implements archive.Sink.
func (in *importer) Version(v storage.Version) error {
	if v.Number == in.rec.Head {
		in.rec.hash = v.Hash
	}
	if err := in.put(numberKey(in.space, versionRow, v.Number), versionLine(&v)); err != nil || len(v.Text) == 0 {
		return err
	}
	return in.put(numberKey(in.space, sourceRow, v.Number), v.Text)
}

// File implements archive.Sink. The row of a file is there before its bytes: it
// names them to the sweeper.
func (in *importer) File(f storage.File, r io.Reader) error {
	in.high = max(in.high, f.Stamp.Time)
	g := file{File: f}
	if !f.Deleted {
		g.bytes = in.s.reserve()
	}
	if err := in.put(rowKey(in.space, fileRow, f.Name), g.line()); err != nil || f.Deleted {
		return err
	}
	_, _, err := in.bytes(g.bytes, r)
	return err
}

// Entry implements archive.Sink.
func (in *importer) Entry(e storage.Entry) error {
	if e.ID.Station == in.s.station {
		in.floor = max(in.floor, e.ID.Boot)
	}
	item := e.ID.String()
	in.count(item, storage.LogItem(in.object, in.rec.Incarnation, []byte(item)))
	at := in.rec.entries
	in.rec.wrote(e.ID, in.s)
	return in.put(numberKey(in.space, entryRow, at), entryLine(in.rec.follow(&e), &e))
}

// place writes the rows that make the space an object.
func (in *importer) place(w Writer) error {
	if err := vacant(w, in.object); err != nil {
		return err
	}
	for b, sum := range in.sums {
		if sum == (storage.Sum{}) {
			continue
		}
		if err := w.Put(sumKey(in.space, uint8(b)), sum.AppendTo(nil)); err != nil {
			return err
		}
	}
	m, err := readMeta(w)
	if err != nil {
		return err
	}
	m.floor, m.high, m.next = max(m.floor, in.floor), max(m.high, in.high), in.s.next
	return errors.Join(
		m.put(w),
		addSums(w, map[string]*storage.Sum{string(bucketKey(storage.Bucket(string(in.object)))): &in.rec.contents}),
		w.Put(objectKey(in.object), in.rec.append(nil)),
		w.Delete(doomedKey(in.space)),
	)
}

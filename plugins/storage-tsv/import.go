package storagetsv

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/archive"
)

// An import writes an object's files into folders of its own beside those of the
// other objects, and syncs them. Its row in objects.tsv, once synced, is what makes
// it an object; then the folders are renamed into place. incoming/{id} stands from
// before the first file to after the last rename, so that a start knows where to
// look: it finishes an import whose row is there, and removes any other.

// importKinds are the folders that an import fills.
var importKinds = [...]string{"state", "logs", "versions", "files"}

func importDir(kind string, name id.Object) string { return kind + "/.import-" + string(name) }

func importMarker(name id.Object) string { return "incoming/" + string(name) }

// Import implements storage.Storage.
func (s *Store) Import(ctx context.Context, name id.Object, r io.Reader) (storage.ObjectInfo, error) {
	if _, err := id.ParseObject(string(name)); err != nil {
		return storage.ObjectInfo{}, err
	}
	if err := s.reserve(ctx, name); err != nil {
		return storage.ObjectInfo{}, err
	}
	defer s.unreserve(name)
	in := &importer{ctx: ctx, s: s, name: name}
	err := in.begin()
	if err == nil {
		err = archive.Read(r, in)
	}
	if err == nil {
		err = in.end()
	}
	if err == nil {
		return in.commit()
	}
	in.closeAll()
	return storage.ObjectInfo{}, in.failed(errors.Join(err, in.remove()))
}

// failed gives the error of an import of which nothing is left.
func (in *importer) failed(err error) error {
	if fe, ok := errors.AsType[fsyncError](err); ok {
		in.s.end(fe)
	}
	if e, ok := errors.AsType[*errs.Error](err); ok {
		return e
	}
	return errs.Wrap(errs.Unavailable, "storage.Import", err, "%s; nothing of object %q was imported.", diskSays(err), in.name)
}

// importPatience is how long an import waits for another one of the same object. One
// whose client broke off still removes what it wrote when that client sends it again.
const importPatience = 2 * time.Second

// reserve keeps the name of an object that there is not for an import.
func (s *Store) reserve(ctx context.Context, name id.Object) error {
	late := time.After(importPatience)
	for {
		runs, err := s.reserved(name)
		if err != nil || runs == nil {
			return err
		}
		select {
		case <-runs:
		case <-late:
			return errs.New(errs.Conflict, "import_runs", "Object %q is being imported.", name)
		case <-ctx.Done():
			return errs.Wrap(errs.Unavailable, "storage.Import", ctx.Err(), "The import was given up before it began.")
		}
	}
}

// reserved keeps the name, or gives the import that has it: a channel that is closed
// when that is over.
func (s *Store) reserved(name id.Object) (runs <-chan struct{}, err error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	s.journalMu.Lock()
	defer s.journalMu.Unlock()
	if s.objects.get(name) != nil {
		return nil, errs.New(errs.Conflict, "object_exists", "There is an object %q already. Import under another id.", name)
	}
	if runs := s.importing[name]; runs != nil {
		return runs, nil
	}
	if s.importing == nil {
		s.importing = map[id.Object]chan struct{}{}
	}
	s.importing[name] = make(chan struct{})
	return nil, nil
}

func (s *Store) unreserve(name id.Object) {
	s.journalMu.Lock()
	defer s.journalMu.Unlock()
	close(s.importing[name])
	delete(s.importing, name)
}

// importer is the archive.Sink of an import.
type importer struct {
	ctx  context.Context
	s    *Store
	name id.Object

	tip      tip
	own      uint64 // the highest sequence of an entry of this station's present boot
	boot     uint64 // the highest of this station's boots that an entry names
	sums     buckets
	state    *sequential
	versions *sequential
	files    *sequential
	log      *sequential
	buffer   *bufio.Writer // of the files, which come one after the other; nil before the first
}

// sequential is a file that is written from its begin to its end.
type sequential struct {
	name string
	f    file
	at   int64
	*bufio.Writer
}

// importWriter is the io.Writer of a sequential.
type importWriter struct{ q *sequential }

func (w importWriter) Write(b []byte) (int, error) {
	n, err := w.q.f.WriteAt(b, w.q.at)
	w.q.at += int64(n)
	return n, err
}

// create begins a file, with a buffer that is not in use, or else a new one.
func (in *importer) create(name, header string, buffer *bufio.Writer) (*sequential, error) {
	f, err := in.s.fs.Open(name, toCreate)
	if err != nil {
		return nil, err
	}
	if buffer == nil {
		buffer = bufio.NewWriterSize(nil, uploadChunk)
	}
	q := &sequential{name: name, f: f, Writer: buffer}
	q.Reset(importWriter{q})
	_, err = q.WriteString(header)
	return q, err
}

// text writes a file that is in memory, and syncs it.
func (in *importer) text(name string, b []byte) error {
	f, err := in.s.fs.Open(name, toCreate)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return fsyncError{err}
	}
	return f.Close()
}

// finish syncs a file, if it was begun.
func (q *sequential) finish() error {
	if q == nil || q.f == nil {
		return nil
	}
	err := q.Flush()
	if err == nil {
		if err = q.f.Sync(); err != nil {
			err = fsyncError{err}
		}
	}
	err = errors.Join(err, q.f.Close())
	q.f = nil
	return err
}

func (in *importer) closeAll() {
	for _, q := range [...]*sequential{in.state, in.versions, in.files, in.log} {
		if q != nil && q.f != nil {
			_ = q.f.Close() // it is going to be removed
			q.f = nil
		}
	}
}

// begin makes the marker and the folders, empty.
func (in *importer) begin() error {
	if err := in.s.fs.Mkdir("incoming"); err != nil {
		return err
	}
	f, err := in.s.fs.Open(importMarker(in.name), toCreate)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Close(), in.s.fs.SyncDir("incoming"), in.s.fs.SyncDir(".")); err != nil {
		return err
	}
	for _, kind := range importKinds {
		if err := in.s.removeTree(importDir(kind, in.name)); err != nil {
			return err
		}
		if err := in.s.fs.Mkdir(importDir(kind, in.name)); err != nil {
			return err
		}
	}
	return nil
}

// Begin implements archive.Sink.
func (in *importer) Begin(h archive.Header) (err error) {
	in.tip = tip{incarnation: h.Incarnation, sequence: h.Sequence, epoch: h.HomeEpoch, head: h.Head, summed: true}
	in.sums.sequence = h.Sequence
	for _, part := range [...]struct {
		q      **sequential
		name   string
		header string
	}{
		{&in.state, importDir("state", in.name) + "/" + base.file(), stateHeader},
		{&in.versions, importDir("versions", in.name) + "/metadata.tsv", versionsHeader},
		{&in.files, importDir("files", in.name) + "/" + indexFile, indexHeader},
		{&in.log, importDir("logs", in.name) + "/log.tsv", logHeader},
	} {
		if *part.q, err = in.create(part.name, part.header, nil); err != nil {
			return err
		}
	}
	return nil
}

func (in *importer) add(item string, sum storage.Sum) {
	in.sums.sums[storage.Bucket(item)].Add(sum)
}

// State implements archive.Sink.
func (in *importer) State(c storage.StateChange) error {
	in.tip.high = max(in.tip.high, c.Stamp.Time)
	in.add(c.Key, storage.StateItem(in.name, in.tip.incarnation, c.Key, c.Stamp))
	_, err := in.state.Write(seal(appendChange(nil, &c), 0))
	return err
}

// Version implements archive.Sink.
func (in *importer) Version(v storage.Version) error {
	if v.Number == in.tip.head {
		in.tip.hash = v.Hash
	}
	if err := in.text(importDir("versions", in.name)+"/"+versionFile(v.Number), v.Text); err != nil {
		return err
	}
	_, err := in.versions.Write(seal(appendVersion(nil, &v), 0))
	return err
}

// File implements archive.Sink.
func (in *importer) File(f storage.File, content io.Reader) error {
	in.tip.high = max(in.tip.high, f.Stamp.Time)
	if !f.Deleted {
		q, err := in.create(importDir("files", in.name)+"/"+diskName(f.Name), "", in.buffer)
		if err != nil {
			return err
		}
		in.buffer = q.Writer
		if _, err := io.Copy(q, content); err != nil {
			return errors.Join(err, q.f.Close())
		}
		if err := q.finish(); err != nil {
			return err
		}
	}
	_, err := in.files.Write(seal(appendFile(nil, &f), 0))
	return err
}

// Entry implements archive.Sink.
func (in *importer) Entry(e storage.Entry) error {
	if err := in.ctx.Err(); err != nil {
		return errs.Wrap(errs.Unavailable, "storage.Import", err, "The import was given up before its end.")
	}
	if e.ID.Station == in.s.station {
		in.boot = max(in.boot, e.ID.Boot)
		if e.ID.Boot == in.s.boot {
			in.own = max(in.own, e.ID.Sequence)
		}
	}
	item := e.ID.String()
	in.add(item, storage.LogItem(in.name, in.tip.incarnation, []byte(item)))
	_, err := in.log.Write(seal(appendEntry(nil, &e), 0))
	return err
}

// end makes all files durable, and their names.
func (in *importer) end() error {
	in.tip.digest = in.sums.digest().Sum
	at := in.state.at + int64(in.state.Buffered())
	if _, err := in.state.Write(appendSeal(nil, at)); err != nil {
		return err
	}
	wrote := in.text(importDir("state", in.name)+"/digest.tsv", encodeBuckets(&in.sums))
	if err := errors.Join(wrote, in.state.finish(), in.versions.finish(), in.files.finish(), in.log.finish()); err != nil {
		return err
	}
	for _, kind := range importKinds {
		if err := in.s.fs.SyncDir(importDir(kind, in.name)); err != nil {
			return err
		}
		if err := in.s.fs.SyncDir(kind); err != nil {
			return err
		}
	}
	return nil
}

// remove drops what an import that did not come to its end has left.
func (in *importer) remove() error { return in.s.dropImport(in.name) }

func (s *Store) dropImport(name id.Object) error {
	for _, kind := range importKinds {
		if err := s.removeTree(importDir(kind, name)); err != nil {
			return err
		}
		if err := s.fs.SyncDir(kind); err != nil { // before the marker goes, which leads here
			return err
		}
	}
	return unlessMissing(s.fs.Remove(importMarker(name)))
}

// removeTree removes a folder of files.
func (s *Store) removeTree(dir string) error {
	names, err := s.fs.ReadDir(dir)
	if err != nil {
		return unlessMissing(err)
	}
	for _, n := range names {
		if err := s.fs.Remove(dir + "/" + n); err != nil {
			return err
		}
	}
	return s.fs.Remove(dir)
}

// commit makes the import an object. From its row on there is no way back: where
// what follows fails the store ends, and the next start goes on with it.
func (in *importer) commit() (storage.ObjectInfo, error) {
	s := in.s
	if err := s.enter(); err != nil {
		return storage.ObjectInfo{}, errors.Join(err, in.remove())
	}
	defer s.leave()
	s.rowsMu.Lock()
	defer s.rowsMu.Unlock()
	s.uploads.preparing.Lock() // no upload makes a folder in the place of one that is renamed to it
	defer s.uploads.preparing.Unlock()
	err := in.clear()
	if err == nil && in.boot > max(s.boot, s.bootFloor) {
		s.bootFloor = in.boot
		err = s.writeStation()
	}
	if err != nil {
		return storage.ObjectInfo{}, in.failed(errors.Join(err, in.remove()))
	}
	if _, _, err := s.appendLines(objectsFile, objectsHeader, seal(appendRow(nil, in.name, &in.tip), 0)); err != nil {
		return storage.ObjectInfo{}, in.failed(errors.Join(err, in.remove()))
	}
	s.carrier.rows++
	if err = s.syncFile(objectsFile); err == nil {
		err = s.placeImport(in.name)
	}
	if err != nil {
		s.end(err)
		return storage.ObjectInfo{}, errs.Wrap(errs.Unknown, "storage.Import", err, "%s; object %q may be there after the next start.", diskSays(err), in.name)
	}
	return in.publish(), nil
}

// clear moves aside what stands where the object's folders belong: it is no
// object's. Uploads that lie there are forgotten, the whole ones and the others.
func (in *importer) clear() error {
	s := in.s
	for _, kind := range importKinds {
		dir := kind + "/" + string(in.name)
		if _, err := s.fs.ReadDir(dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		to, err := s.asideName(kind + "-" + string(in.name))
		if err != nil {
			return err
		}
		if err := s.fs.Rename(dir, to); err != nil {
			return err
		}
		s.log.Warn("a folder of no object is in the way of an import; it was moved aside", "folder", dir, "moved_to", to)
		s.damage.unsynced.Store(true)
	}
	s.uploads.drop(in.name)
	return s.syncDamaged()
}

// placeImport renames the folders of an import into place, those that are not
// there yet.
func (s *Store) placeImport(name id.Object) error {
	for _, kind := range importKinds {
		err := s.fs.Rename(importDir(kind, name), kind+"/"+string(name))
		if err := unlessMissing(err); err != nil {
			return err
		}
		if err := s.fs.SyncDir(kind); err != nil {
			return err
		}
	}
	return unlessMissing(s.fs.Remove(importMarker(name)))
}

// publish shows the object.
func (in *importer) publish() storage.ObjectInfo {
	s := in.s
	o := &object{id: in.name, held: in.tip.incarnation, own: in.own, carried: in.tip}
	s.journalMu.Lock()
	defer s.journalMu.Unlock()
	s.setTip(o, in.tip)
	s.objects.add(o)
	s.observe(max(in.tip.high, hlc.Time(s.high.Load())))
	return info(in.name, in.tip)
}

// finishImports brings the imports to their end that a process before began, or
// removes what is left of them.
func (s *Store) finishImports() error {
	names, err := s.fs.ReadDir("incoming")
	if err != nil {
		return unlessMissing(err)
	}
	for _, n := range names {
		name, err := id.ParseObject(n)
		if err != nil {
			continue
		}
		began := time.Now()
		if s.objects.get(name) == nil {
			err = s.dropImport(name)
			s.log.Warn("an import did not come to its end; what it left is removed", "object", name, "error", err)
		} else {
			err = s.placeImport(name)
			s.log.Info("an import was brought to its end", "object", name, "took", time.Since(began), "error", err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

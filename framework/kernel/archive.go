package kernel

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/archive"
)

// The most exports and imports at once. Each may hold the state of an object in
// memory, or the lists of its versions and files, here or in storage.
const (
	MaxExports = 8
	MaxImports = 4
)

// archives is what objects are exported from and imported into.
type archives interface {
	Boot(ctx context.Context) (storage.Boot, error)
	Export(ctx context.Context, object id.Object) (io.ReadCloser, error)
	Import(ctx context.Context, object id.Object, r io.Reader) (storage.ObjectInfo, error)
}

// Export implements host.Host.
func (h *Host) Export(ctx context.Context, object id.Object) (io.ReadCloser, error) {
	s, err := h.look(object)
	switch {
	case err != nil:
		return nil, err
	case s.program == nil:
		return nil, errs.New(errs.Conflict, "module", "%q is a module: take its file %s.", object, s.info.Path)
	}
	if err := take(h.streams.exports, "exports %d objects"); err != nil {
		return nil, err
	}
	r, err := h.archives.Export(ctx, object)
	if errs.Is(err, errs.NotFound) { // its script could not be stored so far
		err = errs.Wrap(errs.Unavailable, "kernel.Export", err, "Nothing is stored of the object %q yet; its metadata says why.", object)
	}
	return streaming(h.streams.exports, r, err)
}

// Import implements host.Host.
func (h *Host) Import(ctx context.Context, object id.Object, r io.Reader) (host.Published, error) {
	if _, err := id.ParseObject(string(object)); err != nil {
		return host.Published{}, err
	}
	if err := take(h.streams.imports, "imports %d objects"); err != nil {
		return host.Published{}, err
	}
	defer give(h.streams.imports)
	return h.objects.receive(ctx, h.archives, object, r)
}

// receive makes an object of an archive and puts it into service. The object is
// reserved meanwhile rather than locked: a client may take its time, and other
// objects, and modules, must not wait for it.
func (o *objects) receive(ctx context.Context, to archives, object id.Object, r io.Reader) (host.Published, error) {
	boot, err := to.Boot(ctx)
	if err != nil {
		return host.Published{}, err
	}
	if err := o.reserve(ctx, object); err != nil {
		return host.Published{}, err
	}
	e := &examiner{o: o, object: object, boot: boot.Number}
	sent, err := pass(ctx, to, object, r, e)
	// What was sent whole may be stored, and is then in service, whether or not
	// the client is still there.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	defer o.lock(newPlace(object))()
	o.mu.Lock()
	close(o.importing[object])
	delete(o.importing, object)
	o.mu.Unlock()
	if err != nil && (!sent || !transient(err)) {
		return host.Published{}, imported(err)
	}
	return o.adopt(ctx, object, e, err)
}

// importPatience is how long an import waits for another one of the same object. One
// whose client broke off may not have come to its end when that client sends it again.
const importPatience = 2 * time.Second

// reserve keeps everybody else from making an object that does not exist yet.
func (o *objects) reserve(ctx context.Context, object id.Object) error {
	late := time.After(importPatience)
	for {
		err := o.reserveNow(ctx, object)
		o.mu.RLock()
		runs := o.importing[object]
		o.mu.RUnlock()
		if err == nil || errs.From(err).CodeOf() != importRuns {
			return err
		}
		if runs == nil { // it is over since it was looked at
			continue
		}
		select {
		case <-runs:
		case <-late:
			return err
		case <-ctx.Done():
			return errs.Wrap(errs.Unavailable, "kernel.Import", ctx.Err(), "The import was given up before it began.")
		}
	}
}

// importRuns is the code of the error that an object is being imported.
const importRuns = "import_runs"

func (o *objects) reserveNow(ctx context.Context, object id.Object) error {
	defer o.lock(newPlace(object))()
	if err := o.decide(ctx, object); err != nil {
		return err
	}
	at, err := o.placeOfObject(object)
	if err != nil {
		return err
	}
	info, err := o.dispatch.Info(ctx, object)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch _, owned := o.paths[object]; {
	case owned:
		return exists("There is an object %q already, with the script %s. Import under another id.", object, at.path)
	case info.Hash != "":
		return exists("There is an object %q whose script was removed. Import under another id.", object)
	case info.Sequence > 0:
		return exists("There was an object %q on this station, and what it was is not made again under its id. Import under another id.", object)
	}
	o.importing[object] = make(chan struct{})
	return nil
}

func exists(format string, args ...any) error {
	return errs.New(errs.Conflict, "object_exists", format, args...)
}

// pass examines an archive and hands it to storage as it comes. The end of it is
// passed on once all of it has been found good: storage, which makes an object of
// what it read to the end alone, makes none of any other. sent says that it was
// passed on whole; an error leaves nothing where it was not.
func pass(ctx context.Context, to archives, object id.Object, r io.Reader, e *examiner) (sent bool, err error) {
	storing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	stay := context.AfterFunc(ctx, stop)
	pr, pw := io.Pipe()
	stored := make(chan error, 1)
	go func() {
		_, err := to.Import(storing, object, pr)
		_ = pr.CloseWithError(err) // nobody writes to who does not read
		stored <- err
	}()
	from := &source{r: r}
	if err = archive.Read(io.TeeReader(from, pw), e); err == nil {
		err = e.end()
	}
	if err == nil && !stay() {
		err = errs.Wrap(errs.Unavailable, "kernel.Import", ctx.Err(), "The import was given up before its end.")
	}
	if from.err != nil {
		err = from.err
	}
	if err != nil {
		_ = pw.CloseWithError(err)
		<-stored //nolint:errcheck // it repeats err
		return false, err
	}
	_ = pw.Close()
	return true, <-stored // its answer or its death decide, however long a large log takes to be synced
}

// source remembers why r could not be read: where that is wrapped it says that the
// archive was cut.
type source struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// imported gives the error of an import of which nothing is left: what is wrong with
// an archive is the client's to mend, and no damage here.
func imported(err error) error {
	if e := errs.From(err); e.Kind == errs.Corrupt || e.Kind == errs.Invalid {
		return &errs.Error{Kind: errs.Invalid, Code: "bad_archive", Message: e.Text(), Op: "kernel.Import", Err: errors.Unwrap(e)}
	}
	return err
}

// adopt puts an object that was imported into service, and writes its file. open is
// why it is not known whether storage has it, and nil where it has. The caller has
// the lock.
func (o *objects) adopt(ctx context.Context, object id.Object, e *examiner, open error) (host.Published, error) {
	at := newPlace(object)
	var info storage.ObjectInfo
	err := persist(ctx, func() (err error) { info, err = o.dispatch.Imported(ctx, object, e.high); return err })
	if err == nil && info.Sequence == 0 {
		return host.Published{}, errs.Wrap(errs.Unavailable, "kernel.Import", open, "Storage failed before the object %q was imported, and nothing of it was; try again.", object)
	}
	if err == nil {
		err = persist(ctx, func() error { return o.serveImport(ctx, at) })
	}
	if err != nil {
		o.again(ctx, at.path, retryPause)
		return host.Published{}, errs.Wrap(errs.Unknown, "kernel.Import", errors.Join(err, open), "Storage does not say whether the object %q was imported; look for it once storage answers.", object)
	}
	s, err := o.find(object)
	if err != nil {
		return host.Published{}, errs.Wrap(errs.Unavailable, "kernel.Import", err, "The object %q was imported, but a module that it needs has changed meanwhile, so it is out of service: put a source.", object)
	}
	o.log.Info("object was imported", "object", object, "from", e.header.Object, "path", at.path, "version", s.source.Version)
	return host.Published{Version: s.source.Version, Hash: s.source.Hash, Minted: s.source.Version != e.header.Head}, nil
}

// serveImport brings an object into service that storage has and that has no file.
func (o *objects) serveImport(ctx context.Context, at place) error {
	if o.folder != nil {
		return o.written(ctx, at)
	}
	info, err := o.dispatch.Info(ctx, at.object)
	if err != nil {
		return err
	}
	info.Object = at.object
	return o.reconcile(ctx, at, nil, info)
}

func badArchive(format string, args ...any) error {
	return errs.New(errs.Invalid, "bad_archive", format, args...)
}

package kernel

import (
	"io"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/archive"
)

// maxNumber is the highest number that an archive may name: of a sequence, a version,
// a boot and so on. JSON holds numbers up to twice of it, so that as many may follow.
const maxNumber = 1 << 52

// maxBootAhead is how far the boots of this station that an archive names may be ahead
// of its present one: the next boot, which every entry of every object has in its id,
// follows them, and all archives that are made later have to be good ones.
const maxBootAhead = 1 << 32

// maxAhead is how far the stamps of an archive may be ahead of the station's clock,
// which follows them: one of the year 9999 would stop it for good.
const maxAhead = time.Minute

// examiner is the archive.Sink that finds out whether a station can have the object
// of an archive. It keeps nothing of it.
type examiner struct {
	o      *objects
	object id.Object
	boot   uint64 // the present one of this station

	header archive.Header
	high   hlc.Time // the highest stamp
	last   uint64   // number of the last version
	state  int      // bytes, see dispatch.StateSize
	gone   int      // bytes of keys that were deleted
	bytes  int64    // of files
	count  int      // of files
}

var _ archive.Sink = (*examiner)(nil)

func importTooLarge(format string, args ...any) error {
	return errs.New(errs.TooLarge, "import_too_large", format, args...)
}

// check is what storage would say of a commit with that in it.
func (e *examiner) check(c storage.Commit) error {
	c.Object, c.Incarnation, c.Sequence, c.Stamp = e.object, 1, 1, hlc.Stamp{Time: 1, Station: "s"}
	return storage.CheckCommit(&c)
}

func numbers(what string, list ...uint64) error {
	for _, n := range list {
		if n > maxNumber {
			return badArchive("The archive names %s with the number %d; the highest is %d.", what, n, uint64(maxNumber))
		}
	}
	return nil
}

// stamp notes the stamp of a change.
func (e *examiner) stamp(s hlc.Stamp, what, name string) error {
	if s.Time > hlc.At(time.Now().Add(maxAhead)) {
		return badArchive("The %s %q was changed at %s, which is in the future by this station's clock: set the clock right, or import later.",
			what, name, s.Time.Wall().Format(time.RFC3339))
	}
	e.high = max(e.high, s.Time)
	return nil
}

// Begin implements archive.Sink.
func (e *examiner) Begin(h archive.Header) error {
	e.header = h
	if h.Head == 0 {
		return badArchive("The archive of %q holds no source.", h.Object)
	}
	if h.HomeEpoch != 0 { // no commit of this station would follow
		return badArchive("The archive of %q is of an object that has its home in a cluster; this station is in none.", h.Object)
	}
	return numbers("its object", h.Incarnation, h.Sequence, h.Head)
}

// State implements archive.Sink.
func (e *examiner) State(c storage.StateChange) error {
	if err := e.check(storage.Commit{State: []storage.StateChange{c}}); err != nil {
		return err
	}
	if limit := e.o.limits.Value; len(c.Value) > limit {
		return importTooLarge("The value of the key %q has %d bytes; a value may have %d.", c.Key, len(c.Value), limit)
	}
	size := &e.state
	if c.Deleted { // it is no state, but whoever loads the object reads it
		size = &e.gone
	}
	*size += dispatch.StateSize(len(c.Key), len(c.Value))
	if limit := e.o.dispatch.Limits.State; *size > limit {
		return importTooLarge("The state of an object may have %d bytes, and as many of keys that are gone.", limit)
	}
	return e.stamp(c.Stamp, "key", c.Key)
}

// Version implements archive.Sink.
func (e *examiner) Version(v storage.Version) error {
	e.last = v.Number
	if err := e.check(storage.Commit{Version: &v}); err != nil {
		return err
	}
	for _, u := range v.Uses {
		if err := numbers("a module", u.Version); err != nil {
			return err
		}
	}
	if v.Number != e.header.Head {
		return numbers("a version", v.Number)
	}
	e.o.linking.RLock()
	modules := e.o.newestModules()
	e.o.linking.RUnlock()
	return e.o.loadsWith(v.Text, modules)
}

// loadsWith says why a text cannot be served with those modules. Errors: errs.Source.
func (o *objects) loadsWith(text []byte, modules luahost.Modules) error {
	vm, err := o.script(text, modules).load(nil)
	if err != nil {
		return err
	}
	vm.Close()
	return nil
}

// newest says why the versions are not all there.
func (e *examiner) newest() error {
	if e.last != e.header.Head {
		return badArchive("The newest version of the archive is %d, and its source ends with version %d.", e.header.Head, e.last)
	}
	return nil
}

// File implements archive.Sink.
func (e *examiner) File(f storage.File, content io.Reader) error {
	if err := e.newest(); err != nil {
		return err
	}
	if err := e.stamp(f.Stamp, "file", f.Name); err != nil || f.Deleted {
		return err
	}
	e.count++
	e.bytes += f.Size
	switch l := e.o.dispatch.Limits; {
	case f.Size > l.File:
		return importTooLarge("The file %q has %d bytes; a file may have %d.", f.Name, f.Size, l.File)
	case e.bytes > l.Files:
		return importTooLarge("The files of an object may have %d bytes together.", l.Files)
	case e.count > l.FileCount:
		return importTooLarge("An object may have %d files.", l.FileCount)
	}
	_, err := io.Copy(io.Discard, content) // all of it, which is when it is known to be whole
	return err
}

// Entry implements archive.Sink.
func (e *examiner) Entry(entry storage.Entry) error {
	if err := e.newest(); err != nil {
		return err
	}
	if err := numbers("a log entry", entry.ID.Boot, entry.ID.Sequence); err != nil {
		return err
	}
	if most := e.boot + maxBootAhead; entry.ID.Station == e.o.dispatch.Station && entry.ID.Boot > most {
		return badArchive("The archive names the boot %d of this station, which is at its boot %d; the highest that it can go on from is %d.", entry.ID.Boot, e.boot, most)
	}
	if limit := e.o.dispatch.Limits.Staged; len(entry.Message)+len(entry.Fields) > limit {
		return importTooLarge("The log entry %s is larger than %d bytes.", entry.ID, limit)
	}
	return e.check(storage.Commit{Entries: []storage.Entry{entry}})
}

// end says whether what has come is an object.
func (e *examiner) end() error { return e.newest() }

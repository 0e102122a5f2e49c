// Package importer stores what package prototype reads: each object of a data
// folder of the Python prototype becomes an object of a station, whole or not at
// all.
package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dbbasic/station/framework/prototype"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Store is what an import needs of a storage.Storage.
type Store interface {
	Boot(ctx context.Context) (storage.Boot, error)
	Objects(ctx context.Context, q storage.ObjectsQuery) ([]storage.ObjectInfo, error)
	Import(ctx context.Context, object id.Object, r io.Reader) (storage.ObjectInfo, error)
}

// Options is how to import.
type Options struct {
	Station  id.Station                        // whose stamps and entry ids the objects get
	Clock    *hlc.Clock                        // begins after the store's Boot.High
	Progress func(object id.Object, sum int64) // called as the import goes on, with what has been done of Size; may be nil
}

// Size is how much there is to do for a folder, in bytes: a source text and a
// file are read twice, first for their hash.
func Size(folder *prototype.Folder) int64 {
	var n int64
	for _, o := range folder.Objects() {
		n += size(o)
	}
	return n
}

func size(o *prototype.Object) int64 {
	return o.StateBytes + o.LogBytes + 2*o.VersionBytes + 2*o.FileBytes
}

// Run imports the objects of a folder in the order of their ids and says in the
// report what became of each. An object that the store has already is not
// touched, and one that cannot be read or that the store refuses is left; the
// others are taken. Where ctx ends, the object in hand is brought to its end and
// the rest is left. An object that was left can be imported by another Run.
//
// A state key has the stamp of its row's time, if it has one that is not in the
// future, or else that of the import. Log entries have new ids, in the order of the log.
//
// Errors: the end of ctx; a store that fails for a reason which is not the
// object's, after which nothing more is tried.
func Run(ctx context.Context, folder *prototype.Folder, report *prototype.Report, store Store, opts Options) error {
	boot, stopped := store.Boot(ctx)
	var taken map[id.Object]bool
	if stopped == nil {
		taken, stopped = objects(ctx, store)
	}
	r := &run{Options: opts, report: report, store: store, boot: boot.Number}
	for _, o := range folder.Objects() {
		if stopped == nil {
			stopped = context.Cause(ctx)
		}
		switch {
		case taken[o.ID]:
			report.Refuse(o, "the station has an object of this id already, which was not touched")
		case stopped != nil:
			report.Refuse(o, "the import stopped before it: import again")
		default:
			stopped = r.object(context.WithoutCancel(ctx), o)
		}
		r.done += size(o)
		r.progress(o.ID, 0)
	}
	return stopped
}

// objects gives the ids of all objects of the store.
func objects(ctx context.Context, store Store) (map[id.Object]bool, error) {
	all := map[id.Object]bool{}
	for q := (storage.ObjectsQuery{Limit: storage.MaxPage}); ; {
		page, err := store.Objects(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, info := range page {
			all[info.Object] = true
		}
		if len(page) < q.Limit {
			return all, nil
		}
		q.After = page[len(page)-1].Object
	}
}

// run is one call of Run.
type run struct {
	Options
	report *prototype.Report
	store  Store
	boot   uint64
	done   int64 // of the objects before the one in hand
}

func (r *run) progress(object id.Object, more int64) {
	if r.Progress != nil {
		r.Progress(object, r.done+more)
	}
}

// errGone is what the writer of an archive sees once the store has ended reading.
var errGone = errors.New("the store has stopped reading")

// object imports one object. An error is the store's own and ends the import;
// what is wrong with the object is in the report.
func (r *run) object(ctx context.Context, o *prototype.Object) error {
	pr, pw := io.Pipe()
	wrote := make(chan error, 1)
	go func() {
		err := r.write(pw, o)
		pw.CloseWithError(err) // nil is the end of the archive
		wrote <- err
	}()
	_, err := r.store.Import(ctx, o.ID, pr)
	pr.CloseWithError(errGone)
	own := <-wrote
	if err == nil { // the store has read the archive to its end
		return nil
	}
	if own != nil && !errors.Is(own, errGone) {
		r.report.Refuse(o, text(own))
		return nil
	}
	switch errs.KindOf(err) {
	case errs.Conflict, errs.Invalid, errs.TooLarge, errs.Corrupt:
		r.report.Refuse(o, "the storage refused it: "+text(err))
		return nil
	case errs.Unknown:
		r.report.Refuse(o, "the storage failed, so that it is not known whether it was taken: import again, which says so")
	default:
		r.report.Refuse(o, "the storage failed: "+text(err))
	}
	return fmt.Errorf("object %s: %w", o.ID, err)
}

// text is what people are told of an error: with its cause, which says what
// the system found wrong.
func text(err error) string {
	e, ok := errors.AsType[*errs.Error](err)
	switch {
	case !ok:
		return err.Error()
	case e.Err == nil:
		return e.Text()
	}
	return strings.TrimSuffix(e.Text(), ".") + ": " + e.Err.Error()
}

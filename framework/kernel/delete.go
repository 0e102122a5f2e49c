package kernel

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/dbbasic/station/framework/catalogue"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

// Delete implements host.Host.
func (h *Host) Delete(ctx context.Context, d host.Deletion) error {
	if _, err := id.ParseObject(string(d.Object)); err != nil {
		return err
	}
	return h.objects.delete(ctx, d)
}

// delete ends an object. Its script's file is set aside before the deletion is
// stored and removed afterwards: whenever the station is killed, what is stored
// tells what becomes of the file, and the object does not come back from it.
func (o *objects) delete(ctx context.Context, d host.Deletion) error {
	at := newPlace(d.Object)
	defer o.lock(at)()
	if err := o.decide(ctx, d.Object); err != nil {
		return err
	}
	s, err := o.look(d.Object)
	if err == nil {
		at.path = s.info.Path
		if s.program == nil {
			return errs.New(errs.Conflict, "module", "%q is a module: remove its file %s.", d.Object, at.path)
		}
	}
	info, failed := o.dispatch.Info(ctx, d.Object)
	switch {
	case failed != nil:
		return failed
	case err != nil && info.Hash == "": // neither a script nor a version
		return err
	case d.IfMatch != "" && d.IfMatch != info.Hash:
		return errs.New(errs.Precondition, "", "The newest version of %q is %d, and not the one that was to be deleted: look at it first.", d.Object, info.Head)
	}
	aside := catalogue.Aside{Path: at.path, Life: max(info.Incarnation, 1) + 1}
	if err := o.setAside(aside); err != nil {
		return err
	}
	o.mu.Lock()
	o.ending[d.Object] = aside
	o.mu.Unlock()
	if err = o.dispatch.Delete(ctx, d.Object); err != nil {
		if open := o.decide(ctx, d.Object); open != nil {
			o.log.Warn("it is not known yet whether an object was deleted", "object", d.Object, "path", at.path, "error", open)
			o.again(ctx, at.path, retryPause)
		}
		return err
	}
	o.ended(d.Object)
	o.again(ctx, at.path, 0) // for a text that was saved meanwhile, and another script that waits for the id
	return nil
}

// setAside takes the file out of its place that an object's deletion removes. A text
// that nobody has looked at yet stays: it was saved meanwhile.
func (o *objects) setAside(a catalogue.Aside) error {
	if object, _, err := catalogue.Name(a.Path); err == nil && o.inside[object] {
		return errs.New(errs.Conflict, "no_file", "The script of %q lies inside this station's program, and would be back at its next start: write the scripts out with \"station init\".", object)
	}
	if o.folder == nil { // it has no file
		return nil
	}
	file, err := o.folder.Read(a.Path)
	if err == nil {
		err = o.folder.SetAside(a, file.Text)
	}
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, catalogue.ErrChanging), errors.Is(err, catalogue.ErrNotReplaced):
		return nil
	}
	e := errs.New(errs.Unavailable, "file_in_the_way", "The file %s cannot be removed, so the object was not deleted; the station's log says why.", a.Path)
	e.Op, e.Err = "kernel.Delete", err
	return e
}

// decide finishes or takes back the deletion of an object of which storage has not
// said what became of it, where there is one. The caller has the lock. Errors:
// errs.Conflict for an object that is being imported, and what storage gives.
func (o *objects) decide(ctx context.Context, object id.Object) error {
	o.mu.RLock()
	aside, open := o.ending[object]
	s, serves := o.all[object]
	importing := o.importing[object]
	o.mu.RUnlock()
	if importing != nil {
		return errs.New(errs.Conflict, importRuns, "The object %q is being imported.", object)
	}
	if !open {
		return nil
	}
	info, err := o.dispatch.Info(ctx, object)
	if err != nil {
		return err
	}
	if info.Incarnation >= aside.Life {
		o.dispatch.Withdraw(object)
		o.ended(object)
		return nil
	}
	if o.folder != nil {
		if _, err := o.folder.PutBack(aside); err != nil {
			return err
		}
	}
	o.mu.Lock()
	delete(o.ending, object)
	o.mu.Unlock()
	if serves {
		o.serve(place{object: object, path: s.info.Path}, s.source.Version, s.source.Hash, s.uses, s.program)
	}
	return nil
}

const leftAside = "the file of a deleted object is left under a hidden name, and goes at the next start"

// ended takes a deleted object out of the list, and removes its file for good.
func (o *objects) ended(object id.Object) {
	o.drop(object)
	o.mu.Lock()
	aside := o.ending[object]
	delete(o.ending, object)
	delete(o.troubles, object)
	delete(o.paths, object)
	o.mu.Unlock()
	var err error
	if o.folder != nil {
		err = o.folder.Discard(aside)
	}
	if err != nil {
		o.log.Warn(leftAside, "object", object, "path", aside.Path, "error", err)
	}
	o.log.Info("object was deleted", "object", object, "path", aside.Path)
}

// again has a path looked at again, where files are watched, also for a caller whose
// time is over.
func (o *objects) again(ctx context.Context, path string, after time.Duration) {
	if o.watcher == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	o.watcher.Again(ctx, path, after)
}

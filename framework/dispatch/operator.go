package dispatch

import (
	"context"
	"encoding/json"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// operate makes what an operator changes one commit of an object in service, in the
// place and the time of a call, with one entry in the log that says what was done.
// wrote says, also beside an error, that the change may be stored or is.
func (d *Dispatcher) operate(ctx context.Context, name id.Object, requestID string, change func(context.Context, *transaction) (done, error)) (wrote bool, err error) {
	o, err := d.inService(name)
	if err != nil {
		return false, err
	}
	began := time.Now()
	ctx, cancel := context.WithDeadline(ctx, callDeadline(began, time.Time{}, d.Limits))
	defer cancel()
	t := newTask(ctx, func(o *object) (*pending, error) {
		if err := o.refusal(); err != nil {
			return o.latest, err
		}
		tx := &transaction{o: o, now: began, requestID: requestID}
		what, err := change(ctx, tx)
		if err == nil {
			err = tx.note(what)
		}
		var p *pending
		if err == nil {
			p, err = o.commit(tx, requestID, 0)
		}
		if err != nil {
			tx.undo()
			return o.latest, ofRequest(err)
		}
		return p, nil
	})
	err = o.do(t)
	return t.wrote && (err == nil || !t.refused()), err
}

// done is what an operator did, for the object's log.
type done struct {
	message string
	fields  map[string]any
}

func (tx *transaction) note(what done) error {
	what.fields["by"] = "operator"
	fields, err := json.Marshal(what.fields)
	if err != nil {
		return errs.Wrap(errs.Internal, "dispatch.note", err, "")
	}
	return tx.append(storage.Info, what.message, fields)
}

// ofRequest gives the error of a limit as that of a request: no script met it.
func ofRequest(err error) error {
	if !errs.Is(err, errs.Limit) {
		return err
	}
	e := errs.From(err)
	return errs.New(errs.TooLarge, e.CodeOf(), "%s", e.Text())
}

// SetState sets a key; the value is as luahost.StateValue gives it. Errors are those
// of host.Host's SetState.
func (d *Dispatcher) SetState(ctx context.Context, s host.StateChange) error {
	_, err := d.operate(ctx, s.Object, s.RequestID, func(_ context.Context, tx *transaction) (done, error) {
		return done{"state set", map[string]any{"key": s.Key, "size": len(s.Value)}}, tx.Set(s.Key, s.Value)
	})
	return err
}

// DeleteState ends a key. Errors are those of host.Host's DeleteState.
func (d *Dispatcher) DeleteState(ctx context.Context, s host.StateDeletion) error {
	_, err := d.operate(ctx, s.Object, s.RequestID, func(_ context.Context, tx *transaction) (done, error) {
		if _, has := tx.Get(s.Key); !has {
			return done{}, noSuchKey(s.Key)
		}
		return done{"state deleted", map[string]any{"key": s.Key}}, tx.Delete(s.Key)
	})
	return err
}

func noSuchKey(key string) error {
	return errs.New(errs.NotFound, "no_such_key", "The object's state has no key %q.", key)
}

// TakesFile says why an object does not take a file, before there are its bytes, and
// gives the life of the object that does. Errors are those of host.Host's PutFile.
func (d *Dispatcher) TakesFile(ctx context.Context, f host.NewFile) (life uint64, err error) {
	o, err := d.inService(f.Object)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.Limits.Time)
	defer cancel()
	err = o.do(newTask(ctx, func(o *object) (*pending, error) {
		if err := o.refusal(); err != nil {
			return o.latest, err
		}
		_, err := (&transaction{o: o}).admits(ctx, f, 0)
		life = o.life()
		return o.latest, ofRequest(err)
	}))
	return life, err
}

// life is the number of the object's present life.
func (o *object) life() uint64 { return max(o.live.info.Incarnation, 1) }

// admits gives the object's files if one of that many bytes may come to them: its
// conditions hold, and there is room.
func (tx *transaction) admits(ctx context.Context, f host.NewFile, size int64) (*fileTable, error) {
	t, err := tx.o.fileTable(ctx)
	if err != nil {
		return nil, err
	}
	if _, has := t.all.Get(f.Name); has && f.IfAbsent {
		return nil, errs.New(errs.Precondition, "", "There is a file %q already.", f.Name)
	}
	if err := t.matches(f.Name, f.IfMatch); err != nil {
		return nil, err
	}
	return t, tx.roomFor(t, f.Name, f.Type, size)
}

// matches says whether a file is there and the one that is meant.
func (t *fileTable) matches(name, hash string) error {
	f, has := t.all.Get(name)
	switch {
	case hash == "" || has && (hash == f.Hash || hash == host.AnyFile):
		return nil
	case !has:
		return errs.New(errs.Precondition, "", "There is no file %q.", name)
	}
	return errs.New(errs.Precondition, "", "The file %q is not the one that the request asks for.", name)
}

// PutFile makes an upload a file of the life that TakesFile gave, or drops it. Errors
// are those of host.Host's PutFile.
func (d *Dispatcher) PutFile(ctx context.Context, f host.NewFile, life uint64, u storage.Upload) (stored host.StoredFile, err error) {
	wrote, err := d.operate(ctx, f.Object, f.RequestID, func(ctx context.Context, tx *transaction) (done, error) {
		if tx.o.life() != life {
			return done{}, errs.New(errs.Conflict, "", "The object %q was deleted and made again while the file arrived; nothing was changed. Send it again.", f.Object)
		}
		t, err := tx.admits(ctx, f, u.Size)
		if err != nil {
			return done{}, err
		}
		_, had := t.all.Get(f.Name)
		s := tx.stage(t, f.Name, f.Type, u)
		stored = host.StoredFile{New: !had, File: host.File{Name: s.Name, Type: s.Type, Size: s.Size, Hash: s.Hash, Time: s.Time}}
		return done{"file put", map[string]any{"name": s.Name, "type": s.Type, "size": s.Size, "hash": s.Hash}}, nil
	})
	if !wrote {
		d.drop(f.Object, []string{u.ID})
	}
	return stored, err
}

// DeleteFile ends a file. Errors are those of host.Host's DeleteFile.
func (d *Dispatcher) DeleteFile(ctx context.Context, f host.FileDeletion) error {
	_, err := d.operate(ctx, f.Object, f.RequestID, func(ctx context.Context, tx *transaction) (done, error) {
		t, err := tx.o.fileTable(ctx)
		if err != nil {
			return done{}, err
		}
		was, has := t.all.Get(f.Name)
		if !has {
			return done{}, noSuchFile(f.Name)
		}
		if err := t.matches(f.Name, f.IfMatch); err != nil {
			return done{}, err
		}
		return done{"file deleted", map[string]any{"name": f.Name, "size": was.Size, "hash": was.Hash}}, tx.DeleteFile(ctx, f.Name)
	})
	return err
}

// Status says what an object does now, past its mailbox.
func (d *Dispatcher) Status(name id.Object) (host.Status, error) {
	o, err := d.inService(name)
	if err != nil {
		return host.Status{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	// Nobody works for an object that is not busy, so its state may be looked at.
	return host.Status{Object: name, Running: o.busy, Queued: len(o.queue), Warm: o.busy || o.live != nil}, nil
}

package kernel

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dbbasic/station/framework/catalogue"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// onePatience is how long the start pauses in all between its tries of one object that
// storage fails for, while it answers for others.
const onePatience = 5 * time.Second

// beginner is an object or module that the start brings into service.
type beginner struct {
	at    place
	file  *catalogue.Script // nil where there is none that can be read
	info  storage.ObjectInfo
	begin func(context.Context) error // may be repeated
}

func (o *objects) listed(s catalogue.Script, info storage.ObjectInfo) beginner {
	at := placeOf(s)
	info.Object = s.Object
	return beginner{at, &s, info, func(ctx context.Context) error { return o.begin(ctx, at, &s, info) }}
}

// beginning is the start of a station's objects. One that is damaged, or of which
// storage takes no change, keeps none of the others out of service, and a storage
// that fails for all of them ends the start.
type beginning struct {
	o *objects

	mu    sync.Mutex
	until time.Time // when nobody is tried again any more; zero until somebody would be
	out   time.Time // storage was waited for until then, which until has been moved by
	began bool      // storage has answered for one of them
	first error     // for which storage did not answer
}

// one brings an object into service, or withholds it. How long a try takes does not
// count: a storage that hangs answers nobody, and what was asked of it fails once it
// is killed. An error means that storage failed as a whole, or that ctx ended.
func (b *beginning) one(ctx context.Context, w beginner) error {
	left := b.o.onePatience
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := w.begin(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			b.note(nil)
			return nil
		}
		asked := time.Now()
		if whole := persist(ctx, func() error { return b.o.answers(ctx) }); whole != nil {
			return errors.Join(err, whole)
		}
		if waited := time.Since(asked); waited > time.Second { // another storage was started meanwhile
			b.waited(asked)
		}
		if !transient(err) || left <= 0 || b.over(time.Now()) {
			b.note(err)
			return b.o.withhold(ctx, w, err)
		}
		left -= pause
		if !sleep(ctx, pause) {
			return context.Cause(ctx)
		}
	}
}

// waited counts no time against the objects in which storage answered nobody, from
// then until now. Where many waited at once, that time is one.
func (b *beginning) waited(from time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if from.Before(b.out) {
		from = b.out
	}
	b.out = time.Now()
	if !b.until.IsZero() {
		b.until = b.until.Add(b.out.Sub(from))
	}
}

// over reports whether nobody is tried again any more: the start has been patient
// since storage failed for the first of them.
func (b *beginning) over(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until.IsZero() {
		b.until = now.Add(patience)
	}
	return now.After(b.until)
}

// note counts what storage gave for one object.
func (b *beginning) note(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !transient(err): // what is wrong is wrong with this one
		b.began = true
	case b.first == nil:
		b.first = err
	}
}

// failed gives the error of a storage that lists objects and serves none of them.
func (b *beginning) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.began {
		return nil
	}
	return b.first
}

// answers says why storage answers nobody.
func (o *objects) answers(ctx context.Context) error {
	_, err := o.store.Objects(ctx, storage.ObjectsQuery{Limit: 1})
	return err
}

// withhold notes why an object is not in line with its file. The newest version that
// is stored serves, where it can; else the object is listed, and answers that it is
// out of service. It is tried again while the station runs, as an edit is that could
// not be stored. The error is of ctx.
func (o *objects) withhold(ctx context.Context, w beginner, why error) error {
	t := host.Trouble{Kind: host.Pending, File: w.at.path, Message: why.Error()}
	var text []byte
	if w.file != nil {
		t.Hash, text = w.file.Hash, w.file.Text
	}
	switch serving, err := o.serveStored(ctx, w.at, w.info); {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case w.at.module != "":
		reason := errs.Wrap(errs.Source, "kernel.load", why, "The module %s is out of service: %s", w.at.path, errs.From(why).Text())
		o.setModule(w.at, luahost.Module{Err: reason}, text, 0)
	case err != nil || serving == 0:
		o.serve(w.at, 0, w.info.Hash, nil, o.withheld(w.at.object, why))
	default:
		t.Serving = serving
	}
	o.trouble(ctx, w.at, t)
	return nil
}

// isWithheld reports whether an object is listed that is out of service. Its hash is
// that of the newest version, on which a mended source is put.
func (s *served) isWithheld() bool { return s.program != nil && s.program.withheld }

// withheld is the program of an object that is out of service.
func (o *objects) withheld(object id.Object, why error) *script {
	p := o.script(nil, nil)
	p.withheld = true
	p.once.Do(func() {
		e := errs.New(errs.Unavailable, "out_of_service", "The object %q is out of service: %s", object, errs.From(why).Text())
		e.Op, e.Err = "kernel.load", why
		p.err = e
	})
	return p
}

// pending gives the paths of the scripts that the start could not bring into line.
func (o *objects) pending() []string {
	o.mu.RLock()
	defer o.mu.RUnlock()
	var paths []string
	for _, t := range o.troubles {
		if t.Kind == host.Pending {
			paths = append(paths, t.File)
		}
	}
	return paths
}

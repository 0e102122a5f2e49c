package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/dbbasic/station/framework/catalogue"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

const (
	// watchers is how many scripts are brought in line with their files at once.
	watchers = 8
	// retryPause is after what time an edit is proposed again that storage or the
	// cluster did not take.
	retryPause = time.Second
)

// live keeps objects in line with their files, until the function that it gives is
// called.
func (o *objects) live(ctx context.Context) (end func()) {
	if o.folder == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	o.watcher = catalogue.NewWatcher(o.folder, o.log)
	var watching sync.WaitGroup
	watching.Go(func() { o.watch(ctx) })
	return func() {
		cancel()
		watching.Wait()
	}
}

// watch brings objects in line with their files as these change, until ctx ends.
func (o *objects) watch(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { o.watcher.Run(ctx) })
	for _, path := range o.pending() {
		o.watcher.Again(ctx, path, retryPause)
	}
	for range watchers {
		all.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case path := <-o.watcher.Changed():
					o.changed(ctx, path)
				}
			}
		})
	}
	all.Wait()
}

// changed brings an object in line with its file as that is now.
func (o *objects) changed(ctx context.Context, path string) {
	object, module, err := catalogue.Name(path)
	if err != nil {
		if o.folder.Has(path) {
			o.log.Warn("script is left out", "path", path, "error", err)
		}
		return
	}
	at := place{object, module, path}
	defer o.lock(at)()
	if err := o.decide(ctx, object); err != nil {
		o.watcher.Again(ctx, path, retryPause)
		return
	}
	file, err := o.folder.Read(path)
	there := &file
	switch {
	case errors.Is(err, catalogue.ErrChanging):
		return
	case errors.Is(err, fs.ErrNotExist):
		there = nil
	case err != nil:
		o.unreadable(ctx, at, err)
		return
	}
	if !o.claim(ctx, at, there != nil) {
		return
	}
	info, err := o.dispatch.Info(ctx, object)
	if err == nil {
		info.Object = object
		err = o.reconcile(ctx, at, there, info)
	}
	if err == nil {
		return
	}
	if ctx.Err() == nil {
		t := host.Trouble{Kind: host.Pending, File: path, Message: err.Error(), Hash: file.Hash}
		if s, err := o.find(object); err == nil {
			t.Serving = s.source.Version
		}
		o.trouble(ctx, at, t)
	}
	o.watcher.Again(ctx, path, retryPause)
}

// unreadable leaves what is in service where it is. What the start withheld is served
// from storage as soon as that gives it.
func (o *objects) unreadable(ctx context.Context, at place, why error) {
	s, err := o.look(at.object)
	if err != nil || s.info.Path != at.path {
		o.log.Warn("script is left out", "path", at.path, "error", why)
		return
	}
	why = unreadError(why)
	serving := s.source.Version
	if serving == 0 && (at.module != "" || s.isWithheld()) {
		info, err := o.dispatch.Info(ctx, at.object)
		if err == nil {
			info.Object = at.object
			serving, err = o.keepUnread(ctx, at, info, why)
		}
		if err != nil {
			if ctx.Err() == nil {
				o.trouble(ctx, at, host.Trouble{Kind: host.Pending, File: at.path, Message: err.Error()})
			}
			o.watcher.Again(ctx, at.path, retryPause)
			return
		}
	}
	o.troubleUnread(ctx, at, serving, why)
}

// beginUnread brings an object or module into service whose file the start could not read.
func (o *objects) beginUnread(ctx context.Context, at place, info storage.ObjectInfo, why error) error {
	serving, err := o.keepUnread(ctx, at, info, why)
	if err == nil {
		o.troubleUnread(ctx, at, serving, why)
	}
	return err
}

// troubleUnread notes that a file cannot be read, beside which a version serves, or none.
func (o *objects) troubleUnread(ctx context.Context, at place, serving uint64, why error) {
	o.trouble(ctx, at, host.Trouble{Kind: host.Refused, File: at.path, Serving: serving, Message: why.Error()})
}

// unreadError says of a script's file that it cannot be read.
func unreadError(why error) error { return fmt.Errorf("the file cannot be read: %w", why) }

// keepUnread serves the newest version of an object or module whose file cannot be
// read, and gives its number. Where there is none that loads, it gives 0, and the
// object is out of service until its file can be read.
func (o *objects) keepUnread(ctx context.Context, at place, info storage.ObjectInfo, why error) (uint64, error) {
	if at.module != "" {
		if info.Head == 0 {
			return 0, nil
		}
		return o.keepModule(ctx, at, nil, info)
	}
	serving, err := o.serveStored(ctx, at, info)
	if err == nil && serving == 0 {
		o.serve(at, 0, info.Hash, nil, o.withheld(at.object, why))
	}
	return serving, err
}

// written brings the file of an object up to a version that did not come from it, or
// shows that it holds an edit. The caller has the lock, and there is a folder.
func (o *objects) written(ctx context.Context, at place) error {
	info, err := o.dispatch.Info(ctx, at.object)
	if err != nil {
		return err
	}
	info.Object = at.object
	file, err := o.folder.Read(at.path)
	switch {
	case errors.Is(err, catalogue.ErrChanging):
		return nil // it will be told, and then it is a conflict
	case errors.Is(err, fs.ErrNotExist): // also where it was removed: the object is wanted again
		return o.refresh(ctx, at, nil, info)
	case err != nil:
		o.trouble(ctx, at, host.Trouble{Kind: host.Behind, File: at.path, Serving: info.Head, Message: unreadError(err).Error()})
		return nil // the version is stored and serves
	}
	return o.reconcile(ctx, at, &file, info)
}

// overInside says of an object whose script lies inside the program that another
// version serves than the one with which there was trouble. What the text inside is
// to that one is for the next start to find.
func (o *objects) overInside(object id.Object, version uint64, hash string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t, troubled := o.troubles[object]
	switch {
	case !troubled:
	case t.Kind == host.Pending, t.Hash == hash:
		delete(o.troubles, object)
	default:
		t.Serving = version
		o.troubles[object] = t
	}
}

// claim gives an object to the script of a path. Of two scripts with one id the
// second is left out, for as long as there is the first.
func (o *objects) claim(ctx context.Context, at place, there bool) bool {
	o.mu.Lock()
	owner, owned := o.paths[at.object]
	o.mu.Unlock()
	if owned && owner != at.path {
		if !there {
			return false
		}
		if o.folder.Has(owner) {
			o.mu.Lock()
			o.second[at.path] = at.object
			o.mu.Unlock()
			o.log.Error("script is left out", "path", at.path, "error", catalogue.Twice{Path: at.path, Other: owner, Object: at.object})
			return false
		}
	}
	o.mu.Lock()
	o.paths[at.object] = at.path
	delete(o.second, at.path)
	var next []string
	if !there { // another one that waited may have the id
		delete(o.paths, at.object)
		for path, object := range o.second {
			if object == at.object {
				next = append(next, path)
			}
		}
	}
	o.mu.Unlock()
	for _, path := range next {
		o.watcher.Again(ctx, path, 0)
	}
	return true
}

// remove takes an object out of service, or a module from those that may be
// required. What is stored of it stays.
func (o *objects) remove(ctx context.Context, at place) error {
	o.untrouble(at)
	if at.module != "" {
		return o.dropModule(ctx, at)
	}
	if _, err := o.find(at.object); err == nil {
		o.dispatch.Withdraw(at.object)
		o.drop(at.object)
		o.log.Info("script was removed, and its object is out of service; its data stays", "object", at.object, "path", at.path)
	}
	return nil
}

// lock keeps everybody else from changing the source of an object, until the
// function that it gives is called. Who changes a module keeps everybody from
// changing any source: it may make versions of all objects.
func (o *objects) lock(at place) (unlock func()) {
	if at.module != "" {
		o.linking.Lock()
		return o.linking.Unlock
	}
	o.linking.RLock()
	release := o.locks.lock(at.object)
	return func() {
		release()
		o.linking.RUnlock()
	}
}

// locks is one mutex for each object that is being changed.
type locks struct {
	mu   sync.Mutex
	held map[id.Object]*held
}

type held struct {
	mu  sync.Mutex
	use int // by whoever has it or waits for it
}

func (l *locks) lock(object id.Object) (unlock func()) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[id.Object]*held{}
	}
	h := l.held[object]
	if h == nil {
		h = &held{}
		l.held[object] = h
	}
	h.use++
	l.mu.Unlock()
	h.mu.Lock()
	return func() {
		h.mu.Unlock()
		l.mu.Lock()
		if h.use--; h.use == 0 {
			delete(l.held, object)
		}
		l.mu.Unlock()
	}
}

package catalogue

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// rescanPause is the least time between two looks at all files. They find what
	// the system does not tell: changes behind links, and on network file systems.
	rescanPause = 2 * time.Second
	// rescanShare bounds what they cost: the pause is so many times as long as a
	// look took.
	rescanShare = 100
	// regroup is how long changes of folders are gathered before the folders are
	// watched anew.
	regroup = 5 * time.Millisecond
)

// Watcher tells which scripts of a folder have changed. What the system tells of a
// change is taken as a hint alone: what counts is how the file is.
type Watcher struct {
	folder *Folder
	log    *slog.Logger
	told   chan string
	again  chan later
	ended  chan struct{}             // closed when Run returns
	add    func(folder string) error // has the system tell of changes in it
	pause  time.Duration             // the least between two looks at all files

	// For the goroutine of Run alone.
	notify   *fsnotify.Watcher // nil where the system tells nothing
	settling settling
	ready    []string        // to be told
	watched  map[string]bool // folders, below the scripts folder
	paused   bool            // the folder cannot be read, which was said
	timer    *time.Timer     // for settling
	timerAt  time.Time       // zero while it is stopped
	rescan   *time.Timer
	rewatch  *time.Timer   // nil while the folders are watched as they are
	took     time.Duration // the last look at all files
}

type later struct {
	path string
	in   time.Duration
}

// NewWatcher gives a watcher that finds what changes from the folder's opening on.
func NewWatcher(f *Folder, log *slog.Logger) *Watcher {
	w := &Watcher{folder: f, log: log, told: make(chan string), again: make(chan later), ended: make(chan struct{}), pause: rescanPause, watched: map[string]bool{}}
	w.add = func(folder string) error { return w.notify.Add(folder) }
	return w
}

// Changed gives the paths of scripts with which something has happened and which
// have been left alone for Quiet since then: they were written, touched or removed.
// What they are now is for Folder.Read to say. An empty file is not told.
func (w *Watcher) Changed() <-chan string { return w.told }

// Again has a script told once more, after a while, also where nothing happened
// to it. It does nothing once Run has returned: nobody is told any more. It waits for
// Run until ctx ends.
func (w *Watcher) Again(ctx context.Context, name string, in time.Duration) {
	select {
	case w.again <- later{name, in}:
	case <-w.ended:
	case <-ctx.Done():
	}
}

// Run watches until ctx ends. Call it once.
func (w *Watcher) Run(ctx context.Context) {
	defer close(w.ended)
	w.timer, w.rescan = time.NewTimer(0), time.NewTimer(0)
	defer w.timer.Stop()
	defer w.rescan.Stop()
	w.begin()
	defer w.quit()
	var events <-chan fsnotify.Event
	var failures <-chan error
	for {
		if events, failures = nil, nil; w.notify != nil {
			events, failures = w.notify.Events, w.notify.Errors
		}
		var told chan<- string
		var first string
		if len(w.ready) > 0 {
			told, first = w.told, w.ready[0]
		}
		var rewatch <-chan time.Time
		if w.rewatch != nil {
			rewatch = w.rewatch.C
		}
		select {
		case <-ctx.Done():
			return
		case told <- first:
			w.ready = w.ready[1:]
		case e := <-events:
			w.event(e)
		case err := <-failures:
			w.failed(err)
		case l := <-w.again:
			w.touch(l.path, l.in)
		case <-w.timer.C:
			w.settle()
		case <-rewatch:
			w.rewatch = nil
			w.unwatch(".")
			w.look()
		case <-w.rescan.C:
			w.look()
		}
	}
}

// begin asks the system for changes.
func (w *Watcher) begin() {
	var err error
	if w.notify, err = fsnotify.NewWatcher(); err != nil {
		w.deaf(err)
	}
}

func (w *Watcher) quit() {
	if w.notify == nil {
		return
	}
	if err := w.notify.Close(); err != nil {
		w.log.Warn("the watch of the scripts folder could not be ended", "error", err)
	}
	w.notify = nil
}

// deaf goes on without the system, by looking at all files again and again.
func (w *Watcher) deaf(why error) {
	w.quit()
	w.log.Error("the system does not tell of changes in the scripts folder: all scripts are looked at instead, and a save is live a few seconds later",
		"folder", w.folder.path, "error", why, "what_to_do", remedy(why), "pause", w.pause)
}

func remedy(why error) string {
	switch {
	case errors.Is(why, syscall.ENOSPC):
		return "raise the sysctl fs.inotify.max_user_watches and start the station again"
	case errors.Is(why, syscall.EMFILE):
		return "raise the sysctl fs.inotify.max_user_instances, or the limit of open files, and start the station again"
	}
	return "mend what the error names and start the station again"
}

// failed takes what went wrong in watching.
func (w *Watcher) failed(err error) {
	if !errors.Is(err, fsnotify.ErrEventOverflow) {
		w.log.Warn("watching the scripts folder", "error", err)
	}
	w.regroup() // whatever was lost shows in how the files are
}

func (w *Watcher) regroup() {
	if w.rewatch == nil {
		w.rewatch = time.NewTimer(max(regroup, w.took))
	}
}

// event takes a hint of the system.
func (w *Watcher) event(e fsnotify.Event) {
	name, err := filepath.Rel(w.folder.path, e.Name)
	if err != nil || e.Name == "" {
		return
	}
	name = filepath.ToSlash(name)
	if name == "." || w.watched[name] && e.Op&(fsnotify.Remove|fsnotify.Rename|fsnotify.Create) != 0 {
		w.regroup()
		return
	}
	if hidden(name) {
		return
	}
	if e.Has(fsnotify.Create) {
		if info, err := w.folder.opened().Lstat(name); err == nil && info.IsDir() {
			w.regroup()
			return
		}
	}
	if isScript(name) {
		w.folder.note(name)
		w.touch(name, Quiet)
	}
}

// touch has a file looked at after a while.
func (w *Watcher) touch(name string, in time.Duration) {
	at := time.Now().Add(in)
	w.settling.touch(name, at)
	if w.timerAt.IsZero() || at.Before(w.timerAt) {
		w.wake(at)
	}
}

func (w *Watcher) wake(at time.Time) {
	w.timerAt = at
	if at.IsZero() {
		w.timer.Stop()
		return
	}
	w.timer.Reset(time.Until(at))
}

// settle tells of the files that have been left alone for long enough.
func (w *Watcher) settle() {
	paths, next := w.settling.take(time.Now())
	w.wake(next)
	for _, name := range paths {
		if !w.folder.note(name) { // since the system's last word
			w.touch(name, Quiet)
		} else if w.folder.settle(name) {
			w.ready = append(w.ready, name)
		}
	}
}

// unwatch forgets the folders at and below one.
func (w *Watcher) unwatch(dir string) {
	for name := range w.watched {
		if dir != "." && name != dir && !strings.HasPrefix(name, dir+"/") {
			continue
		}
		delete(w.watched, name)
		if w.notify == nil {
			continue
		}
		// One that was removed or renamed may be unwatched already.
		if err := w.notify.Remove(w.at(name)); err != nil && !errors.Is(err, fsnotify.ErrNonExistentWatch) {
			w.log.Debug("a folder of scripts was watched no more", "folder", name, "error", err)
		}
	}
}

func (w *Watcher) at(name string) string {
	return filepath.Join(w.folder.path, filepath.FromSlash(name))
}

// look goes through all files, and takes those that differ from when they were
// last looked at. Folders that are not watched are, before what is in them is read.
func (w *Watcher) look() {
	began := time.Now()
	defer func() {
		w.took = time.Since(began)
		w.rescan.Reset(max(w.pause, rescanShare*w.took))
	}()
	other, err := w.folder.reopen()
	if err != nil {
		// Not each script was removed then: a folder that is gone comes back.
		if !w.paused {
			w.log.Error("the scripts folder cannot be read; what is in service stays, and changes count once it is back", "folder", w.folder.path, "error", err)
		}
		w.paused = true
		return
	}
	if other || w.paused {
		w.unwatch(".")
	}
	w.paused = false
	there := map[string]bool{} // scripts, and folders whose scripts cannot be seen
	err = fs.WalkDir(w.folder.opened().FS(), ".", func(name string, d fs.DirEntry, err error) error {
		return w.visit(there, name, d, err)
	})
	if err != nil {
		w.log.Warn("scripts folder", "folder", w.folder.path, "error", err)
		return
	}
	for _, name := range w.folder.gone(func(name string) bool { return atOrBelow(name, there) }) {
		w.folder.note(name)
		w.touch(name, Quiet)
	}
}

func (w *Watcher) visit(there map[string]bool, name string, d fs.DirEntry, err error) error {
	switch {
	case err != nil && name == ".":
		return err
	case errors.Is(err, fs.ErrNotExist): // removed meanwhile
		return nil
	case err != nil:
		there[name] = true
		return nil //nolint:nilerr // what cannot be seen stays as it was
	case name != "." && hidden(name):
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	case d.IsDir():
		w.watch(name)
		return nil
	case !isScript(name):
		return nil
	}
	there[name] = true
	if !w.folder.note(name) {
		w.touch(name, Quiet)
	}
	return nil
}

// atOrBelow reports whether a path or a folder above it is one of some.
func atOrBelow(name string, some map[string]bool) bool {
	for ; name != "."; name = path.Dir(name) {
		if some[name] {
			return true
		}
	}
	return false
}

// watch has the system tell of changes in a folder.
func (w *Watcher) watch(name string) {
	if w.notify == nil || w.watched[name] {
		return
	}
	err := w.add(w.at(name))
	switch {
	case err == nil:
		w.watched[name] = true
	case errors.Is(err, fs.ErrNotExist): // removed meanwhile
	default:
		w.deaf(err)
	}
}

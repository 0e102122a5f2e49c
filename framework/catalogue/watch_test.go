package catalogue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/google/go-cmp/cmp"
)

// watching is a watched folder, and what was told of it.
type watching struct {
	t      *testing.T
	dir    string
	folder *Folder
	log    lockedLog

	mu    sync.Mutex
	texts map[string][]string // each text that a path was read with, "-" where it was gone
}

type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// watch watches a folder with some files, whose text is their path.
func watch(t *testing.T, prepare func(*Watcher), names ...string) *watching {
	t.Helper()
	w := &watching{t: t, dir: t.TempDir(), texts: map[string][]string{}}
	for _, name := range names {
		w.write(name, name)
	}
	w.folder = listed(t, w.dir)
	watcher := NewWatcher(w.folder, slog.New(slog.NewTextHandler(&w.log, nil)))
	if prepare != nil {
		prepare(watcher)
	}
	ctx, stop := context.WithCancel(t.Context())
	var both sync.WaitGroup
	both.Go(func() { watcher.Run(ctx) })
	both.Go(func() { w.collect(ctx, watcher) })
	t.Cleanup(func() {
		stop()
		both.Wait()
		if err := w.folder.Close(); err != nil {
			t.Error(err)
		}
	})
	// A script that is told has gone through the watcher: it is watching by then.
	w.write("ready/ready.lua", "ready")
	w.expect("ready/ready.lua", "ready")
	return w
}

func (w *watching) collect(ctx context.Context, from *Watcher) {
	for {
		select {
		case <-ctx.Done():
			return
		case name := <-from.Changed():
			s, err := w.folder.Read(name)
			switch {
			case err == nil:
			case errors.Is(err, fs.ErrNotExist):
				s.Text = []byte("-")
			case errors.Is(err, ErrChanging):
				continue
			default:
				s.Text = []byte(err.Error())
			}
			w.mu.Lock()
			w.texts[name] = append(w.texts[name], string(s.Text))
			w.mu.Unlock()
		}
	}
}

func (w *watching) path(name string) string { return filepath.Join(w.dir, name) }

func (w *watching) write(name, text string) {
	w.t.Helper()
	w.must(os.MkdirAll(filepath.Dir(w.path(name)), 0o755))
	w.must(os.WriteFile(w.path(name), []byte(text), 0o644))
}

// save replaces a file as most editors do.
func (w *watching) save(name, text string) {
	w.t.Helper()
	w.write(name+"~", text)
	w.must(os.Rename(w.path(name+"~"), w.path(name)))
}

func (w *watching) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *watching) told(name string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.texts[name]...)
}

// expect waits until a text was told last, and gives how long that took.
func (w *watching) expect(name, text string) time.Duration {
	w.t.Helper()
	began := time.Now()
	for time.Since(began) < time.Minute {
		if all := w.told(name); len(all) > 0 && all[len(all)-1] == text {
			return time.Since(began)
		}
		time.Sleep(time.Millisecond)
	}
	w.t.Fatalf("%s was told as %q; want %q last\n%s", name, w.told(name), text, w.log.String())
	return 0
}

// inOneGo has a file saved in several steps, of which nothing but the text at the end
// is told. A busy machine may leave the file alone for Quiet between two steps: what is
// told in between five times in a row is told by itself.
func (w *watching) inOneGo(what, name string, save func(n int) (text string)) {
	w.t.Helper()
	for n := 1; ; n++ {
		before := len(w.told(name))
		text := save(n)
		w.expect(name, text)
		d := cmp.Diff([]string{text}, w.told(name)[before:])
		if d == "" {
			return
		}
		if n == 5 {
			w.t.Errorf("%s (-want +got):\n%s", what, d)
			return
		}
	}
}

func TestSettling(t *testing.T) {
	var s settling
	at := time.Unix(100, 0)
	if paths, next := s.take(at); len(paths) != 0 || !next.IsZero() {
		t.Errorf("nothing touched: %q, %v", paths, next)
	}
	s.touch("b", at.Add(10))
	s.touch("a", at.Add(10))
	s.touch("c", at.Add(20))
	s.touch("c", at.Add(30)) // touched again: later
	s.touch("d", at.Add(40))
	for _, step := range []struct {
		now, next time.Duration
		paths     []string
	}{{9, 10, nil}, {10, 30, []string{"a", "b"}}, {29, 30, nil}, {50, 0, []string{"c", "d"}}} {
		paths, next := s.take(at.Add(step.now))
		if d := cmp.Diff(step.paths, paths); d != "" || step.next == 0 != next.IsZero() || step.next > 0 && !next.Equal(at.Add(step.next)) {
			t.Errorf("after %d: %q, next %v; want %q, %d", step.now, paths, next, step.paths, step.next)
		}
	}
}

// Each way in which programs save is told once it is done, whole, and with
// nothing that stood there in between.
func TestSaves(t *testing.T) {
	w := watch(t, nil, "a.lua", "b.lua", "c.lua", "d.lua", "e.lua", "f.lua", "quick.lua")
	long := strings.Repeat("-- a line\n", 10_000)

	w.save("a.lua", "renamed")
	t.Logf("a save by rename was told after %v", w.expect("a.lua", "renamed"))

	w.write("b.lua", "in place")
	t.Logf("a save in place was told after %v", w.expect("b.lua", "in place"))

	// An editor that truncates, and writes bit by bit.
	w.inOneGo("a slow save", "c.lua", func(n int) string {
		f, err := os.OpenFile(w.path("c.lua"), os.O_WRONLY|os.O_TRUNC, 0)
		w.must(err)
		for i := 0; i < len(long); i += len(long) / 20 {
			_, err := f.WriteString(long[i : i+len(long)/20])
			w.must(err)
			time.Sleep(Quiet / 10)
		}
		_, err = fmt.Fprint(f, n)
		w.must(err)
		w.must(f.Close())
		return fmt.Sprint(long, n)
	})

	w.must(os.Chtimes(w.path("d.lua"), time.Now(), time.Now()))
	w.expect("d.lua", "d.lua")

	w.must(os.Remove(w.path("e.lua")))
	w.expect("e.lua", "-")
	w.write("e.lua", "back")
	w.expect("e.lua", "back")

	w.write("new.lua", "new")
	w.expect("new.lua", "new")

	for i := range 200 {
		if i%2 == 0 {
			w.save("quick.lua", fmt.Sprint("save ", i))
		} else {
			w.write("quick.lua", fmt.Sprint("save ", i))
		}
	}
	w.expect("quick.lua", "save 199")
	for _, text := range w.told("quick.lua") {
		if !strings.HasPrefix(text, "save ") {
			t.Errorf("200 quick saves told %q", text)
		}
	}
	if all := w.told("f.lua"); len(all) > 0 {
		t.Errorf("a file that nobody touched was told as %q", all)
	}
}

// What lies between two steps of an editor is no script: neither an empty file,
// nor none.
func TestBetweenTwoSteps(t *testing.T) {
	w := watch(t, nil, "empty.lua", "gone.lua", "x.lua")
	w.write("empty.lua", "")
	w.inOneGo("a save by two renames", "gone.lua", func(n int) string {
		w.must(os.Rename(w.path("gone.lua"), w.path("gone.lua~")))
		w.write("gone.lua", fmt.Sprint("there again ", n))
		return fmt.Sprint("there again ", n)
	})
	w.write("x.lua", "later")
	w.expect("x.lua", "later")
	if all := w.told("empty.lua"); len(all) > 0 {
		t.Errorf("an empty file was told as %q", all)
	}
	w.write("empty.lua", "filled")
	w.expect("empty.lua", "filled")
}

// Folders come, go and are renamed with all that is in them; a script in a folder
// that is watched under another name by now is told by its present path.
func TestFolders(t *testing.T) {
	w := watch(t, nil, "old/deep/a.lua", "old/b.lua")
	for i := range 20 {
		w.write(fmt.Sprintf("made/at/once/%d/s.lua", i), "filled")
	}
	for i := range 20 {
		w.expect(fmt.Sprintf("made/at/once/%d/s.lua", i), "filled")
	}
	w.must(os.Rename(w.path("old"), w.path("young")))
	w.expect("old/b.lua", "-")
	w.expect("old/deep/a.lua", "-")
	w.expect("young/b.lua", "old/b.lua")
	w.expect("young/deep/a.lua", "old/deep/a.lua")
	w.save("young/deep/a.lua", "after the rename")
	t.Logf("a save in a renamed folder was told after %v", w.expect("young/deep/a.lua", "after the rename"))
	w.write("old/deep/a.lua", "again")
	w.expect("old/deep/a.lua", "again")
	w.must(os.RemoveAll(w.path("young")))
	w.expect("young/deep/a.lua", "-")

	w.write(".hidden/x.lua", "x")
	w.write(".x.lua", "x")
	w.write("x.txt", "x")
	w.must(os.Rename(w.path("made"), w.path(".made")))
	w.expect("made/at/once/7/s.lua", "-")
	for _, name := range []string{".hidden/x.lua", ".x.lua", "x.txt", ".made/at/once/7/s.lua"} {
		if all := w.told(name); len(all) > 0 {
			t.Errorf("%s is no script, and was told as %q", name, all)
		}
	}
}

// A folder that another one takes the place of is followed; while none is there,
// nothing counts as removed.
func TestAnotherFolder(t *testing.T) {
	w := watch(t, func(w *Watcher) { w.pause = 10 * time.Millisecond }, "a.lua", "b.lua")
	aside := w.dir + ".aside"
	w.must(os.Rename(w.dir, aside))
	until(t, "the missing folder is said", func() bool { return strings.Contains(w.log.String(), "cannot be read") })
	time.Sleep(2 * Quiet)
	if all := w.told("a.lua"); len(all) > 0 {
		t.Errorf("without the folder a.lua was told as %q", all)
	}
	w.must(os.Mkdir(w.dir, 0o755))
	w.write("b.lua", "of the other")
	w.expect("a.lua", "-")
	w.expect("b.lua", "of the other")
	w.must(os.RemoveAll(aside))
}

// A link that stays in the folder is followed, one that leads out is not; either
// is noticed without a word of the system.
func TestLinks(t *testing.T) {
	w := watch(t, func(w *Watcher) { w.pause = 10 * time.Millisecond }, ".kept/a.lua")
	outside := filepath.Join(t.TempDir(), "out.lua")
	w.must(os.WriteFile(outside, []byte("secret"), 0o644))
	w.must(os.Symlink(".kept/a.lua", w.path("link.lua")))
	w.must(os.Symlink(outside, w.path("out.lua")))
	w.expect("link.lua", ".kept/a.lua")
	w.write(".kept/a.lua", "changed")
	w.expect("link.lua", "changed")
	if err := w.folder.Replace("link.lua", []byte("changed"), []byte("x")); err == nil || !strings.Contains(err.Error(), "link") {
		t.Errorf("a link was replaced: %v", err)
	}
	for _, text := range w.told("out.lua") {
		if text == "secret" {
			t.Error("a link out of the folder was followed")
		}
	}
}

// When the system could not tell of all changes, all files are looked at.
func TestOverflow(t *testing.T) {
	notifier := make(chan *fsnotify.Watcher, 1)
	mute := false
	w := watch(t, func(w *Watcher) {
		w.pause = time.Hour
		add := w.add
		w.add = func(folder string) error {
			select {
			case notifier <- w.notify:
			default:
			}
			if mute {
				return nil
			}
			return add(folder)
		}
	}, "a.lua", "b.lua")
	mute = true
	n := <-notifier
	w.must(n.Remove(w.dir))
	w.write("a.lua", "unheard")
	w.must(os.Remove(w.path("b.lua")))
	n.Errors <- fsnotify.ErrEventOverflow
	w.expect("a.lua", "unheard")
	w.expect("b.lua", "-")
}

// Without enough watches the station says which setting limits them, and looks by itself.
func TestNoMoreWatches(t *testing.T) {
	w := watch(t, func(w *Watcher) {
		w.pause = 10 * time.Millisecond
		w.add = func(string) error { return syscall.ENOSPC }
	}, "a.lua")
	w.write("a.lua", "found")
	w.expect("a.lua", "found")
	if said := w.log.String(); !strings.Contains(said, "fs.inotify.max_user_watches") || strings.Count(said, "level=ERROR") != 1 {
		t.Errorf("the log says:\n%s", said)
	}
	if r := remedy(&os.SyscallError{Err: syscall.EMFILE}); !strings.Contains(r, "max_user_instances") {
		t.Errorf("without an instance the advice is %q", r)
	}
}

// A script is told again for as long as somebody asks, and a script that is not told
// may not be read while it changes.
func TestAgain(t *testing.T) {
	var watcher *Watcher
	w := watch(t, func(w *Watcher) { watcher = w }, "a.lua")
	for n := 1; n <= 3; n++ {
		watcher.Again(t.Context(), "a.lua", time.Millisecond)
		until(t, "a.lua is told again", func() bool { return len(w.told("a.lua")) == n })
	}
	w.write("a.lua", "changed")
	if _, err := w.folder.Read("a.lua"); !errors.Is(err, ErrChanging) {
		t.Errorf("a file that was written just now was read: %v", err)
	}
	w.expect("a.lua", "changed")
}

// Nobody waits for a watcher that has ended.
func TestAgainAfterTheEnd(t *testing.T) {
	w := NewWatcher(listed(t, t.TempDir()), slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	w.Run(ctx)
	ctx, stop = context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	if w.Again(ctx, "a.lua", 0); ctx.Err() != nil {
		t.Error("Again waited for a watcher that has ended")
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// BenchmarkLook measures the look at all files that is repeated for safety.
func BenchmarkLook(b *testing.B) {
	dir := b.TempDir()
	for i := range 1000 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("s%d.lua", i)), []byte("return 1"), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	f := listed(b, dir)
	w := NewWatcher(f, slog.New(slog.DiscardHandler))
	w.timer, w.rescan = time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	w.begin()
	defer w.quit()
	for b.Loop() {
		w.look()
	}
}

package catalogue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// ErrChanging says that a file is not what it was when it was listed or told, or
// that it is empty: somebody is writing it, and it is told again once it rests.
var ErrChanging = errors.New("the file is being written")

// ErrNotReplaced says that a file was left alone, since it holds another text
// than the one that was to be replaced.
var ErrNotReplaced = errors.New("the file holds another text")

// Name gives what a path below the scripts folder stands for: the id of its
// object, and for a module its name.
func Name(name string) (object id.Object, module string, err error) {
	bare := strings.TrimSuffix(name, ".lua")
	if module, _ = strings.CutPrefix(bare, "lib/"); module == bare {
		module = ""
	}
	object, err = id.ParseObject(strings.ReplaceAll(bare, "/", "_"))
	if strings.Contains(module, ".") {
		err = errors.New("the name of a module has no dot: it stands for a folder in require")
	}
	return object, module, err
}

// isScript reports whether a file of that path may be a script: it ends in .lua,
// and neither it nor a folder above it is hidden.
func isScript(name string) bool {
	return path.Ext(name) == ".lua" && !hidden(name)
}

func hidden(name string) bool {
	return strings.HasPrefix(name, ".") || strings.Contains(name, "/.")
}

// stamp is what tells a file from an earlier state of it without reading it; zero
// where there is no file.
type stamp struct{ info fs.FileInfo }

func (s stamp) equal(t stamp) bool {
	if s.info == nil || t.info == nil {
		return s.info == nil && t.info == nil
	}
	return s.info.Size() == t.info.Size() && s.info.ModTime().Equal(t.info.ModTime()) &&
		s.info.Mode() == t.info.Mode() && os.SameFile(s.info, t.info)
}

// Folder is a scripts folder whose scripts are read and replaced one by one. No
// path, and no link, leads out of it. Its methods are safe for concurrent use.
type Folder struct {
	path string

	mu      sync.Mutex
	root    *os.Root
	noticed map[string]stamp // of scripts, when they were last looked at
	settled map[string]stamp // of those that had been left alone for long enough, when they were told
}

// OpenFolder opens the folder in which a listing was made. Close it.
func OpenFolder(folder string, l Listing) (*Folder, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("scripts folder: %w", err)
	}
	f := &Folder{path: folder, root: root, noticed: map[string]stamp{}, settled: map[string]stamp{}}
	for _, s := range l.Scripts {
		f.noticed[s.Path], f.settled[s.Path] = s.stamp, s.stamp
	}
	for _, s := range l.Skipped {
		f.note(s.Path)
	}
	return f, nil
}

// Close gives the folder back. No method may be called after it.
func (f *Folder) Close() error { return f.opened().Close() }

func (f *Folder) opened() *os.Root {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.root
}

// reopen follows the folder's path where another folder stands there by now, and
// says whether one does. What is being done in the old one ends there; it is closed
// when nothing holds it.
func (f *Folder) reopen() (bool, error) {
	at, err := os.Stat(f.path)
	if err != nil {
		return false, err
	}
	if was, err := f.opened().Stat("."); err == nil && os.SameFile(was, at) {
		return false, nil
	}
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return false, err
	}
	f.mu.Lock()
	f.root = root
	f.mu.Unlock()
	return true, nil
}

// stat gives a file's stamp; zero where there is none. A link counts as what it leads to.
func (f *Folder) stat(name string) (stamp, error) {
	info, err := f.opened().Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return stamp{}, nil
	}
	return stamp{info}, err
}

// note remembers how a file is now, and says whether it was like that when it was
// last looked at.
func (f *Folder) note(name string) (same bool) {
	now, err := f.stat(name)
	if err != nil { // whoever reads it learns that
		now = stamp{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	same = now.equal(f.noticed[name])
	set(f.noticed, name, now)
	return same
}

// settle takes a file as it was last looked at for what may be read, unless it is
// empty.
func (f *Folder) settle(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.noticed[name]
	if now.info != nil && now.info.Size() == 0 {
		return false
	}
	set(f.settled, name, now)
	return true
}

func set(m map[string]stamp, name string, s stamp) {
	if s.info == nil {
		delete(m, name)
	} else {
		m[name] = s
	}
}

// gone gives the scripts that were there when they were last looked at, and that
// are not among those that are there.
func (f *Folder) gone(there func(name string) bool) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for name := range f.noticed {
		if !there(name) {
			names = append(names, name)
		}
	}
	return names
}

// Has reports whether there is a file of that path.
func (f *Folder) Has(name string) bool {
	s, err := f.stat(name)
	return err != nil || s.info != nil
}

// Unrest is for how long a script must still be left alone to count, by the time of
// its last write. A time in the future says nothing.
func (s Script) Unrest(now time.Time) time.Duration {
	since := now.Sub(s.stamp.info.ModTime())
	if since < 0 || since > Quiet {
		return 0
	}
	return Quiet - since
}

// Read gives the script of a path, whole and as it was when it was listed or told. Errors: fs.ErrNotExist where there is none; ErrChanging; any other is why the
// file is no script.
func (f *Folder) Read(name string) (Script, error) {
	object, module, err := Name(name)
	if err != nil {
		return Script{}, err
	}
	f.mu.Lock()
	root, was := f.root, f.settled[name]
	f.mu.Unlock()
	text, before, err := read(root, name)
	if err != nil {
		return Script{}, err
	}
	after, err := f.stat(name)
	if err != nil {
		return Script{}, err
	}
	if !before.equal(was) || !after.equal(was) || len(text) == 0 {
		return Script{}, fmt.Errorf("%s: %w", name, ErrChanging)
	}
	return Script{Object: object, Module: module, Path: name, Text: text, Hash: storage.Hash(text), stamp: before}, nil
}

// read gives a script's text and its stamp before that.
func read(root *os.Root, name string) ([]byte, stamp, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, stamp{}, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for a writer
		return nil, stamp{}, errors.New("not a regular file")
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, stamp{}, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(f, MaxFile))
	return text, stamp{info}, err
}

// Replace puts another text into the place of a script's file, by a rename: who
// reads it sees the old text or the new one, and so does a station that is started
// after the power failed. The file keeps its mode. old is the text that is
// replaced, and nil means that there is no file: one that holds another text by
// now is left alone, which is ErrNotReplaced. A link is left alone as well.
// What was written may be read at once.
func (f *Folder) Replace(name string, old, text []byte) error {
	if _, _, err := Name(name); err != nil {
		return err
	}
	root, mode := f.opened(), fs.FileMode(0o644)
	info, err := root.Lstat(name)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%s is a link, and a link is not replaced: write the script where the link leads", name)
	case err == nil:
		mode = info.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	dir := path.Dir(name)
	if err := root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	aside := draftOf(name)
	written, err := writeAside(root, aside, text, mode)
	if err != nil {
		return err
	}
	if err := swap(root, name, aside, old); err != nil {
		return errors.Join(err, remove(root, aside))
	}
	if err := remove(root, aside); err != nil {
		return err
	}
	f.mu.Lock()
	f.noticed[name], f.settled[name] = written, written // nobody need rest after what is whole at once
	f.mu.Unlock()
	return syncFolder(root, dir)
}

const draftMark = ".station"

// draftOf names the hidden file in which a text is written before it comes into the place
// of a script.
func draftOf(name string) string { return path.Join(path.Dir(name), "."+path.Base(name)+draftMark) }

// scriptOf gives the path of the script of which a file is the draft by its name.
func scriptOf(draft string) (name string, ok bool) {
	dir, base := path.Split(draft)
	bare, ok := strings.CutSuffix(strings.TrimPrefix(base, "."), draftMark)
	name = dir + bare
	_, _, err := Name(name)
	return name, ok && err == nil && isScript(name) && draftOf(name) == draft
}

// Draft gives what a station that was killed has left of a text that it wrote, as the
// script that it was to be.
func (f *Folder) Draft(name string) (Script, error) {
	at, ok := scriptOf(name)
	if !ok {
		return Script{}, noDraft(name)
	}
	object, module, err := Name(at)
	if err != nil {
		return Script{}, err
	}
	text, _, err := read(f.opened(), name)
	return Script{Object: object, Module: module, Path: at, Text: text, Hash: storage.Hash(text)}, err
}

func noDraft(name string) error { return fmt.Errorf("%s is no draft of a script", name) }

// RemoveDraft removes a draft. Nobody may write the script meanwhile.
func (f *Folder) RemoveDraft(name string) error {
	if _, ok := scriptOf(name); !ok {
		return noDraft(name)
	}
	return remove(f.opened(), name)
}

// writeAside makes a hidden file, durable before it gets its name. What a station
// that was killed left there goes.
func writeAside(root *os.Root, name string, text []byte, mode fs.FileMode) (stamp, error) {
	if err := remove(root, name); err != nil {
		return stamp{}, err
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return stamp{}, err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Chmod(mode), file.Sync()) // the mode above was cut by the umask
	info, failed := file.Stat()
	if err := errors.Join(err, failed, file.Close()); err != nil {
		return stamp{}, errors.Join(err, remove(root, name))
	}
	return stamp{info}, nil
}

// swap puts a file into the place of one that holds a text, or into an empty one. A
// save that comes at the same moment is not lost: what stood there is compared once
// nobody can save into it by a rename any more, and goes back where it is another
// text. Only where the file system cannot exchange two files is there a moment, between
// the comparison and the rename, in which such a save would be lost.
func swap(root *os.Root, name, aside string, old []byte) error {
	if err := holds(root, name, old); err != nil {
		return err
	}
	if old == nil {
		return place(root, name, aside)
	}
	switch err := exchange(root, aside, name); {
	case errors.Is(err, errors.ErrUnsupported):
		return root.Rename(aside, name)
	case errors.Is(err, fs.ErrNotExist): // it was removed
		return fmt.Errorf("%s: %w", name, ErrNotReplaced)
	case err != nil:
		return err
	}
	err := holds(root, aside, old)
	if err != nil {
		err = errors.Join(err, exchange(root, aside, name))
	}
	return err
}

// place gives a file a name that no other has. It may keep its old name too.
func place(root *os.Root, name, old string) error {
	err := root.Link(old, name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, taken := root.Lstat(name); taken == nil || errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w", name, ErrNotReplaced)
	}
	return root.Rename(old, name) // there may be no links
}

// remove removes a file, if there is one.
func remove(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// holds compares a file's text.
func holds(root *os.Root, name string, want []byte) error {
	text, _, err := read(root, name)
	if errors.Is(err, fs.ErrNotExist) && want == nil {
		return nil
	}
	if err == nil && (want == nil || !bytes.Equal(text, want)) || errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s: %w", name, ErrNotReplaced)
	}
	return err
}

func syncFolder(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

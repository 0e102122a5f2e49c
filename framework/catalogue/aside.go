package catalogue

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Aside is the file of a script whose object is being deleted. It lies beside its
// place under a hidden name, which says what the deletion makes of the object. So
// whoever finds it, after the power failed too, knows from what is stored whether it
// goes or comes back.
type Aside struct {
	Path string // of the script, below the scripts folder
	Life uint64 // the incarnation that the object has if it was deleted
}

const asideMark = ".deleted-"

func (a Aside) name() string {
	return path.Join(path.Dir(a.Path), "."+path.Base(a.Path)+asideMark+strconv.FormatUint(a.Life, 10))
}

// asideOf reads the name of a file that was set aside.
func asideOf(name string) (Aside, bool) {
	dir, base := path.Split(name)
	at := strings.LastIndex(base, asideMark)
	if at < 0 {
		return Aside{}, false
	}
	bare, life := base[:at], base[at+len(asideMark):]
	bare, isHidden := strings.CutPrefix(bare, ".")
	n, err := strconv.ParseUint(life, 10, 64)
	a := Aside{Path: dir + bare, Life: n}
	return a, isHidden && err == nil && isScript(a.Path) && a.name() == name
}

// SetAside moves the file of a script out of its place, until Discard or PutBack. A
// file that holds another text than that is left where it is, which is
// ErrNotReplaced. The move is durable when SetAside returns.
func (f *Folder) SetAside(a Aside, text []byte) error {
	if _, _, err := Name(a.Path); err != nil {
		return err
	}
	root := f.opened()
	if err := holds(root, a.Path, text); err != nil {
		return err
	}
	if err := remove(root, a.name()); err != nil { // what a deletion left that found another text in its place
		return err
	}
	if err := root.Rename(a.Path, a.name()); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s: %w", a.Path, ErrNotReplaced)
		}
		return err
	}
	moved, _, err := read(root, a.name())
	if err == nil && !bytes.Equal(moved, text) { // it was saved right before it was moved
		err = fmt.Errorf("%s: %w", a.Path, ErrNotReplaced)
	}
	if err == nil {
		err = syncFolder(root, path.Dir(a.Path))
	}
	if err != nil {
		if _, back := f.PutBack(a); back != nil { // and not err, which may say that nothing has moved
			return fmt.Errorf("%s lies at %s: %w", a.Path, a.name(), back)
		}
		return err
	}
	return nil
}

// Discard removes a file that was set aside, and what a station that was killed while it
// wrote that script has left beside it.
func (f *Folder) Discard(a Aside) error {
	return errors.Join(remove(f.opened(), a.name()), remove(f.opened(), draftOf(a.Path)))
}

// PutBack puts a file that was set aside into its place again, and says whether
// it did: a file that has come there meanwhile stays, and the one that was set aside
// goes. The script may be read at once.
func (f *Folder) PutBack(a Aside) (bool, error) {
	root := f.opened()
	err := place(root, a.Path, a.name())
	switch {
	case errors.Is(err, ErrNotReplaced):
		return false, remove(root, a.name())
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	back, err := f.stat(a.Path)
	if err != nil {
		return false, err
	}
	f.mu.Lock()
	set(f.noticed, a.Path, back)
	set(f.settled, a.Path, back)
	f.mu.Unlock()
	return true, errors.Join(remove(root, a.name()), syncFolder(root, path.Dir(a.Path)))
}

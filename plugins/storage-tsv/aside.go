package storagetsv

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"syscall"
)

// ofFile reports whether an error lies in the file that was used: a directory
// stands under its name, a sector is bad. A full disk or too many open files would
// fail any other file as well. Rights that are missing are no damage: the content
// is whole, and an object that went on without it would answer from a state that
// is not its own. The file stays where it is until somebody mends its rights, and
// each attempt says which file it is.
func ofFile(err error) bool {
	if _, ok := errors.AsType[fsyncError](err); ok || err == nil {
		return false
	}
	return !slices.ContainsFunc([]syscall.Errno{
		syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EACCES, syscall.EPERM,
	}, func(general syscall.Errno) bool { return errors.Is(err, general) })
}

// orAnew does what needs one of an object's files. Where the file itself is the
// cause of a failure, it is moved to damaged/ and a new one begun in its place:
// one object's bad file must not keep the journal from being carried over, which
// in time would stop them all.
func (s *Store) orAnew(o *object, name string, t *mark, do func() error) error {
	cause := do()
	if !ofFile(cause) {
		return cause
	}
	from, aside, err := s.moveAside(o, name)
	if err != nil {
		return errors.Join(cause, err)
	}
	if err := do(); err != nil {
		// A new file fails too, so the old one is not to blame. It goes back, over
		// what the attempt left; the rename tells whether that is out of the way.
		_ = s.fs.Remove(name)
		if from != name {
			_ = s.fs.Remove(from)
		}
		return errors.Join(cause, err, s.fs.Rename(aside, from))
	}
	return s.movedAside(from, aside, t, cause)
}

// moveAside moves a file, or what stands where the file's directory should be,
// to damaged/<kind>-<object>-<n>.
func (s *Store) moveAside(o *object, name string) (from, aside string, err error) {
	from = name
	kind := strings.TrimSuffix(path.Base(name), path.Ext(name))
	if strings.HasPrefix(name, "files/") && path.Base(name) != indexFile {
		kind = "file" // its own name may be too long for a part of another
	}
	if _, err := s.fs.ReadDir(path.Dir(name)); errors.Is(err, syscall.ENOTDIR) {
		from = path.Dir(name)
		kind = path.Dir(from)
	}
	if aside, err = s.asideName(kind + "-" + string(o.id)); err != nil {
		return "", "", err
	}
	return from, aside, s.fs.Rename(from, aside)
}

// asideName gives a name in damaged/ that is free.
func (s *Store) asideName(begin string) (string, error) {
	if err := s.fs.Mkdir("damaged"); err != nil {
		return "", err
	}
	names, err := s.fs.ReadDir("damaged")
	if err != nil {
		return "", err
	}
	for n := 1; ; n++ {
		if name := fmt.Sprintf("%s-%d", begin, n); !slices.Contains(names, name) {
			return "damaged/" + name, nil
		}
	}
}

// movedAside says so, and makes the new name durable before a checkpoint may
// make the loss of the old one durable.
func (s *Store) movedAside(from, aside string, t *mark, cause error) error {
	t.names = true
	s.log.Error("damage: a file cannot be used; it was moved aside, and a new one is begun in its place", "file", from, "moved_to", aside, "error", cause)
	s.damage.unsynced.Store(true)
	return s.syncDamaged()
}

// syncDamaged makes durable what has been moved to damaged/. Where that folder
// cannot be opened, the next checkpoint or import begins with it.
func (s *Store) syncDamaged() error {
	if !s.damage.unsynced.Swap(false) {
		return nil
	}
	err := errors.Join(s.fs.SyncDir("damaged"), s.fs.SyncDir("."))
	if err != nil {
		s.damage.unsynced.Store(true)
	}
	return err
}

// giveUp moves a file aside that cannot be used where nothing is to be done again.
func (s *Store) giveUp(o *object, name string, t *mark, cause error) error {
	from, aside, err := s.moveAside(o, name)
	if err != nil {
		return errors.Join(cause, err)
	}
	t.data = false
	return s.movedAside(from, aside, t, cause)
}

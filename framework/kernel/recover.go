package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/dbbasic/station/framework/catalogue"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// recover removes or puts back the files that were set aside by a station that was
// killed, removes what it had begun to write, and gives the scripts that there are then.
// A file that cannot be dealt with is said, and keeps nobody from starting.
func (o *objects) recover(ctx context.Context, l catalogue.Listing, heads map[id.Object]storage.ObjectInfo) catalogue.Listing {
	for _, name := range l.Drafts {
		if err := o.removeDraft(ctx, name, heads); err != nil {
			o.log.Warn("what a station that was killed had begun to write is left under a hidden name", "path", name, "error", err)
		}
	}
	for _, a := range l.Aside {
		object, _, err := catalogue.Name(a.Path)
		if err != nil { // no deletion made it
			o.log.Warn("a hidden file is left where it is", "path", a.Path, "error", err)
			continue
		}
		owned := slices.ContainsFunc(l.Scripts, func(s catalogue.Script) bool { return s.Object == object })
		if heads[object].Incarnation >= a.Life || owned { // or another script has come there
			if err := o.folder.Discard(a); err != nil {
				o.log.Warn(leftAside, "object", object, "path", a.Path, "error", err)
			}
			continue
		}
		back, err := o.folder.PutBack(a)
		var s catalogue.Script
		if back && err == nil {
			s, err = o.folder.Read(a.Path)
		}
		switch {
		case err != nil: // what is stored serves
			o.log.Warn("the file of an object that was not deleted could not be put back; the next start tries it again", "object", object, "path", a.Path, "error", err)
			l.Skipped = append(l.Skipped, catalogue.Skipped{Path: a.Path, Err: err})
		case back:
			l.Scripts = append(l.Scripts, s)
		}
	}
	return l
}

// removeDraft removes a draft of a text that is stored, or of an object that was
// deleted. Any other text may have no other copy: it was saved in the moment in which
// the station put its own into that place. It stays, and the error says so.
func (o *objects) removeDraft(ctx context.Context, name string, heads map[id.Object]storage.ObjectInfo) error {
	d, err := o.folder.Draft(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info := heads[d.Object]
	stored := len(d.Text) == 0 || info.Hash == "" && info.Incarnation > 1
	if !stored && info.Hash != "" {
		if stored, err = o.isStored(ctx, d, info); err != nil {
			return err
		}
	}
	if !stored {
		return fmt.Errorf("it holds a text that no version of %q has: move it away, or remove it; the next text that the station writes into %s takes its place", d.Object, d.Path)
	}
	return o.folder.RemoveDraft(name)
}

// isStored reports whether a version has a draft's text, or the newest one begins with
// it: a station may be killed while it writes.
func (o *objects) isStored(ctx context.Context, d catalogue.Script, info storage.ObjectInfo) (bool, error) {
	if has, err := o.hasVersion(ctx, d.Object, d.Hash); has || err != nil {
		return has, err
	}
	head, err := o.store.Version(ctx, d.Object, info.Head)
	return err == nil && bytes.HasPrefix(head.Text, d.Text), err
}

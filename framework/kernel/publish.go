package kernel

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dbbasic/station/framework/catalogue"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Versions implements host.Host.
func (h *Host) Versions(ctx context.Context, q storage.VersionsQuery) ([]storage.Version, error) {
	if _, err := h.look(q.Object); err != nil {
		return nil, err
	}
	return h.store.Versions(ctx, q)
}

// Version implements host.Host.
func (h *Host) Version(ctx context.Context, object id.Object, number uint64) (storage.Version, error) {
	if _, err := h.look(object); err != nil {
		return storage.Version{}, err
	}
	v, err := h.store.Version(ctx, object, number)
	if errs.Is(err, errs.NotFound) {
		err = errs.New(errs.NotFound, "no_such_version", "The object %q has no version %d.", object, number)
	}
	return v, err
}

// Publish implements host.Host.
func (h *Host) Publish(ctx context.Context, p host.Publication) (host.Published, error) {
	if _, err := id.ParseObject(string(p.Object)); err != nil {
		return host.Published{}, err
	}
	return h.objects.publish(ctx, p)
}

// Rollback implements host.Host.
func (h *Host) Rollback(ctx context.Context, r host.Rollback) (host.Published, error) {
	v, err := h.Version(ctx, r.Object, r.Version)
	if err != nil {
		return host.Published{}, err
	}
	if r.Message == "" {
		r.Message = fmt.Sprintf("Rolled back to version %d", r.Version)
	}
	return h.objects.publish(ctx, host.Publication{Object: r.Object, Text: v.Text, Author: r.Author, Message: r.Message})
}

// publish makes a text that did not come from the script's file the newest version,
// serves it, and brings the file up to it. Errors are those of host.Host's Publish.
func (o *objects) publish(ctx context.Context, p host.Publication) (host.Published, error) {
	if err := checkPublication(p); err != nil {
		return host.Published{}, err
	}
	defer o.lock(place{object: p.Object})()
	if err := o.decide(ctx, p.Object); err != nil {
		return host.Published{}, err
	}
	at, err := o.placeOfObject(p.Object)
	if err != nil {
		return host.Published{}, err
	}
	info, err := o.dispatch.Info(ctx, p.Object)
	if err != nil {
		return host.Published{}, err
	}
	if p.IfMatch != "" && p.IfMatch != info.Hash {
		return host.Published{}, errs.New(errs.Precondition, "",
			"The change is of another version of %q than %d, the newest: read that one and apply the change to it.", p.Object, info.Head)
	}
	program := o.script(p.Text, o.newestModules())
	proposal := cluster.Proposal{Object: p.Object, Base: info.Head, Version: storage.Version{
		Time: time.Now().UTC().Truncate(time.Microsecond), Author: p.Author, Message: p.Message, Hash: storage.Hash(p.Text), Text: p.Text,
	}}
	if proposal.Version.Uses, err = o.modules.uses(program); err != nil {
		return host.Published{}, err
	}
	if info.Head > 0 {
		if proposal.Uses, err = o.headUses(ctx, p.Object); err != nil {
			return host.Published{}, err
		}
	}
	number, minted, err := o.install(ctx, at, proposal, program, false)
	if err != nil {
		return host.Published{}, err
	}
	if o.folder == nil {
		o.overInside(at.object, number, proposal.Version.Hash)
	} else if err := o.written(ctx, at); err != nil {
		o.log.Warn("the script's file will be written once storage answers", "object", at.object, "path", at.path, "error", err)
		o.again(ctx, at.path, retryPause)
	}
	return host.Published{Version: number, Hash: proposal.Version.Hash, Minted: minted}, nil
}

func checkPublication(p host.Publication) error {
	for _, f := range []struct {
		name, text string
		limit      int
	}{{"author", p.Author, host.MaxAuthor}, {"message", p.Message, host.MaxMessage}} {
		if len(f.text) > f.limit || !utf8.ValidString(f.text) {
			return errs.New(errs.Invalid, "bad_version_text", "The %s of a version is up to %d bytes of UTF-8.", f.name, f.limit)
		}
	}
	return nil
}

// placeOfObject gives where the script of an object lies, or will.
func (o *objects) placeOfObject(object id.Object) (place, error) {
	o.mu.RLock()
	path, ok := o.paths[object]
	o.mu.RUnlock()
	if !ok && strings.HasPrefix(string(object), modulePrefix) {
		return place{}, errs.New(errs.Conflict, "module", "%q would be a module: make a file for it in the folder lib of the scripts.", object)
	}
	if !ok {
		return newPlace(object), nil
	}
	if _, module, _ := catalogue.Name(path); module != "" { // the path is one that has passed
		return place{}, errs.New(errs.Conflict, "module", "%q is a module: change its file %s.", object, path)
	}
	return place{object: object, path: path}, nil
}

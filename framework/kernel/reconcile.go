package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/dbbasic/station/framework/catalogue"
	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// standing is how a script's file and the versions of its object stand to each other.
type standing int

const (
	inStep   standing = iota // the file holds the newest version
	behind                   // it holds an older one that it was known to hold, or was not written yet
	edited                   // it holds a change of the newest version
	conflict                 // it holds a change of an older version
	removed                  // it is gone, and held the newest version
	nothing                  // there is neither file nor version
)

// compare says how they stand, from hashes: of the file, of the newest version, and
// of the version that the file is known to hold. Empty means that there is none.
// A file of which nothing is known, of an object that was imported or of an older
// station, counts as a change of the newest version.
func compare(file, head, held string) standing {
	switch {
	case file == "" && head == "":
		return nothing
	case file == "" && held == head:
		return removed
	case file == "", file != head && file == held:
		return behind
	case file == head:
		return inStep
	case head == "", held == "", held == head:
		return edited
	}
	return conflict
}

// place is where the script of an object or module lies.
type place struct {
	object id.Object
	module string // its name; empty for an object
	path   string // below the scripts folder
}

func placeOf(s catalogue.Script) place { return place{s.Object, s.Module, s.Path} }

// reconcile brings an object or module in line with its file, which is nil where
// there is none. It may be repeated. An error means that storage failed; all else
// that is wrong becomes the object's trouble.
func (o *objects) reconcile(ctx context.Context, at place, file *catalogue.Script, info storage.ObjectInfo) error {
	var hash string
	if file != nil {
		hash = file.Hash
	}
	held, err := o.held(ctx, info)
	if err != nil {
		return err
	}
	stands := compare(hash, info.Hash, held)
	if stands, err = o.insideStands(ctx, stands, hash, info); err != nil {
		return err
	}
	switch stands {
	case inStep:
		if info.Working != info.Head {
			if err := o.dispatch.SetWorking(ctx, at.object, info.Head); err != nil {
				return err
			}
			info.Working = info.Head
		}
		return o.serveNewest(ctx, at, file.Text, info, true)
	case behind:
		return o.refresh(ctx, at, file, info)
	case edited:
		return o.take(ctx, at, *file, info)
	case conflict:
		return o.contradict(ctx, at, *file, info)
	case removed, nothing:
		return o.remove(ctx, at)
	}
	return nil
}

// insideStands is how a text inside the program stands. It is no edit where it is
// one that the object has had: what went on from it went on in a scripts folder,
// without which the station was started now.
func (o *objects) insideStands(ctx context.Context, s standing, hash string, info storage.ObjectInfo) (standing, error) {
	if o.folder != nil || info.Hash == "" || s != edited && s != conflict {
		return s, nil
	}
	had, err := o.hasVersion(ctx, info.Object, hash)
	if had {
		s = behind
	}
	return s, err
}

// hasVersion reports whether a version of an object's present life has a hash.
func (o *objects) hasVersion(ctx context.Context, object id.Object, hash string) (bool, error) {
	for q := (storage.VersionsQuery{Object: object, Limit: storage.MaxPage}); ; {
		page, err := o.store.Versions(ctx, q)
		if err != nil {
			return false, err
		}
		for i := range page {
			if page[i].Hash == hash {
				return true, nil
			}
		}
		if len(page) < q.Limit {
			return false, nil
		}
		q.Before = page[len(page)-1].Number
	}
}

// lostHash stands for the hash of a version of which storage has lost that too. It
// is the hash of no text: a file that could hold the version counts as a change of it.
const lostHash = "lost"

// held gives the hash of the version that the file is known to hold; empty where that
// is none. The text of the version is not asked for, since that may be what is damaged,
// nor is its row where it is the newest.
func (o *objects) held(ctx context.Context, info storage.ObjectInfo) (string, error) {
	switch {
	case info.Working == 0:
		return "", nil
	case info.Working == info.Head:
		return info.Hash, nil
	}
	list, err := o.store.Versions(ctx, storage.VersionsQuery{Object: info.Object, Before: info.Working + 1, Limit: 1})
	switch {
	case err != nil:
		return "", err
	case len(list) == 0 || list[0].Number != info.Working:
		return lostHash, nil
	}
	return list[0].Hash, nil
}

// refresh writes the newest version into the file, which holds an older one or is not
// there, and serves it.
func (o *objects) refresh(ctx context.Context, at place, file *catalogue.Script, info storage.ObjectInfo) error {
	head, err := o.store.Version(ctx, at.object, info.Head)
	if err != nil {
		return err
	}
	if info.Working == 0 { // it never had a file here
		loads, err := o.loads(ctx, head)
		if err != nil {
			return err
		}
		if !loads { // it may do so with the modules that there are here
			loads = o.loadsWith(head.Text, o.newestModules()) == nil
		}
		if !loads { // it was imported, and is no script for this station: from here on it is one that was removed
			return o.dispatch.SetWorking(ctx, at.object, info.Head)
		}
	}
	if o.folder == nil { // nothing can be written, and the newest version serves
		return o.serveNewest(ctx, at, head.Text, info, true)
	}
	var old catalogue.Script
	if file != nil && o.folder.Has(at.path) {
		old = *file
	}
	switch err := o.folder.Replace(at.path, old.Text, head.Text); {
	case errors.Is(err, catalogue.ErrNotReplaced): // it was written just now, and will be told
	case err != nil:
		if err := o.serveNewest(ctx, at, head.Text, info, false); err != nil {
			return err
		}
		o.trouble(ctx, at, host.Trouble{Kind: host.Behind, Hash: old.Hash, File: at.path, Serving: info.Head, Message: fmt.Sprintf("the file could not be replaced by version %d: %v", info.Head, err)})
		return nil
	default:
		if err := o.dispatch.SetWorking(ctx, at.object, info.Head); err != nil {
			return err
		}
		info.Working = info.Head
		o.log.Info("script was replaced by its newest version", "object", at.object, "path", at.path, "version", info.Head)
	}
	return o.serveNewest(ctx, at, head.Text, info, true)
}

// loads reports whether a version can be served. An error is of storage.
func (o *objects) loads(ctx context.Context, v storage.Version) (bool, error) {
	p, err := o.pinnedScript(ctx, v)
	if err != nil {
		return false, err
	}
	vm, err := p.NewVM(nil)
	if err != nil {
		return false, nil //nolint:nilerr // that is the answer
	}
	vm.Close()
	return true, nil
}

// take makes an edit the newest version.
func (o *objects) take(ctx context.Context, at place, file catalogue.Script, info storage.ObjectInfo) error {
	proposal := cluster.Proposal{Object: at.object, Base: info.Head, Version: storage.Version{
		Time: time.Now().UTC().Truncate(time.Microsecond), Author: "station",
		Message: o.from() + at.path, Hash: file.Hash, Text: file.Text,
	}}
	if at.module != "" {
		return o.takeModule(ctx, at, proposal, info)
	}
	p := o.script(file.Text, o.newestModules())
	var err error
	if proposal.Version.Uses, err = o.modules.uses(p); err != nil {
		return o.refuse(ctx, at, file.Text, info, err)
	}
	return o.mint(ctx, at, proposal, p, info, true)
}

// from is how the message of a version begins that was made of a script.
func (o *objects) from() string {
	if o.folder == nil {
		return "Bundled as "
	}
	return "Read from "
}

// mint makes a version of a program that loads, and serves it.
func (o *objects) mint(ctx context.Context, at place, c cluster.Proposal, p *script, info storage.ObjectInfo, fromFile bool) error {
	_, _, err := o.install(ctx, at, c, p, fromFile)
	if errs.Is(err, errs.Source) {
		return o.refuse(ctx, at, p.text, info, err)
	}
	if err == nil {
		o.untrouble(at)
	}
	return err
}

// install makes a program that loads the newest version, and serves it. Errors:
// errs.Source, and those of dispatch.Dispatcher's Publish.
func (o *objects) install(ctx context.Context, at place, c cluster.Proposal, p *script, fromFile bool) (number uint64, minted bool, err error) {
	vm, err := p.NewVM(nil) // what does not load is no version
	if err != nil {
		return 0, false, err
	}
	vm.Close()
	number, minted, err = o.dispatch.Publish(ctx, dispatch.Publication{Proposal: c, Program: p, FromFile: fromFile})
	if err != nil {
		return 0, false, err
	}
	o.add(at, number, c.Version.Hash, c.Version.Uses, p)
	if minted {
		o.said(ctx, "script is live", "object", at.object, "path", at.path, "version", number)
	}
	return number, minted, nil
}

// said logs what became of a file. At the start, where nothing happens to any, that
// would be a line for each.
func (o *objects) said(ctx context.Context, message string, args ...any) {
	level := slog.LevelInfo
	if o.watcher == nil {
		level = slog.LevelDebug
	}
	o.log.Log(ctx, level, message, args...)
}

// serveNewest serves the text of the newest version, with the modules as they are
// now: where they are others than that version's, they make a new one. settled says
// that the file is no trouble.
func (o *objects) serveNewest(ctx context.Context, at place, text []byte, info storage.ObjectInfo, settled bool) error {
	if at.module != "" {
		return o.serveModule(ctx, at, text, info)
	}
	p := o.script(text, o.newestModules())
	var uses []storage.Use
	if mentionsRequire(text) {
		var err error
		if uses, err = o.modules.uses(p); err != nil {
			return o.refuse(ctx, at, text, info, err)
		}
		old, err := o.headUses(ctx, at.object)
		if err != nil {
			return err
		}
		if changed := changedUses(old, uses); changed != "" {
			return o.mint(ctx, at, cluster.Proposal{Object: at.object, Base: info.Head, Uses: old, Version: storage.Version{
				Time: time.Now().UTC().Truncate(time.Microsecond), Author: "station", Message: changed,
				Hash: info.Hash, Text: text, Uses: uses,
			}}, p, info, info.Working == info.Head)
		}
	}
	if s, err := o.find(at.object); err != nil || s.source.Version != info.Head || s.info.Path != at.path {
		o.serve(at, info.Head, info.Hash, uses, p)
	}
	if settled {
		o.untrouble(at)
	}
	return nil
}

// refuse leaves the version in service where it is. Where none is, the newest one
// serves, with its own modules; and where that does not load either (what was
// imported from the prototype is Python), the object answers what is wrong with its
// script, which is what its author needs to see.
func (o *objects) refuse(ctx context.Context, at place, text []byte, info storage.ObjectInfo, why error) error {
	serving, err := o.keep(ctx, at, text, info)
	if err != nil {
		return err
	}
	e := errs.From(why)
	module, line, message := luahost.Place(e.Text())
	if line == 0 {
		line = e.Line
	}
	t := host.Trouble{Kind: host.Refused, Hash: storage.Hash(text), File: at.path, Line: line, Message: message, Serving: serving}
	if module != "" {
		t.File = module
	}
	o.trouble(ctx, at, t)
	return nil
}

// contradict leaves an edit of an older version alone.
func (o *objects) contradict(ctx context.Context, at place, file catalogue.Script, info storage.ObjectInfo) error {
	serving, err := o.keep(ctx, at, file.Text, info)
	if err != nil {
		return err
	}
	message := "the file is a change of version %d, and the newest is version %d: put the change into that one's text, or remove the file to have it written anew"
	if o.folder == nil {
		message = "the text inside this program is a change of version %d, and the newest is version %d: write the scripts out with \"station init\" to put the change into that one's text"
	}
	o.trouble(ctx, at, host.Trouble{
		Kind: host.Conflict, Hash: file.Hash, File: at.path, Serving: serving, Message: fmt.Sprintf(message, info.Working, info.Head),
	})
	return nil
}

// keep makes sure that an object whose file cannot be served is in service all the
// same, and gives the version.
func (o *objects) keep(ctx context.Context, at place, text []byte, info storage.ObjectInfo) (uint64, error) {
	if at.module != "" {
		return o.keepModule(ctx, at, text, info)
	}
	if s, err := o.find(at.object); err == nil && s.source.Version > 0 {
		return s.source.Version, nil
	}
	serving, err := o.serveStored(ctx, at, info)
	if err == nil && serving == 0 {
		o.serve(at, 0, storage.Hash(text), nil, o.script(text, o.newestModules()))
	}
	return serving, err
}

// serveStored serves the newest version of an object, with the modules that it ran
// with, and gives its number; 0 where there is none that loads.
func (o *objects) serveStored(ctx context.Context, at place, info storage.ObjectInfo) (uint64, error) {
	if info.Hash == "" || at.module != "" {
		return 0, nil
	}
	old, err := o.store.Version(ctx, at.object, info.Head)
	if err != nil {
		return 0, err
	}
	if loads, err := o.loads(ctx, old); err != nil || !loads {
		return 0, err
	}
	p, err := o.pinnedScript(ctx, old)
	if err != nil {
		return 0, err
	}
	o.serve(at, old.Number, old.Hash, old.Uses, p)
	return old.Number, nil
}

// pinnedScript gives a version's program, with the modules that it ran with.
func (o *objects) pinnedScript(ctx context.Context, v storage.Version) (*script, error) {
	p := o.script(v.Text, nil)
	var err error
	p.modules, err = o.modules.pinned(ctx, o.store, p, v.Uses)
	return p, err
}

// trouble notes what is wrong with an object's file, and says it once: in the
// station's log, and in the object's own where that can be stored.
func (o *objects) trouble(ctx context.Context, at place, t host.Trouble) {
	t.Time = time.Now().UTC().Truncate(time.Microsecond)
	o.mu.Lock()
	was, known := o.troubles[at.object]
	again := known && was.Kind == t.Kind && was.Hash == t.Hash && was.Message == t.Message
	if again {
		t.Time = was.Time
	}
	o.troubles[at.object] = t
	o.mu.Unlock()
	if again {
		return
	}
	log, message := o.log.Error, map[host.TroubleKind]string{
		host.Refused: "script does not load", host.Conflict: "script is in conflict", host.Pending: "script is pending", host.Behind: "script is behind",
	}[t.Kind]
	if at.module != "" {
		message = strings.Replace(message, "script", "module", 1)
	}
	switch {
	case t.Kind != host.Pending:
	case t.Serving > 0:
		log = o.log.Warn
	case at.module != "":
		message = "module is out of service"
	default:
		message = "object is out of service"
	}
	where := t.File
	if t.Line > 0 {
		where = fmt.Sprintf("%s:%d", t.File, t.Line)
	}
	if where != "" {
		where += ": "
	}
	if at.module != "" {
		log(message, "module", at.module, "path", at.path, "kind", t.Kind, "serving_version", t.Serving, "error", where+t.Message)
		return
	}
	log(message, "object", at.object, "path", at.path, "serving_version", t.Serving, "error", where+t.Message)
	if t.Kind == host.Pending {
		return // there is nothing to write it to
	}
	fields, err := json.Marshal(map[string]any{"code": "source_" + string(t.Kind), "path": at.path, "file": t.File, "line": t.Line, "serving_version": t.Serving})
	if err == nil {
		err = o.dispatch.Note(ctx, at.object, storage.Error, where+t.Message, fields)
	}
	if err != nil {
		o.log.Warn("an object's log does not tell what is wrong with its script", "object", at.object, "error", err)
	}
}

// untrouble says that an object runs what its file holds.
func (o *objects) untrouble(at place) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.troubles, at.object)
}

// troubleOf gives what is wrong with an object's file; without a kind where nothing is.
func (o *objects) troubleOf(object id.Object) host.Trouble {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.troubles[object]
}

package lines

import (
	"context"
	"strconv"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// action is how the host is asked for something.
type action struct {
	noObject bool // the request names none
	ask      func(*exchange, context.Context, id.Object) (value any, next string, err error)
	stream   func(*exchange, id.Object) error // instead of ask: it takes or gives bytes of any length
}

var actions = map[Action]action{
	Invoke:   {},
	Identity: {noObject: true, ask: (*exchange).identity}, Objects: {noObject: true, ask: (*exchange).objects},
	Source: {ask: (*exchange).source}, State: {ask: (*exchange).state}, Logs: {ask: (*exchange).logs}, Follow: {ask: (*exchange).follow},
	Test: {ask: (*exchange).test}, Versions: {ask: (*exchange).versions}, Version: {ask: (*exchange).version},
	Diff: {ask: (*exchange).diff}, Metadata: {ask: (*exchange).metadata},
	Publish: {ask: (*exchange).publish}, Rollback: {ask: (*exchange).rollback}, Delete: {ask: (*exchange).delete},
	Export: {stream: (*exchange).exportObject}, Import: {stream: (*exchange).importObject},
	File: {stream: (*exchange).file}, PutFile: {stream: (*exchange).putFile},
	Files: {ask: (*exchange).files}, DeleteFile: {ask: (*exchange).deleteFile}, Status: {ask: (*exchange).status},
	SetState: {ask: (*exchange).setState}, DeleteState: {ask: (*exchange).deleteState},
	Plugins: {noObject: true, ask: (*exchange).plugins}, Health: {noObject: true, ask: (*exchange).health}, Ready: {noObject: true, ask: (*exchange).ready},
	Metrics: {noObject: true, ask: (*exchange).metrics},
}

// operator is who asks: there is no login.
var operator = id.Caller{Roles: []string{id.RoleOperator}}

// hereOnly refuses what is asked of another station.
func (x *exchange) hereOnly(station id.Station) error {
	if station != "" && station != x.station {
		return errs.New(errs.NotFound, "no_such_station", "This station knows no station %q.", station)
	}
	return nil
}

// ask does everything but calls: it waits for one answer of the host.
func (x *exchange) ask(do action, object id.Object, station id.Station) error {
	if err := x.hereOnly(station); err != nil {
		return err
	}
	if do.stream != nil {
		return do.stream(x, object)
	}
	switch {
	case x.Limit == 0:
		x.Limit = 100
	case x.Limit < 0 || x.Limit > storage.MaxPage:
		return errs.New(errs.Invalid, "bad_parameter", "The limit of a list is a number from 1 to %d.", storage.MaxPage)
	}
	ctx, cancel := context.WithTimeout(x.calls, x.most.call)
	defer cancel()
	value, next, err := do.ask(x, ctx, object)
	if err != nil {
		return err
	}
	x.last(&Answer{Value: value, Next: next})
	return nil
}

func (x *exchange) identity(ctx context.Context, _ id.Object) (any, string, error) {
	i, err := x.host.Identity(ctx)
	return i, "", err
}

func (x *exchange) objects(ctx context.Context, _ id.Object) (any, string, error) {
	page, err := x.host.Objects(ctx, host.ObjectsQuery{Prefix: x.Prefix, After: id.Object(x.Cursor), Limit: x.Limit})
	next := ""
	if n := len(page.Objects); page.More && n > 0 {
		next = string(page.Objects[n-1].Object)
	}
	return page.Objects, next, err
}

func (x *exchange) source(ctx context.Context, object id.Object) (any, string, error) {
	s, err := x.host.Source(ctx, object)
	return s, "", err
}

func (x *exchange) state(ctx context.Context, object id.Object) (any, string, error) {
	q := host.StateQuery{Object: object, Prefix: x.Prefix, After: x.Cursor, Limit: x.Limit}
	if x.Key != nil {
		q.Key, q.HasKey = *x.Key, true
	}
	page, err := x.host.State(ctx, q)
	next := ""
	if n := len(page.Items); page.More && n > 0 {
		next = page.Items[n-1].Key
	}
	return page.Items, next, err
}

func (x *exchange) logs(ctx context.Context, object id.Object) (any, string, error) {
	q := x.Logs
	q.Object, q.Limit, q.Cursor = object, x.Limit, x.Cursor
	page, err := x.host.Logs(ctx, q)
	return page.Entries, page.Next, err
}

// maxWait is how long a client may have the station wait for an entry.
const maxWait = 30 * time.Second

// follow waits for entries as long as the client is there and the station goes on.
func (x *exchange) follow(ctx context.Context, object id.Object) (any, string, error) {
	if x.Wait < 0 || x.Wait > maxWait {
		return nil, "", errs.New(errs.Invalid, "bad_wait", "The wait for an entry is from 0 to %v.", maxWait)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(x.here, cancel)()
	defer context.AfterFunc(x.stopping, cancel)()
	l := x.Logs
	page, err := x.host.Follow(ctx, host.FollowQuery{
		Object: object, Levels: l.Levels, Text: l.Text, Fields: l.Fields, Since: l.Since,
		Cursor: x.Cursor, Last: x.Last, Limit: x.Limit, Wait: x.Wait,
	})
	if x.stopping.Err() != nil && err != nil {
		err = errs.New(errs.Unavailable, "stopping", "The station is stopping; ask again with the cursor.")
	}
	return page, page.Next, err
}

func (x *exchange) test(ctx context.Context, object id.Object) (any, string, error) {
	r, err := x.host.Test(ctx, object)
	return r, "", err
}

func (x *exchange) versions(ctx context.Context, object id.Object) (any, string, error) {
	q := storage.VersionsQuery{Object: object, Limit: x.Limit}
	if x.Cursor != "" {
		var err error
		if q.Before, err = strconv.ParseUint(x.Cursor, 10, 64); err != nil || q.Before == 0 {
			return nil, "", errs.New(errs.Invalid, "bad_cursor", "The cursor is not one that this station gave.")
		}
	}
	list, err := x.host.Versions(ctx, q)
	next := ""
	if n := len(list); n == q.Limit && list[n-1].Number > 1 {
		next = strconv.FormatUint(list[n-1].Number, 10)
	}
	return list, next, err
}

func (x *exchange) version(ctx context.Context, object id.Object) (any, string, error) {
	if x.Version == 0 {
		return nil, "", badVersion()
	}
	v, err := x.host.Version(ctx, object, x.Version)
	return v, "", err
}

func badVersion() error {
	return errs.New(errs.Invalid, "bad_version", "The versions of an object have numbers from 1.")
}

func (x *exchange) publish(ctx context.Context, object id.Object) (any, string, error) {
	p := x.Publication
	p.Object = object
	done, err := x.host.Publish(ctx, p)
	return done, "", err
}

func (x *exchange) rollback(ctx context.Context, object id.Object) (any, string, error) {
	if x.Version == 0 {
		return nil, "", badVersion()
	}
	p := x.Publication
	done, err := x.host.Rollback(ctx, host.Rollback{Object: object, Version: x.Version, Author: p.Author, Message: p.Message})
	return done, "", err
}

func (x *exchange) delete(ctx context.Context, object id.Object) (any, string, error) {
	return object, "", x.host.Delete(ctx, host.Deletion{Object: object, IfMatch: x.Publication.IfMatch})
}

func (x *exchange) diff(ctx context.Context, object id.Object) (any, string, error) {
	if x.Version == 0 {
		return nil, "", badVersion()
	}
	text, err := x.host.Diff(ctx, host.DiffQuery{Object: object, From: x.Version, To: x.To})
	return string(text), "", err
}

func (x *exchange) metadata(ctx context.Context, object id.Object) (any, string, error) {
	m, err := x.host.Metadata(ctx, host.MetadataQuery{Object: object, Caller: operator})
	return m, "", err
}

func (x *exchange) plugins(ctx context.Context, _ id.Object) (any, string, error) {
	list, err := x.host.Plugins(ctx)
	return list, "", err
}

func (x *exchange) health(ctx context.Context, _ id.Object) (any, string, error) {
	h, err := x.host.Health(ctx)
	return h, "", err
}

func (x *exchange) ready(ctx context.Context, _ id.Object) (any, string, error) {
	h, err := x.host.Health(ctx)
	if err == nil {
		err = h.Ready()
	}
	return h, "", err
}

func (x *exchange) metrics(ctx context.Context, _ id.Object) (any, string, error) {
	text, err := x.host.Metrics(ctx)
	return string(text), "", err
}

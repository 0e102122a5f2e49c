package lines

import (
	"context"
	"errors"
	"net/textproto"
	"slices"
	"strings"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

// exchange is one request on its way to its last answer.
type exchange struct {
	*connection
	*Request
	pieces chan piece // of files; at most one waits
}

// run does what the request asks for, and answers. What can go wrong comes back
// as an error to this one place.
func (x *exchange) run() {
	if err := x.answer(); err != nil {
		x.fail(err)
	}
}

func (x *exchange) answer() error {
	do, known := actions[x.Do]
	if !known {
		return errs.New(errs.Invalid, "bad_action", "There is no action %.64q.", x.Do)
	}
	var object id.Object
	var station id.Station
	if !do.noObject {
		var err error
		if object, station, err = id.ParseAddress(x.Object); err != nil {
			return err
		}
	}
	if x.Do == Invoke {
		return x.invoke(object, station)
	}
	return x.ask(do, object, station)
}

// fail is the last answer of what went wrong.
func (x *exchange) fail(err error) {
	e := errs.From(err)
	if e.Err != nil || e.Kind == errs.Internal {
		x.log.Warn("a request failed", "request_id", x.RequestID, "action", x.Do, "object", x.Object, "error", e.Error())
	}
	x.last(&Answer{Err: e})
}

// last sends the last answer.
func (x *exchange) last(a *Answer) {
	x.end(x)
	x.reply(a)
}

func (x *exchange) reply(a *Answer) {
	a.ID, a.RequestID = x.ID, x.RequestID
	x.send(a)
}

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// invoke calls an object. The call goes on when its client goes away: what it
// does must not depend on when that was.
func (x *exchange) invoke(object id.Object, station id.Station) error {
	c, err := x.call(object, station)
	if err != nil {
		return err
	}
	for _, f := range x.Files {
		if err := x.upload(&c, f); err != nil {
			x.dropUploads(&c)
			return err
		}
	}
	ctx, cancel := context.WithTimeout(x.calls, x.most.call)
	defer cancel()
	res, err := x.host.Invoke(ctx, c)
	if err != nil {
		return err
	}
	res.Header = slices.Clone(res.Header)
	typed := false
	for i := range res.Header {
		res.Header[i].Name = textproto.CanonicalMIMEHeaderKey(res.Header[i].Name)
		typed = typed || res.Header[i].Name == "Content-Type"
	}
	if res.File != nil && res.File.Type != "" && !typed {
		res.Header = append(res.Header, host.Field{Name: "Content-Type", Value: res.File.Type})
	}
	if x.Call.Method == "HEAD" {
		res.Body = nil
	} else if res.File != nil {
		return x.sendFile(object, &res)
	}
	x.last(&Answer{Result: &res, Station: res.Station})
	return nil
}

// credential holds the headers that no script sees: they may be meant for another
// script, or for the station.
var credential = map[string]bool{"Authorization": true, "Cookie": true, "Proxy-Authorization": true}

// call gives the call that the request is for, without its files.
func (x *exchange) call(object id.Object, station id.Station) (host.Call, error) {
	c := x.Call
	switch {
	case !slices.Contains(methods, c.Method):
		return c, &errs.Error{Kind: errs.MethodNotAllowed, Allow: methods,
			Message: "The methods of objects are " + strings.Join(methods, ", ") + "."}
	case len(c.Body) > 0 && len(c.Form)+len(x.Files) > 0:
		return c, errs.New(errs.Invalid, "bad_body", "A call has a body or a form, not both.")
	case len(c.Body) > MaxBody:
		return c, errs.New(errs.TooLarge, "", "A body may have %d bytes.", MaxBody)
	case max(len(c.Query), len(c.Header), len(c.Form)) > MaxFields:
		return c, errs.New(errs.TooLarge, "", "A query, a header and a form may have %d fields each.", MaxFields)
	case len(x.Files) > MaxFiles:
		return c, errs.New(errs.TooLarge, "", "A form may have %d files.", MaxFiles)
	}
	var header []host.Field
	for _, f := range c.Header {
		f.Name = textproto.CanonicalMIMEHeaderKey(f.Name) // as scripts look for them
		if !credential[f.Name] {
			header = append(header, f)
		}
	}
	return host.Call{
		Object: object, Station: station, Method: c.Method, Path: "/objects/" + x.Object, // as over HTTP: scripts see it
		Query: c.Query, Header: header, Form: c.Form, Type: c.Type, Body: c.Body,
		RequestID: x.RequestID, Caller: operator,
	}, nil
}

// dropUploads removes what a call that will not be made would have used.
func (x *exchange) dropUploads(c *host.Call) {
	ctx, cancel := context.WithTimeout(x.calls, x.most.call)
	defer cancel()
	var failed error
	for _, u := range c.Uploads {
		failed = errors.Join(failed, x.host.DropUpload(ctx, c.Object, u.Upload))
	}
	if failed != nil { // the storage drops them in the end
		x.log.Warn("uploads of a call that was not made are left", "request_id", x.RequestID, "error", failed)
	}
}

package lines

import (
	"context"
	"io"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

func (x *exchange) files(ctx context.Context, object id.Object) (any, string, error) {
	page, err := x.host.Files(ctx, host.FilesQuery{Object: object, Prefix: x.Prefix, After: x.Cursor, Limit: x.Limit})
	next := ""
	if n := len(page.Files); page.More && n > 0 {
		next = page.Files[n-1].Name
	}
	return page.Files, next, err
}

// file answers with a file as a call does whose object gives one.
func (x *exchange) file(object id.Object) error {
	ctx, cancel := context.WithTimeout(x.calls, x.most.call)
	defer cancel()
	page, err := x.host.Files(ctx, host.FilesQuery{Object: object, Name: x.Name, HasName: true})
	if err != nil {
		return err
	}
	res := host.Result{Status: 200, File: &page.Files[0], Station: x.station}
	if t := res.File.Type; t != "" {
		res.Header = []host.Field{{Name: "Content-Type", Value: t}}
	}
	return x.sendFile(object, &res)
}

// putFile hands a file of the client to the host, which reads it or refuses it.
func (x *exchange) putFile(object id.Object) error {
	f := host.NewFile{Object: object, Name: x.Name, Type: x.Call.Type, IfMatch: x.IfMatch, IfAbsent: x.IfAbsent, RequestID: x.RequestID}
	return x.receive(x.calls, func(ctx context.Context, r io.Reader) error { // what came whole is stored, also where the client is gone
		stored, err := x.host.PutFile(ctx, f, r)
		if err != nil {
			return err
		}
		x.last(&Answer{Value: stored})
		return nil
	})
}

func (x *exchange) deleteFile(ctx context.Context, object id.Object) (any, string, error) {
	d := host.FileDeletion{Object: object, Name: x.Name, IfMatch: x.IfMatch, RequestID: x.RequestID}
	return d, "", x.host.DeleteFile(ctx, d)
}

func (x *exchange) setState(ctx context.Context, object id.Object) (any, string, error) {
	if x.Key == nil {
		return nil, "", noKey()
	}
	s := host.StateChange{Object: object, Key: *x.Key, Value: x.Value, RequestID: x.RequestID}
	return s, "", x.host.SetState(ctx, s)
}

func (x *exchange) deleteState(ctx context.Context, object id.Object) (any, string, error) {
	if x.Key == nil {
		return nil, "", noKey()
	}
	d := host.StateDeletion{Object: object, Key: *x.Key, RequestID: x.RequestID}
	return d, "", x.host.DeleteState(ctx, d)
}

func noKey() error {
	return errs.New(errs.Invalid, "bad_parameter", "The request names no key of the state.")
}

func (x *exchange) status(ctx context.Context, object id.Object) (any, string, error) {
	s, err := x.host.Status(ctx, object)
	return s, "", err
}

package transporttest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/textproto"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport"
)

const (
	linesBody = 2 << 20  // bytes of a body that Lines takes
	lineBytes = 16 << 20 // of a whole line, with its files
	linesCall = 35 * time.Second
)

// Lines is the smallest transport that keeps the contract: a line of JSON for
// each request, a line for its answer, one request of a connection at a time.
type Lines struct {
	station id.Station
	conns   atomic.Int64 // that were accepted
}

var _ transport.Transport = (*Lines)(nil)

// line is one request: a call or a read.
type line struct {
	Call *Request `json:",omitempty"`
	Read *Read    `json:",omitempty"`

	Change *Change `json:",omitempty"`
}

// answer is one answer: of a call its Response, of a change what it gave too.
type answer struct {
	Reading
	Object  id.Object
	Version uint64
	File    host.File
	New     bool
}

// Info calls the transport "lines".
func (*Lines) Info() plugin.Info {
	return plugin.Info{Name: "lines", Kind: plugin.Transport, Version: "test"}
}

// Configure takes the station's id, and no options.
func (l *Lines) Configure(_ context.Context, c plugin.Config) error {
	if _, err := l.Info().Options.Parse(c.Options); err != nil {
		return err
	}
	l.station = c.Station
	return nil
}

// Health is always good.
func (*Lines) Health(context.Context) plugin.Health { return plugin.Health{OK: true} }

// Figures gives how many connections there were.
func (l *Lines) Figures(context.Context) []plugin.Figure {
	return []plugin.Figure{{
		Name: "connections_total", Help: "Connections that were accepted.", Type: plugin.Counter, Samples: plugin.One(float64(l.conns.Load())),
	}}
}

// Close has nothing to release.
func (*Lines) Close(context.Context) error { return nil }

// Serve answers connections until ctx ends.
func (l *Lines) Serve(ctx context.Context, ln net.Listener, h host.Host) error {
	calls, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	stopAccept := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stopAccept()
	var open sync.WaitGroup
	for {
		conn, err := ln.Accept()
		if err == nil {
			l.conns.Add(1)
			open.Go(func() { l.converse(ctx, calls, conn, h) })
			continue
		}
		if ctx.Err() == nil {
			_ = ln.Close()
			return errs.Wrap(errs.Unavailable, "lines.Serve", err, "The listener failed.")
		}
		time.AfterFunc(transport.DrainTime, abandon)
		open.Wait()
		return nil
	}
}

// converse answers the requests of one connection. The end of ctx ends it
// between two of them.
func (l *Lines) converse(ctx, calls context.Context, conn net.Conn, h host.Host) {
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	in := bufio.NewReader(conn)
	for ctx.Err() == nil {
		text, err := readLine(in)
		if err != nil && !errs.Is(err, errs.TooLarge) {
			return
		}
		here := func() (context.Context, func()) { return present(ctx, calls, in, conn) }
		out, err := json.Marshal(l.answer(calls, here, text, err, h))
		if err != nil {
			return
		}
		_ = conn.SetWriteDeadline(time.Now().Add(transport.DrainTime))
		if _, err := conn.Write(append(out, '\n')); err != nil {
			return
		}
	}
}

// present gives a context for what is done only as long as the client is there and
// the transport goes on, and a function that ends it.
func present(stopping, calls context.Context, in *bufio.Reader, conn net.Conn) (context.Context, func()) {
	ctx, cancel := context.WithCancel(calls)
	stop := context.AfterFunc(stopping, cancel)
	over := make(chan struct{})
	go func() {
		defer close(over)
		if _, err := in.Peek(1); err != nil {
			cancel()
		}
	}()
	return ctx, func() {
		stop()
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		<-over
		_ = conn.SetReadDeadline(time.Time{})
		if stopping.Err() != nil {
			_ = conn.SetReadDeadline(time.Unix(1, 0))
		}
		cancel()
	}
}

// readLine gives one line; of one that is too large nothing is kept.
func readLine(in *bufio.Reader) ([]byte, error) {
	var text []byte
	var tooLarge error
	for {
		piece, err := in.ReadSlice('\n')
		if len(text)+len(piece) > lineBytes {
			text, tooLarge = text[:0], errs.New(errs.TooLarge, "", "The line is larger than %d bytes.", lineBytes)
		}
		text = append(text, piece...)
		if err == nil {
			return text, tooLarge
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// answer does what a line asks for.
func (l *Lines) answer(calls context.Context, here func() (context.Context, func()), text []byte, err error, h host.Host) answer {
	ctx, cancel := context.WithTimeout(calls, linesCall)
	defer cancel()
	res := answer{Reading: Reading{Response: Response{Status: 200, Station: l.station, RequestID: uuid.Must(uuid.NewV7()).String()}}}
	var ask line
	if err == nil {
		if bad := json.Unmarshal(text, &ask); bad != nil {
			err = errs.Wrap(errs.Invalid, "lines.answer", bad, "The line is not a request.")
		}
	}
	switch {
	case err != nil:
	case ask.Call != nil:
		if id.ValidRequest(ask.Call.RequestID) {
			res.RequestID = ask.Call.RequestID
		}
		err = l.call(ctx, *ask.Call, h, &res.Response)
	case ask.Read != nil && ask.Read.What == Follow:
		here, leave := here()
		here, cancel := context.WithTimeout(here, linesCall)
		err = look(here, *ask.Read, h, &res.Reading)
		cancel()
		leave()
	case ask.Read != nil:
		err = look(ctx, *ask.Read, h, &res.Reading)
	case ask.Change != nil:
		err = alter(ctx, *ask.Change, h, &res)
	}
	if e := errs.From(err); e != nil {
		res.Status, res.Code, res.Message = e.HTTPStatus(), e.CodeOf(), e.Text()
		res.Line, res.Traceback, res.Allow, res.RetryAfter = e.Line, e.Traceback, e.Allow, e.RetryAfter
	}
	return res
}

func (l *Lines) call(ctx context.Context, r Request, h host.Host, res *Response) error {
	object, station, err := id.ParseAddress(r.Object)
	if err != nil {
		return err
	}
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
	if !slices.Contains(methods, r.Method) {
		return &errs.Error{Kind: errs.MethodNotAllowed, Allow: methods}
	}
	if len(r.Body) > linesBody {
		return errs.New(errs.TooLarge, "", "The body is larger than %d bytes.", linesBody)
	}
	call := host.Call{
		Object: object, Station: station, Method: r.Method, Path: r.Object, Query: r.Query, Header: headers(r.Header), Form: r.Form,
		Type: r.Type, Body: r.Body, RequestID: res.RequestID, Caller: id.Caller{Roles: []string{id.RoleOperator}},
	}
	if err := upload(ctx, r.Files, h, &call); err != nil {
		return err
	}
	result, err := h.Invoke(ctx, call)
	if err == nil && result.File != nil {
		err = readFile(ctx, object, h, &result)
	}
	if err == nil {
		res.Status, res.Header, res.Body, res.Station = result.Status, result.Header, result.Body, result.Station
	}
	return err
}

// headers gives what scripts may see.
func headers(sent []host.Field) []host.Field {
	var fields []host.Field
	for _, f := range sent {
		f.Name = textproto.CanonicalMIMEHeaderKey(f.Name)
		if !slices.Contains(withheld, f.Name) {
			fields = append(fields, f)
		}
	}
	return fields
}

// withheld are the headers that no script sees.
var withheld = []string{"Authorization", "Cookie", "Proxy-Authorization"}

// alter changes an object, deletes it, or makes it of an archive.
func alter(ctx context.Context, c Change, h host.Host, res *answer) error {
	if c.PutFile != nil || c.DeleteFile != nil || c.SetState != nil || c.DeleteState != nil {
		return alterData(ctx, c, h, res)
	}
	var done host.Published
	var err error
	switch {
	case c.Publish != nil:
		res.Object = c.Publish.Object
	case c.Rollback != nil:
		res.Object = c.Rollback.Object
	case c.Delete != nil:
		res.Object = c.Delete.Object
	case c.Import != nil:
		res.Object = c.Import.Object
	}
	if _, err := id.ParseObject(string(res.Object)); err != nil {
		return err
	}
	switch {
	case c.Publish != nil:
		done, err = h.Publish(ctx, *c.Publish)
	case c.Rollback != nil:
		done, err = h.Rollback(ctx, *c.Rollback)
	case c.Import != nil:
		var archive io.Reader = bytes.NewReader(c.Import.Archive)
		if c.Import.Cut {
			archive = io.MultiReader(archive, errorReader{errCut})
		}
		done, err = h.Import(ctx, res.Object, archive)
	default:
		err = h.Delete(ctx, *c.Delete)
	}
	res.Version = done.Version
	return err
}

// alterData changes the files or the state of an object.
func alterData(ctx context.Context, c Change, h host.Host, res *answer) error {
	named := func(object id.Object, requestID string) error {
		if res.Object = object; id.ValidRequest(requestID) {
			res.RequestID = requestID
		}
		_, err := id.ParseObject(string(object))
		return err
	}
	switch {
	case c.PutFile != nil:
		err := named(c.PutFile.Object, c.PutFile.RequestID)
		if err == nil {
			var stored host.StoredFile
			stored, err = h.PutFile(ctx, c.PutFile.NewFile, bytes.NewReader(c.PutFile.Content))
			res.File, res.New = stored.File, stored.New
		}
		return err
	case c.DeleteFile != nil:
		if err := named(c.DeleteFile.Object, c.DeleteFile.RequestID); err != nil {
			return err
		}
		return h.DeleteFile(ctx, *c.DeleteFile)
	case c.SetState != nil:
		if err := named(c.SetState.Object, c.SetState.RequestID); err != nil {
			return err
		}
		return h.SetState(ctx, *c.SetState)
	}
	if err := named(c.DeleteState.Object, c.DeleteState.RequestID); err != nil {
		return err
	}
	return h.DeleteState(ctx, *c.DeleteState)
}

// upload hands the files to the host; of a form that it does not take whole it
// leaves nothing.
func upload(ctx context.Context, parts []Part, h host.Host, c *host.Call) error {
	for _, p := range parts {
		u, err := h.Upload(ctx, host.UploadFor{Object: c.Object, Station: c.Station, Method: c.Method}, bytes.NewReader(p.Content))
		if err != nil {
			for _, before := range c.Uploads {
				err = errors.Join(err, h.DropUpload(ctx, c.Object, before.Upload))
			}
			return err
		}
		c.Uploads = append(c.Uploads, host.Uploaded{Field: p.Field, Name: path.Base(strings.ReplaceAll(p.Name, `\`, "/")), Type: p.Type, Size: u.Size, Upload: u.ID})
	}
	return nil
}

// readFile makes a file the body of an answer.
func readFile(ctx context.Context, object id.Object, h host.Host, res *host.Result) error {
	r, err := h.ReadFile(ctx, object, res.File.Name, res.File.Hash, 0)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // what was to be read has been
	if !slices.ContainsFunc(res.Header, func(f host.Field) bool { return f.Name == "Content-Type" }) {
		res.Header = append(res.Header, host.Field{Name: "Content-Type", Value: res.File.Type})
	}
	res.Body, err = io.ReadAll(r)
	return err
}

// lookAtStation gives what the station says of itself.
func lookAtStation(ctx context.Context, what string, h host.Host, res *Reading) (err error) {
	switch what {
	case Plugins:
		res.Plugins, err = h.Plugins(ctx)
		return err
	case Metrics:
		var text []byte
		text, err = h.Metrics(ctx)
		res.Metrics = string(text)
		return err
	}
	res.Health, err = h.Health(ctx)
	if err == nil && what == Ready {
		err = res.Health.Ready()
	}
	return err
}

func look(ctx context.Context, r Read, h host.Host, res *Reading) error {
	switch r.What {
	case Plugins, Health, Ready, Metrics:
		return lookAtStation(ctx, r.What, h, res)
	case Objects:
		page, err := h.Objects(ctx, host.ObjectsQuery{Prefix: r.Prefix, After: id.Object(r.Cursor), Limit: r.Limit})
		if res.Objects = page.Objects; page.More {
			res.Next = string(page.Objects[len(page.Objects)-1].Object)
		}
		return err
	}
	object, err := id.ParseObject(r.Object)
	if err != nil {
		return err
	}
	switch r.What {
	case Source:
		res.Source, err = h.Source(ctx, object)
	case State:
		var page host.StatePage
		page, err = h.State(ctx, host.StateQuery{
			Object: object, Key: r.Key, HasKey: r.Key != "", Prefix: r.Prefix, After: r.Cursor, Limit: r.Limit})
		if res.State = page.Items; page.More {
			res.Next = page.Items[len(page.Items)-1].Key
		}
	case Logs:
		if r.Limit == 0 {
			r.Limit = 100
		}
		var page storage.LogsPage
		page, err = h.Logs(ctx, storage.LogsQuery{Object: object, Levels: r.Levels, Since: r.Since, Until: r.Until, Text: r.Text, Fields: r.Fields,
			Limit: r.Limit, Oldest: r.Oldest, Cursor: r.Cursor})
		res.Logs, res.Next = page.Entries, page.Next
	case Follow:
		var page host.FollowPage
		page, err = h.Follow(ctx, host.FollowQuery{Object: object, Levels: r.Levels, Since: r.Since, Text: r.Text, Fields: r.Fields,
			Cursor: r.Cursor, Last: r.Last, Limit: r.Limit, Wait: r.Wait})
		res.Logs, res.Cursors, res.Next = page.Entries, page.Cursors, page.Next
	case Tests:
		res.Tests, err = h.Test(ctx, object)
	case Versions:
		err = versions(ctx, object, r, h, res)
	case Version:
		res.Versions = make([]storage.Version, 1)
		res.Versions[0], err = h.Version(ctx, object, r.Number)
		res.Versions[0].Uses = nil
	case Diff:
		res.Diff, err = h.Diff(ctx, host.DiffQuery{Object: object, From: r.Number, To: r.To})
	case Export:
		var r io.ReadCloser
		if r, err = h.Export(ctx, object); err == nil {
			defer func() { _ = r.Close() }() // what was to be read has been
			res.Archive, err = io.ReadAll(r)
		}
	case Files:
		var page host.FilesPage
		page, err = h.Files(ctx, host.FilesQuery{Object: object, Prefix: r.Prefix, After: r.Cursor, Limit: r.Limit})
		if res.Files = page.Files; page.More {
			res.Next = page.Files[len(page.Files)-1].Name
		}
	case File:
		err = file(ctx, object, r.Name, h, res)
	case Status:
		res.Doing, err = h.Status(ctx, object)
	case Metadata:
		res.Metadata, err = h.Metadata(ctx, host.MetadataQuery{Object: object, Caller: id.Caller{Roles: []string{id.RoleOperator}}})
	default:
		err = errs.New(errs.Invalid, "", "There is no read of %q.", r.What)
	}
	return err
}

// file makes a file the answer.
func file(ctx context.Context, object id.Object, name string, h host.Host, res *Reading) error {
	page, err := h.Files(ctx, host.FilesQuery{Object: object, Name: name, HasName: true})
	if err != nil {
		return err
	}
	result := host.Result{File: &page.Files[0]}
	err = readFile(ctx, object, h, &result)
	res.Header, res.Body = result.Header, result.Body
	return err
}

func versions(ctx context.Context, object id.Object, r Read, h host.Host, res *Reading) error {
	q := storage.VersionsQuery{Object: object, Limit: r.Limit}
	if q.Limit == 0 {
		q.Limit = 10
	}
	if r.Cursor != "" {
		var err error
		if q.Before, err = strconv.ParseUint(r.Cursor, 10, 64); err != nil {
			return errs.New(errs.Invalid, "bad_cursor", "The cursor is none.")
		}
	}
	list, err := h.Versions(ctx, q)
	for i := range list {
		list[i].Uses = nil
	}
	if res.Versions = list; len(list) == q.Limit && list[len(list)-1].Number > 1 {
		res.Next = strconv.FormatUint(list[len(list)-1].Number, 10)
	}
	return err
}

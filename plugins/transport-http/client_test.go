package transporthttp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// client speaks HTTP for the conformance suite.
type client struct {
	http *http.Client
	base string
}

func dial(_ testing.TB, addr net.Addr) transporttest.Client {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, addr.Network(), addr.String())
		},
		DisableCompression: true, MaxIdleConnsPerHost: 64,
	}
	follow := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{http: &http.Client{Transport: t, CheckRedirect: follow}, base: "http://localhost"}
}

func (c *client) Close() { c.http.CloseIdleConnections() }

func (c *client) Do(ctx context.Context, r transporttest.Request) (transporttest.Response, error) {
	q := make([]string, len(r.Query))
	for i, f := range r.Query {
		q[i] = url.QueryEscape(f.Name) + "=" + url.QueryEscape(f.Value)
	}
	if len(r.Files) > 0 {
		r.Type, r.Body = form(r)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method,
		c.base+"/objects/"+url.PathEscape(r.Object)+"?"+strings.Join(q, "&"), bytes.NewReader(r.Body))
	if err != nil {
		return transporttest.Response{}, err
	}
	for _, f := range r.Header {
		req.Header.Add(f.Name, f.Value)
	}
	if r.Type != "" {
		req.Header.Set("Content-Type", r.Type)
	}
	if r.RequestID != "" {
		req.Header.Set("X-Request-Id", r.RequestID)
	}
	return c.send(req)
}

// form writes a form with files; a buffer takes all that is written.
func form(r transporttest.Request) (string, []byte) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range r.Form {
		_ = w.WriteField(f.Name, f.Value)
	}
	for _, p := range r.Files {
		part, _ := w.CreatePart(textproto.MIMEHeader{"Content-Type": {p.Type},
			"Content-Disposition": {mime.FormatMediaType("form-data", map[string]string{"name": p.Field, "filename": p.Name})}})
		_, _ = part.Write(p.Content)
	}
	_ = w.Close()
	return w.FormDataContentType(), b.Bytes()
}

func (c *client) send(req *http.Request) (transporttest.Response, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return transporttest.Response{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return transporttest.Response{}, err
	}
	out := transporttest.Response{
		Status: res.StatusCode, Body: body,
		RequestID: res.Header.Get("X-Request-Id"), Station: id.Station(res.Header.Get("X-Station-Id")),
	}
	for name, values := range res.Header {
		for _, v := range values {
			out.Header = append(out.Header, host.Field{Name: name, Value: v})
		}
	}
	var f failure
	if res.Header.Get("Content-Type") == "application/json" && json.Unmarshal(body, &f) == nil && f.Status == "error" {
		out.Code, out.Message, out.Line, out.Traceback = f.Code, f.Error, f.Line, f.Traceback
		if allow := res.Header.Get("Allow"); allow != "" {
			out.Allow = strings.Split(allow, ", ")
		}
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
		out.RetryAfter = time.Duration(seconds) * time.Second
	}
	return out, nil
}

func (c *client) Read(ctx context.Context, r transporttest.Read) (transporttest.Reading, error) {
	if r.What == transporttest.Follow {
		return c.follow(ctx, r)
	}
	q := url.Values{}
	path := "/objects"
	switch r.What {
	case transporttest.Objects:
	case transporttest.Plugins, transporttest.Health, transporttest.Metrics:
		path = "/" + r.What
	case transporttest.Ready:
		path = "/health/ready"
	default:
		path += "/" + url.PathEscape(r.Object)
		flag := r.What
		if flag == transporttest.Tests {
			flag = "test"
		}
		q.Set(flag, "true")
		if flag == transporttest.File {
			q.Set(flag, r.Name)
		}
		if flag == transporttest.Version {
			q.Set(flag, strconv.FormatUint(r.Number, 10))
		}
		if flag == transporttest.Diff {
			q.Set(flag, strconv.FormatUint(r.Number, 10)+"..")
			if r.To > 0 {
				q.Set(flag, q.Get(flag)+strconv.FormatUint(r.To, 10))
			}
		}
	}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("prefix", r.Prefix)
	set("key", r.Key)
	if r.Limit > 0 {
		q.Set("limit", strconv.Itoa(r.Limit))
	}
	if r.Oldest {
		q.Set("order", "asc")
	}
	filter(q, r)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path+"?"+q.Encode(), nil)
	if err != nil {
		return transporttest.Reading{}, err
	}
	res, err := c.send(req)
	out := transporttest.Reading{Response: res}
	if err != nil || res.Status != http.StatusOK || r.What == transporttest.File {
		return out, err
	}
	return out, decode(r.What, res.Body, &out)
}

// filter sets the parameters that the looks at a log have in common.
func filter(q url.Values, r transporttest.Read) {
	var names []string
	for _, level := range r.Levels {
		names = append(names, string(level))
	}
	for name, value := range map[string]string{"cursor": r.Cursor, "level": strings.Join(names, ","), "q": r.Text} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, at := range map[string]time.Time{"since": r.Since, "until": r.Until} {
		if !at.IsZero() {
			q.Set(name, at.Format(time.RFC3339Nano))
		}
	}
	for _, f := range r.Fields {
		q.Set(fieldPrefix+f.Name, f.Value)
	}
}

// follow reads a tail until it has enough.
func (c *client) follow(ctx context.Context, r transporttest.Read) (out transporttest.Reading, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	q := url.Values{"tail": {"true"}}
	if r.Since.IsZero() {
		q.Set("last", strconv.Itoa(r.Last))
	}
	filter(q, r)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/objects/"+url.PathEscape(r.Object)+"?"+q.Encode(), nil)
	if err != nil {
		return out, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return out, err
	}
	defer func() { _ = res.Body.Close() }()
	out.Response = transporttest.Response{Status: res.StatusCode, RequestID: res.Header.Get("X-Request-Id"), Station: id.Station(res.Header.Get("X-Station-Id"))}
	if res.StatusCode != http.StatusOK {
		var f failure
		err = json.NewDecoder(res.Body).Decode(&f)
		out.Code, out.Message = f.Code, f.Error
		return out, err
	}
	over := time.AfterFunc(r.Wait, cancel)
	defer over.Stop()
	events := newEvents(res.Body)
	for len(out.Logs) < r.Limit {
		e, more := events.next()
		if !more {
			break
		}
		out.Next = e.id
		switch {
		case e.name == "end":
			var f failure
			err = json.Unmarshal([]byte(e.data), &f)
			out.Code, out.Message = f.Code, f.Error
			return out, err
		case e.data != "":
			var row map[string]json.RawMessage
			if err := json.Unmarshal([]byte(e.data), &row); err != nil {
				return out, err
			}
			l, err := entry(row)
			if err != nil {
				return out, err
			}
			out.Logs, out.Cursors = append(out.Logs, l), append(out.Cursors, e.id)
		}
	}
	return out, nil
}

// changing is how HTTP asks for a change.
type changing struct {
	method, query, media, match, requestID string

	object id.Object
	absent bool
	body   []byte
	cut    bool // the body breaks off behind these bytes
}

// changingOf says how a change is asked for. What stands in JSON is encoded by json alone.
func changingOf(ch transporttest.Change) (changing, error) {
	var c changing
	var body any
	switch {
	case ch.Publish != nil:
		p := ch.Publish
		c = changing{method: http.MethodPut, object: p.Object, query: "source=true", match: p.IfMatch}
		body = map[string]string{"code": string(p.Text), "author": p.Author, "message": p.Message}
	case ch.Delete != nil:
		c = changing{method: http.MethodDelete, object: ch.Delete.Object, query: "object=true", match: ch.Delete.IfMatch}
	case ch.PutFile != nil:
		f := ch.PutFile
		return changing{http.MethodPut, "file=" + url.QueryEscape(f.Name), f.Type, f.IfMatch, f.RequestID, f.Object, f.IfAbsent, f.Content, false}, nil
	case ch.DeleteFile != nil:
		d := ch.DeleteFile
		c = changing{method: http.MethodDelete, object: d.Object, query: "file=" + url.QueryEscape(d.Name), match: d.IfMatch, requestID: d.RequestID}
	case ch.SetState != nil:
		s := ch.SetState
		return changing{http.MethodPut, "state=true&key=" + url.QueryEscape(s.Key), "application/json", "", s.RequestID, s.Object, false, s.Value, false}, nil
	case ch.Import != nil:
		i := ch.Import
		return changing{http.MethodPut, "import=true", tarType, "", "", i.Object, false, i.Archive, i.Cut}, nil
	case ch.DeleteState != nil:
		s := ch.DeleteState
		c = changing{method: http.MethodDelete, object: s.Object, query: "state=true&key=" + url.QueryEscape(s.Key), requestID: s.RequestID}
	default:
		r := ch.Rollback
		c = changing{method: http.MethodPost, object: r.Object}
		body = map[string]any{"action": "rollback", "version_id": r.Version, "author": r.Author, "message": r.Message}
	}
	c.media = "application/json"
	var err error
	c.body, err = json.Marshal(body)
	return c, err
}

func (c *changing) reader() io.Reader {
	if c.cut {
		return io.MultiReader(bytes.NewReader(c.body), iotest.ErrReader(errors.New("the client goes away")))
	}
	return bytes.NewReader(c.body)
}

func (c *client) Change(ctx context.Context, ch transporttest.Change) (transporttest.Changed, error) {
	var out transporttest.Changed
	what, err := changingOf(ch)
	if err != nil {
		return out, err
	}
	req, err := http.NewRequestWithContext(ctx, what.method, c.base+"/objects/"+url.PathEscape(string(what.object))+"?"+what.query, what.reader())
	if err != nil {
		return out, err
	}
	set := func(name, value string) {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	set("Content-Type", what.media)
	set("X-Request-Id", what.requestID)
	if what.absent {
		set("If-None-Match", "*")
	}
	switch what.match {
	case "", "*":
		set("If-Match", what.match)
	default:
		set("If-Match", `"`+what.match+`"`)
	}
	if out.Response, err = c.send(req); err != nil || out.Status >= 300 {
		return out, err
	}
	var in struct {
		Object id.Object `json:"object_id"`
		Number uint64    `json:"version_id"`
		New    uint64    `json:"new_version_id"`
	}
	err = json.Unmarshal(out.Body, &in)
	out.Object, out.Version, out.New = in.Object, max(in.Number, in.New), out.Status == http.StatusCreated
	if ch.PutFile != nil && err == nil {
		var row fileRow
		if err = json.Unmarshal(out.Body, &row); err == nil {
			out.File, err = row.file()
		}
	}
	return out, err
}

package transporthttp

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
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

func (r fileRow) file() (host.File, error) {
	at, err := time.Parse(timestamp, r.Time)
	return host.File{Name: r.Name, Type: r.Type, Size: r.Size, Hash: r.Hash, Time: at}, err
}

// decodeData reads a list of files, or the status of an object.
func decodeData(body []byte, out *transporttest.Reading) error {
	var in struct {
		Object  id.Object `json:"object_id"`
		Files   []fileRow `json:"files"`
		Next    string    `json:"next_cursor"`
		Running bool      `json:"running"`
		Queued  int       `json:"queued"`
		Warm    bool      `json:"warm"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return err
	}
	for _, row := range in.Files {
		f, err := row.file()
		if err != nil {
			return err
		}
		out.Files = append(out.Files, f)
	}
	out.Next, out.Doing = in.Next, host.Status{Object: in.Object, Running: in.Running, Queued: in.Queued, Warm: in.Warm}
	return nil
}

// decodeVersions reads a list of versions, or one with its text.
func decodeVersions(body []byte, out *transporttest.Reading) error {
	type row struct {
		versionRow
		Content *string `json:"content"`
	}
	var in struct {
		Versions []row  `json:"versions"`
		Version  *row   `json:"version"`
		Next     string `json:"next_cursor"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return err
	}
	if in.Version != nil {
		in.Versions = []row{*in.Version}
	}
	for _, r := range in.Versions {
		at, err := time.Parse(timestamp, r.Timestamp)
		if err != nil {
			return err
		}
		v := storage.Version{Number: r.VersionID, Time: at, Author: r.Author, Message: r.Message, Hash: r.Hash}
		if r.Content != nil {
			v.Text = []byte(*r.Content)
		}
		out.Versions = append(out.Versions, v)
	}
	out.Next = in.Next
	return nil
}

// decodeMetadata parts what the station says from what a script declares.
func decodeMetadata(body []byte, m *host.Metadata) error {
	var in struct {
		Known    known
		Declared map[string]json.RawMessage
	}
	var whole struct {
		Metadata json.RawMessage `json:"metadata"`
	}
	err := json.Unmarshal(body, &whole)
	for _, to := range []any{&in.Known, &in.Declared} {
		if err == nil {
			err = json.Unmarshal(whole.Metadata, to)
		}
	}
	if err != nil {
		return err
	}
	k := in.Known
	*m = host.Metadata{
		Object: k.ObjectID, Path: k.SourcePath, Version: k.Version, Hash: k.Hash, Methods: k.Methods,
		Versions: k.Versions, Entries: k.Log, MoreEntries: k.MoreLog, Keys: k.Keys, MoreKeys: k.MoreKeys,
	}
	if t := k.Trouble; t != nil {
		at, err := time.Parse(timestamp, t.Timestamp)
		if err != nil {
			return err
		}
		m.Trouble = &host.Trouble{Kind: t.Kind, Time: at, Hash: t.Hash, File: t.File, Line: t.Line, Message: t.Message, Serving: t.Serving}
	}
	for _, name := range knownNames {
		delete(in.Declared, name)
	}
	if len(in.Declared) == 0 {
		return nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err = enc.Encode(in.Declared)
	m.Declared = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	return err
}

// tests reads the results of HTTP-API.
func tests(object id.Object, rows []testRow) (host.TestReport, error) {
	r := host.TestReport{Object: object}
	for _, row := range rows {
		t := host.TestResult{
			Name: row.Name, Outcome: row.Status, Reason: row.Error + row.Reason, Code: row.Code, Line: row.Line, Traceback: row.Traceback,
			Duration: time.Duration(row.Duration*1000+0.5) * time.Microsecond, Omitted: row.Omitted,
		}
		for _, text := range row.Log {
			var fields map[string]json.RawMessage
			if err := json.Unmarshal(text, &fields); err != nil {
				return r, err
			}
			e, err := entry(fields)
			if err != nil {
				return r, err
			}
			t.Log = append(t.Log, host.TestEntry{Time: e.Time, Level: e.Level, Message: e.Message, Fields: e.Fields})
		}
		r.Tests = append(r.Tests, t)
	}
	return r, nil
}

// decode reads the JSON of HTTP-API into a Reading.
func decode(what string, body []byte, out *transporttest.Reading) error {
	switch what {
	case transporttest.Versions, transporttest.Version:
		return decodeVersions(body, out)
	case transporttest.Diff:
		out.Diff = body
		return nil
	case transporttest.Export:
		out.Archive = body
		return nil
	case transporttest.Metrics:
		out.Metrics = string(body)
		return nil
	case transporttest.Metadata:
		return decodeMetadata(body, &out.Metadata)
	case transporttest.Files, transporttest.Status:
		return decodeData(body, out)
	}
	if what == transporttest.Plugins || what == transporttest.Health || what == transporttest.Ready {
		return decodeHealth(body, out)
	}
	var in struct {
		Objects []objectRow                  `json:"objects"`
		Object  id.Object                    `json:"object_id"`
		Source  string                       `json:"source"`
		Version uint64                       `json:"version"`
		Hash    string                       `json:"hash"`
		State   map[string]json.RawMessage   `json:"state"`
		Logs    []map[string]json.RawMessage `json:"logs"`
		Next    string                       `json:"next_cursor"`
		Results []testRow                    `json:"results"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return err
	}
	out.Next = in.Next
	for _, o := range in.Objects {
		out.Objects = append(out.Objects, host.ObjectInfo{Object: o.ObjectID, Path: o.Path, File: o.File, Version: o.Version})
	}
	if what == transporttest.Source {
		out.Source = host.Source{Object: in.Object, Version: in.Version, Hash: in.Hash, Text: []byte(in.Source)}
	}
	if what == transporttest.Tests {
		var err error
		if out.Tests, err = tests(in.Object, in.Results); err != nil {
			return err
		}
	}
	for key, value := range in.State {
		out.State = append(out.State, host.StateItem{Key: key, Value: value})
	}
	slices.SortFunc(out.State, func(a, b host.StateItem) int { return strings.Compare(a.Key, b.Key) })
	for _, row := range in.Logs {
		e, err := entry(row)
		if err != nil {
			return err
		}
		out.Logs = append(out.Logs, e)
	}
	return nil
}

// entry takes the four known fields out of a row; the rest are the script's.
func entry(row map[string]json.RawMessage) (storage.Entry, error) {
	text := func(name string) string {
		var s string
		_ = json.Unmarshal(row[name], &s)
		delete(row, name)
		return s
	}
	var e storage.Entry
	var err error
	if _, stored := row["entry_id"]; stored { // entries of tests have none
		if e.ID, err = id.ParseEntry(text("entry_id")); err != nil {
			return e, err
		}
	}
	if e.Time, err = time.Parse(time.RFC3339, text("timestamp")); err != nil {
		return e, err
	}
	e.Level, e.Message = storage.Level(text("level")), text("message")
	if len(row) > 0 {
		e.Fields, err = json.Marshal(row)
	}
	return e, err
}

func base64Key(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }

package main_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// inquiry is a request in no protocol's words: a call, or what else is done with an
// object or the station.
type inquiry struct {
	do     string // call, objects, source, state, logs, test, versions, version, diff, metadata, publish, rollback, delete, files, file, put_file, delete_file, set_state, delete_state, status, plugins, health, ready
	object string

	method              string // call
	query, header, form [][2]string
	media, body         string
	files               []formFile

	key, prefix, cursor string // the others
	levels              []string
	oldest              bool
	limit               int
	version, to         uint64
	code, ifMatch       string
	author, message     string

	name string // of a file; its type is media, and its bytes, or a value of the state, are body
}

type formFile struct{ field, name, media, content string }

// told is the answer to it.
type told struct {
	Status                  int
	Code, Message           string
	Line                    int
	Traced                  bool // it came with a traceback
	Allow                   []string
	Media, Location, Note   string // headers: Content-Type, Location, X-Note
	Body                    string // of a call
	Rows                    string // of all else: JSON, without times
	Next                    string
	Station, FileHash, Lost string // FileHash: SHA-256 of a file; Lost: why there is no answer
}

// speaker is a client of a station that speaks a protocol.
type speaker interface {
	ask(t *testing.T, a inquiry) told
}

// overHTTP speaks the HTTP API.
type overHTTP struct {
	client *http.Client
	url    string
}

// errorMembers are those of an error in JSON that both protocols have.
type errorMembers struct {
	Code      string `json:"code"`
	Line      int    `json:"line"`
	Traceback string `json:"traceback"`
}

func (o overHTTP) ask(t *testing.T, a inquiry) told {
	t.Helper()
	req := o.request(t, a)
	resp, err := o.client.Do(req)
	if err != nil {
		return told{Lost: err.Error()}
	}
	defer func() { _ = resp.Body.Close() }() // it is read to its end below
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return told{Lost: err.Error()}
	}
	h := resp.Header
	r := told{Status: resp.StatusCode, Station: h.Get("X-Station-Id")}
	var failed struct {
		Status, Error string
		errorMembers
	}
	if resp.StatusCode >= 400 && json.Unmarshal(body, &failed) == nil && failed.Status == "error" {
		r.Code, r.Message, r.Line, r.Traced = failed.Code, failed.Error, failed.Line, failed.Traceback != ""
		if allow := h.Get("Allow"); allow != "" {
			r.Allow = strings.Split(allow, ", ")
		}
		return r
	}
	if a.do == "call" || a.do == "file" {
		r.Media, r.Location, r.Note, r.Body = h.Get("Content-Type"), h.Get("Location"), h.Get("X-Note"), string(body)
		r.FileHash = strings.Trim(h.Get("ETag"), `"`)
		return r
	}
	r.Rows, r.Next = rowsOfHTTP(t, a.do, body)
	return r
}

func (o overHTTP) request(t *testing.T, a inquiry) *http.Request {
	t.Helper()
	method, path, q, body := http.MethodGet, "/objects/"+url.PathEscape(a.object), url.Values{}, a.body
	header := http.Header{}
	set := func(name, value string) {
		if value != "" && value != "0" {
			q.Set(name, value)
		}
	}
	media := a.media
	switch a.do {
	case "call":
		method = a.method
		if a.form != nil || a.files != nil {
			media, body = formBody(t, a)
		}
	case "objects":
		path = "/objects"
	case "plugins", "health":
		path = "/" + a.do
	case "ready":
		path = "/health/ready"
	case "file", "put_file", "delete_file":
		q.Set("file", a.name)
		method = map[string]string{"file": http.MethodGet, "put_file": http.MethodPut, "delete_file": http.MethodDelete}[a.do]
		if a.ifMatch != "" {
			header.Set("If-Match", `"`+a.ifMatch+`"`)
		}
	case "set_state", "delete_state":
		q.Set("state", "true")
		method = map[string]string{"set_state": http.MethodPut, "delete_state": http.MethodDelete}[a.do]
	case "version":
		q.Set("version", strconv.FormatUint(a.version, 10))
	case "diff":
		q.Set("diff", fmt.Sprintf("%d..%d", a.version, a.to))
	case "delete":
		method = http.MethodDelete
		q.Set("object", "true")
		if a.ifMatch != "" {
			header.Set("If-Match", `"`+a.ifMatch+`"`)
		}
	case "publish":
		method, media = http.MethodPut, "application/json"
		q.Set("source", "true")
		body = jsonText(t, map[string]any{"code": a.code, "author": a.author, "message": a.message})
		if a.ifMatch != "" {
			header.Set("If-Match", `"`+a.ifMatch+`"`)
		}
	case "rollback":
		method, media = http.MethodPost, "application/json"
		body = jsonText(t, map[string]any{"action": "rollback", "version_id": a.version, "author": a.author, "message": a.message})
	default:
		q.Set(a.do, "true")
	}
	for name, value := range map[string]string{"key": a.key, "prefix": a.prefix, "cursor": a.cursor, "limit": strconv.Itoa(a.limit), "level": strings.Join(a.levels, ",")} {
		set(name, value)
	}
	if a.oldest {
		q.Set("order", "asc")
	}
	query := q.Encode()
	for _, f := range a.query { // in their order
		query += "&" + url.QueryEscape(f[0]) + "=" + url.QueryEscape(f[1])
	}
	req, err := http.NewRequestWithContext(t.Context(), method, o.url+path+"?"+query, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range a.header {
		header.Add(f[0], f[1])
	}
	if media != "" {
		header.Set("Content-Type", media)
	}
	if len(body) > 1<<20 { // else a client that is refused may see a broken connection instead of the answer
		header.Set("Expect", "100-continue")
	}
	req.Header = header
	return req
}

// formBody gives a form as HTTP sends it.
func formBody(t *testing.T, a inquiry) (media, body string) {
	t.Helper()
	if a.files == nil {
		v := url.Values{}
		for _, f := range a.form {
			v.Add(f[0], f[1])
		}
		return "application/x-www-form-urlencoded", v.Encode()
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	err := error(nil)
	for _, f := range a.form {
		err = errors.Join(err, w.WriteField(f[0], f[1]))
	}
	for _, f := range a.files {
		part, bad := w.CreatePart(textproto.MIMEHeader{"Content-Type": {f.media},
			"Content-Disposition": {fmt.Sprintf(`form-data; name=%q; filename=%q`, f.field, f.name)}})
		if err = errors.Join(err, bad); err == nil {
			_, err = io.WriteString(part, f.content)
		}
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.String()
}

// rowsOfHTTP gives what a request other than a call found, in the words of the lines.
func rowsOfHTTP(t *testing.T, do string, body []byte) (rows, next string) {
	t.Helper()
	if do == "diff" {
		return steady(t, do, map[string]any{"text": string(body)}), ""
	}
	var in map[string]any
	decode(t, body, &in)
	next, _ = in["next_cursor"].(string)
	renamed := map[string]string{"object_id": "object", "version_id": "version", "new_version_id": "version", "content": "code", "source": "code",
		"status": "outcome", "error": "reason"}
	rename := func(row any) any {
		out := map[string]any{}
		for name, v := range row.(map[string]any) {
			if to := renamed[name]; to != "" {
				name = to
			}
			out[name] = v
		}
		return out
	}
	var found any
	switch do {
	case "state":
		var list []any
		for key, value := range in["state"].(map[string]any) {
			list = append(list, map[string]any{"key": key, "value": value})
		}
		slices.SortFunc(list, func(a, b any) int {
			return strings.Compare(a.(map[string]any)["key"].(string), b.(map[string]any)["key"].(string))
		})
		found = list
	case "source":
		delete(in, "status")
		found = rename(in)
	case "version":
		found = rename(in["version"])
	case "metadata":
		for name, to := range map[string]string{"source_path": "path", "source_version": "version", "log_count": "entries", "version_count": "versions", "state_keys": "keys"} {
			renamed[name] = to
		}
		m := rename(in["metadata"]).(map[string]any)
		m["declared"] = map[string]any{"name": m["name"]} // which stands among the others
		delete(m, "name")
		found = m
	case "delete":
		found = map[string]any{"deleted": in["object_id"]}
	case "put_file":
		for _, name := range []string{"status", "message", "object_id"} {
			delete(in, name)
		}
		found = in
	case "delete_file":
		found = map[string]any{"deleted": in["name"]}
	case "set_state":
		found = map[string]any{"set": in["key"]}
	case "delete_state":
		found = map[string]any{"deleted": in["key"]}
	case "status":
		delete(in, "status")
		delete(in, "schedules")
		found = rename(in)
	case "publish":
		found = map[string]any{"version": in["version_id"]}
	case "rollback":
		found = map[string]any{"version": in["new_version_id"]}
	default:
		name := map[string]string{"test": "results", "health": "checks", "ready": "checks"}[do]
		if name == "" {
			name = do
		}
		list := in[name].([]any)
		for i := range list {
			list[i] = rename(list[i])
		}
		found = list
	}
	return steady(t, do, found), next
}

// steady gives rows as JSON, without what is another each time or in one protocol
// alone.
func steady(t *testing.T, do string, rows any) string {
	t.Helper()
	list, ok := rows.([]any)
	if !ok {
		list = []any{rows}
	}
	for _, row := range list {
		m := row.(map[string]any)
		if fields, ok := m["fields"].(map[string]any); ok { // in the row itself over HTTP
			delete(m, "fields")
			for name, v := range fields {
				m[name] = v
			}
		}
		for _, name := range []string{"time", "timestamp", "duration_ms", "entry_id", "pid", "since", "up_since", "last_seen", "last_problem", "last_problem_time", "restarts", "new", "request_id"} {
			delete(m, name)
		}
		if log, ok := m["log"].([]any); ok {
			m["log"] = len(log)
		} else if do == "test" {
			m["log"] = 0
		}
		if do == "publish" || do == "rollback" {
			delete(m, "hash")
		}
	}
	return jsonText(t, list)
}

// overLines speaks lines of JSON, on a connection for each request.
type overLines struct{ path string }

func (o overLines) ask(t *testing.T, a inquiry) told {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "unix", o.path)
	if err != nil {
		t.Fatal(err) // the station's socket is always there
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	line := o.request(t, a)
	in := bufio.NewReader(conn)
	var first told
	var content []byte
	files := a.files
	if a.do == "put_file" {
		files = []formFile{{content: a.body}}
	}
	for n := 0; ; {
		if _, err := conn.Write(append([]byte(jsonText(t, line)), '\n')); err != nil {
			return told{Lost: err.Error()}
		}
		answer, err := in.ReadBytes('\n')
		if err != nil {
			return told{Lost: err.Error()}
		}
		var r lineAnswer
		decode(t, answer, &r)
		switch {
		case r.Send:
			piece := files[0].content[:min(len(files[0].content), 1<<20)]
			files[0].content = files[0].content[len(piece):]
			line = map[string]any{"id": 1, "chunk": []byte(piece), "more": files[0].content != ""}
			if files[0].content == "" {
				files = files[1:]
			}
			continue
		case n == 0 || r.Error != nil:
			first = r.told(t, a.do)
		}
		n++
		content = append(content, r.Chunk...)
		if !r.More {
			first.Body += string(content)
			return first
		}
		line = map[string]any{"id": 1, "send": true}
	}
}

func (o overLines) request(t *testing.T, a inquiry) map[string]any {
	t.Helper()
	do := a.do
	if do == "call" {
		do = "invoke"
	}
	line := map[string]any{"id": 1, "do": do, "object": a.object}
	for name, v := range map[string]any{"method": a.method, "type": a.media, "prefix": a.prefix, "cursor": a.cursor,
		"if_match": a.ifMatch, "author": a.author, "message": a.message, "limit": a.limit, "version": a.version, "to": a.to, "oldest": a.oldest} {
		line[name] = v
	}
	for name, list := range map[string][][2]string{"query": a.query, "header": a.header, "form": a.form} {
		line[name] = list
	}
	line["levels"] = a.levels
	if a.key != "" {
		line["key"] = a.key
	}
	switch a.do {
	case "publish":
		line["code"] = a.code
	case "set_state":
		line["value"] = json.RawMessage(a.body)
	}
	line["name"] = a.name
	if a.body != "" && a.do == "call" {
		line["base64"] = base64.StdEncoding.EncodeToString([]byte(a.body))
	}
	var files []map[string]string
	for _, f := range a.files {
		files = append(files, map[string]string{"field": f.field, "name": f.name, "type": f.media})
	}
	line["files"] = files
	return line
}

// lineAnswer is a line of the station.
type lineAnswer struct {
	Status  int
	Header  [][2]string
	JSON    json.RawMessage
	Text    string
	Base64  []byte
	Result  json.RawMessage
	Next    string `json:"next_cursor"`
	File    struct{ Hash string }
	Send    bool
	More    bool
	Chunk   []byte
	Station string
	Error   *struct {
		Kind, Message string
		Status        int
		Allow         []string
		errorMembers
	}
}

func (r lineAnswer) told(t *testing.T, do string) told {
	t.Helper()
	out := told{Status: r.Status, Station: r.Station, Next: r.Next, FileHash: r.File.Hash}
	if e := r.Error; e != nil {
		out.Status, out.Code, out.Message, out.Line, out.Traced, out.Allow = e.Status, e.Code, e.Message, e.Line, e.Traceback != "", e.Allow
		return out
	}
	for _, h := range r.Header {
		switch h[0] {
		case "Content-Type":
			out.Media = h[1]
		case "Location":
			out.Location = h[1]
		case "X-Note":
			out.Note = h[1]
		}
	}
	out.Body = string(r.JSON) + r.Text + string(r.Base64)
	if do != "call" && do != "file" {
		var rows any
		decode(t, r.Result, &rows)
		out.Status = http.StatusOK
		if row, ok := rows.(map[string]any); ok && do == "put_file" && row["new"] == true {
			out.Status = http.StatusCreated
		}
		out.Rows = steady(t, do, rows)
	}
	return out
}

// decode reads JSON, numbers as they stand.
func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%.200s: %v", text, err)
	}
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

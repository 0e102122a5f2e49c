package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"time"
	"unicode/utf8"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport/lines"
)

// protocol says what the lines look like. It is all that has to change for another
// protocol: package lines does the rest, and its types say what a line can mean.
type protocol struct{}

var _ lines.Protocol = protocol{}

// pair is a name and a value, written as a list of the two: names may repeat, and
// their order counts.
type pair [2]string

// UnmarshalJSON refuses any other list, of which encoding/json takes what fits.
func (p *pair) UnmarshalJSON(b []byte) error {
	var list []*string
	if err := json.Unmarshal(b, &list); err != nil || len(list) != 2 || list[0] == nil || list[1] == nil {
		return errors.New("a name and its value are a list of two strings")
	}
	*p = pair{*list[0], *list[1]}
	return nil
}

// formFile is what a client says of a file before its pieces.
type formFile struct {
	Field string `json:"field"`
	Name  string `json:"name"`
	Type  string `json:"type"`
}

// request is a line of a client.
type request struct {
	ID        uint64       `json:"id"`
	Do        lines.Action `json:"do"`
	Object    string       `json:"object"`
	RequestID string       `json:"request_id"`

	// invoke
	Method string          `json:"method"`
	Query  []pair          `json:"query"`
	Header []pair          `json:"header"`
	JSON   json.RawMessage `json:"json"` // the body: one of these three, or form and files
	Text   *string         `json:"text"`
	Bytes  []byte          `json:"base64"`
	Type   string          `json:"type"` // media type of the body
	Form   []pair          `json:"form"`
	Files  []formFile      `json:"files"`

	// lists
	Prefix   string          `json:"prefix"`
	Key      *string         `json:"key"`
	Limit    int             `json:"limit"`
	Cursor   string          `json:"cursor"`
	Levels   []storage.Level `json:"levels"`
	Contains string          `json:"contains"`
	Fields   []pair          `json:"fields"`
	Since    time.Time       `json:"since"`
	Until    time.Time       `json:"until"`
	Oldest   bool            `json:"oldest"`
	Last     int             `json:"last"` // follow, as the next one
	Wait     float64         `json:"wait"` // seconds

	// versions
	Version uint64  `json:"version"`
	To      uint64  `json:"to"`
	Code    *string `json:"code"`
	IfMatch string  `json:"if_match"`
	Author  string  `json:"author"`
	Message string  `json:"message"`

	// files and state
	Name     string          `json:"name"`
	IfAbsent bool            `json:"if_absent"`
	Value    json.RawMessage `json:"value"`

	// pieces of files
	Chunk *[]byte `json:"chunk"` // in base64
	More  bool    `json:"more"`
	Send  bool    `json:"send"`
	Drop  bool    `json:"drop"`
}

// Decode reads a request.
func (protocol) Decode(line []byte) (lines.Request, error) {
	var in request
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields() // what is misspelt must not be left out in silence
	if err := d.Decode(&in); err != nil {
		return lines.Request{ID: idOf(line)}, errs.New(errs.Invalid, "bad_json", "The line is not the JSON of a request: %v.", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return lines.Request{ID: in.ID}, errs.New(errs.Invalid, "bad_json", "Something stands behind the request: each has a line of its own.")
	}
	r := lines.Request{
		ID: in.ID, Do: in.Do, Object: in.Object, RequestID: in.RequestID,
		Call:   host.Call{Method: in.Method, Query: fields(in.Query), Header: fields(in.Header), Form: fields(in.Form), Type: in.Type},
		Prefix: in.Prefix, Key: in.Key, Limit: in.Limit, Cursor: in.Cursor, Version: in.Version, To: in.To,
		Last: in.Last, Wait: time.Duration(in.Wait * float64(time.Second)),
		Logs:        storage.LogsQuery{Since: in.Since, Until: in.Until, Levels: in.Levels, Text: in.Contains, Oldest: in.Oldest},
		Publication: host.Publication{IfMatch: in.IfMatch, Author: in.Author, Message: in.Message},
		Name:        in.Name, IfMatch: in.IfMatch, IfAbsent: in.IfAbsent, Value: in.Value,
	}
	r.Logs.Fields = each(in.Fields, func(f pair) storage.FieldFilter { return storage.FieldFilter{Name: f[0], Value: f[1]} })
	r.Files = each(in.Files, func(f formFile) host.Uploaded { return host.Uploaded{Field: f.Field, Name: f.Name, Type: f.Type} })
	switch {
	case in.Chunk != nil:
		r.Piece = &lines.Piece{Bytes: *in.Chunk, More: in.More}
	case in.Send || in.Drop:
		r.Piece = &lines.Piece{Send: in.Send, Drop: in.Drop}
	}
	if in.Code != nil {
		r.Publication.Text = []byte(*in.Code)
	} else if in.Do == lines.Publish {
		return r, errs.New(errs.Invalid, "no_code", `The request has no "code": that is the text of the script.`)
	}
	return r, in.body(&r.Call)
}

// idOf gives the id of a request that cannot be read otherwise; 0 where that is no
// better.
func idOf(line []byte) uint64 {
	var in struct {
		ID uint64 `json:"id"`
	}
	_ = json.NewDecoder(bytes.NewReader(line)).Decode(&in)
	return in.ID
}

func fields(list []pair) []host.Field {
	return each(list, func(p pair) host.Field { return host.Field{Name: p[0], Value: p[1]} })
}

// body takes the body of a call.
func (in *request) body(c *host.Call) error {
	switch {
	case in.JSON != nil && (in.Text != nil || in.Bytes != nil) || in.Text != nil && in.Bytes != nil:
		return errs.New(errs.Invalid, "bad_body", `A call has one of "json", "text" and "base64".`)
	case in.JSON != nil:
		c.Body, c.Type = in.JSON, cmp.Or(c.Type, "application/json")
	case in.Text != nil:
		c.Body, c.Type = []byte(*in.Text), cmp.Or(c.Type, "text/plain")
	default:
		c.Body = in.Bytes
	}
	return nil
}

// answer is a line of the station.
type answer struct {
	ID        uint64          `json:"id,omitempty"`
	Status    int             `json:"status,omitempty"`
	Header    []pair          `json:"header,omitempty"`
	JSON      json.RawMessage `json:"json,omitempty"`
	Text      *string         `json:"text,omitempty"`
	Bytes     []byte          `json:"base64,omitempty"`
	File      *fileRow        `json:"file,omitempty"`
	Result    any             `json:"result,omitempty"`
	Next      string          `json:"next_cursor,omitempty"`
	Send      bool            `json:"send,omitempty"`
	Chunk     []byte          `json:"chunk,omitempty"`
	More      bool            `json:"more,omitempty"`
	Error     *errorRow       `json:"error,omitempty"`
	Station   id.Station      `json:"station"`
	RequestID string          `json:"request_id,omitempty"`
}

// Encode writes an answer.
func (protocol) Encode(a *lines.Answer) ([]byte, error) {
	out := answer{ID: a.ID, Next: a.Next, Send: a.Send, Chunk: a.Piece, More: a.More, Station: a.Station, RequestID: a.RequestID}
	if a.Value != nil {
		out.Result = rows(a.Value)
	}
	if e := a.Err; e != nil {
		out.Error = &errorRow{e.Kind.String(), e.HTTPStatus(), e.CodeOf(), e.Text(), e.Line, e.Traceback, e.Allow, e.RetryAfter.Seconds()}
	}
	if r := a.Result; r != nil {
		out.Status = r.Status
		out.Header = each(r.Header, func(f host.Field) pair { return pair{f.Name, f.Value} })
		if f := r.File; f != nil {
			row := file(*f)
			out.File = &row
		}
		out.body(r.Body)
	}
	var line bytes.Buffer
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false)
	err := e.Encode(out)
	return bytes.TrimSuffix(line.Bytes(), []byte("\n")), err
}

// body writes a body as what it is: as JSON and as text if the client then gets the
// same bytes again, else in base64.
func (out *answer) body(body []byte) {
	var compact bytes.Buffer
	text := string(body)
	switch {
	case len(body) == 0:
	case !utf8.Valid(body):
		out.Bytes = body
	case json.Compact(&compact, body) == nil && bytes.Equal(compact.Bytes(), body):
		out.JSON = body
	default:
		out.Text = &text
	}
}

package transporthttp

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// findFlag gives the one flag of a query, or "". A repeated parameter is its
// last value. Errors: errs.Invalid for two flags.
func (x *exchange) findFlag(query []host.Field) (string, error) {
	found := ""
	for i, f := range query {
		if f.Name == found || slices.ContainsFunc(query[i+1:], func(g host.Field) bool { return g.Name == f.Name }) {
			continue
		}
		if r := x.routes.flags[f.Name]; r == nil || r.value == "" && f.Value != "true" {
			continue
		}
		if found != "" {
			return "", errs.New(errs.Invalid, "bad_parameter", "The parameters %q and %q exclude each other.", found, f.Name)
		}
		found = f.Name
	}
	return found, nil
}

// look answers a request with a flag.
func (x *exchange) look(object id.Object, station id.Station, flag string, query []host.Field) error {
	r := x.routes.flags[flag]
	if len(r.ops) == 0 {
		return notAvailable(flag)
	}
	if err := x.hereOnly(station); err != nil {
		return err
	}
	return x.run(r, object, query)
}

// hereOnly refuses what is asked of another station.
func (x *exchange) hereOnly(station id.Station) error {
	if station != "" && station != x.station {
		return errs.New(errs.NotFound, "no_such_station", "This station knows no station %q.", station)
	}
	return nil
}

// objects answers /objects.
func (x *exchange) objects(ctx context.Context, _ id.Object, p args) error {
	var err error
	q := host.ObjectsQuery{Prefix: p["prefix"]}
	if q.Limit, err = limit(p, 0); err != nil {
		return err
	}
	if after, ok := p["cursor"]; ok {
		if q.After, err = id.ParseObject(after); err != nil {
			return badCursor()
		}
	}
	page, err := x.host.Objects(ctx, q)
	if err != nil {
		return err
	}
	x.sendJSON(http.StatusOK, objectsBody(page))
	return nil
}

type objectRow struct {
	ObjectID id.Object `json:"object_id"`
	Path     string    `json:"path"`
	File     string    `json:"file"`
	Version  uint64    `json:"version"`
}

type objectsAnswer struct {
	Status  string      `json:"status"`
	Objects []objectRow `json:"objects"`
	Count   int         `json:"count"`
	Next    id.Object   `json:"next_cursor,omitempty"`
}

func objectsBody(page host.ObjectsPage) objectsAnswer {
	a := objectsAnswer{Status: "ok", Objects: make([]objectRow, len(page.Objects)), Count: len(page.Objects)}
	for i, o := range page.Objects {
		a.Objects[i] = objectRow{o.Object, o.Path, o.File, o.Version}
	}
	if page.More && a.Count > 0 {
		a.Next = a.Objects[a.Count-1].ObjectID
	}
	return a
}

// state answers ?state=true. Its cursor is the last key in base64.
func (x *exchange) state(ctx context.Context, object id.Object, p args) error {
	var err error
	q := host.StateQuery{Object: object, Prefix: p["prefix"]}
	if q.Key, q.HasKey = p["key"]; q.HasKey && len(p) > 2 {
		return errs.New(errs.Invalid, "bad_parameter", `"key" stands alone: it excludes "prefix", "limit" and "cursor".`)
	}
	if q.Limit, err = limit(p, 0); err != nil {
		return err
	}
	if cursor, ok := p["cursor"]; ok {
		after, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil || len(after) == 0 || !utf8.Valid(after) {
			return badCursor()
		}
		q.After = string(after)
	}
	page, err := x.host.State(ctx, q)
	if err != nil {
		return err
	}
	answer := struct {
		Status   string                     `json:"status"`
		ObjectID id.Object                  `json:"object_id"`
		State    map[string]json.RawMessage `json:"state"`
		Next     string                     `json:"next_cursor,omitempty"`
	}{"ok", object, make(map[string]json.RawMessage, len(page.Items)), ""}
	for _, item := range page.Items {
		answer.State[item.Key] = item.Value
	}
	if n := len(page.Items); page.More && n > 0 {
		answer.Next = base64.RawURLEncoding.EncodeToString([]byte(page.Items[n-1].Key))
	}
	x.sendJSON(http.StatusOK, answer)
	return nil
}

// logs answers ?logs=true.
func (x *exchange) logs(ctx context.Context, object id.Object, p args) error {
	var err error
	q := storage.LogsQuery{Object: object, Cursor: p["cursor"], Oldest: p["order"] == "asc"}
	if order, ok := p["order"]; ok && order != "asc" && order != "desc" {
		return errs.New(errs.Invalid, "bad_parameter", `"order" is asc or desc.`)
	}
	if q.Levels, err = levels(p); err != nil {
		return err
	}
	if q.Limit, err = limit(p, 100); err != nil {
		return err
	}
	page, err := x.host.Logs(ctx, q)
	if err != nil {
		return err
	}
	rows := make([]json.RawMessage, len(page.Entries))
	for i, e := range page.Entries {
		if rows[i], err = logRow(e); err != nil {
			return errs.Wrap(errs.Internal, "http.logRow "+e.ID.String(), err, "")
		}
	}
	answer := struct {
		Status   string            `json:"status"`
		ObjectID id.Object         `json:"object_id"`
		Logs     []json.RawMessage `json:"logs"`
		Count    int               `json:"count"`
		Next     string            `json:"next_cursor,omitempty"`
		Scanned  int               `json:"scanned,omitempty"`
	}{"ok", object, rows, len(rows), page.Next, 0}
	if page.Next != "" && len(rows) < q.Limit {
		answer.Scanned = page.Scanned // the scan was cut short
	}
	x.sendJSON(http.StatusOK, answer)
	return nil
}

// logRow is one entry as JSON.
func logRow(e storage.Entry) ([]byte, error) {
	return entryRow([]column{
		{"entry_id", e.ID.String()}, {"timestamp", e.Time.UTC().Format(timestamp)},
		{"level", string(e.Level)}, {"message", e.Message},
	}, e.Fields)
}

// column is what the station knows of an entry.
type column struct{ name, value string }

// entryRow is an entry as JSON: what the station knows of it, then the fields
// that the script gave, in the order of their names. A field cannot overwrite
// what the station knows.
func entryRow(own []column, given []byte) ([]byte, error) {
	fields := map[string]json.RawMessage{}
	if len(given) > 0 {
		if err := json.Unmarshal(given, &fields); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	put := func(name string, value any) error {
		b.WriteByte(',')
		if err := enc.Encode(name); err != nil {
			return err
		}
		b.WriteByte(':')
		return enc.Encode(value)
	}
	for _, o := range own {
		if err := put(o.name, o.value); err != nil {
			return nil, err
		}
		delete(fields, o.name)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if err := put(name, fields[name]); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	row := b.Bytes()
	row[0] = '{'
	return row, nil
}

// timestamp is RFC 3339 in UTC with all six digits of the microseconds.
const timestamp = "2006-01-02T15:04:05.000000Z"

// onlyKnown gives errs.Invalid that names the parameters that are not known.
func onlyKnown(query []host.Field, known []string) error {
	var unknown []string
	for _, f := range query {
		if name := strconv.Quote(clip(f.Name)); !slices.Contains(known, f.Name) && !slices.Contains(unknown, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	list := strings.Join(unknown[:min(len(unknown), 8)], ", ")
	if len(known) == 0 {
		return errs.New(errs.Invalid, "unknown_parameter", "This path takes no parameters; %s was given.", list)
	}
	return errs.New(errs.Invalid, "unknown_parameter", "Not available in this version: %s; known here are %s.", list, strings.Join(known, ", "))
}

// limit reads the parameter of that name.
func limit(p args, absent int) (int, error) {
	s, ok := p["limit"]
	if !ok {
		return absent, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > storage.MaxPage {
		return 0, errs.New(errs.Invalid, "bad_parameter", `"limit" is a number from 1 to %d.`, storage.MaxPage)
	}
	return n, nil
}

// levels reads the parameter "level": levels in any case, separated by commas.
func levels(p args) ([]storage.Level, error) {
	s, ok := p["level"]
	if !ok {
		return nil, nil
	}
	known := []storage.Level{storage.Debug, storage.Info, storage.Warning, storage.Error, storage.Critical}
	var found []storage.Level
	for name := range strings.SplitSeq(s, ",") {
		level := storage.Level(strings.ToUpper(strings.TrimSpace(name)))
		if !slices.Contains(known, level) {
			return nil, errs.New(errs.Invalid, "bad_parameter", `"level" is one or several of DEBUG, INFO, WARNING, ERROR, CRITICAL; %q is none.`, clip(name))
		}
		found = append(found, level)
	}
	return found, nil
}

func badCursor() error {
	return errs.New(errs.Invalid, "bad_cursor", "The cursor is not one that this station gave.")
}

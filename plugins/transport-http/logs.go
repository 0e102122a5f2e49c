package transporthttp

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// logs answers ?logs=true.
func (x *exchange) logs(ctx context.Context, object id.Object, p args) error {
	fields, err := x.fieldFilters(p, "logs")
	if err != nil {
		return err
	}
	q := storage.LogsQuery{Object: object, Cursor: p["cursor"], Text: p["q"], Fields: fields, Oldest: p["order"] == "asc"}
	if order, ok := p["order"]; ok && order != "asc" && order != "desc" {
		return errs.New(errs.Invalid, "bad_parameter", `"order" is asc or desc.`)
	}
	if q.Levels, err = levels(p); err != nil {
		return err
	}
	if q.Limit, err = limit(p, 100); err != nil {
		return err
	}
	if q.Since, err = moment(p, "since"); err != nil {
		return err
	}
	if q.Until, err = moment(p, "until"); err != nil {
		return err
	}
	page, err := x.host.Logs(ctx, q)
	if err != nil {
		return err
	}
	rows := make(logRows, len(page.Entries))
	for i, e := range page.Entries {
		if rows[i], err = logRow(e); err != nil {
			return errs.Wrap(errs.Internal, "http.logRow "+e.ID.String(), err, "")
		}
	}
	answer := logsAnswer{"ok", object, rows, len(rows), page.Next, 0}
	if page.Next != "" && len(rows) < q.Limit {
		answer.Scanned = page.Scanned // the scan was cut short
	}
	x.sendJSON(http.StatusOK, answer)
	return nil
}

type logsAnswer struct {
	Status   string    `json:"status"`
	ObjectID id.Object `json:"object_id"`
	Logs     logRows   `json:"logs"`
	Count    int       `json:"count"`
	Next     string    `json:"next_cursor,omitempty"`
	Scanned  int       `json:"scanned,omitempty"`
}

// logRows are entries as logRow gives them.
type logRows []json.RawMessage

func (logRows) jsonSchema() map[string]any {
	properties := map[string]any{}
	for _, name := range columns {
		properties[name] = map[string]any{"type": "string"}
	}
	return map[string]any{"type": "array", "items": map[string]any{
		"type": "object", "properties": properties, "required": columns, "additionalProperties": map[string]any{}, // the fields of the entry
	}}
}

// fieldPrefix stands before the name of a field that is also that of a parameter
// or of a flag.
const fieldPrefix = "field."

// columns are what the station knows of every entry. Scripts have no fields of
// these names that anybody would see.
var columns = []string{"entry_id", "timestamp", "level", "message"}

// fieldFilters gives the fields that a look at a log asks for: all parameters that
// the row of that flag does not have. One that only the other row of the two has is
// a field of neither. Errors: errs.Invalid.
func (x *exchange) fieldFilters(p args, flag string) ([]storage.FieldFilter, error) {
	names := func(flag string) []string { return x.routes.flags[flag].ops[0].names() }
	known := append([]string{flag}, names(flag)...)
	reserved := slices.Concat(names("logs"), names("tail"), columns)
	values := map[string]string{}
	var misplaced []string
	for name, value := range p {
		switch field, asField := strings.CutPrefix(name, fieldPrefix); {
		case asField:
			values[field] = value
		case slices.Contains(known, name):
		case slices.Contains(reserved, name):
			misplaced = append(misplaced, strconv.Quote(name))
		default:
			if _, prefixed := p[fieldPrefix+name]; !prefixed {
				values[name] = value
			}
		}
	}
	if len(misplaced) > 0 {
		slices.Sort(misplaced)
		return nil, errs.New(errs.Invalid, "unknown_parameter", "Not known here: %s. Known are %s, and names of fields; that of one which is called like a parameter is written %sNAME.",
			strings.Join(misplaced, ", "), strings.Join(known, ", "), fieldPrefix)
	}
	if len(values) > storage.MaxFields {
		return nil, errs.New(errs.Invalid, "bad_field", "The query asks for %d fields; at most %d are allowed.", len(values), storage.MaxFields)
	}
	var fields []storage.FieldFilter
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fields = append(fields, storage.FieldFilter{Name: name, Value: values[name]})
	}
	return fields, nil
}

// moment reads a point in time from 1970 on: RFC 3339, or seconds since then. It is
// zero where the parameter is absent.
func moment(p args, name string) (time.Time, error) {
	s, ok := p[name]
	if !ok {
		return time.Time{}, nil
	}
	at, ok := epoch(s)
	if !ok {
		// A "+" that was not escaped arrives as a space, and no time has one there.
		if n := len(s) - len(" 01:00"); n > 0 && s[n] == ' ' {
			s = s[:n] + "+" + s[n+1:]
		}
		var err error
		at, err = time.Parse(time.RFC3339, s)
		ok = err == nil && at.Unix() >= 0
	}
	if !ok {
		return at, errs.New(errs.Invalid, "bad_parameter", "%q is a time such as 2026-01-31T12:00:00Z, or seconds since 1970; %q is neither.", name, clip(s))
	}
	if at.UnixMicro() == 0 {
		at = time.UnixMicro(1) // 0 crosses to the kernel as no time at all
	}
	return at, nil
}

// epoch reads seconds since 1970, with or without a fraction, up to the year 9999.
func epoch(s string) (time.Time, bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	seconds, err := strconv.ParseUint(whole, 10, 64)
	if err != nil || seconds > 253402300799 || strings.HasSuffix(s, ".") || len(fraction) > 9 {
		return time.Time{}, false
	}
	nanos, err := strconv.ParseUint((fraction + "000000000")[:9], 10, 64)
	return time.Unix(int64(seconds), int64(nanos)), err == nil
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

package transporthttp

import (
	"context"
	"encoding/base64"
	"encoding/json"
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

// flags are the query parameters of /objects/{id} that are not the script's.
// One that takes a value counts whatever it is, the others with "true" alone.
var flags = map[string]struct{ takesValue bool }{
	"source": {}, "state": {}, "logs": {}, "metadata": {}, "versions": {}, "files": {}, "export": {}, "import": {},
	"tail": {}, "test": {}, "status": {}, "object": {},
	"version": {true}, "file": {true}, "diff": {true},
}

// findFlag gives the one flag of a query, or "". A repeated parameter is its
// last value. Errors: errs.Invalid for two flags.
func findFlag(query []host.Field) (string, error) {
	found := ""
	for i, f := range query {
		flag, ok := flags[f.Name]
		if !ok || f.Name == found || slices.ContainsFunc(query[i+1:], func(g host.Field) bool { return g.Name == f.Name }) {
			continue
		}
		if !flag.takesValue && f.Value != "true" {
			continue
		}
		if found != "" {
			return "", errs.New(errs.Invalid, "bad_parameter", "The parameters %q and %q exclude each other.", found, f.Name)
		}
		found = f.Name
	}
	return found, nil
}

// flagged is what answers the requests with a flag.
type flagged func(*exchange, context.Context, id.Object, []host.Field) error

var reads = map[string]flagged{
	"source": (*exchange).source, "state": (*exchange).state, "logs": (*exchange).logs, "test": (*exchange).test,
	"versions": (*exchange).versions, "version": (*exchange).version, "diff": (*exchange).diff, "metadata": (*exchange).metadata,
}

// writes are the changes that a flag makes, by its method.
var writes = map[string]struct {
	method  string
	allowed []string
	write   flagged
}{
	"source": {http.MethodPut, []string{"GET", "HEAD", "PUT", "OPTIONS"}, (*exchange).putSource},
	"object": {http.MethodDelete, []string{"DELETE", "OPTIONS"}, (*exchange).deleteObject},
}

// look answers a request with a flag.
func (x *exchange) look(object id.Object, station id.Station, flag string, query []host.Field) error {
	read, reads := reads[flag]
	change, changes := writes[flag]
	if !reads && !changes {
		return notAvailable(flag)
	}
	if err := x.hereOnly(station); err != nil {
		return err
	}
	allowed := readMethods
	if changes {
		allowed = change.allowed
	}
	switch method := x.r.Method; {
	case method == http.MethodOptions:
		return x.options(allowed)
	case changes && method == change.method:
		ctx, cancel := context.WithTimeout(x.calls, callTime)
		defer cancel()
		return change.write(x, ctx, object, query)
	case reads && (method == http.MethodGet || method == http.MethodHead):
		ctx, cancel := context.WithTimeout(x.r.Context(), callTime)
		defer cancel()
		return read(x, ctx, object, query)
	case flag == "state" && (method == http.MethodPut || method == http.MethodDelete):
		return notAvailable(method + " with " + flag)
	}
	return notAllowed(x.r.Method, allowed)
}

// hereOnly refuses what is asked of another station.
func (x *exchange) hereOnly(station id.Station) error {
	if station != "" && station != x.station {
		return errs.New(errs.NotFound, "no_such_station", "This station knows no station %q.", station)
	}
	return nil
}

// objects answers /objects.
func (x *exchange) objects() error {
	switch x.r.Method {
	case http.MethodOptions:
		return x.options(readMethods)
	case http.MethodGet, http.MethodHead:
	default:
		return notAllowed(x.r.Method, readMethods)
	}
	query, err := parseFields(x.r.URL.RawQuery, "query")
	if err != nil {
		return err
	}
	p, err := onlyParams(query, "prefix", "limit", "cursor")
	if err != nil {
		return err
	}
	q := host.ObjectsQuery{Prefix: p["prefix"]}
	if q.Limit, err = limit(p, 0); err != nil {
		return err
	}
	if after, ok := p["cursor"]; ok {
		if q.After, err = id.ParseObject(after); err != nil {
			return badCursor()
		}
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), callTime)
	defer cancel()
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
func (x *exchange) state(ctx context.Context, object id.Object, query []host.Field) error {
	p, err := onlyParams(query, "state", "key", "prefix", "limit", "cursor")
	if err != nil {
		return err
	}
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

// onlyParams gives the last value of each parameter. Errors: errs.Invalid that
// names those that are not known.
func onlyParams(query []host.Field, known ...string) (map[string]string, error) {
	p := make(map[string]string, len(query))
	var unknown []string
	for _, f := range query {
		if !slices.Contains(known, f.Name) && !slices.Contains(unknown, strconv.Quote(clip(f.Name))) {
			unknown = append(unknown, strconv.Quote(clip(f.Name)))
		}
		p[f.Name] = f.Value
	}
	if len(unknown) > 0 && len(known) == 0 {
		return nil, errs.New(errs.Invalid, "unknown_parameter", "This path takes no parameters; %s was given.", strings.Join(unknown[:min(len(unknown), 8)], ", "))
	}
	if len(unknown) > 0 {
		return nil, errs.New(errs.Invalid, "unknown_parameter", "Not available in this version: %s; known here are %s.",
			strings.Join(unknown[:min(len(unknown), 8)], ", "), strings.Join(known, ", "))
	}
	return p, nil
}

// limit reads the parameter of that name.
func limit(p map[string]string, absent int) (int, error) {
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

func badCursor() error {
	return errs.New(errs.Invalid, "bad_cursor", "The cursor is not one that this station gave.")
}

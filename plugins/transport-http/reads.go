package transporthttp

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// findFlag gives the one flag of a query, or "". A repeated parameter is its
// last value. Errors: errs.Invalid for two flags.
func (x *exchange) findFlag(query []host.Field) (string, error) {
	last := map[string]string{}
	for _, f := range query {
		if x.routes.flags[f.Name] != nil {
			last[f.Name] = f.Value
		}
	}
	found := ""
	for _, f := range query {
		value, is := last[f.Name]
		if !is || f.Name == found || !x.routes.flags[f.Name].asks(value) {
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

type stateAnswer struct {
	Status   string                     `json:"status"`
	ObjectID id.Object                  `json:"object_id"`
	State    map[string]json.RawMessage `json:"state"`
	Next     string                     `json:"next_cursor,omitempty"`
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
	if q.After, err = textCursor(p); err != nil {
		return err
	}
	page, err := x.host.State(ctx, q)
	if err != nil {
		return err
	}
	answer := stateAnswer{"ok", object, make(map[string]json.RawMessage, len(page.Items)), ""}
	for _, item := range page.Items {
		answer.State[item.Key] = item.Value
	}
	if n := len(page.Items); page.More && n > 0 {
		answer.Next = cursorOf(page.Items[n-1].Key)
	}
	x.sendJSON(http.StatusOK, answer)
	return nil
}

// onlyKnown gives errs.Invalid that names the parameters that are not known.
func onlyKnown(query []host.Field, known []string) error {
	var unknown []string
	for _, f := range query {
		if name := strconv.Quote(clip(f.Name)); !slices.Contains(known, f.Name) && !slices.Contains(unknown, name) {
			if unknown = append(unknown, name); len(unknown) == 8 {
				break // the first are enough to see what is wrong
			}
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	list := strings.Join(unknown, ", ")
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

func badCursor() error {
	return errs.New(errs.Invalid, "bad_cursor", "The cursor is not one that this station gave.")
}

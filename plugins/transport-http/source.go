package transporthttp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// source answers GET ?source=true.
func (x *exchange) source(ctx context.Context, object id.Object, _ args) error {
	s, err := x.host.Source(ctx, object)
	if err != nil {
		return err
	}
	x.setETag(s.Hash)
	x.sendJSON(http.StatusOK, sourceAnswer{"ok", s.Object, string(s.Text), s.Version, s.Hash})
	return nil
}

type sourceAnswer struct {
	Status   string    `json:"status"`
	ObjectID id.Object `json:"object_id"`
	Source   string    `json:"source"`
	Version  uint64    `json:"version"`
	Hash     string    `json:"hash"`
}

func (x *exchange) setETag(hash string) { x.w.Header()["Etag"] = []string{`"` + hash + `"`} }

// versionRow is one version in JSON.
type versionRow struct {
	VersionID uint64 `json:"version_id"`
	Timestamp string `json:"timestamp"`
	Author    string `json:"author"`
	Message   string `json:"message"`
	Hash      string `json:"hash"`
}

func versionRowOf(v *storage.Version) versionRow {
	return versionRow{v.Number, v.Time.UTC().Format(timestamp), v.Author, v.Message, v.Hash}
}

type versionsAnswer struct {
	Status   string       `json:"status"`
	ObjectID id.Object    `json:"object_id"`
	Versions []versionRow `json:"versions"`
	Count    int          `json:"count"`
	Next     string       `json:"next_cursor,omitempty"`
}

// versions answers ?versions=true. Its cursor is the last number.
func (x *exchange) versions(ctx context.Context, object id.Object, p args) error {
	var err error
	q := storage.VersionsQuery{Object: object}
	if q.Limit, err = limit(p, 10); err != nil {
		return err
	}
	if cursor, ok := p["cursor"]; ok {
		if q.Before, err = strconv.ParseUint(cursor, 10, 64); err != nil || q.Before == 0 {
			return badCursor()
		}
	}
	list, err := x.host.Versions(ctx, q)
	if err != nil {
		return err
	}
	answer := versionsAnswer{"ok", object, make([]versionRow, len(list)), len(list), ""}
	for i := range list {
		answer.Versions[i] = versionRowOf(&list[i])
	}
	if n := len(list); n == q.Limit && list[n-1].Number > 1 {
		answer.Next = strconv.FormatUint(list[n-1].Number, 10)
	}
	x.sendJSON(http.StatusOK, answer)
	return nil
}

// version answers ?version=N.
func (x *exchange) version(ctx context.Context, object id.Object, p args) error {
	number, err := versionNumber(p["version"])
	if err != nil {
		return err
	}
	v, err := x.host.Version(ctx, object, number)
	if err != nil {
		return err
	}
	x.sendJSON(http.StatusOK, versionAnswer{"ok", object, versionText{versionRowOf(&v), string(v.Text)}})
	return nil
}

type versionAnswer struct {
	Status   string      `json:"status"`
	ObjectID id.Object   `json:"object_id"`
	Version  versionText `json:"version"`
}

// versionText is a version with its source.
type versionText struct {
	versionRow
	Content string `json:"content"`
}

// diff answers ?diff=A..B, which is text and no JSON: people read it, and patch does.
func (x *exchange) diff(ctx context.Context, object id.Object, p args) error {
	var err error
	from, to, isRange := strings.Cut(p["diff"], "..")
	q := host.DiffQuery{Object: object}
	if q.From, err = strconv.ParseUint(from, 10, 64); err == nil && to != "" {
		q.To, err = strconv.ParseUint(to, 10, 64)
	}
	if err != nil || !isRange || q.From == 0 || to != "" && q.To == 0 {
		return errs.New(errs.Invalid, "bad_version", `"diff" is two versions, as in 3..5, or 3.. for all that has changed since.`)
	}
	text, err := x.host.Diff(ctx, q)
	if err != nil {
		return err
	}
	x.w.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
	x.send(http.StatusOK, text)
	return nil
}

func versionNumber(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		return 0, errs.New(errs.Invalid, "bad_version", "%q is not the number of a version: they begin at 1.", clip(s))
	}
	return n, nil
}

// sourceChange is the body of PUT ?source=true.
type sourceChange struct {
	Code    *string `json:"code"`
	Author  string  `json:"author,omitempty"`
	Message string  `json:"message,omitempty"`
}

// putSource answers PUT ?source=true.
func (x *exchange) putSource(ctx context.Context, object id.Object, _ args) error {
	media, _, err := contentType(x.r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	if media == "multipart/form-data" {
		return notJSON()
	}
	c := host.Call{Object: object}
	if err := x.takeBody(&c); err != nil {
		return err
	}
	if !isJSON(c.Type) {
		return notJSON()
	}
	var sent sourceChange
	if err := jsonFields(c.Body, "source", &sent); err != nil {
		return err
	}
	if sent.Code == nil {
		return errs.New(errs.Invalid, "no_code", `The body has no "code": that is the text of the script.`)
	}
	p := host.Publication{Object: object, Text: []byte(*sent.Code), Author: sent.Author, Message: sent.Message}
	if p.IfMatch, err = x.ifMatch(ctx, object); err != nil {
		return err
	}
	if err := x.unconditional("If-None-Match"); err != nil {
		return err
	}
	done, err := x.host.Publish(ctx, p)
	if err != nil {
		return err
	}
	outcome := "Version " + strconv.FormatUint(done.Version, 10) + " is live"
	if !done.Minted {
		outcome = "Nothing has changed: version " + strconv.FormatUint(done.Version, 10) + " has this text"
	}
	x.sendPublished(outcome, done, object)
	return nil
}

// sendPublished answers with the version that is live now.
func (x *exchange) sendPublished(message string, done host.Published, object id.Object) {
	x.setETag(done.Hash)
	x.sendJSON(http.StatusOK, publishedAnswer{"ok", message, done.Version, object})
}

type publishedAnswer struct {
	Status    string    `json:"status"`
	Message   string    `json:"message"`
	VersionID uint64    `json:"version_id"`
	ObjectID  id.Object `json:"object_id"`
}

// jsonFields reads the fields of a struct from a JSON object, by their exact names, where
// encoding/json takes those in other cases of letters too. Errors: errs.Invalid, also for
// text that is not UTF-8, of which encoding/json would make another text.
func jsonFields(body []byte, what string, to any) error {
	var sent map[string]json.RawMessage
	err := json.Unmarshal(body, &sent)
	if err == nil && !utf8.Valid(body) {
		err = errors.New("it is not UTF-8")
	}
	for f, v := range reflect.ValueOf(to).Elem().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if text, ok := sent[name]; ok && err == nil {
			err = json.Unmarshal(text, v.Addr().Interface())
		}
	}
	if err != nil {
		return errs.New(errs.Invalid, "bad_json", "The body is not the JSON of a %s: %v.", what, err)
	}
	return nil
}

func notJSON() error {
	return errs.New(errs.Unsupported, "", `A source is sent as JSON: {"code": "…", "author": "…", "message": "…"}.`)
}

func isJSON(media string) bool {
	return media == "application/json" || strings.HasSuffix(media, "+json")
}

// ifMatch gives the hash of the header If-Match, empty where there is none. A "*"
// stands for the hash that the object has, also where it is out of service; that is
// empty for one that has no version.
func (x *exchange) ifMatch(ctx context.Context, object id.Object) (string, error) {
	tag, err := x.matchTag("source")
	if tag != "*" {
		return tag, err
	}
	s, err := x.host.Source(ctx, object)
	if errs.Is(err, errs.NotFound) {
		return "", errs.New(errs.Precondition, "", "There is no object %q yet.", object)
	}
	if err != nil && errs.From(err).CodeOf() == host.OutOfService {
		m, err := x.host.Metadata(ctx, host.MetadataQuery{Object: object})
		return m.Hash, err
	}
	return s.Hash, err
}

// matchTag gives the one hash of the header If-Match, or its "*"; empty where there is
// no such header.
func (x *exchange) matchTag(what string) (string, error) {
	sent := x.r.Header.Values("If-Match")
	if len(sent) == 0 {
		return "", nil
	}
	tag := strings.TrimSpace(strings.Join(sent, ","))
	if bare, ok := strings.CutPrefix(tag, `"`); ok && len(bare) > 1 && strings.Count(bare, `"`) == 1 {
		tag = strings.TrimSuffix(bare, `"`)
		if tag == "*" {
			tag = "" // a quoted star is no hash
		}
	}
	if tag == "" || strings.ContainsAny(tag, `",`) {
		return "", errs.New(errs.Invalid, "bad_if_match", "If-Match is one hash, as in the ETag of the %s.", what)
	}
	return tag, nil
}

// deleteObject answers DELETE ?object=true.
func (x *exchange) deleteObject(ctx context.Context, object id.Object, _ args) error {
	match, err := x.ifMatch(ctx, object)
	if err != nil {
		return err
	}
	if err := x.host.Delete(ctx, host.Deletion{Object: object, IfMatch: match}); err != nil {
		return err
	}
	x.sendJSON(http.StatusOK, deletedAnswer{"ok", "The object is deleted", object})
	return nil
}

type deletedAnswer struct {
	Status   string    `json:"status"`
	Message  string    `json:"message"`
	ObjectID id.Object `json:"object_id"`
}

// unconditional refuses conditions that would be passed over.
func (x *exchange) unconditional(names ...string) error {
	for _, name := range names {
		if x.r.Header.Get(name) != "" {
			return errs.New(errs.Invalid, "bad_if_match", "%s is not available for this change.", name)
		}
	}
	return nil
}

// rollbackOrder is the JSON of a POST that has the source rolled back.
type rollbackOrder struct {
	Action  rollbackName `json:"action"`
	Version *json.Number `json:"version_id"` // a string of digits too
	Author  *string      `json:"author,omitempty"`
	Message *string      `json:"message,omitempty"`
}

// rollbackName is the name of the action.
type rollbackName string

func (rollbackName) jsonSchema() map[string]any { return map[string]any{"const": rollbackAction} }

type rollbackAnswer struct {
	Status       string    `json:"status"`
	Message      string    `json:"message"`
	VersionID    uint64    `json:"version_id"`
	NewVersionID uint64    `json:"new_version_id"`
	ObjectID     id.Object `json:"object_id"`
}

// rollback answers the reserved action. What is not in the body counts where it
// is in the query.
func (x *exchange) rollback(object id.Object, station id.Station, c *host.Call) error {
	if err := x.hereOnly(station); err != nil {
		return err
	}
	if err := x.unconditional("If-Match", "If-None-Match"); err != nil {
		return err
	}
	r := host.Rollback{Object: object}
	fields, err := rollbackFields(c)
	if err != nil {
		return err
	}
	if r.Version, err = versionNumber(fields["version_id"]); err != nil {
		return err
	}
	r.Author, r.Message = fields["author"], fields["message"]
	ctx, cancel := context.WithTimeout(x.calls, callTime)
	defer cancel()
	done, err := x.host.Rollback(ctx, r)
	if err != nil {
		return err
	}
	x.sendJSON(http.StatusOK, rollbackAnswer{"ok", "Rolled back to version " + strconv.FormatUint(r.Version, 10), r.Version, done.Version, object})
	return nil
}

func rollbackFields(c *host.Call) (map[string]string, error) {
	fields := map[string]string{}
	for _, list := range [][]host.Field{c.Query, c.Form} {
		for _, f := range list {
			fields[f.Name] = f.Value
		}
	}
	if !isJSON(c.Type) {
		return fields, nil
	}
	var sent rollbackOrder
	if err := jsonFields(c.Body, "rollback", &sent); err != nil {
		return nil, err
	}
	if sent.Version != nil {
		fields["version_id"] = sent.Version.String()
	}
	for name, s := range map[string]*string{"author": sent.Author, "message": sent.Message} {
		if s != nil {
			fields[name] = *s
		}
	}
	return fields, nil
}

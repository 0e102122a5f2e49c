package transporthttp

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

// methods are those that an object may answer.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// object answers /objects/{name}: a call of the object or, with a flag in the
// query, a look at it.
func (x *exchange) object(name string) error {
	object, station, err := id.ParseAddress(name)
	if err != nil {
		return err
	}
	x.named = object
	if !slices.Contains(methods, x.r.Method) {
		return notAllowed(x.r.Method, methods)
	}
	query, err := parseFields(x.r.URL.RawQuery, "query")
	if err != nil {
		return err
	}
	flag, err := x.findFlag(query)
	if err != nil {
		return err
	}
	if flag == "" {
		return x.invoke(object, station, query)
	}
	return x.look(object, station, flag, query)
}

// invoke runs the object.
func (x *exchange) invoke(object id.Object, station id.Station, query []host.Field) error {
	c := host.Call{
		Object: object, Station: station, Method: x.r.Method, Path: x.r.URL.EscapedPath(),
		Query: withoutToken(query), Header: x.headers(), RequestID: x.id, Caller: operator, FormToken: x.formToken(object),
	}
	err := x.takeBody(&c)
	if err == nil && asksRollback(&c) {
		x.dropUploads(&c)
		if x.byForm {
			return x.foreign()
		}
		return x.rollback(object, station, &c)
	}
	if err != nil {
		x.dropUploads(&c)
		return err
	}
	x.ran = true
	res, err := x.host.Invoke(x.timedCall(), c)
	x.release() // the answer may wait for its client, and nothing refers to the body of the request any more
	if err != nil {
		return err
	}
	return x.sendResult(object, res)
}

// timedCalls are the calls that begin in one second. They share a context, which ends
// callTime after the first of them began: one of its own, with a timer, would be a good
// part of what the handler costs.
type timedCalls struct {
	ctx   context.Context
	until time.Time
}

// timedCall gives the context of a call that begins now.
func (h *handler) timedCall() context.Context {
	now := time.Now()
	if c := h.timed.Load(); c != nil && now.Before(c.until) {
		return c.ctx
	}
	ctx, cancel := context.WithDeadline(h.calls, now.Add(callTime))
	context.AfterFunc(ctx, cancel)
	h.timed.Store(&timedCalls{ctx, now.Add(time.Second)})
	return ctx
}

// operator is who calls: without accounts, whoever reaches the listener.
var operator = id.Caller{Roles: []string{id.RoleOperator}}

// What a POST says to have the source rolled back.
const (
	actionField    = "action"
	rollbackAction = "rollback"
)

// asksRollback reports whether the payload asks for the reserved action: its
// body or, where that names no action, its query.
func asksRollback(c *host.Call) bool {
	if c.Method != http.MethodPost {
		return false
	}
	if action, ok := lastField(c.Form, actionField); ok {
		return action == rollbackAction
	}
	inQuery, _ := lastField(c.Query, actionField)
	asked := inQuery == rollbackAction
	if !isJSON(c.Type) || !asked && !mayNameRollback(c.Body) {
		return asked
	}
	var body map[string]json.RawMessage
	if json.Unmarshal(c.Body, &body) != nil || body[actionField] == nil {
		return asked
	}
	var action string // stays empty for a null
	return json.Unmarshal(body[actionField], &action) == nil && action == rollbackAction
}

// lastField gives the value that counts of a repeated field.
func lastField(fields []host.Field, name string) (string, bool) {
	for _, f := range slices.Backward(fields) {
		if f.Name == name {
			return f.Value, true
		}
	}
	return "", false
}

// mayNameRollback spares most bodies the decoding: one that asks for it holds
// the word, or an escape that may stand for a letter of it.
func mayNameRollback(body []byte) bool {
	return bytes.Contains(body, []byte(rollbackAction)) || bytes.Contains(body, []byte(`\u`))
}

// notAllowed is the error for a method that a path does not have.
func notAllowed(method string, allow []string) error {
	return &errs.Error{Kind: errs.MethodNotAllowed, Allow: allow,
		Message: "The method " + clip(method) + " is not allowed here; use " + strings.Join(allow, ", ") + "."}
}

// options answers an OPTIONS of what is not an object's call.
func (x *exchange) options(allowed []string) error {
	x.w.Header().Set("Allow", strings.Join(allowed, ", "))
	x.send(http.StatusNoContent, nil)
	return nil
}

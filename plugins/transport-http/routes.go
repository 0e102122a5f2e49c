package transporthttp

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// routes is the HTTP API: what is served follows from it, and a test holds
// HTTP.md to it. To add to the API, add a row, or an operation to a row: its
// method, its parameters, and the function that serves it, which finds each
// parameter that was sent in args, the flag among them. HEAD comes with GET and
// OPTIONS with everything; unknown parameters are refused before it is called.
var routes = []route{
	{path: "/objects", does: "lists the objects", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).objects, gives: objectsAnswer{}, params: []param{
			{name: "prefix", doc: "Only ids that begin so."}, pageLimit(0), pageCursor},
		}}},
	{path: objectPath, does: "runs the object's function for the method", actions: []action{
		{name: rollbackAction, does: "puts an older version of the source into service", takes: rollbackOrder{}, gives: rollbackAnswer{}},
	}},
	{path: objectPath, flag: "source", does: "gives the source that is in service, or puts another into service", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).source, gives: sourceAnswer{}},
		{method: http.MethodPut, serve: (*exchange).putSource, takes: sourceChange{}, gives: publishedAnswer{}},
	}},
	{path: objectPath, flag: "versions", does: "lists the versions of the source", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).versions, gives: versionsAnswer{}, params: []param{pageLimit(10), pageCursor}},
	}},
	{path: objectPath, flag: "version", value: "N", does: "gives one version with its text", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).version, gives: versionAnswer{}},
	}},
	{path: objectPath, flag: "diff", value: "A..B", does: "gives what changed between two versions, as a unified diff", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).diff, gives: media("text/plain")},
	}},
	{path: objectPath, flag: "metadata", does: "gives what the script says of itself, what the station knows, and what is wrong with its file", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).metadata, gives: metadataAnswer{}},
	}},
	{path: objectPath, flag: "state", does: "gives the state, or sets or deletes a key of it", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).state, gives: stateAnswer{}, params: []param{
			{name: "key", doc: "This key alone."}, {name: "prefix", doc: "Only keys that begin so."}, pageLimit(0), pageCursor},
		},
		{method: http.MethodPut, serve: (*exchange).setState, takes: json.RawMessage{}, gives: keyAnswer{}, params: []param{theKey}},
		{method: http.MethodDelete, serve: (*exchange).deleteState, gives: keyAnswer{}, params: []param{theKey}},
	}},
	{path: objectPath, flag: "files", does: "lists the files", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).files, gives: filesAnswer{}, params: []param{
			{name: "prefix", doc: "Only names that begin so."}, pageLimit(0), pageCursor},
		}}},
	{path: objectPath, flag: "file", value: "NAME", does: "gives, stores or deletes one file", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).file, gives: media("*/*")},
		{method: http.MethodPut, serve: (*exchange).putFile, takes: media("*/*"), gives: storedAnswer{}, time: untimed},
		{method: http.MethodDelete, serve: (*exchange).deleteFile, gives: fileDeletedAnswer{}},
	}},
	{path: objectPath, flag: "status", does: "says what the object does now", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).status, gives: statusAnswer{}},
	}},
	{path: objectPath, flag: "logs", does: "gives the log", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).logs, gives: logsAnswer{}, open: true, params: []param{
			entryLevel, entryText,
			{name: "since", doc: "Entries from this time on: RFC 3339, or seconds since 1970."},
			{name: "until", doc: "Entries before this time."},
			{name: "order", doc: "desc begins with the newest entry, asc with the oldest.", oneOf: []string{"desc", "asc"}},
			pageLimit(100), pageCursor},
		}}},
	{path: objectPath, flag: "tail", does: "sends the entries of the log as they are written", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).tail, gives: media("text/event-stream"), open: true, time: untimed, params: []param{
			entryLevel, entryText,
			{name: "last", doc: "How many of the newest entries come first, 10 without it."},
			{name: "since", doc: "Instead of last: entries from this time on come first."},
			{name: "cursor", doc: "The id of the last event that was received; the header Last-Event-ID goes before it."},
		}}}},
	{path: objectPath, flag: "test", does: "runs the tests of the script", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).test, gives: testsAnswer{}},
	}},
	{path: objectPath, flag: "export", does: "gives the whole object as a tar file", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).exportObject, gives: media(tarType), time: untimed},
	}},
	{path: objectPath, flag: "import", does: "makes an object of such a file", ops: []operation{
		{method: http.MethodPut, serve: (*exchange).importObject, takes: media(tarType), gives: publishedAnswer{}, time: untimed},
	}},
	{path: objectPath, flag: "object", does: "deletes the object", ops: []operation{
		{method: http.MethodDelete, serve: (*exchange).deleteObject, gives: deletedAnswer{}},
	}},
	{path: "/plugins", does: "lists the plugins of the station, and how they are", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).plugins, gives: pluginsAnswer{}, time: healthTime},
	}},
	{path: "/openapi.json", does: "describes this API and the objects in service as OpenAPI 3.1", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).openapi, gives: json.RawMessage{}, time: untimed, params: []param{
			{name: "prefix", doc: "Only objects whose ids begin so."}},
		}}},
	{path: "/metrics", does: "gives what the station counts and measures, for Prometheus", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).metrics, gives: media("text/plain")},
	}},
	{path: "/cluster/info", does: "says which station this is, and whether it leads", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).clusterInfo, gives: infoAnswer{}, time: healthTime},
	}},
	{path: "/cluster/stations", does: "lists the stations and how they are", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).clusterStations, gives: stationsAnswer{}, time: healthTime},
	}},
	{path: "/cluster/migrate", does: "moves an object to another station, which needs a cluster", ops: []operation{
		{method: http.MethodPost, serve: (*exchange).migrate},
	}},
	{path: "/health", does: "says whether the kernel answers", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).health, gives: healthAnswer{}, time: healthTime},
	}},
	{path: "/health/ready", does: "says whether the station has what it needs", ops: []operation{
		{method: http.MethodGet, serve: (*exchange).ready, gives: healthAnswer{}, time: healthTime},
	}},
}

// objectPath is the path of every object; other paths stand for themselves.
const objectPath = "/objects/{id}"

// route is one row of the API.
type route struct {
	path  string
	flag  string      // the query parameter that asks for this row; none for the path itself
	value string      // how documents write the flag's value, where any counts; otherwise it counts with "true" alone
	does  string      // goes on after the path: "lists the objects"
	ops   []operation // none where the object answers

	actions []action // what the station does instead where a POST names it
}

// action is what a field "action" of a POST asks the station for.
type action struct {
	name         string
	does         string
	takes, gives any // as those of an operation; a form has the fields of takes too
}

// operation is what a method does.
type operation struct {
	method string
	serve  func(*exchange, context.Context, id.Object, args) error
	params []param       // beside the flag
	takes  any           // its body, for contentOf; nil where it has none
	gives  any           // the answer where it succeeds, for contentOf; nil where it never does
	open   bool          // parameters of other names are taken too
	time   time.Duration // of the context; 0 means callTime, untimed none
}

// untimed is for what streams: it watches over its time itself.
const untimed = -1

// args holds the last value of each parameter that was sent.
type args map[string]string

// param is one parameter of an operation.
type param struct {
	name     string
	doc      string
	required bool
	oneOf    []string // the values that there are; none means any text
	max      int      // of a number from 1; 0 means no number
	absent   int      // what counts where it is absent; 0 means no limit
}

var theKey = param{name: "key", doc: "The key.", required: true}

// What looks at a log have in common.
var (
	entryLevel = param{name: "level", doc: "Levels in any case, separated by commas."}
	entryText  = param{name: "q", doc: "A text in the message or in the value of a field, in any case."}
)

var pageCursor = param{name: "cursor", doc: "The next_cursor of the page before."}

// pageLimit is the length of a page; absent is what counts without it.
func pageLimit(absent int) param {
	return param{name: "limit", doc: "The most that a page holds.", max: storage.MaxPage, absent: absent}
}

// table finds rows: those without a flag by their path, others by their flag.
type table struct {
	all          []route
	paths, flags map[string]*route
}

func newTable() table {
	t := table{routes, map[string]*route{}, map[string]*route{}}
	for i := range routes {
		switch r := &routes[i]; {
		case r.flag != "":
			t.flags[r.flag] = r
		case r.path != objectPath:
			t.paths[r.path] = r
		}
	}
	return t
}

// OwnParameter reports whether a parameter in the query of /objects/{id} never reaches the
// object, and what the station does then: "gives the log".
func OwnParameter(method, name, value string) (does string, own bool) {
	if name == formField {
		return "takes it for the token of a page's form", true
	}
	if does, own = OwnField(method, name, value); own {
		return does, true
	}
	for i := range routes {
		if r := &routes[i]; r.flag != "" && r.flag == name {
			return r.does, r.asks(value)
		}
	}
	return "", false
}

// OwnField is OwnParameter for a field of a body, a form or JSON: of those the station
// takes an action of its own, and no other.
func OwnField(method, name, value string) (does string, own bool) {
	for i := range routes {
		for _, a := range routes[i].actions {
			if method == http.MethodPost && name == actionField && value == a.name {
				return a.does, true
			}
		}
	}
	return "", false
}

// route follows the path. There are few paths, and ServeMux would answer
// unclean ones with a page of HTML.
func (x *exchange) route() error {
	if r := x.routes.paths[x.path()]; r != nil {
		query, err := parseFields(x.r.URL.RawQuery, "query")
		if err != nil {
			return err
		}
		return x.run(r, "", query)
	}
	name, err := x.objectName()
	if err != nil {
		return err
	}
	return x.object(name)
}

// path gives the path as the client wrote it, where that matters.
func (x *exchange) path() string {
	if x.r.URL.RawPath != "" {
		return x.r.URL.EscapedPath()
	}
	return x.r.URL.Path
}

// objectName gives what stands for {id} in /objects/{id}. Errors:
// errs.NotFound for another path, errs.Invalid.
func (x *exchange) objectName() (string, error) {
	path := x.path()
	name, found := strings.CutPrefix(path, "/objects/")
	if !found || strings.Contains(name, "/") {
		return "", errs.New(errs.NotFound, "no_such_path",
			"There is nothing at %q; objects are at /objects and /objects/{id}.", clip(x.r.URL.Path))
	}
	if path != x.r.URL.Path {
		var err error
		if name, err = url.PathUnescape(name); err != nil {
			return "", errs.New(errs.Invalid, "bad_path", "The path contains a bad percent escape.")
		}
	}
	return name, nil
}

// run does what the request's method does in a row.
func (x *exchange) run(r *route, object id.Object, query []host.Field) error {
	if x.r.Method == http.MethodOptions {
		return x.options(r.allowed())
	}
	op := r.operation(x.r.Method)
	if op == nil {
		return notAllowed(x.r.Method, r.allowed())
	}
	a, err := op.args(r.flag, query)
	if err != nil {
		return err
	}
	ctx := x.r.Context() // what only looks ends with its client
	if op.method != http.MethodGet {
		ctx = x.calls
	}
	if limit := cmp.Or(op.time, callTime); limit != untimed {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	return op.serve(x, ctx, object, a)
}

// asks reports whether a value of the row's flag asks for it.
func (r *route) asks(value string) bool { return r.value != "" || value == "true" }

// address is the row as documents write it.
func (r *route) address() string {
	if r.flag == "" {
		return r.path
	}
	return r.path + "?" + r.flag + "=" + cmp.Or(r.value, "true")
}

// operation gives what a method does, or nil. HEAD is GET without the body.
func (r *route) operation(method string) *operation {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for i := range r.ops {
		if r.ops[i].method == method {
			return &r.ops[i]
		}
	}
	return nil
}

// allowed are the methods of a row.
func (r *route) allowed() []string {
	if len(r.ops) == 0 {
		return methods
	}
	var list []string
	for i := range r.ops {
		list = append(list, r.ops[i].method)
		if r.ops[i].method == http.MethodGet {
			list = append(list, http.MethodHead)
		}
	}
	return append(list, http.MethodOptions)
}

// args gives the last value of each parameter. Errors: errs.Invalid that names
// those that are not known, or one that is missing.
func (op *operation) args(flag string, query []host.Field) (args, error) {
	a := make(args, len(query))
	for _, f := range query {
		a[f.Name] = f.Value
	}
	for _, p := range op.params {
		if _, sent := a[p.name]; p.required && !sent {
			return nil, errs.New(errs.Invalid, "bad_parameter", "The parameter %q is missing.", p.name)
		}
	}
	if op.open {
		return a, nil
	}
	known := op.names()
	if flag != "" {
		known = append([]string{flag}, known...)
	}
	return a, onlyKnown(query, known)
}

// names are those of its parameters.
func (op *operation) names() []string {
	list := make([]string, len(op.params))
	for i, p := range op.params {
		list[i] = p.name
	}
	return list
}

package transporthttp

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

// OpenAPI tells operations apart by path and method alone, so that the rows of
// /objects/{id} become one operation for each method, whose parameters are all
// flags with what belongs to them. Which row has which, and what it takes and gives, stands in x-flags.

type apiOperation struct {
	ID         string                 `json:"operationId"`
	Summary    string                 `json:"summary"`
	Parameters []apiParameter         `json:"parameters,omitempty"`
	Body       *apiBody               `json:"requestBody,omitempty"`
	Responses  map[string]apiResponse `json:"responses"`
	Flags      []apiFlag              `json:"x-flags,omitempty"`
	Actions    []apiAction            `json:"x-actions,omitempty"`
}

type apiParameter struct {
	Name        string         `json:"name"`
	In          string         `json:"in"`
	Description string         `json:"description"`
	Required    bool           `json:"required,omitempty"`
	Schema      map[string]any `json:"schema"`
}

type apiBody struct {
	Description string              `json:"description"`
	Content     map[string]apiMedia `json:"content"`
}

type apiResponse struct {
	Description string              `json:"description"`
	Content     map[string]apiMedia `json:"content,omitempty"`
}

type apiMedia struct {
	Schema map[string]any `json:"schema,omitempty"` // none for what is not the station's JSON
}

// apiFlag is a row that a query parameter asks for.
type apiFlag struct {
	Flag    string   `json:"flag"`
	Value   string   `json:"value"`
	Summary string   `json:"summary"`
	Params  []string `json:"parameters,omitempty"`

	Request  map[string]apiMedia `json:"request,omitempty"`  // by media type
	Response map[string]apiMedia `json:"response,omitempty"` // where it succeeds

	Open bool `json:"open,omitempty"` // parameters of any other name are taken too
}

// apiAction is what a field "action" asks the station for, in the JSON or the form of the
// body or in the query.
type apiAction struct {
	Action   string              `json:"action"`
	Summary  string              `json:"summary"`
	Request  map[string]apiMedia `json:"request"`
	Response map[string]apiMedia `json:"response"`
}

// apiHead is the document before its paths.
const apiHead = `{"openapi":"3.1.0","info":{"title":"dbbasic station","version":%s,"description":"The HTTP API of the station %s and of the objects that it has in service. An operation of /objects/{id} runs the object's function, unless one of the parameters in x-flags is there, or an action in x-actions is named: that asks the station instead."},` +
	`"servers":[{"url":"/"}],"components":{"schemas":%s},"paths":{`

// errorSchema is that of failure.
const errorSchema = `{"type":"object","required":["status","error","code"],"properties":{` +
	`"status":{"const":"error"},"error":{"type":"string","description":"One sentence for people."},"code":{"type":"string","description":"For programs, in snake_case."},` +
	`"line":{"type":"integer","description":"Of the script, where one caused it."},"traceback":{"type":"string"}}}`

// openapi answers /openapi.json: the routes, then the objects in service page by
// page, so that ten thousand objects need the memory of a hundred.
func (x *exchange) openapi(ctx context.Context, _ id.Object, p args) error {
	if err := x.needsChunks(); err != nil {
		return err
	}
	who, err := x.identity(ctx)
	if err != nil {
		return err
	}
	q := host.ObjectsQuery{Prefix: p["prefix"], Limit: host.MaxMethods, Methods: true}
	page, err := x.apiPage(q)
	if err != nil {
		return err
	}
	x.neverKept()
	x.w.Header()["Content-Type"] = []string{"application/json"}
	x.begun = true
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method == http.MethodHead {
		return nil
	}
	text, err := x.apiRoutes(who)
	for {
		if err == nil {
			err = appendObjects(&text, page)
		}
		if err == nil {
			err = x.sendPart(text.Bytes())
		}
		text.Reset()
		if err != nil || !page.More {
			break
		}
		q.After = page.Objects[len(page.Objects)-1].Object
		page, err = x.apiPage(q)
	}
	if err == nil {
		_, err = x.w.Write([]byte("}}\n"))
	}
	if err != nil {
		x.logFailure(errs.From(errs.Wrap(errs.Unavailable, "http.openapi", err, "The document was sent in part.")), http.StatusServiceUnavailable)
		panic(http.ErrAbortHandler) // half a document must not look whole
	}
	return nil
}

// sendPart sends a part of an answer that has begun, and can no more be refused.
func (x *exchange) sendPart(b []byte) error {
	waits := x.waits(b, false)
	defer x.answers.end(waits)
	return x.write(b, waits)
}

func (x *exchange) identity(ctx context.Context) (host.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	return x.host.Identity(ctx)
}

func (x *exchange) apiPage(q host.ObjectsQuery) (host.ObjectsPage, error) {
	if err := x.serving.Err(); err != nil {
		return host.ObjectsPage{}, errs.Wrap(errs.Unavailable, "http.openapi", err, "The station is stopping.")
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), callTime)
	defer cancel()
	return x.host.Objects(ctx, q)
}

// apiRoutes gives the document up to the last path of the table, without a comma.
func (x *exchange) apiRoutes(who host.Identity) (bytes.Buffer, error) {
	var b bytes.Buffer
	version, err := json.Marshal(who.Version)
	if err != nil {
		return b, err
	}
	schemas := map[string]any{"Error": json.RawMessage(errorSchema)}
	var paths []string
	byPath := map[string]map[string]any{}
	for i := range x.routes.all {
		r := &x.routes.all[i]
		item := byPath[r.path]
		if item == nil {
			item = map[string]any{}
			byPath[r.path] = item
			paths = append(paths, r.path)
		}
		describe(item, r, schemas)
	}
	all, err := json.Marshal(schemas)
	if err != nil {
		return b, err
	}
	head := apiHead
	for _, part := range []string{string(version), string(who.Station), string(all)} {
		head = strings.Replace(head, "%s", part, 1)
	}
	b.WriteString(head)
	for i, path := range paths {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := appendMember(&b, path, byPath[path]); err != nil {
			return b, err
		}
	}
	return b, nil
}

// describe adds a row to the operations of its path, and what it takes and gives to schemas.
func describe(item map[string]any, r *route, schemas map[string]any) {
	if r.path == objectPath {
		item["parameters"] = []apiParameter{{
			Name: "id", In: "path", Required: true, Description: "An object, or one of another station as id@station.",
			Schema: map[string]any{"type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]{0,127}(@.+)?$"},
		}}
	}
	if len(r.ops) == 0 {
		for _, method := range methods {
			operationAt(item, method, r.path, r.does).runs(method)
		}
		for _, a := range r.actions {
			operationAt(item, http.MethodPost, r.path, r.does).acts(a, contentMap(a.takes, schemas), contentMap(a.gives, schemas))
		}
		return
	}
	for i := range r.ops {
		o := &r.ops[i]
		op := operationAt(item, o.method, r.path, r.does)
		op.describe(r, o, contentMap(o.takes, schemas), contentMap(o.gives, schemas))
		if o.method == http.MethodGet {
			operationAt(item, http.MethodHead, r.path, r.does).describe(r, o, nil, nil)
		}
	}
	if r.flag == "" {
		op := operationAt(item, http.MethodOptions, r.path, "tells the methods")
		op.Responses["204"] = apiResponse{Description: "The header Allow has the methods."}
	}
}

// operationAt gives the operation of a method, new where there was none.
func operationAt(item map[string]any, method, of, summary string) *apiOperation {
	key := strings.ToLower(method)
	if op, ok := item[key].(*apiOperation); ok {
		return op
	}
	op := &apiOperation{ID: key + operationName.Replace(of), Summary: sentenceOf(summary), Responses: map[string]apiResponse{}}
	item[key] = op
	return op
}

var operationName = strings.NewReplacer("/", "_", "{", "", "}", "")

// sentenceOf turns "lists the objects" into "Lists the objects.".
func sentenceOf(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

// contentMap gives a body as OpenAPI has it, nil for none.
func contentMap(v any, schemas map[string]any) map[string]apiMedia {
	if v == nil {
		return nil
	}
	mediaType, schema := contentOf(v, schemas)
	return map[string]apiMedia{mediaType: {schema}}
}

// also adds the JSON of a flag to what an object itself takes or answers.
func also(content, more map[string]apiMedia) {
	const mediaType = "application/json"
	m, is := more[mediaType]
	if !is || m.Schema["$ref"] == nil {
		return // anything is JSON, or stands for any type
	}
	list, _ := content[mediaType].Schema["anyOf"].([]any)
	if list == nil {
		list = []any{map[string]any{"description": "Of the object itself."}}
	}
	if !slices.ContainsFunc(list, func(s any) bool { return s.(map[string]any)["$ref"] == m.Schema["$ref"] }) {
		list = append(list, m.Schema)
	}
	content[mediaType] = apiMedia{map[string]any{"anyOf": list}}
}

// describe adds what a row's operation takes and gives.
func (op *apiOperation) describe(r *route, o *operation, takes, gives map[string]apiMedia) {
	if r.flag != "" {
		f := apiFlag{Flag: r.flag, Value: cmp.Or(r.value, "true"), Summary: sentenceOf(r.does), Open: o.open, Request: takes, Response: gives}
		if op.Body != nil {
			also(op.Body.Content, takes)
		}
		also(op.Responses["default"].Content, gives)
		schema := map[string]any{"type": "string"}
		if r.value == "" {
			schema["const"] = "true"
		}
		op.add(apiParameter{Name: r.flag, In: "query", Description: "Asks the station: " + r.does + ".", Schema: schema})
		for i := range o.params {
			f.Params = append(f.Params, o.params[i].name)
		}
		op.Flags = append(op.Flags, f)
	} else {
		op.Responses["200"] = apiResponse{Description: sentenceOf(r.does), Content: gives}
		op.Responses["default"] = apiResponse{Description: "An error of the station.", Content: map[string]apiMedia{
			"application/json": {Schema: map[string]any{"$ref": "#/components/schemas/Error"}},
		}}
	}
	for i := range o.params {
		p := o.params[i].describe(r.flag == "")
		if r.flag != "" {
			p.Description = "With " + r.flag + ": " + p.Description
		}
		op.add(p)
	}
}

// acts adds what an action takes and gives.
func (op *apiOperation) acts(a action, takes, gives map[string]apiMedia) {
	also(op.Body.Content, takes)
	also(op.Responses["default"].Content, gives)
	op.Actions = append(op.Actions, apiAction{a.name, sentenceOf(a.does), takes, gives})
}

// add adds a parameter, to what there is under its name already.
func (op *apiOperation) add(p apiParameter) {
	i := slices.IndexFunc(op.Parameters, func(o apiParameter) bool { return o.Name == p.Name && o.In == p.In })
	if i < 0 {
		op.Parameters = append(op.Parameters, p)
		return
	}
	op.Parameters[i].Description += " " + p.Description
	if kind := p.Schema["type"]; op.Parameters[i].Schema["type"] == kind {
		op.Parameters[i].Schema = map[string]any{"type": kind}
	} else {
		op.Parameters[i].Schema = map[string]any{}
	}
}

// describe gives a parameter as OpenAPI has it. One that belongs to a flag is
// not required where the flag is absent.
func (p *param) describe(alone bool) apiParameter {
	a := apiParameter{Name: p.name, In: "query", Description: p.doc, Required: p.required && alone, Schema: map[string]any{"type": "string"}}
	if len(p.oneOf) > 0 {
		a.Schema["enum"] = p.oneOf
	}
	if p.max > 0 {
		a.Schema = map[string]any{"type": "integer", "minimum": 1, "maximum": p.max}
		if p.absent > 0 {
			a.Schema["default"] = p.absent
		}
	}
	return a
}

// runs makes an operation that of an object's function, which takes and answers what
// it likes.
func (op *apiOperation) runs(method string) {
	op.Responses["default"] = apiResponse{
		Description: "What the object answers, or an error of the station.",
		Content:     map[string]apiMedia{"*/*": {Schema: map[string]any{}}},
	}
	if method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		op.Body = &apiBody{Description: "What the object takes.", Content: map[string]apiMedia{
			"application/json": {}, "application/x-www-form-urlencoded": {}, "multipart/form-data": {}, "*/*": {},
		}}
	}
}

// appendObjects appends a path for each object, with the methods that it answers.
func appendObjects(b *bytes.Buffer, page host.ObjectsPage) error {
	for i, o := range page.Objects {
		item := map[string]any{}
		path := "/objects/" + string(o.Object)
		for _, method := range page.Methods[i] {
			operationAt(item, method, "_run_"+string(o.Object), "runs "+o.Path).runs(method)
		}
		b.WriteByte(',')
		if err := appendMember(b, path, item); err != nil {
			return err
		}
	}
	return nil
}

// appendMember appends a name and its value of a JSON object.
func appendMember(b *bytes.Buffer, name string, value any) error {
	for i, v := range []any{name, value} {
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if i > 0 {
			b.WriteByte(':')
		}
		b.Write(text)
	}
	return nil
}

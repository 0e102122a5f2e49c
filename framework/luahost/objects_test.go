package luahost

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

// others are the objects beside a fake's own.
type others struct {
	invoke func(host.Call) (host.Result, error)
	ids    []id.Object
}

func (o *others) Invoke(c host.Call) (host.Result, error) { return o.invoke(c) }

func (o *others) InService(prefix string) []id.Object {
	var list []id.Object
	for _, name := range o.ids {
		if strings.HasPrefix(string(name), prefix) {
			list = append(list, name)
		}
	}
	return list
}

func (o *others) Exists(name id.Object) bool { return slices.Contains(o.ids, name) }

// answering gives a fake whose other objects all give this.
func answering(r host.Result, err error) *fake {
	f := newFake()
	f.invoke = func(host.Call) (host.Result, error) { return r, err }
	return f
}

func typed(contentType, body string) host.Result {
	return host.Result{Status: 200, Header: []host.Field{{Name: "Content-Type", Value: contentType}}, Body: []byte(body)}
}

func TestObjectsCallAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer host.Result
		method string
		lua    string // true where value v and status s are right
	}{
		"object":       {typed("application/json", `{"a":[1,null]}`), "GET", `v.a[1] == 1 and v.a[2] == json.null and s == 200`},
		"empty array":  {typed("application/json; charset=utf-8", `[]`), "GET", `json.encode(v) == "[]"`},
		"null":         {typed("application/json", `null`), "GET", `v == json.null`},
		"problem type": {typed("application/problem+json", `{"x":1}`), "GET", `v.x == 1`},
		"text":         {typed("text/plain; charset=utf-8", `{"a":1}`), "GET", `v == '{"a":1}'`},
		"bytes":        {typed("image/png", "\x00\xff"), "GET", `v == "\0\255"`},
		"false JSON":   {typed("application/json", `{"a":`), "GET", `v == '{"a":'`},
		"no type":      {host.Result{Status: 201, Body: []byte("x")}, "POST", `v == "x" and s == 201`},
		"nothing":      {host.Result{Status: 204}, "DELETE", `v == nil and s == 204`},
		"head":         {typed("application/json", `{}`), "HEAD", `v == nil and s == 200`},
		"own error":    {host.Result{Status: 404, Header: jsonHeader, Body: []byte(`{"no":1}`)}, "GET", `v.no == 1 and s == 404`},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, answering(c.answer, nil), `
				local v, s = objects.call("b", "`+c.method+`")
				return `+c.lua, "true")
		})
	}
}

// A failure is a value with the status of its kind, and the caller goes on.
func TestObjectsCallFailures(t *testing.T) {
	broken := &errs.Error{Kind: errs.Script, Message: "boom", Line: 3, Traceback: "trace"}
	refused := &errs.Error{Kind: errs.Refused, Code: "no_way", Message: "no", Status: 409, Line: 4, Traceback: "t"}
	for name, c := range map[string]struct {
		err      error
		operator bool
		want     string
	}{
		"not found":   {errs.New(errs.NotFound, "", "none"), true, `[{"code":"not_found","error":"none","status":"error"},404]`},
		"script":      {broken, true, `[{"code":"script_failed","error":"boom","line":3,"status":"error","traceback":"trace"},500]`},
		"not allowed": {broken, false, `[{"code":"script_failed","error":"boom","status":"error"},500]`},
		"fail":        {refused, true, `[{"code":"no_way","error":"no","status":"error"},409]`},
		"unknown":     {errs.New(errs.Unknown, "", ""), true, `[{"code":"outcome_unknown","error":"The change was not acknowledged and may or may not have been stored.","status":"error"},503]`},
		"plain":       {errors.New("secret"), true, `[{"code":"internal","error":"The station failed to handle the call; its log says why.","status":"error"},500]`},
	} {
		t.Run(name, func(t *testing.T) {
			vm := load(t, `function GET() local v, s = objects.call("b", "GET") return { v, s } end`)
			r := request("GET")
			if c.operator {
				r.Call.Caller.Roles = []string{id.RoleOperator}
			}
			got, err := vm.Call(context.Background(), answering(host.Result{}, c.err), r)
			if err != nil || string(got.Body) != c.want {
				t.Errorf("gives %s, %v\nwant %s", got.Body, err, c.want)
			}
		})
	}
}

// What reaches the other object: the script's words and the caller's deadline,
// and nothing else of the request.
func TestObjectsCallRequest(t *testing.T) {
	f := newFake()
	var got []host.Call
	f.invoke = func(c host.Call) (host.Result, error) {
		got = append(got, c)
		return host.Result{Status: 204}, nil
	}
	vm := load(t, `function GET()
		objects.call("b", "GET", { x = 1, list = json.array() })
		objects.call("b@beta", "DELETE")
		return objects.call("not an id", "POST")
	end`)
	r := request("GET")
	r.Call.Header, r.Call.Query = []host.Field{{Name: "X", Value: "y"}}, []host.Field{{Name: "q", Value: "1"}}
	r.Deadline = time.Now().Add(4 * time.Second)
	result, err := vm.Call(context.Background(), f, r)
	if err != nil {
		t.Fatal(err)
	}
	want := []host.Call{
		{Object: "b", Method: "GET", Path: "/objects/b", Type: "application/json", Body: []byte(`{"list":[],"x":1}`), Deadline: r.Deadline},
		{Object: "b", Station: "beta", Method: "DELETE", Path: "/objects/b@beta", Deadline: r.Deadline},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	var failure struct{ Code string }
	if json.Unmarshal(result.Body, &failure) != nil || failure.Code != "bad_object_id" || result.Status != 400 {
		t.Errorf("a malformed id gives %d %s", result.Status, result.Body)
	}
}

func TestObjectsCallArguments(t *testing.T) {
	f := answering(host.Result{Status: 204}, nil)
	for body, part := range map[string]string{
		`objects.call()`:                                 "objects.call: the id must be a string, not a nil",
		`objects.call("b")`:                              "objects.call: the method must be a string, not a nil",
		`objects.call("b", "get")`:                       "objects.call: the method must be one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, not 'get'",
		`objects.call("b", "GET", "x")`:                  "objects.call: the request must be a table, not a string",
		`objects.call("b", "GET", json.null)`:            "objects.call: the request must be a table, not a null",
		`objects.call("b", "GET", { a = { 1, print } })`: "objects.call: request.a[2]: a function is no JSON value",
		`objects.list(1)`:                                "objects.list: the prefix must be a string, not a number",
		`objects.exists()`:                               "objects.exists: the id must be a string, not a nil",
	} {
		want(t, f, `local ok, e = pcall(function() `+body+` end) return not ok and string.find(e, [==[`+part+`]==], 1, true) ~= nil or e`, "true")
	}
	_ = wantError(t, f, `pcall(objects.call, "b", "GET", { s = string.rep("x", 2^20) })`, errs.Limit, "request_limit")
	want(t, f, `return select(2, objects.call("b", "GET", { s = string.rep("x", 2^20 - 8) }))`, "204") // {"s":""} has 8 bytes
	_ = wantError(t, f, `while true do objects.call("b", "GET") end`, errs.Limit, "step_limit")
	_ = wantError(t, f, `while true do objects.list() end`, errs.Limit, "step_limit")
	for _, call := range []string{`objects.call("b", "GET")`, `objects.list()`, `objects.exists("b")`} {
		p, err := Compile([]byte(call))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.NewVM(quick(), nil); err == nil || !strings.Contains(err.Error(), "objects is not available while the script loads") {
			t.Errorf("%s in a load gives %v", call, err)
		}
	}
}

func TestObjectsListAndExists(t *testing.T) {
	f := newFake()
	f.ids = []id.Object{"a", "shop_a", "shop_b"}
	want(t, f, `return { objects.list(), objects.list("shop_"), objects.list("x") }`, `[["a","shop_a","shop_b"],["shop_a","shop_b"],[]]`)
	want(t, f, `return { objects.exists("a"), objects.exists("b"), objects.exists("no id"), objects.exists("a@alpha"), objects.exists("a@beta") }`,
		`[true,false,false,true,false]`)
}

// A caller that was ended while it waited does not go on, whatever the other
// object answered and whatever the script catches.
func TestObjectsCallEndsWithItsCaller(t *testing.T) {
	const script = `function GET()
		pcall(objects.call, "b", "GET")
		state.set("after", true)
	end`
	ctx, kill := context.WithCancelCause(context.Background())
	f := newFake()
	f.invoke = func(host.Call) (host.Result, error) {
		kill(errs.New(errs.Unavailable, "killed", "killed"))
		return host.Result{Status: 204}, nil
	}
	_, err := load(t, script).Call(ctx, f, request("GET"))
	if e := errs.From(err); e == nil || e.Code != "killed" || len(f.state) > 0 {
		t.Errorf("a killed caller gives %v and wrote %v", err, f.state)
	}
	r := request("GET")
	r.Deadline = time.Now().Add(20 * time.Millisecond)
	f.invoke = func(c host.Call) (host.Result, error) {
		<-time.After(time.Until(c.Deadline))
		return host.Result{Status: 204}, nil
	}
	_, err = load(t, script).Call(context.Background(), f, r)
	if e := errs.From(err); e == nil || e.CodeOf() != "time_limit" || len(f.state) > 0 {
		t.Errorf("a caller past its deadline gives %v and wrote %v", err, f.state)
	}
}

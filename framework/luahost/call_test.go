package luahost

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

func TestPayload(t *testing.T) {
	query := []host.Field{{Name: "a", Value: "1"}, {Name: "b", Value: "x"}, {Name: "a", Value: "2"}}
	for _, c := range []struct {
		name string
		call host.Call
		body string
		want string
	}{
		{"query", host.Call{Query: query}, "return request", `{"a":"2","b":"x"}`},
		{"lists", host.Call{Query: query}, "return call.query", `{"a":["1","2"],"b":["x"]}`},
		{"json", host.Call{Query: query, Type: "application/json", Body: []byte(`{"b":{"c":[1,null]}}`)},
			"return {request, call.json}", `[{"a":"2","b":{"c":[1,null]}},{"b":{"c":[1,null]}}]`},
		{"vendor json", host.Call{Type: "application/vnd.x+json", Body: []byte(`{"b":[]}`)}, "return request", `{"b":[]}`},
		{"array", host.Call{Query: query, Type: "application/json", Body: []byte(`[1]`)}, "return {request, call.json}", `[{"a":"2","b":"x"},[1]]`},
		{"null", host.Call{Type: "application/json", Body: []byte(`null`)}, "return {request, call.json}", `[{},null]`},
		{"empty", host.Call{Type: "application/json"}, "return {request, tostring(call.json)}", `[{},"nil"]`},
		{"other type", host.Call{Type: "text/csv", Body: []byte("{x\x00")}, "return {request, call.body, tostring(call.json)}", `[{},"{x\u0000","nil"]`},
		{"form", host.Call{Query: query, Form: []host.Field{{Name: "a", Value: "f"}, {Name: "a", Value: "g"}}},
			"return {request, call.form}", `[{"a":"g","b":"x"},{"a":["f","g"]}]`},
		{"headers", host.Call{Header: []host.Field{{Name: "User-Agent", Value: "curl"}, {Name: "Accept", Value: "a"}, {Name: "Accept", Value: "b"}}},
			"return {call.headers['user-agent'], call.headers['USER-AGENT'], call.headers.accept, tostring(call.headers.x)}", `["curl","curl","a, b","nil"]`},
		{"caller", host.Call{Caller: id.Caller{User: "ada", Roles: []string{"operator"}}}, "return {call.user, call.roles}", `["ada",["operator"]]`},
		{"nobody", host.Call{}, "return {tostring(call.user), call.roles, tostring(call.nothing), tostring(call[1])}", `["nil",[],"nil","nil"]`},
		{"station's", host.Call{Object: "o", Path: "/objects/o", RequestID: "r"},
			"return {call.method, call.path, call.object, call.station, call.version, call.request_id}", `["GET","/objects/o","o","alpha",7,"r"]`},
		{"form token", host.Call{FormToken: "t"}, "return {call.form_token, request}", `["t",{}]`},
		{"no form token", host.Call{}, "return call.form_token == ''", "true"},
		{"not overwritten", host.Call{Type: "application/json", Body: []byte(`{"user":"eve","method":"X"}`)}, "return {tostring(call.user), call.method}", `["nil","GET"]`},
		{"deadline", host.Call{}, "local left = call.deadline - time.now() return left > 4 and left < 5.1", "true"},
		{"same table", host.Call{Query: query}, "return call.query == call.query", "true"},
	} {
		r := request("GET")
		c.call.Method = "GET"
		r.Call = c.call
		res, err := load(t, "function GET(request, call) "+c.body+" end").Call(context.Background(), newFake(), r)
		if err != nil || string(res.Body) != c.want {
			t.Errorf("%s: got %s, %v, want %s", c.name, res.Body, err, c.want)
		}
	}
}

func TestBadJSON(t *testing.T) {
	vm, o := load(t, "function POST() log.info('ran') end"), newFake()
	r := request("POST")
	r.Call.Type = "application/json"
	for _, body := range []string{`{`, `{"a":1,}`, `[1,]`, `nul`, `"\x"`, `{"a":"` + "\xff" + `"}`, `1 2`, `01`, `1e999`, strings.Repeat("[", 200)} {
		r.Call.Body = []byte(body)
		_, err := vm.Call(context.Background(), o, r)
		if e := errs.From(err); e == nil || e.Kind != errs.Invalid || e.Code != "bad_json" {
			t.Errorf("%s: got %v", body, err)
		}
	}
	if len(o.logs) != 0 || vm.Spent() {
		t.Errorf("the script ran: %v", o.logs)
	}
}

func TestMethods(t *testing.T) {
	vm := load(t, `object = { actions = { "clear" } }
		function GET(_, call) return call.method end
		function POST() return "post" end
		function clear() return "cleared" end
		function secret() return "secret" end`)
	post := func(body string) Request {
		r := request("POST")
		r.Call.Type, r.Call.Body = "application/json", []byte(body)
		return r
	}
	for _, c := range []struct {
		r    Request
		want string
	}{
		{request("HEAD"), "HEAD"}, {request("POST"), "post"}, {post(`{"action":"clear"}`), "cleared"},
		{post(`{"action":"secret"}`), "post"}, {post(`{"action":1}`), "post"},
	} {
		res, err := vm.Call(context.Background(), newFake(), c.r)
		if err != nil || string(res.Body) != c.want {
			t.Errorf("got %s, %v, want %s", res.Body, err, c.want)
		}
	}
	for _, m := range []string{"PUT", "get", "secret", "object", ""} {
		_, err := vm.Call(context.Background(), newFake(), request(m))
		e := errs.From(err)
		if e == nil || e.Kind != errs.MethodNotAllowed || !cmp.Equal(e.Allow, []string{"GET", "HEAD", "POST", "OPTIONS"}) {
			t.Errorf("%q: got %+v", m, e)
		}
	}
}

// TestOptions: a script without the function has no part in the answer.
func TestOptions(t *testing.T) {
	for _, c := range []struct{ source, allow string }{
		{"", "OPTIONS"},
		{"function GET() end function PUT() end", "GET, HEAD, PUT, OPTIONS"},
		{"object = { actions = { 'go' } } function go() end", "POST, OPTIONS"},
		{"object = { actions = {} } function DELETE() end", "DELETE, OPTIONS"},
	} {
		vm, r := load(t, c.source), request("OPTIONS")
		r.Call.Type, r.Call.Body = "application/json", []byte(`{"action":"go"`)
		for range 2 {
			res, err := vm.Call(t.Context(), nil, r) // without an object nothing can run
			if d := cmp.Diff(Result{Status: 204, Header: []host.Field{{Name: "Allow", Value: c.allow}}}, res); err != nil || d != "" {
				t.Errorf("%q: %v\n%s", c.source, err, d)
			}
		}
	}
	own := load(t, "function OPTIONS() return 'own' end")
	if res, err := own.Call(t.Context(), newFake(), request("OPTIONS")); err != nil || string(res.Body) != "own" {
		t.Errorf("a script's own OPTIONS gave %s, %v", res.Body, err)
	}
}

// TestActionsWithoutPOST: an action needs no POST function beside it.
func TestActionsWithoutPOST(t *testing.T) {
	vm := load(t, `object = { actions = { "go", "stop" } }
		function GET() end
		function go(request, call) return { request.n, call.method } end
		function stop() end
		function secret() return "secret" end`)
	r := request("POST")
	r.Call.Type, r.Call.Body = "application/json", []byte(`{"action":"go","n":1}`)
	if res, err := vm.Call(t.Context(), newFake(), r); err != nil || string(res.Body) != `[1,"POST"]` {
		t.Errorf("the action gave %s, %v", res.Body, err)
	}
	for _, body := range []string{"", "{}", "[]", `{"action":"secret"}`, `{"action":"GET"}`, `{"action":1}`} {
		r.Call.Body = []byte(body)
		_, err := vm.Call(t.Context(), newFake(), r)
		e := errs.From(err)
		if e == nil || e.Kind != errs.MethodNotAllowed || e.Text() != "The object answers POST with an action only, one of: go, stop." ||
			!cmp.Equal(e.Allow, []string{"GET", "HEAD", "POST", "OPTIONS"}) {
			t.Errorf("%s: got %+v", body, e)
		}
	}
	if vm.Spent() {
		t.Error("the script did not run, yet the VM is spent")
	}
	_, err := vm.Call(t.Context(), newFake(), request("PUT"))
	if e := errs.From(err); e == nil || e.Text() != "The object does not answer PUT; it answers GET, HEAD, POST, OPTIONS." {
		t.Errorf("got %v", e)
	}
}

func TestAnswers(t *testing.T) {
	text := "text/plain; charset=utf-8"
	type field = host.Field
	for _, c := range []struct {
		body   string
		status int
		answer string
		header []field
	}{
		{"return {b = 1, a = {1, 2}}", 200, `{"a":[1,2],"b":1}`, jsonHeader},
		{"return {}", 200, `{}`, jsonHeader},
		{"return json.array{}", 200, `[]`, jsonHeader},
		{"return json.null", 200, `null`, jsonHeader},
		{"return 1.5", 200, `1.5`, jsonHeader},
		{"return false", 200, `false`, jsonHeader},
		{"return 'a\\0\\255'", 200, "a\x00\xff", []field{{Name: "Content-Type", Value: text}}},
		{"return ''", 200, "", []field{{Name: "Content-Type", Value: text}}},
		{"", 204, "", nil},
		{"return nil", 204, "", nil},
		{"return nil, 404", 404, "", nil},
		{"return {}, 204", 204, "", nil},
		{"return 'x', 201, nil, 'more'", 201, "x", []field{{Name: "Content-Type", Value: text}}},
		{"return '<p>', 200, { ['content-type'] = 'text/html', ETag = 5, ['Set-Cookie'] = {'a=1', 'b=2'} }", 200, "<p>",
			[]field{{Name: "Content-Type", Value: "text/html"}, {Name: "Etag", Value: "5"}, {Name: "Set-Cookie", Value: "a=1"}, {Name: "Set-Cookie", Value: "b=2"}}},
		{"return nil, 302, { Location = '/x' }", 302, "", []field{{Name: "Location", Value: "/x"}}},
		{"return {}, nil, {}", 200, "{}", jsonHeader},
	} {
		r, err := get(t, newFake(), c.body)
		if err != nil {
			t.Errorf("%s: %v", c.body, err)
			continue
		}
		if r.Status != c.status || string(r.Body) != c.answer || !cmp.Equal(r.Header, c.header) {
			t.Errorf("%s\n got %d %q %v\nwant %d %q %v", c.body, r.Status, r.Body, r.Header, c.status, c.answer, c.header)
		}
	}
}

func TestBadAnswers(t *testing.T) {
	for _, c := range []struct{ body, part string }{
		{"return { items = { 1, 2, { x = 0/0 } } }", "answer.items[3].x: NaN"},
		{"return { a = 1/0 }", "answer.a: an infinite"},
		{"return { a = print }", "answer.a: a function"},
		{"return print", "answer: a function"},
		{"return { 1, 2, x = 3 }", `answer: has the key "x"`},
		{"return { [2] = 1 }", "answer[1]: a sequence has no holes"},
		{"return { ['a b'] = { [true] = 1 } }", `answer["a b"]: the key of type boolean is no string`},
		{"return { [1.5] = 1 }", "answer: the key 1.5 is no string"},
		{"local t = {} t.t = t return t", "answer.t: the table contains itself"},
		{"return { a = '\\255' }", "answer.a: the string is not UTF-8 at byte 1"},
		{"local a = json.array{} a.x = 1 return a", "marked as an array"},
		{"return coroutine.create(function() end)", "a thread"},
		{"return 1, 99", "status"}, {"return 1, 199", "status"}, {"return 1, 600", "status"},
		{"return 1, 200.5", "status"}, {"return 1, '200'", "status"}, {"return 1, 0/0", "status"},
		{"return 1, 200, 5", "headers must be a table"},
		{"return 1, 200, { 'x' }", "no header name"},
		{"return 1, 200, { ['a b'] = 'x' }", "no header name"},
		{"return 1, 200, { A = 'x\\r\\nB: y' }", "control character"},
		{"return 1, 200, { A = {} , a = 'x', B = print }", "must be a string"},
		{"return 1, 200, { AB = 'x' , aB = 'x' }", "twice"},
		{"return 1, 200, { ['content-length'] = '1' }", "station's to set"},
	} {
		_ = wantError(t, newFake(), c.body, errs.Script, c.part)
	}
}

func TestResponseLimit(t *testing.T) {
	o := newFake()
	for _, c := range []string{"string.rep('x', %s)", "{ string.rep('x', %s - 4) }"} {
		if r, err := get(t, o, "return "+strings.ReplaceAll(c, "%s", "1048576")); err != nil || len(r.Body) != 1<<20 {
			t.Errorf("%s at the limit: %d bytes, %v", c, len(r.Body), err)
		}
		_ = wantError(t, o, "return "+strings.ReplaceAll(c, "%s", "1048577"), errs.Limit, "response_limit")
	}
}

func TestErrors(t *testing.T) {
	o := newFake()
	for _, c := range []struct {
		body, message string
		line          int
	}{
		{"\nerror('boom')", "script.lua:2: boom", 2},
		{"\n\nlocal x = nil .. 'a'", "script.lua:3: cannot perform concat operation between nil and string", 3},
		{"\nerror('plain', 0)", "plain", 2},
		{"error({ code = 5 })", `the script raised {"code":5}`, 1},
		{"error()", "bad argument #1 to error", 1},
		{"error(nil)", "the script raised nil", 1},
		{"error({ f = print })", "a table that is no JSON", 1},
		{"error(string.rep('x', 10000), 0)", "xxx…", 1},
		{"\nassert(false, 'no')", "script.lua:2: no", 2},
		{"\nstate.get({})", "script.lua:2: state.get: the key must be a string, not a table", 2},
		{"local t = nil\nt.x = 1", "script.lua:2: attempt to index a non-table object(nil) with key 'x'", 2},
		{"\ncoroutine.wrap(function()\nerror('inside') end)()", "script.lua:3: inside", 3},
		{"error('stack overflow')", "stack overflow", 1},
		{"os.time()", "attempt to index a non-table object(nil) with key 'time'", 1},
	} {
		e := wantError(t, o, c.body, errs.Script, c.message)
		if e == nil {
			continue
		}
		if e.Line != c.line || len(e.Message) > maxMessage || len(e.Traceback) > maxTraceback || strings.Contains(e.Traceback, ".go:") {
			t.Errorf("%s: line %d, want %d\n%s", c.body, e.Line, c.line, e.Traceback)
		}
		if !strings.Contains(e.Traceback, "script.lua:") {
			t.Errorf("%s: traceback %q", c.body, e.Traceback)
		}
	}
}

func TestFail(t *testing.T) {
	for _, body := range []string{
		"fail(422, 'text_required', 'no text')",
		"pcall(fail, 422, 'text_required', 'no text') return 'caught'",
		"xpcall(function() fail(422, 'text_required', 'no text') end, function() return 'caught' end) return 'caught'",
		"coroutine.resume(coroutine.create(function() fail(422, 'text_required', 'no text') end)) return 'caught'",
		"coroutine.wrap(function() pcall(function() fail(422, 'text_required', 'no text') end) end)() return 'caught'",
		"pcall(string.gsub, 'a', 'a', function() fail(422, 'text_required', 'no text') end) fail(500, 'other', 'x')",
		"pcall(tostring, setmetatable({}, { __tostring = function() fail(422, 'text_required', 'no text') end }))",
		"state.update('k', function() fail(422, 'text_required', 'no text') end)",
	} {
		e := wantError(t, newFake(), body, errs.Refused, "no text")
		if e != nil && (e.Status != 422 || e.Code != "text_required" || e.Line != 1) {
			t.Errorf("%s: got %+v", body, e)
		}
	}
	for _, args := range []string{"200, 'a', 'b'", "600, 'a', 'b'", "404.5, 'a', 'b'", "404, 'Bad Code', 'b'", "404, '', 'b'", "404, 'a'", "'x', 'a', 'b'"} {
		_ = wantError(t, newFake(), "fail("+args+")", errs.Script, "bad argument")
	}
}

func TestSpent(t *testing.T) {
	vm := load(t, "local n = 0 function GET() n = n + 1 error('x') end")
	if _, err := vm.Call(context.Background(), newFake(), request("GET")); !errs.Is(err, errs.Script) || !vm.Spent() {
		t.Fatalf("got %v, spent %v", err, vm.Spent())
	}
	if _, err := vm.Call(context.Background(), newFake(), request("GET")); !errs.Is(err, errs.Internal) {
		t.Errorf("a spent VM answered: %v", err)
	}
	vm.Close()
	vm.Close()
	vm = load(t, "function GET() return print end")
	if _, err := vm.Call(context.Background(), newFake(), request("GET")); !errs.Is(err, errs.Script) || !vm.Spent() {
		t.Errorf("an answer that cannot be sent: %v, spent %v", err, vm.Spent())
	}
}

// TestOwnership: what a call hands out is not written to again.
func TestOwnership(t *testing.T) {
	vm, o := load(t, `function GET(request) log.info("x", { a = "first" }) state.set("k", "first")
		log.info("x", { b = "other and longer" }) return { request.a } end`), &still{}
	r := request("GET")
	r.Call.Query = []host.Field{{Name: "a", Value: "first"}}
	first, err := vm.Call(context.Background(), o, r)
	if err != nil || string(o.value) != `"first"` || string(o.fields[0]) != `{"a":"first"}` {
		t.Fatalf("got %s, %s, %v", o.value, o.fields, err)
	}
	r.Call.Query[0].Value = "other"
	if _, err := vm.Call(context.Background(), o, r); err != nil || string(first.Body) != `["first"]` {
		t.Errorf("the first answer became %s, %v", first.Body, err)
	}
}

func TestObjectErrorsEndTheCall(t *testing.T) {
	full := errs.New(errs.Limit, "state_limit", "The state is full.")
	for _, body := range []string{
		"state.set('a', 1)", "pcall(state.set, 'a', 1) return 1", "pcall(log.info, 'a') return 1", "pcall(state.delete, 'a')",
		"xpcall(function() state.incr('a') end, function() end)", "coroutine.wrap(function() pcall(print) end)()",
	} {
		o := newFake()
		o.err = full
		_ = wantError(t, o, body, errs.Limit, "state_limit")
	}
}

func TestCancel(t *testing.T) {
	moved := errs.New(errs.Busy, "moved", "The object moved.")
	for _, c := range []struct {
		cause error
		kind  errs.Kind
	}{{moved, errs.Busy}, {nil, errs.Unavailable}} {
		ctx, cancel := context.WithCancelCause(context.Background())
		l := DefaultLimits()
		l.Steps = 1 << 60
		vm := loadWith(t, "function GET() log.info('started') while true do pcall(error, 'x') end end", l)
		done := make(chan error)
		go func() {
			_, err := vm.Call(ctx, newFake(), request("GET"))
			done <- err
		}()
		cancel(c.cause)
		select {
		case err := <-done:
			if !errs.Is(err, c.kind) {
				t.Errorf("got %v, want %v", err, c.kind)
			}
		case <-time.After(time.Minute):
			t.Fatal("the call went on")
		}
	}
}

// TestStopped: a meter that has stopped lets no further instruction run.
func TestStopped(t *testing.T) {
	m := load(t, "").meter
	m.begin(context.Background(), DefaultLimits())
	if m.Done() != nil || m.Err() != nil {
		t.Error("a fresh meter says stop")
	}
	m.stop(errs.New(errs.Limit, "first", ""))
	m.stop(errs.New(errs.Limit, "second", ""))
	for range 3 {
		select {
		case <-m.Done():
		default:
			t.Error("a stopped meter says go on")
		}
	}
	if e := errs.From(m.Err()); e.Code != "first" {
		t.Errorf("got %v, want the first reason", e.Code)
	}
}

func TestDeadline(t *testing.T) {
	l := DefaultLimits()
	l.Steps = 1 << 60
	r := request("GET")
	spinning := loadWith(t, "function GET() while true do end end", l)
	r.Deadline = time.Now().Add(500 * time.Millisecond) // in which the script begins, on a busy machine too
	_, err := spinning.Call(context.Background(), newFake(), r)
	if e := errs.From(err); e == nil || e.Kind != errs.Timeout || e.Code != "time_limit" || e.Line != 1 {
		t.Errorf("got %+v", e)
	}
	r.Deadline = time.Now().Add(-time.Second)
	vm := loadWith(t, "function GET() end", l)
	if _, err := vm.Call(context.Background(), newFake(), r); !errs.Is(err, errs.Timeout) || strings.Contains(err.Error(), "-") {
		t.Errorf("got %v", err)
	}
	if vm.Spent() {
		t.Error("the script did not run, yet the VM is spent")
	}
}

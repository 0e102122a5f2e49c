package badrequests

import "strings"

// queries are malformed, or too long.
func queries() []Request {
	all := each("query", []string{
		"%", "%2", "%zz", "a=%", "a=%g1", "%=1", "a=1&b=%", "a=%u0041", "a=%ff", "%ff=1", "a=%C0%80", "a=%ED%A0%80", "a=%F8%88%80%80%80", "a=1&%FE", "source=true&%", "a=%00%FF",
	}, func(text string) Request { return bad("", get("/objects/target?"+text), 400, "bad_query") })
	return append(all,
		bad("10,001 fields", get("/objects/target?"+strings.Repeat("a&", 10_001)), 413, "too_large"),
		fine("10,000 fields", get("/objects/still?"+strings.Repeat("a&", 10_000)), 200),
		fine("a NUL in a query is text", get("/objects/still?a=%00"), 200),
	)
}

// looks have flags that contradict each other, and parameters that are wrong.
func looks() []Request {
	all := byCode("look", map[string][]string{
		"bad_parameter": {
			"state=true&logs=true", "logs=true&state=true", "source=true&object=true", "version=1&source=true", "metadata=true&test=true", "diff=1..2&version=1", "state=true&versions=true", "source=true&logs=true&state=true",
			"logs=true&limit=0", "logs=true&limit=-1", "logs=true&limit=1001", "logs=true&limit=x", "logs=true&limit=", "logs=true&limit=1e3", "logs=true&limit=0x10", "logs=true&limit=99999999999999999999", "logs=true&limit=%201",
			"logs=true&limit=10&limit=0", "state=true&limit=0", "state=true&limit=1.5", "versions=true&limit=1001", "logs=true&order=up", "logs=true&order=", "logs=true&order=ASC", "logs=true&level=LOUD", "logs=true&level=INFO,",
			"logs=true&level=", "state=true&key=a&limit=1", "state=true&key=a&prefix=b", "state=true&key=&cursor=YQ",
		},
		"bad_cursor": {
			"logs=true&cursor=x", "logs=true&cursor=%00", "logs=true&cursor=..", "logs=true&cursor=" + strings.Repeat("A", 4096), "state=true&cursor=", "state=true&cursor=!", "state=true&cursor=YQ%3D%3D", "state=true&cursor=_w", "versions=true&cursor=0", "versions=true&cursor=-1", "versions=true&cursor=x", "versions=true&cursor=99999999999999999999",
		},
		"bad_version": {
			"version=0", "version=-1", "version=", "version=x", "version=1.0", "version=%2B1", "version=01x", "version=18446744073709551616", "version=true", "version=1&version=0",
			"diff=", "diff=1", "diff=x..y", "diff=0..1", "diff=1..0", "diff=..1", "diff=..", "diff=1...2", "diff=-1..2", "diff=1..18446744073709551616", "diff=1..2..3",
		},
		"unknown_parameter": {
			"source=true&x=1", "metadata=true&limit=1", "test=true&name=x", "version=1&x=", "versions=true&order=asc", "state=true&level=INFO", "diff=1..2&context=3",
		},
	}, func(code, text string) Request { return bad("", get("/objects/target?"+text), 400, code) })
	all = append(all, each("list", []string{"limit=0", "limit=1001", "limit=x", "limit="}, func(text string) Request {
		return bad("", get("/objects?"+text), 400, "bad_parameter")
	})...)
	all = append(all, each("list", []string{"cursor=", "cursor=A", "cursor=..%2f", "cursor=%00"}, func(text string) Request {
		return bad("", get("/objects?"+text), 400, "bad_cursor")
	})...)
	return append(all,
		bad("a list with a foreign parameter", get("/objects?x=1"), 400, "unknown_parameter"),
		bad("a list with a bad escape", get("/objects?prefix=%"), 400, "bad_query"),
		bad("health with a parameter", get("/health?x=1"), 400, "unknown_parameter"),
		bad("plugins with a bad escape", get("/plugins?%"), 400, "bad_query"),
		bad("a key that is not there", get("/objects/target?state=true&key=absent"), 404, "no_such_key"),
		bad("a key of 10,000 bytes", get("/objects/target?state=true&key="+strings.Repeat("k", 10_000)), 404, "no_such_key"),
		bad("a version that is not there", get("/objects/target?version=999"), 404, "no_such_version"),
		bad("a version of 2^64-1", get("/objects/target?version=18446744073709551615"), 404, "no_such_version"),
		bad("a comparison with a version that is not there", get("/objects/target?diff=1..999"), 404, "no_such_version"),
		bad("a look at no object", get("/objects/absent?state=true"), 404, "not_found"),
		bad("the log of no object", get("/objects/absent?logs=true"), 404, "not_found"),
		bad("a look at another station", get("/objects/target@elsewhere?state=true"), 404, "no_such_station"),
		bad("a call on another station", request("POST", "/objects/target@elsewhere", ""), 404, "no_such_station"),
	)
}

// sources are changes of a source that must not happen.
func sources() []Request {
	put := func(body string, headers ...string) string {
		return request("PUT", "/objects/target?source=true", body, headers...)
	}
	all := byCode("source", map[string][]string{
		"no_code":          {`{}`, `{"cod":"x"}`, `{"code":null}`, `{"CODE":"x"}`, `{"Code":"x"}`},
		"bad_json":         {`{"code":1}`, `{"code":["x"]}`, `{"code":{}}`, `{"code":true}`, `[]`, `["code"]`, `{"code":"x"`, `{"code":"x"}}`, `{"code":"x"} {}`, `{"code":"x",}`, `{code:"x"}`, `{'code':'x'}`, `{"code":"x","author":1}`, `{"code":"x","message":{}}`, "{\"code\":\"\xff\"}", "{\"code\":\"a\nb\"}", `{"code":"\x"}`, `{"code":"\u12"}`, strings.Repeat(`{"code":`, 20_000), `{"code":` + strings.Repeat("[", 20_000)},
		"bad_version_text": {`{"code":"x","author":"` + strings.Repeat("a", 257) + `"}`, `{"code":"x","message":"` + strings.Repeat("m", 4097) + `"}`},
	}, func(code, text string) Request { return bad("", put(text), 400, code) })
	all = append(all, each("source", []string{
		"function GET(", "x = = 1", "return )", "goto x", "error('no')", "while", "\x1bLua", "function GET() return 1 end end", "local x <const> = 1", "x = 0xZ",
	}, func(text string) Request { return bad("", put(`{"code":`+quote(text)+`}`), 422, "source_invalid") })...)
	all = append(all, each("If-Match", []string{"x, y", `"a", "b"`, "", `""`, `"a`, `W/"a"`, `a"b`, ","}, func(text string) Request {
		return bad("", put(`{"code":"function GET() end"}`, "If-Match: "+text), 400, "bad_if_match")
	})...)
	rollback := func(body string) string {
		return post(body, "Content-Type: application/json")
	}
	all = append(all, byCode("rollback", map[string][]string{
		"bad_version": {`{"action":"rollback"}`, `{"action":"rollback","version_id":0}`, `{"action":"rollback","version_id":-1}`, `{"action":"rollback","version_id":1.5}`, `{"action":"rollback","version_id":1e3}`, `{"action":"rollback","version_id":18446744073709551616}`, `{"action":"rollback","version_id":null}`},
		"bad_json":    {`{"action":"rollback","version_id":"x"}`, `{"action":"rollback","version_id":""}`, `{"action":"rollback","version_id":[1]}`, `{"action":"rollback","version_id":true}`, `{"action":"rollback","version_id":1,"author":1}`, `{"action":"rollback","version_id":1`, "{\"action\":\"rollback\",\"version_id\":1,\"author\":\"\xff\"}", `{"\u0061ction":"\u0072ollback","version_id":{}}`},
	}, func(code, text string) Request { return bad("", rollback(text), 400, code) })...)
	return append(all,
		bad("a source as text", put("function GET() end", "Content-Type: text/plain"), 415, "unsupported_content_type"),
		bad("a source as it is", put("function GET() end"), 415, "unsupported_content_type"),
		bad("a source as a form", put("code=x", "Content-Type: application/x-www-form-urlencoded"), 415, "unsupported_content_type"),
		bad("a source as a multipart form", put("--b--", "Content-Type: multipart/form-data; boundary=b"), 415, "unsupported_content_type"),
		bad("a source without a body", put(""), 415, "unsupported_content_type"),
		bad("a source in Latin-1", put(`{"code":"x"}`, "Content-Type: application/json; charset=latin1"), 415, "unsupported_content_type"),
		bad("a source of 256 KiB and a byte", put(`{"code":"--`+strings.Repeat("x", 256<<10-1)+`"}`), 422, "source_too_large"),
		bad("an old version", put(`{"code":"function GET() end"}`, "If-Match: "+strings.Repeat("0", 64)), 412, "precondition_failed"),
		bad("a change of what is not there", request("PUT", "/objects/absent?source=true", `{"code":"function GET() end"}`, "If-Match: *"), 412, "precondition_failed"),
		bad("a source under a bad id", request("PUT", "/objects/..%2fevil?source=true", `{"code":"function GET() end"}`), 400, "bad_object_id"),
		bad("a source under an id of a module", request("PUT", "/objects/lib_x?source=true", `{"code":"return {}"}`), 409, "module"),
		bad("a source for another station", request("PUT", "/objects/target@elsewhere?source=true", `{"code":"function GET() end"}`), 404, "no_such_station"),
		bad("a source with a foreign parameter", request("PUT", "/objects/target?source=true&force=true", `{"code":"function GET() end"}`), 400, "unknown_parameter"),
		bad("POST of a source", request("POST", "/objects/target?source=true", `{"code":"function GET() end"}`), 405, "method_not_allowed"),
		bad("a deletion of an old version", request("DELETE", "/objects/target?object=true", "", "If-Match: "+strings.Repeat("0", 64)), 412, "precondition_failed"),
		bad("a deletion on a bad condition", request("DELETE", "/objects/target?object=true", "", "If-Match: a, b"), 400, "bad_if_match"),
		bad("a deletion of nothing", request("DELETE", "/objects/absent?object=true", ""), 404, "not_found"),
		bad("a deletion with a foreign parameter", request("DELETE", "/objects/target?object=true&x=1", ""), 400, "unknown_parameter"),
		bad("a deletion and a source", request("DELETE", "/objects/target?object=true&source=true", ""), 400, "bad_parameter"),
		bad("a rollback to what is not there", rollback(`{"action":"rollback","version_id":999}`), 404, "no_such_version"),
		bad("a rollback of no object", request("POST", "/objects/absent?action=rollback&version_id=1", ""), 404, "not_found"),
		bad("a rollback on another station", request("POST", "/objects/target@elsewhere?action=rollback&version_id=1", ""), 404, "no_such_station"),
		bad("a rollback to no number in a form", post("action=rollback&version_id=x", typeForm), 400, "bad_version"),
		bad("a rollback in the query", request("POST", "/objects/target?action=rollback&version_id=x", ""), 400, "bad_version"),
	)
}

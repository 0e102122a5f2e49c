package badrequests

import "strings"

// stateWrites are writes of the state that must not happen.
func stateWrites() []Request {
	put := func(key, body string, headers ...string) string {
		return request("PUT", "/objects/target?state=true"+key, body, headers...)
	}
	all := each("value", []string{
		"", "x", "{", "[1,]", "nul", "1 2", `"a`, "NaN", "1e400", "-", "01", "\xff", "\"\xff\"", "{}x", strings.Repeat("[", 200) + strings.Repeat("]", 200), `{"a":`, "\x00",
	}, func(text string) Request { return bad("", put("&key=k", text, typeJSON), 400, "bad_json") })
	all = append(all, each("value", []string{"9007199254740994", "[1,9007199254740995]", `{"a":{"b":-1e20}}`}, func(text string) Request {
		return bad("", put("&key=k", text, typeJSON), 422, "bad_value")
	})...)
	return append(all,
		bad("a value without a key", put("", "1", typeJSON), 400, "bad_parameter"),
		bad("an empty key", put("&key=", "1", typeJSON), 400, "bad_key"),
		bad("a key of 513 bytes", put("&key="+strings.Repeat("k", 513), "1", typeJSON), 413, "key_limit"),
		bad("a key that is no text", put("&key=%ff", "1", typeJSON), 400, "bad_query"),
		bad("a value above 256 KiB", put("&key=k", `"`+strings.Repeat("x", 256<<10)+`"`, typeJSON), 413, "value_limit"),
		bad("a value above 8 MiB", put("&key=k", strings.Repeat(" ", 8<<20+1), typeJSON), 413, "too_large"),
		bad("a value that is a form", put("&key=k", end, typeMultipart), 415, "unsupported_content_type"),
		bad("a value that is an image", put("&key=k", "1", "Content-Type: image/png"), 415, "unsupported_content_type"),
		bad("a value in Latin-1", put("&key=k", "1", typeJSON+"; charset=latin1"), 415, "unsupported_content_type"),
		bad("a compressed value", put("&key=k", "1", "Content-Encoding: gzip"), 415, "unsupported_content_encoding"),
		bad("a value with a foreign parameter", put("&key=k&prefix=x", "1"), 400, "unknown_parameter"),
		bad("a value from another site", put("&key=k", "1", "Origin: null"), 403, "cross_origin"),
		bad("a value for no object", request("PUT", "/objects/absent?state=true&key=k", "1"), 404, "not_found"),
		bad("a value for another station", request("PUT", "/objects/target@elsewhere?state=true&key=k", "1"), 404, "no_such_station"),
		bad("a value by POST", request("POST", "/objects/target?state=true&key=k", "1"), 405, "method_not_allowed"),
		bad("a deletion of all keys", request("DELETE", "/objects/target?state=true", ""), 400, "bad_parameter"),
		bad("a deletion of keys by their beginning", request("DELETE", "/objects/target?state=true&key=k&prefix=t", ""), 400, "unknown_parameter"),
		bad("a deletion of a key that is not there", request("DELETE", "/objects/target?state=true&key=absent", ""), 404, "no_such_key"),
		bad("a deletion of a key from another site", request("DELETE", "/objects/target?state=true&key=touched", "", "Origin: http://evil.example"), 403, "cross_origin"),
		cut(bad("a value whose length is longer than it is", put("&key=k", "1", "Content-Length: 10"), 400, "bad_body")),
	)
}

// fileChanges are names of files that none may have, and changes of files that must not
// happen.
func fileChanges() []Request {
	put := func(name, body string, headers ...string) string {
		return request("PUT", "/objects/album?file="+name, body, headers...)
	}
	names := []string{
		"", ".", "..", "a%2fb", "%2fetc%2fpasswd", "..%2ff", "..%2f..%2f..%2fetc%2fpasswd", "a%5cb", "..%5cf", "/etc/passwd", "../f", "a/../f", "f%00", "%00", "f%00.png", "f%0d%0aX-Evil:1", "f%0a", "%7f", strings.Repeat("n", 1025), strings.Repeat("%2e%2e%2f", 100),
	}
	all := each("file to put", names, func(text string) Request { return bad("", put(text, "x"), 400, "bad_file_name") })
	all = append(all, each("file to get", names, func(text string) Request { return bad("", get("/objects/album?file="+text), 400, "bad_file_name") })...)
	all = append(all, each("file to delete", names, func(text string) Request {
		return bad("", request("DELETE", "/objects/album?file="+text, ""), 400, "bad_file_name")
	})...)
	all = append(all, each("type of a file", []string{"x", "/", "text/", "text/plain; =", "a/b, c/d", "multipart/form-data; boundary=b"}, func(text string) Request {
		return bad("", put("f", "x", "Content-Type: "+text), 415, "unsupported_content_type")
	})...)
	all = append(all, each("If-Match of a file", []string{`"a", "b"`, "", ","}, func(text string) Request {
		return bad("", put("f", "x", "If-Match: "+text), 400, "bad_if_match")
	})...)
	return append(all,
		bad("a name that is no text", put("%ff", "x"), 400, "bad_query"),
		bad("a file that is not there", get("/objects/album?file=absent"), 404, "no_such_file"),
		bad("a deletion of a file that is not there", request("DELETE", "/objects/album?file=absent", ""), 404, "no_such_file"),
		bad("an old file", put("f", "x", "If-Match: "+strings.Repeat("0", 64)), 412, "precondition_failed"),
		bad("a file where there is none", put("absent", "x", "If-Match: *"), 412, "precondition_failed"),
		bad("a file where there is one", put("f", "x", "If-None-Match: *"), 412, "precondition_failed"),
		bad("a file that is not another", put("f", "x", "If-None-Match: \"x\""), 400, "bad_if_match"),
		bad("a part of a file", put("f", "x", "Content-Range: bytes 0-0/10"), 400, "bad_body"),
		bad("a compressed file", put("f", "x", "Content-Encoding: gzip"), 415, "unsupported_content_encoding"),
		bad("a file from another site", put("f", "x", "Origin: http://evil.example"), 403, "cross_origin"),
		bad("a deletion of a file from another site", request("DELETE", "/objects/album?file=f", "", "Sec-Fetch-Site: cross-site"), 403, "cross_origin"),
		bad("a file of no object", request("PUT", "/objects/absent?file=f", "x"), 404, "not_found"),
		bad("a file of another station", request("PUT", "/objects/album@elsewhere?file=f", "x"), 404, "no_such_station"),
		bad("a file by POST", request("POST", "/objects/album?file=f", "x"), 405, "method_not_allowed"),
		bad("a file and the state", put("f&state=true", "x"), 400, "bad_parameter"),
		bad("a file with a foreign parameter", put("f&x=1", "x"), 400, "unknown_parameter"),
		bad("the files with a limit of 0", get("/objects/album?files=true&limit=0"), 400, "bad_parameter"),
		bad("the files behind no cursor", get("/objects/album?files=true&cursor=!"), 400, "bad_cursor"),
		bad("a change of all files", request("DELETE", "/objects/album?files=true", ""), 405, "method_not_allowed"),
		bad("a range outside a file", get("/objects/album?file=f", "Range: bytes=10-"), 416, "bad_range"),
		bad("the status with a foreign parameter", get("/objects/album?status=true&x=1"), 400, "unknown_parameter"),
		bad("a change of the status", request("POST", "/objects/album?status=true", ""), 405, "method_not_allowed"),
		cut(bad("a file whose length is longer than it is", put("g", "x", "Content-Length: 10"), 400, "bad_body")),
		cut(bad("a file whose chunks end early", put("g", chunk("x"), "Transfer-Encoding: chunked"), 400, "bad_body")),
		Request{Name: "a file that is a page", Text: get("/objects/album?file=evil.html"), Status: 200, Header: map[string]string{
			"Content-Disposition": "attachment; filename=evil.html", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox allow-forms allow-scripts"}},
		Request{Name: "a file that is a drawing", Text: get("/objects/album?file=evil.svg"), Status: 200, Header: map[string]string{
			"Content-Disposition": "attachment; filename=evil.svg", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox allow-forms allow-scripts"}},
	)
}

// logQueries are filters of a log that are none.
func logQueries() []Request {
	return byCode("log", map[string][]string{
		"bad_parameter":     {"since=x", "since=", "until=yesterday", "since=2026-13-01T00:00:00Z", "since=2026-02-30T00:00:00Z", "since=-1", "since=NaN", "since=1e400", "until=Inf", "since=2026-01-01", "until=99999999999999999999"},
		"unknown_parameter": {"entry_id=x", "timestamp=1", "message=x"},
		"bad_field":         {manyFields()},
	}, func(code, text string) Request { return bad("", get("/objects/target?logs=true&"+text), 400, code) })
}

func manyFields() string {
	var b strings.Builder
	for i := range 26 * 26 {
		b.WriteString("&x" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + "=1")
	}
	return b.String()
}

package badrequests

import (
	"archive/tar"
	"bytes"
	"strconv"
	"strings"
)

// stations are what nobody should ask a station about itself.
func stations() []Request {
	var all []Request
	for _, path := range []string{"/metrics", "/openapi.json", "/cluster/info", "/cluster/stations", "/health", "/health/ready"} {
		all = append(all, byCode(path+" with", map[string][]string{
			"unknown_parameter": {"x=1", "=1", "limit=1", "source=true", "prefix=a&x", "a;b=1", "%00=1", strings.Repeat("x", 1000) + "=1"},
			"bad_query":         {"%", "a=%ff", "%zz=1", "a=1&b=%u0041"},
		}, func(code, text string) Request { return bad("", get(path+"?"+text), 400, code) })...)
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "PROPFIND"} {
			all = append(all, bad(method+" "+path, request(method, path, `{"x":1}`, typeJSON), 405, "method_not_allowed"))
		}
		all = append(all,
			bad("10,001 fields for "+path, get(path+"?"+strings.Repeat("a&", 10_001)), 413, "too_large"),
			bad("another site's POST to "+path, request("POST", path, "x", "Origin: http://evil.example"), 403, "cross_origin"),
			bad("a foreign Host with a body for "+path, request("GET", path, "x", "Host: evil.example"), 403, "unknown_host"),
			bad("something below "+path, get(path+"/x"), 404, "no_such_path"),
			plain("two lengths of a body for "+path, request("GET", path, "x", "Content-Length: 1", "Content-Length: 2"), 400),
			fine("a body for "+path, request("GET", path, strings.Repeat("x", 1000), typeJSON), 200),
			fine("a body for "+path+" that does not come", request("GET", path, "", "Content-Length: 9000000"), 200),
		)
	}
	all = append(all, each("a call of the prototype's cluster", []string{"heartbeat", "replicate", "replicate_file", "append_log", "import", "register", "info/", "migrate/x", ""}, func(text string) Request {
		return bad("", request("POST", "/cluster/"+text, "{}", typeJSON), 404, "no_such_path")
	})...)
	all = append(all, each("migration", []string{"", "{}", "{", "null", "\xff", `{"object_id":"target","to_station":"elsewhere"}`, `{"object_id":"../x","to_station":"station1"}`, strings.Repeat("[", 100_000)}, func(text string) Request {
		return bad("", request("POST", "/cluster/migrate", text, typeJSON), 409, "no_cluster")
	})...)
	return append(all,
		bad("a migration from another site", request("POST", "/cluster/migrate", "{}", "Origin: null"), 403, "cross_origin"),
		bad("a migration with a parameter", request("POST", "/cluster/migrate?object_id=target", "{}"), 400, "unknown_parameter"),
		bad("a migration by GET", get("/cluster/migrate"), 405, "method_not_allowed"),
		bad("a description in HTTP/1.0", "GET /openapi.json HTTP/1.0\r\nHost: localhost\r\n\r\n", 400, "bad_protocol"),
	)
}

// tails are follows of a log that never begin.
func tails() []Request {
	all := byCode("tail", map[string][]string{
		"bad_parameter": {
			"last=-1", "last=1001", "last=x", "last=", "last=1.5", "last=0x1", "last=99999999999999999999", "last=1&since=1", "since=x", "since=", "since=-1", "since=NaN", "since=2026-02-30T00:00:00Z", "level=LOUD", "level=", "level=INFO,", "logs=true", "source=true", "export=true",
		},
		"bad_cursor":        {"cursor=x", "cursor=%00", "cursor=..", "cursor=" + strings.Repeat("A", 4096)},
		"unknown_parameter": {"entry_id=x", "timestamp=1", "message=x"},
		"bad_field":         {manyFields()},
	}, func(code, text string) Request { return bad("", get("/objects/target?tail=true&"+text), 400, code) })
	all = append(all, each("Last-Event-ID", []string{"x", "0", "-1", "station1.1.1", "\xff", strings.Repeat("A", 4096)}, func(text string) Request {
		return bad("", get("/objects/target?tail=true", "Last-Event-ID: "+text), 400, "bad_cursor")
	})...)
	return append(all,
		bad("a tail of no object", get("/objects/absent?tail=true"), 404, "not_found"),
		bad("a tail of another station", get("/objects/target@elsewhere?tail=true"), 404, "no_such_station"),
		bad("a tail by POST", request("POST", "/objects/target?tail=true", "x"), 405, "method_not_allowed"),
		bad("a tail for another site", get("/objects/target?tail=true", "Origin: http://evil.example"), 403, "cross_origin"),
		bad("a tail for a page elsewhere", get("/objects/target?tail=true", "Sec-Fetch-Site: cross-site"), 403, "cross_origin"),
	)
}

// archives are exports that are not given, and imports that make nothing.
func archives() []Request {
	n := 0 // each asks for an object of its own, since one import of an object excludes another
	put := func(body string, headers ...string) string {
		n++
		return request("PUT", "/objects/made"+strconv.Itoa(n)+"?import=true", body, headers...)
	}
	zeros := strings.Repeat("\x00", 1024)
	all := each("archive", []string{
		"", "x", "\x00", zeros, zeros[:512], strings.Repeat("\xff", 1024), strings.Repeat("x", 100_000), "PK\x03\x04" + zeros, "\x1f\x8b\x08\x00" + zeros, "function GET() end", "{}",
	}, func(text string) Request { return bad("", put(text), 400, "bad_archive") })
	for _, h := range []tar.Header{
		{Name: "../../etc/passwd"}, {Name: "/etc/passwd"}, {Name: "files/../../x"}, {Name: "source.lua"}, {Name: "object.tsv"}, {Name: "end.tsv"}, {Name: "x"}, {Name: strings.Repeat("n/", 2000)},
		{Name: "x", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, {Name: "x", Typeflag: tar.TypeLink, Linkname: "../target.lua"}, {Name: "x", Typeflag: tar.TypeChar}, {Name: "x", Typeflag: tar.TypeBlock}, {Name: "x", Typeflag: tar.TypeFifo}, {Name: "x/", Typeflag: tar.TypeDir},
	} {
		all = append(all, bad("an archive of "+short(h.Name)+" of type "+short(string(h.Typeflag)), put(archive(h, "")), 400, "bad_archive"),
			bad("half an archive of "+short(h.Name)+" of type "+short(string(h.Typeflag)), put(archive(h, "")[:300]), 400, "bad_archive"))
	}
	all = append(all, each("type of an archive", []string{"text/plain", "application/json", "application/zip", "application/gzip", "x", "multipart/form-data; boundary=b", "application/x-tar, text/html"}, func(text string) Request {
		return bad("", put(zeros, "Content-Type: "+text), 415, "unsupported_content_type")
	})...)
	all = append(all, byCode("export", map[string][]string{
		"unknown_parameter": {"export=true&x=1", "export=true&limit=1", "export=true&prefix=a", "export=true&key=touched"},
		"bad_parameter":     {"export=true&import=true", "export=true&source=true", "export=true&file=f", "version=1&export=true"},
		"bad_query":         {"export=true&%", "export=true&a=%ff"},
	}, func(code, text string) Request { return bad("", get("/objects/target?"+text), 400, code) })...)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		all = append(all, bad(method+" of an export", request(method, "/objects/target?export=true", zeros), 405, "method_not_allowed"))
	}
	for _, method := range []string{"GET", "POST", "PATCH", "DELETE"} {
		all = append(all, bad(method+" of an import", request(method, "/objects/made?import=true", zeros), 405, "method_not_allowed"))
	}
	return append(all,
		bad("an export of no object", get("/objects/absent?export=true"), 404, "not_found"),
		bad("an export under a bad id", get("/objects/..%2ftarget?export=true"), 400, "bad_object_id"),
		bad("an export of another station", get("/objects/target@elsewhere?export=true"), 404, "no_such_station"),
		bad("an export in HTTP/1.0", "GET /objects/target?export=true HTTP/1.0\r\nHost: localhost\r\n\r\n", 400, "bad_protocol"),
		bad("an export from a foreign Host", get("/objects/target?export=true", "Host: evil.example"), 403, "unknown_host"),
		bad("an import under an id that there is", request("PUT", "/objects/target?import=true", zeros), 409, "object_exists"),
		bad("an import under a bad id", request("PUT", "/objects/..%2fmade?import=true", zeros), 400, "bad_object_id"),
		bad("an import on another station", request("PUT", "/objects/made@elsewhere?import=true", zeros), 404, "no_such_station"),
		bad("an import from another site", put(zeros, "Origin: http://evil.example"), 403, "cross_origin"),
		bad("an import with a foreign parameter", request("PUT", "/objects/made?import=true&force=true", zeros), 400, "unknown_parameter"),
		bad("an import and a source", request("PUT", "/objects/made?import=true&source=true", zeros), 400, "bad_parameter"),
		bad("a compressed import", put(zeros, "Content-Encoding: gzip"), 415, "unsupported_content_encoding"),
		bad("an import of chunks that are none", put("x\r\n", "Transfer-Encoding: chunked"), 400, "bad_body"),
		cut(bad("an import whose length is longer than it is", put(zeros[:100], "Content-Length: 1024"), 400, "bad_body")),
		cut(bad("an import whose chunks end early", put(chunk(zeros[:100]), "Transfer-Encoding: chunked"), 400, "bad_body")),
	)
}

// archive gives an archive of one entry; a writer to memory takes all of it.
func archive(h tar.Header, content string) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	h.Size, h.Mode = int64(len(content)), 0o600
	_ = w.WriteHeader(&h)
	_, _ = w.Write([]byte(content))
	_ = w.Close()
	return b.String()
}

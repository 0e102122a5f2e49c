package badrequests

import "strings"

// ids are object ids, as they stand in the path.
func ids() []Request {
	long := strings.Repeat("a", 128)
	all := byCode("id", map[string][]string{
		"bad_object_id": {
			"", "A", "Target", "TARGET", "target%20", "%20target", "target+", "target%0a", "target%0d%0aX:y", "target%00", "%00",
			".", "..", "..%2f..%2fetc%2fpasswd", "%2e%2e", "%2e%2e%2ftarget", "target%2f", "%2ftarget", "target%2f..%2ftarget", "target%5c..%5cx", "target\\x",
			"_target", "-target", ".target", ".hidden", "target;x", "target:x", "target*", "target'", "target%22", "target%3Cscript%3E", "target,x", "target%7c", "~target",
			"t%C3%A4rget", "%D1%82arget", "target%E2%80%AE", "%EF%BB%BFtarget", "%F0%9F%92%A3", "target%FF", "%C0%AE%C0%AE", "%C0%AF", "%E0%80%AF", "%ff%fe", "%252e%252e", "target%2500",
			long + "a", strings.Repeat("a", 4096), strings.Repeat("%61", 129), "@", "@station1", "@@", "%40station1", "A@station1", "con%3a", "target%25",
		},
		"bad_station_id": {
			"target@", "target@A", "target@station1@station1", "target@..", "target@.", "target@%2e%2e", "target@a.b", "target@%00", "target@station1%20", "target@[::1]",
			"target@http:%2f%2fevil.example", "target@127.0.0.1:80", "target@-x", "target@_x", "target@" + long + "a", "target%40", "target%40%40",
		},
	}, func(code, text string) Request { return bad("", get("/objects/"+text), 400, code) })
	return append(all, byCode("id", map[string][]string{
		"not_found": {"absent", long, "0", "target.lua", "target-", "target_", "target..", "target.", "a..b", "nul", "con", "lib_x", strings.Repeat("%61", 128)},
	}, func(code, text string) Request { return bad("", get("/objects/"+text), 404, code) })...)
}

// paths lead nowhere.
func paths() []Request {
	all := each("path", []string{
		"/", "//", "///", "/object", "/Objects", "/OBJECTS", "/objects/target/", "/objects/target/x", "//objects", "//objects/target", "/objects//target", "/./objects", "/./objects/target",
		"/../objects/target", "/objects/../objects/target", "/objects/./target", "/objects/target/..", "/objects/target/.", "/x/../objects", "/objects%2ftarget", "/objects%2Ftarget", "/%6fbjects", "/%6fbjects/target",
		"/objects%00", "/objects%20", "/objects;x", "/%2e%2e/objects", "/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/..%2fobjects", "/..;/objects", "/.;/objects/target", "/\\objects", "/%5cobjects", "/objects\\target", "/%c0%ae%c0%ae/objects",
		"/health/", "/health/ready/", "/healthz", "/Health", "/plugins/x", "/favicon.ico", "/.git/config", "/.env", "/admin", "/cluster", "/debug/pprof/", "/scripts/target.lua", "/data/state/target/state.tsv",
		"/" + strings.Repeat("a/", 1000), "/" + strings.Repeat("../", 1000) + "etc/passwd", "/%F0%9F%92%A3", "/%ff",
	}, func(text string) Request { return bad("", get(text), 404, "no_such_path") })
	return append(all, bad("a script in a path", get("/<script>alert(1)</script>"), 404, "no_such_path"))
}

// targets are not paths alone.
func targets() []Request {
	all := each("request target", []string{
		"objects", "objects/target", ":", "/objects/%", "/objects/%2", "/objects/%zz", "/objects/target%", "/objects/%u0041", "http://[::1/objects", "http://localhost:x/objects", "?x", "", "http://%00/objects",
		"/objects/target\x01", "/objects/target\x7f", "/objects/tar get", "/objects/target /x",
	}, func(text string) Request { return plain("", get(text), 400) })
	all = append(all, each("request target", []string{
		"http://evil.example/objects/target", "https://evil.example/objects/target", "http://evil.example@/objects/target", "http://localhost.evil.example/objects/target", "ftp://evil.example/objects/target", "http:///objects/target", "http://@/objects/target", "objects:80", "http:", "file:///objects/target", "javascript:/objects/target",
	}, func(text string) Request { return bad("", get(text), 403, "unknown_host") })...)
	return append(all,
		fine("an absolute target", get("http://localhost/objects/still"), 200),
		fine("an absolute target beside a foreign Host", get("http://localhost/objects/still", "Host: evil.example"), 200),
		bad("an asterisk", get("*"), 404, "no_such_path"),
		bad("half a host in a path", get("//[/objects"), 404, "no_such_path"),
		bad("an asterisk for OPTIONS", request("OPTIONS", "*", ""), 404, "no_such_path"),
		bad("CONNECT with a host", request("CONNECT", "localhost:80", ""), 404, "no_such_path"),
		bad("CONNECT with a foreign host", request("CONNECT", "evil.example:80", ""), 403, "unknown_host"),
		bad("a fragment", get("/objects/target#x"), 400, "bad_object_id"),
		plain("a target above the limit of headers", get("/objects/target?x="+strings.Repeat("a", 64<<10)), 431),
		fine("a target below the limit of headers", get("/objects/still?x="+strings.Repeat("a", 63<<10)), 200),
	)
}

// methods are those that nothing answers.
func methods() []Request {
	all := each("method", []string{"TRACE", "CONNECT", "PROPFIND", "get", "Post", "PURGE", "LOCK", "M-SEARCH", "G", "DELETE2", strings.Repeat("M", 1000), "!", "$%&'*+-.^_`|~"},
		func(text string) Request {
			return bad("", request(text, "/objects/target", ""), 405, "method_not_allowed")
		})
	all = append(all, each("method", []string{"", " GET", "GE T", "GET\t", "G(T", "G\x00T", "GËT", "{}"},
		func(text string) Request { return plain("", request(text, "/objects/target", ""), 400) })...)
	for _, path := range []string{"/objects", "/plugins", "/health", "/health/ready", "/objects/target?logs=true", "/objects/target?versions=true", "/objects/target?metadata=true", "/objects/target?test=true", "/objects/target?version=1", "/objects/target?diff=1..1"} {
		for _, method := range []string{"POST", "DELETE"} {
			all = append(all, bad(method+" "+path, request(method, path, ""), 405, "method_not_allowed"))
		}
	}
	return append(all,
		bad("GET of a deletion", get("/objects/target?object=true"), 405, "method_not_allowed"),
		bad("POST of a deletion", request("POST", "/objects/target?object=true", ""), 405, "method_not_allowed"),
		bad("a method that the object lacks", request("PATCH", "/objects/still", ""), 405, "method_not_allowed"),
		fine("a method in a header is none", request("GET", "/objects/still", "", "X-HTTP-Method-Override: DELETE"), 200),
	)
}

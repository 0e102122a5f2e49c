package badrequests

import "strings"

// hosts are those to which no station answers.
func hosts() []Request {
	all := each("Host", []string{
		"", "evil.example", "evil.example:80", "localhost.evil.example", "localhost.", "localhost.:80", "LOCALHOST.EVIL", "evil.localhost", "127.0.0.1.evil.example", "127.0.0.1.nip.io", "127-0-0-1.evil.example", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "017700000001", "0x7f.0.0.1", "0x7f000001", "127.0.0.01",
		"0", "0.0.0.0", "[::]", "[::2]", "::1", "[::1", "::1]", "[localhost]", "[127.0.0.1]", "[::1%25lo]", "[::ffff:8.8.8.8]", "10.0.0.1", "169.254.169.254", "192.168.0.1:80", "8.8.8.8", "255.255.255.255",
		"localhost:", "localhost:x", "localhost:-1", "localhost:65536", "localhost:99999999999", "localhost:80:80", "localhost:+80", "localhost,evil.example", "station", "ip6-localhost", "localhost%2eevil.example", "metadata.google.internal", "xn--localhost-", strings.Repeat("a", 1000),
	}, func(text string) Request { return bad("", get("/objects/target", "Host: "+text), 403, "unknown_host") })
	for _, path := range []string{"/objects", "/health", "/plugins", "/absent", "/objects/target?source=true"} {
		all = append(all, bad("a foreign Host for "+path, get(path, "Host: evil.example"), 403, "unknown_host"))
	}
	all = append(all, each("Host", []string{"local host", "localhost/", "localhost@evil.example/", "localhost\x00", "<script>", "localhost\\", "löcalhost", "localhost\"", "user@localhost{}"},
		func(text string) Request { return plain("", get("/objects/target", "Host: "+text), 400) })...)
	return append(all,
		plain("two Hosts", get("/objects/target", "Host: localhost", "Host: evil.example"), 400),
		plain("two Hosts that are the same", get("/objects/target", "Host: localhost", "Host: localhost"), 400),
		plain("no Host", "GET /objects/target HTTP/1.1\r\n\r\n", 400),
		bad("no Host in HTTP/1.0", "GET /objects/target HTTP/1.0\r\n\r\n", 403, "unknown_host"),
		plain("a Host of user information", get("/objects/target", "Host: localhost@evil.example"), 400),
		bad("a forwarded Host counts for nothing", get("/objects/target", "Host: evil.example", "X-Forwarded-Host: localhost", "Forwarded: host=localhost"), 403, "unknown_host"),
	)
}

// origins are those of other sites' pages.
func origins() []Request {
	all := each("Origin", []string{
		"null", "http://evil.example", "https://evil.example", "http://evil.example:80", "http://localhost:1", "http://localhost:8001", "http://localhost.", "http://localhost.evil.example", "http://127.0.0.1", "http://[::1]", "http://localhost@evil.example", "http://evil.example/localhost", "http://evil.example#localhost", "http://evil.example?localhost",
		"http://localhost, http://evil.example", "file://", "chrome-extension://abcdef", "about:blank", "evil.example", "localhost", "//localhost.evil", "http://", "%", "http://%6cocalhost.evil", "http://evil.example\\@localhost", "*", "data:text/html,x", "moz-extension://x", "android-app://x",
	}, func(text string) Request { return bad("", post("a=1", "Origin: "+text), 403, "cross_origin") })
	for _, method := range []string{"PUT", "PATCH", "DELETE"} {
		all = append(all, bad(method+" from another site", request(method, "/objects/target", "", "Origin: http://evil.example"), 403, "cross_origin"))
	}
	all = append(all, each("Sec-Fetch-Site", []string{"cross-site", "same-site", "x", "Cross-Site", "same-origin, cross-site"}, func(text string) Request {
		return bad("", post("a=1", "Sec-Fetch-Site: "+text, "Origin: http://localhost"), 403, "cross_origin")
	})...)
	return append(all,
		bad("a source from another site", request("PUT", "/objects/target?source=true", `{"code":"function GET() end"}`, "Origin: http://evil.example"), 403, "cross_origin"),
		bad("a deletion from another site", request("DELETE", "/objects/target?object=true", "", "Origin: null"), 403, "cross_origin"),
		bad("an upload from another site", request("POST", "/objects/target", file("x")+end, typeMultipart, "Sec-Fetch-Site: cross-site"), 403, "cross_origin"),
		bad("a rollback from another site", request("POST", "/objects/target?action=rollback&version_id=1", "", "Origin: http://evil.example"), 403, "cross_origin"),
		bad("a method that an override hides", request("POST", "/objects/target", "", "Origin: http://evil.example", "X-HTTP-Method-Override: GET"), 403, "cross_origin"),
		fine("a preflight gets no leave", request("OPTIONS", "/objects/still", "", "Origin: http://evil.example", "Access-Control-Request-Method: PUT"), 204),
	)
}

// headers are malformed, or too many.
func headers() []Request {
	all := each("header", []string{
		"no colon", ": x", " X: y", "X : y", "X\t: y", "X\x00: y", "X: a\x00b", "X: a\x01b", "X: a\x7fb", "Content-Type: a/b;\x01", "Content-Type: text/plain; boundary=\x7f", "X Y: z", "X(Y): z", "Ä: z", "X\": z", "X: a\rb", "X\r: b", "\x00", "{}: x",
	}, func(text string) Request { return plain("", get("/objects/target", text), 400) })
	return append(all,
		plain("one header above 64 KiB", get("/objects/target", "X: "+strings.Repeat("x", 64<<10)), 431),
		plain("headers above 64 KiB together", get("/objects/target", strings.TrimSuffix(strings.Repeat("X: "+strings.Repeat("x", 60)+"\r\n", 1100), "\r\n")), 431),
		plain("20,000 headers", get("/objects/target", strings.TrimSuffix(strings.Repeat("X:\r\n", 20_000), "\r\n")), 431),
		fine("headers just below 64 KiB", get("/objects/still", "X: "+strings.Repeat("x", 63<<10)), 200),
		fine("a request id that is none is replaced", get("/objects/still", "X-Request-Id: <script>"), 200),
		fine("a request id twice is replaced", get("/objects/still", "X-Request-Id: a", "X-Request-Id: b"), 200),
		fine("a header in Latin-1", get("/objects/still", "X: \xe9"), 200),
		fine("credentials are none of a script's", get("/objects/still", "Authorization: Basic eDp5", "Cookie: a=b"), 200),
	)
}

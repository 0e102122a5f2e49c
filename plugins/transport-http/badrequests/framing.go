package badrequests

import "strings"

// framing is how requests are smuggled behind another.
func framing() []Request {
	smuggled := get("/objects/target")
	all := each("Content-Length", []string{"-1", "+1", "1 ", "x", "1x", "0x1", "1.0", "1e1", "99999999999999999999", "1, 2", "1,1", "\t", "1;x", "١"}, func(text string) Request {
		if text == "1 " || text == "\t" {
			text = "1 1"
		}
		return plain("", post("x"+smuggled, "Content-Length: "+text), 400)
	})
	all = append(all, each("Transfer-Encoding", []string{"gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", "identity", "xchunked", "\x0bchunked", "chunked;q=1", "\"chunked\"", "chunked x", ""}, func(text string) Request {
		r := plain("", post("0\r\n\r\n"+smuggled, "Transfer-Encoding: "+text), 501)
		if text == "\x0bchunked" {
			r.Status = 400
		}
		return r
	})...)
	all = append(all, each("chunk", []string{
		"x\r\n", "-1\r\nx\r\n", "0x1\r\nx\r\n", "1\r\nxx\r\n0\r\n\r\n", "1\r\nx0\r\n\r\n", "ffffffffffffffffff\r\nx\r\n", "g\r\n", "1 1\r\nx\r\n", "\r\n", "1\r\nx\r\n\r\n0\r\n\r\n", "+1\r\nx\r\n0\r\n\r\n", "1_0\r\nx\r\n",
	}, func(text string) Request {
		return bad("", post(text+smuggled, "Transfer-Encoding: chunked", "Content-Type: text/plain"), 400, "bad_body")
	})...)
	return append(all,
		plain("two lengths", post("x"+smuggled, "Content-Length: 1", "Content-Length: 2"), 400),
		plain("two encodings", post("0\r\n\r\n"+smuggled, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 501),
		plain("two encodings, of which one is none", post("0\r\n\r\n"+smuggled, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"), 501),
		plain("a bare CR in the request line", "GET /objects/target HTTP/1.1\rHost: localhost\r\n\r\n", 400),
		plain("a request behind a bare CR in a header", get("/objects/still", "X: y\r\rGET /objects/target HTTP/1.1"), 400),
		plain("a folded header with a request", get("/objects/still", "X: y", " GET /objects/target HTTP/1.1\x00"), 400),
		cut(bad("a body that is shorter than its length", post("x", "Content-Type: text/plain", "Content-Length: 10"), 400, "bad_body")),
		cut(bad("chunks that end early", post(chunk("x"), "Content-Type: text/plain", "Transfer-Encoding: chunked"), 400, "bad_body")),
		cut(bad("a form whose length is longer than it is", post(file("x")+end, typeMultipart, "Content-Length: 1000"), 400, "bad_body")),
		cut(bad("a file whose length is longer than it is", post(strings.TrimSuffix(file("x"), "\r\n"), typeMultipart, "Content-Length: 1000"), 400, "bad_body")),
	)
}

func cut(r Request) Request {
	r.Cut = true
	return r
}

// connections have other things said on them than one request in HTTP/1.1.
func connections() []Request {
	all := each("version", []string{"HTTP/1.2x", "HTTP/1", "HTTP/1.", "HTTP/.1", "HTTP/11", "HTTP/1.1 x", "http/1.1", "HTTP/-1.1", "HTTPS/1.1", "HTTP/1.10", "ICY", ""}, func(text string) Request {
		return plain("", "GET /objects/target "+text+"\r\nHost: localhost\r\n\r\n", 400)
	})
	all = append(all, each("version", []string{"HTTP/2.0", "HTTP/0.9", "HTTP/3.0", "HTTP/9.9"}, func(text string) Request {
		return plain("", "GET /objects/target "+text+"\r\nHost: localhost\r\n\r\n", 505)
	})...)
	all = append(all, each("no HTTP", []string{
		"\x00\x00\x00\x00\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "SSH-2.0-OpenSSH\r\n\r\n", "*1\r\n$4\r\nPING\r\n", "EHLO localhost\r\n\r\n", "GET\r\n\r\n", "GET /objects/target\r\n\r\n", "\r\n\r\n\r\n\r\n", "{\"method\":\"GET\"}\n\n", "\xff\xfe\xfd\r\n\r\n",
	}, func(text string) Request { return plain("", text, 400) })...)
	return append(all,
		bad("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 403, "unknown_host"),
		plain("an expectation that nobody meets", post("x", "Expect: 200-ok"), 417),
		fine("100-continue", request("POST", "/objects/still", "x=1", "Expect: 100-continue"), 200),
		bad("100-continue for a body that is too large", post("", "Expect: 100-continue", "Content-Length: 9000000"), 413, "too_large"),
		bad("100-continue from another site", post("", "Expect: 100-continue", "Content-Length: 3", "Origin: null"), 403, "cross_origin"),
		fine("an upgrade to a web socket", get("/objects/still", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: eA==", "Sec-WebSocket-Version: 13"), 200),
		fine("an upgrade to HTTP/2", get("/objects/still", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: "), 200),
		Request{Name: "two requests at once", Text: get("/objects/still") + get("/objects/absent"), Status: 200, Then: []int{404}},
		Request{Name: "three requests, of which the second is malformed", Text: get("/objects/still") + "x\r\n\r\n" + get("/objects/target"), Status: 200, Then: []int{400}},
		Request{Name: "a request behind one that is refused half-way", Text: post("", "Content-Length: 9000000") + get("/objects/target"), Status: 413, Code: "too_large"},
		bad("a request behind a body that lacks a byte", "POST /objects/target HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\nContent-Length: 1\r\nConnection: close\r\n\r\n"+"x"+get("/objects/target"), 403, "cross_origin"),
	)
}

package badrequests

import (
	"fmt"
	"strings"
)

const (
	typeJSON = "Content-Type: application/json"
	typeForm = "Content-Type: application/x-www-form-urlencoded"
)

// quote writes a text without control characters as JSON.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\x1b", `\u001b`).Replace(s) + `"`
}

// bodies are too large, or no text where text must be.
func bodies() []Request {
	large := strings.Repeat("x", 8<<20+1)
	all := each("form", []string{"%", "a=%", "a=%zz", "%2=1", "a=1&b=%g", "a=%ff", "\xff=1", "a=\xc3\x28", "a=1&a=\xed\xa0\x80"},
		func(text string) Request { return bad("", post(text, typeForm), 400, "bad_form") })
	return append(all,
		bad("8 MiB and a byte", post(large, "Content-Type: text/plain"), 413, "too_large"),
		bad("8 MiB and a byte in chunks", post(chunk(large)+"0\r\n\r\n", "Content-Type: text/plain", "Transfer-Encoding: chunked"), 413, "too_large"),
		bad("8 MiB and a byte for a source", request("PUT", "/objects/target?source=true", large, typeJSON), 413, "too_large"),
		bad("a length of 2^63-1", post("", "Content-Length: 9223372036854775807"), 413, "too_large"),
		bad("10,001 fields", post(strings.Repeat("a&", 10_001), typeForm), 413, "too_large"),
		fine("8 MiB", request("POST", "/objects/still", large[1:], "Content-Type: text/plain"), 200),
		fine("a body for GET", request("GET", "/objects/still", "x=1"), 200),
		fine("NUL in a form", request("POST", "/objects/still", "a=%00"), 200),
	)
}

func chunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

// jsonTexts are what a JSON decoder must refuse.
func jsonTexts() []Request {
	const deep = 129
	texts := []string{
		`{`, `}`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{"a" 1}`, `{"a":1 "b":2}`, `{"a":1}}`, `{"a":1}{}`, `{"a":1} x`, `{a:1}`, `{'a':1}`, `{1:2}`, `{"a":1;"b":2}`, `{"a"::1}`, `{null:1}`,
		`[`, `]`, `[1`, `[1,`, `[1,]`, `[,1]`, `[1 2]`, `[1]]`, `[1:2]`,
		`"`, `"a`, `"\"`, `"\x"`, `"\u"`, `"\u12"`, `"\u12g4"`, `'a'`, "\"a\nb\"", "\"a\tb\"", "\"\x00\"", "\"\x1f\"",
		"\"\xff\"", "{\"\xff\":1}", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf8\x88\x80\x80\x80\"", "\xff", "\xef\xbb\xbf{}", "{}\x00", "\x00",
		`01`, `-01`, `+1`, `-`, `.5`, `1.`, `1e`, `1e+`, `0x10`, `1_000`, `1,000`, `--1`, `1.2.3`, `1e400`, `-1e999`, `[1e309]`, `Infinity`, `-Infinity`, `NaN`, `1n`,
		`nul`, `True`, `None`, `undefined`, `tru`, `falsey`, `//x` + "\n1", `/*x*/1`, `1 // x`, `{"a":1} /* x */`, ` `, "\n",
		strings.Repeat("[", deep) + strings.Repeat("]", deep), strings.Repeat(`{"a":`, deep) + "1" + strings.Repeat("}", deep), strings.Repeat("[", 4<<20), strings.Repeat(`{"a":`, 1<<20), strings.Repeat("[{", 64) + "[",
	}
	all := each("JSON", texts, func(text string) Request { return bad("", post(text, typeJSON), 400, "bad_json") })
	return append(all,
		bad("malformed JSON for the problem type", post("{", "Content-Type: application/problem+json"), 400, "bad_json"),
		bad("malformed JSON that is called a form", post("{", typeForm), 400, "bad_json"),
		bad("malformed JSON without a type", post(" \t[1,"), 400, "bad_json"),
		bad("malformed JSON in upper case", post("{", "Content-Type: APPLICATION/JSON"), 400, "bad_json"),
		fine("a key twice: the last one counts", request("POST", "/objects/still", `{"a":1,"a":2}`, typeJSON), 200),
		fine("half a surrogate", request("POST", "/objects/still", `"\ud800"`, typeJSON), 200),
		fine("128 levels", request("POST", "/objects/still", strings.Repeat("[", deep-1)+strings.Repeat("]", deep-1), typeJSON), 200),
		fine("a field that is called like a part of Lua", request("POST", "/objects/still", `{"__index":{"__metatable":1},"_G":{}}`, typeJSON), 200),
	)
}

// types are content types and encodings that the station does not take.
func types() []Request {
	all := each("Content-Type", []string{
		"x", "/", "text", "application/", "/json", "application json", "application/json/x", "text/plain; =", "text/plain; a", "text/plain; a=\"", "text/plain; charset=a; charset=b", "application/json, text/plain", "\"text/plain\"", "té/plain", "application/json; charset", "*/*/*", ";",
	}, func(text string) Request {
		return bad("", post("x", "Content-Type: "+text), 415, "unsupported_content_type")
	})
	all = append(all, each("charset", []string{"latin1", "utf-16", "UTF-7", "utf8x", "ebcdic", "\"iso-8859-1\""}, func(text string) Request {
		return bad("", post("{}", typeJSON+"; charset="+text), 415, "unsupported_content_type")
	})...)
	return append(append(all, each("Content-Encoding", []string{"gzip", "br", "deflate", "zstd", "GZIP", "gzip, gzip", "x", "identity, gzip", "aws-chunked"}, func(text string) Request {
		return bad("", post("x", "Content-Encoding: "+text), 415, "unsupported_content_encoding")
	})...),
		bad("a form in Latin-1", post("a=1", typeForm+"; charset=latin1"), 415, "unsupported_content_type"),
		bad("a multipart form in Latin-1", post("--b--", "Content-Type: multipart/form-data; boundary=b; charset=latin1"), 415, "unsupported_content_type"),
	)
}

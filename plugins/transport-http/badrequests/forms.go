package badrequests

import (
	"fmt"
	"strings"
)

const typeMultipart = "Content-Type: multipart/form-data; boundary=b"

func multipart(body string) string { return post(body, typeMultipart) }

// part is one part of a form, with its headers.
func part(headers, content string) string { return "--b\r\n" + headers + "\r\n\r\n" + content + "\r\n" }

func field(name, value string) string {
	return part("Content-Disposition: form-data; name="+name, value)
}

// file is a part with a file of one byte.
func file(name string) string {
	return part("Content-Disposition: form-data; name=f; filename="+name, "y")
}

const end = "--b--\r\n"

// forms are multipart forms that are malformed as a whole.
func forms() []Request {
	all := each("boundary", []string{"", "; boundary=\"\"", "; Boundary=''x", "; bound=b"}, func(text string) Request {
		return bad("", post(end, "Content-Type: multipart/form-data"+text), 400, "bad_form")
	})
	all = append(all, each("form", []string{
		"--b", "--b\r\n", "--b\r\nContent-Disposition: form-data; name=a", "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n", "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx", "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--",
		field("a", "1"), field("a", "1") + "--b", field("a", "1") + "--c--", file("x"), file("x") + "--b", strings.TrimSuffix(file("x"), "\r\n"),
		"--c\r\n\r\n--c--\r\n", "x", "", "\r\n", "--b-", "--bb--\r\n", "--B--\r\n", "{\"a\":1}", "a=1",
		"--b\r\nno header\r\n\r\nx\r\n" + end, "--b\r\n: x\r\n\r\nx\r\n" + end, "--b\r\nContent-Disposition\r\n\r\nx\r\n" + end,
		"--b\r\n\r\nx\r\n" + end, "--b\r\nX: y\r\n\r\nx\r\n" + end,
	}, func(text string) Request {
		if text == "" {
			return bad("", post(chunk("\r\n")+"0\r\n\r\n", typeMultipart, "Transfer-Encoding: chunked"), 400, "bad_form")
		}
		return bad("", multipart(text), 400, "bad_form")
	})...)
	return append(all,
		bad("10,001 fields", multipart(strings.Repeat(field("a", ""), 10_001)+end), 413, "too_large"),
		bad("101 files", multipart(strings.Repeat(file("x"), 101)+end), 413, "too_large"),
		bad("a field above 8 MiB", multipart(field("a", strings.Repeat("x", 8<<20))+end), 413, "too_large"),
		bad("8 MiB before the first part", multipart(strings.Repeat("x\r\n", 3<<20)+field("a", "1")+end), 413, "too_large"),
		bad("8 MiB behind the last part", multipart(field("a", "1")+end+strings.Repeat("x", 8<<20)), 413, "too_large"),
		bad("a length above 1 GiB and 8 MiB", post("", typeMultipart, fmt.Sprintf("Content-Length: %d", 1<<30+8<<20+1)), 413, "too_large"),
		bad("100,000 headers of a part", multipart(part("Content-Disposition: form-data; name=a"+strings.Repeat("\r\nX: y", 100_000), "x")+end), 400, "bad_form"),
		bad("a header of a part above 8 MiB", multipart(part("Content-Disposition: form-data; name=a\r\nX: "+strings.Repeat("y", 8<<20), "x")+end), 413, "too_large"),
		bad("a file for an object that is not there", request("POST", "/objects/absent", file("x")+end, typeMultipart), 404, "not_found"),
		bad("a file for a method that is not there", request("PATCH", "/objects/still", file("x")+end, typeMultipart), 405, "method_not_allowed"),
		bad("a file for another station", request("POST", "/objects/target@elsewhere", file("x")+end, typeMultipart), 400, "not_available"),
		bad("a rollback beside a file", multipart(file("x")+field("action", "rollback")+field("version_id", "0")+end), 400, "bad_version"),
	)
}

// parts are parts of a form that are malformed; each comes behind a file that is good.
func parts() []Request {
	all := each("part", []string{
		"X: y", "Content-Disposition:", "Content-Disposition: form-data", "Content-Disposition: form-data; name=", "Content-Disposition: form-data; name=\"\"", "Content-Disposition: attachment; name=a", "Content-Disposition: ;", "Content-Disposition: form-data; name=\"a", "Content-Disposition: form-data; name=a; name=b",
		"Content-Disposition: form-data; name=\"\xff\"", "Content-Disposition: form-data; name=a; filename=\"\xff\"", "Content-Disposition: form-data; name=\"\xff\"; filename=x", "Content-Disposition: form-data; name=a; filename=" + strings.Repeat("x", 1025),
		"Content-Disposition: form-data; name=a; filename=\"a\r\nb\"", "Content-Disposition: form-data; name=\"a\r\nX: y\"", "Content-Disposition: form-data; name=a\x00b", "Content-Disposition: form-data; name=a; filename=\"x\x00.png\"", "Content-Disposition: form-data; name=a; filename=a b",
		"Content-Disposition: form-data; name=a; filename=x\r\nContent-Type: x", "Content-Disposition: form-data; name=a; filename=x\r\nContent-Type: text/plain; =", "Content-Disposition: form-data; name=a; filename=x\r\nContent-Type: /", "Content-Disposition: form-data; name=a; filename=x\r\nContent-Type: text/html\x7f",
		"Content-Disposition : form-data; name=a", " Content-Disposition: form-data; name=a", "Content-Disposition: form-data; name=a\r\nX\x00: y", "Content-Disposition: form-data; name=a\r\nTransfer-Encoding",
	}, func(text string) Request {
		return bad("", multipart(file("good")+part(text, "x")+end), 400, "bad_form")
	})
	return append(all, bad("a field that is no text", multipart(file("good")+field("a", "\xff")+end), 400, "bad_form"))
}

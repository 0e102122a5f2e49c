// Package badrequests holds requests that no station should take as they are, each as
// the bytes on the connection, with the answer that HTTP.md promises. Tests of the
// transport and of the station send them; nothing else does.
package badrequests

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Request is one request, or several on one connection, and what comes back.
type Request struct {
	Name   string
	Text   string // the bytes on the connection
	Status int    // of the answer
	// Code is that of the error, in JSON and with a request id. It is empty where the
	// request does no harm and succeeds, and for errors of Plain requests.
	Code string
	// Plain requests are refused by net/http before a handler runs: a line of text,
	// without a request id.
	Plain  bool
	Header map[string]string // of the answer
	Then   []int             // statuses of the further answers on the connection
	Cut    bool              // the client ends its side behind the text
}

// Judge says what is wrong with an answer, or nothing.
func (r Request) Judge(res *http.Response, body string) string {
	if res.StatusCode != r.Status {
		return fmt.Sprintf("got %d %.200q, want %d %s", res.StatusCode, body, r.Status, r.Code)
	}
	if r.Plain {
		return ""
	}
	for _, name := range []string{"X-Request-Id", "X-Station-Id"} {
		if v := res.Header.Get(name); v == "" || strings.ContainsAny(v, "<>") {
			return fmt.Sprintf("%s is %q", name, v)
		}
	}
	if got := res.Header.Get("X-Content-Type-Options"); got != "nosniff" {
		return fmt.Sprintf("X-Content-Type-Options is %q", got)
	}
	for name, want := range r.Header {
		if got := res.Header.Get(name); got != want {
			return fmt.Sprintf("%s is %q, want %q", name, got, want)
		}
	}
	if r.Status < http.StatusBadRequest {
		return ""
	}
	var e struct{ Status, Error, Code string }
	if err := json.Unmarshal([]byte(body), &e); err != nil || e.Status != "error" || e.Error == "" || e.Code != r.Code {
		return fmt.Sprintf("got %.200q (%v), want the error %s in JSON", body, err, r.Code)
	}
	if got := res.Header.Get("Content-Type"); got != "application/json" {
		return fmt.Sprintf("the type of the error is %q", got)
	}
	return ""
}

// Objects are the scripts that the requests speak of, by their ids. Album has the files
// f, of ten bytes, evil.svg and evil.html.
var Objects = map[string]string{
	// Whatever reaches target leaves marks.
	"target": `
local function touch(request, call)
  state.incr("touched")
  log.info("touched")
  for _, file in pairs(call.files) do files.put("touched", file) end
  return { touched = true }
end
GET, POST, PUT, PATCH, DELETE, OPTIONS = touch, touch, touch, touch, touch, touch`,
	// Still does nothing.
	"still": `
function GET() return { still = true } end
function POST() return { still = true } end`,
	"album": `
function GET(request) return files.response(request.name or "f") end
function PUT(request, call)
  for _, file in pairs(call.files) do files.put(file.name, file) end
end`,
}

// All gives the requests.
func All() []Request {
	var all []Request
	for _, family := range [][]Request{
		ids(), paths(), targets(), methods(), queries(), looks(), sources(),
		bodies(), jsonTexts(), types(), forms(), parts(), hosts(), origins(), headers(), framing(), connections(), ranges(), files(), stateWrites(), fileChanges(), logQueries(), stations(), tails(), archives(),
	} {
		all = append(all, family...)
	}
	return all
}

// request writes a request. A Host and a length are added where they are missing.
func request(method, target, body string, headers ...string) string {
	var b strings.Builder
	b.WriteString(method + " " + target + " HTTP/1.1\r\n")
	has := func(name string) bool {
		return slices.ContainsFunc(headers, func(h string) bool { return strings.HasPrefix(strings.ToLower(h), strings.ToLower(name)) })
	}
	if !has("Host:") {
		b.WriteString("Host: localhost\r\n")
	}
	if body != "" && !has("Transfer-Encoding") && !has("Content-Length") {
		b.WriteString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n")
	}
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n" + body)
	return b.String()
}

func get(target string, headers ...string) string { return request("GET", target, "", headers...) }

func post(body string, headers ...string) string {
	return request("POST", "/objects/target", body, headers...)
}

// bad is a request that the station refuses.
func bad(name, text string, status int, code string) Request {
	return Request{Name: name, Text: text, Status: status, Code: code}
}

// plain is a request that net/http refuses.
func plain(name, text string, status int) Request {
	return Request{Name: name, Text: text, Status: status, Plain: true}
}

// fine is a request that looks bad, and is answered.
func fine(name, text string, status int) Request {
	return Request{Name: name, Text: text, Status: status}
}

// each makes a request of each text.
func each(what string, texts []string, build func(text string) Request) []Request {
	all := make([]Request, 0, len(texts))
	for _, text := range texts {
		r := build(text)
		r.Name = what + " " + short(text)
		all = append(all, r)
	}
	return all
}

// short is a text for a name.
func short(s string) string {
	if len(s) > 80 {
		return fmt.Sprintf("%q… (%d bytes)", s[:80], len(s))
	}
	return strconv.QuoteToASCII(s)
}

// byCode makes the requests of a table from a code to texts.
func byCode(what string, table map[string][]string, build func(code, text string) Request) []Request {
	var all []Request
	for _, code := range slices.Sorted(maps.Keys(table)) {
		all = append(all, each(what, table[code], func(text string) Request { return build(code, text) })...)
	}
	return all
}

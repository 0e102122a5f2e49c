package main_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// exampleProgram builds a plugin of sdk/examples once.
var exampleProgram = func(name string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		path, err := binary()
		if err != nil {
			return "", err
		}
		program := filepath.Join(filepath.Dir(path), name)
		cmd := exec.Command("go", "build", "-o", program, "./"+name)
		cmd.Dir = filepath.Join(root, "sdk/examples")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build: %w\n%s", err, out)
		}
		return program, nil
	})
}

var jsonlProgram = exampleProgram("transport-jsonl")

// tableScript is the object that the table below calls.
const tableScript = `
object = { name = "of the table" }
function GET(request, call)
  local what = request.what
  if what == "echo" then
    return { a = call.query.a, b = call.query.b, note = call.headers["x-note"], cookie = call.headers.cookie or "none", path = call.path, roles = call.roles }
  elseif what == "html" then return "<p>ü</p>", 200, { ["Content-Type"] = "text/html; charset=utf-8" }
  elseif what == "bytes" then return "\0\255\r\nx", 200, { ["Content-Type"] = "application/octet-stream" }
  elseif what == "created" then return { id = 7 }, 201, { Location = "/objects/x?id=7", ["X-Note"] = "a, b" }
  elseif what == "fail" then state.set("lost", 1); fail(409, "taken", "It is taken: \"ü\".")
  elseif what == "teapot" then fail(418, "teapot", "No coffee.")
  elseif what == "bug" then error("boom")
  elseif what == "spin" then while true do end
  elseif what == "self" then local _, status = objects.call(call.object, "GET"); return status
  elseif what == "file" then return files.response(request.name) end
  return { count = state.get("count", 0) }
end
function POST(request, call)
  if #call.uploads > 0 then
    local names = {}
    for i, u in ipairs(call.uploads) do names[i] = u.name .. " " .. u.type .. " " .. files.put(request.prefix .. i, u).size end
    return names, 201
  end
  log.info("adding", { by = tonumber(request.by), deep = { 1, "x" } })
  return { count = state.incr("count", tonumber(request.by)) }
end
function PUT(request, call)
  return call.body, 200, { ["Content-Type"] = "text/x-" .. #call.body }
end
function DELETE() state.set("b:1", { x = json.null }); state.set("b:2", "ü"); state.set("a", 1.5) end
function test_sum() assert(1 + 1 == 2) end
function test_wrong() log.info("before"); error("it is wrong") end
`

const tableScript2 = "function GET() return 2 end\n"

// sized are bytes that differ from one place to another.
func sized(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>11)
	}
	return string(b)
}

func call(method, what string) inquiry {
	return inquiry{do: "call", object: "OBJ", method: method, query: [][2]string{{"what", what}}}
}

// row is one question of the table, and what its answer is. Texts are patterns, in
// which OBJ stands for the object's id.
type row struct {
	name   string
	ask    inquiry
	status int
	code   string
	gives  string // the body, or the rows; of errors the message
	more   func(t *testing.T, r told)
	kill   string // the process that is killed first, and back when the question is asked
}

// protocolTable is the same for every protocol, in this order.
func protocolTable() []row {
	big := sized(9<<20 + 17)
	obj := func(do string, change func(*inquiry)) inquiry {
		q := inquiry{do: do, object: "OBJ"}
		if change != nil {
			change(&q)
		}
		return q
	}
	with := func(q inquiry, change func(*inquiry)) inquiry { change(&q); return q }
	upload := func(prefix string, files ...formFile) inquiry {
		return inquiry{do: "call", object: "OBJ", method: "POST", form: [][2]string{{"prefix", prefix}}, files: files}
	}
	says := func(what string, got func(told) any, want any) func(*testing.T, told) {
		return func(t *testing.T, r told) {
			if d := cmp.Diff(want, got(r)); d != "" {
				t.Errorf("%s (-want +got):\n%s", what, d)
			}
		}
	}
	media := func(want string) func(*testing.T, told) {
		return says("the type", func(r told) any { return r.Media }, want)
	}
	allow := says("the methods", func(r told) any { slices.Sort(r.Allow); return r.Allow }, []string{"DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"})
	return []row{
		{name: "a call", ask: call("GET", ""), status: 200, gives: `{"count":0}`, more: media("application/json")},
		{name: "a call with a form", ask: inquiry{do: "call", object: "OBJ", method: "POST", form: [][2]string{{"by", "9"}, {"by", "2"}}}, status: 200, gives: `{"count":2}`},
		{name: "a call with JSON", ask: inquiry{do: "call", object: "OBJ", method: "POST", media: "application/json", body: `{"by":3}`}, status: 200, gives: `{"count":5}`},
		{name: "query and headers", ask: with(call("GET", "echo"), func(q *inquiry) {
			q.query = append(q.query, [2]string{"a", "1"}, [2]string{"b", "x & y=ü"}, [2]string{"a", "2"})
			q.header = [][2]string{{"x-note", "one"}, {"X-Note", "two"}, {"cookie", "secret"}}
		}), status: 200, gives: `{"a":["1","2"],"b":["x & y=ü"],"cookie":"none","note":"one, two","path":"/objects/OBJ","roles":["operator"]}`},
		{name: "text", ask: inquiry{do: "call", object: "OBJ", method: "PUT", media: "text/plain", body: "a\r\nü"}, status: 200, gives: "a\r\nü", more: media("text/x-5")},
		{name: "bytes", ask: inquiry{do: "call", object: "OBJ", method: "PUT", media: "application/x-bytes", body: "\x00\xff{"}, status: 200, more: says("the bytes", func(r told) any { return r.Body }, "\x00\xff{")},
		{name: "1 MiB of body", ask: inquiry{do: "call", object: "OBJ", method: "PUT", media: "application/x-bytes", body: big[:1<<20]}, status: 200, more: says("the bytes", func(r told) any { return r.Body == big[:1<<20] }, true)},
		{name: "a body that is too large", ask: inquiry{do: "call", object: "OBJ", method: "PUT", media: "application/x-bytes", body: big[:8<<20+1]}, status: 413, code: "too_large"},
		{name: "no answer", ask: call("DELETE", ""), status: 204},
		{name: "HEAD", ask: call("HEAD", "html"), status: 200, more: media("text/html; charset=utf-8")},
		{name: "OPTIONS", ask: call("OPTIONS", ""), status: 204},
		{name: "a method that is not there", ask: call("PATCH", ""), status: 405, code: "method_not_allowed", more: allow},
		{name: "HTML", ask: call("GET", "html"), status: 200, gives: "<p>ü</p>", more: media("text/html; charset=utf-8")},
		{name: "bytes as an answer", ask: call("GET", "bytes"), status: 200, more: says("the bytes", func(r told) any { return r.Body }, "\x00\xff\r\nx")},
		{name: "status and headers", ask: call("GET", "created"), status: 201, gives: `{"id":7}`, more: says("the headers", func(r told) any { return r.Location + " " + r.Note }, "/objects/x?id=7 a, b")},
		{name: "fail", ask: call("GET", "fail"), status: 409, code: "taken", gives: `It is taken: "ü".`},
		{name: "fail with any status", ask: call("GET", "teapot"), status: 418, code: "teapot", gives: "No coffee."},
		{name: "a bug", ask: call("GET", "bug"), status: 500, code: "script_failed", gives: "script.lua:12: boom", more: says("line and traceback", func(r told) any { return fmt.Sprint(r.Line, r.Traced) }, "12 true")},
		{name: "too many steps", ask: call("GET", "spin"), status: 500, code: "step_limit", gives: ".*steps.*"},
		{name: "a call of itself", ask: call("GET", "self"), status: 200, gives: "508"},
		{name: "JSON that is none", ask: inquiry{do: "call", object: "OBJ", method: "POST", media: "application/json", body: `{"by":`}, status: 400, code: "bad_json"},
		{name: "an object that is not there", ask: inquiry{do: "call", object: "OBJ-none", method: "GET"}, status: 404, code: "not_found", gives: ".*OBJ-none.*"},
		{name: "an id that is none", ask: inquiry{do: "call", object: "Not/An Id", method: "GET"}, status: 400, code: "bad_object_id"},
		{name: "this station", ask: with(call("GET", ""), func(q *inquiry) { q.object = "OBJ@station1" }), status: 200, gives: `{"count":5}`},
		{name: "another station", ask: with(call("GET", ""), func(q *inquiry) { q.object = "OBJ@mars" }), status: 404, code: "no_such_station"},

		{name: "state", ask: obj("state", nil), status: 200, gives: `[{"key":"a","value":1.5},{"key":"b:1","value":{"x":null}},{"key":"b:2","value":"ü"},{"key":"count","value":5}]`},
		{name: "state by prefix", ask: obj("state", func(q *inquiry) { q.prefix = "b:" }), status: 200, gives: `[{"key":"b:1","value":{"x":null}},{"key":"b:2","value":"ü"}]`},
		{name: "one key", ask: obj("state", func(q *inquiry) { q.key = "count" }), status: 200, gives: `[{"key":"count","value":5}]`},
		{name: "a key that is not there", ask: obj("state", func(q *inquiry) { q.key = "lost" }), status: 404, code: "no_such_key"},
		{name: "the first page of state", ask: obj("state", func(q *inquiry) { q.limit = 3 }), status: 200, more: says("that there is more", func(r told) any { return r.Next != "" }, true)},
		{name: "a limit that is none", ask: obj("state", func(q *inquiry) { q.limit = 1001 }), status: 400, code: "bad_parameter"},
		{name: "state of no object", ask: inquiry{do: "state", object: "OBJ-none"}, status: 404, code: "not_found"},
		{name: "the log, oldest first", ask: obj("logs", func(q *inquiry) { q.oldest, q.limit, q.levels = true, 2, []string{"INFO"} }), status: 200,
			gives: `[{"by":2,"deep":[1,"x"],"level":"INFO","message":"adding"},{"by":3,"deep":[1,"x"],"level":"INFO","message":"adding"}]`},
		{name: "errors in the log", ask: obj("logs", func(q *inquiry) { q.levels, q.limit = []string{"ERROR"}, 1 }), status: 200, gives: `\[{"code":"step_limit",.*"level":"ERROR".*}\]`},
		{name: "a cursor that is none", ask: obj("logs", func(q *inquiry) { q.cursor = "none" }), status: 400, code: "bad_cursor"},
		{name: "the source", ask: obj("source", nil), status: 200, gives: `\[{"code":"\\nobject = .*","hash":"[0-9a-f]{64}","object":"OBJ","version":1}\]`},
		{name: "tests", ask: obj("test", nil), status: 200, gives: `\[{"log":0,"name":"test_sum","outcome":"passed"},{"code":"script_failed","line":\d+,"log":1,"name":"test_wrong","outcome":"failed","reason":".*it is wrong","traceback":".*"}\]`},

		{name: "a source that does not load", ask: obj("publish", func(q *inquiry) { q.code = "x = 1\nfunction (" }), status: 422, code: "source_invalid", more: says("the line", func(r told) any { return r.Line }, 2)},
		{name: "a change of another version", ask: obj("publish", func(q *inquiry) { q.code, q.ifMatch = tableScript2, strings.Repeat("0", 64) }), status: 412, code: "precondition_failed"},
		{name: "a new version", ask: obj("publish", func(q *inquiry) { q.code, q.author, q.message = tableScript2, "ada ü", "less\nis more" }), status: 200, gives: `[{"version":2}]`},
		{name: "a call of it", ask: call("GET", ""), status: 200, gives: "2"},
		{name: "the versions", ask: obj("versions", nil), status: 200, gives: `\[{"author":"ada ü","hash":"` + hash(tableScript2) + `","message":"less\\nis more","version":2},{.*"version":1}\]`},
		{name: "one of them", ask: obj("version", func(q *inquiry) { q.version = 2 }), status: 200, gives: `\[{"author":"ada ü","code":"function GET\(\) return 2 end\\n",.*"version":2}\]`},
		{name: "no such version", ask: obj("version", func(q *inquiry) { q.version = 9 }), status: 404, code: "no_such_version"},
		{name: "version 0", ask: obj("version", nil), status: 400, code: "bad_version"},
		{name: "back to none", ask: obj("rollback", func(q *inquiry) { q.version = 9 }), status: 404, code: "no_such_version"},
		{name: "back", ask: obj("rollback", func(q *inquiry) { q.version, q.author = 1, "ada" }), status: 200, gives: `[{"version":3}]`},
		{name: "what changed", ask: obj("diff", func(q *inquiry) { q.version, q.to = 2, 3 }), status: 200, gives: `\[{"text":"--- OBJ.lua\\tversion 2\\n\+\+\+ OBJ.lua\\tversion 3\\n@@ .*\\n-function GET\(\) return 2 end\\n.*"}\]`},
		{name: "what changed in none", ask: obj("diff", func(q *inquiry) { q.version, q.to = 2, 9 }), status: 404, code: "no_such_version"},
		{name: "metadata", ask: obj("metadata", nil), status: 200, gives: `\[{"declared":{"name":"of the table"},"entries":\d+,"hash":"[0-9a-f]{64}","keys":\["a","b:1","b:2","count"\],"methods":\[.*\],"object":"OBJ","path":"OBJ.lua","version":3,"versions":3}\]`},
		{name: "the objects", ask: inquiry{do: "objects", prefix: "OBJ"}, status: 200, gives: `[{"file":"OBJ.lua","object":"OBJ","path":"OBJ.lua","version":3}]`},

		{name: "files", ask: upload("s", formFile{"f", `C:\dir\a b.txt`, "text/plain", "one\r\n--"}, formFile{"f", "empty", "", ""}), status: 201, gives: `["a b.txt text/plain 7","empty  0"]`},
		{name: "a large file", ask: upload("large", formFile{"f", "large.bin", "application/x-large", big}), status: 201, gives: fmt.Sprintf(`["large.bin application/x-large %d"]`, len(big))},
		{name: "it again", ask: with(call("GET", "file"), func(q *inquiry) { q.query = append(q.query, [2]string{"name", "large1"}) }), status: 200, more: func(t *testing.T, r told) {
			if r.Body != big || r.FileHash != hash(big) || r.Media != "application/x-large" {
				t.Errorf("%d bytes of type %q came with the hash %s, or they are others", len(r.Body), r.Media, r.FileHash)
			}
		}},
		{name: "a file that is not there", ask: with(call("GET", "file"), func(q *inquiry) { q.query = append(q.query, [2]string{"name", "none"}) }), status: 404, code: "no_such_file"},
		{name: "an operator's file", ask: obj("put_file", func(q *inquiry) { q.name, q.media, q.body = "ü &%2F.bin", "application/x-large", big }), status: 201,
			gives: fmt.Sprintf(`[{"hash":"%s","name":"ü &%%2F.bin","size":%d,"type":"application/x-large"}]`, hash(big), len(big))},
		{name: "it again from there", ask: obj("file", func(q *inquiry) { q.name = "ü &%2F.bin" }), status: 200, more: func(t *testing.T, r told) {
			if r.Body != big || r.FileHash != hash(big) || r.Media != "application/x-large" {
				t.Errorf("%d bytes of type %q came with the hash %s, or they are others", len(r.Body), r.Media, r.FileHash)
			}
		}},
		{name: "a file for another", ask: obj("put_file", func(q *inquiry) { q.name, q.body, q.ifMatch = "ü &%2F.bin", "x", strings.Repeat("0", 64) }), status: 412, code: "precondition_failed"},
		{name: "a file for this one", ask: obj("put_file", func(q *inquiry) { q.name, q.media, q.body, q.ifMatch = "ü &%2F.bin", "text/plain", "less", hash(big) }), status: 200,
			gives: `[{"hash":"` + hash("less") + `","name":"ü &%2F.bin","size":4,"type":"text/plain"}]`},
		{name: "a file that can have no such name", ask: obj("put_file", func(q *inquiry) { q.name, q.body = "a/b", "x" }), status: 400, code: "bad_file_name"},
		{name: "an operator's file for no object", ask: inquiry{do: "put_file", object: "OBJ-none", name: "x", body: "x"}, status: 404, code: "not_found"},
		{name: "the first file", ask: obj("files", func(q *inquiry) { q.limit = 1 }), status: 200, gives: `\[{.*"name":"large1",.*}\]`, more: says("that there is more", func(r told) any { return r.Next != "" }, true)},
		{name: "files by prefix", ask: obj("files", func(q *inquiry) { q.prefix = "s" }), status: 200, gives: `\[{"hash":"[0-9a-f]{64}","name":"s1","size":7,"type":"text/plain"},{.*"name":"s2","size":0,"type":"application/octet-stream"}\]`},
		{name: "the end of a file", ask: obj("delete_file", func(q *inquiry) { q.name = "ü &%2F.bin" }), status: 200, gives: `[{"deleted":"ü &%2F.bin"}]`},
		{name: "its end again", ask: obj("delete_file", func(q *inquiry) { q.name = "ü &%2F.bin" }), status: 404, code: "no_such_file"},
		{name: "a file that has ended", ask: obj("file", func(q *inquiry) { q.name = "ü &%2F.bin" }), status: 404, code: "no_such_file"},
		{name: "a key that is set", ask: obj("set_state", func(q *inquiry) { q.key, q.body = "set &=ü", ` [1.50, {"a": null}] ` }), status: 200, gives: `[{"set":"set &=ü"}]`},
		{name: "what it holds", ask: obj("state", func(q *inquiry) { q.key = "set &=ü" }), status: 200, gives: `[{"key":"set &=ü","value":[1.5,{"a":null}]}]`},
		{name: "a value that no state holds", ask: obj("set_state", func(q *inquiry) { q.key, q.body = "k", `{"a":[9007199254740994]}` }), status: 422, code: "bad_value", gives: `The value cannot be stored: value.a\[1\]: .*`},
		{name: "a value that is too large", ask: obj("set_state", func(q *inquiry) { q.key, q.body = "k", `"`+strings.Repeat("x", 256<<10)+`"` }), status: 413, code: "value_limit"},
		{name: "a key for no object", ask: inquiry{do: "set_state", object: "OBJ-none", key: "k", body: "1"}, status: 404, code: "not_found"},
		{name: "a key that is set back", ask: obj("delete_state", func(q *inquiry) { q.key = "set &=ü" }), status: 200, gives: `[{"deleted":"set &=ü"}]`},
		{name: "a key that is not there to end", ask: obj("delete_state", func(q *inquiry) { q.key = "set &=ü" }), status: 404, code: "no_such_key"},
		{name: "what it does", ask: obj("status", nil), status: 200, gives: `[{"object":"OBJ","queued":0,"running":false,"warm":true}]`},
		{name: "what was done to it", ask: obj("logs", func(q *inquiry) { q.levels, q.limit = []string{"INFO"}, 1 }), status: 200, gives: `[{"by":"operator","key":"set &=ü","level":"INFO","message":"state deleted"}]`},

		{name: "a file for no object", ask: with(upload("s", formFile{"f", "a", "", "x"}), func(q *inquiry) { q.object = "OBJ-none" }), status: 404, code: "not_found"},
		{name: "a file for no method", ask: with(upload("s", formFile{"f", "a", "", "x"}), func(q *inquiry) { q.method = "PATCH" }), status: 405, code: "method_not_allowed", more: allow},

		{name: "the plugins", ask: inquiry{do: "plugins"}, status: 200, gives: `\[{"healthy":true,"kind":"storage","name":"tsv",.*"name":"http",.*"name":"jsonl",.*\]`},
		{name: "the storage is killed", kill: "storage-tsv", ask: call("GET", ""), status: 200, gives: `{"count":5}`},
		{name: "a commit after it", ask: inquiry{do: "call", object: "OBJ", method: "POST", form: [][2]string{{"by", "1"}}}, status: 200, gives: `{"count":6}`},
		{name: "a transport is killed", kill: "transport-http", ask: call("GET", ""), status: 200, gives: `{"count":6}`},
		{name: "the other one is killed", kill: "transport-jsonl", ask: call("GET", ""), status: 200, gives: `{"count":6}`},
		{name: "the end of another version", ask: obj("delete", func(q *inquiry) { q.ifMatch = strings.Repeat("0", 64) }), status: 412, code: "precondition_failed"},
		{name: "the end", ask: obj("delete", nil), status: 200, gives: `[{"deleted":"OBJ"}]`},
		{name: "a call after it", ask: call("GET", ""), status: 404, code: "not_found"},
		{name: "health", ask: inquiry{do: "health"}, status: 200, gives: `\[{"name":"plugins",.*}\]`},
	}
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// TestProtocols asks one station the same over HTTP and over lines, and wants the
// same answers: those of the table, and from both all that they say.
func TestProtocols(t *testing.T) {
	program, err := jsonlProgram()
	if err != nil {
		t.Fatal(err)
	}
	work, err := os.MkdirTemp("", "station-") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(work) })
	socket := filepath.Join(work, "station.sock")
	for file, text := range map[string]string{
		"station.hcl":         fmt.Sprintf("transport \"http\" {\n  listen = \"127.0.0.1:0\"\n}\ntransport \"jsonl\" {\n  program = %q\n  listen  = %q\n}\n", program, "unix:"+socket),
		"scripts/by-http.lua": tableScript, "scripts/by-line.lua": tableScript,
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(work, file)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(work, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "serve")
	cmd.Dir = work
	s := launch(t, cmd)
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the socket is %v, %v: who can open it runs the station, so only its user may", info.Mode(), err)
	}

	rows := protocolTable()
	if len(rows) < 40 {
		t.Errorf("the table has %d rows", len(rows))
	}
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: patience}, CheckRedirect: noRedirect}
	web := askAll(t, s, overHTTP{client, s.url}, "by-http", rows)
	lines := askAll(t, s, overLines{socket}, "by-line", rows)
	for i, r := range rows {
		for _, a := range []*told{&web[i], &lines[i]} {
			if r.gives == "" {
				a.Message = "" // may speak of the protocol
			}
			if a.Next != "" {
				a.Next = "more" // cursors are each protocol's own
			}
		}
		if d := cmp.Diff(web[i], lines[i]); d != "" && len(d) < 5000 {
			t.Errorf("%s: the protocols differ (-http +lines):\n%s", r.name, d)
		} else if d != "" {
			t.Errorf("%s: the protocols differ", r.name)
		}
	}
	s.end()
}

// askAll asks what the table has of one object, and compares the answers.
func askAll(t *testing.T, s *station, by speaker, object string, rows []row) []told {
	t.Helper()
	answers := make([]told, len(rows))
	for i, r := range rows {
		r.ask.object = strings.ReplaceAll(r.ask.object, "OBJ", object)
		r.ask.prefix = strings.ReplaceAll(r.ask.prefix, "OBJ", object)
		r.ask.files = slices.Clone(r.ask.files)
		if r.kill != "" {
			killed := s.pluginOf(r.kill)
			if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			until(t, r.kill+" is another process", func() bool { now := s.pluginOf(r.kill); return now != 0 && now != killed })
			until(t, "the station is ready", func() bool { return by.ask(t, inquiry{do: "ready"}).Status == http.StatusOK })
		}
		got := by.ask(t, r.ask)
		for _, text := range []*string{&got.Message, &got.Body, &got.Rows} {
			*text = strings.ReplaceAll(*text, object, "OBJ")
		}
		answers[i] = got
		name := fmt.Sprintf("%T: %s", by, r.name)
		found := got.Body + got.Rows
		if got.Code != "" {
			found = got.Message
		}
		pattern := strings.ReplaceAll("(?s)^("+r.gives+")$", "\r", `\r`)
		if got.Lost != "" || got.Status != r.status || got.Code != r.code || got.Station != "station1" {
			t.Errorf("%s: %d %q %.500q of station %q, want %d %q %q%s", name, got.Status, got.Code, found, got.Station, r.status, r.code, r.gives, got.Lost)
		} else if r.gives != "" && found != r.gives && !regexp.MustCompile(pattern).MatchString(found) {
			t.Errorf("%s: gives %.2000s\nwant %s", name, found, r.gives)
		}
		if r.more != nil {
			t.Run(name, func(t *testing.T) { r.more(t, got) })
		}
	}
	return answers
}

// pluginOf gives the process of a plugin, bundled or not, 0 while there is none.
func (s *station) pluginOf(name string) int {
	s.t.Helper()
	all, err := processes(s.cmd.Process.Pid)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range all {
		if strings.HasSuffix(strings.Join(p.args, " "), name) {
			return p.pid
		}
	}
	return 0
}

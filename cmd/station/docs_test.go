package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/kernel"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/errs"
)

// The reference pages.
var pages = []string{"LUA.md", "HTTP.md"}

// TestDocs follows the reference pages on a station of their own. A Lua block
// whose first line names a file is an object, which a command must call, or a module. The
// lines of any other Lua block run in order, and those that say what they give
// are held to it. A command gives what the json, http or diff block behind it shows.
func TestDocs(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("the commands of the pages need curl, which is not installed")
	}
	for _, page := range pages {
		t.Run(page, func(t *testing.T) { follow(t, blocks(t, page)) })
	}
}

var scriptName = regexp.MustCompile(`^-- scripts/((?:lib/)?[a-z0-9_]+)\.lua\n`)

func follow(t *testing.T, all []block) {
	work, scripts := workFolder(t)
	commands := ""
	var objects []string // of the page
	var lines []int      // numbers of the blocks of lines
	for i, b := range all {
		name, text := "", b.text
		switch {
		case b.language == "sh":
			commands += b.text
			continue
		case b.language != "lua":
			continue
		case scriptName.MatchString(b.text):
			name = scriptName.FindStringSubmatch(b.text)[1]
			if !strings.HasPrefix(name, "lib/") {
				objects = append(objects, name)
			}
		default:
			name, text = linesObject(i), linesScript(t, b.text)
			lines = append(lines, i)
		}
		file := filepath.Join(scripts, name+".lua")
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range objects {
		if !regexp.MustCompile(`/objects/` + name + `\b`).MatchString(commands) {
			t.Errorf("no command calls the object %s", name)
		}
	}
	s := launchIn(t, work)
	for _, i := range lines {
		checkLines(t, s, i)
	}
	checkCommands(t, s, work, all)
	s.end()
}

func linesObject(i int) string { return fmt.Sprintf("lines_%d", i) }

// linesScript makes an object of lines: GET runs them and answers a list of
// those that gave something else than they say.
func linesScript(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(`
local function show(...)
  local parts = {}
  for i = 1, select("#", ...) do
    local v = select(i, ...)
    parts[i] = type(v) == "table" and json.encode(v) or type(v) .. " " .. tostring(v)
  end
  return table.concat(parts, ", ")
end

local wrong
local function gives(line, got, want)
  local ok, g = pcall(function() return show(got()) end)
  local w = show(want())
  if not ok or g ~= w then table.insert(wrong, line .. "   gives " .. g) end
end

local function raises(line, run, want)
  local ok, e = pcall(run)
  if ok or not string.find(tostring(e), want, 1, true) then table.insert(wrong, line .. "   gives " .. tostring(e)) end
end

function GET()
  wrong = json.array()
`)
	claims := 0
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		got, want, claim := strings.Cut(line, " --> ")
		if !claim {
			b.WriteString(line + "\n")
			continue
		}
		claims++
		if message, ok := strings.CutPrefix(want, "error: "); ok {
			fmt.Fprintf(&b, "raises([==[%s]==], function() return %s end, [==[%s]==])\n", line, got, message)
		} else {
			fmt.Fprintf(&b, "gives([==[%s]==], function() return %s end, function() return %s end)\n", line, got, want)
		}
	}
	if claims == 0 {
		t.Errorf("a Lua block names no file and says of no line what it gives:\n%s", text)
	}
	b.WriteString("return wrong\nend\n")
	return b.String()
}

func checkLines(t *testing.T, s *station, i int) {
	t.Helper()
	a := get(t.Context(), client(t), s.url+"/objects/"+linesObject(i))
	var wrong []string
	if err := json.Unmarshal([]byte(a.body), &wrong); a.status != http.StatusOK || err != nil {
		t.Errorf("the lines of block %d: %d %s", i, a.status, a.body)
	}
	for _, line := range wrong {
		t.Error(line)
	}
}

// checkCommands runs the commands in order.
func checkCommands(t *testing.T, s *station, work string, all []block) {
	t.Helper()
	for i, b := range all {
		switch b.language {
		case "lua":
		case "json", "http", "diff", "text":
			if i == 0 || all[i-1].language != "sh" {
				t.Errorf("no command gives this:\n%s", b.text)
			}
		case "sh":
			list := strings.Split(strings.TrimSpace(b.text), "\n")
			for n, line := range list {
				out := shell(t, work, s.url, strings.ReplaceAll(line, "http://127.0.0.1:8001", s.url))
				for end := time.Now().Add(patience); strings.Contains(out, `"code":"time_limit"`) && time.Now().Before(end); { // a busy machine
					out = shell(t, work, s.url, strings.ReplaceAll(line, "http://127.0.0.1:8001", s.url))
				}
				if n+1 == len(list) && i+1 < len(all) && all[i+1].language != "sh" && all[i+1].language != "lua" {
					compareAnswer(t, line, out, all[i+1])
				} else if out == "" || strings.Contains(out, `"status":"error"`) {
					t.Errorf("%s\ngives %q", line, out)
				}
			}
		default:
			t.Errorf("a block of the language %q, which nothing checks:\n%s", b.language, b.text)
		}
	}
}

// compareAnswer compares what a command gave with a block. In it "…" stands
// for anything; of the headers in an http block each must be there.
func compareAnswer(t *testing.T, line, out string, b block) {
	t.Helper()
	out = strings.ReplaceAll(out, "\r\n", "\n")
	want := strings.TrimSpace(b.text)
	if b.language == "http" {
		head, body, _ := strings.Cut(want, "\n\n")
		gotHead, gotBody, _ := strings.Cut(out, "\n\n")
		got := strings.Split(gotHead, "\n")
		for i, h := range strings.Split(head, "\n") {
			if i == 0 && got[0] != h || !slices.Contains(got, h) {
				t.Errorf("%s\ngives %s\nwithout %s", line, gotHead, h)
			}
		}
		out, want = gotBody, strings.TrimSpace(body)
	}
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*")
	if !regexp.MustCompile("(?s)^" + pattern + "$").MatchString(strings.TrimSpace(out)) {
		t.Errorf("%s\ngives %s\nthe page says %s", line, out, want)
	}
}

// table is one table of a page: its head and its rows, cell by cell.
type table struct {
	head []string
	rows [][]string
}

func tables(t *testing.T, page string) []table {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	var list []table
	inside := false
	for _, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "|") {
			inside = false
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case !inside:
			list = append(list, table{head: cells})
		case cells[0] != "---":
			last := &list[len(list)-1]
			last.rows = append(last.rows, cells)
		}
		inside = true
	}
	return list
}

// quoted gives the texts between backquotes.
func quoted(s string) []string {
	var list []string
	for i, part := range strings.Split(s, "`") {
		if i%2 == 1 {
			list = append(list, part)
		}
	}
	return list
}

// TestReferenceFunctions compares the functions in the tables of LUA.md with
// those that scripts get.
func TestReferenceFunctions(t *testing.T) {
	named := map[string]bool{}
	name := func(s string) {
		if named[s] {
			t.Errorf("%s stands twice in LUA.md", s)
		}
		named[s] = true
	}
	for _, tab := range tables(t, "LUA.md") {
		for _, row := range tab.rows {
			switch tab.head[0] {
			case "function":
				for _, signature := range quoted(row[0]) {
					name(regexp.MustCompile(`^[a-z0-9_.]+`).FindString(signature))
				}
			case "library":
				prefix := strings.Trim(row[0], "`") + "."
				if prefix == "(global)." {
					prefix = ""
				}
				for _, f := range strings.Fields(quoted(row[1])[0]) {
					name(prefix + f)
				}
			}
		}
	}
	there := luahost.Functions()
	for _, f := range there {
		if !named[f] {
			t.Errorf("LUA.md does not name %s", f)
		}
		delete(named, f)
	}
	for _, f := range slices.Sorted(maps.Keys(named)) {
		t.Errorf("LUA.md names %s, which scripts do not get", f)
	}
}

// silent holds the codes of the sources that no HTTP client meets now.
var silent = map[string]string{
	"bad_method": "the transport checks methods itself", "bad_request_id": "the transport replaces bad ids",
	"bad_wait":  "only lines say how long to wait",
	"bad_limit": "the transport checks limits itself", "bad_level": "the transport checks levels itself",
	"bad_status": "the Lua host checks statuses itself", "bad_path": "net/http refuses such a path",
	"bad_entry_id": "no request has one", "bad_stamp": "no request has one",
	"loop":    "all such errors have codes of their own",
	"invalid": "all such errors have codes of their own", "forbidden": "all such errors have codes of their own",
	"limit": "all limits have codes of their own", "refused": "fail needs a code",
	"bad_media_type": "the Lua host raises its own, and the transport checks types itself", "bad_offset": "the transport asks for none that is wrong",
	"no_upload":       "it becomes upload_lost",
	"not_a_prototype": "station import says it", "changed": "station import says it",
	"bad_action": "only lines name actions", "bad_piece": "only lines hold pieces", "dropped": "only who speaks lines can drop a file", "bad_id": "only lines have ids",
	"folder_in_use":     "a station that cannot start answers nothing",
	"bad_was":           "the kernel gives the stamps of what it replaces",
	"no_such_test":      "nobody names a test",
	"headers_too_large": "net/http answers itself", "peer_failed": "there are no other stations",
}

// TestReferenceCodes compares the codes in the tables of both pages with those
// in the sources, and in HTTP.md their statuses.
func TestReferenceCodes(t *testing.T) {
	sources := sourceCodes(t)
	named := map[string]bool{}
	for _, page := range pages {
		for _, tab := range tables(t, page) {
			column := slices.IndexFunc(tab.head, func(h string) bool { return strings.Contains(h, "code") })
			for _, row := range tab.rows {
				if column < 0 {
					break
				}
				status, _ := strconv.Atoi(row[0]) // 0 where the table has none
				for _, code := range quoted(row[column]) {
					if !regexp.MustCompile(`^[a-z_]+$`).MatchString(code) {
						continue // a call such as `error(x)`
					}
					named[code] = true
					if statuses, ok := sources[code]; !ok {
						t.Errorf("%s names the code %s, which no source has", page, code)
					} else if status > 0 && !statuses[status] {
						t.Errorf("%s gives %s the status %d, the sources have %v", page, code, status, slices.Collect(maps.Keys(statuses)))
					}
				}
			}
		}
	}
	for _, code := range slices.Sorted(maps.Keys(sources)) {
		switch why := silent[code]; {
		case named[code] && why != "":
			t.Errorf("the code %s is named, and yet said not to occur: %s", code, why)
		case !named[code] && why == "":
			t.Errorf("no page names the code %s", code)
		}
	}
}

// TestReferenceLimits compares the figures in the tables of LUA.md with those
// that hold.
func TestReferenceLimits(t *testing.T) {
	l, d := luahost.DefaultLimits(), dispatch.DefaultLimits()
	want := map[string]string{
		"time_limit": seconds(l.Time), "timeout": seconds(d.Time), "step_limit": count(int(l.Steps)), "memory_limit": size(l.Memory),
		"coroutine_limit": count(l.Coroutines), "response_limit": size(l.Response), "staged_limit": size(d.Staged),
		"key_limit": size(l.Key), "value_limit": size(l.Value), "log_message_limit": size(l.Message), "log_entry_limit": size(l.Entry),
		"request_limit": size(l.Request), "call_depth": count(d.Depth),
		"state_limit": size(d.State), "busy": count(d.Waiting), "source_too_large": size(luahost.MaxSource),
		"the load": seconds(luahost.LoadTime), "station_memory": size(luahost.DefaultBudget),
		"test_limit": count(luahost.MaxTests), "not_run": seconds(kernel.TestTime),
	}
	for _, tab := range tables(t, "LUA.md") {
		if len(tab.head) != 3 || tab.head[1] != "limit" {
			continue
		}
		for _, row := range tab.rows {
			for _, code := range quoted(row[2]) {
				if row[0] == "time of its load" {
					code = "the load" // a load and a call share the code
				}
				if figure := want[code]; !strings.HasPrefix(row[1], figure) {
					t.Errorf("LUA.md says of %s %q, it is %s", code, row[1], figure)
				}
				delete(want, code)
			}
		}
	}
	for code := range want {
		t.Errorf("the tables of limits in LUA.md do not name %s", code)
	}
}

// TestReferenceHTTPLimits compares the figures of HTTP.md that hold for every
// transport; those of the HTTP transport itself its own tests compare.
func TestReferenceHTTPLimits(t *testing.T) {
	d := dispatch.DefaultLimits()
	want := map[string]string{
		"a call, waiting included": seconds(d.Time), "body of a script's answer": size(luahost.DefaultLimits().Response),
		"calls that wait for one object, with commits that are not durable yet": count(d.Waiting),
		"tests of a script, waiting included":                                   seconds(kernel.TestTime), "scripts whose tests run at the same time": count(kernel.TestRuns),
		"exports at once": count(kernel.MaxExports), "imports at once": count(kernel.MaxImports),
	}
	for _, tab := range tables(t, "HTTP.md") {
		for _, row := range tab.rows {
			if figure, ok := want[row[0]]; ok && row[1] != figure {
				t.Errorf("HTTP.md says of %s %q, it is %s", row[0], row[1], figure)
			}
			delete(want, row[0])
		}
	}
	for what := range want {
		t.Errorf("HTTP.md does not name the limit of %s", what)
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%g s", d.Seconds()) }

// count writes a number with commas.
func count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func size(n int) string {
	switch {
	case n%(1<<20) == 0:
		return count(n>>20) + " MiB"
	case n%(1<<10) == 0:
		return count(n>>10) + " KiB"
	}
	return count(n) + " bytes"
}

var (
	codeMade = regexp.MustCompile(`errs\.New\(errs\.(\w+), "(\w+)"(\+where)?`)
	codeSet  = regexp.MustCompile(`Kind: errs\.(\w+), Code: "(\w+)"`)
	kindRow  = regexp.MustCompile(`(?m)^\t(\w+):\s+\{"(\w+)", http\.`)
)

// sourceCodes reads from the sources which codes there are, with their statuses.
func sourceCodes(t *testing.T) map[string]map[int]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "sdk/errs/tables.go"))
	if err != nil {
		t.Fatal(err)
	}
	codes, kinds := map[string]map[int]bool{}, map[string]int{}
	add := func(code string, status int) {
		if codes[code] == nil {
			codes[code] = map[int]bool{}
		}
		codes[code][status] = true
	}
	for _, m := range kindRow.FindAllStringSubmatch(string(text), -1) {
		kinds[m[1]] = statusOf(t, m[2])
		add(m[2], kinds[m[1]])
	}
	for _, folder := range []string{"framework", "plugins", "sdk"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && folder == "sdk" && strings.HasSuffix(d.Name(), "test"): // suites and their fakes
				return filepath.SkipDir
			case d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range codeMade.FindAllStringSubmatch(string(text), -1) {
				if m[3] != "" { // "bad_"+where
					add(m[2]+"query", kinds[m[1]])
					add(m[2]+"form", kinds[m[1]])
				} else {
					add(m[2], kinds[m[1]])
				}
			}
			for _, m := range codeSet.FindAllStringSubmatch(string(text), -1) {
				add(m[2], kinds[m[1]])
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(codes) < 50 {
		t.Fatalf("only %d codes were found in the sources", len(codes))
	}
	return codes
}

// statusOf gives the status of the kind with a code.
func statusOf(t *testing.T, code string) int {
	t.Helper()
	for k := errs.Internal; ; k++ {
		if k.String() == code {
			return (&errs.Error{Kind: k}).HTTPStatus()
		}
		if k > 0 && k.String() == errs.Internal.String() {
			t.Fatalf("no kind has the code %s", code)
		}
	}
}

package transporthttp

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// TestAnswersHaveTheirSchemas asks for each operation that gives JSON. What comes is
// valid by the schema in /openapi.json, and has no member that is not named there.
func TestAnswersHaveTheirSchemas(t *testing.T) {
	s := serve(t)
	now := time.Now()
	s.host.Add(transporttest.Data{
		Info: host.ObjectInfo{Object: "a", Path: "a.lua", File: "a.lua", Version: 1}, Source: host.Source{Object: "a", Version: 1, Text: []byte("x")},
		State: []host.StateItem{{Key: "k", Value: []byte("[1]")}}, Versions: []storage.Version{{Number: 1, Time: now, Text: []byte("x")}},
		Logs:     []storage.Entry{{Time: now, Level: storage.Info, Message: "m", Fields: []byte(`{"n":1}`)}},
		Metadata: host.Metadata{Object: "a", Methods: []string{"GET"}, Trouble: &host.Trouble{Kind: host.Refused, Time: now, Message: "m"}},
		Tests:    host.TestReport{Object: "a", Tests: []host.TestResult{{Name: "test_x", Outcome: host.TestPassed, Log: []host.TestEntry{{Time: now, Level: storage.Info, Message: "m"}}}}},
	})
	s.host.AddFile("a", "f", "text/plain", []byte("x"))
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(s.do("GET", "/openapi.json", "").body))
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[string]struct{ query, body string }{
		"PUT source": {"", `{"code":"function GET() end","author":"ann","message":"m"}`}, "PUT file": {"", "y"},
		"PUT state": {"&key=n", "1"}, "DELETE state": {"&key=k", ""}, "PUT import": {"", "a whole archive"}, "DELETE file": {"", ""}, "DELETE object": {"", ""},
	}
	for i := range routes {
		r := &routes[i]
		for _, op := range r.ops {
			if op.gives == nil && r.path != "/cluster/migrate" {
				t.Errorf("%s %s does not say what it gives", op.method, r.address())
			}
			if op.gives == nil || reflect.TypeOf(op.gives).Kind() != reflect.Struct || op.method == http.MethodDelete && r.flag == "object" {
				continue
			}
			what := strings.NewReplacer("{id}", "a", "NAME", "f", "=N", "=1").Replace(r.address())
			sent, is := bodies[op.method+" "+r.flag]
			if r.flag == "import" {
				what = strings.Replace(what, "/a?", "/made?", 1)
			}
			if !is && op.method != http.MethodGet {
				t.Errorf("nothing is sent to %s %s", op.method, what)
			}
			wantSchema(t, document, op.gives, s.do(op.method, what+sent.query, sent.body))
		}
	}
	wantSchema(t, document, rollbackAnswer{}, s.do("POST", "/objects/a", `{"action":"rollback","version_id":1}`, asJSON))
	wantSchema(t, document, deletedAnswer{}, s.do("DELETE", "/objects/a?object=true", ""))
}

// wantSchema checks an answer by the schema of a type.
func wantSchema(t *testing.T, document any, gives any, got answer) {
	t.Helper()
	name := contentName(gives)
	c := jsonschema.NewCompiler()
	if err := c.AddResource("mem:///openapi.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("mem:///openapi.json#/components/schemas/" + name)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(got.body))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil || got.StatusCode >= 300 {
		t.Errorf("%s: %d %s\n%v", name, got.StatusCode, got.body, err)
		return
	}
	for member := range value.(map[string]any) {
		if schema.Properties[member] == nil {
			t.Errorf("%s has no member %q: %s", name, member, got.body)
		}
	}
}

func contentName(v any) string {
	_, schema := contentOf(v, map[string]any{})
	return strings.TrimPrefix(schema["$ref"].(string), "#/components/schemas/")
}

// TestSourceSchema: the members of what PUT ?source and a rollback take are those that are
// read, and the schemas of both are where programs look for them.
func TestSourceSchema(t *testing.T) {
	s := serve(t)
	s.host.Add(transporttest.Data{Info: host.ObjectInfo{Object: "a", Path: "a.lua", File: "a.lua", Version: 1}})
	for member := range schemaOf(reflect.TypeFor[sourceChange]())["properties"].(map[string]any) {
		body := map[string]any{"code": "x"}
		body[member] = 1
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		s.do("PUT", "/objects/a?source=true", string(text)).wantError(t, 400, "bad_json")
	}
	for member := range schemaOf(reflect.TypeFor[rollbackOrder]())["properties"].(map[string]any) {
		body := map[string]any{"action": rollbackAction, "version_id": 1, member: true}
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.do("POST", "/objects/a", string(text), asJSON); member != actionField {
			got.wantError(t, 400, "bad_json")
		}
	}
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(s.do("GET", "/openapi.json", "").body), &document); err != nil {
		t.Fatal(err)
	}
	post := string(document.Paths[objectPath]["post"])
	if want := `"x-actions":[{"action":"rollback","summary":"Puts an older version of the source into service.","request":{"application/json":{"schema":{"$ref":"#/components/schemas/RollbackOrder"}}},"response":{"application/json":{"schema":{"$ref":"#/components/schemas/RollbackAnswer"}}}}]`; !strings.Contains(post, want) || strings.Count(post, "RollbackOrder") != 2 || strings.Count(post, "RollbackAnswer") != 2 {
		t.Errorf("POST lacks the rollback: %s", post)
	}
	put := string(document.Paths[objectPath]["put"])
	_, rest, _ := strings.Cut(put, `"requestBody"`)
	body, _, _ := strings.Cut(rest, `"responses"`)
	for _, want := range []string{"SourceChange", "anyOf"} {
		if !strings.Contains(body, want) {
			t.Errorf("the body of PUT has no %s: %s", want, body)
		}
	}
	if !strings.Contains(put, `"request":{"application/json":{"schema":{"$ref":"#/components/schemas/SourceChange"}}},"response":{"application/json":{"schema":{"$ref":"#/components/schemas/PublishedAnswer"}}}`) {
		t.Errorf("x-flags of PUT have no schemas: %s", put)
	}
}

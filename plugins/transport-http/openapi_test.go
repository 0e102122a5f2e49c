package transporthttp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// validOpenAPI checks a document against the schema of OpenAPI 3.1.
func validOpenAPI(t *testing.T, document string) map[string]any {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("testdata/openapi-3.1.json")
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(document))
	if err != nil {
		t.Fatalf("%v: %.2000s", err, document)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%v\n%.2000s", err, document)
	}
	return value.(map[string]any)
}

// TestOpenAPI: the document is valid, and names what is served and nothing else.
func TestOpenAPI(t *testing.T) {
	s := serve(t)
	s.host.Add(transporttest.Data{
		Info:     host.ObjectInfo{Object: "shop_cart", Path: "shop/cart.lua", File: "cart.lua", Version: 1},
		Metadata: host.Metadata{Methods: []string{"GET", "HEAD", "POST", "OPTIONS"}},
	})
	a := s.do("GET", "/openapi.json", "")
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v %s", a.StatusCode, a.Header, a.body)
	}
	document := validOpenAPI(t, a.body)
	paths := document["paths"].(map[string]any)

	served := map[string]bool{} // METHOD address
	for i := range routes {
		for _, method := range routes[i].allowed() {
			if routes[i].flag == "" || method != http.MethodOptions {
				served[method+" "+routes[i].address()] = true
			}
		}
	}
	for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS"} {
		served[method+" /objects/shop_cart"] = true
	}
	ids := map[string]bool{}
	for path, item := range paths {
		for key, op := range item.(map[string]any) {
			if key == "parameters" {
				continue
			}
			method, op := strings.ToUpper(key), op.(map[string]any)
			if name := op["operationId"].(string); ids[name] {
				t.Errorf("two operations are called %s", name)
			} else {
				ids[name] = true
			}
			named := []string{method + " " + path}
			flags, _ := op["x-flags"].([]any)
			for _, f := range flags {
				f := f.(map[string]any)
				named = append(named, fmt.Sprintf("%s %s?%s=%s", method, path, f["flag"], f["value"]))
				wantParameters(t, op, f)
			}
			for _, name := range named {
				if !served[name] {
					t.Errorf("the document has %s, which is not served", name)
				}
				delete(served, name)
			}
		}
	}
	for name := range served {
		t.Errorf("the document lacks %s", name)
	}
}

// wantParameters checks that a flag and what belongs to it are parameters.
func wantParameters(t *testing.T, op, flag map[string]any) {
	t.Helper()
	want := []any{flag["flag"]}
	more, _ := flag["parameters"].([]any)
	list, _ := op["parameters"].([]any)
	for _, name := range append(want, more...) {
		if !slices.ContainsFunc(list, func(p any) bool { return p.(map[string]any)["name"] == name }) {
			t.Errorf("%s lacks the parameter %s of %s", op["operationId"], name, flag["flag"])
		}
	}
}

// TestParametersAreThose: what the document names is taken, anything else is refused.
func TestParametersAreThose(t *testing.T) {
	s := serve(t)
	s.host.Add(transporttest.Data{Info: host.ObjectInfo{Object: "a", Path: "a.lua", File: "a.lua", Version: 1}})
	for i := range routes {
		r := &routes[i]
		for _, op := range r.ops {
			if r.flag == "tail" { // it has no end: TestTailParameters
				continue
			}
			target := strings.Replace(r.address(), "{id}", "a", 1)
			sep := "?"
			if r.flag != "" {
				sep = "&"
			}
			for _, p := range op.params {
				if p.required {
					target, sep = target+sep+p.name+"=1", "&"
				}
			}
			for _, p := range op.params {
				if got := s.do(op.method, target+sep+p.name+"=1", ""); strings.Contains(got.body, "unknown_parameter") {
					t.Errorf("%s %s does not take %s: %s", op.method, target, p.name, got.body)
				}
			}
			if got := s.do(op.method, target+sep+"surely_not=1", ""); !op.open && !strings.Contains(got.body, "unknown_parameter") {
				t.Errorf("%s %s takes anything: %d %s", op.method, target, got.StatusCode, got.body)
			}
		}
	}
}

// many is a host with ten thousand objects.
type many struct {
	host.Host
	largest int  // page that was asked for
	failing bool // after the first page
	down    bool
}

func (m *many) Objects(_ context.Context, q host.ObjectsQuery) (host.ObjectsPage, error) {
	m.largest = max(m.largest, q.Limit)
	const all = 10_000
	first := 0
	if q.After != "" {
		_, _ = fmt.Sscanf(string(q.After), "o%05d", &first)
		first++
	}
	if m.down || m.failing && first > 0 {
		return host.ObjectsPage{}, errs.New(errs.Unavailable, "", "down")
	}
	var p host.ObjectsPage
	for n := first; n < all && len(p.Objects) < q.Limit; n++ {
		name := fmt.Sprintf("o%05d", n)
		p.Objects = append(p.Objects, host.ObjectInfo{Object: id.Object(name), Path: name + ".lua"})
		p.Methods = append(p.Methods, []string{"GET", "OPTIONS"})
	}
	p.More = first+len(p.Objects) < all
	return p, nil
}

// TestOpenAPIOfManyObjects: pages are asked for one after the other, and a document
// that cannot be finished does not look whole.
func TestOpenAPIOfManyObjects(t *testing.T) {
	fake := transporttest.NewHost()
	h := &many{Host: fake}
	s := serveOn(t, fake, h)
	var document struct{ Paths map[string]json.RawMessage }
	if err := json.Unmarshal([]byte(s.do("GET", "/openapi.json", "").body), &document); err != nil {
		t.Fatal(err)
	}
	if n := len(document.Paths); n < 10_000 || document.Paths["/objects/o09999"] == nil || h.largest > host.MaxMethods {
		t.Errorf("%d paths, from pages of %d", n, h.largest)
	}
	if a := s.do("HEAD", "/openapi.json", ""); a.StatusCode != 200 || a.body != "" {
		t.Errorf("HEAD: %d %q", a.StatusCode, a.body)
	}
	h.failing = true
	res, err := http.Get("http://" + s.addr + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(&document); err == nil {
		t.Error("a document that broke off looks whole")
	}
	h.down = true
	s.do("GET", "/openapi.json", "").wantError(t, 503, "unavailable")
}

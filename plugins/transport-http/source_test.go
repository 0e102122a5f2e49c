package transporthttp

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

const asJSON = "Content-Type: application/json"

// withSource gives a station with an object that has two versions.
func withSource(t *testing.T) *served {
	s := serve(t)
	s.host.Add(transporttest.Data{Info: host.ObjectInfo{Object: "a"}})
	for _, text := range []string{"return 1", "return 2"} {
		s.do("PUT", "/objects/a?source=true", `{"code":"`+text+`"}`, asJSON)
	}
	return s
}

// TestPutSource: what a source is sent as, and what its answer says.
func TestPutSource(t *testing.T) {
	s := withSource(t)
	got := s.do("PUT", "/objects/a@here?source=true", `{"code":"return 3","author":"me","message":"why","object_id":"a"}`, asJSON)
	want := `{"status":"ok","message":"Version 3 is live","version_id":3,"object_id":"a"}` + "\n"
	hash := storage.Hash([]byte("return 3"))
	if got.StatusCode != http.StatusOK || got.body != want || got.Header.Get("ETag") != `"`+hash+`"` {
		t.Errorf("got %d %s with ETag %s", got.StatusCode, got.body, got.Header.Get("ETag"))
	}
	if tag := s.do("GET", "/objects/a?source=true", "").Header.Get("ETag"); tag != `"`+hash+`"` {
		t.Errorf("the source has the ETag %s, want that of %s", tag, hash)
	}
	if all := s.host.Published(); all[2].Author != "me" || all[2].Message != "why" {
		t.Errorf("the host got %+v", all[2])
	}
	// curl sends JSON as a form, and a client may leave the type out
	for _, header := range []string{"Content-Type: " + formType, "X: y", "Content-Type: application/vnd.x+json; charset=utf-8"} {
		if got := s.do("PUT", "/objects/b?source=true", `{"code":""}`, header); got.StatusCode != http.StatusOK {
			t.Errorf("with %q: %d %s", header, got.StatusCode, got.body)
		}
	}
}

func TestPutSourceRefused(t *testing.T) {
	s := withSource(t)
	before := s.host.Published()
	for _, c := range []struct {
		name, method, path, body, header string
		status                           int
		code                             string
	}{
		{"no body", "PUT", "a?source=true", "", asJSON, 415, "unsupported_content_type"},
		{"text", "PUT", "a?source=true", "return 1", "Content-Type: text/plain", 415, "unsupported_content_type"},
		{"a form", "PUT", "a?source=true", "code=1", "Content-Type: " + formType, 415, "unsupported_content_type"},
		{"a form with files", "PUT", "a?source=true", formPart(`name="code"; filename="a"`, "", "x") + formEnd, multiPart, 415, "unsupported_content_type"},
		{"broken JSON", "PUT", "a?source=true", `{"code":`, asJSON, 400, "bad_json"},
		{"a list", "PUT", "a?source=true", `[]`, asJSON, 400, "bad_json"},
		{"a number", "PUT", "a?source=true", `{"code":1}`, asJSON, 400, "bad_json"},
		{"no code", "PUT", "a?source=true", `{"cod":""}`, asJSON, 400, "no_code"},
		{"null", "PUT", "a?source=true", `{"code":null}`, asJSON, 400, "no_code"},
		{"too large", "PUT", "a?source=true", `{"code":"` + strings.Repeat("x", maxBody) + `"}`, asJSON, 413, "too_large"},
		{"a parameter", "PUT", "a?source=true&x=1", `{"code":""}`, asJSON, 400, "unknown_parameter"},
		{"another station", "PUT", "a@there?source=true", `{"code":""}`, asJSON, 404, "no_such_station"},
		{"DELETE", "DELETE", "a?source=true", "", asJSON, 405, "method_not_allowed"},
		{"POST", "POST", "a?source=true", `{"code":""}`, asJSON, 405, "method_not_allowed"},
		{"versions", "PUT", "a?versions=true", `{"code":""}`, asJSON, 405, "method_not_allowed"},
		{"another version", "PUT", "a?source=true", `{"code":""}`, `If-Match: "` + storage.Hash([]byte("return 1")) + `"`, 412, "precondition_failed"},
		{"a weak tag", "PUT", "a?source=true", `{"code":""}`, `If-Match: W/"x"`, 400, "bad_if_match"},
		{"two tags", "PUT", "a?source=true", `{"code":""}`, `If-Match: "x", "y"`, 400, "bad_if_match"},
		{"an object that must be there", "PUT", "none?source=true", `{"code":""}`, "If-Match: *", 412, "precondition_failed"},
		{"a diff of one version", "GET", "a?diff=1", "", asJSON, 400, "bad_version"},
		{"a diff from nowhere", "GET", "a?diff=..2", "", asJSON, 400, "bad_version"},
		{"a diff from version 0", "GET", "a?diff=0..2", "", asJSON, 400, "bad_version"},
		{"a diff to version 0", "GET", "a?diff=1..0", "", asJSON, 400, "bad_version"},
		{"a diff of three versions", "GET", "a?diff=1..2..3", "", asJSON, 400, "bad_version"},
		{"a diff that is put", "PUT", "a?diff=1..2", "", asJSON, 405, "method_not_allowed"},
		{"a diff on another station", "GET", "a@there?diff=1..2", "", asJSON, 404, "no_such_station"},
		{"an object that is looked at", "GET", "a?object=true", "", asJSON, 405, "method_not_allowed"},
		{"a deletion with a parameter", "DELETE", "a?object=true&x=1", "", asJSON, 400, "unknown_parameter"},
		{"a deletion elsewhere", "DELETE", "a@there?object=true", "", asJSON, 404, "no_such_station"},
		{"a deletion of another version", "DELETE", "a?object=true", "", `If-Match: "x"`, 412, "precondition_failed"},
		{"metadata that is put", "PUT", "a?metadata=true", `{}`, asJSON, 405, "method_not_allowed"},
		{"no number", "GET", "a?version=", "", asJSON, 400, "bad_version"},
		{"version 0", "GET", "a?version=0", "", asJSON, 400, "bad_version"},
		{"a limit", "GET", "a?versions=true&limit=1001", "", asJSON, 400, "bad_parameter"},
		{"rollback to no number", "POST", "a", `{"action":"rollback","version_id":"x"}`, asJSON, 400, "bad_json"},
		{"rollback to version 0", "POST", "a", `{"action":"rollback","version_id":0}`, asJSON, 400, "bad_version"},
		{"rollback on another station", "POST", "a@there", `{"action":"rollback","version_id":1}`, asJSON, 404, "no_such_station"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			s.do(c.method, "/objects/"+c.path, c.body, c.header).wantError(t, c.status, c.code)
		})
	}
	s.t = t
	all := s.host.Published()
	if d := cmp.Diff(before, all[:2]); d != "" || len(all) != 3 || all[2].IfMatch == "" { // the host itself refuses the other version
		t.Errorf("%d publications reached the host: %s", len(all), d)
	}
	for flag, want := range map[string]string{"source": "GET, HEAD, PUT, OPTIONS", "object": "DELETE, OPTIONS", "metadata": "GET, HEAD, OPTIONS"} {
		if allow := s.do("OPTIONS", "/objects/a?"+flag+"=true", "").Header.Get("Allow"); allow != want {
			t.Errorf("OPTIONS of %s allows %s, want %s", flag, allow, want)
		}
	}
}

// TestIfMatch: the hash counts with and without quotes.
func TestIfMatch(t *testing.T) {
	s := withSource(t)
	hash := storage.Hash([]byte("return 2"))
	for _, tag := range []string{`"` + hash + `"`, hash, "*"} {
		got := s.do("PUT", "/objects/a?source=true", `{"code":"return 2"}`, asJSON, "If-Match: "+tag)
		if got.StatusCode != http.StatusOK || s.host.Published()[len(s.host.Published())-1].IfMatch != hash {
			t.Errorf("If-Match: %s gave %d %s", tag, got.StatusCode, got.body)
		}
	}
}

// brokenHost has an object that is out of service.
type brokenHost struct{ host.Host }

func (brokenHost) Source(context.Context, id.Object) (host.Source, error) {
	return host.Source{}, errs.New(errs.Unavailable, host.OutOfService, "It is out of service.")
}

// TestIfMatchOutOfService: "*" stands for the newest version of an object that has no
// source to show, on which a mended one is put.
func TestIfMatchOutOfService(t *testing.T) {
	fake := transporttest.NewHost()
	newest := storage.Hash([]byte("return 1"))
	fake.Add(transporttest.Data{Info: host.ObjectInfo{Object: "a"}, Source: host.Source{Object: "a", Hash: newest}, Metadata: host.Metadata{Object: "a", Hash: newest}})
	s := serveOn(t, fake, brokenHost{fake})
	if got := s.do("GET", "/objects/a?source=true", ""); got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.body, `"out_of_service"`) || got.Header.Get("ETag") != "" {
		t.Errorf("the source is %d %s with ETag %s", got.StatusCode, got.body, got.Header.Get("ETag"))
	}
	if got := s.do("PUT", "/objects/a?source=true", `{"code":"return 2"}`, asJSON, "If-Match: *"); got.StatusCode != http.StatusOK {
		t.Fatalf("a mended source: %d %s", got.StatusCode, got.body)
	}
	if all := fake.Published(); all[len(all)-1].IfMatch != newest {
		t.Errorf("the host got %+v", all)
	}
}

// TestRollbackFields: they count from the body, and else from the query.
func TestRollbackFields(t *testing.T) {
	s := withSource(t)
	for i, c := range []struct{ query, body, header string }{
		{"", `{"action":"rollback","version_id":1,"author":"a","message":"m"}`, asJSON},
		{"", `{"action":"rollback","version_id":"1","author":"a","message":"m"}`, asJSON},
		{"?author=b&version_id=2&message=m", `{"action":"rollback","version_id":1,"author":"a"}`, asJSON},
		{"?author=b&message=m", `action=rollback&version_id=1&author=a`, "Content-Type: " + formType},
		{"?action=rollback&version_id=1&author=a&message=m", "", "X: y"},
	} {
		got := s.do("POST", "/objects/a"+c.query, c.body, c.header)
		want := `{"status":"ok","message":"Rolled back to version 1","version_id":1,"new_version_id":` + itoa(i+3) + `,"object_id":"a"}` + "\n"
		all := s.host.Published()
		if p := all[len(all)-1]; got.body != want || p.Author != "a" || p.Message != "m" || string(p.Text) != "return 1" {
			t.Errorf("%s %s: %s, and the host got %+v", c.query, c.body, got.body, p)
		}
	}
}

// TestDiff: a diff is text, which a browser shows and patch takes.
func TestDiff(t *testing.T) {
	s := withSource(t)
	got := s.do("GET", "/objects/a?diff=1..", "")
	if got.body != "--- 1\n+++ 2\n-return 1\n+return 2\n" || got.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("got %q as %s", got.body, got.Header.Get("Content-Type"))
	}
	if got := s.do("HEAD", "/objects/a?diff=1..2", ""); got.body != "" || got.StatusCode != http.StatusOK || got.ContentLength != 32 {
		t.Errorf("HEAD gives %d %q of %d bytes", got.StatusCode, got.body, got.ContentLength)
	}
}

// TestMetadata: how an answer looks, whose fields begin with those of the script.
func TestMetadata(t *testing.T) {
	s := serve(t)
	for _, c := range []struct{ declared, trouble, want string }{
		{"", "", `{"methods":[],"object_id":"a","source_path":"a.lua","source_version":1,"hash":"","log_count":0,"version_count":0,"state_keys":[]}`},
		{`{}`, "", `{"methods":[],"object_id":"a","source_path":"a.lua","source_version":1,"hash":"","log_count":0,"version_count":0,"state_keys":[]}`},
		{`{"author":"<me>","hash":"0","trouble":null,"version":"1.0"}`, "no",
			`{"author":"<me>","version":"1.0","methods":[],"object_id":"a","source_path":"a.lua","source_version":1,"hash":"","log_count":0,"version_count":0,"state_keys":[],` +
				`"trouble":{"kind":"pending","timestamp":"1970-01-01T00:00:00.000001Z","message":"no","serving_version":0}}`},
	} {
		m := host.Metadata{Object: "a", Path: "a.lua", Version: 1, Declared: []byte(c.declared)}
		if c.trouble != "" {
			m.Trouble = &host.Trouble{Kind: host.Pending, Time: time.UnixMicro(1), Message: c.trouble}
		}
		s.host.Add(transporttest.Data{Info: host.ObjectInfo{Object: "a"}, Metadata: m})
		if got, want := s.do("GET", "/objects/a?metadata=true", "").body, `{"status":"ok","metadata":`+c.want+"}\n"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestKnownNames: no name that the station uses is left to scripts.
func TestKnownNames(t *testing.T) {
	var names []string
	for f := range reflect.TypeFor[known]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	if d := cmp.Diff(names, knownNames); d != "" {
		t.Error(d)
	}
}

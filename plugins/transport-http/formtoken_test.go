package transporthttp

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// pages is a handler whose objects "a" and "b" answer, with a clock of its own
// and a log of everything.
type pages struct {
	t    *testing.T
	host *transporttest.Host
	h    *handler
	now  time.Time
	log  strings.Builder
}

func newPages(t *testing.T) *pages {
	p := &pages{t: t, host: transporttest.NewHost(), now: time.Unix(1_800_000_000, 0)}
	p.host.Answer("a", transporttest.Answer{Echo: true})
	p.host.Answer("b", transporttest.Answer{Echo: true})
	p.h = newHandler(slog.New(slog.NewTextHandler(&p.log, &slog.HandlerOptions{Level: slog.LevelDebug})), "here", p.host, context.Background())
	p.h.forms.now = func() time.Time { return p.now }
	return p
}

// send gives the status, the body and the call that reached the host, if one did.
func (p *pages) send(method, target, body string, header http.Header) (status int, answer string, call *host.Call) {
	p.t.Helper()
	before := len(p.host.Calls(""))
	r := httptest.NewRequest(method, "http://localhost"+target, strings.NewReader(body))
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	p.h.ServeHTTP(w, r)
	if calls := p.host.Calls(""); len(calls) > before {
		call = &calls[before]
	}
	return w.Code, w.Body.String(), call
}

// token gives what the script of an object gets.
func (p *pages) token(object string, header http.Header) string {
	p.t.Helper()
	_, _, call := p.send("GET", "/objects/"+object, "", header)
	if call == nil {
		p.t.Fatalf("no call of %s", object)
	}
	return call.FormToken
}

// sandboxed are the headers with which a browser sends the form of a sandboxed page.
var sandboxed = http.Header{
	"Origin": {"null"}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"},
	"Content-Type": {formType},
}

func TestFormToken(t *testing.T) {
	p := newPages(t)
	token := p.token("a", nil)
	for _, target := range []string{"/objects/a?form_token=" + token, "/objects/a@here?x=1&form_token=" + token, "/objects/%61?form_token=old&form_token=" + token} {
		status, body, call := p.send("POST", target, "n=1", sandboxed)
		if status != http.StatusOK || call == nil {
			t.Fatalf("POST %s got %d %s", target, status, body)
		}
		for _, f := range append(call.Query, append(call.Header, call.Form...)...) {
			if strings.Contains(f.Name+f.Value, token) || f.Name == formField {
				t.Errorf("the script of %s sees %v", target, f)
			}
		}
		if call.Path != "/objects/a" && call.Path != "/objects/a@here" && call.Path != "/objects/%61" || call.FormToken != token {
			t.Errorf("the script of %s has path %q, token %q", target, call.Path, call.FormToken)
		}
	}
	if strings.Contains(p.log.String(), token) {
		t.Errorf("the token is in the log: %s", &p.log)
	}
}

// TestFormTokenRefused: nothing but a POST to the token's own object passes.
func TestFormTokenRefused(t *testing.T) {
	p := newPages(t)
	token, of := p.token("a", nil), "form_token="+p.token("a", nil)
	flipped := []byte(token)
	flipped[20] ^= 1
	stranger := newPages(t).token("a", nil)
	for _, c := range []struct{ name, method, target, body, code string }{
		{"no token", "POST", "/objects/a", "", "cross_origin"},
		{"an empty token", "POST", "/objects/a?form_token=", "", "bad_form_token"},
		{"another object", "POST", "/objects/b?" + of, "", "bad_form_token"},
		{"another object whose id begins alike", "POST", "/objects/a2?" + of, "", "bad_form_token"},
		{"a forged one", "POST", "/objects/a?form_token=" + string(flipped), "", "bad_form_token"},
		{"one that is cut", "POST", "/objects/a?form_token=" + token[:len(token)-4], "", "bad_form_token"},
		{"one with more behind it", "POST", "/objects/a?" + of + "AAAA", "", "bad_form_token"},
		{"one of another station", "POST", "/objects/a?form_token=" + stranger, "", "bad_form_token"},
		{"the last one counts", "POST", "/objects/a?" + of + "&form_token=x", "", "bad_form_token"},
		{"no field of that name", "POST", "/objects/a?x" + of, "", "cross_origin"},
		{"in the body", "POST", "/objects/a", of, "cross_origin"},
		{"PUT", "PUT", "/objects/a?" + of, "", "cross_origin"},
		{"PATCH", "PATCH", "/objects/a?" + of, "", "cross_origin"},
		{"DELETE", "DELETE", "/objects/a?" + of, "", "cross_origin"},
		{"deletion of the object", "DELETE", "/objects/a?object=true&" + of, "", "cross_origin"},
		{"source", "POST", "/objects/a?source=true&" + of, "", "cross_origin"},
		{"source by PUT", "PUT", "/objects/a?source=true&" + of, `{"code":"x"}`, "cross_origin"},
		{"import", "POST", "/objects/a?import=true&" + of, "", "cross_origin"},
		{"state", "POST", "/objects/a?state=true&key=k&" + of, "", "cross_origin"},
		{"file", "POST", "/objects/a?file=x&" + of, "", "cross_origin"},
		{"rollback in a form", "POST", "/objects/a?" + of, "action=rollback&version_id=1", "cross_origin"},
		{"rollback in the query", "POST", "/objects/a?action=rollback&version_id=1&" + of, "", "cross_origin"},
		{"rollback in JSON", "POST", "/objects/a?" + of, `{"action":"rollback","version_id":1}`, "cross_origin"},
		{"the list of objects", "POST", "/objects?" + of, "", "cross_origin"},
		{"another path", "POST", "/plugins?" + of, "", "cross_origin"},
		{"a bad id", "POST", "/objects/A?" + of, "", "cross_origin"},
		{"a bad query", "POST", "/objects/a?" + of + "&x=%zz", "", "cross_origin"},
		{"two flags", "POST", "/objects/a?source=true&state=true&" + of, "", "cross_origin"},
	} {
		status, body, call := p.send(c.method, c.target, c.body, sandboxed)
		if status != http.StatusForbidden || !strings.Contains(body, `"code":"`+c.code+`"`) {
			t.Errorf("%s: got %d %s, want 403 %s", c.name, status, body, c.code)
		}
		if call != nil || len(p.host.Published())+len(p.host.Deleted()) > 0 {
			t.Errorf("%s: it reached the host: %+v", c.name, call)
		}
	}
}

func TestFormTokenAge(t *testing.T) {
	p := newPages(t)
	made := p.now
	token := p.token("a", nil)
	for age, want := range map[time.Duration]int{0: 200, 12 * time.Hour: 200, 23 * time.Hour: 200, 24 * time.Hour: 403, 1000 * time.Hour: 403, -2 * time.Hour: 403} {
		p.now = made.Add(age)
		if status, body, _ := p.send("POST", "/objects/a?form_token="+token, "", sandboxed); status != want {
			t.Errorf("after %v: got %d %s, want %d", age, status, body, want)
		}
	}
	p.now = made.Add(20 * time.Hour)
	token = p.token("a", nil)
	p.now = made.Add(40 * time.Hour)
	if status, body, _ := p.send("POST", "/objects/a?form_token="+token, "", sandboxed); status != http.StatusOK {
		t.Errorf("a page of 20 hours later has a token that is as old as the first: %d %s", status, body)
	}
}

// TestFormTokenInFrames: a page that another site shows in a frame gets no token.
func TestFormTokenInFrames(t *testing.T) {
	p := newPages(t)
	for dest, sites := range map[string]map[string]bool{
		"document": {"cross-site": true, "none": true},
		"iframe":   {"cross-site": false, "same-site": false, "same-origin": true}, "object": {"cross-site": false}, "embed": {"cross-site": false},
		"frame": {"cross-site": false},
	} {
		for site, want := range sites {
			got := p.token("a", http.Header{"Sec-Fetch-Dest": {dest}, "Sec-Fetch-Site": {site}})
			if (got != "") != want {
				t.Errorf("as %s of %s the token is %q", dest, site, got)
			}
		}
	}
}

// TestRefererToken: a token in the address of the page before is not passed on.
func TestRefererToken(t *testing.T) {
	p := newPages(t)
	_, _, call := p.send("GET", "/objects/b", "", http.Header{"Referer": {"http://localhost/objects/a?form_token=" + p.token("a", nil), "http://localhost/objects/a"}})
	var got []string
	for _, f := range call.Header {
		if f.Name == "Referer" {
			got = append(got, f.Value)
		}
	}
	if len(got) != 1 || got[0] != "http://localhost/objects/a" {
		t.Errorf("the script sees the Referer %q", got)
	}
}

// TestFormTokens: as many objects as one likes have tokens, each its own.
func TestFormTokens(t *testing.T) {
	f := newForms()
	seen := map[string]bool{}
	for i := range 3 * formTokens {
		object := id.Object("o" + itoa(i))
		token := f.token(object)
		if seen[token] || !f.valid(token, object) || f.token(object) != token {
			t.Fatalf("object %s has the token %q", object, token)
		}
		seen[token] = true
	}
	kept := 0
	f.made.Load().tokens.Range(func(any, any) bool { kept++; return true })
	if kept > formTokens {
		t.Errorf("%d tokens are kept", kept)
	}
}

func BenchmarkFormToken(b *testing.B) {
	f := newForms()
	b.ReportAllocs()
	for b.Loop() {
		f.token("tutorial_01_hello")
	}
}

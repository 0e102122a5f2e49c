package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What a station answers becomes one sentence and an exit code.
func TestClient(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers := map[string]struct {
			status int
			body   string
		}{
			"/base/ok":       {200, `{"status":"ok","n":3}`},
			"/base/missing":  {404, `{"status":"error","error":"There is no object \"x\".","code":"no_such_object"}`},
			"/base/refused":  {412, `{"status":"error","error":"The hash is old.","code":"precondition_failed"}`},
			"/base/page":     {200, `<html>`},
			"/base/gateway":  {502, `<html>`},
			"/base/redirect": {302, ``},
		}
		a := answers[r.URL.Path]
		w.Header().Set("Location", "/base/ok")
		w.WriteHeader(a.status)
		if _, err := w.Write([]byte(a.body)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(srv.Close)
	dead := httptest.NewServer(nil)
	dead.Close()
	for _, c := range []struct {
		url, path string
		code      int
		text      string
	}{
		{srv.URL + "/base", "/ok", exitOK, ""},
		{srv.URL + "/base/", "/ok", exitOK, ""},
		{srv.URL + "/base", "/missing", exitNotFound, `There is no object "x".`},
		{srv.URL + "/base", "/refused", exitFailed, "The hash is old."},
		{srv.URL + "/base", "/page", exitUnreachable, "does not answer like a station"},
		{srv.URL + "/base", "/gateway", exitUnreachable, "does not answer like a station: 502 Bad Gateway"},
		{srv.URL + "/base", "/redirect", exitUnreachable, "does not answer like a station: 302 Found"},
		{dead.URL, "/ok", exitUnreachable, "no station answers at " + dead.URL},
		{"localhost:8001", "/ok", exitUsage, "--url is no address of a station"},
		{"http://user:hunter2@%", "/ok", exitUsage, "--url is no address of a station"},
		{strings.Replace(dead.URL, "//", "//user:hunter2@", 1), "/ok", exitUnreachable, "no station answers at http://user:xxxxx@"},
	} {
		var answer struct{ N int }
		asked, err := newClient(c.url)
		if err == nil {
			err = asked.ask(t.Context(), c.path, &answer)
		}
		if got := exitCode(err); got != c.code {
			t.Errorf("%s%s: exit code %d, want %d (%v)", c.url, c.path, got, c.code, err)
		}
		switch {
		case err == nil:
			if answer.N != 3 {
				t.Errorf("%s%s gives %+v", c.url, c.path, answer)
			}
		case !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%s%s: %q, want one line with %q", c.url, c.path, err, c.text)
		}
	}
}

// The flag goes before the environment, and that before the default.
func TestClientURL(t *testing.T) {
	for _, c := range []struct{ flag, env, want string }{
		{"", "", defaultURL},
		{"", "http://localhost:1", "http://localhost:1"},
		{"http://localhost:2", "http://localhost:1", "http://localhost:2"},
	} {
		t.Setenv(urlEnv, c.env)
		got, err := newClient(c.flag)
		if err != nil || got.base.String() != c.want {
			t.Errorf("--url %q with %s=%q: %v, %v; want %s", c.flag, urlEnv, c.env, got, err, c.want)
		}
	}
	t.Setenv(urlEnv, "nonsense")
	if _, err := newClient(""); err == nil || !strings.Contains(err.Error(), urlEnv) {
		t.Errorf("a bad %s gives %v", urlEnv, err)
	}
}

package transporthttp

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// TestCallLog: with call_log each request has one entry, which holds nothing of its
// query; without there is none.
func TestCallLog(t *testing.T) {
	fake := transporttest.NewHost()
	fake.Answer("a", transporttest.Answer{Result: host.Result{Status: 201, Body: []byte("12345")}})
	var log strings.Builder
	h := newHandler(slog.New(slog.NewTextHandler(&log, nil)), "here", fake, t.Context())
	ask := func(method, target, host string) string {
		t.Helper()
		log.Reset()
		r := httptest.NewRequest(method, target, http.NoBody)
		r.Host = host
		r.Header.Set("X-Request-Id", "tour-1")
		h.ServeHTTP(httptest.NewRecorder(), r)
		return log.String()
	}
	if got := ask("POST", "/objects/a", "localhost"); got != "" {
		t.Errorf("without call_log there is %q", got)
	}
	h.callLog = true
	long := "/" + strings.Repeat("x", 2*longestPath)
	for _, c := range []struct{ method, target, host, want string }{
		{"POST", "/objects/a?password=secret", "localhost", `path=/objects/a status=201 bytes=5 duration_ms=[0-9.]+ object=a`},
		{"POST", "/objects/a?form_token=secret", "evil.example", `path=/objects/a status=403 bytes=\d\d+ duration_ms=[0-9.]+`},
		{"GET", "/objects/b@here?state=true&secret=1", "localhost", `path=/objects/b@here status=400 bytes=\d\d+ duration_ms=[0-9.]+ object=b`},
		{"GET", "/health?secret=1", "localhost", `path=/health status=400 bytes=\d\d+ duration_ms=[0-9.]+`},
		{"OPTIONS", "/objects", "localhost", `path=/objects status=204 bytes=0 duration_ms=[0-9.]+`},
		{"GET", "/a%0Alevel=ERROR", "localhost", `path="/a\\nlevel=ERROR" status=404 bytes=\d\d+ duration_ms=[0-9.]+`},
		{"GET", long, "localhost", `path=` + long[:longestPath] + `… status=404 bytes=\d\d+ duration_ms=[0-9.]+`},
	} {
		got := ask(c.method, c.target, c.host)
		want := `^time=\S+ level=INFO msg=request request_id=tour-1 method=` + c.method + " " + c.want + "\n$"
		if !regexp.MustCompile(want).MatchString(got) || strings.Contains(got, "secret") {
			t.Errorf("%s %.100s is logged as %q, want %q", c.method, c.target, got, want)
		}
	}
}

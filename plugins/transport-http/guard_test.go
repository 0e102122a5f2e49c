package transporthttp

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestHost(t *testing.T) {
	s := serve(t).echo()
	for _, name := range []string{"localhost", "LocalHost", "localhost:1", "127.0.0.1", "127.8.9.10:80", "[::1]", "[::1]:8001", "[::ffff:127.0.0.1]", s.addr} {
		if got := s.do("GET", "/objects/a", "", "Host: "+name); got.StatusCode != http.StatusOK {
			t.Errorf("Host %q got %d %s", name, got.StatusCode, got.body)
		}
	}
	before := len(s.host.Calls(""))
	for _, name := range []string{
		"", "evil.example", "localhost.evil.example", "evil.localhost", "127.0.0.1.evil.example", "192.168.1.1", "10.0.0.1:80",
		"127.1", "2130706433", "[::2]", "::1", "[::1", "[localhost]", "localhost:", "localhost:x", "localhost:1:2", "localhost:99999", "0.0.0.0",
	} {
		s.do("GET", "/objects/a", "", "Host: "+name).wantError(t, 403, "unknown_host")
		s.do("GET", "/objects", "", "Host: "+name).wantError(t, 403, "unknown_host")
	}
	if n := len(s.host.Calls("")) - before; n > 0 {
		t.Errorf("the host got %d calls from unknown hosts", n)
	}
}

// TestHostOfListener: a request may name the address at which it arrived.
func TestHostOfListener(t *testing.T) {
	local := &net.TCPAddr{IP: net.IPv4(192, 168, 7, 7), Port: 8001}
	for name, want := range map[string]bool{"192.168.7.7": true, "192.168.7.7:9": true, "192.168.7.8": false} {
		r, err := http.NewRequestWithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, local), http.MethodGet, "http://"+name+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if knownHost(r) != want {
			t.Errorf("at %v, %q is known = %v, want %v", local, name, !want, want)
		}
	}
}

func TestOrigin(t *testing.T) {
	s := serve(t).echo()
	foreign := [][]string{
		{"Origin: https://evil.example"}, {"Origin: null"}, {"Sec-Fetch-Site: cross-site"}, {"Sec-Fetch-Site: same-site"},
		{"Sec-Fetch-Site: cross-site", "Origin: http://localhost"}, {"Origin: http://localhost:9"},
	}
	for _, headers := range foreign {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
			s.do(method, "/objects/a", "", headers...).wantError(t, 403, "cross_origin")
		}
	}
	s.do("PUT", "/objects/a?source=true", `{"code":""}`, "Origin: https://evil.example").wantError(t, 403, "cross_origin")
	s.wantNoCall()
	for _, headers := range append(foreign, nil) {
		if got := s.do("GET", "/objects/a", "", headers...); got.StatusCode != http.StatusOK {
			t.Errorf("GET with %q got %d", headers, got.StatusCode)
		}
	}
	for _, headers := range [][]string{nil, {"Sec-Fetch-Site: same-origin"}, {"Sec-Fetch-Site: none"}, {"Origin: http://localhost"}} {
		if got := s.do("POST", "/objects/a", "", headers...); got.StatusCode != http.StatusOK {
			t.Errorf("POST with %q got %d %s", headers, got.StatusCode, got.body)
		}
	}
}

func TestPaths(t *testing.T) {
	s := serve(t).echo()
	for _, path := range []string{"/", "/object", "//objects", "/objects/a/", "/objects/a/b", "/objects//a", "/./objects", "/healthy", "/health/", "/Objects", "/objects%2fa"} {
		s.do("GET", path, "").wantError(t, 404, "no_such_path")
	}
	s.raw("OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n").wantError(t, 404, "no_such_path")
	for _, path := range []string{"/objects/", "/objects/..", "/objects/A", "/objects/a%2fb", "/objects/a%00", "/objects/a@"} {
		got := s.do("GET", path, "")
		if got.StatusCode != http.StatusBadRequest || !strings.Contains(got.body, `"code":"bad_`) {
			t.Errorf("%s got %d %s", path, got.StatusCode, got.body)
		}
	}
	s.wantNoCall()
	if got := s.do("GET", "/objects/%61", ""); got.StatusCode != http.StatusOK {
		t.Errorf("an escaped id got %d %s", got.StatusCode, got.body)
	}
	if got := s.do("GET", "http://localhost/objects/a", ""); got.StatusCode != http.StatusOK {
		t.Errorf("an absolute target got %d %s", got.StatusCode, got.body)
	}
}

func TestMethods(t *testing.T) {
	s := serve(t).echo()
	for _, c := range []struct{ method, path, allow string }{
		{"POST", "/objects", "GET, HEAD, OPTIONS"}, {"TRACE", "/objects", "GET, HEAD, OPTIONS"},
		{"TRACE", "/objects/a", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
		{"get", "/objects/a", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
		{"POST", "/objects/a?source=true", "GET, HEAD, PUT, OPTIONS"}, {"PUT", "/objects/a?logs=true", "GET, HEAD, OPTIONS"},
	} {
		got := s.do(c.method, c.path, "")
		got.wantError(t, 405, "method_not_allowed")
		if allow := got.Header.Get("Allow"); allow != c.allow {
			t.Errorf("%s %s: Allow is %q, want %q", c.method, c.path, allow, c.allow)
		}
	}
	for _, path := range []string{"/objects", "/objects/a?logs=true"} {
		if got := s.do("OPTIONS", path, ""); got.StatusCode != http.StatusNoContent || got.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("OPTIONS %s got %d %v", path, got.StatusCode, got.Header)
		}
	}
	s.wantNoCall()
}

func FuzzHostName(f *testing.F) {
	for _, s := range []string{"localhost", "[::1]:80", "127.0.0.1:1", "a:b:c", "[", "]:", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := &http.Request{Host: s, URL: &url.URL{}}
		if !knownHost(r) {
			return
		}
		name := strings.ToLower(s)
		if !strings.HasPrefix(name, "localhost") && !strings.HasPrefix(name, "127.") && !strings.HasPrefix(name, "[") {
			t.Errorf("%q is known", s)
		}
	})
}

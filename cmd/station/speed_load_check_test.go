package main_test

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestGenerators: both generators send what they are told, in its order, count what
// was answered, and do not overlook one answer that is not 200.
func TestGenerators(t *testing.T) {
	t.Run("go", func(t *testing.T) { checkGenerator(t, driveGo, 100*time.Millisecond) })
	t.Run("wrk", func(t *testing.T) {
		if _, err := exec.LookPath("wrk"); err != nil {
			t.Skip("wrk is not installed")
		}
		checkGenerator(t, func(url string, w traffic, d time.Duration) (outcome, error) { return driveWrk(t, url, w, d) }, time.Second)
	})
}

func checkGenerator(t *testing.T, drive func(string, traffic, time.Duration) (outcome, error), d time.Duration) {
	var mu sync.Mutex
	seen, failing := map[string]int{}, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body strings.Builder
		_ = r.Write(&body) // to memory
		_, sent, _ := strings.Cut(body.String(), "\r\n\r\n")
		mu.Lock()
		defer mu.Unlock()
		seen[r.Method+" "+r.URL.RequestURI()+" "+sent]++
		if r.URL.Path == "/fail" {
			if failing++; failing == 2 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}
	}))
	defer server.Close()
	const body = `{"a":"[=[]]"}`
	w := traffic{requests: []request{{"GET", "/a", ""}, {"POST", "/b?c=d", body}}, order: []int{0, 1, 1, 1}, connections: 3}
	o, err := drive(server.URL, w, d)
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	gets, posts := seen["GET /a "], seen["POST /b?c=d "+body]
	kinds := len(seen)
	mu.Unlock()
	if all := gets + posts; kinds != 2 || all < o.answered || all > o.answered+o.open {
		t.Errorf("%d requests were answered, the server saw %d GETs and %d POSTs among %d kinds", o.answered, gets, posts, kinds)
	}
	if posts < 3*gets-4*w.connections || posts > 3*gets+4*w.connections {
		t.Errorf("the server saw %d GETs and %d POSTs; want three times as many", gets, posts)
	}
	if o.p50 <= 0 || o.p50 > o.p99 || o.took < d {
		t.Errorf("latencies %v and %v in %v", o.p50, o.p99, o.took)
	}
	// Another path, since the server may still answer what nobody waits for.
	w.requests, w.order = []request{{"GET", "/fail", ""}}, []int{0}
	if _, err := drive(server.URL, w, d); err == nil {
		t.Error("one answer of 500 was overlooked")
	}
}

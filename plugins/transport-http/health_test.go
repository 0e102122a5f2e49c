package transporthttp

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// decodeHealth reads what a station says of itself.
func decodeHealth(body []byte, out *transporttest.Reading) error {
	var in struct {
		pluginsAnswer
		Checks []checkRow
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return err
	}
	var bad error
	at := func(text string) (t time.Time) {
		if text != "" && bad == nil {
			t, bad = time.Parse(timestamp, text)
		}
		return t
	}
	for _, r := range in.Plugins {
		p := host.Plugin{
			Kind: r.Kind, Name: r.Name, Version: r.Version, PID: r.PID, Since: at(r.UpSince),
			Problem: r.Problem, Restarts: r.Restarts, LastProblem: r.LastProblem, LastSeen: at(r.LastProblemTime),
		}
		if p.Healthy() != r.Healthy {
			return fmt.Errorf("%+v is not healthy %v", p, r.Healthy)
		}
		out.Plugins = append(out.Plugins, p)
	}
	for _, c := range in.Checks {
		if c.OK != (c.Problem == "") {
			return fmt.Errorf("%+v says two things", c)
		}
		out.Health.Checks = append(out.Health.Checks, host.Check{Name: c.Name, Problem: c.Problem})
	}
	return bad
}

// TestHealthAnswers: what a station says of itself, to the byte.
func TestHealthAnswers(t *testing.T) {
	s := serve(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	list := []host.Plugin{
		{Kind: plugin.Storage, Name: "tsv", Version: "v1", PID: 7, Since: at},
		{Kind: plugin.Transport, Name: "http", Version: "v1", Problem: "its process 8 ended", Restarts: 2, LastProblem: "its process 8 ended", LastSeen: at},
	}
	checks := func(problem string) host.Health {
		return host.Health{Checks: []host.Check{{Name: host.CheckPlugins, Problem: problem}, {Name: host.CheckStorage}}}
	}
	const plugins = `{"status":"ok","plugins":[{"kind":"storage","name":"tsv","version":"v1","healthy":true,"pid":7,"up_since":"2026-01-02T02:04:05.000000Z","restarts":0},` +
		`{"kind":"transport","name":"http","version":"v1","healthy":false,"problem":"its process 8 ended","restarts":2,"last_problem":"its process 8 ended","last_problem_time":"2026-01-02T02:04:05.000000Z"}],"count":2}`
	for _, c := range []struct {
		health       host.Health
		method, path string
		status       int
		body         string
	}{
		{checks(""), "GET", "/plugins", 200, plugins},
		{checks(""), "GET", "/health", 200, `{"status":"ok","station_id":"here","ready":true,"checks":[{"name":"plugins","ok":true},{"name":"storage","ok":true}]}`},
		{checks(""), "GET", "/health/ready", 200, `{"status":"ok","station_id":"here","ready":true,"checks":[{"name":"plugins","ok":true},{"name":"storage","ok":true}]}`},
		{checks("One is down."), "GET", "/health", 200, `{"status":"ok","station_id":"here","ready":false,"checks":[{"name":"plugins","ok":false,"problem":"One is down."},{"name":"storage","ok":true}]}`},
		{checks("One is down."), "GET", "/health/ready", 503, `{"status":"error","error":"The station is not ready. plugins: One is down.","code":"not_ready"}`},
		{checks(""), "HEAD", "/health/ready", 200, ""},
		{checks("One is down."), "HEAD", "/health/ready", 503, ""},
		{checks(""), "OPTIONS", "/health", 204, ""},
		{checks(""), "POST", "/health", 405, `{"status":"error","error":"The method POST is not allowed here; use GET, HEAD, OPTIONS.","code":"method_not_allowed"}`},
		{checks(""), "GET", "/plugins?limit=1", 400, `{"status":"error","error":"This path takes no parameters; \"limit\" was given.","code":"unknown_parameter"}`},
		{checks(""), "GET", "/health/", 404, `{"status":"error","error":"There is nothing at \"/health/\"; objects are at /objects and /objects/{id}.","code":"no_such_path"}`},
	} {
		s.host.How(list, c.health)
		got := s.do(c.method, c.path, "")
		if c.body != "" {
			c.body += "\n"
		}
		if got.StatusCode != c.status || got.body != c.body {
			t.Errorf("%s %s: %d %s\nwant %d %s", c.method, c.path, got.StatusCode, got.body, c.status, c.body)
		}
		if cache := got.Header.Get("Cache-Control"); (c.status == 200 || c.status == 503) && cache != "no-store" {
			t.Errorf("%s %s may be kept: %q", c.method, c.path, cache)
		}
	}
}

// A kernel that is gone is not alive.
func TestHealthWithoutKernel(t *testing.T) {
	s := serve(t)
	s.host.Down(true)
	for _, path := range []string{"/plugins", "/health", "/health/ready"} {
		if got := s.do("GET", path, ""); got.StatusCode != (&errs.Error{Kind: errs.Unavailable}).HTTPStatus() {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
		}
	}
}

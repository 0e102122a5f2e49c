package transporthttp

import (
	"context"
	"net/http"
	"time"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
)

// healthTime is how long the kernel may take to say how the station is.
const healthTime = 5 * time.Second

type pluginRow struct {
	Kind     plugin.Kind `json:"kind"`
	Name     string      `json:"name"`
	Version  string      `json:"version"`
	Healthy  bool        `json:"healthy"`
	PID      int         `json:"pid,omitempty"`
	UpSince  string      `json:"up_since,omitempty"`
	Problem  string      `json:"problem,omitempty"`
	Restarts int         `json:"restarts"`

	LastProblem     string `json:"last_problem,omitempty"`
	LastProblemTime string `json:"last_problem_time,omitempty"`
}

type pluginsAnswer struct {
	Status  string      `json:"status"`
	Plugins []pluginRow `json:"plugins"`
	Count   int         `json:"count"`
}

func (x *exchange) plugins(ctx context.Context, _ id.Object, _ args) error {
	x.neverKept()
	list, err := x.host.Plugins(ctx)
	if err != nil {
		return err
	}
	answer := pluginsAnswer{Status: "ok", Plugins: make([]pluginRow, len(list)), Count: len(list)}
	for i, p := range list {
		answer.Plugins[i] = pluginRow{
			Kind: p.Kind, Name: p.Name, Version: p.Version, Healthy: p.Healthy(), PID: p.PID, UpSince: timeOf(p.Since),
			Problem: p.Problem, Restarts: p.Restarts, LastProblem: p.LastProblem, LastProblemTime: timeOf(p.LastSeen),
		}
	}
	x.sendJSON(http.StatusOK, answer)
	return nil
}

// neverKept tells caches that the answer is true now alone.
func (x *exchange) neverKept() { x.w.Header()["Cache-Control"] = []string{"no-store"} }

// timeOf gives a time as text, none for the zero time.
func timeOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timestamp)
}

type checkRow struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Problem string `json:"problem,omitempty"`
}

type healthAnswer struct {
	Status  string     `json:"status"`
	Station id.Station `json:"station_id"`
	Ready   bool       `json:"ready"`
	Checks  []checkRow `json:"checks"`
}

// health answers with 200 as long as the kernel answers, whatever is missing.
func (x *exchange) health(ctx context.Context, _ id.Object, _ args) error {
	x.neverKept()
	h, err := x.host.Health(ctx)
	if err != nil {
		return err
	}
	x.sendHealth(h)
	return nil
}

// ready answers with 503 where something is missing.
func (x *exchange) ready(ctx context.Context, _ id.Object, _ args) error {
	x.neverKept()
	h, err := x.host.Health(ctx)
	if err == nil {
		err = h.Ready()
	}
	if err != nil {
		return err
	}
	x.sendHealth(h)
	return nil
}

func (x *exchange) sendHealth(h host.Health) {
	answer := healthAnswer{Status: "ok", Station: x.station, Ready: h.Ready() == nil, Checks: make([]checkRow, len(h.Checks))}
	for i, c := range h.Checks {
		answer.Checks[i] = checkRow{c.Name, c.Problem == "", c.Problem}
	}
	x.sendJSON(http.StatusOK, answer)
}

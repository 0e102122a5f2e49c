package metrics

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/plugin"
)

// some is a station with each sort of plugin.
func some() Now {
	wait := plugin.NewBuckets(0.1, 1)
	wait.Observe(0.5)
	return Now{
		Station: "here", Version: "1.2.3", Started: time.Unix(1_700_000_000, 0), Objects: 3, Waiting: 2, Longest: 1, Running: 1, VMs: 2,
		Unstored: 10, Warm: 20, WarmMost: 30, Memory: 40, MemoryMax: 50,
		Plugins: []Plugin{
			{Kind: plugin.Storage, Name: "tsv", Up: true, Restarts: 2, Figures: []plugin.Figure{wait.Figure("fsync_seconds", "Syncs.")}},
			{Kind: plugin.Transport, Name: "http", Up: true, Figures: []plugin.Figure{{
				Name: "requests_total", Help: "Requests.", Type: plugin.Counter, Label: "status", Samples: []plugin.Sample{{Label: "2xx", Value: 7}, {Label: "5xx", Value: 1}},
			}}},
			{Kind: plugin.Transport, Name: "other", Figures: []plugin.Figure{{Name: "requests_total", Help: "Something else.", Type: plugin.Counter, Samples: plugin.One(9)}}},
		},
		Processes: []Process{
			{Name: "kernel", CPU: 1.5, Memory: 1 << 20, Files: 9, Runtime: plugin.Runtime{Goroutines: 8, Heap: 7, Memory: 9, Collections: 6}},
			{Name: "storage/tsv", Files: -1},
		},
	}
}

func text(t *testing.T, calls *Calls, commits *Commits, now Now) string {
	t.Helper()
	text, err := Page(calls, commits, now)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPage(t *testing.T) {
	calls, commits := NewCalls(), NewCommits()
	shop := calls.Class("shop/cart/add.lua")
	shop.Count("GET", nil, 2*time.Millisecond)
	shop.Count("GET", errs.New(errs.Refused, "sold_out", "Sold out."), time.Second)
	shop.Count("POST", errors.New("any"), time.Minute)
	calls.Class("hello.lua").Count("BREW", nil, 0)
	calls.Class("").Count("GET", errs.New(errs.NotFound, "", "No."), 0)
	commits.Batch(3, 2, time.Millisecond)
	text := text(t, calls, commits, some())
	for _, want := range []string{
		`station_calls_total{class="shop",method="GET",outcome="ok"} 1`,
		`station_calls_total{class="shop",method="GET",outcome="refused"} 1`,
		`station_calls_total{class="shop",method="POST",outcome="internal"} 1`,
		`station_calls_total{class=".",method="other",outcome="ok"} 1`,
		`station_calls_total{class="_unknown",method="GET",outcome="not_found"} 1`,
		`station_call_duration_seconds_bucket{class="shop",method="GET",le="0.0025"} 1`,
		`station_call_duration_seconds_bucket{class="shop",method="POST",le="30"} 0`,
		`station_call_duration_seconds_count{class="shop",method="POST"} 1`,
		`station_call_duration_seconds_sum{class="shop",method="GET"} 1.002`,
		`station_commits_total{outcome="durable"} 2`,
		`station_commits_total{outcome="failed"} 1`,
		`station_commit_batch_size_bucket{le="4"} 1`,
		`station_info{station="here",version="1.2.3"} 1`,
		`station_start_time_seconds 1.7e+09`,
		`station_plugin_up{kind="storage",plugin="tsv"} 1`,
		`station_plugin_up{kind="transport",plugin="other"} 0`,
		`station_plugin_restarts_total{kind="storage",plugin="tsv"} 2`,
		`station_storage_fsync_seconds_bucket{plugin="tsv",le="1"} 1`,
		`station_transport_requests_total{plugin="http",status="2xx"} 7`,
		`station_process_open_fds{process="kernel"} 9`,
		`station_process_goroutines{process="kernel"} 8`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, not := range []string{"sold_out", `plugin="other"} 9`, `station_process_open_fds{process="storage/tsv"}`, `station_process_goroutines{process="storage/tsv"}`} {
		if strings.Contains(text, not) {
			t.Errorf("the page has %s", not)
		}
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestLabelsAreBounded: 2,000 objects in as many folders, whose scripts fail with
// codes of their own, make a page no longer than 30 do.
func TestLabelsAreBounded(t *testing.T) {
	series := func(objects int) int {
		calls := NewCalls()
		var all sync.WaitGroup
		for worker := range 4 {
			all.Go(func() {
				for i := worker; i < objects; i += 4 {
					class := calls.Class(fmt.Sprintf("folder%d/o%d.lua", i, i))
					for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", fmt.Sprint("X", i)} {
						class.Count(method, &errs.Error{Kind: errs.Refused, Code: fmt.Sprintf("code_%d", i), Status: 400 + i%100}, 0)
						class.Count(method, &errs.Error{Kind: errs.Kind(i % 250)}, 0)
					}
				}
			})
		}
		all.Wait()
		for i := range 250 { // every kind there is, so that both pages have all
			for _, class := range calls.all() {
				for _, method := range methods {
					class.Count(method, &errs.Error{Kind: errs.Kind(i)}, 0)
				}
			}
		}
		text := text(t, calls, nil, Now{})
		if strings.Contains(text, "code_") {
			t.Error("a script's code is a label")
		}
		return strings.Count(text, "\n")
	}
	few, many := series(30), series(2000)
	if few != many || many > 12_000 {
		t.Errorf("30 objects make %d lines and 2,000 make %d", few, many)
	}
}

func TestNilCountsNothing(t *testing.T) {
	var calls *Calls
	calls.Class("a/b.lua").Count("GET", nil, 0)
	var commits *Commits
	commits.Batch(1, 1, 0)
}

// TestCountAllocatesNothing: what each call pays.
func TestCountAllocatesNothing(t *testing.T) {
	class := NewCalls().Class("a/b.lua")
	err := error(&errs.Error{Kind: errs.Refused})
	class.Count("GET", nil, 0)
	if n := testing.AllocsPerRun(1000, func() { class.Count("GET", nil, time.Millisecond); class.Count("GET", err, time.Millisecond) }); n != 0 {
		t.Errorf("a call costs %v allocations", n)
	}
}

func BenchmarkCount(b *testing.B) {
	class := NewCalls().Class("a/b.lua")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			began := time.Now()
			class.Count("GET", nil, time.Since(began))
		}
	})
}

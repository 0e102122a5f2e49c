package plugin

import (
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckFigures(t *testing.T) {
	good := func() []Figure {
		return []Figure{
			{Name: "requests_total", Help: "Requests.", Type: Counter, Label: "status", Samples: []Sample{{Label: "2xx", Value: 1}, {Label: "5xx"}}},
			{Name: "wait_seconds", Help: "Waits.", Type: Histogram, Bounds: []float64{0.1, 1}, Samples: []Sample{{Value: 0.5, Counts: []uint64{1, 2, 0}}}},
			{Name: "open", Help: "Open.", Type: Gauge},
		}
	}
	if err := CheckFigures(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(f []Figure){
		"upper case":                 func(f []Figure) { f[0].Name = "Requests_total" },
		"a name that begins with _":  func(f []Figure) { f[2].Name = "_open" },
		"a long name":                func(f []Figure) { f[2].Name = strings.Repeat("a", 65) },
		"a name twice":               func(f []Figure) { f[2].Name = "wait_seconds" },
		"the name of a part":         func(f []Figure) { f[2].Name = "wait_seconds_sum" },
		"no help":                    func(f []Figure) { f[2].Help = "" },
		"help of two lines":          func(f []Figure) { f[2].Help = "a\nb" },
		"help that is not UTF-8":     func(f []Figure) { f[2].Help = "\xff" },
		"a type that is none":        func(f []Figure) { f[2].Type = "summary" },
		"a counter without _total":   func(f []Figure) { f[2].Type = Counter },
		"a gauge with _total":        func(f []Figure) { f[0].Type = Gauge },
		"the station's own label":    func(f []Figure) { f[0].Label = "plugin" },
		"a label that is no name":    func(f []Figure) { f[0].Label = "a b" },
		"samples that are the same":  func(f []Figure) { f[0].Samples[1].Label = "2xx" },
		"a sample without its label": func(f []Figure) { f[0].Samples[1].Label = "" },
		"a label nobody declared":    func(f []Figure) { f[1].Samples[0].Label = "x" },
		"too many samples":           func(f []Figure) { f[2].Samples = make([]Sample, 2) },
		"a counter below zero":       func(f []Figure) { f[0].Samples[0].Value = -1 },
		"no number":                  func(f []Figure) { f[0].Samples[0].Value = math.NaN() },
		"bounds that fall":           func(f []Figure) { f[1].Bounds = []float64{1, 0.1} },
		"an infinite bound":          func(f []Figure) { f[1].Bounds = []float64{1, math.Inf(1)} },
		"bounds of a gauge":          func(f []Figure) { f[2].Bounds = []float64{1} },
		"a bucket too few":           func(f []Figure) { f[1].Samples[0].Counts = []uint64{1, 2} },
		"buckets of a counter":       func(f []Figure) { f[0].Samples[0].Counts = []uint64{1} },
	} {
		f := good()
		if spoil(f); CheckFigures(f) == nil {
			t.Errorf("%s passes", name)
		}
	}
	if CheckFigures(make([]Figure, MaxFigures+1)) == nil {
		t.Error("too many figures pass")
	}
}

func TestBuckets(t *testing.T) {
	b := NewBuckets(1, 2)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 1000 {
				for _, v := range []float64{0.5, 1, 1.5, 2.5} {
					b.Observe(v)
				}
			}
		})
	}
	all.Wait()
	want := Figure{Name: "a_seconds", Help: "A.", Type: Histogram, Bounds: []float64{1, 2}, Samples: []Sample{{Value: 22000, Counts: []uint64{8000, 4000, 4000}}}}
	if d := cmp.Diff(want, b.Figure("a_seconds", "A.")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestReadRuntime(t *testing.T) {
	r := ReadRuntime()
	if r.Goroutines == 0 || r.Heap == 0 || r.Memory <= r.Heap/2 || r.Memory > 1<<40 {
		t.Errorf("%+v", r)
	}
}

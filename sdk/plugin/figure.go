package plugin

import (
	"math"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/dbbasic/station/sdk/errs"
)

// The most that a plugin may report, so that no plugin floods what reads it.
const (
	MaxFigures = 64  // of a plugin
	MaxSamples = 32  // of a figure
	MaxBounds  = 32  // of a Histogram
	MaxHelp    = 200 // bytes of a Help
)

// Figure is one thing that a plugin counts or measures. The station's metrics
// show it as station_KIND_NAME, with the plugin's name as a label.
type Figure struct {
	Name    string     // of a-z, 0-9 and _, with its unit: journal_bytes, fsync_seconds; a Counter ends in _total and nothing else does
	Help    string     // what it is: one line
	Type    FigureType // what its values mean
	Label   string     // what tells its samples apart, such as "status"; empty where there is only one
	Bounds  []float64  // of a Histogram: the upper bounds of its buckets, rising; one more bucket is above the last
	Samples []Sample   // none of a figure that has no value yet
}

// Sample is one value of a Figure.
type Sample struct {
	Label  string   // the value of the figure's label: one of a few that the plugin's author knows, never what comes from outside
	Value  float64  // of a Histogram: the sum of all that was observed
	Counts []uint64 // of a Histogram: how many were observed in each bucket, one more than Bounds
}

// FigureType says what the values of a figure mean.
type FigureType string

// The types of figures.
const (
	Counter   FigureType = "counter"   // only rises while the process lives
	Gauge     FigureType = "gauge"     // rises and falls
	Histogram FigureType = "histogram" // how many observations were how large
)

var figureName = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// CheckFigures says what of a plugin's figures is not sound. Errors: errs.Invalid.
func CheckFigures(list []Figure) error {
	if len(list) > MaxFigures {
		return errs.New(errs.Invalid, "", "A plugin reports %d figures; at most %d are taken.", len(list), MaxFigures)
	}
	seen := map[string]bool{}
	for i := range list {
		f := &list[i]
		if !nameOf(f.Name) {
			return errs.New(errs.Invalid, "", "%.80q cannot name a figure: use words of a-z and 0-9 with _ between them.", f.Name)
		}
		if seen[f.Name] {
			return errs.New(errs.Invalid, "", "There are two figures %q.", f.Name)
		}
		seen[f.Name] = true
		if problem := f.problem(); problem != "" {
			return errs.New(errs.Invalid, "", "The figure %q %s.", f.Name, problem)
		}
	}
	return nil
}

func nameOf(s string) bool { return len(s) <= 64 && figureName.MatchString(s) }

// problem says what is wrong with a figure whose name is none of it.
func (f *Figure) problem() string {
	switch {
	case f.Help == "" || len(f.Help) > MaxHelp || !utf8.ValidString(f.Help) || strings.ContainsAny(f.Help, "\r\n"):
		return "has no help of one line"
	case f.Type != Counter && f.Type != Gauge && f.Type != Histogram:
		return "has no type that there is"
	case (f.Type == Counter) != strings.HasSuffix(f.Name, "_total"):
		return "must end in _total if it is a counter, and only then"
	case strings.HasSuffix(f.Name, "_bucket") || strings.HasSuffix(f.Name, "_sum") || strings.HasSuffix(f.Name, "_count"):
		return "has a name that ends as the parts of a histogram do"
	case f.Label != "" && (!nameOf(f.Label) || f.Label == "plugin" || f.Label == "le"):
		return "has a label that cannot be one"
	case len(f.Samples) > MaxSamples || f.Label == "" && len(f.Samples) > 1:
		return "has too many samples"
	case f.Type != Histogram && len(f.Bounds) > 0 || len(f.Bounds) > MaxBounds || !rising(f.Bounds):
		return "has bounds that do not rise, too many, or no use for them"
	}
	seen := map[string]bool{}
	for i := range f.Samples {
		s := &f.Samples[i]
		if seen[s.Label] || len(s.Label) > 64 || !utf8.ValidString(s.Label) || (s.Label == "") != (f.Label == "") {
			return "has samples that its label does not tell apart"
		}
		seen[s.Label] = true
		counts := 0
		if f.Type == Histogram {
			counts = len(f.Bounds) + 1
		}
		if len(s.Counts) != counts || math.IsNaN(s.Value) || math.IsInf(s.Value, 0) || f.Type == Counter && s.Value < 0 {
			return "has a sample that is none of its type"
		}
	}
	return ""
}

func rising(bounds []float64) bool {
	for i, b := range bounds {
		if math.IsNaN(b) || math.IsInf(b, 0) || i > 0 && b <= bounds[i-1] {
			return false
		}
	}
	return true
}

// One gives the samples of a figure without a label.
func One(value float64) []Sample { return []Sample{{Value: value}} }

// Total is how many observations a sample of a Histogram has.
func (s *Sample) Total() uint64 {
	n := uint64(0)
	for _, c := range s.Counts {
		n += c
	}
	return n
}

package plugintest

import (
	"context"
	"slices"
	"time"

	"github.com/dbbasic/station/sdk/plugin"
)

// CheckFigures checks what a plugin that is configured reports, before and after
// some work.
func CheckFigures(ctx context.Context, v Verdict, p plugin.Plugin, work func()) {
	v.Helper()
	before := figures(ctx, v, p)
	work()
	after := figures(ctx, v, p)
	for _, f := range before {
		i := slices.IndexFunc(after, func(g plugin.Figure) bool { return g.Name == f.Name })
		if i < 0 || after[i].Type != f.Type || after[i].Help != f.Help || after[i].Label != f.Label || !slices.Equal(after[i].Bounds, f.Bounds) {
			v.Errorf("Figures() has %q no more, or it has become another", f.Name)
			continue
		}
		for _, s := range f.Samples {
			if f.Type != plugin.Gauge && fell(s, after[i].Samples) {
				v.Errorf("%q has fallen, or has lost the sample %q: %v became %v", f.Name, s.Label, f.Samples, after[i].Samples)
			}
		}
	}
}

func figures(ctx context.Context, v Verdict, p plugin.Plugin) []plugin.Figure {
	v.Helper()
	began := time.Now()
	list := p.Figures(ctx)
	if took := time.Since(began); took > 20*time.Second { // on a busy machine, a thousand times what it should take
		v.Errorf("Figures() took %v: it answers within milliseconds", took)
	}
	if err := plugin.CheckFigures(list); err != nil {
		v.Errorf("Figures() is not sound: %v", err)
	}
	return list
}

// fell reports whether a sample that must not fall has fallen or is gone.
func fell(was plugin.Sample, now []plugin.Sample) bool {
	for _, s := range now {
		if s.Label != was.Label {
			continue
		}
		for i := range was.Counts {
			if s.Counts[i] < was.Counts[i] {
				return true
			}
		}
		return len(was.Counts) == 0 && s.Value < was.Value
	}
	return true
}

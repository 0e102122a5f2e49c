package shim

import (
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/plugin"
)

func encodeFigures(list []plugin.Figure) *pb.PluginFigures {
	m := &pb.PluginFigures{}
	for i := range list {
		f := &list[i]
		p := &pb.PluginFigure{Name: []byte(f.Name), Help: []byte(f.Help), Type: []byte(f.Type), Label: []byte(f.Label), Bounds: f.Bounds}
		for _, s := range f.Samples {
			p.Samples = append(p.Samples, &pb.PluginSample{Label: []byte(s.Label), Value: s.Value, Counts: s.Counts})
		}
		m.Figures = append(m.Figures, p)
	}
	return m
}

func decodeFigures(m *pb.PluginFigures) []plugin.Figure {
	var list []plugin.Figure
	for _, p := range m.GetFigures() {
		f := plugin.Figure{
			Name: string(p.GetName()), Help: string(p.GetHelp()), Type: plugin.FigureType(p.GetType()),
			Label: string(p.GetLabel()), Bounds: p.GetBounds(),
		}
		for _, s := range p.GetSamples() {
			f.Samples = append(f.Samples, plugin.Sample{Label: string(s.GetLabel()), Value: s.GetValue(), Counts: s.GetCounts()})
		}
		list = append(list, f)
	}
	return list
}

func encodeRuntime(r plugin.Runtime) *pb.PluginRuntime {
	return &pb.PluginRuntime{Goroutines: r.Goroutines, Heap: r.Heap, Memory: r.Memory, Collections: r.Collections}
}

func decodeRuntime(m *pb.PluginRuntime) plugin.Runtime {
	return plugin.Runtime{Goroutines: m.GetGoroutines(), Heap: m.GetHeap(), Memory: m.GetMemory(), Collections: m.GetCollections()}
}

package shim

import (
	"maps"
	"slices"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/plugin"
)

func encodeConfig(c plugin.Config) *pb.PluginConfig {
	m := &pb.PluginConfig{Station: string(c.Station), DataDir: c.DataDir, Boot: c.Boot}
	for _, name := range slices.Sorted(maps.Keys(c.Options)) {
		m.Options = append(m.Options, &pb.PluginOption{Name: []byte(name), Value: []byte(c.Options[name])})
	}
	return m
}

func decodeConfig(m *pb.PluginConfig) plugin.Config {
	c := plugin.Config{Station: id.Station(m.GetStation()), DataDir: m.GetDataDir(), Boot: m.GetBoot()}
	for _, o := range m.GetOptions() {
		if c.Options == nil {
			c.Options = map[string]string{}
		}
		c.Options[string(o.GetName())] = string(o.GetValue())
	}
	return c
}

func encodeInfo(i plugin.Info) *pb.PluginInfo {
	m := &pb.PluginInfo{Name: i.Name, Kind: string(i.Kind), Version: i.Version}
	for _, o := range i.Options {
		m.Options = append(m.Options, &pb.OptionDeclaration{
			Name: o.Name, Type: string(o.Type), Default: o.Default, OneOf: o.OneOf, Min: o.Min, Max: o.Max, Doc: o.Doc,
		})
	}
	return m
}

func decodeInfo(m *pb.PluginInfo) plugin.Info {
	i := plugin.Info{Name: m.GetName(), Kind: plugin.Kind(m.GetKind()), Version: m.GetVersion()}
	for _, o := range m.GetOptions() {
		i.Options = append(i.Options, plugin.Option{
			Name: o.GetName(), Type: plugin.Type(o.GetType()), Default: o.GetDefault(), OneOf: o.GetOneOf(), Min: o.GetMin(), Max: o.GetMax(), Doc: o.GetDoc(),
		})
	}
	return i
}

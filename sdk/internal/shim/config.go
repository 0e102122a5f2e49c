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

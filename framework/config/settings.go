package config

import (
	"slices"

	"github.com/dbbasic/station/sdk/plugin"
)

// DefaultListen is where the bundled HTTP transport answers by default.
const DefaultListen = "127.0.0.1:8001"

// stationSettings declares what stands outside of blocks.
var stationSettings = plugin.Schema{
	{Name: "station_id", Type: plugin.String, Default: "station1", Doc: "The name of this station. It stays with the data folder."},
	{Name: "data", Type: plugin.String, Default: "./data", Doc: "The folder for what objects store. It is made if it is missing."},
	{Name: "scripts", Type: plugin.String, Default: "./scripts", Doc: "The folder of the objects' scripts. Where it is not named and there is none, the bundled objects are served from inside the program."},
	{Name: "env", Type: plugin.List, Default: "[]", Doc: "Names of environment variables that scripts may read with env.get."},
}

// pluginSettings declares what stands in every plugin's block beside the options of
// the plugin. Their names are plugin.Reserved.
var pluginSettings = plugin.Schema{
	{Name: "program", Type: plugin.String, Doc: "The program of the plugin. Where there is none it is the bundled plugin of that name."},
	{Name: "args", Type: plugin.List, Default: "[]", Doc: "Arguments for the program."},
	{Name: "sha256", Type: plugin.String, Doc: "The SHA-256 that the program must have, in 64 hexadecimal digits. Where there is none it is not checked."},
	{Name: "env", Type: plugin.List, Default: "[]", Doc: "Names of further environment variables that the plugin's process gets."},
}

// listenSetting is the one that transports have besides.
var listenSetting = plugin.Option{
	Name: "listen", Type: plugin.String, Doc: "Where it answers: HOST:PORT on loopback, where port 0 picks a free one, or unix:PATH for a socket of this user alone.",
}

// settingsOf declares what the block of a plugin has beside the plugin's own options.
func settingsOf(kind plugin.Kind) plugin.Schema {
	if kind == plugin.Transport {
		return append(slices.Clip(pluginSettings), listenSetting)
	}
	return pluginSettings
}

// target is what an override is for.
type target string

const (
	forStation target = "station"
	forStorage target = "storage"
	forHTTP    target = "http"
)

// Overridable is a setting that a variable or a flag can give.
type Overridable struct {
	Setting  string
	Variable string
	Flag     string // without the dashes
	List     bool   // the variable holds texts that are separated by commas; the flag may be repeated
	target   target
}

// Overrides lists all of them.
var Overrides = []Overridable{
	{Setting: "station_id", Variable: "STATION_ID", Flag: "station-id", target: forStation},
	{Setting: "data", Variable: "STATION_DATA", Flag: "data", target: forStation},
	{Setting: "scripts", Variable: "STATION_SCRIPTS", Flag: "scripts", target: forStation},
	{Setting: "env", Variable: "STATION_ENV", Flag: "env", List: true, target: forStation},
	{Setting: "listen", Variable: "STATION_LISTEN", Flag: "listen", target: forHTTP},
	{Setting: "fsync", Variable: "STATION_FSYNC", Flag: "fsync", target: forStorage},
	{Setting: "log_retention", Variable: "STATION_LOG_RETENTION", Flag: "log-retention", target: forStorage},
}

// over gives the override that counts for a setting.
func (l *loader) over(t target, setting string) (Override, bool) {
	known := slices.ContainsFunc(Overrides, func(o Overridable) bool { return o.Setting == setting && o.target == t })
	if !known {
		return Override{}, false
	}
	for _, o := range slices.Backward(l.src.Over) {
		if o.Setting == setting {
			return o, true
		}
	}
	return Override{}, false
}

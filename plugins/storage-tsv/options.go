package storagetsv

import (
	"time"

	"github.com/dbbasic/station/sdk/plugin"
)

// schema declares the settings of the plugin.
var schema = plugin.Schema{
	{
		Name: "fsync", Type: plugin.String, Default: string(fsyncAlways), OneOf: []string{string(fsyncAlways), string(fsyncInterval), string(fsyncNever)},
		Doc: "When changes are synced to disk. always: before they are acknowledged. interval: within a second; a power cut may take the last second. " +
			"never: about once a minute; a power cut may take what came since. A crash or a kill of the station takes nothing in any mode.",
	},
	{
		Name: "log_retention", Type: plugin.Duration, Default: "0",
		Doc: "How long log entries are kept, such as 720h or 30d. 0 keeps them for ever.",
	},
}

// options are the values of the settings.
type options struct {
	fsync        fsyncMode
	logRetention time.Duration // 0: entries are kept for ever
}

// parseOptions reads the settings; one that is missing has its default.
func parseOptions(settings map[string]string) (options, error) {
	v, err := schema.Parse(settings)
	if err != nil {
		return options{}, err
	}
	return options{fsync: fsyncMode(v.String("fsync")), logRetention: v.Duration("log_retention")}, nil
}

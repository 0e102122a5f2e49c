package storagetsv

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/errs"
)

// options are the settings of the plugin.
type options struct {
	fsync        fsyncMode
	logRetention time.Duration // 0: entries are kept for ever
}

// CheckOptions says what is wrong with the plugin's settings, as Configure
// would. Errors: errs.Invalid.
func CheckOptions(settings map[string]string) error {
	_, err := parseOptions(settings)
	return err
}

// parseOptions reads the settings; one that is missing has its default.
func parseOptions(settings map[string]string) (options, error) {
	o := options{fsync: fsyncAlways}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		value := settings[name]
		var ok bool
		var allowed string
		switch name {
		case "fsync":
			o.fsync = fsyncMode(value)
			allowed = "always, interval or never"
			ok = slices.Contains([]fsyncMode{fsyncAlways, fsyncInterval, fsyncNever}, o.fsync)
		case "log_retention":
			o.logRetention, ok = parseRetention(value)
			allowed = `a time such as 720h or 30d, or 0 for ever`
		default:
			return options{}, errs.New(errs.Invalid, "", "The storage has no option %q; it knows fsync and log_retention.", name)
		}
		if !ok {
			return options{}, errs.New(errs.Invalid, "", "The storage option %s is %q; it must be %s.", name, value, allowed)
		}
	}
	return o, nil
}

// maxDays is the longest time that a time.Duration holds, in days.
const maxDays = 106_751

// parseRetention reads a time in days, or as time.ParseDuration does.
func parseRetention(text string) (time.Duration, bool) {
	if text == "" {
		return 0, true
	}
	if digits, ok := strings.CutSuffix(text, "d"); ok {
		days, err := strconv.ParseUint(digits, 10, 64)
		return time.Duration(days) * 24 * time.Hour, err == nil && days <= maxDays
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0
}

package pluginhost

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	const failed = 0
	ms := time.Millisecond
	for name, c := range map[string]struct{ healthy, want []time.Duration }{
		"starts that fail": {
			[]time.Duration{failed, failed, failed, failed, failed, failed, failed, failed, failed, failed},
			[]time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 10000 * ms, 10000 * ms, 10000 * ms},
		},
		"one that serves and dies":          {[]time.Duration{2000 * ms, 2000 * ms, 59000 * ms, 2000 * ms}, []time.Duration{100 * ms, 100 * ms, 100 * ms, 100 * ms}},
		"a short health forgets nothing":    {[]time.Duration{failed, failed, 59000 * ms, failed}, []time.Duration{100 * ms, 200 * ms, 100 * ms, 400 * ms}},
		"a minute of health forgets it all": {[]time.Duration{failed, failed, 60000 * ms, failed, failed}, []time.Duration{100 * ms, 200 * ms, 100 * ms, 100 * ms, 200 * ms}},
	} {
		var b backoff
		for i, h := range c.healthy {
			if got := b.after(h); got != c.want[i] {
				t.Errorf("%s: wait %d is %v, want %v", name, i, got, c.want[i])
			}
		}
	}
}

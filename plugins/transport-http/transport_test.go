package transporthttp

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/transport"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

func harness() transporttest.Harness {
	return transporttest.Harness{
		New: func(t testing.TB) transport.Transport {
			tr := New(slog.New(slog.DiscardHandler), "test")
			if err := tr.Configure(t.Context(), transporttest.Config); err != nil {
				t.Fatal(err)
			}
			return tr
		},
		Dial:     dial,
		TooLarge: maxBody + 1,
	}
}

func TestConformance(t *testing.T) { transporttest.Run(t, harness()) }

func TestConformanceOverUnix(t *testing.T) {
	h := harness()
	h.Network = "unix"
	transporttest.Run(t, h)
}

// TestOptionsAreRefused: there are none, and one that is misspelt or meant for
// another plugin must not be taken silently.
func TestOptionsAreRefused(t *testing.T) {
	c := transporttest.Config
	c.Options = map[string]string{"port": "1"}
	err := New(slog.New(slog.DiscardHandler), "test").Configure(t.Context(), c)
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), `"port"`) {
		t.Errorf("got %v, want errs.Invalid that names the option", err)
	}
}

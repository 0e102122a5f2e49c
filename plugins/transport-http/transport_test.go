package transporthttp

import (
	"log/slog"
	"testing"

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

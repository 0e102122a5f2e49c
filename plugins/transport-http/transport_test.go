package transporthttp

import (
	"log/slog"
	"testing"

	"github.com/dbbasic/station/sdk/transport"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

func harness() transporttest.Harness {
	return transporttest.Harness{
		New:      func(testing.TB) transport.Transport { return New(slog.New(slog.DiscardHandler), "test") },
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

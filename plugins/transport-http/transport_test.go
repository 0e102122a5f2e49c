package transporthttp

import (
	"log/slog"
	"os"
	"runtime/debug"
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

// TestCollectorIsHeld: while it serves, the transport keeps garbage from gathering beside
// the bodies and answers that it may hold.
func TestCollectorIsHeld(t *testing.T) {
	if _, set := os.LookupEnv("GOMEMLIMIT"); set {
		t.Skip("GOMEMLIMIT is set, which counts before the transport's own limit")
	}
	s := serve(t)
	s.do("GET", "/health", "")
	if got := debug.SetMemoryLimit(-1); got != heapLimit {
		t.Errorf("the limit is %d bytes, want %d", got, heapLimit)
	}
}

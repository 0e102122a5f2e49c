package main

import (
	"log/slog"
	"testing"

	"github.com/dbbasic/station/sdk/transport"
	"github.com/dbbasic/station/sdk/transport/lines"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

func harness() transporttest.Harness {
	return transporttest.Harness{
		New:      func(testing.TB) transport.Transport { return newTransport(slog.New(slog.DiscardHandler)) },
		Dial:     dial,
		Network:  "unix",
		TooLarge: lines.MaxBody + 1,
	}
}

// TestConformance says whether the transport keeps the contract.
func TestConformance(t *testing.T) { transporttest.Run(t, harness()) }

// TestConformanceThroughGRPC says the same of it as the kernel reaches it.
func TestConformanceThroughGRPC(t *testing.T) {
	transporttest.Run(t, transporttest.ThroughGRPC(harness()))
}

package main

import (
	"log/slog"
	"testing"

	"github.com/dbbasic/station/sdk/errs"
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

// TestOneRequestInALine: nothing of a line is left out in silence, and its client
// learns which request was refused.
func TestOneRequestInALine(t *testing.T) {
	for _, behind := range []string{`{"id":2,"do":"identity"}`, "}", "x"} {
		r, err := protocol{}.Decode([]byte(`{"id":1,"do":"identity"} ` + behind))
		if !errs.Is(err, errs.Invalid) || r.ID != 1 {
			t.Errorf("with %s behind it the request is %+v, %v", behind, r, err)
		}
	}
	if r, err := (protocol{}).Decode([]byte(`{"id":1,"do":"identity"} ` + "\t\r")); err != nil || r.ID != 1 {
		t.Errorf("a line that ends in space is %+v, %v", r, err)
	}
}

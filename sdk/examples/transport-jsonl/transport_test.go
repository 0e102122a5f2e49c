package main

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
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

// TestPairs: a pair with too little or too much is refused, and its client learns of
// which request.
func TestPairs(t *testing.T) {
	for _, bad := range []string{`[["a"]]`, `[["a","b","c"]]`, `[[]]`, `[null]`, `[["a",null]]`, `[["a",1]]`, `["a"]`, `[{"a":"b"}]`} {
		for _, name := range []string{"query", "header", "form", "fields"} {
			r, err := protocol{}.Decode([]byte(`{"do":"invoke","` + name + `":` + bad + `,"id":7}`))
			if !errs.Is(err, errs.Invalid) || r.ID != 7 {
				t.Errorf("with %s as %s the request is %+v, %v", bad, name, r, err)
			}
		}
	}
	r, err := protocol{}.Decode([]byte(`{"id":7,"do":"invoke","query":[["a","1"],["a",""]]}`))
	if want := []host.Field{{Name: "a", Value: "1"}, {Name: "a"}}; err != nil || !slices.Equal(r.Call.Query, want) {
		t.Errorf("the query is %+v, %v; want %+v", r.Call.Query, err, want)
	}
}

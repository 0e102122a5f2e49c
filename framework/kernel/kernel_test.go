package kernel

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

// A storage that dies during the start is waited for; anything else is not.
func TestPersist(t *testing.T) {
	down := errs.New(errs.Unavailable, "", "down")
	n := 0
	err := persist(t.Context(), func() error {
		if n++; n < 3 {
			return down
		}
		return nil
	})
	if err != nil || n != 3 {
		t.Errorf("%d tries, %v; want 3", n, err)
	}
	n = 0
	broken := errs.New(errs.Corrupt, "", "broken")
	if err := persist(t.Context(), func() error { n++; return broken }); !errors.Is(err, broken) || n != 1 {
		t.Errorf("%d tries, %v; want 1", n, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := persist(ctx, func() error { return down }); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context ended: %v", err)
	}
}

// Line and traceback are for those who may see the source, and no fail has any.
func TestOutward(t *testing.T) {
	h := &Host{log: slog.New(slog.DiscardHandler)}
	for _, c := range []struct {
		kind  errs.Kind
		roles []string
		shown bool
	}{
		{errs.Script, []string{id.RoleOperator}, true}, {errs.Script, nil, false}, {errs.Refused, []string{id.RoleOperator}, false},
	} {
		e := errs.New(c.kind, "", "broken")
		e.Line, e.Traceback = 7, "at 7"
		got := errs.From(h.outward(e, host.Call{Caller: id.Caller{Roles: c.roles}}))
		if (got.Line == 7 && got.Traceback == "at 7") != c.shown || got.Kind != c.kind || got.Text() != "broken" {
			t.Errorf("%v for roles %v: %+v; shown must be %v", c.kind, c.roles, got, c.shown)
		}
	}
}

func TestCheck(t *testing.T) {
	c := host.Call{Object: "a", Method: "GET"}
	if err := check(&c); err != nil || c.RequestID == "" {
		t.Errorf("a good call: %v, request id %q", err, c.RequestID)
	}
	for name, bad := range map[string]host.Call{
		"object": {Object: "../a", Method: "GET"}, "station": {Object: "a", Station: "A", Method: "GET"},
		"method": {Object: "a", Method: "BREW"}, "request id": {Object: "a", Method: "GET", RequestID: "a\nb"},
	} {
		if err := check(&bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("a bad %s gives %v", name, err)
		}
	}
}

package kernel

import (
	"context"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
)

// Tests beyond the number that may run at once wait, and are told so in the end.
func TestRunsOfTestsAreBounded(t *testing.T) {
	h := &Host{objects: &objects{all: map[id.Object]served{"a": {}}}, testing: make(chan struct{}, TestRuns)}
	for range TestRuns {
		h.testing <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := h.Test(ctx, "a")
	if e := errs.From(err); e == nil || e.Kind != errs.Busy || e.RetryAfter == 0 {
		t.Errorf("got %v, want busy with a time to come back", err)
	}
	if _, err := h.Test(ctx, "b"); !errs.Is(err, errs.NotFound) {
		t.Errorf("an unknown object gave %v", err)
	}
	if _, err := h.Test(ctx, "../a"); !errs.Is(err, errs.Invalid) {
		t.Errorf("a bad id gave %v", err)
	}
}

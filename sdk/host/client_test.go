package host

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/internal/plugintest"
	"github.com/dbbasic/station/sdk/internal/shim"
)

// broken is a connection all of whose calls fail.
type broken struct {
	grpc.ClientConnInterface
	err error
}

func (b broken) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return shim.FromStatus(b.err)
}

// A call whose kernel died may have been stored: nobody may be told otherwise.
// What the kernel itself said stays as it is.
func TestLostKernelLeavesTheOutcomeOpen(t *testing.T) {
	for _, c := range []struct {
		err  error
		want errs.Kind
	}{
		{status.Error(codes.Unavailable, "EOF"), errs.Unknown},
		{status.Error(codes.DeadlineExceeded, "late"), errs.Unknown},
		{status.Error(codes.Canceled, "gone"), errs.Unknown},
		{status.Error(codes.ResourceExhausted, "too large"), errs.TooLarge},
		{shim.ToStatus(errs.New(errs.Unavailable, "storage_down", "down")), errs.Unavailable},
		{shim.ToStatus(errs.New(errs.NotFound, "", "none")), errs.NotFound},
	} {
		if err := NewClient(broken{err: c.err}, linked(t, echo{})).Delete(t.Context(), Deletion{Object: "a"}); !errs.Is(err, c.want) {
			t.Errorf("%v gives %v, want kind %v", c.err, err, c.want)
		}
	}
	kernel, plugin := plugintest.Link(t)
	go func() {
		_, _ = kernel.Read(make([]byte, 1)) // a call, or the end of the test
		_ = kernel.Close()
	}()
	h := NewClient(broken{}, plugin)
	for _, want := range []errs.Kind{errs.Unknown, errs.Unavailable} { // of the call that was sent, and of those that could not be
		if _, err := h.Invoke(t.Context(), Call{Object: "a", Method: "GET"}); !errs.Is(err, want) {
			t.Errorf("a link that breaks gives %v, want kind %v", err, want)
		}
	}
}

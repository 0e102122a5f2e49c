package host

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/internal/shim"
)

// broken is a connection all of whose calls fail.
type broken struct {
	grpc.ClientConnInterface
	err error
}

// NewStream gives the stream of Invoke, which breaks once a call was sent.
func (b broken) NewStream(_ context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return &breakingStream{err: b.err, sent: make(chan struct{}, 1)}, nil
}

type breakingStream struct {
	grpc.ClientStream
	err  error
	sent chan struct{}
}

func (s *breakingStream) SendMsg(any) error {
	s.sent <- struct{}{}
	return nil
}

func (s *breakingStream) RecvMsg(any) error {
	<-s.sent
	return s.err
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
		if err := NewClient(broken{err: c.err}).Delete(t.Context(), Deletion{Object: "a"}); !errs.Is(err, c.want) {
			t.Errorf("%v gives %v, want kind %v", c.err, err, c.want)
		}
		// An answer to a call is no end of the stream: whatever ended that, it was no answer.
		if _, err := NewClient(broken{err: c.err}).Invoke(t.Context(), Call{Object: "a", Method: "GET"}); !errs.Is(err, errs.Unknown) {
			t.Errorf("a stream that breaks with %v gives %v, want kind %v", c.err, err, errs.Unknown)
		}
	}
}

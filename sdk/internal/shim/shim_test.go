package shim_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/internal/shim"
)

func TestErrorCrosses(t *testing.T) {
	sent := &errs.Error{
		Kind: errs.Refused, Code: "no_way", Message: "not today", Status: 409, Line: 7, Traceback: "at 7", Allow: []string{"GET", "PUT"},
		RetryAfter: 3 * time.Second, Op: "test", Err: errors.New("the cause"),
	}
	got := errs.From(shim.FromStatus(shim.ToStatus(fmt.Errorf("wrapped: %w", sent))))
	if got.Err == nil || got.Err.Error() != "the cause" {
		t.Errorf("the cause is %v", got.Err)
	}
	got.Err, sent.Err = nil, nil
	if d := cmp.Diff(sent, got); d != "" {
		t.Errorf("(-sent +arrived):\n%s", d)
	}
}

func TestEveryKindCrosses(t *testing.T) {
	for k := errs.Internal; k <= errs.Corrupt; k++ {
		err := shim.FromStatus(shim.ToStatus(errs.New(k, "", "text")))
		if errs.KindOf(err) != k || errs.From(err).Text() != "text" {
			t.Errorf("%v arrived as %v", k, err)
		}
	}
}

// An error that came from one process and goes on to another keeps what was
// made of it in between.
func TestErrorCrossesTwice(t *testing.T) {
	lost := shim.FromStatus(status.Error(codes.Unavailable, "the connection is gone"))
	for _, k := range []errs.Kind{errs.Unknown, errs.Timeout, errs.Conflict} {
		sent := errs.Wrap(k, "test", lost, "our own words")
		got := errs.From(shim.FromStatus(shim.ToStatus(sent)))
		if got.Kind != k || got.Text() != "our own words" || !shim.Settled(got) {
			t.Errorf("%v arrived as %v %q, from the peer: %v", k, got.Kind, got.Text(), shim.Settled(got))
		}
	}
}

// What a script raises may be any bytes; its kind must arrive all the same.
func TestErrorTextNeedNotBeUTF8(t *testing.T) {
	err := shim.FromStatus(shim.ToStatus(&errs.Error{
		Kind: errs.Script, Code: "\xff", Message: "a\xffb", Traceback: "\xff", Op: "\xff", Allow: []string{"\xff"}, Err: errors.New("\xff"),
	}))
	if e := errs.From(err); e.Kind != errs.Script || e.Message != "a\uFFFDb" {
		t.Errorf("arrived as %+v", e)
	}
}

func TestErrorsThatHaveNoKind(t *testing.T) {
	for _, c := range []struct {
		err  error
		want errs.Kind
	}{
		{errors.New("plain"), errs.Internal},
		{context.DeadlineExceeded, errs.Timeout},
		{fmt.Errorf("wrapped: %w", context.Canceled), errs.Unavailable},
	} {
		if got := errs.KindOf(shim.FromStatus(shim.ToStatus(c.err))); got != c.want {
			t.Errorf("%v arrives as %v, want %v", c.err, got, c.want)
		}
	}
	for code, want := range map[codes.Code]errs.Kind{
		codes.Unavailable: errs.Unavailable, codes.Canceled: errs.Unavailable, codes.DeadlineExceeded: errs.Timeout,
		codes.ResourceExhausted: errs.TooLarge, codes.Unknown: errs.Internal,
	} {
		err := shim.FromStatus(status.Error(code, "by gRPC"))
		if errs.KindOf(err) != want || shim.Settled(err) {
			t.Errorf("gRPC's own %v is %v (from the peer: %v), want %v", code, errs.KindOf(err), shim.Settled(err), want)
		}
	}
	if shim.ToStatus(nil) != nil || shim.FromStatus(nil) != nil {
		t.Error("no error became one")
	}
}

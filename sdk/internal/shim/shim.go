// Package shim is what the shims of all contracts share: gRPC options, the
// translation of errors, and the part of every plugin that plugin.Plugin
// describes. Plugin authors never meet it.
package shim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/internal/pb"
)

// MaxMessage is the largest gRPC message between a kernel and its plugins, in
// bytes: a full page of the largest log entries, with room to spare. gRPC's own
// limit is 4 MiB.
const MaxMessage = 128 << 20

// maxFrame is the largest frame of a link: the largest message and its number.
const maxFrame = MaxMessage + headroom

// NewServer gives the gRPC server of one side of a plugin's connection.
func NewServer(opts []grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append(opts,
		grpc.MaxRecvMsgSize(MaxMessage),
		grpc.MaxSendMsgSize(MaxMessage),
		grpc.MaxConcurrentStreams(maxCalls),
		grpc.ChainUnaryInterceptor(serveUnary),
		grpc.ChainStreamInterceptor(serveStream),
	)...)
}

// DialOptions are the options of the calling side.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage)),
		grpc.WithChainUnaryInterceptor(callUnary),
	}
}

// serveUnary turns a handler's error into a status that keeps its kind, and a
// panic into an Internal error: without it one bad call would end the process.
func serveUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (reply any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicked(info.FullMethod, r)
		}
		err = ToStatus(err)
	}()
	return next(ctx, req)
}

func serveStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicked(info.FullMethod, r)
		}
		err = ToStatus(err)
	}()
	return next(srv, ss)
}

func panicked(method string, r any) error {
	slog.Error("a handler panicked", "method", method, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
	return &errs.Error{Kind: errs.Internal, Op: method, Err: fmt.Errorf("panic: %v", r)}
}

func callUnary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return FromStatus(invoke(ctx, method, req, reply, cc, opts...))
}

// ToStatus gives err as a gRPC status with an Error message as its detail.
// What gRPC itself made passes unchanged, but not where it is the cause of an
// *errs.Error: that one says what it means here.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	ours, ok := errors.AsType[*errs.Error](err)
	switch {
	case ok && ours == nil:
		err = errs.From(err)
	case !ok:
		if s, ok := status.FromError(err); ok {
			p := s.Proto()
			p.Message = clean(p.GetMessage()) // what wraps it may be any bytes
			return status.ErrorProto(p)
		}
	}
	e := contextual(err)
	st, detailErr := status.New(e.GRPCCode(), clean(e.Text())).WithDetails(EncodeError(e))
	if detailErr != nil {
		return status.Error(e.GRPCCode(), clean(e.Error()))
	}
	return st.Err()
}

// contextual gives err as an *errs.Error, with the kinds that fit the errors of a context.
func contextual(err error) *errs.Error {
	if errs.KindOf(err) == errs.Internal {
		switch status.FromContextError(err).Code() {
		case codes.DeadlineExceeded:
			return &errs.Error{Kind: errs.Timeout, Err: err}
		case codes.Canceled:
			return &errs.Error{Kind: errs.Unavailable, Err: err}
		}
	}
	return errs.From(err)
}

// FromStatus gives an error that came over gRPC as an *errs.Error. One without
// our detail was made by gRPC: the other process is gone, the deadline passed,
// or the message was too large.
func FromStatus(err error) error {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok {
		return contextual(err)
	}
	for _, d := range st.Details() {
		if m, ok := d.(*pb.Error); ok {
			return DecodeError(m)
		}
	}
	kind := errs.Internal
	switch st.Code() {
	case codes.Unavailable, codes.Canceled:
		kind = errs.Unavailable
	case codes.DeadlineExceeded:
		kind = errs.Timeout
	case codes.ResourceExhausted:
		kind = errs.TooLarge
	}
	return &errs.Error{Kind: kind, Op: "grpc", Err: connectionError{err}}
}

// connectionError marks what the connection to another process gave, and not
// that process. The mark does not travel further.
type connectionError struct{ error }

// Unwrap gives gRPC's own error.
func (e connectionError) Unwrap() error { return e.error }

// Lost gives the error of a call that may have changed something: what is neither the
// other side's own answer nor about a call that was surely not sent leaves that open.
func Lost(err error, op string) error {
	if err != nil && !Settled(err) && !errs.Is(err, errs.TooLarge) {
		return &errs.Error{Kind: errs.Unknown, Op: op, Err: err}
	}
	return err
}

// Settled reports whether err leaves nothing open: the other process made it itself, or
// the call was surely not sent. What the connection makes of a call leaves that open.
func Settled(err error) bool {
	_, connection := errors.AsType[connectionError](err)
	return !connection
}

// EncodeError gives an error as a message. The cause travels as text.
func EncodeError(e *errs.Error) *pb.Error {
	m := &pb.Error{
		Kind: uint32(e.Kind), Code: clean(e.Code), Message: clean(e.Message), Status: int32(e.Status), Line: int32(e.Line),
		Traceback: clean(e.Traceback), RetryAfterNs: int64(e.RetryAfter), Op: clean(e.Op),
	}
	for _, a := range e.Allow {
		m.Allow = append(m.Allow, clean(a))
	}
	if e.Err != nil {
		m.Cause = clean(e.Err.Error())
	}
	return m
}

// clean gives text that a protobuf string can hold: a script's error may be any bytes.
func clean(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// DecodeError is the reverse of EncodeError.
func DecodeError(m *pb.Error) *errs.Error {
	e := &errs.Error{
		Kind: errs.Kind(min(m.GetKind(), 255)), Code: m.GetCode(), Message: m.GetMessage(), Status: int(m.GetStatus()),
		Line: int(m.GetLine()), Traceback: m.GetTraceback(), Allow: m.GetAllow(), RetryAfter: time.Duration(m.GetRetryAfterNs()), Op: m.GetOp(),
	}
	if m.GetCause() != "" {
		e.Err = errors.New(m.GetCause())
	}
	return e
}

// Micro gives a time as microseconds since 1970, the zero time as 0.
func Micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// FromMicro is the reverse of Micro, in UTC.
func FromMicro(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// Bytes gives an absent field as nil, so that a round trip keeps equality.
func Bytes(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// Package errs is the one error type of a station and of its plugins.
//
// An error has a Kind, which survives every process boundary and decides the
// HTTP status and the gRPC code; a Message of one sentence, written for the
// person who made the call; and, for the station's log alone, the operation
// and the cause. The package never formats a Go stack and never sends a cause.
package errs

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
)

// Kind says what class of thing went wrong. Kinds are append-only: their
// numbers travel between processes of different versions.
type Kind uint8

const (
	// Internal is a fault of the station itself, and the kind of any error that has none.
	Internal Kind = iota
	// Invalid is malformed input: JSON, a parameter, an id.
	Invalid
	// Forbidden is a foreign Origin, an unknown Host or a missing right.
	Forbidden
	// NotFound is an unknown object, version, file or station.
	NotFound
	// MethodNotAllowed is an object without a function of that name; Allow lists those it has.
	MethodNotAllowed
	// BodyTimeout is a request body that came too slowly.
	BodyTimeout
	// Conflict is an edit based on an old version, or an ambiguous id.
	Conflict
	// Precondition is an If-Match that does not match.
	Precondition
	// TooLarge is a body, value or message over its limit.
	TooLarge
	// Unsupported is a content type that is not understood.
	Unsupported
	// Range is a byte range outside a file.
	Range
	// Source is source text that does not compile or load.
	Source
	// Refused is a script's own fail(status, code, message); Status holds its choice.
	Refused
	// Busy is a full queue or a rate limit; RetryAfter says when to come back.
	Busy
	// HeadersTooLarge is a request whose headers exceed the limit.
	HeadersTooLarge
	// Script is a script that failed: a bug, error(x), or a value that cannot be answered.
	Script
	// Limit is a script that used more steps, memory or output than it may.
	Limit
	// Peer is another station that failed.
	Peer
	// Unavailable is a part that is known to be down; nothing was done.
	Unavailable
	// Unknown is a commit that was sent and not acknowledged: not promised, which is not "not done".
	Unknown
	// Timeout is a call that passed its deadline.
	Timeout
	// Loop is a call cycle, or a chain deeper than allowed.
	Loop
	// OutOfSequence is a commit whose sequence is not the object's last plus one; it was not stored.
	OutOfSequence
	// StaleEpoch is a commit of a home epoch, or of an incarnation, older than the stored one; it was not stored.
	StaleEpoch
	// Corrupt is stored data whose checksum does not match.
	Corrupt

	kinds // the number of kinds; keep last
)

// Error is the error of every contract in the sdk. The zero value is an
// Internal error without text.
type Error struct {
	Kind    Kind
	Code    string // snake_case, for programs; empty means the kind's own code
	Message string // one sentence for the caller; empty means the kind's own text

	Status     int           // HTTP status of 400 to 599, with Refused only
	Line       int           // line of the script, 0 if none
	Traceback  string        // of the script, for callers who may see its source
	Allow      []string      // with MethodNotAllowed
	RetryAfter time.Duration // with Busy

	Op  string // where it happened, e.g. "storage.Commit"; logged, not sent to clients
	Err error  // the cause; logged, never sent
}

// New returns an error of a kind with a code and a message for the caller.
// An empty code stands for the kind's own.
func New(k Kind, code, format string, args ...any) *Error {
	return &Error{Kind: k, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns an error of a kind whose cause is err. The caller sees the
// message; the log sees the cause too.
func Wrap(k Kind, op string, err error, format string, args ...any) *Error {
	return &Error{Kind: k, Op: op, Err: err, Message: fmt.Sprintf(format, args...)}
}

// Error gives the text for logs: operation, message and cause.
func (e *Error) Error() string {
	s := e.Text()
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Text is the sentence that a caller may see.
func (e *Error) Text() string {
	if e.Message != "" {
		return e.Message
	}
	return table[e.Kind.known()].text
}

// CodeOf is the snake_case code that a caller sees.
func (e *Error) CodeOf() string {
	if e.Code != "" {
		return e.Code
	}
	return table[e.Kind.known()].code
}

// HTTPStatus is the status that an HTTP client gets: the script's own choice
// for Refused, else the kind's.
func (e *Error) HTTPStatus() int {
	if e.Kind == Refused && e.Status >= 400 && e.Status <= 599 {
		return e.Status
	}
	return table[e.Kind.known()].http
}

// GRPCCode is the code with which the error travels between processes.
func (e *Error) GRPCCode() codes.Code { return table[e.Kind.known()].grpc }

// KindOf is the kind of the first *Error in err's chain, Internal where there is none.
func KindOf(err error) Kind {
	if err == nil {
		return Internal
	}
	return From(err).Kind
}

// Is reports whether err is an error of the kind. A nil error has none.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }

// From gives err as an *Error. One that is none becomes Internal, its text
// kept as the cause, so that it is logged and not sent. From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		return &Error{Kind: Internal, Err: err}
	case e == nil: // its author returned a variable of this type
		return &Error{Kind: Internal, Err: errors.New("a nil *errs.Error was returned as an error")}
	}
	return e
}

// String gives the kind's code.
func (k Kind) String() string { return table[k.known()].code }

// known maps a kind of a newer peer to Internal.
func (k Kind) known() Kind {
	if k >= kinds {
		return Internal
	}
	return k
}

package errs

import (
	"net/http"

	"google.golang.org/grpc/codes"
)

// row is what one kind becomes at each boundary.
type row struct {
	code string
	http int
	grpc codes.Code
	text string
}

// table is the one place where a kind becomes an HTTP status or a gRPC code.
var table = [kinds]row{
	Internal:         {"internal", http.StatusInternalServerError, codes.Internal, "The station failed to handle the call; its log says why."},
	Invalid:          {"invalid", http.StatusBadRequest, codes.InvalidArgument, "The request is malformed."},
	Forbidden:        {"forbidden", http.StatusForbidden, codes.PermissionDenied, "The request is not allowed."},
	NotFound:         {"not_found", http.StatusNotFound, codes.NotFound, "There is no such thing here."},
	MethodNotAllowed: {"method_not_allowed", http.StatusMethodNotAllowed, codes.Unimplemented, "The object does not answer this method."},
	BodyTimeout:      {"body_timeout", http.StatusRequestTimeout, codes.DeadlineExceeded, "The request body came too slowly."},
	Conflict:         {"conflict", http.StatusConflict, codes.Aborted, "The change conflicts with a newer one."},
	Precondition:     {"precondition_failed", http.StatusPreconditionFailed, codes.FailedPrecondition, "The precondition does not hold."},
	TooLarge:         {"too_large", http.StatusRequestEntityTooLarge, codes.ResourceExhausted, "The request is too large."},
	Unsupported:      {"unsupported_content_type", http.StatusUnsupportedMediaType, codes.InvalidArgument, "The content type is not supported."},
	Range:            {"bad_range", http.StatusRequestedRangeNotSatisfiable, codes.OutOfRange, "The range lies outside the file."},
	Source:           {"source_invalid", http.StatusUnprocessableEntity, codes.InvalidArgument, "The source does not compile."},
	Refused:          {"refused", http.StatusUnprocessableEntity, codes.Aborted, "The object refused the call."},
	Busy:             {"busy", http.StatusTooManyRequests, codes.ResourceExhausted, "Too many calls are waiting; try again later."},
	HeadersTooLarge:  {"headers_too_large", http.StatusRequestHeaderFieldsTooLarge, codes.ResourceExhausted, "The request headers are too large."},
	Script:           {"script_failed", http.StatusInternalServerError, codes.Aborted, "The script failed."},
	Limit:            {"limit", http.StatusInternalServerError, codes.ResourceExhausted, "The script exceeded a limit."},
	Peer:             {"peer_failed", http.StatusBadGateway, codes.Unavailable, "Another station failed."},
	Unavailable:      {"unavailable", http.StatusServiceUnavailable, codes.Unavailable, "A part of the station is down; nothing was changed. Try again shortly."},
	Unknown:          {"outcome_unknown", http.StatusServiceUnavailable, codes.Unavailable, "The change was not acknowledged and may or may not have been stored."},
	Timeout:          {"timeout", http.StatusGatewayTimeout, codes.DeadlineExceeded, "The call passed its deadline."},
	Loop:             {"loop", http.StatusLoopDetected, codes.FailedPrecondition, "The call would form a cycle or a chain that is too deep."},
	OutOfSequence:    {"out_of_sequence", http.StatusServiceUnavailable, codes.Aborted, "The change came out of sequence and was not stored; try again."},
	StaleEpoch:       {"stale_epoch", http.StatusServiceUnavailable, codes.Aborted, "The change belongs to an older epoch of the object and was not stored; try again."},
	Corrupt:          {"corrupt", http.StatusInternalServerError, codes.DataLoss, "Stored data is damaged; the station's log names file and line."},
}

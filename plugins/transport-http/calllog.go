package transporthttp

import (
	"context"
	"log/slog"
	"time"
)

// longestPath is how many bytes of a path an entry of the call log has.
const longestPath = 512

// logRequest writes the entry that call_log asks for, once the answer was handed to the
// connection, whose buffer net/http empties behind it, or was broken off. Of the query
// there is nothing: it may hold a token.
func (x *exchange) logRequest(brokenOff bool) {
	if !x.callLog {
		return
	}
	attrs := []slog.Attr{
		slog.String("request_id", x.id),
		slog.String("method", clip(x.r.Method)),
		slog.String("path", clipTo(x.r.URL.Path, longestPath)),
		slog.Int("status", x.out.status),
		slog.Int64("bytes", x.out.bytes),
		slog.Float64("duration_ms", float64(time.Since(x.began).Microseconds())/1000),
	}
	if x.named != "" {
		attrs = append(attrs, slog.String("object", string(x.named)))
	}
	if brokenOff || x.out.failed {
		attrs = append(attrs, slog.Bool("broken_off", true))
	}
	x.log.LogAttrs(context.Background(), slog.LevelInfo, "request", attrs...)
}

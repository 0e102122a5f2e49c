package pluginhost

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	maxLine  = 8 << 10 // bytes of a line that did not come through sdk.Log
	maxLines = 1000    // that a plugin may log in a second
	maxGrave = 100     // of WARN and above beyond these
)

// sink takes the lines of one process, which go-plugin hands on. What go-plugin
// says itself is for debugging: the supervisor reports deaths in better words.
// It is safe for concurrent use.
type sink struct {
	log     *slog.Logger
	name    string // of the plugin
	process string // the name under which go-plugin hands on lines; it speaks itself under others

	mu     sync.Mutex
	second time.Time // when the count began
	lines  int
	grave  int // of WARN and above, among those beyond maxLines
	left   int // lines left out since one was logged
}

func newSink(to *slog.Logger, s Spec) *sink {
	return &sink{log: to.With("plugin", s.Name), name: s.Name, process: s.Name + "." + filepath.Base(s.Command.Path)}
}

// logger is what go-plugin logs to.
func (s *sink) logger() hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: s.name, Output: io.Discard, Level: hclog.Trace}) // go-plugin drops what is below the level
	l.RegisterSink(s)
	return l
}

// Accept implements hclog.SinkAdapter.
func (s *sink) Accept(name string, level hclog.Level, msg string, args ...any) {
	to := levelOf(level)
	var pairs [][]any
	raw := true
	for pair := range slices.Chunk(args, 2) {
		if len(pair) == 2 && pair[0] == "timestamp" {
			raw = false // go-plugin has read the line as one of the log; the station's own has a time
		} else if len(pair) == 2 {
			pair[1] = whole(pair[1])
			pairs = append(pairs, pair)
		}
	}
	// go-plugin reads them into a map: the order in which the plugin wrote them is lost.
	slices.SortFunc(pairs, func(a, b []any) int { return strings.Compare(fmt.Sprint(a[0]), fmt.Sprint(b[0])) })
	switch {
	case name != s.process:
		to = slog.LevelDebug
	case raw:
		to, msg = ofText(to, msg)
	}
	ctx := context.Background()
	if !s.log.Enabled(ctx, to) {
		return
	}
	left, ok := s.admit(time.Now(), to)
	if !ok {
		return
	}
	s.tell(left)
	s.log.Log(ctx, to, msg, slices.Concat(pairs...)...)
}

// whole gives a number without a fraction as one: JSON, through which it came, knows
// floating-point numbers alone, and 1048576 would be logged as 1.048576e+06.
func whole(v any) any {
	if f, ok := v.(float64); ok && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f)
	}
	return v
}

// close is for the end of the process.
func (s *sink) close() {
	s.mu.Lock()
	left := s.left
	s.left = 0
	s.mu.Unlock()
	s.tell(left)
}

func (s *sink) tell(left int) {
	if left > 0 {
		s.log.Warn("the plugin wrote too much; lines were left out", "lines", left, "allowed_per_second", maxLines)
	}
}

func levelOf(level hclog.Level) slog.Level {
	switch {
	case level >= hclog.Error:
		return slog.LevelError
	case level == hclog.Warn:
		return slog.LevelWarn
	case level == hclog.Info:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// ofText is for a line that is not one of the log: somebody wanted it to be
// read. go-plugin knows the stack of a panic as an error, and takes most other
// lines for debugging.
func ofText(level slog.Level, line string) (slog.Level, string) {
	if len(line) > maxLine {
		line = line[:maxLine] + "…"
	}
	if level < slog.LevelInfo && !strings.HasPrefix(line, "[DEBUG]") && !strings.HasPrefix(line, "[TRACE]") {
		level = slog.LevelInfo
	}
	return level, strings.ToValidUTF8(line, "?")
}

// admit says whether a line may be logged, and how many before it were not. What is
// wrong has room of its own, which no lines of another level take.
func (s *sink) admit(now time.Time, level slog.Level) (left int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.second) >= time.Second {
		s.second, s.lines, s.grave = now, 0, 0
	}
	switch {
	case s.lines < maxLines:
		s.lines++
	case level >= slog.LevelWarn && s.grave < maxGrave:
		s.grave++
	default:
		s.left++
		return 0, false
	}
	left, s.left = s.left, 0
	return left, true
}

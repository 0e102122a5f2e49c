package pluginhost

import (
	"log/slog"
	"testing"
	"time"
)

// TestWarningsHaveRoom: lines of a plugin are bounded in each second, and no number of
// entries takes the room of what is wrong.
func TestWarningsHaveRoom(t *testing.T) {
	var s sink
	now := time.Now()
	admitted := func(n int, level slog.Level) (in, left int) {
		for range n {
			more, ok := s.admit(now, level)
			if left += more; ok {
				in++
			}
		}
		return in, left
	}
	for second := range 3 {
		if in, _ := admitted(2*maxLines, slog.LevelInfo); in != maxLines {
			t.Errorf("%d entries of %d are in", in, 2*maxLines)
		}
		if in, left := admitted(maxLines, slog.LevelWarn); in != maxGrave || left != maxLines {
			t.Errorf("%d warnings are in after that many entries, want %d; %d lines are told to be left out, want %d", in, maxGrave, left, maxLines)
		}
		if in, _ := admitted(1, slog.LevelError); in != 0 {
			t.Errorf("errors have no bound in second %d", second)
		}
		now = now.Add(time.Second)
		if in, left := admitted(1, slog.LevelError); in != 1 || left != maxLines-maxGrave+1 {
			t.Errorf("%d error is in at a new second, and %d lines are told to be left out", in, left)
		}
		now = now.Add(time.Second)
	}
}

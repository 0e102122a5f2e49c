package storagetsv

import (
	"context"
	"log/slog"
	"time"
)

// opened says, in one line, what a start has found: a warning where something
// was damaged or cut off.
func (s *Store) opened(took time.Duration) {
	s.countSegments()
	level := slog.LevelInfo
	if s.damage.count() > 0 || s.journal.torn > 0 {
		level = slog.LevelWarn
	}
	retention := "for ever"
	if s.logRetention > 0 {
		retention = s.logRetention.String()
	}
	s.log.Log(context.Background(), level, "data folder opened", "path", s.dir, "boot", s.boot, "objects", s.objects.len(),
		"commits_replayed", s.journal.replayed, "journal_segments", s.journal.found, "torn_bytes_cut", s.journal.torn,
		"lines_edited_by_hand", s.damage.edited.Load(), "lines_damaged", s.damage.count(),
		"fsync", string(s.fsync), "log_retention", retention, "took", took.Round(time.Millisecond).String())
	switch s.fsync {
	case fsyncInterval:
		s.log.Warn("fsync is interval: a power cut may take changes that were acknowledged in the second before it")
	case fsyncNever:
		s.log.Warn("fsync is never: a power cut may take changes that were acknowledged in the minute before it, or more under load")
	}
}

package storagetsv

import (
	"context"
	"sync/atomic"

	"github.com/dbbasic/station/sdk/plugin"
)

// seen is what the store counts of its journal. It is read without a lock: the
// journal's is held while the disk works.
type seen struct {
	fsync    *plugin.Buckets // seconds
	written  atomic.Uint64   // bytes
	segments atomic.Int64
}

// countSegments notes how many segments the journal has, with journalMu held.
func (s *Store) countSegments() {
	n := len(s.journal.sealed)
	if s.journal.active != nil {
		n++
	}
	s.seen.segments.Store(int64(n))
}

// Figures implements plugin.Plugin. It reads memory alone.
func (s *Store) Figures(context.Context) []plugin.Figure {
	return []plugin.Figure{
		s.seen.fsync.Figure("fsync_seconds", "How long the disk took to make a part of the journal durable."),
		{Name: "journal_written_bytes_total", Help: "Bytes that were written to the journal.", Type: plugin.Counter, Samples: plugin.One(float64(s.seen.written.Load()))},
		{Name: "journal_segments", Help: "Files of the journal that are not carried over yet, the one that grows included.", Type: plugin.Gauge, Samples: plugin.One(float64(s.seen.segments.Load()))},
		{Name: "objects", Help: "Objects that the storage knows, deleted ones and modules included.", Type: plugin.Gauge, Samples: plugin.One(float64(s.objects.len()))},
	}
}

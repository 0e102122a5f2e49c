package catalogue

import (
	"slices"
	"time"
)

// Quiet is for how long a file must have been left alone before it counts:
// editors write in several steps, and what lies between two of them is no script.
const Quiet = 100 * time.Millisecond

// settling knows for which files something has happened, and when each of them
// is to be looked at. It reads neither clock nor disk.
type settling struct{ due map[string]time.Time }

// touch sets when a file is looked at, whenever that was to be before.
func (s *settling) touch(path string, at time.Time) {
	if s.due == nil {
		s.due = map[string]time.Time{}
	}
	s.due[path] = at
}

// take removes and gives the files that are to be looked at now, sorted, and says
// when the next one is; zero where none is left.
func (s *settling) take(now time.Time) (paths []string, next time.Time) {
	for path, at := range s.due {
		switch {
		case !at.After(now):
			paths = append(paths, path)
			delete(s.due, path)
		case next.IsZero() || at.Before(next):
			next = at
		}
	}
	slices.Sort(paths)
	return paths, next
}

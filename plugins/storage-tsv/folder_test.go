package storagetsv

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// usedPart is a segment without the newlines that fill it.
func usedPart(segment []byte) []byte {
	return append(bytes.TrimRight(segment, "\n"), '\n')
}

// folder is a real data folder with what its stores logged.
type folder struct {
	t      *testing.T
	config plugin.Config
	log    lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newFolder(t *testing.T) *folder {
	return &folder{t: t, config: plugin.Config{Station: here, DataDir: filepath.Join(t.TempDir(), "deep", "data")}}
}

// open opens the folder with a store whose carrier the test drives.
func (f *folder) open() *Store {
	f.t.Helper()
	return openStore(f.t, f.config, func(s *Store) {
		s.openFS, s.manual, s.segmentSize = openUnsynced, true, smallSegment
		s.log = slog.New(slog.NewTextHandler(&f.log, nil))
	})
}

// kill ends the store as a kill of its process would.
func (f *folder) kill(s *Store) {
	f.t.Helper()
	if err := s.abandon(); err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) path(name string) string { return filepath.Join(f.config.DataDir, name) }

func (f *folder) read(name string) []byte {
	f.t.Helper()
	b, err := os.ReadFile(f.path(name))
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

func (f *folder) write(name string, b []byte) {
	f.t.Helper()
	if err := os.WriteFile(f.path(name), b, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) logged(parts ...string) {
	f.t.Helper()
	for _, p := range parts {
		if !strings.Contains(f.log.String(), p) {
			f.t.Errorf("the log does not say %q:\n%s", p, f.log.String())
		}
	}
}

// count commits the sequences from a to b of the object, one batch each.
func count(t testing.TB, s *Store, name id.Object, a, b uint64) {
	t.Helper()
	for n := a; n <= b; n++ {
		if err := s.Commit(t.Context(), []storage.Commit{numbered(name, n)})[0]; err != nil {
			t.Fatalf("commit %d: %v", n, err)
		}
	}
}

// linesOf gives the lines of a commit in the journal.
func linesOf(c *storage.Commit) []byte {
	b, _ := appendCommit(nil, c, nil)
	return b
}

// numbered is a commit that sets "n" and the key of its sequence, and logs one entry.
func numbered(name id.Object, n uint64) storage.Commit {
	c := counting(name, n)
	c.State = []storage.StateChange{
		{Key: "n", Value: fmt.Append(nil, n), Stamp: c.Stamp},
		{Key: fmt.Sprintf("k%d", n), Value: fmt.Append(nil, n), Stamp: c.Stamp},
	}
	if n > 1 {
		c.State[0].Was = hlc.Stamp{Time: c.Stamp.Time - 1, Station: here}
	}
	return c
}

// wantCount checks that an object holds exactly the sequences.
func wantCount(t testing.TB, s *Store, name id.Object, sequences ...uint64) {
	t.Helper()
	o, err := s.Load(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for _, c := range o.State {
		keys[c.Key] = true
	}
	for _, n := range sequences {
		if !keys[fmt.Sprintf("k%d", n)] {
			t.Errorf("%s: the key of commit %d is missing", name, n)
		}
	}
	if len(keys) != len(sequences)+1 {
		t.Errorf("%s: %d keys, want %d", name, len(keys), len(sequences)+1)
	}
	p, err := s.Logs(t.Context(), storage.LogsQuery{Object: name, Oldest: true, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var got []uint64
	for _, e := range p.Entries {
		got = append(got, e.ID.Sequence)
	}
	if !slices.Equal(got, sequences) {
		t.Errorf("%s: log entries %v, want %v", name, got, sequences)
	}
}

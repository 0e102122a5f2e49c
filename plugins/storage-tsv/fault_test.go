package storagetsv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

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
		s.manual = true
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
func count(t *testing.T, s *Store, name id.Object, a, b uint64) {
	t.Helper()
	for n := a; n <= b; n++ {
		if err := s.Commit(t.Context(), []storage.Commit{numbered(name, n)})[0]; err != nil {
			t.Fatalf("commit %d: %v", n, err)
		}
	}
}

// numbered is a commit that sets "n" and the key of its sequence, and logs one entry.
func numbered(name id.Object, n uint64) storage.Commit {
	c := counting(name, n)
	c.State = []storage.StateChange{
		{Key: "n", Value: fmt.Append(nil, n), Stamp: c.Stamp},
		{Key: fmt.Sprintf("k%d", n), Value: fmt.Append(nil, n), Stamp: c.Stamp},
	}
	return c
}

// wantCount checks that an object holds exactly the sequences.
func wantCount(t *testing.T, s *Store, name id.Object, sequences ...uint64) {
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

func TestKillAfterCarryOver(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 5)
	if err := s.round(true); err != nil { // carried and checkpointed
		t.Fatal(err)
	}
	count(t, s, "a", 6, 9)
	if err := s.round(false); err != nil { // carried, not checkpointed
		t.Fatal(err)
	}
	count(t, s, "a", 10, 11)
	f.kill(s)
	if n := bytes.Count(f.read("logs/a/log.tsv"), []byte{'\n'}); n != 10 {
		t.Fatalf("log.tsv has %d lines, the test wants a header and 9 entries", n)
	}
	for range 3 {
		s = f.open()
		wantCount(t, s, "a", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
		if err := s.round(false); err != nil {
			t.Fatal(err)
		}
		wantCount(t, s, "a", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
		f.kill(s)
	}
}

func TestTornTailIsCut(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 3)
	f.kill(s)
	whole := f.read("journal/000001.tsv")
	torn := appendCommit(nil, new(numbered("a", 4))) // without its batch line
	f.write("journal/000001.tsv", slices.Concat(whole, torn))
	s = f.open()
	wantCount(t, s, "a", 1, 2, 3)
	f.logged("torn tail", fmt.Sprintf("bytes=%d", len(torn)))
	if s.damage.count() != 0 {
		t.Error("a torn tail counts as damage")
	}
	if b := f.read("journal/000001.tsv"); !bytes.Equal(b, whole) {
		t.Errorf("the segment has %d bytes after the cut, want %d", len(b), len(whole))
	}
	count(t, s, "a", 4, 4)
}

func TestFlippedByteInJournal(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	if r := s.Commit(t.Context(), []storage.Commit{numbered("a", 1), numbered("b", 1), numbered("c", 1)}); slices.ContainsFunc(r, func(err error) bool { return err != nil }) {
		t.Fatal(r)
	}
	count(t, s, "a", 2, 4)
	f.kill(s)
	b := f.read("journal/000001.tsv")
	b[bytes.Index(b, []byte("commit\tb"))+80] ^= 1
	f.write("journal/000001.tsv", b)
	s = f.open()
	wantCount(t, s, "a", 1, 2, 3, 4)
	wantCount(t, s, "c", 1)
	if o, _ := s.Load(t.Context(), "b"); len(o.State) != 0 {
		t.Errorf("the damaged commit left %v", o.State)
	}
	f.logged("journal/000001.tsv", "line=7", "damaged/lines.tsv")
	if !bytes.Contains(f.read("damaged/lines.tsv"), []byte("journal/000001.tsv")) {
		t.Error("damaged/lines.tsv does not hold the line")
	}
}

// TestEveryFlippedByteInJournal flips each byte of a journal in turn: whatever
// is left of an object is whole commits, in order.
func TestEveryFlippedByteInJournal(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 3)
	f.kill(s)
	good := f.read("journal/000001.tsv")
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 4
		if err := errors.Join(os.RemoveAll(f.path("journal")), os.Mkdir(f.path("journal"), 0o700), os.RemoveAll(f.path("damaged"))); err != nil {
			t.Fatal(err)
		}
		f.write("journal/000001.tsv", b)
		s := New(slog.New(slog.DiscardHandler), "test")
		s.manual = true
		if err := s.Configure(t.Context(), f.config); err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
		p, err := s.Logs(t.Context(), storage.LogsQuery{Object: "a", Limit: 10, Oldest: true})
		if err != nil {
			t.Fatal(err)
		}
		var left []uint64
		for _, e := range p.Entries {
			left = append(left, e.ID.Sequence)
		}
		if len(left) < 2 {
			t.Errorf("byte %d: one flipped byte left %v of 1, 2, 3", i, left)
		}
		if len(left) > 0 {
			wantCount(t, s, "a", left...)
		}
		f.kill(s)
	}
}

func TestDamagedAndEditedLines(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 4)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	state := f.read("state/a/state.tsv")
	state[bytes.Index(state, []byte("k2\t2"))+3] = '7' // a wrong checksum
	state = append(state, "hand\t\"made\"\t5.0.st-1\n"...)
	state = append(state, "bad\tnot json\t5.0.st-1\n"...)
	f.write("state/a/state.tsv", state)
	log := f.read("logs/a/log.tsv")
	log = bytes.Replace(log, []byte("st-1.1.3"), []byte("st-1.1.9"), 1)
	log = append(log, "st-1.1.77\t2026-01-02T03:04:05Z\tINFO\ttyped\t\n"...)
	f.write("logs/a/log.tsv", log)
	s = f.open()
	for range 2 {
		o, err := s.Load(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, c := range o.State {
			keys = append(keys, c.Key)
		}
		if want := []string{"hand", "k1", "k3", "k4", "n"}; !slices.Equal(keys, want) {
			t.Errorf("keys %v, want %v", keys, want)
		}
		p, err := s.Logs(t.Context(), storage.LogsQuery{Object: "a", Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Entries) != 4 || p.Entries[0].Message != "typed" {
			t.Errorf("log %+v, want 4 entries, the typed one first", p.Entries)
		}
	}
	if d, h := s.damage.count(), s.damage.edited(); d != 3 || h != 2 {
		t.Errorf("%d damaged lines and %d edited ones, want 3 and 2, however often they are read", d, h)
	}
	f.logged("file=state/a/state.tsv line=3", "file=logs/a/log.tsv line=4")
}

func TestDamagedVersion(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	c := numbered("a", 1)
	c.Version = version(1, "return 1")
	if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.write("versions/a/v1.lua", []byte("return 2"))
	_, err := f.open().Version(t.Context(), "a", 1)
	if !errs.Is(err, errs.Corrupt) {
		t.Errorf("got %v, want errs.Corrupt", err)
	}
}

// TestLostRow loses the row of an object, and the whole of objects.tsv.
func TestLostRow(t *testing.T) {
	for _, how := range []string{"flipped", "removed"} {
		t.Run(how, func(t *testing.T) {
			f := newFolder(t)
			s := f.open()
			c := numbered("a", 1)
			c.Version = version(1, "return 1")
			if err := s.Commit(t.Context(), []storage.Commit{c, numbered("b", 1)})[0]; err != nil {
				t.Fatal(err)
			}
			if err := s.round(true); err != nil {
				t.Fatal(err)
			}
			count(t, s, "a", 2, 3)
			f.kill(s)
			b := f.read("objects.tsv")
			b[bytes.Index(b, []byte("\na\t"))+3] ^= 1
			f.write("objects.tsv", b)
			if how == "removed" {
				if err := os.Remove(f.path("objects.tsv")); err != nil {
					t.Fatal(err)
				}
			}
			s = f.open()
			wantCount(t, s, "a", 1, 2, 3)
			wantCount(t, s, "b", 1)
			o, _ := s.Load(t.Context(), "a")
			if o.Sequence != 3 || o.Head != 1 {
				t.Errorf("sequence %d, head %d; want 3 and 1", o.Sequence, o.Head)
			}
			count(t, s, "a", 4, 4)
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantCount(t, f.open(), "a", 1, 2, 3, 4)
		})
	}
}

func TestLockedFolder(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	second := New(slog.New(slog.DiscardHandler), "test")
	second.lockWait = 10 * time.Millisecond
	err := second.Configure(t.Context(), f.config)
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) || !strings.Contains(err.Error(), f.config.DataDir) {
		t.Errorf("got %v, want errs.Unavailable with the holder and the path", err)
	}
	third := New(slog.New(slog.DiscardHandler), "test")
	done := make(chan error, 1)
	go func() { done <- third.Configure(context.Background(), f.config) }()
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("a folder that is released within the wait: %v", err)
	}
	_ = third.Close(t.Context())
}

func TestForeignFolder(t *testing.T) {
	f := newFolder(t)
	if err := f.open().Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := f.config
	c.Station = "other"
	err := New(slog.New(slog.DiscardHandler), "test").Configure(t.Context(), c)
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), string(here)) || !strings.Contains(err.Error(), "other") {
		t.Errorf("got %v, want errs.Invalid that names both stations", err)
	}
	f.write("station.tsv", []byte("name\tvalue\tcrc\nformat\t2\n"))
	err = New(slog.New(slog.DiscardHandler), "test").Configure(t.Context(), f.config)
	if !errs.Is(err, errs.Invalid) {
		t.Errorf("a newer format: %v", err)
	}
}

func TestLostBootStillRises(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	first, _ := s.Boot(t.Context())
	_ = s.Close(t.Context())
	if err := os.Remove(f.path("station.tsv")); err != nil {
		t.Fatal(err)
	}
	second, _ := f.open().Boot(t.Context())
	if second.Number <= first.Number {
		t.Errorf("boot %d after boot %d", second.Number, first.Number)
	}
}

func TestPermissions(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	c := numbered("a", 1)
	c.Version = version(1, "return 1")
	_ = s.Commit(t.Context(), []storage.Commit{c})
	_ = s.round(false)
	err := filepath.WalkDir(f.config.DataDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := d.Info()
		if err == nil && i.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", path, i.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// memStore opens a store on a file system that fails what fail says.
func memStore(t *testing.T, m *memFS, ended *error) *Store {
	return openStore(t, plugin.Config{Station: here, DataDir: "/data"}, func(s *Store) {
		s.openFS = func(string) (fsys, error) { return m, nil }
		s.fatal = func(err error) { *ended = err }
		s.manual = true
	})
}

func TestFullDisk(t *testing.T) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	count(t, s, "a", 1, 2)
	m.fail = func(op, _ string) error {
		if op == "write" || op == "create" {
			return syscall.ENOSPC
		}
		return nil
	}
	for range 3 {
		for _, err := range s.Commit(t.Context(), []storage.Commit{numbered("a", 3), numbered("b", 1)}) {
			if !errs.Is(err, errs.Unavailable) || !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("got %v, want errs.Unavailable because of ENOSPC", err)
			}
		}
	}
	if err := s.round(false); err == nil {
		t.Error("a carry-over on a full disk succeeded")
	}
	if h := s.Health(t.Context()); h.OK {
		t.Error("health is fine while nothing can be carried over")
	}
	wantCount(t, s, "a", 1, 2)
	m.fail = nil
	count(t, s, "a", 3, 4)
	for range 2 {
		if err := s.round(true); err != nil {
			t.Fatal(err)
		}
		wantCount(t, s, "a", 1, 2, 3, 4)
	}
	if h := s.Health(t.Context()); !h.OK || ended != nil {
		t.Errorf("health %+v, ended %v; want a store that has recovered", h, ended)
	}
	again := memStore(t, m.after(kept, nil), &ended)
	wantCount(t, again, "a", 1, 2, 3, 4)
	if again.damage.count() != 0 {
		t.Errorf("%d damaged lines after a full disk", again.damage.count())
	}
}

func TestFailedFsyncEndsTheStore(t *testing.T) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	count(t, s, "a", 1, 2)
	syncs := 0
	m.fail = func(op, _ string) error {
		if op == "sync" {
			syncs++
			return syscall.EIO
		}
		return nil
	}
	if err := s.Commit(t.Context(), []storage.Commit{numbered("a", 3)})[0]; !errs.Is(err, errs.Unknown) {
		t.Errorf("got %v, want errs.Unknown", err)
	}
	if !errors.Is(ended, syscall.EIO) {
		t.Errorf("the process was ended with %v, want EIO", ended)
	}
	if err := s.Commit(t.Context(), []storage.Commit{numbered("a", 3)})[0]; !errs.Is(err, errs.Unavailable) {
		t.Errorf("a commit after it: %v, want errs.Unavailable", err)
	}
	if h := s.Health(t.Context()); h.OK {
		t.Error("health is fine after a failed fsync")
	}
	_ = s.Close(t.Context())
	if syncs != 1 {
		t.Errorf("fsync was tried %d times, want once", syncs)
	}
}

// TestBackPressure fills the journal while nothing is carried over.
func TestBackPressure(t *testing.T) {
	f := newFolder(t)
	s := openStore(t, f.config, func(s *Store) { s.manual, s.segmentSize = true, 1 })
	count(t, s, "a", 1, maxSealed+1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Commit(ctx, []storage.Commit{numbered("a", maxSealed+2)})[0]; !errs.Is(err, errs.Unavailable) {
		t.Errorf("got %v, want errs.Unavailable: there is no room until a round ends", err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Commit(context.Background(), []storage.Commit{numbered("a", maxSealed+2)})[0] }()
	if err := s.round(false); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("a commit that waited: %v", err)
	}
	left, err := os.ReadDir(f.path("journal"))
	if err != nil || len(left) > 1 {
		t.Errorf("%d segments are left, want the last at most: %v", len(left), err)
	}
}

// TestScanLimit pages through a log in which nothing matches.
func TestScanLimit(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	s.scan.lines = 10
	count(t, s, "a", 1, 25)
	q := storage.LogsQuery{Object: "a", Limit: 5, Levels: []storage.Level{storage.Error}}
	for i, want := range []int{10, 10, 5} {
		p, err := s.Logs(t.Context(), q)
		if err != nil || len(p.Entries) != 0 || p.Scanned != want || (p.Next == "") != (i == 2) {
			t.Errorf("page %d: %+v, %v; want %d scanned", i, p, err, want)
		}
		q.Cursor = p.Next
	}
}

func TestInvalidUTF8InMessages(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	c := numbered("a", 1)
	c.Entries[0].Message = "a\xff\xfeb\xc3"
	if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
		t.Fatal(err)
	}
	f.kill(s)
	p, err := f.open().Logs(t.Context(), storage.LogsQuery{Object: "a", Limit: 1})
	if err != nil || len(p.Entries) != 1 || p.Entries[0].Message != c.Entries[0].Message {
		t.Errorf("%+v, %v", p, err)
	}
}

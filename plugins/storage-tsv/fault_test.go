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
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// smallSegment is a segment size that a test may write as often as it likes.
const smallSegment = 64 << 10

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
func memStore(t testing.TB, m *memFS, ended *error) *Store {
	return openStore(t, plugin.Config{Station: here, DataDir: "/data"}, func(s *Store) {
		s.openFS = func(string) (fsys, error) { return m, nil }
		s.fatal = func(err error) { *ended = err }
		s.manual, s.segmentSize = true, smallSegment
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
	if h := s.Health(t.Context()); h.OK || !strings.Contains(h.Problem, "The disk is full") {
		t.Errorf("health is %+v while no commit can be written", h)
	}
	if err := s.round(false); err == nil {
		t.Error("a carry-over on a full disk succeeded")
	}
	if h := s.Health(t.Context()); h.OK {
		t.Error("health is fine while nothing can be carried over")
	}
	wantCount(t, s, "a", 1, 2)
	m.fail = nil
	if err := s.round(false); err != nil {
		t.Fatal(err)
	}
	if h := s.Health(t.Context()); h.OK {
		t.Error("health is fine before a commit was written again: what was carried over needs no room of the journal")
	}
	for len(s.dirt.urgent) > 0 {
		<-s.dirt.urgent
	}
	count(t, s, "a", 3, 4)
	if len(s.dirt.urgent) == 0 {
		t.Error("a commit that is written again has no round follow, without which health stays bad")
	}
	for range 2 {
		if err := s.round(true); err != nil {
			t.Fatal(err)
		}
		wantCount(t, s, "a", 1, 2, 3, 4)
	}
	if h := s.Health(t.Context()); !h.OK || ended != nil {
		t.Errorf("health %+v, ended %v; want a store that has recovered", h, ended)
	}
	again := memStore(t, m.after(killed, nil), &ended)
	wantCount(t, again, "a", 1, 2, 3, 4)
	if again.damage.count() != 0 {
		t.Errorf("%d damaged lines after a full disk", again.damage.count())
	}
}

// TestFailedWriteIsTakenBack fails writes whose bytes have arrived: a commit
// that was refused must not turn up at the next start.
func TestFailedWriteIsTakenBack(t *testing.T) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	count(t, s, "a", 1, 2)
	m.late = true
	m.fail = func(op, _ string) error {
		if op == "write" {
			return syscall.EIO
		}
		return nil
	}
	if err := s.Commit(t.Context(), []storage.Commit{numbered("a", 3)})[0]; !errs.Is(err, errs.Unavailable) {
		t.Errorf("got %v, want errs.Unavailable", err)
	}
	m.fail = func(op, name string) error {
		if op == "write" && strings.HasPrefix(name, "logs/") {
			return syscall.EIO
		}
		return nil
	}
	if err := s.round(false); err == nil {
		t.Error("a carry-over succeeded whose writes fail")
	}
	wantCount(t, s, "a", 1, 2)
	m.fail = nil
	if err := s.round(false); err != nil {
		t.Fatal(err)
	}
	wantCount(t, s, "a", 1, 2)
	wantCount(t, memStore(t, m.after(lost, nil), &ended), "a", 1, 2)
	s = memStore(t, m.after(killed, nil), &ended)
	wantCount(t, s, "a", 1, 2)
	count(t, s, "a", 3, 3)
}

// TestWriteThatCannotBeTakenBack ends the store.
func TestWriteThatCannotBeTakenBack(t *testing.T) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	count(t, s, "a", 1, 2)
	m.fail = func(op, _ string) error {
		if op == "write" || op == "truncate" {
			return syscall.EIO
		}
		return nil
	}
	if err := s.Commit(t.Context(), []storage.Commit{numbered("a", 3)})[0]; !errs.Is(err, errs.Unknown) || ended == nil {
		t.Errorf("got %v, ended %v; want errs.Unknown and the end", err, ended)
	}
}

// TestReappearingSegment puts a dropped segment back, as a power cut may do
// before the removal of its name is durable.
func TestReappearingSegment(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 3)
	old := f.read("journal/000001.tsv")
	for range 2 {
		if err := s.round(true); err != nil {
			t.Fatal(err)
		}
		o, _ := s.Load(t.Context(), "a")
		count(t, s, "a", o.Sequence+1, o.Sequence+3)
	}
	f.write("journal/000001.tsv", old)
	f.kill(s)
	s = f.open()
	wantCount(t, s, "a", 1, 2, 3, 4, 5, 6, 7, 8, 9)
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	wantCount(t, s, "a", 1, 2, 3, 4, 5, 6, 7, 8, 9)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.write("journal/000001.tsv", old)
	s = f.open()
	if o, _ := s.Load(t.Context(), "a"); o.Sequence != 9 || s.journal.replayed != 0 {
		t.Errorf("sequence %d with %d commits replayed, want 9 and none", o.Sequence, s.journal.replayed)
	}
	wantCount(t, s, "a", 1, 2, 3, 4, 5, 6, 7, 8, 9)
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
	for _, q := range []storage.LogsQuery{
		{Levels: []storage.Level{storage.Error}}, {Text: "nowhere"}, {Fields: []storage.FieldFilter{{Name: "user", Value: "ann"}}},
	} {
		q.Object, q.Limit = "a", 5
		for i, want := range []int{10, 10, 5} {
			p, err := s.Logs(t.Context(), q)
			if err != nil || len(p.Entries) != 0 || p.Scanned != want || (p.Next == "") != (i == 2) {
				t.Errorf("page %d: %+v, %v; want %d scanned", i, p, err, want)
			}
			q.Cursor = p.Next
		}
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

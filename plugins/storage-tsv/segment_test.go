package storagetsv

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// TestCommitChangesNoSize commits into a segment that is filled, and finds the
// dropped one again as the spare: nothing but newlines.
func TestCommitChangesNoSize(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	for round := range 3 {
		count(t, s, "a", uint64(5*round+1), uint64(5*round+5))
		name := segmentName(s.journal.segment)
		if b := f.read(name); len(b) != smallSegment || len(usedPart(b)) != int(s.journal.size) {
			t.Fatalf("the segment has %d bytes, %d of them used; want %d and %d", len(b), len(usedPart(b)), smallSegment, s.journal.size)
		}
		if err := s.round(true); err != nil {
			t.Fatal(err)
		}
		if b := f.read(spareFile); !bytes.Equal(b, newlines[:smallSegment]) {
			t.Fatalf("round %d: the spare has %d bytes, used are %q", round, len(b), usedPart(b))
		}
		if names, err := os.ReadDir(f.path("journal")); err != nil || len(names) != 1 {
			t.Fatalf("%v in journal/, %v; want the spare alone", names, err)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The spare outlives a start, and one that holds anything is filled again.
	b := f.read(spareFile)
	copy(b[9000:], "commit\tx")
	f.write(spareFile, b)
	s = f.open()
	count(t, s, "a", 16, 16)
	f.kill(s)
	if b := f.read(segmentName(s.journal.segment)); bytes.Contains(b, []byte("commit\tx")) {
		t.Error("what a spare held came into the journal")
	}
	wantCount(t, f.open(), "a", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
}

// TestFlippedByteInUnusedPart is a torn tail: it costs nothing and is said.
func TestFlippedByteInUnusedPart(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 3)
	f.kill(s)
	b := f.read("journal/000001.tsv")
	b[smallSegment/2] ^= 1
	f.write("journal/000001.tsv", b)
	s = f.open()
	wantCount(t, s, "a", 1, 2, 3)
	f.logged("torn tail", "bytes=1\n", "torn_bytes_cut=1 ", "level=WARN msg=\"data folder opened\"")
	if s.damage.count() != 0 {
		t.Error("a flipped byte in the unused part counts as damage")
	}
}

// TestLostSectors blanks a stretch within batches that were durable: it costs
// the commits it touches, and one report each and not one per newline.
func TestLostSectors(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 100)
	f.kill(s)
	b := f.read("journal/000001.tsv")
	from := bytes.Index(b, []byte("\tk10\t"))
	copy(b[from:from+2000], newlines)
	f.write("journal/000001.tsv", b)
	s = f.open()
	o, err := s.Load(t.Context(), "a")
	if err != nil || o.Sequence != 100 || len(o.State) < 80 {
		t.Errorf("sequence %d with %d keys, %v; want 100 with most of the keys", o.Sequence, len(o.State), err)
	}
	if n := s.damage.count(); n == 0 || n > 20 {
		t.Errorf("%d damaged lines for 2,000 lost bytes", n)
	}
}

// TestNoRoomToFill goes on without filling, and says so once.
func TestNoRoomToFill(t *testing.T) {
	var ended error
	var log lockedBuffer
	m := newMemFS()
	s := memStore(t, m, &ended)
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	m.fail = func(op, name string) error {
		if op == "write" && name == spareMaker {
			return syscall.ENOSPC
		}
		return nil
	}
	for n := range uint64(3) {
		count(t, s, "a", n+1, n+1)
		if err := s.round(true); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "not filled ahead"); n != 1 {
		t.Errorf("said %d times, want once:\n%s", n, log.String())
	}
	wantCount(t, s, "a", 1, 2, 3)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.find(spareMaker) != nil || m.find(spareFile) != nil {
		t.Error("a spare that could not be filled is left")
	}
}

// TestNoRoomWakesNobody: while no spare can be made no commit asks for one.
func TestNoRoomWakesNobody(t *testing.T) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	m.fail = func(op, name string) error {
		if op == "write" && name == spareMaker {
			return syscall.ENOSPC
		}
		return nil
	}
	asked := func(n uint64) bool {
		for len(s.dirt.low) > 0 {
			<-s.dirt.low
		}
		count(t, s, "a", n, n)
		return len(s.dirt.low) > 0
	}
	n := uint64(1)
	for ; s.journal.size <= smallSegment/2; n++ {
		if asked(n) && s.journal.size <= smallSegment/2 {
			t.Fatalf("commit %d asked for a spare while the segment is less than half full", n)
		}
	}
	if asked(n) {
		t.Error("a commit asked for a spare behind an attempt that failed")
	}
	s.spare.after.Store(new(time.Now().Add(-time.Second)))
	if !asked(n + 1) {
		t.Error("nobody asked for a spare once it was time to try again")
	}
}

// TestFailedFsyncOfSpare ends the store, like any other.
func TestFailedFsyncOfSpare(t *testing.T) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	m.fail = func(op, name string) error {
		if op == "sync" && name == spareMaker {
			return syscall.EIO
		}
		return nil
	}
	if err := s.Commit(t.Context(), nil); len(err) != 0 {
		t.Fatal(err)
	}
	if err := s.keepSpare(); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want EIO", err)
	}
}

// TestNothingCarriedBeforeItsSync holds a store in the modes whose commits are
// not synced: no file of an object is written before the journal's fsync.
func TestNothingCarriedBeforeItsSync(t *testing.T) {
	for _, mode := range []fsyncMode{fsyncInterval, fsyncNever} {
		m := newMemFS()
		h := newHistory()
		h.mode = mode
		s := h.start(t, m)
		var ops []string
		m.fail = func(op, name string) error {
			ops = append(ops, op+" "+strings.SplitN(name, "/", 2)[0])
			return nil
		}
		commitTo(t, s, 1, 1)
		if got := strings.Join(ops, " "); strings.Contains(got, "sync journal") { // but for the name of its segment
			t.Errorf("%s: a commit synced: %v", mode, got)
		}
		commitTo(t, s, 1, 2)
		for line := range bytes.Lines(m.find("journal/000001.tsv").data) {
			if _, at, _, ok := parseBatchLine(line); ok && at > s.journal.durable {
				t.Errorf("%s: a batch says that %d bytes are durable, %d are", mode, at, s.journal.durable)
			}
		}
		ops = nil
		if err := s.round(false); err != nil {
			t.Fatal(err)
		}
		if len(ops) == 0 || ops[0] != "sync journal" {
			t.Errorf("%s: a round began with %v, want the sync of the journal", mode, ops)
		}
		// What comes after the sync waits for the next round.
		commitTo(t, s, 1, 3)
		list, err := s.takeDirty()
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		commitTo(t, s, 1, 4)
		if err := s.carryObject(list[0]); err != nil {
			t.Fatal(err)
		}
		if o := list[0]; o.carried.sequence != 3 || len(o.pending) != 1 || !o.queued {
			t.Errorf("%s: carried up to %d with %d pending, want 3 and 1", mode, o.carried.sequence, len(o.pending))
		}
	}
}

// TestOptions checks what is taken and what is said of the rest.
func TestOptions(t *testing.T) {
	for value, want := range map[string]string{"0": "0s", "720h": "720h0m0s", "30d": "720h0m0s", "90m": "1h30m0s"} {
		if o, err := parseOptions(map[string]string{"log_retention": value}); err != nil || o.logRetention.String() != want {
			t.Errorf("log_retention %q is %v, %v; want %s", value, o.logRetention, err, want)
		}
	}
	for _, c := range []struct{ name, value, allowed string }{
		{"fsync", "sometimes", "always, interval or never"}, {"fsync", "", "always, interval or never"}, {"log_retention", "soon", "30d"}, {"log_retention", "", "30d"},
		{"log_retention", "-1h", "30d"}, {"log_retention", "d", "30d"}, {"log_retention", "200000d", "30d"}, {"colour", "red", "fsync and log_retention"},
	} {
		config := newFolder(t).config
		config.Options = map[string]string{c.name: c.value}
		err := New(slog.New(slog.DiscardHandler), "test").Configure(t.Context(), config)
		if err == nil || !strings.Contains(err.Error(), c.name) || !strings.Contains(err.Error(), c.allowed) {
			t.Errorf("%s=%q: %v; want an error that says %q", c.name, c.value, err, c.allowed)
		}
		if _, err := os.Stat(config.DataDir); err == nil {
			t.Errorf("%s=%q: the data folder was made", c.name, c.value)
		}
	}
}

// TestStartReport reads the one line of a start.
func TestStartReport(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 3)
	f.kill(s)
	f.config.Options = map[string]string{"fsync": "interval", "log_retention": "30d"}
	var log lockedBuffer
	openStore(t, f.config, func(s *Store) { s.log = slog.New(slog.NewTextHandler(&log, nil)); s.manual = true })
	for _, want := range []string{
		"level=INFO msg=\"data folder opened\"", " boot=2 ", " objects=1 ", " commits_replayed=3 ", " journal_segments=1 ", " torn_bytes_cut=0 ",
		" lines_edited_by_hand=0 ", " lines_damaged=0 ", " fsync=interval ", " log_retention=720h0m0s ", " took=",
		"level=WARN msg=\"fsync is interval",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, log.String())
		}
	}
	if n := strings.Count(log.String(), "data folder opened"); n != 1 {
		t.Errorf("%d reports", n)
	}
}

func batchOf(c storage.Commit) []storage.Commit { return []storage.Commit{c} }

func isUnavailable(err error) bool { return errs.Is(err, errs.Unavailable) }

// TestEveryOperationFails fails each operation of a workload in turn, once and
// from then on: no acknowledged commit is lost, what is refused says why, and
// the store goes on afterwards, but for a failed fsync, which ends it.
func TestEveryOperationFails(t *testing.T) {
	for _, cause := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
		for _, persistent := range []bool{false, true} {
			for at, more := 1, true; more; at++ {
				t.Run(fmt.Sprintf("%v,%v,%d", cause, persistent, at), func(t *testing.T) { more = failAt(t, cause, persistent, at) })
			}
		}
	}
}

func failAt(t *testing.T, cause syscall.Errno, persistent bool, at int) bool {
	m := newMemFS()
	var ended error
	s := openStore(t, plugin.Config{Station: here, DataDir: "/data"}, func(s *Store) {
		s.openFS = func(string) (fsys, error) { return m, nil }
		s.fatal = func(err error) { ended = err }
		s.manual, s.segmentSize = true, 1500
	})
	ops := 0
	m.fail = func(_, name string) error {
		// A bad sector of an object's own file costs that file: see aside_test.go.
		if cause == syscall.EIO && !strings.HasPrefix(name, "journal") && name != objectsFile {
			return nil
		}
		if ops++; ops == at || persistent && ops > at {
			return cause
		}
		return nil
	}
	var kept []uint64
	try := func() {
		n := uint64(len(kept) + 1)
		c := numbered("a", n)
		switch err := s.Commit(t.Context(), batchOf(c))[0]; {
		case err == nil:
			kept = append(kept, n)
		case ended == nil && !strings.Contains(err.Error(), diskSays(cause)):
			t.Errorf("commit %d: %v; want %q in it", n, err, diskSays(cause))
		case ended == nil && !isUnavailable(err):
			t.Errorf("commit %d: %v; want errs.Unavailable", n, err)
		}
	}
	for i := range 12 {
		if ended != nil {
			break
		}
		try()
		if i%3 == 2 {
			_ = s.round(i%2 == 0) // it may fail
		}
	}
	came := ops >= at
	m.fail = nil
	if ended == nil {
		before := len(kept)
		if err := s.round(true); err != nil {
			t.Fatalf("after the fault: %v", err)
		}
		try()
		if len(kept) != before+1 || !s.Health(t.Context()).OK {
			t.Errorf("the store did not recover: %+v", s.Health(t.Context()))
		}
		wantCount(t, s, "a", kept...)
	}
	_ = s.abandon()
	again := memStore(t, m.after(lost, nil), &ended)
	o, err := again.Load(t.Context(), "a")
	if err != nil || int(o.Sequence) < len(kept) || int(o.Sequence) > len(kept)+1 {
		t.Errorf("sequence %d after a power cut, %v; %d commits were acknowledged", o.Sequence, err, len(kept))
	}
	return came
}

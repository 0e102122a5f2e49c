package storagetsv

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// Each test here cuts the power behind one step that random workloads reach
// seldom or never. TestEverySyncCounts runs them with a sync left out.

// mixtures calls use with several of the file systems that a power cut may leave.
func mixtures(m *memFS, use func(*memFS)) {
	for seed := range uint64(40) {
		use(m.after(mixed, rand.New(rand.NewPCG(seed, 0))))
	}
}

// memStart opens a store on m in the mode; the machine may crash meanwhile. What
// the store logs comes with it.
func memStart(t testing.TB, m *memFS, mode fsyncMode) (*Store, *lockedBuffer) {
	t.Helper()
	var log lockedBuffer
	s := New(slog.New(slog.NewTextHandler(&log, nil)), "test")
	s.openFS = func(string) (fsys, error) { return m, nil }
	s.fatal = func(error) {}
	s.manual, s.segmentSize = true, smallSegment
	err := s.Configure(t.Context(), plugin.Config{Station: here, DataDir: "/data", Options: map[string]string{"fsync": string(mode)}})
	if err != nil && !m.crashed() {
		t.Fatalf("Configure: %v", err)
	}
	return s, &log
}

// dieAt has the machine crash at the first operation that at names.
func (m *memFS) dieAt(at func(op, name string) bool) {
	m.fail = func(op, name string) error {
		if !at(op, name) {
			return nil
		}
		m.crashAt = m.ops
		return errCrash
	}
}

func wantCrash(t testing.TB, m *memFS) {
	t.Helper()
	if !m.crashed() {
		t.Fatal("the operation to crash at was not reached")
	}
}

// put gives a file other bytes, durably.
func (n *node) put(data []byte) { n.data, n.durable = data, data }

// TestMovedAsideIsDurable: a file that was moved to damaged/ is there when its
// loss in its own folder is durable.
func TestMovedAsideIsDurable(t *testing.T) { movedAsideIsDurable(t) }

func movedAsideIsDurable(t testing.TB) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	count(t, s, "a", 1, 2)
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	count(t, s, "a", 3, 3)
	failed := false
	m.fail = func(op, name string) error {
		if op == "write" && name == "state/a/state.tsv" && !failed {
			failed = true
			return syscall.EIO
		}
		return nil
	}
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	m = m.after(lost, nil)
	if n := m.find("damaged/state-a-1"); n == nil || !bytes.Contains(n.data, []byte("\nk2\t")) {
		t.Errorf("what was moved aside is lost: %v", m.root.list())
	}
}

// TestRowsWrittenAnewAreDurable: the rows that a checkpoint writes anew are there
// once the journal is gone.
func TestRowsWrittenAnewAreDurable(t *testing.T) { rowsWrittenAnewAreDurable(t) }

func rowsWrittenAnewAreDurable(t testing.TB) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	count(t, s, "a", 1, 2)
	s.carrier.rows = 5000 // so that they are written anew
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	if s.carrier.rows != 1 {
		t.Fatalf("%d rows: they were not written anew", s.carrier.rows)
	}
	mixtures(m, func(m *memFS) { wantCount(t, memStore(t, m, &ended), "a", 1, 2) })
}

// TestIndexWrittenAnewIsWhole: an index that takes the place of a longer one has
// its bytes when it has its name.
func TestIndexWrittenAnewIsWhole(t *testing.T) { indexWrittenAnewIsWhole(t) }

func indexWrittenAnewIsWhole(t testing.TB) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	put(t, s, 1, map[string]string{"f": "content"})
	for n := range uint64(4) {
		c := numbered("a", n+2)
		for k := range 300 {
			c.Files = append(c.Files, storage.FileChange{File: storage.File{Name: fmt.Sprint(k), Time: time.Unix(1, 0), Stamp: c.Stamp, Deleted: true}})
		}
		if err := errors.Join(s.Commit(t.Context(), batchOf(c))[0], s.round(n < 3)); err != nil {
			t.Fatal(err)
		}
	}
	if s.objects.get("a").index.lines > 301 {
		t.Fatal("the index was not written anew")
	}
	for seed := range uint64(10) {
		m := m.after(mixed, rand.New(rand.NewPCG(seed, 0)))
		wantFiles(t, memStore(t, m, &ended), map[string]string{"f": "content"})
	}
}

// TestKeptUploadsAreDurable: an upload that a damaged commit may have named is
// in damaged/ or where it was when the start goes on to write rows.
func TestKeptUploadsAreDurable(t *testing.T) { keptUploadsAreDurable(t) }

func keptUploadsAreDurable(t testing.TB) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	put(t, s, 1, map[string]string{"f": "one"})
	put(t, s, 2, map[string]string{"f": "two"})
	count(t, s, "b", 1, 2) // whole batches behind it
	n := m.find("journal/000001.tsv")
	b := bytes.Clone(n.data)
	b[bytes.LastIndex(b, []byte("file\tf"))+8] ^= 1
	n.put(b)
	m = m.after(lost, nil)
	m.fail = func(op, name string) error {
		if op == "create" && name == objectsFile+".tmp" {
			m.crashAt = m.ops
			return errCrash
		}
		return nil
	}
	memStart(t, m, fsyncAlways)
	wantCrash(t, m)
	mixtures(m, func(m *memFS) {
		if m.find("damaged/upload-a-1-2") == nil && m.find(uploadPath("a", "1-2")) == nil {
			t.Errorf("the upload is lost: %v", m.root.list())
		}
	})
}

// TestCopiesAreDurable: what is cut off is in damaged/lines.tsv or still there.
func TestCopiesAreDurable(t *testing.T) { copiesAreDurable(t) }

func copiesAreDurable(t testing.TB) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	count(t, s, "a", 1, 2)
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	n := m.find("state/a/state.tsv")
	n.put(append(bytes.Clone(n.data), "precious"...))
	wantCount(t, s, "a", 1, 2) // which cuts it off
	if bytes.Contains(n.data, []byte("precious")) {
		t.Fatal("nothing was cut off")
	}
	mixtures(m, func(m *memFS) {
		if bytes.Contains(m.find("state/a/state.tsv").data, []byte("precious")) {
			return
		}
		if c := m.find("damaged/lines.tsv"); c == nil || !bytes.Contains(c.data, []byte("precious")) {
			t.Errorf("what was cut off is lost: %v", m.root.list())
		}
	})
}

// TestForgottenSumIsDurable: once a file of a log is gone nothing says any more
// that the digest sums it up.
func TestForgottenSumIsDurable(t *testing.T) { forgottenSumIsDurable(t) }

func forgottenSumIsDurable(t testing.TB) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	clock := int64(10)
	s.logSize, s.logRetention, s.now = 300, time.Minute, func() time.Time { return time.Unix(clock, 0) }
	for n := range uint64(12) {
		logged(t, s, "a", n+1, int64(n), 10)
	}
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	before := len(s.objects.get("a").log.closed)
	clock = 1000
	logged(t, s, "a", 13, 999, 10)
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	if after := len(s.objects.get("a").log.closed); after >= before {
		t.Fatalf("%d closed files, %d before: nothing was removed", after, before)
	}
	mixtures(m, func(m *memFS) {
		s := memStore(t, m, &ended)
		got, err := s.Digest(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		s.distrust(s.objects.get("a"))
		want, err := s.Digest(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		diff(t, "the digest", got, want)
	})
}

// TestFolderInTheWayIsKept: what an import moves aside is there after it.
func TestFolderInTheWayIsKept(t *testing.T) { folderInTheWayIsKept(t) }

func folderInTheWayIsKept(t testing.TB) {
	_, archive := archived(t)
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	mine, foreign := &node{}, newDir()
	mine.put([]byte("mine"))
	foreign.names["mine"], foreign.durableDir["mine"] = mine, mine
	m.find("state").names["o1"], m.find("state").durableDir["o1"] = foreign, foreign
	if _, err := s.Import(t.Context(), "o1", bytes.NewReader(archive)); err != nil {
		t.Fatal(err)
	}
	m = m.after(lost, nil)
	if n := m.find("damaged/state-o1-1/mine"); n == nil || string(n.data) != "mine" {
		t.Errorf("what was in the way is lost: %v", m.root.list())
	}
}

// TestRefusedCommitStaysAway: the bytes of a write that failed reach the disk
// before they are taken back, and the power goes right behind the refusal.
func TestRefusedCommitStaysAway(t *testing.T) { refusedCommitStaysAway(t) }

func refusedCommitStaysAway(t testing.TB) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	count(t, s, "a", 1, 2)
	m.late = true
	m.fail = func(op, name string) error {
		n := m.find(name)
		switch op {
		case "write":
			return syscall.EIO
		case "truncate":
			n.durable = n.data // written back by itself
		}
		return nil
	}
	if err := s.Commit(t.Context(), batchOf(numbered("a", 3)))[0]; !errs.Is(err, errs.Unavailable) {
		t.Fatalf("got %v, want errs.Unavailable", err)
	}
	wantCount(t, memStore(t, m.after(lost, nil), &ended), "a", 1, 2)
}

// TestRemovedSegmentsStayAway: the process dies between the removal of segments
// and its fsync, and the next one begins at number 1 again: what it then loses is
// the last of its commits, and no old segment stands behind its own.
func TestRemovedSegmentsStayAway(t *testing.T) { removedSegmentsStayAway(t) }

func removedSegmentsStayAway(t testing.TB) {
	m := newMemFS()
	s, _ := memStart(t, m, fsyncInterval)
	s.segmentSize = 1
	count(t, s, "a", 1, 2)
	m.dieAt(func(op, name string) bool { return op == "syncdir" && name == "journal" })
	_ = s.round(true)
	wantCrash(t, m)
	m = m.after(killed, nil)
	s, _ = memStart(t, m, fsyncInterval)
	if s.journal.found != 0 {
		t.Fatalf("%d segments are left", s.journal.found)
	}
	count(t, s, "a", 3, 8)
	mixtures(m, func(m *memFS) {
		s, log := memStart(t, m, fsyncInterval)
		if strings.Contains(log.String(), "does not continue") || s.damage.count() > 0 {
			t.Errorf("a power cut looks like damage:\n%s", log.String())
		}
	})
}

// TestCutOffStaysAway: commits that one start has cut off as torn, or that stood in
// a segment which it has removed, are not there at a later one.
func TestCutOffStaysAway(t *testing.T) { cutOffStaysAway(t) }

func cutOffStaysAway(t testing.TB) {
	for bad, gone := range map[string]string{"journal\t1": "bcd", "commit\tc": "cd"} {
		m := newMemFS()
		s, _ := memStart(t, m, fsyncInterval)
		for _, o := range []id.Object{"b", "c", "d"} {
			count(t, s, o, 1, 1)
		}
		n := m.find(segmentName(1))
		b := bytes.Clone(n.data)
		b[bytes.Index(b, []byte(bad))] ^= 1
		n.put(b)
		if err := m.SyncDir("journal"); err != nil {
			t.Fatal(err)
		}
		wantGone := func(s *Store) {
			for _, o := range gone {
				if got, err := s.Load(t.Context(), id.Object(o)); err != nil || got.Sequence != 0 {
					t.Errorf("%q is damaged: %s is at sequence %d, %v; want 0", bad, string(o), got.Sequence, err)
				}
			}
		}
		m = m.after(lost, nil)
		s, _ = memStart(t, m, fsyncInterval)
		wantGone(s)
		count(t, s, "x", 1, 1)
		mixtures(m, func(m *memFS) {
			s, _ := memStart(t, m, fsyncInterval)
			wantGone(s)
		})
	}
}

// TestReplayedStays: what a start has replayed, and shows, is there at a later one,
// also where the process before had not synced it.
func TestReplayedStays(t *testing.T) { replayedStays(t) }

func replayedStays(t testing.TB) {
	m := newMemFS()
	s, _ := memStart(t, m, fsyncInterval)
	count(t, s, "a", 1, 3)
	m = m.after(killed, nil)
	s, _ = memStart(t, m, fsyncInterval)
	wantCount(t, s, "a", 1, 2, 3)
	s, _ = memStart(t, m.after(lost, nil), fsyncInterval)
	wantCount(t, s, "a", 1, 2, 3)
}

// TestSpareIsBlank: a segment that was dropped and filled anew shows nothing of
// what it held, also where the power goes before the first batch is durable.
func TestSpareIsBlank(t *testing.T) { spareIsBlank(t) }

func spareIsBlank(t testing.TB) {
	m := newMemFS()
	s, _ := memStart(t, m, fsyncAlways)
	count(t, s, "a", 1, 10)
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	m.dieAt(func(op, name string) bool { return op == "sync" && name == segmentName(2) })
	_ = s.Commit(t.Context(), batchOf(numbered("a", 11)))
	wantCrash(t, m)
	mixtures(m, func(m *memFS) {
		s, log := memStart(t, m, fsyncAlways)
		if strings.Contains(log.String(), "does not continue") || s.damage.count() > 0 {
			t.Errorf("a power cut looks like damage:\n%s", log.String())
		}
	})
}

// TestClosedLogIsNotLost: a file of a log that is closed keeps one of its names,
// whether the process goes on behind the rename or the next one does.
func TestClosedLogIsNotLost(t *testing.T) { closedLogIsNotLost(t) }

func closedLogIsNotLost(t testing.TB) {
	for _, killedBetween := range []bool{false, true} {
		var ended error
		m := newMemFS()
		s := memStore(t, m, &ended)
		s.logSize = 300
		var want []storage.Entry
		add := func(s *Store) { want = append(want, logged(t, s, "a", uint64(len(want)+1), int64(len(want)), 10)) }
		for s.objects.get("a") == nil || s.objects.get("a").log.active.size < s.logSize {
			add(s)
			if err := s.round(true); err != nil {
				t.Fatal(err)
			}
		}
		add(s)
		if killedBetween {
			m.dieAt(func(op, name string) bool { return op == "syncdir" && name == "logs/a" })
			_ = s.round(false)
			wantCrash(t, m)
			m = m.after(killed, nil)
			s = memStore(t, m, &ended)
			m.dieAt(func(op, _ string) bool { return op == "sync" }) // of the checkpoint
		}
		if err := s.round(false); (err != nil) != killedBetween {
			t.Fatal(err)
		}
		if m.find("logs/a/log.tsv") == nil || len(s.objects.get("a").log.closed) == 0 {
			t.Fatal("no file was closed, or none begun")
		}
		mixtures(m, func(m *memFS) { wantLog(t, memStore(t, m, &ended), "a", want) })
	}
}

// TestJournalIsSyncedRegularly: in the mode interval a commit becomes durable also
// while the carrier, which syncs the journal when it begins a round, is held up.
func TestJournalIsSyncedRegularly(t *testing.T) {
	m := newMemFS()
	s := openStore(t, plugin.Config{Station: here, DataDir: "/data", Options: map[string]string{"fsync": string(fsyncInterval)}}, func(s *Store) {
		s.openFS = func(string) (fsys, error) { return m, nil }
	})
	durable := func() bool {
		s.journalMu.Lock()
		defer s.journalMu.Unlock()
		return s.journal.durable == s.journal.size
	}
	for n := range uint64(2) { // the first sync may be the carrier's
		count(t, s, "a", n+1, n+1)
		if n == 0 {
			o := s.objects.get("a")
			o.files.Lock()
			defer o.files.Unlock()
		}
		for end := time.Now().Add(time.Minute); !durable(); {
			if time.Now().After(end) {
				t.Fatalf("commit %d is not synced", n+1)
			}
			time.Sleep(10 * time.Millisecond)
		}
		wantCount(t, memStore(t, m.after(lost, nil), new(error)), "a", []uint64{1, 2}[:n+1]...)
	}
}

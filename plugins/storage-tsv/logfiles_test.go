package storagetsv

import (
	"bytes"
	"context"
	"errors"
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
	"github.com/dbbasic/station/sdk/storage"
)

// logged commits one entry with a message of so many bytes, at a time in seconds.
func logged(t testing.TB, s *Store, name id.Object, n uint64, seconds int64, size int) storage.Entry {
	t.Helper()
	c := counting(name, n)
	c.State = nil
	e := &c.Entries[0]
	e.Time, e.Message = time.Unix(seconds, 0).UTC(), strings.Repeat("m", size)
	if err := s.Commit(context.Background(), []storage.Commit{c})[0]; err != nil {
		t.Fatalf("commit %d: %v", n, err)
	}
	return *e
}

// small opens the folder with small log files and a carrier that the test drives.
func (f *folder) small(size int64, with ...func(*Store)) *Store {
	f.t.Helper()
	return openStore(f.t, f.config, append([]func(*Store){func(s *Store) {
		s.openFS, s.manual, s.segmentSize, s.logSize = openUnsynced, true, 2<<20, size
		s.log = slog.New(slog.NewTextHandler(&f.log, nil))
	}}, with...)...)
}

// logDir gives the names in the folder of a log that match a pattern.
func (f *folder) logDir(name, pattern string) []string {
	f.t.Helper()
	list, err := filepath.Glob(f.path("logs/" + name + "/" + pattern))
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

func wantLog(t testing.TB, s *Store, name id.Object, want []storage.Entry) {
	t.Helper()
	for _, oldest := range []bool{true, false} {
		got, err := walk(s, storage.LogsQuery{Object: name, Limit: 7, Oldest: oldest})
		if err != nil {
			t.Fatal(err)
		}
		if !oldest {
			slices.Reverse(got)
		}
		diff(t, "log", got, want)
	}
	sameRanges(t, s, name, want)
}

func TestLogNames(t *testing.T) {
	day := time.Date(2026, 11, 23, 20, 15, 30, 123456000, time.UTC).UnixMicro()
	for n, want := range map[logName]string{
		{day, 1}:       "log-20261123T201530.123456Z",
		{day, 12}:      "log-20261123T201530.123456Z_12",
		{firstTime, 1}: "log-00000101T000000.000000Z",
		{lastTime, 2}:  "log-99991231T235959.999999Z_2",
	} {
		if got := n.base(); got != want {
			t.Errorf("%v is %s, want %s", n, got, want)
		}
		if got, ok := parseLogName(want); !ok || got != n {
			t.Errorf("%s is %v, %v; want %v", want, got, ok, n)
		}
		if got, ok := parseLogCursor(n.String()); !ok || got != n {
			t.Errorf("%s is %v, %v; want %v", n, got, ok, n)
		}
	}
	for _, bad := range []string{"log", "log-", "log-20261123T201530.123456Z_1", "log-20261123T201530.123456Z_02", "log-20261123T201530.123456Z_x", "log-2026"} {
		if _, ok := parseLogName(bad); ok {
			t.Errorf("%s is taken for a closed log", bad)
		}
	}
}

// TestLogFiles closes files: no line is split, each begins with the header, none
// changes any more, and all that was logged is found, also by the next start.
func TestLogFiles(t *testing.T) {
	f := newFolder(t)
	s := f.small(500)
	var want []storage.Entry
	closed := map[string][]byte{}
	for n := range uint64(120) {
		want = append(want, logged(t, s, "a", n+1, int64(1000+n/20), 20)) // several files of one time
		if n%9 == 0 {
			if err := s.round(n%27 == 0); err != nil {
				t.Fatal(err)
			}
			wantLog(t, s, "a", want)
		}
		if n%40 == 39 {
			f.kill(s)
			s = f.small(500)
			wantLog(t, s, "a", want)
		}
	}
	for _, name := range f.logDir("a", "log-*.tsv") {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		closed[name] = b
		if !bytes.HasPrefix(b, []byte(logHeader)) || !bytes.HasSuffix(b, []byte("\n")) || len(b) < 500 || len(b) > 600 {
			t.Errorf("%s has %d bytes:\n%s", name, len(b), b)
		}
	}
	if len(closed) < 10 || len(f.logDir("a", "*_2.tsv")) == 0 {
		t.Fatalf("%d closed files, the test wants several of one time: %v", len(closed), f.logDir("a", "*"))
	}
	for _, l := range []int64{500, 1 << 20} { // also opened with another size
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		s = f.small(l)
		wantLog(t, s, "a", want)
	}
	for name, b := range closed {
		if now, err := os.ReadFile(name); err != nil || !bytes.Equal(b, now) {
			t.Errorf("%s has changed: %v", name, err)
		}
	}
	c := numbered("a", 121)
	c.Incarnation = 2
	if err := errors.Join(append(s.Commit(t.Context(), []storage.Commit{c}), s.round(true))...); err != nil {
		t.Fatal(err)
	}
	if left := f.logDir("a", "*"); len(left) != 2 {
		t.Errorf("a new life begins with %v, want log.tsv and its index", left)
	}
	wantCount(t, s, "a", 121)
}

// TestCursorsAcrossClosing takes a cursor at every entry while all is pending,
// and uses it after the lines have gone into several files, and after a kill.
func TestCursorsAcrossClosing(t *testing.T) {
	f := newFolder(t)
	s := f.small(400)
	var want []storage.Entry
	for n := range uint64(30) {
		want = append(want, logged(t, s, "a", n+1, int64(n), 10))
	}
	down := slices.Clone(want)
	slices.Reverse(down)
	type mark struct {
		q    storage.LogsQuery
		left []storage.Entry
	}
	var marks []mark
	for i := 1; i < len(want); i++ {
		for _, oldest := range []bool{true, false} {
			q := storage.LogsQuery{Object: "a", Limit: i, Oldest: oldest}
			p, err := s.Logs(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			q.Cursor = p.Next
			marks = append(marks, mark{q, map[bool][]storage.Entry{true: want, false: down}[oldest][i:]})
		}
	}
	check := func(when string) {
		t.Helper()
		for _, m := range marks {
			got, err := walk(s, m.q)
			if err != nil {
				t.Fatalf("%s, %+v: %v", when, m.q, err)
			}
			diff(t, when+": behind a cursor", got, m.left)
		}
	}
	check("pending")
	if err := s.round(false); err != nil {
		t.Fatal(err)
	}
	if n := len(f.logDir("a", "log-*.tsv")); n < 4 {
		t.Fatalf("%d closed files, the test wants several", n)
	}
	check("closed")
	f.kill(s)
	s = f.small(400)
	check("after a kill")
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = f.small(400)
	check("after a stop")
}

// TestReadersWhileFilesClose reads in both directions while files are closed,
// removed and wiped.
func TestReadersWhileFilesClose(t *testing.T) {
	f := newFolder(t)
	s := openStore(t, f.config, func(s *Store) { s.logSize, s.segmentSize, s.carryDelay = 600, 4<<10, 0 })
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for _, oldest := range []bool{true, false} {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				q := storage.LogsQuery{Object: "a", Limit: 20, Oldest: oldest, Since: time.Unix(50, 0)}
				all, err := walk(s, q)
				if err != nil && !errs.Is(err, errs.Invalid) { // the cursor is of the life before
					t.Errorf("Logs: %v", err)
					return
				}
				for i := 1; i < len(all) && err == nil; i++ {
					step := int64(all[i].ID.Sequence) - int64(all[i-1].ID.Sequence)
					if oldest && step != 1 || !oldest && step != -1 {
						t.Errorf("entry %v behind %v", all[i].ID, all[i-1].ID)
						return
					}
				}
			}
		})
	}
	n := uint64(0)
	for life := range uint64(3) {
		for range 400 {
			n++
			c := counting("a", n)
			c.Incarnation, c.Entries[0].Time = life+1, time.Unix(int64(n), 0)
			if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	readers.Wait()
}

// TestClosedFileUnusable puts a directory in the place of a closed file: a start
// that needs it moves it aside, and keeps what the journal has of it.
func TestClosedFileUnusable(t *testing.T) {
	f := newFolder(t)
	s := f.small(300)
	count(t, s, "a", 1, 12)
	if err := s.round(false); err != nil {
		t.Fatal(err)
	}
	f.kill(s)
	list := f.logDir("a", "log-*.tsv")
	bad := list[len(list)-1]
	if err := errors.Join(os.Remove(bad), os.Mkdir(bad, 0o700)); err != nil {
		t.Fatal(err)
	}
	s = f.small(300)
	f.logged("moved_to=damaged/log-", filepath.Base(bad))
	p, err := s.Logs(t.Context(), storage.LogsQuery{Object: "a", Limit: 100})
	if err != nil || len(p.Entries) != 12 {
		t.Errorf("%d entries, %v; want all 12: the journal holds them", len(p.Entries), err)
	}
}

// TestFullDiskBetweenFiles fails the write of the second file: what went into
// the first is read once, and not written again.
func TestFullDiskBetweenFiles(t *testing.T) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	s.logSize = 300
	var want []storage.Entry
	for n := range uint64(12) {
		want = append(want, logged(t, s, "a", n+1, int64(n), 10))
	}
	writes := 0
	m.fail = func(op, name string) error {
		if op == "write" && name == "logs/a/log.tsv" {
			if writes++; writes > 1 {
				return syscall.ENOSPC
			}
		}
		return nil
	}
	if err := s.round(false); !errors.Is(err, syscall.ENOSPC) || writes < 2 {
		t.Fatalf("round: %v after %d writes, want ENOSPC at the second", err, writes)
	}
	wantLog(t, s, "a", want)
	want = append(want, logged(t, s, "a", 13, 13, 10))
	wantLog(t, s, "a", want)
	m.fail = nil
	if err := s.round(true); err != nil || ended != nil {
		t.Fatal(err, ended)
	}
	wantLog(t, s, "a", want)
	s = memStore(t, m.after(lost, nil), &ended)
	wantLog(t, s, "a", want)
}

// TestFailedSyncOfALogEnds: a file whose fsync failed is not closed, and
// nothing is served any more.
func TestFailedSyncOfALogEnds(t *testing.T) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	s.logSize = 300
	for n := range uint64(12) {
		logged(t, s, "a", n+1, int64(n), 10)
	}
	m.fail = func(op, name string) error {
		if op == "sync" && strings.HasPrefix(name, "logs/a/") {
			return syscall.EIO
		}
		return nil
	}
	if err := s.round(false); !errors.Is(err, syscall.EIO) || !errors.Is(ended, syscall.EIO) {
		t.Errorf("round: %v, ended with %v; want EIO", err, ended)
	}
	if names, _ := m.ReadDir("logs/a"); slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "log-") }) {
		t.Errorf("it was closed: %v", names)
	}
}

// TestViewOfAnOlderLife opens a closed file whose name the next life has used again.
func TestViewOfAnOlderLife(t *testing.T) {
	f := newFolder(t)
	s := f.small(300)
	count(t, s, "a", 1, 10)
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	v, err := s.openLog(s.objects.get("a"), noTime)
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	for n := uint64(11); n < 21; n++ {
		c := numbered("a", n)
		c.Incarnation = 2
		if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
			t.Fatal(err)
		}
	}
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.path(s.objects.get("a").closedPath(v.name(0)))); err != nil {
		t.Fatalf("the test wants a file of that name: %v", err)
	}
	if _, err := v.open(0); !errors.Is(err, errGone) {
		t.Errorf("a file of the next life was opened: %v", err)
	}
}

// TestClosedFileRemovedByHand removes a file while the store runs.
func TestClosedFileRemovedByHand(t *testing.T) {
	f := newFolder(t)
	s := f.small(300)
	count(t, s, "a", 1, 12)
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(f.logDir("a", "log-*.tsv")[1]); err != nil {
		t.Fatal(err)
	}
	got, err := walk(s, storage.LogsQuery{Object: "a", Limit: 100})
	if err != nil || len(got) == 0 || len(got) >= 12 {
		t.Errorf("%d entries, %v; want those of the files that are left", len(got), err)
	}
}

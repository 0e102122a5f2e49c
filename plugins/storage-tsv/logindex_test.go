package storagetsv

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/storage"
)

// blocks makes a log of three closed files and an active one, each with an
// index of several lines.
func blocks(t *testing.T) (*folder, []storage.Entry) {
	f := newFolder(t)
	s := f.small(300_000)
	var want []storage.Entry
	for n := range uint64(140) {
		at := int64(1000 + n)
		if n%6 == 5 {
			at -= 20
		}
		want = append(want, logged(t, s, "a", n+1, at, 8000))
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(f.logDir("a", "log-*.idx")); n != 3 || bytes.Count(f.read("logs/a/log.idx"), []byte("\n")) < 3 {
		t.Fatalf("%d indexes of closed files, and of the last\n%s", n, f.read("logs/a/log.idx"))
	}
	return f, want
}

// TestIndexDamage flips each byte of an index of several lines, and cuts it: what is
// found by time stays the same, and the index is mended.
func TestIndexDamage(t *testing.T) {
	f, want := blocks(t)
	for _, name := range []string{f.logDir("a", "log-*.idx")[1], f.path("logs/a/log.idx")} {
		good, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		spoilt := [][]byte{nil, bytes.Repeat([]byte{0}, len(good)), append(bytes.Clone(good), "torn"...)}
		for i := 0; i < len(good); i += *damageStride {
			b := bytes.Clone(good)
			b[i] ^= 4
			spoilt = append(spoilt, b)
			if i%2 == 0 {
				spoilt = append(spoilt, good[:i], slices.Concat(good[:i], []byte("\n"), good[i:]))
			}
		}
		lines := bytes.SplitAfter(good, []byte("\n"))
		for i, line := range lines { // a line is missing, or was typed
			spoilt = append(spoilt, bytes.Join(slices.Concat(lines[:i], lines[i+1:]), nil))
			if cols := bytes.Split(line, []byte("\t")); len(cols) == 1+logIndexColumns {
				cols[1] = []byte("2030-01-01T00:00:00.000000Z")
				typed := append(bytes.Join(cols[:logIndexColumns], []byte("\t")), '\n')
				spoilt = append(spoilt, bytes.Join(slices.Concat(lines[:i], [][]byte{typed}, lines[i+1:]), nil))
			}
		}
		for i, b := range spoilt {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			s := f.small(300_000)
			for _, k := range []int{0, 40, 60, 80, 110, 125, 139} {
				q := storage.LogsQuery{Object: "a", Since: want[k].Time, Until: want[k].Time.Add(5 * time.Second), Limit: 100, Oldest: true}
				p, err := s.Logs(t.Context(), q)
				if err != nil {
					t.Fatalf("index %d: %v", i, err)
				}
				diff(t, fmt.Sprintf("%s, damage %d", name, i), p.Entries, inRange(want, q.Since, q.Until))
			}
			f.kill(s)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s := f.small(300_000)
		wantLog(t, s, "a", want)
		f.kill(s)
		if b, err := os.ReadFile(name); err != nil || !bytes.Equal(b, good) {
			t.Errorf("%s made anew, %v:\n%s\nwas\n%s", name, err, b, good)
		}
		f.logged("level=INFO msg=\"an index of a log was missing", filepath.Base(name))
	}
}

// TestIndexGap takes each line out of an index: a search that comes to the gap
// has the index made anew, lest every one after it reads on through it.
func TestIndexGap(t *testing.T) {
	f, want := blocks(t)
	for _, name := range []string{f.logDir("a", "log-*.idx")[1], f.path("logs/a/log.idx")} {
		good, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.SplitAfter(bytes.TrimSuffix(good, []byte("\n")), []byte("\n"))
		for i := range 2 * len(lines) {
			gap, what := bytes.Join(slices.Concat(lines[:i/2], lines[i/2+1:]), nil), "without line"
			if i%2 == 1 && filepath.Base(name) != "log.idx" {
				continue // nothing is put behind it
			} else if i%2 == 1 {
				gap, what = bytes.TrimSuffix(bytes.Join(lines[:i/2+1], nil), []byte("\n")), "without the newline of the last line"
			}
			if err := os.WriteFile(name, gap, 0o600); err != nil {
				t.Fatal(err)
			}
			s := f.small(300_000)
			sameRanges(t, s, "a", want)
			f.kill(s)
			if b, err := os.ReadFile(name); err != nil || !bytes.Equal(b, good) {
				t.Errorf("%s %s %d became, %v:\n%s\nwant\n%s", name, what, i/2, err, b, good)
			}
		}
	}
}

// TestEditedLogFiles removes a line from the middle of a file, and edits one, with the
// station stopped: times are found as the files now say.
func TestEditedLogFiles(t *testing.T) {
	for _, closed := range []bool{true, false} {
		for _, edit := range []string{"removed", "changed", "unreadable"} {
			t.Run(fmt.Sprintf("%s,%v", edit, closed), func(t *testing.T) {
				f, want := blocks(t)
				name, i := f.path("logs/a/log.tsv"), 115
				if closed {
					name, i = f.logDir("a", "log-*.tsv")[1], 50
				}
				b, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				lines := bytes.SplitAfter(b, []byte("\n"))
				k := slices.IndexFunc(lines, func(l []byte) bool { return bytes.HasPrefix(l, []byte(want[i].ID.String()+"\t")) })
				switch edit {
				case "removed":
					lines = slices.Delete(lines, k, k+1)
					want = slices.Delete(want, i, i+1)
				case "unreadable": // and so no entry, whatever time it names
					lines = slices.Insert(lines, k, []byte("st-1.1.777\t2030-01-01T00:00:00Z\tNO LEVEL\t\t\n"))
				case "changed":
					want[i].Time, want[i].Message = want[i].Time.Add(7*time.Second), "edited"
					lines[k] = append(appendEntry(nil, &want[i]), '\n')
				}
				if err := os.WriteFile(name, bytes.Join(lines, nil), 0o600); err != nil {
					t.Fatal(err)
				}
				s := f.small(300_000)
				wantLog(t, s, "a", want)
				want = append(want, logged(t, s, "a", 141, 5000, 10))
				if err := s.round(true); err != nil {
					t.Fatal(err)
				}
				wantLog(t, s, "a", want)
			})
		}
	}
}

// countingFS counts what is read of the logs.
type countingFS struct {
	fsys
	mu    sync.Mutex
	bytes int
	lists int
}

type countingFile struct {
	file
	c *countingFS
}

func (c *countingFS) Open(name string, m mode) (file, error) {
	f, err := c.fsys.Open(name, m)
	if err != nil || !strings.HasPrefix(name, "logs/") {
		return f, err
	}
	return countingFile{f, c}, nil
}

func (c *countingFS) ReadDir(name string) ([]string, error) {
	if strings.HasPrefix(name, "logs/") {
		c.mu.Lock()
		c.lists++
		c.mu.Unlock()
	}
	return c.fsys.ReadDir(name)
}

func (f countingFile) ReadAt(b []byte, at int64) (int, error) {
	f.c.mu.Lock()
	f.c.bytes += len(b)
	f.c.mu.Unlock()
	return f.file.ReadAt(b, at)
}

// TestLogReadsLittle counts bytes: a start reads nothing of a log that nobody
// asks about, an append no more than the end behind the index, once, and a
// search by time an index and a block for each end of the range.
func TestLogReadsLittle(t *testing.T) {
	f, want := blocks(t)
	c := &countingFS{}
	s := f.small(300_000, func(s *Store) {
		s.openFS = func(dir string) (fsys, error) {
			fs, err := openOS(dir)
			c.fsys = fs
			return c, err
		}
	})
	spent := func(what string, most int) {
		t.Helper()
		if c.bytes > most {
			t.Errorf("%s: %d bytes read, want at most %d", what, c.bytes, most)
		}
		c.bytes = 0
	}
	if c.lists != 0 {
		t.Errorf("the start listed %d logs", c.lists)
	}
	spent("start", 0)
	logged(t, s, "a", 141, 2000, 10)
	if err := s.round(false); err != nil {
		t.Fatal(err)
	}
	spent("the first append", blockSize+16<<10)
	for n := range uint64(5) {
		logged(t, s, "a", 142+n, 2000, 10)
		if err := s.round(false); err != nil {
			t.Fatal(err)
		}
	}
	spent("appends", 5*8)
	for _, k := range []int{20, 70, 120} {
		for _, oldest := range []bool{true, false} {
			q := storage.LogsQuery{Object: "a", Since: want[k].Time, Until: want[k].Time.Add(9 * time.Second), Limit: 2, Oldest: oldest}
			if p, err := s.Logs(t.Context(), q); err != nil || len(p.Entries) != 2 {
				t.Fatalf("%+v, %v", p, err)
			}
			spent("two ends and a page", 4*blockSize+32<<10)
		}
	}
	if c.lists != 1 {
		t.Errorf("the log was listed %d times", c.lists)
	}
}

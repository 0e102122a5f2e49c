package storagetsv

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/dbbasic/station/sdk/storage"
)

// TestOneBadFile puts a directory where a file of one object belongs: the
// others are carried over, and the station goes on, also from the next start.
func TestOneBadFile(t *testing.T) {
	for name, moved := range map[string]string{
		"state/a/state.tsv":       "damaged/state-a-1",
		"logs/a/log.tsv":          "damaged/log-a-1",
		"versions/a/metadata.tsv": "damaged/metadata-a-1",
		"versions/a/v2.lua":       "damaged/v2-a-1",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			s := f.open()
			c := numbered("a", 1)
			c.Version = version(1, "return 1")
			if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
				t.Fatal(err)
			}
			if err := s.round(true); err != nil {
				t.Fatal(err)
			}
			_ = os.Remove(f.path(name))
			if err := os.MkdirAll(f.path(name+"/mine"), 0o700); err != nil {
				t.Fatal(err)
			}
			c = numbered("a", 2)
			c.Version = version(2, "return 2")
			if err := errors.Join(s.Commit(t.Context(), []storage.Commit{c, numbered("b", 1)})...); err != nil {
				t.Fatal(err)
			}
			if err := s.round(true); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(f.path(moved + "/mine")); err != nil {
				t.Error(err)
			}
			f.logged("level=ERROR", "moved_to="+moved)
			wantCount(t, s, "b", 1)
			if v, err := s.Version(t.Context(), "a", 2); err != nil || string(v.Text) != "return 2" {
				t.Errorf("version 2: %q, %v", v.Text, err)
			}
			f.kill(s)
			wantCount(t, f.open(), "b", 1)
		})
	}
}

// TestWholeFilesAreNotMovedAside: what another file would meet too, and rights
// that somebody took away, are no reason to go on without a file.
func TestWholeFilesAreNotMovedAside(t *testing.T) {
	for errno, moved := range map[syscall.Errno]bool{
		syscall.EIO: true, syscall.EISDIR: true, syscall.ENOTDIR: true, syscall.ELOOP: true,
		syscall.ENOSPC: false, syscall.EMFILE: false, syscall.EROFS: false, syscall.EACCES: false, syscall.EPERM: false,
	} {
		if err := (&os.PathError{Op: "open", Path: "state/a/state.tsv", Err: errno}); ofFile(err) != moved {
			t.Errorf("%v: moved aside %v, want %v", err, !moved, moved)
		}
	}
}

// TestBadFolder puts a file where the folder of an object belongs.
func TestBadFolder(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	f.write("logs/a", []byte("mine"))
	count(t, s, "a", 1, 2)
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	wantCount(t, s, "a", 1, 2)
	if b := f.read("damaged/logs-a-1"); string(b) != "mine" {
		t.Errorf("moved aside: %q", b)
	}
}

// TestBadLogAtStart: a log that cannot be cut back does not keep the folder
// from opening.
func TestBadLogAtStart(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 3)
	f.kill(s)
	if err := os.MkdirAll(f.path("logs/a/log.tsv"), 0o700); err != nil {
		t.Fatal(err)
	}
	s = f.open()
	wantCount(t, s, "a", 1, 2, 3)
	f.logged("moved_to=damaged/log-a-1")
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	wantCount(t, s, "a", 1, 2, 3)
}

// TestFileUnusableAtCheckpoint replaces a file between its carry-over and the
// checkpoint.
func TestFileUnusableAtCheckpoint(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 1)
	count(t, s, "b", 1, 1)
	if err := s.round(false); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(f.path("logs/a/log.tsv")), os.Mkdir(f.path("logs/a/log.tsv"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	f.logged("moved_to=damaged/log-a-1")
	wantCount(t, s, "b", 1)
}

// TestFailingObjectHoldsNobodyUp fails the log of one object: the others are
// carried over, what it could write is not written again, and as a new file
// fails too the old one stays where it is.
func TestFailingObjectHoldsNobodyUp(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
		t.Run(errno.Error(), func(t *testing.T) {
			var ended error
			m := newMemFS()
			s := memStore(t, m, &ended)
			count(t, s, "a", 1, 1)
			if err := s.round(true); err != nil {
				t.Fatal(err)
			}
			count(t, s, "a", 2, 2)
			count(t, s, "b", 1, 1)
			m.fail = func(op, name string) error {
				if op == "write" && name == "logs/a/log.tsv" {
					return errno
				}
				return nil
			}
			for n := uint64(3); n < 6; n++ {
				if err := s.round(false); !errors.Is(err, errno) || !strings.Contains(err.Error(), "object a") {
					t.Fatalf("round: %v, want %v of object a", err, errno)
				}
				count(t, s, "a", n, n)
			}
			wantCount(t, s, "a", 1, 2, 3, 4, 5)
			if n := len(s.objects.get("b").look().pending); n != 0 {
				t.Errorf("%d commits of b are pending", n)
			}
			m.fail = nil
			for range 2 {
				if err := s.round(true); err != nil {
					t.Fatal(err)
				}
			}
			wantCount(t, s, "a", 1, 2, 3, 4, 5)
			for key, times := range map[string]int{"\nk2\t": 1, "\nk5\t": 1, "\nn\t": 5} {
				if n := bytes.Count(m.find("state/a/state.tsv").data, []byte(key)); n != times {
					t.Errorf("state.tsv has %q %d times, want %d", key, n, times)
				}
			}
			if ended != nil {
				t.Errorf("the store ended: %v", ended)
			}
		})
	}
}

// TestFailureBehindAWipe: what a second try finds is its own, not the life before's.
func TestFailureBehindAWipe(t *testing.T) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	count(t, s, "a", 1, 2)
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	c := numbered("a", 3)
	c.Incarnation = 2
	if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
		t.Fatal(err)
	}
	m.fail = func(op, name string) error {
		if op == "write" && name == "logs/a/log.tsv" {
			return syscall.ENOSPC
		}
		return nil
	}
	if err := s.round(false); err == nil {
		t.Fatal("a round succeeded whose write fails")
	}
	wantCount(t, s, "a", 3)
	m.fail = nil
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	wantCount(t, s, "a", 3)
	wantCount(t, memStore(t, m.after(lost, nil), &ended), "a", 3)
}

// TestNewLifeKeepsForeignFiles: what the store has not made it does not remove.
func TestNewLifeKeepsForeignFiles(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	c := numbered("a", 1)
	c.Version = version(1, "return 1")
	if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.round(true), os.MkdirAll(f.path("versions/a/.git/x"), 0o700)); err != nil {
		t.Fatal(err)
	}
	f.write("versions/a/notes.txt", []byte("mine"))
	f.write("versions/a/v1.lua.tmp", nil)
	c = numbered("a", 2)
	c.Incarnation = 2
	if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
		t.Fatal(err)
	}
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(f.path("versions/a"))
	if err != nil || len(left) != 2 || left[0].Name() != ".git" || left[1].Name() != "notes.txt" {
		t.Errorf("left are %v, %v; want .git and notes.txt", left, err)
	}
}

package storagetsv

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
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

// TestUploadFailures fails each operation of a WriteFile: nothing is left of it,
// and the store goes on.
func TestUploadFailures(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
		for _, op := range []string{"create", "write", "sync"} {
			t.Run(op+" "+errno.Error(), func(t *testing.T) {
				var ended error
				m := newMemFS()
				s := memStore(t, m, &ended)
				put(t, s, 1, map[string]string{"f": "one"})
				m.fail = func(o, name string) error {
					if o == op && strings.Contains(name, uploadPrefix) {
						return errno
					}
					return nil
				}
				_, err := s.WriteFile(t.Context(), "a", strings.NewReader("x"))
				if !errs.Is(err, errs.Unavailable) || !errors.Is(err, errno) {
					t.Errorf("WriteFile: %v, want errs.Unavailable", err)
				}
				m.fail = nil
				if err := s.round(true); err != nil {
					t.Fatal(err)
				}
				if names, _ := m.ReadDir("files/a"); !slices.Equal(names, []string{"f", "index.tsv"}) {
					t.Errorf("left are %v", names)
				}
				put(t, s, 2, map[string]string{"f": "two"})
				wantFiles(t, s, map[string]string{"f": "two"})
				if ended != nil || len(s.uploads.byID) != 0 {
					t.Errorf("the store ended: %v; it knows uploads %v", ended, s.uploads.byID)
				}
			})
		}
	}
}

// TestFolderSyncFails: an fsync of names that other files rest on ends the store.
func TestFolderSyncFails(t *testing.T) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	m.fail = func(op, name string) error {
		if op == "syncdir" && name == "files/a" {
			return syscall.EIO
		}
		return nil
	}
	if _, err := s.WriteFile(t.Context(), "a", strings.NewReader("x")); !errs.Is(err, errs.Unavailable) || ended == nil {
		t.Errorf("WriteFile: %v; the store ended: %v", err, ended)
	}
}

// TestFailedCommitKeepsItsUploads: the same commit succeeds once there is room.
func TestFailedCommitKeepsItsUploads(t *testing.T) {
	var ended error
	m := newMemFS()
	s := memStore(t, m, &ended)
	c := putting(t, s, 1, map[string]string{"f": "one"})
	m.fail = func(op, name string) error {
		if op == "write" && strings.HasPrefix(name, "journal/") {
			return syscall.ENOSPC
		}
		return nil
	}
	if err := s.Commit(t.Context(), []storage.Commit{c})[0]; !errs.Is(err, errs.Unavailable) {
		t.Fatalf("Commit: %v", err)
	}
	m.fail = nil
	if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantFiles(t, s, map[string]string{"f": "one"})
}

func TestUploadsExpire(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 1)
	c := putting(t, s, 2, map[string]string{"f": "one"})
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.path("files/a/" + uploadPrefix + c.Files[0].Upload)); err != nil {
		t.Fatalf("an upload was removed before its time: %v", err)
	}
	s.uploadLife = 0
	if err := s.Commit(t.Context(), []storage.Commit{c})[0]; errs.From(err).CodeOf() != "no_upload" {
		t.Errorf("Commit: %v", err)
	}
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	if names, err := s.fs.ReadDir("files/a"); err != nil || len(names) != 0 {
		t.Errorf("left are %v, %v", names, err)
	}
}

// TestLeftUploads kills a store with uploads: those that a commit names stay, the
// others go when the folder is written to again. One that closes leaves none.
func TestLeftUploads(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	put(t, s, 1, map[string]string{"f": "one"})
	_ = putting(t, s, 2, map[string]string{"g": "left"})
	f.kill(s)
	s = f.open()
	if names, _ := s.fs.ReadDir("files/a"); len(names) != 2 {
		t.Fatalf("the test wants two uploads, there are %v", names)
	}
	_ = putting(t, s, 2, map[string]string{"g": "left"})
	if names, _ := s.fs.ReadDir("files/a"); !slices.Equal(names, []string{".upload-1-1", ".upload-2-1"}) {
		t.Errorf("after a write there are %v", names)
	}
	wantFiles(t, s, map[string]string{"f": "one"})
	feed, done := uploading(t, s, "a")
	if err := s.Close(t.Context()); err != nil { // and does not wait for the slow one
		t.Fatal(err)
	}
	_ = feed.Close()
	if err := <-done; !errs.Is(err, errs.Unavailable) {
		t.Errorf("WriteFile whose store was closed: %v", err)
	}
	s = f.open()
	if names, _ := s.fs.ReadDir("files/a"); !slices.Equal(names, []string{"f", "index.tsv"}) {
		t.Errorf("after Close there are %v", names)
	}
}

// TestUploadOfADamagedCommit: the bytes that a damaged line may have named are kept.
func TestUploadOfADamagedCommit(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	put(t, s, 1, map[string]string{"f": "one"})
	put(t, s, 2, map[string]string{"f": "two"})
	count(t, s, "b", 1, 2) // whole batches behind it
	f.kill(s)
	b := f.read("journal/000001.tsv")
	b[bytes.LastIndex(b, []byte("file\tf"))+8] ^= 1
	f.write("journal/000001.tsv", b)
	s = f.open()
	wantFiles(t, s, map[string]string{"f": "one"})
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	if b := f.read("damaged/upload-a-1-2"); string(b) != "two" {
		t.Errorf("the upload of the damaged commit is %q", b)
	}
	f.logged("moved_to=damaged/upload-a-1-2")
	wantFiles(t, s, map[string]string{"f": "one"})
}

// TestLostCommitIsNotUndone: the journal loses a change of a file that is carried
// over; the one before it does not come to stand above it.
func TestLostCommitIsNotUndone(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	put(t, s, 1, map[string]string{"f": "one"})
	put(t, s, 2, map[string]string{"f": "two"})
	count(t, s, "b", 1, 2)
	if err := s.round(false); err != nil {
		t.Fatal(err)
	}
	f.kill(s)
	b := f.read("journal/000001.tsv")
	b[bytes.LastIndex(b, []byte("file\tf"))+8] ^= 1
	f.write("journal/000001.tsv", b)
	s = f.open()
	wantFiles(t, s, map[string]string{"f": "two"})
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, s, map[string]string{"f": "two"})
}

// TestLostRowOfFilesAlone: an object that has nothing but files is found again,
// and one that has only uploads is none.
func TestLostRowOfFilesAlone(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	c := putting(t, s, 1, map[string]string{"f": "one"})
	c.State, c.Entries = nil, nil
	if err := errors.Join(s.Commit(t.Context(), []storage.Commit{c})[0], s.round(true)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.WriteFile(t.Context(), "b", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	f.kill(s)
	if err := os.Remove(f.path("objects.tsv")); err != nil {
		t.Fatal(err)
	}
	s = f.open()
	wantFiles(t, s, map[string]string{"f": "one"})
	if list, _ := s.Objects(t.Context(), storage.ObjectsQuery{Limit: 10}); len(list) != 1 {
		t.Errorf("objects %v, want a alone", list)
	}
}

// TestReadUploadHoldsNoCommitUp: a disk that hangs while an upload is opened holds up
// nobody else, and an upload that is used meanwhile is read or is not there.
func TestReadUploadHoldsNoCommitUp(t *testing.T) {
	for _, carried := range []bool{false, true} {
		f := &hangingFS{memFS: newMemFS(), opening: make(chan struct{}), goOn: make(chan struct{})}
		s := openStore(t, plugin.Config{Station: here, DataDir: "/data"}, func(s *Store) {
			s.openFS = func(string) (fsys, error) { return f, nil }
			s.manual, s.segmentSize = true, smallSegment
		})
		c := putting(t, s, 1, map[string]string{"f": "content"})
		f.hangs = uploadPath("a", c.Files[0].Upload)
		type result struct {
			content string
			err     error
		}
		read := make(chan result, 1)
		go func() {
			_, r, err := s.ReadUpload(context.Background(), "a", c.Files[0].Upload)
			if err != nil {
				read <- result{err: err}
				return
			}
			b, err := io.ReadAll(r)
			read <- result{string(b), errors.Join(err, r.Close())}
		}()
		<-f.opening
		committed := make(chan error, 1)
		go func() { committed <- s.Commit(context.Background(), []storage.Commit{c})[0] }()
		select {
		case err := <-committed:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("a commit waits for the disk that a read waits for")
		}
		if carried {
			if err := s.round(false); err != nil {
				t.Fatal(err)
			}
		}
		close(f.goOn)
		switch got := <-read; {
		case carried && errs.From(got.err).CodeOf() != "no_upload":
			t.Errorf("an upload that was used and carried over meanwhile gives %q, %v", got.content, got.err)
		case !carried && (got.err != nil || got.content != "content"):
			t.Errorf("an upload that was used meanwhile gives %q, %v", got.content, got.err)
		}
		wantFiles(t, s, map[string]string{"f": "content"})
	}
}

// hangingFS hangs when one file is opened to read, until it may go on.
type hangingFS struct {
	*memFS
	hangs         string
	opening, goOn chan struct{}
	once          sync.Once
}

func (f *hangingFS) Open(name string, m mode) (file, error) {
	if m == toRead && name == f.hangs {
		f.once.Do(func() {
			close(f.opening)
			<-f.goOn
		})
	}
	return f.memFS.Open(name, m)
}

// TestCommitWithoutFilesClaimsNothing: it takes no lock that uploads use.
func TestCommitWithoutFilesClaimsNothing(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	put(t, s, 1, map[string]string{"f": "content"})
	s.uploads.mu.Lock()
	done := make(chan []error, 1)
	go func() { done <- s.Commit(context.Background(), []storage.Commit{numbered("a", 2)}) }()
	select {
	case results := <-done:
		s.uploads.mu.Unlock()
		if results[0] != nil {
			t.Error(results[0])
		}
	case <-time.After(time.Minute):
		s.uploads.mu.Unlock()
		t.Error("a commit without files waits for the lock of the uploads")
	}
}

// uploading begins an upload of which a chunk has come, and more is to come from feed.
func uploading(t *testing.T, s *Store, object id.Object) (feed *io.PipeWriter, done <-chan error) {
	t.Helper()
	r, feed := io.Pipe()
	ended := make(chan error)
	go func() {
		_, err := s.WriteFile(context.Background(), object, r)
		ended <- err
	}()
	if _, err := feed.Write(make([]byte, uploadChunk+1)); err != nil {
		t.Fatal(err)
	}
	return feed, ended
}

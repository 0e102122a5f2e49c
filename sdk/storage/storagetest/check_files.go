package storagetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// put gives a change that makes an upload a file.
func (s *subject) put(name string, u storage.Upload) storage.FileChange {
	return storage.FileChange{Upload: u.ID, File: storage.File{
		Name: name, Type: "text/plain; charset=utf-8", Size: u.Size, Hash: u.Hash, Time: epochStart.Add(789 * time.Nanosecond), Stamp: s.stamp(),
	}}
}

// remove gives a change that deletes a file.
func (s *subject) remove(name string) storage.FileChange {
	return storage.FileChange{File: storage.File{Name: name, Time: epochStart, Stamp: s.stamp(), Deleted: true}}
}

func withFiles(f ...storage.FileChange) func(*storage.Commit) {
	return func(c *storage.Commit) { c.Files = append(c.Files, f...) }
}

func (s *subject) files(q storage.FilesQuery) []storage.File {
	s.Helper()
	if q.Limit == 0 {
		q.Limit = storage.MaxPage
	}
	list, err := s.Files(s.ctx, q)
	if err != nil {
		s.Fatalf("Files %+v: %v", q, err)
	}
	return list
}

// content reads a file of object a from an offset to its end.
func (s *subject) content(name string, from int64) string {
	s.Helper()
	f, r, err := s.ReadFile(s.ctx, "a", name, from)
	if err != nil {
		s.Fatalf("ReadFile %s: %v", name, err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		s.Fatalf("reading %s: %v", name, err)
	}
	if err := r.Close(); err != nil {
		s.Errorf("closing %s: %v", name, err)
	}
	if f.Name != name || f.Size != from+int64(len(b)) {
		s.Errorf("ReadFile of %q from %d gave %+v and %d bytes", name, from, f, len(b))
	}
	return string(b)
}

func (s *subject) noFile(what string, object id.Object, name string) {
	s.Helper()
	_, _, err := s.ReadFile(s.ctx, object, name, 0)
	s.kind("ReadFile of "+what, err, notFound)
}

// want gives the file of a change as the store is to show it.
func want(c ...storage.FileChange) []storage.File {
	list := make([]storage.File, len(c))
	for i := range c {
		list[i] = c[i].File
		list[i].Time = micro(list[i].Time)
	}
	slices.SortFunc(list, func(a, b storage.File) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// awkwardNames are names that a store which keeps files as files gets wrong when
// it is careless.
var awkwardNames = []string{
	"plain.txt", "index.tsv", "%index.tsv", "index.tsv.tmp", ".tmp", "a.tmp", "%a.tmp", ".upload-1-1", "%.upload-1-1", ".hidden", "%", "%%", "...",
	" ", "a b", "-", "~", "*", "%2F", "ключ", "日本語", "🦊", "con", strings.Repeat("n", storage.MaxFileName), "%" + strings.Repeat("n", storage.MaxFileName-1),
	strings.Repeat("ü", storage.MaxFileName/2),
}

func checkFilesRoundTrip(s *subject) {
	var changes []storage.FileChange
	for i, name := range awkwardNames {
		c := s.put(name, s.upload(strings.Repeat(name+"\r\n\x00\xff", i%3)))
		if i%4 == 3 {
			c.Type = ""
		}
		changes = append(changes, c)
	}
	s.equal("files before the commit", s.files(storage.FilesQuery{Object: "a"}), []storage.File(nil))
	s.noFile("an upload", "a", awkwardNames[0])
	s.must(s.make("a", 1, withFiles(changes...)))
	for range 2 {
		s.equal("files", s.files(storage.FilesQuery{Object: "a"}), want(changes...))
		for i, name := range awkwardNames {
			if got := s.content(name, 0); got != strings.Repeat(name+"\r\n\x00\xff", i%3) {
				s.Errorf("file %q is %q", name, got)
			}
		}
		s.equal("the rest of the commit", len(s.load("a").State), 1)
		s.noFile("another object's file", "b", awkwardNames[0])
		s.reopen()
	}
}

func checkFilesLarge(s *subject) {
	const size = 20<<20 + 7
	seed := rand.NewChaCha8([32]byte{1})
	h := sha256.New()
	u, err := s.WriteFile(s.ctx, "a", io.TeeReader(io.LimitReader(seed, size), h))
	if err != nil || u.Size != size || u.Hash != hex.EncodeToString(h.Sum(nil)) {
		s.Fatalf("WriteFile of %d bytes: %+v, %v", size, u, err)
	}
	s.must(s.make("a", 1, withFiles(s.put("big", u))))
	for range 2 {
		_, r, err := s.ReadFile(s.ctx, "a", "big", 0)
		if err != nil {
			s.Fatalf("ReadFile: %v", err)
		}
		got := sha256.New()
		if n, err := io.Copy(got, r); n != size || err != nil || hex.EncodeToString(got.Sum(nil)) != u.Hash {
			s.Errorf("%d bytes came back with the hash %x, %d with %s were written: %v", n, got.Sum(nil), size, u.Hash, err)
		}
		_ = r.Close()
		if tail := s.content("big", size-3); len(tail) != 3 {
			s.Errorf("the last 3 bytes are %d", len(tail))
		}
		s.reopen()
	}
}

func checkFilesReplace(s *subject) {
	one, two := s.put("f", s.upload("one")), s.put("f", s.upload("two, longer"))
	s.must(s.make("a", 1, withFiles(one)), s.make("a", 2, withFiles(two, s.put("g", s.upload("g")))))
	if got := s.content("f", 0); got != "two, longer" {
		s.Errorf("a replaced file is %q", got)
	}
	gone := s.remove("f")
	s.must(s.make("a", 3, withFiles(gone, s.remove("never"))))
	s.noFile("a deleted file", "a", "f")
	again := s.put("h", s.upload("h"))
	s.must(s.make("a", 4, withFiles(s.put("g", s.upload("")))), s.make("a", 5, withFiles(again)))
	for range 2 {
		s.noFile("a deleted file", "a", "f")
		s.noFile("a file deleted that never was", "a", "never")
		var names []string
		for _, f := range s.files(storage.FilesQuery{Object: "a"}) {
			names = append(names, f.Name)
		}
		s.equal("names", names, []string{"g", "h"})
		if got := s.content("g", 0); got != "" {
			s.Errorf("a file replaced by an empty one is %q", got)
		}
		all := s.files(storage.FilesQuery{Object: "a", Tombstones: true, After: "", Prefix: "f"})
		s.equal("tombstone", all, want(gone))
		s.reopen()
	}
	s.must(s.make("a", 6, withFiles(s.put("f", s.upload("back")))))
	if got := s.content("f", 0); got != "back" {
		s.Errorf("a file that came back is %q", got)
	}
}

func checkFilesList(s *subject) {
	names := []string{"b", "a", "ab", "B", "é", "z", "a b", "10", "9", "dir.1", "dir.2", "dir.10"}
	for i, n := range names {
		s.must(s.make("a", uint64(i+1), withFiles(s.put(n, s.upload(n)))))
	}
	s.must(s.make("a", uint64(len(names)+1), withFiles(s.remove("ab"))))
	all := slices.Sorted(slices.Values(names))
	live := slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == "ab" })
	walk := func(q storage.FilesQuery) []string {
		var got []string
		for {
			page := s.files(q)
			for _, f := range page {
				got = append(got, f.Name)
			}
			if len(page) < q.Limit {
				return got
			}
			q.After = page[len(page)-1].Name
		}
	}
	for range 2 {
		for _, limit := range []int{1, 5, 1000} {
			s.equal("files", walk(storage.FilesQuery{Object: "a", Limit: limit}), live)
			s.equal("files and tombstones", walk(storage.FilesQuery{Object: "a", Limit: limit, Tombstones: true}), all)
			s.equal("files with a prefix", walk(storage.FilesQuery{Object: "a", Limit: limit, Prefix: "dir."}), []string{"dir.1", "dir.10", "dir.2"})
		}
		s.equal("files of no prefix", walk(storage.FilesQuery{Object: "a", Limit: 10, Prefix: "q"}), []string(nil))
		s.equal("files of an unknown object", walk(storage.FilesQuery{Object: "nobody", Limit: 10}), []string(nil))
		s.reopen()
	}
	for _, limit := range []int{0, -1, storage.MaxPage + 1} {
		_, err := s.Files(s.ctx, storage.FilesQuery{Object: "a", Limit: limit})
		s.kind(fmt.Sprintf("Files with limit %d", limit), err, invalid)
	}
}

func checkFilesRange(s *subject) {
	s.must(s.make("a", 1, withFiles(s.put("f", s.upload("0123456789")), s.put("empty", s.upload("")))))
	for range 2 {
		for from, rest := range map[int64]string{0: "0123456789", 1: "123456789", 9: "9", 10: ""} {
			if got := s.content("f", from); got != rest {
				s.Errorf("from %d: %q, want %q", from, got, rest)
			}
		}
		if got := s.content("empty", 0); got != "" {
			s.Errorf("an empty file is %q", got)
		}
		for name, from := range map[string]int64{"f": 11, "empty": 1} {
			_, _, err := s.ReadFile(s.ctx, "a", name, from)
			s.kind("ReadFile from beyond the end", err, invalid)
			_, _, err = s.ReadFile(s.ctx, "a", name, -1)
			s.kind("ReadFile from -1", err, invalid)
		}
		s.reopen()
	}
}

// failing gives some bytes and then an error.
type failing struct {
	left int
	err  error
}

func (f *failing) Read(b []byte) (int, error) {
	if f.left == 0 {
		return 0, f.err
	}
	n := min(f.left, len(b))
	f.left -= n
	return n, nil
}

func checkReaderError(s *subject) {
	for _, size := range []int{0, 10, 3 << 20} {
		_, err := s.WriteFile(s.ctx, "a", &failing{size, errs.New(errs.BodyTimeout, "slow", "It came too slowly.")})
		s.kind("the reader's error", err, errs.BodyTimeout)
		if e := errs.From(err); err != nil && e.CodeOf() != "slow" {
			s.Errorf("the reader's error became %v", err)
		}
		if _, err = s.WriteFile(s.ctx, "a", &failing{size, io.ErrUnexpectedEOF}); !errors.Is(err, io.ErrUnexpectedEOF) {
			s.Errorf("a reader that was cut off after %d bytes: %v", size, err)
		}
	}
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if _, err := s.WriteFile(ctx, "a", strings.NewReader("x")); err == nil {
		s.Errorf("WriteFile succeeded after its context had ended")
	}
	s.must(s.make("a", 1, withFiles(s.put("f", s.upload("fine")))))
	s.equal("files", len(s.files(storage.FilesQuery{Object: "a", Tombstones: true})), 1)
}

// checkFilesClose closes readers early, many times: nothing may be left of them.
func checkFilesClose(s *subject) {
	s.must(s.make("a", 1, withFiles(s.put("f", s.upload(strings.Repeat("x", 2<<20))))))
	before := runtime.NumGoroutine()
	for i := range 200 {
		_, r, err := s.ReadFile(s.ctx, "a", "f", 0)
		if err != nil {
			s.Fatalf("ReadFile %d: %v", i, err)
		}
		if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
			s.Fatalf("Read %d: %v", i, err)
		}
		if err := r.Close(); err != nil {
			s.Fatalf("Close %d: %v", i, err)
		}
	}
	for deadline := time.Now().Add(s.patience()); runtime.NumGoroutine() > before+50; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
	if n := len(s.content("f", 0)); n != 2<<20 {
		s.Errorf("%d bytes", n)
	}
}

// checkFilesConcurrent reads a file while it is replaced and deleted: what a
// reader gets is one of the contents, whole, and not older than what was
// acknowledged before. A reader that is open reads the old bytes to their end.
func checkFilesConcurrent(s *subject) {
	text := func(n uint64) string { return strings.Repeat(fmt.Sprintf("%08d", n), 40<<10) }
	s.must(s.make("a", 1, withFiles(s.put("f", s.upload(text(1))))))
	_, old, err := s.ReadFile(s.ctx, "a", "f", 0)
	if err != nil {
		s.Fatalf("ReadFile: %v", err)
	}
	defer func() { _ = old.Close() }()
	start := make([]byte, 8)
	if _, err := io.ReadFull(old, start); err != nil {
		s.Fatalf("Read: %v", err)
	}
	stop, fail := make(chan struct{}), make(chan error, 3)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := s.readWhole("a", "f"); err != nil {
					fail <- err
					return
				}
			}
		})
	}
	for n := uint64(2); n <= 20; n++ {
		s.must(s.make("a", n, withFiles(s.put("f", s.upload(text(n))))))
		if got := s.content("f", 0); got != text(n) {
			s.Errorf("the file is %q… after commit %d", got[:8], n)
		}
	}
	close(stop)
	wg.Wait()
	select {
	case err := <-fail:
		s.Errorf("%v", err)
	default:
	}
	s.must(s.make("a", 21, withFiles(s.remove("f"))))
	rest, err := io.ReadAll(old)
	if err != nil || string(start)+string(rest) != text(1) {
		s.Errorf("a reader opened before gave %d bytes, want those of the first content: %v", 8+len(rest), err)
	}
}

func (s *subject) readWhole(object id.Object, name string) error {
	f, r, err := s.ReadFile(s.ctx, object, name, 0)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if storage.Hash(b) != f.Hash || !bytes.Equal(b, bytes.Repeat(b[:8], len(b)/8)) {
		return fmt.Errorf("%d bytes do not have the hash that ReadFile gave, or are of two contents", len(b))
	}
	return nil
}

func checkFilesInvalid(s *subject) {
	u := s.upload("x")
	for what, with := range map[string]func(*storage.FileChange){
		"an empty name":                    func(c *storage.FileChange) { c.Name = "" },
		"a name of 201 bytes":              func(c *storage.FileChange) { c.Name = strings.Repeat("n", 201) },
		"a name that is not UTF-8":         func(c *storage.FileChange) { c.Name = "a\xff" },
		"a name with a slash":              func(c *storage.FileChange) { c.Name = "a/b" },
		"a name with a backslash":          func(c *storage.FileChange) { c.Name = `a\b` },
		"a dot":                            func(c *storage.FileChange) { c.Name = "." },
		"two dots":                         func(c *storage.FileChange) { c.Name = ".." },
		"a name with a tab":                func(c *storage.FileChange) { c.Name = "a\tb" },
		"a name with a NUL":                func(c *storage.FileChange) { c.Name = "a\x00" },
		"a name with DEL":                  func(c *storage.FileChange) { c.Name = "\x7f" },
		"a name with a C1 control":         func(c *storage.FileChange) { c.Name = "\u0085" },
		"a media type with a newline":      func(c *storage.FileChange) { c.Type = "text/plain\n" },
		"a media type that is not ASCII":   func(c *storage.FileChange) { c.Type = "text/ü" },
		"a media type of 256 bytes":        func(c *storage.FileChange) { c.Type = strings.Repeat("t", 256) },
		"no stamp":                         func(c *storage.FileChange) { c.Stamp = hlc.Stamp{} },
		"a year of five digits":            func(c *storage.FileChange) { c.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"a negative size":                  func(c *storage.FileChange) { c.Size = -1 },
		"no hash":                          func(c *storage.FileChange) { c.Hash = "" },
		"an upper-case hash":               func(c *storage.FileChange) { c.Hash = strings.ToUpper(c.Hash) },
		"a deletion with type, size, hash": func(c *storage.FileChange) { c.Deleted, c.Upload = true, "" },
		"a deletion with an upload":        func(c *storage.FileChange) { c.Deleted, c.Type, c.Size, c.Hash = true, "", 0, "" },
	} {
		c := s.put("f", u)
		with(&c)
		s.refused(what, s.make("a", 1, withFiles(c)), invalid)
	}
	s.refused("a name twice", s.make("a", 1, withFiles(s.put("f", u), s.remove("f"))), invalid)
	for _, name := range []string{"", ".", "..", "a/b", "../x", "a\x00"} {
		_, _, err := s.ReadFile(s.ctx, "a", name, 0)
		s.kind(fmt.Sprintf("ReadFile of %q", name), err, invalid)
	}
	s.equal("objects after refused commits", s.objects(storage.ObjectsQuery{Limit: 10}), []storage.ObjectInfo(nil))
	s.must(s.make("a", 1, withFiles(s.put("f", u))))
}

func checkFilesIncarnation(s *subject) {
	s.must(s.make("a", 1, withFiles(s.put("f", s.upload("old")), s.put("g", s.upload("old")))))
	late := s.upload("made before the new life")
	s.must(s.make("a", 2, withIncarnation(2)))
	s.equal("files of a new life", s.files(storage.FilesQuery{Object: "a", Tombstones: true}), []storage.File(nil))
	s.noFile("the life before", "a", "f")
	s.must(s.make("a", 3, withIncarnation(2), withFiles(s.put("g", late))), // and two more lives in one batch
		s.make("a", 4, withIncarnation(2), withFiles(s.put("h", s.upload("h")))))
	for range 2 {
		s.noFile("the life before", "a", "f")
		s.equal("files", len(s.files(storage.FilesQuery{Object: "a", Tombstones: true})), 2)
		if got := s.content("g", 0); got != "made before the new life" {
			s.Errorf("the file is %q", got)
		}
		s.reopen()
	}
	s.must(s.make("a", 5, withIncarnation(3), withFiles(s.put("f", s.upload("3")))),
		s.make("a", 6, withIncarnation(4), withFiles(s.put("g", s.upload("4")))))
	for range 2 {
		s.noFile("a life within the batch", "a", "f")
		if got := s.content("g", 0); got != "4" {
			s.Errorf("the file is %q", got)
		}
		s.reopen()
	}
}

// checkFilesAtomic refuses a commit for one of its files: nothing of it is stored,
// and a follower fails too.
func checkFilesAtomic(s *subject) {
	u := s.upload("x")
	bad := s.put("g", u)
	bad.Upload = "4-4"
	results := s.commit(s.make("a", 1, withFiles(s.put("f", u), bad)), s.make("a", 2), s.make("b", 1))
	s.kind("a commit with a wrong upload", results[0], invalid)
	s.kind("its follower", results[1], outOfSequence)
	if results[2] != nil {
		s.Errorf("another object's commit: %v", results[2])
	}
	s.noFile("a refused commit", "a", "f")
	s.equal("state of a refused commit", len(s.load("a").State), 0)
	s.must(s.make("a", 1, withFiles(s.put("f", u))))
	late := s.put("g", s.upload(""))
	late.Stamp.Time += 9 << 16 // a change made elsewhere, later than the commit
	s.must(s.make("a", 2, withFiles(late)))
	s.reopen()
	if high := s.boot().High; high < late.Stamp.Time {
		s.Errorf("High = %d, want at least %d: the highest stamp stored", high, late.Stamp.Time)
	}
}

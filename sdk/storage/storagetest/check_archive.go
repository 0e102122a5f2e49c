package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// export gives an object's archive.
func (s *subject) export(object id.Object) []byte {
	s.Helper()
	r, err := s.Export(s.ctx, object)
	if err != nil {
		s.Fatalf("Export: %v", err)
	}
	b, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		s.Fatalf("reading the export: %v", err)
	}
	return b
}

// rich makes an object that has something of everything, in its second life.
func (s *subject) rich(object id.Object) {
	s.must(s.make(object, 1, withVersion(1, "return 1")))
	second := s.make(object, 2, withIncarnation(2), withVersion(2, "return 2\t\n"), withEpoch(3))
	second.State = append(second.State, s.set("tab\tand\nline", `{"a":[1,"\u0000"]}`), s.set("gone", "1"), s.set("ü", `""`))
	s.must(second)
	u, err := s.WriteFile(s.ctx, object, strings.NewReader("some bytes\x00\xff"))
	if err != nil {
		s.Fatalf("WriteFile: %v", err)
	}
	empty, err := s.WriteFile(s.ctx, object, strings.NewReader(""))
	if err != nil {
		s.Fatalf("WriteFile: %v", err)
	}
	third := s.make(object, 3, withIncarnation(2), withEpoch(3), withVersion(3, ""))
	third.Files = []storage.FileChange{s.put("index.tsv", u), s.put(".empty", empty)}
	third.State = append(third.State, storage.StateChange{Key: "gone", Deleted: true, Stamp: s.stamp()})
	third.Entries = append(third.Entries, entry(s.boot().Number, 77), storage.Entry{
		ID: id.Entry{Station: "other", Boot: 9, Sequence: 5}, Time: epochStart, Level: storage.Error, Message: "\x00\xff\t\\", Fields: []byte(`{"a":"\t"}`)})
	s.must(third)
	fourth := s.make(object, 4, withIncarnation(2), withEpoch(3))
	gone := s.stamp()
	fourth.Files = []storage.FileChange{{File: storage.File{Name: ".empty", Deleted: true, Time: epochStart, Stamp: gone}}}
	s.must(fourth)
}

// everything is all that the contract tells of an object.
func (s *subject) everything(object id.Object) map[string]any {
	s.Helper()
	o := s.load(object)
	o.Object, o.Boot, o.Entries = "", 0, 0
	all := map[string]any{"object": o, "log": s.allLogs(storage.LogsQuery{Object: object, Oldest: true, Limit: 1000})}
	var versions []storage.Version
	for _, v := range s.versions(object, 0, 1000) {
		v, err := s.Version(s.ctx, object, v.Number)
		if err != nil {
			s.Fatalf("Version: %v", err)
		}
		versions = append(versions, v)
	}
	all["versions"] = versions
	files, err := s.Files(s.ctx, storage.FilesQuery{Object: object, Limit: 1000, Tombstones: true})
	if err != nil {
		s.Fatalf("Files: %v", err)
	}
	all["files"] = files
	for _, f := range files {
		if f.Deleted {
			continue
		}
		_, r, err := s.ReadFile(s.ctx, object, f.Name, 0)
		if err != nil {
			s.Fatalf("ReadFile %q: %v", f.Name, err)
		}
		b, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil {
			s.Fatalf("reading %q: %v", f.Name, err)
		}
		all["file "+f.Name] = string(b)
	}
	return all
}

func (s *subject) importAs(object id.Object, archive []byte) {
	s.Helper()
	i, err := s.Import(s.ctx, object, bytes.NewReader(archive))
	if err != nil {
		s.Fatalf("Import: %v", err)
	}
	s.equal("what Import gives", i, s.load(object).ObjectInfo)
}

// checkExport takes an object to another name and back, and goes on with it.
func checkExport(s *subject) {
	_, err := s.Export(s.ctx, "nobody")
	s.kind("Export of an unknown object", err, notFound)
	s.rich("a")
	want, digest, archive := s.everything("a"), s.digest("a"), s.export("a")
	s.must(s.make("a", 5, withIncarnation(2), withEpoch(3)))
	s.importAs("b", archive)
	s.equal("what was imported", s.everything("b"), want)
	s.importAs("c", s.export("b"))
	s.equal("what was exported and imported again", s.everything("c"), want)
	s.reopen()
	s.equal("what was imported, opened again", s.everything("b"), want)
	if _, all := s.summed("a", "b", "c"); !cmp.Equal(all, s.digest("")) {
		s.Errorf("the digest of all is not that of its objects")
	}
	s.must(s.make("b", 5, withIncarnation(2), withEpoch(3), withVersion(4, "more")))
	s.refused("an older epoch", s.make("b", 6, withIncarnation(2), withEpoch(2)), staleEpoch)
	o := s.load("b")
	s.equal("sequence and head", []uint64{o.Sequence, o.Head}, []uint64{5, 4})

	// On an empty store, under its own name.
	s.config.DataDir = s.t.TempDir()
	s.open()
	s.replaced = stamps{}
	s.importAs("a", archive)
	s.equal("what was imported elsewhere", s.everything("a"), want)
	s.equal("its digest", s.digest("a"), digest)
}

// checkImportRefused: nothing is left of an import that failed, and what is there stays.
func checkImportRefused(s *subject) {
	s.rich("a")
	archive := s.export("a")
	before := s.everything("a")
	_, err := s.Import(s.ctx, "a", bytes.NewReader(archive))
	s.kind("Import over an object", err, errs.Conflict)
	s.equal("the object that is there", s.everything("a"), before)
	_, err = s.Import(s.ctx, "not an id", bytes.NewReader(archive))
	s.kind("Import under a bad id", err, invalid)
	for _, n := range []int{0, 1, 511, 512, 1024, len(archive) / 3, len(archive) / 2, len(archive) - 4096, len(archive) - 1700} {
		if n < 0 || n > len(archive) {
			continue
		}
		_, err = s.Import(s.ctx, "cut", bytes.NewReader(archive[:n]))
		if !errs.Is(err, invalid) && !errs.Is(err, errs.Corrupt) {
			s.Errorf("Import of the first %d of %d bytes: %v", n, len(archive), err)
		}
	}
	for at := 600; at < len(archive)-1024; at += 331 {
		bad := bytes.Clone(archive)
		if bad[at] == 0 { // padding
			continue
		}
		bad[at] ^= 4
		if _, err = s.Import(s.ctx, "flip", bytes.NewReader(bad)); err != nil && !errs.Is(err, invalid) && !errs.Is(err, errs.Corrupt) {
			s.Errorf("Import with a flipped bit at %d: %v", at, err)
		}
		if err == nil {
			s.Errorf("Import with a flipped bit at %d was taken", at)
		}
	}
	for _, what := range []string{"return 2", "some bytes", "entry 3"} {
		bad := bytes.Replace(archive, []byte(what), []byte(strings.ToUpper(what)), 1)
		if _, err = s.Import(s.ctx, "flip", bytes.NewReader(bad)); !errs.Is(err, errs.Corrupt) {
			s.Errorf("Import of an archive with another %q: %v", what, err)
		}
	}
	_, err = s.Import(s.ctx, "broken", io.MultiReader(bytes.NewReader(archive[:len(archive)/2]), &failing{err: errs.New(errs.TooLarge, "", "too much")}))
	s.kind("Import from a reader that fails", err, errs.TooLarge)
	_, err = s.Import(s.ctx, "late", io.MultiReader(bytes.NewReader(archive), &failing{err: errs.New(errs.TooLarge, "", "too much")}))
	s.kind("Import from a reader that fails where the archive has ended", err, errs.TooLarge)
	_, err = s.Import(s.ctx, "late", bytes.NewReader(append(bytes.Clone(archive), "more"...)))
	s.kind("Import of an archive and more", err, errs.Corrupt)
	for _, name := range []id.Object{"cut", "flip", "broken", "late"} {
		s.equal("what is left of an import that failed", s.load(name).ObjectInfo, storage.ObjectInfo{Object: name})
		s.equal("its log", s.logs(storage.LogsQuery{Object: name, Limit: 9}), storage.LogsPage{})
	}
	s.importAs("cut", archive)
	s.reopen()
	s.must(s.make("broken", 1))
	s.equal("the object made after an import of its name failed", len(s.load("broken").State), 1)
	s.equal("the object that is there, opened again", s.everything("a"), before)
}

// checkImportAgain: an import that broke off is repeated at once.
func checkImportAgain(s *subject) {
	s.rich("a")
	archive, want := s.export("a"), s.everything("a")
	half := func() io.Reader { return bytes.NewReader(archive[:len(archive)/2]) }
	for i := range 5 {
		failed, ended := id.Object(fmt.Sprint("failed", i)), id.Object(fmt.Sprint("ended", i))
		_, err := s.Import(s.ctx, failed, io.MultiReader(half(), &failing{err: errs.New(errs.TooLarge, "", "too much")}))
		s.kind("Import from a reader that fails", err, errs.TooLarge)
		s.importAs(failed, archive)
		ctx, cancel := context.WithCancel(s.ctx)
		if _, err = s.Import(ctx, ended, io.MultiReader(half(), &endless{ctx, cancel})); err == nil {
			s.Fatalf("Import of half an archive gives no error")
		}
		cancel()
		s.importAs(ended, archive)
		s.equal("what was imported", s.everything(failed), want)
		s.equal("what was imported", s.everything(ended), want)
	}
}

// endless ends its context where it is read, and gives nothing before that.
type endless struct {
	ctx context.Context
	end func()
}

// Read implements io.Reader.
func (e *endless) Read([]byte) (int, error) {
	e.end()
	<-e.ctx.Done()
	return 0, e.ctx.Err()
}

// checkImportBoots: no boot that an imported entry names is given again.
func checkImportBoots(s *subject) {
	c := s.make("a", 1)
	c.Entries = []storage.Entry{entry(40, 3)}
	c.State[0].Stamp.Time += 9 << 16
	s.must(c)
	archive := s.export("a")
	s.config.DataDir = s.t.TempDir()
	s.open()
	s.importAs("b", archive)
	s.reopen()
	b := s.boot()
	if b.Number <= 40 {
		s.Errorf("boot %d after an entry of boot 40 was imported", b.Number)
	}
	if b.High < c.State[0].Stamp.Time {
		s.Errorf("High = %d, want at least %d: the highest stamp imported", b.High, c.State[0].Stamp.Time)
	}

	s.config.DataDir = s.t.TempDir()
	s.open()
	own := s.make("c", 1)
	own.Entries = []storage.Entry{entry(s.boot().Number, 9)} // a new folder begins with the same boot
	s.must(own)
	archive = s.export("c")
	s.config.DataDir = s.t.TempDir()
	s.open()
	s.importAs("c", archive)
	if o := s.load("c"); o.Boot == own.Entries[0].ID.Boot && o.Entries < 9 {
		s.Errorf("entry ids above %d are free in boot %d, of which 9 was imported", o.Entries, o.Boot)
	}
}

// checkExportLarge exports more than one part of a log and a file.
func checkExportLarge(s *subject) {
	content := strings.Repeat("0123456789abcdef", 200_000)
	u, err := s.WriteFile(s.ctx, "a", strings.NewReader(content))
	if err != nil {
		s.Fatalf("WriteFile: %v", err)
	}
	c := s.make("a", 1)
	c.Files = []storage.FileChange{s.put("large", u)}
	for i := range uint64(900) {
		e := entry(7, 100+i)
		e.Message = fmt.Sprint(i, strings.Repeat("x\n", 1500))
		c.Entries = append(c.Entries, e)
	}
	s.must(c)
	want := s.everything("a")
	r, err := s.Export(s.ctx, "a")
	if err != nil {
		s.Fatalf("Export: %v", err)
	}
	_, err = s.Import(s.ctx, "b", r)
	if err = errors.Join(err, r.Close()); err != nil {
		s.Fatalf("Import of what is exported: %v", err)
	}
	s.equal("what was imported", s.everything("b"), want)
	if r, err = s.Export(s.ctx, "a"); err == nil { // one that nobody reads
		_, _ = io.ReadFull(r, make([]byte, 10))
		err = r.Close()
	}
	if err != nil {
		s.Errorf("an export that was given up: %v", err)
	}
}

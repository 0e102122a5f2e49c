package storagetest

import (
	"strings"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

// upload puts bytes of object a aside and checks what the store says of them.
func (s *subject) upload(content string) storage.Upload {
	s.Helper()
	u, err := s.WriteFile(s.ctx, "a", strings.NewReader(content))
	if err != nil {
		s.Fatalf("WriteFile: %v", err)
	}
	if u.ID == "" || u.Size != int64(len(content)) || u.Hash != storage.Hash([]byte(content)) {
		s.Fatalf("WriteFile of %d bytes gave %+v", len(content), u)
	}
	return u
}

// noUpload checks that a commit is refused for its upload, and nothing of it stored.
func (s *subject) noUpload(what string, c storage.Commit) {
	s.Helper()
	err := s.commit(c)[0]
	s.kind(what, err, invalid)
	if e := errs.From(err); err != nil && e.CodeOf() != "no_upload" {
		s.Errorf("%s: the code is %q, want no_upload", what, e.CodeOf())
	}
	if n := s.load(c.Object).Sequence; n != c.Sequence-1 {
		s.Errorf("%s: the sequence is %d, want %d", what, n, c.Sequence-1)
	}
}

func checkUploads(s *subject) {
	first := s.upload("one")
	s.must(s.make("a", 1, withFiles(s.put("f", first))), s.make("b", 1))
	u := s.upload("two")
	twist := func(f func(*storage.FileChange)) storage.Commit {
		c := s.put("f", u)
		f(&c)
		return s.make("a", 2, withFiles(c))
	}
	s.noUpload("an unknown upload", twist(func(c *storage.FileChange) { c.Upload = "999999-7" }))
	s.noUpload("a path as upload", twist(func(c *storage.FileChange) { c.Upload = "../f" }))
	s.noUpload("no upload", twist(func(c *storage.FileChange) { c.Upload = "" }))
	s.noUpload("a used upload", s.make("a", 2, withFiles(s.put("g", first))))
	s.noUpload("another hash", twist(func(c *storage.FileChange) { c.Hash = first.Hash }))
	s.noUpload("another size", twist(func(c *storage.FileChange) { c.Size++ }))
	s.noUpload("an upload twice", s.make("a", 2, withFiles(s.put("f", u), s.put("g", u))))
	s.noUpload("another object's upload", s.make("b", 2, withFiles(s.put("f", u))))
	if err := s.DropUpload(s.ctx, "b", u.ID); err != nil {
		s.Errorf("DropUpload of another object's: %v", err)
	}
	// Each of them left the upload as it was; so does a commit out of sequence.
	s.refused("sequence 3 after 1", s.make("a", 3, withFiles(s.put("f", u))), outOfSequence)
	s.must(s.make("a", 2, withFiles(s.put("f", u))))
	for what, upload := range map[string]string{"used": u.ID, "unknown": "77-77", "empty": "", "path": "../x"} {
		if err := s.DropUpload(s.ctx, "a", upload); err != nil {
			s.Errorf("DropUpload, %s: %v", what, err)
		}
	}
	if got := s.content("f", 0); got != "two" {
		s.Errorf("the file is %q", got)
	}
	dropped := s.upload("three")
	if err := s.DropUpload(s.ctx, "a", dropped.ID); err != nil {
		s.Errorf("DropUpload: %v", err)
	}
	s.noUpload("a dropped upload", s.make("a", 3, withFiles(s.put("f", dropped))))
	left := s.upload("four")
	s.reopen()
	s.noUpload("an upload of the run before", s.make("a", 3, withFiles(s.put("f", left))))
	if got := s.content("f", 0); got != "two" {
		s.Errorf("the file is %q after opening again", got)
	}
	_, err := s.WriteFile(s.ctx, "../a", strings.NewReader(""))
	s.kind("WriteFile of a path", err, invalid)
}

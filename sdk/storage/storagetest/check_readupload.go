package storagetest

import (
	"bytes"
	"io"
	"strings"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// bytesOf reads an upload of object a.
func (s *subject) bytesOf(u storage.Upload) string {
	s.Helper()
	got, r, err := s.ReadUpload(s.ctx, "a", u.ID)
	if err != nil {
		s.Fatalf("ReadUpload: %v", err)
	}
	b, err := io.ReadAll(r)
	if err != nil || r.Close() != nil {
		s.Fatalf("reading an upload: %v", err)
	}
	s.equal("what ReadUpload says of an upload", got, u)
	return string(b)
}

func (s *subject) unread(what string, object id.Object, upload string) {
	s.Helper()
	_, _, err := s.ReadUpload(s.ctx, object, upload)
	s.kind("ReadUpload of "+what, err, notFound)
}

// checkReadUpload: an upload can be read until a commit uses it or somebody drops
// it, and one that is being read to its end.
func checkReadUpload(s *subject) {
	large := strings.Repeat("0123456789abcdef", 1<<16) // several messages
	for _, content := range []string{"", "x", large} {
		u := s.upload(content)
		for range 2 {
			if got := s.bytesOf(u); got != content {
				s.Errorf("an upload of %d bytes reads as %d, or others", len(content), len(got))
			}
		}
	}
	used, dropped := s.upload(large), s.upload(large)
	_, begun, err := s.ReadUpload(s.ctx, "a", used.ID)
	if err != nil {
		s.Fatalf("ReadUpload: %v", err)
	}
	head := make([]byte, 10)
	if _, err := io.ReadFull(begun, head); err != nil {
		s.Fatalf("reading an upload: %v", err)
	}
	s.must(s.make("a", 1, withFiles(s.put("f", used))))
	if err := s.DropUpload(s.ctx, "a", dropped.ID); err != nil {
		s.Fatalf("DropUpload: %v", err)
	}
	if rest, err := io.ReadAll(begun); err != nil || !bytes.Equal(append(head, rest...), []byte(large)) {
		s.Errorf("an upload that was used while it was read gave %d bytes, or others, and %v", len(head)+len(rest), err)
	}
	if err := begun.Close(); err != nil {
		s.Errorf("closing an upload: %v", err)
	}
	s.unread("one that was used", "a", used.ID)
	s.unread("one that was dropped", "a", dropped.ID)
	s.unread("another object's", "b", s.upload("x").ID)
	for _, upload := range []string{"", "none", "../a", "9-9"} {
		s.unread("none", "a", upload)
	}
	before := s.upload("x")
	s.reopen()
	s.unread("one of a run before", "a", before.ID)
}

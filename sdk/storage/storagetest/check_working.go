package storagetest

import (
	"bytes"

	"github.com/dbbasic/station/sdk/storage"
)

func withWorking(n uint64) func(*storage.Commit) {
	return func(c *storage.Commit) { c.Working = n }
}

// working checks what Load and Objects say that the script file of "a" holds.
func (s *subject) working(when string, want uint64) {
	s.Helper()
	if got := s.load("a").Working; got != want {
		s.Errorf("Load %s: the file holds version %d, want %d", when, got, want)
	}
	if list := s.objects(storage.ObjectsQuery{Limit: 1}); len(list) != 1 || list[0].Working != want {
		s.Errorf("Objects %s: %+v, want a with %d in its file", when, list, want)
	}
}

// checkWorking: what the script file holds is noted whole with a commit, on its
// own or with the version, until the next note of it.
func checkWorking(s *subject) {
	s.must(s.make("a", 1, withVersion(1, "one")))
	s.working("of a version from elsewhere", 0)
	s.must(s.make("a", 2, withVersion(2, "two"), withWorking(2)))
	s.working("of a version that came from it", 2)
	s.reopen()
	s.working("after opening again", 2)
	digest, bare := s.digest("a"), s.make("a", 3, withWorking(1))
	bare.State, bare.Entries = nil, nil
	s.must(bare)
	s.working("after a commit of nothing else", 1)
	s.equal("the digest, of which it is no part", s.digest("a"), digest)
	s.must(s.make("a", 4, withVersion(3, "three")))
	s.working("after a commit that says nothing of it", 1)
	s.refused("a version that is not there", s.make("a", 5, withWorking(4)), invalid)
	s.refused("a version behind the commit's own", s.make("a", 5, withVersion(4, "four"), withWorking(5)), invalid)
	s.refused("a version that does not follow", s.make("a", 5, withVersion(5, "five"), withWorking(3)), invalid)
	s.working("after refused commits", 1)
	s.must(s.make("a", 5, withWorking(3)), s.make("a", 6))
	s.reopen()
	s.working("after opening again", 3)

	archive := s.export("a")
	s.must(s.make("a", 7, withIncarnation(2)))
	s.working("in a new life", 0)
	s.must(s.make("a", 8, withIncarnation(3), withVersion(4, "four"), withWorking(4)))
	s.working("of the version that a life begins with", 4)
	s.reopen()
	s.working("of the new life after opening again", 4)
	i, err := s.Import(s.ctx, "b", bytes.NewReader(archive))
	if err != nil || i.Working != 0 || s.load("b").Working != 0 {
		s.Errorf("the file of an imported object is said to hold version %d: %v", i.Working, err)
	}
}

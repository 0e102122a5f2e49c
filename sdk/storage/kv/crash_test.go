package kv_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

var errPower = errors.New("the power went")

// story is what TestCrash does to a store: a change of every kind. It ends at the
// first error, and says what was acknowledged before.
type story struct {
	f        *fixture
	archive  []byte
	acked    []string
	sequence map[id.Object]uint64 // acknowledged
}

// stored says whether results are those of commits that are durable.
func (s *story) stored(commits ...storage.Commit) bool {
	for i, err := range s.f.Commit(s.f.t.Context(), commits) {
		if err != nil {
			return false
		}
		s.sequence[commits[i].Object] = commits[i].Sequence
	}
	return true
}

func (s *story) run() bool {
	f, ctx := s.f, s.f.t.Context()
	if !s.stored(commit("a", 1, 1), commit("b", 1, 1)) {
		return false
	}
	u, err := f.WriteFile(ctx, "a", bytes.NewReader(bytes.Repeat([]byte("one "), 1000)))
	if err != nil || !s.stored(withFile(commit("a", 1, 2), "f", u)) {
		return false
	}
	s.acked = append(s.acked, "one ")
	left, err := f.WriteFile(ctx, "a", bytes.NewReader(bytes.Repeat([]byte("x"), 2000)))
	if err != nil || f.DropUpload(ctx, "a", left.ID) != nil {
		return false
	}
	if _, err := f.WriteFile(ctx, "a", bytes.NewReader(bytes.Repeat([]byte("y"), 2000))); err != nil {
		return false
	}
	if u, err = f.WriteFile(ctx, "a", bytes.NewReader(bytes.Repeat([]byte("two "), 1000))); err != nil || !s.stored(withFile(commit("a", 1, 3), "f", u)) {
		return false
	}
	s.acked = append(s.acked, "two ")
	if _, err := f.Import(ctx, "i", bytes.NewReader(s.archive)); err != nil {
		return false
	}
	s.sequence["i"] = 12
	return s.stored(commit("b", 2, 2), commit("b", 2, 3)) && s.stored(commit("i", 1, 13))
}

// TestCrash ends the process at every transaction of a story, with what the
// transaction did and without: what was acknowledged is there, whole, what was not is
// there whole or not at all, and nothing that belongs to nothing is left.
func TestCrash(t *testing.T) {
	from := newFixture(t)
	from.fill("o", 1, 1, 10)
	from.must(withFile(commit("a", 1, 1), "g", from.upload([]byte("for a"))))
	u, err := from.WriteFile(t.Context(), "o", bytes.NewReader(bytes.Repeat([]byte("0123456789"), 300)))
	if err != nil {
		t.Fatal(err)
	}
	from.must(withFile(commit("o", 1, 11), "f", u), commit("o", 1, 12))
	archive := from.export("o")

	points := 0
	for _, keep := range []bool{false, true} {
		for n := 1; ; n++ {
			f := newFixture(t)
			s := &story{f: f, archive: archive, sequence: map[id.Object]uint64{}}
			updates := 0
			var reached atomic.Bool
			f.disk.OnUpdate(func() (bool, error) { // called with one goroutine's Update at a time
				if updates++; updates < n {
					return true, nil
				}
				f.disk.OnUpdate(nil)
				reached.Store(true)
				return keep, errPower
			})
			whole := s.run()
			f.disk.Crash()
			if !reached.Load() {
				if !whole {
					t.Fatalf("point %d: the story broke off, and nothing was planted", n)
				}
				break
			}
			points++
			// It serves nothing a moment before, and the sweeper may be who ends it.
			f.until(fmt.Sprintf("point %d: the store ends", n), func() bool { return f.ended.Load() > 0 })
			if f.ended.Load() != 1 {
				t.Fatalf("point %d: the store ended %d times", n, f.ended.Load())
			}
			f.open()
			s.check(fmt.Sprintf("point %d, kept %v", n, keep))
		}
	}
	if points < 40 {
		t.Errorf("there were %d points only", points)
	}
}

// check looks at what a crash has left.
func (s *story) check(when string) {
	f := s.f
	f.t.Helper()
	var objects []id.Object
	for _, name := range []id.Object{"a", "b", "i"} {
		o, err := f.Load(f.t.Context(), name)
		if err != nil {
			f.t.Fatalf("%s: Load %s: %v", when, name, err)
		}
		log := f.logs(storage.LogsQuery{Object: name, Limit: 100, Oldest: true})
		want := int(o.Sequence)
		if o.Incarnation == 2 {
			want--
		}
		if o.Sequence < s.sequence[name] || len(o.State) != want || len(log) != want {
			f.t.Errorf("%s: object %s is at %d with %d keys and %d entries; %d was acknowledged", when, name, o.Sequence, len(o.State), len(log), s.sequence[name])
		}
		if o.Sequence > 0 {
			objects = append(objects, name)
		}
	}
	s.checkFile(when)
	f.digests(objects...)
	f.swept()
	if slices.Contains(objects, "i") {
		f.export("i")
	} else if _, err := f.Import(f.t.Context(), "i", bytes.NewReader(s.archive)); err != nil {
		f.t.Errorf("%s: the import again: %v", when, err)
	}
	f.swept()
}

func (s *story) checkFile(when string) {
	f := s.f
	_, r, err := f.ReadFile(f.t.Context(), "a", "f", 0)
	if errs.Is(err, errs.NotFound) && len(s.acked) == 0 {
		return
	}
	if err != nil {
		f.t.Errorf("%s: the file: %v", when, err)
		return
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(r)
	allowed := append([]string{"two "}, s.acked...)
	if len(s.acked) == 0 {
		allowed = []string{"one "}
	} else if len(s.acked) == 2 {
		allowed = []string{"two "}
	}
	if err != nil || len(b) != 4000 || !slices.Contains(allowed, string(b[:4])) {
		f.t.Errorf("%s: the file has %d bytes, %.4q…, %v; want one of %q", when, len(b), b, err, allowed)
	}
}

// TestNobodyKnows: an error that does not say what was kept ends the store.
func TestNobodyKnows(t *testing.T) {
	f := newFixture(t)
	f.must(commit("a", 1, 1))
	f.disk.OnUpdate(func() (bool, error) { return true, errPower })
	bad := commit("a", 1, 3)
	got := f.Commit(t.Context(), []storage.Commit{commit("a", 1, 2), commit("b", 1, 1), bad, bad})
	for i, want := range []errs.Kind{errs.Unknown, errs.Unknown, errs.Unknown, errs.OutOfSequence} {
		if !errs.Is(got[i], want) {
			t.Errorf("result %d is %v, want %v", i, got[i], want)
		}
	}
	f.disk.OnUpdate(nil)
	if f.ended.Load() != 1 {
		t.Errorf("the store ended %d times", f.ended.Load())
	}
	if h := f.Health(t.Context()); h.OK || h.Problem == "" {
		t.Errorf("Health is %+v", h)
	}
	_, err := f.Load(t.Context(), "a")
	if got := f.Commit(t.Context(), []storage.Commit{commit("a", 1, 2)}); !errs.Is(err, errs.Unavailable) || !errs.Is(got[0], errs.Unavailable) {
		t.Errorf("afterwards Load gives %v and Commit %v", err, got[0])
	}
}

// TestNothingKept: a database that says so goes on, and leaves uploads as they were.
func TestNothingKept(t *testing.T) {
	f := newFixture(t)
	u := f.upload([]byte("content"))
	f.disk.OnUpdate(func() (bool, error) { return false, errs.New(errs.Unavailable, "", "The disk is full.") })
	c := withFile(commit("a", 1, 1), "f", u)
	if got := f.Commit(t.Context(), []storage.Commit{c})[0]; !errs.Is(got, errs.Unavailable) {
		t.Errorf("Commit gave %v", got)
	}
	if _, err := f.WriteFile(t.Context(), "a", bytes.NewReader([]byte("x"))); !errs.Is(err, errs.Unavailable) {
		t.Errorf("WriteFile gave %v", err)
	}
	if h := f.Health(t.Context()); h.OK || h.Problem != "The disk is full." {
		t.Errorf("with a full disk Health is %+v", h)
	}
	f.Sweep()
	if f.Health(t.Context()).OK {
		t.Error("the disk is full as before, and Health says that all is well")
	}
	f.disk.OnUpdate(nil)
	f.Sweep() // without a commit, which nobody sends to a station that is not ready
	if f.ended.Load() != 0 || !f.Health(t.Context()).OK {
		t.Errorf("the store ended %d times, and Health is %+v", f.ended.Load(), f.Health(t.Context()))
	}
	f.must(c)
	f.swept()
}

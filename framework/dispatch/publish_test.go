package dispatch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

func TestPublish(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	publish := func(base uint64, text string) (uint64, bool, error) {
		v := storage.Version{Time: time.Now(), Hash: storage.Hash([]byte(text)), Text: []byte(text)}
		return s.Publish(t.Context(), dispatch.Publication{
			Proposal: cluster.Proposal{Object: "c", Base: base, Version: v}, Program: compile(t, text)})
	}
	one, two := `function GET() return { count = 1 } end`, `function GET() return { count = 2 } end`
	if n, minted, err := publish(0, one); n != 1 || !minted || err != nil {
		t.Fatalf("first: %d %v %v", n, minted, err)
	}
	if got := s.mustCount(t, "c", "GET"); got != 1 {
		t.Errorf("version 1 answers %d", got)
	}
	if n, minted, err := publish(0, one); n != 1 || minted || err != nil {
		t.Errorf("the same text again: %d %v %v", n, minted, err)
	}
	_, _, err := publish(0, two)
	wantKind(t, err, errs.Conflict)
	if n, minted, err := publish(1, two); n != 2 || !minted || err != nil {
		t.Fatalf("second: %d %v %v", n, minted, err)
	}
	if got := s.mustCount(t, "c", "GET"); got != 2 {
		t.Errorf("version 2 answers %d", got)
	}
	if v, err := s.disk.Version(t.Context(), "c", 1); err != nil || string(v.Text) != one {
		t.Errorf("version 1 is %q, %v", v.Text, err)
	}
}

// Publications are answered in any order; the newest version serves.
func TestOlderVersionDoesNotReplaceANewerOne(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	for _, version := range []uint64{2, 1} {
		s.Serve("c", dispatch.Source{Version: version, Program: compile(t, fmt.Sprintf("function GET() return { count = %d } end", version))})
	}
	if got := s.mustCount(t, "c", "GET"); got != 2 {
		t.Errorf("version %d serves, want 2", got)
	}
}

// TestWorking: which version the script file holds is stored with the version
// that came from it, and by itself.
func TestWorking(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	publish := func(base uint64, text string, fromFile bool) {
		t.Helper()
		v := storage.Version{Time: time.Now(), Hash: storage.Hash([]byte(text)), Text: []byte(text)}
		_, _, err := s.Publish(t.Context(), dispatch.Publication{
			Proposal: cluster.Proposal{Object: "c", Base: base, Version: v}, Program: compile(t, text), FromFile: fromFile})
		if err != nil {
			t.Fatal(err)
		}
	}
	holds := func(sequence, head, working uint64) {
		t.Helper()
		o, err := s.disk.Load(t.Context(), "c")
		if err != nil || o.Sequence != sequence || o.Head != head || o.Working != working {
			t.Errorf("after %d commits the newest version is %d and the file holds %d, %v; want %d, %d and %d",
				o.Sequence, o.Head, o.Working, err, sequence, head, working)
		}
	}
	publish(0, "function GET() end", true)
	holds(1, 1, 1) // one commit has both
	publish(1, "function GET() return 2 end", false)
	holds(2, 2, 1)
	publish(2, "function GET() return 2 end", false)
	holds(2, 2, 1)
	publish(1, "function GET() return 2 end", true) // an edit that makes the newest version's text
	holds(3, 2, 2)
	publish(2, "function GET() return 2 end", true)
	holds(3, 2, 2)
	for _, n := range []uint64{0, 3} {
		wantKind(t, s.SetWorking(t.Context(), "c", n), errs.Invalid)
	}
	for range 2 {
		if err := s.SetWorking(t.Context(), "c", 1); err != nil {
			t.Fatal(err)
		}
		holds(4, 2, 1)
	}
}

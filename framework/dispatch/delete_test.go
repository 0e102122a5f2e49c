package dispatch_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

const keeper = `
local calls = 0
function GET()
  calls = calls + 1
  local n = state.incr("count")
  log.info("up")
  files.put("f" .. n, "text")
  return { count = n }
end
function PUT() return { count = calls } end
function DELETE() return { count = #files.list() } end`

// publish makes a text a version of "c", on top of another one.
func (s *station) publish(t *testing.T, base uint64, text string) {
	t.Helper()
	v := storage.Version{Time: time.Now(), Hash: storage.Hash([]byte(text)), Text: []byte(text)}
	n, _, err := s.Publish(t.Context(), dispatch.Publication{Proposal: cluster.Proposal{Object: "c", Base: base, Version: v}, Program: compile(t, text), FromFile: true})
	if err != nil || n != base+1 {
		t.Fatalf("the version after %d is %d, %v", base, n, err)
	}
}

// TestDelete: another life begins with nothing but the numbers of versions, in memory
// as in storage.
func TestDelete(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	s.publish(t, 0, keeper)
	s.publish(t, 1, keeper+"\n")
	for range 3 {
		s.mustCount(t, "c", "GET")
	}
	if err := s.Delete(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	_, err := s.call("c", "GET")
	wantKind(t, err, errs.NotFound)
	if _, err := s.State(t.Context(), host.StateQuery{Object: "c"}); !errs.Is(err, errs.NotFound) {
		t.Errorf("its state: %v", err)
	}
	warm, err := s.Info(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	stored, err := s.disk.Load(t.Context(), "c")
	if err != nil || stored.ObjectInfo != warm || stored.Incarnation != 2 || stored.Head != 2 || stored.Hash != "" || stored.Working != 0 || len(stored.State) > 0 {
		t.Errorf("stored is %+v, %v; in memory %+v", stored, err, warm)
	}
	if n := len(s.logs(t, "c")); n > 0 {
		t.Errorf("%d log entries are left", n)
	}
	s.publish(t, 2, keeper)
	for method, want := range map[string]int{"PUT": 0, "DELETE": 0} {
		if got := s.mustCount(t, "c", method); got != want {
			t.Errorf("%s of the new life gives %d, want %d", method, got, want)
		}
	}
	if got := s.mustCount(t, "c", "GET"); got != 1 {
		t.Errorf("the new life counts from %d", got)
	}
	if err := s.Delete(t.Context(), "never"); err != nil { // who may delete what is the kernel's to know
		t.Error(err)
	}
}

// TestDeleteBetweenCalls: calls before a deletion end as they would, those behind it
// find nothing, and that leaves only once it is true.
func TestDeleteBetweenCalls(t *testing.T) {
	for _, c := range []struct {
		name    string
		verdict error
		deleted errs.Kind
		behind  errs.Kind
	}{
		{"stored", nil, 0, errs.NotFound},
		{"not stored", errs.New(errs.Unavailable, "", "no"), errs.Unavailable, errs.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGate()
			s := newStation(t, dispatch.DefaultLimits(), func(m *storagetest.Memory) { m.OnCommit = g.hook })
			s.put(t, "c", counter)
			g.verdict <- nil
			s.mustCount(t, "c", "GET")
			await(t, g.entered)
			hold := make(chan struct{})
			go s.Hold(context.Background(), "c", func() { <-hold }) //nolint:errcheck // it gives none
			until(t, "the mailbox is held", func() bool { return s.Busy("c") })
			queued := func(n int) {
				t.Helper()
				until(t, "the next is queued", func() bool { return s.Queued("c") == n })
			}
			queued(0)
			before := s.start("c", "PUT")
			queued(1)
			deleted := make(chan error, 1)
			go func() { deleted <- s.Delete(context.Background(), "c") }()
			queued(2)
			behind := s.start("c", "GET")
			queued(3)
			close(hold)
			until(t, "all three have run", func() bool { return !s.Busy("c") })
			if o := await(t, before); o.err != nil || count(t, o.result) != 1 {
				t.Errorf("the call before gives %s, %v", o.result.Body, o.err)
			}
			if batch := await(t, g.entered); len(batch) != 1 || batch[0].Incarnation != 2 || batch[0].Sequence != 2 {
				t.Fatalf("the deletion is %+v", batch)
			}
			if len(behind) > 0 || len(deleted) > 0 {
				t.Error("an answer left before the deletion was stored")
			}
			g.verdict <- c.verdict
			if err := await(t, deleted); c.deleted == 0 && err != nil || c.deleted != 0 && !errs.Is(err, c.deleted) {
				t.Errorf("Delete gives %v", err)
			}
			if o := await(t, behind); !errs.Is(o.err, c.behind) {
				t.Errorf("the call behind gives %v, want kind %v", o.err, c.behind)
			}
			if c.verdict == nil {
				return
			}
			next := s.start("c", "GET")
			await(t, g.entered)
			g.verdict <- nil
			if o := await(t, next); o.err != nil || count(t, o.result) != 2 {
				t.Errorf("the object that was not deleted gives %s, %v", o.result.Body, o.err)
			}
		})
	}
}

// TestDeletionInDoubt: what storage did not answer for is neither there nor gone.
func TestDeletionInDoubt(t *testing.T) {
	lost := false
	s := newStation(t, dispatch.DefaultLimits(), func(m *storagetest.Memory) {
		m.AfterCommit = func(context.Context, []storage.Commit) error {
			if lost {
				return errors.New("the answer was lost")
			}
			return nil
		}
	})
	s.put(t, "c", counter)
	s.mustCount(t, "c", "GET")
	lost = true
	wantKind(t, s.Delete(t.Context(), "c"), errs.Unknown)
	lost = false
	_, err := s.call("c", "GET")
	if e := errs.From(err); e == nil || e.Code != "deletion_open" {
		t.Errorf("a call meanwhile: %v", err)
	}
	if info, err := s.Info(t.Context(), "c"); err != nil || info.Incarnation != 2 {
		t.Errorf("what is stored is %+v, %v", info, err)
	}
	s.Withdraw("c")
	_, err = s.call("c", "GET")
	wantKind(t, err, errs.NotFound)
}

package dispatch_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

// An object that is taken out of service answers nobody any more, also those who
// waited, and its state stays.
func TestWithdraw(t *testing.T) {
	entered := make(chan struct{}, 1)
	release := make(chan struct{})
	s := newStation(t, dispatch.DefaultLimits(), nil)
	s.put(t, "c", counter)
	if n := s.mustCount(t, "c", "GET"); n != 1 {
		t.Fatalf("count is %d", n)
	}
	running := make(chan error, 1)
	go func() { // holds the mailbox
		running <- s.Hold(t.Context(), "c", func() { entered <- struct{}{}; <-release })
	}()
	await(t, entered)
	waiting := s.start("c", "GET")
	until(t, "the call waits", func() bool { return s.Queued("c") == 1 })
	s.Withdraw("c")
	_, err := s.call("c", "GET")
	wantKind(t, err, errs.NotFound)
	close(release)
	wantKind(t, await(t, waiting).err, errs.NotFound)
	if err := await(t, running); err != nil {
		t.Error(err)
	}
	s.put(t, "c", counter)
	if n := s.mustCount(t, "c", "GET"); n != 2 {
		t.Errorf("back in service the count is %d, want 2", n)
	}
}

// The station writes into an object's log as calls do, and knows what was stored.
func TestNoteAndInfo(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	if err := s.Note(t.Context(), "c", storage.Error, "broken", []byte(`{"line":2}`)); err != nil {
		t.Fatal(err)
	}
	logs := s.logs(t, "c")
	if len(logs) != 1 || logs[0].Level != storage.Error || logs[0].Message != "broken" || !strings.Contains(string(logs[0].Fields), `"line":2`) {
		t.Errorf("the log is %+v", logs)
	}
	info, err := s.Info(t.Context(), "c")
	if err != nil || info.Sequence != 1 || info.Head != 0 {
		t.Errorf("Info gives %+v, %v", info, err)
	}
}

// Whoever asks for ids that nobody has leaves nothing behind, and one that is stored is
// known before it has a mailbox.
func TestInfoMakesNoMailbox(t *testing.T) {
	m := storagetest.NewMemory()
	s := newStationOver(t, m, dispatch.DefaultLimits())
	if err := s.Note(t.Context(), "c", storage.Info, "one", nil); err != nil {
		t.Fatal(err)
	}
	had := s.Mailboxes()
	for n := range 100 {
		if info, err := s.Info(t.Context(), id.Object(fmt.Sprintf("none%d", n))); err != nil || info.Sequence != 0 || info.Hash != "" {
			t.Errorf("Info of none gives %+v, %v", info, err)
		}
	}
	if n := s.Mailboxes(); n != had {
		t.Errorf("%d mailboxes have become %d", had, n)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Crash()
	again := newStationOver(t, m, dispatch.DefaultLimits())
	if info, err := again.Info(t.Context(), "c"); err != nil || info.Sequence != 1 {
		t.Errorf("Info of what is stored gives %+v, %v", info, err)
	}
}

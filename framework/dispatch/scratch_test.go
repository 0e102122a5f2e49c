package dispatch_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

// A scratch object has the limits of any other.
func TestScratch(t *testing.T) {
	limits := dispatch.DefaultLimits()
	limits.Staged, limits.State = 2200, 400
	s := dispatch.NewScratch(limits)
	for _, key := range []string{"a:2", "b", "a:1"} {
		if err := s.Set(key, []byte(`"x"`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete("b"); err != nil {
		t.Fatal(err)
	}
	var keys []string
	s.Range("a:", "", true, func(key string, _ []byte) bool { keys = append(keys, key); return true })
	if v, ok := s.Get("a:1"); strings.Join(keys, " ") != "a:2 a:1" || string(v) != `"x"` || !ok {
		t.Errorf("keys %q, a:1 is %s", keys, v)
	}
	if err := s.Set("c", make([]byte, 400)); errs.From(err).CodeOf() != "state_limit" {
		t.Errorf("too much state gave %v", err)
	}
	if err := s.Log(storage.Info, "one", []byte(`{"n":1}`)); err != nil {
		t.Fatal(err)
	}
	if err := s.Log(storage.Info, strings.Repeat("x", 400), nil); errs.From(err).CodeOf() != "staged_limit" {
		t.Errorf("too much of all gave %v", err)
	}
	if e := s.Entries(); len(e) != 1 || e[0].Message != "one" || string(e[0].Fields) != `{"n":1}` || e[0].Time.IsZero() {
		t.Errorf("the log is %+v", e)
	}
	if _, ok := dispatch.NewScratch(limits).Get("a:1"); ok {
		t.Error("a new scratch object is not empty")
	}
}

// The files of a scratch object are in memory, and bounded more narrowly than
// those that a store keeps.
func TestScratchFiles(t *testing.T) {
	limits := dispatch.DefaultLimits()
	limits.FileCount = 9
	s := dispatch.NewScratch(limits)
	ctx := t.Context()
	f, err := s.PutFile(ctx, "a", "text/plain", "one")
	if err != nil || f.Size != 3 || f.Hash != storage.Hash([]byte("one")) || f.Type != "text/plain" {
		t.Fatalf("put gives %+v, %v", f, err)
	}
	if b, err := s.ReadFile(ctx, "a"); string(b) != "one" || err != nil {
		t.Errorf("read gives %q, %v", b, err)
	}
	if _, err := s.ReadFile(ctx, "b"); err == nil || !errs.Is(err, errs.NotFound) {
		t.Errorf("a file that is not there gives %v", err)
	}
	if err := s.DeleteFile(ctx, "a"); err != nil {
		t.Error(err)
	}
	if _, ok, err := s.File(ctx, "a"); ok || err != nil {
		t.Errorf("a deleted file is there: %v, %v", ok, err)
	}
	big := strings.Repeat("x", 8<<20)
	for n := range 4 { // all that was written counts
		_, err = s.PutFile(ctx, "big", "text/plain", big)
		if n < 3 && err != nil || n == 3 && (err == nil || errs.From(err).CodeOf() != "files_limit") {
			t.Errorf("8 MiB for the time %d: %v", n+1, err)
		}
	}
}

// Work in the place of a script waits for a slot as a script does, and lets
// calls run where it passes.
func TestOccupyHoldsASlot(t *testing.T) {
	limits := dispatch.DefaultLimits()
	limits.VMs = 1
	s := newStation(t, limits, nil)
	s.put(t, "counter", counter)
	held, goOn, done := make(chan struct{}), make(chan bool), make(chan error, 1)
	go func() {
		done <- s.Occupy(context.Background(), func(pass func()) {
			close(held)
			for <-goOn {
				pass()
			}
		})
	}()
	await(t, held)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := s.Occupy(ctx, func(func()) { t.Error("two hold the only slot") }); !errs.Is(err, errs.Timeout) {
		t.Errorf("the second got %v, want a timeout", err)
	}
	call := s.start("counter", "GET")
	select {
	case o := <-call:
		t.Fatalf("a call ran beside the holder of the only slot: %+v", o)
	case <-time.After(50 * time.Millisecond):
	}
	for ran := false; !ran; {
		select {
		case o := <-call:
			if ran = true; o.err != nil {
				t.Error(o.err)
			}
		case goOn <- true:
		}
	}
	goOn <- false
	if err := await(t, done); err != nil {
		t.Error(err)
	}
	if n := s.mustCount(t, "counter", "GET"); n != 2 { // the slot is free again
		t.Errorf("the second count is %d", n)
	}
}

// Whatever a script failed with, its log says where: a fail too, whose answer
// does not.
func TestLogOfAFailureSaysWhere(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	s.put(t, "a", `local function refuse()
  fail(409, "no_way", "not today")
end
function GET() refuse() end
function PUT() error("broken") end`)
	for i, c := range []struct {
		method, level, message, code string
		line                         int
		frames                       []string
	}{
		{"GET", "WARNING", "not today", "no_way", 2, []string{"script.lua:2:", "script.lua:4:"}},
		{"PUT", "ERROR", "script.lua:5: broken", "script_failed", 5, []string{"script.lua:5:"}},
	} {
		if _, err := s.call("a", c.method); err == nil {
			t.Fatalf("%s succeeded", c.method)
		}
		e := s.logs(t, "a")[i]
		var f struct {
			Code, Traceback string
			Line            int
		}
		if err := json.Unmarshal(e.Fields, &f); err != nil {
			t.Fatal(err)
		}
		if string(e.Level) != c.level || e.Message != c.message || f.Code != c.code || f.Line != c.line {
			t.Errorf("%s: the log has %s %q with %s", c.method, e.Level, e.Message, e.Fields)
		}
		for _, frame := range c.frames {
			if !strings.Contains(f.Traceback, frame) {
				t.Errorf("%s: the traceback %q has no %s", c.method, f.Traceback, frame)
			}
		}
	}
}

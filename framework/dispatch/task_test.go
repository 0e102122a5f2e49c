package dispatch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

// TestQueuedCallsBehindTheGate: of calls that waited in the mailbox and ran, each is
// told at its own deadline what is known of it, and who has time is answered when
// storage has answered, not before.
func TestQueuedCallsBehindTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		s := newStation(t, dispatch.DefaultLimits(), func(m *storagetest.Memory) { m.OnCommit = g.hook })
		s.put(t, "c", counter)
		let := make(chan struct{})
		go func() { _ = s.Hold(context.Background(), "c", func() { <-let }) }() // gives what its context says
		synctest.Wait()
		began := time.Now()
		start := func(method string, after time.Duration) <-chan outcome {
			c := make(chan outcome, 1)
			go func() {
				r, err := s.Invoke(context.Background(), host.Call{Object: "c", Method: method, RequestID: "r1", Deadline: began.Add(after)})
				c <- outcome{r, err}
			}()
			synctest.Wait() // it is queued
			return c
		}
		write, read, patient := start("GET", time.Second), start("PUT", 2*time.Second), start("PUT", 10*time.Second)
		close(let)
		<-g.entered
		wantKind(t, (<-write).err, errs.Unknown)
		if d := time.Since(began); d != time.Second {
			t.Errorf("the write was answered after %v", d)
		}
		wantKind(t, (<-read).err, errs.Unavailable)
		if d := time.Since(began); d != 2*time.Second {
			t.Errorf("the read was answered after %v", d)
		}
		synctest.Wait()
		if len(patient) > 0 {
			t.Errorf("a call was answered from before its gate: %v", <-patient)
		}
		g.verdict <- nil
		if o := <-patient; o.err != nil || count(t, o.result) != 1 {
			t.Errorf("the patient call: %s, %v", o.result.Body, o.err)
		}
	})
}

// TestFreeMailboxTakesNoGoroutine: a call that finds its object free runs on the
// goroutine of its caller, and one that finds it busy never does.
func TestFreeMailboxTakesNoGoroutine(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	runs := func(name id.Object) (alone bool) {
		before := goroutine()
		if err := s.Hold(t.Context(), name, func() { alone = goroutine() == before }); err != nil {
			t.Fatal(err)
		}
		return alone
	}
	if !runs("c") {
		t.Error("another goroutine ran the task of a free object")
	}
	held, let := make(chan struct{}), make(chan struct{})
	go func() { _ = s.Hold(context.Background(), "c", func() { close(held); <-let }) }() // gives what its context says
	await(t, held)
	go func() {
		until(t, "the task is queued", func() bool { return s.Queued("c") == 1 })
		close(let)
	}()
	if runs("c") {
		t.Error("a caller that waited ran its own task")
	}
}

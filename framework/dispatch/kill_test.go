package dispatch

import (
	"context"
	"errors"
	"testing"
)

// TestKillable: a call that was ended finds the cause, whenever it asked for what.
func TestKillable(t *testing.T) {
	why := errors.New("the state is lost")
	t.Run("nobody waits", func(t *testing.T) {
		var k killable
		k.kill(why)
		k.kill(errors.New("later"))
		wantEnded(t, &k, why)
	})
	t.Run("somebody waits", func(t *testing.T) {
		var k killable
		child, cancel := context.WithCancel(&k)
		defer cancel()
		if k.Err() != nil || child.Err() != nil {
			t.Fatalf("ended before it was: %v, %v", k.Err(), child.Err())
		}
		k.kill(why)
		<-child.Done()
		if cause := context.Cause(child); !errors.Is(cause, why) {
			t.Errorf("the cause of a child is %v", cause)
		}
		wantEnded(t, &k, why)
	})
	t.Run("seen in the middle of its end", func(t *testing.T) {
		var k killable
		k.Done()
		k.ended.Store(&why) // what kill does first
		wantEnded(t, &k, why)
	})
	t.Run("without a cause", func(t *testing.T) {
		var k killable
		k.kill(nil)
		wantEnded(t, &k, context.Canceled)
	})
}

func wantEnded(t *testing.T, k *killable, why error) {
	t.Helper()
	if !errors.Is(k.Err(), context.Canceled) {
		t.Errorf("Err is %v", k.Err())
	}
	if cause := context.Cause(k); !errors.Is(cause, why) {
		t.Errorf("the cause is %v, want %v", cause, why)
	}
	select {
	case <-k.Done():
	default:
		t.Error("Done is open")
	}
}

package dispatch

import (
	"context"
	"time"

	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/storage"
)

// Scratch is an object that exists in memory alone: empty at first, under the
// limits of any call, and gone with its last reference. Tests of scripts run on
// it. It has no way to a store or to another object, so each group of methods
// of luahost.Object is written out here: what is added to that interface must
// be decided for tests too.
type Scratch struct{ tx transaction }

var _ luahost.Object = (*Scratch)(nil)

// NewScratch gives an empty object.
func NewScratch(l Limits) *Scratch {
	d := &Dispatcher{Options: Options{Limits: l}}
	return &Scratch{tx: transaction{o: &object{d: d, live: newLive(storage.Object{})}, now: time.Now()}}
}

// Get implements luahost.Object.
func (s *Scratch) Get(key string) ([]byte, bool) { return s.tx.Get(key) }

// Set implements luahost.Object.
func (s *Scratch) Set(key string, value []byte) error { return s.tx.Set(key, value) }

// Delete implements luahost.Object.
func (s *Scratch) Delete(key string) error { return s.tx.Delete(key) }

// Range implements luahost.Object.
func (s *Scratch) Range(prefix, after string, reverse bool, yield func(key string, value []byte) bool) {
	s.tx.Range(prefix, after, reverse, yield)
}

// Log implements luahost.Object.
func (s *Scratch) Log(level storage.Level, message string, fields []byte) error {
	return s.tx.Log(level, message, fields)
}

// Entries gives what was logged, oldest first. The entries have no ids.
func (s *Scratch) Entries() []storage.Entry { return s.tx.entries }

// Occupy runs f in the place of a script that no mailbox waits for: f holds one
// of the slots of scripts, and calls pass now and then, so that others run
// first. Its error is ctx's, where that ends before there is a slot.
func (d *Dispatcher) Occupy(ctx context.Context, f func(pass func())) error {
	select {
	case d.slots <- struct{}{}:
	case <-ctx.Done():
		return ended(ctx, "The work waited too long for the scripts that were running.")
	}
	defer func() { <-d.slots }()
	f(d.passSlot)
	return nil
}

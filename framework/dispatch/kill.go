package dispatch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// killable is the context of a running call, which a failing commit ends. Most
// calls only ask it whether it has ended; what can be waited for is made when
// somebody asks for that. It has no deadline: the call's own is luahost's to hold.
type killable struct {
	ended atomic.Pointer[error] // the cause

	mu     sync.Mutex
	ctx    context.Context // nil until needed
	cancel context.CancelCauseFunc
}

var _ context.Context = (*killable)(nil)

// kill ends the context; the first cause stands, and nil is context.Canceled.
func (k *killable) kill(cause error) {
	if cause == nil {
		cause = context.Canceled
	}
	if !k.ended.CompareAndSwap(nil, &cause) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cancel != nil {
		k.cancel(cause)
	}
}

// real is a context of the library that ends with this one. Where this one has ended it has,
// too: who has seen that finds the cause.
func (k *killable) real() context.Context {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ctx == nil {
		k.ctx, k.cancel = context.WithCancelCause(context.Background())
	}
	if cause := k.ended.Load(); cause != nil {
		k.cancel(*cause)
	}
	return k.ctx
}

// Err implements context.Context.
func (k *killable) Err() error {
	if k.ended.Load() != nil {
		return context.Canceled
	}
	return nil
}

// Deadline implements context.Context.
func (k *killable) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (k *killable) Done() <-chan struct{} { return k.real().Done() }

// Value implements context.Context. By it context.Cause finds the cause, and
// contexts that are made from this one end with it.
func (k *killable) Value(key any) any { return k.real().Value(key) }

package shim

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/dbbasic/station/sdk/errs"
)

const (
	// frameSize is how many bytes of messages are sent together. A message above it goes alone.
	frameSize = 32 << 10
	// waitingSize is the most bytes that wait in each lane of an outbox. A message
	// above it waits alone.
	waitingSize = 1 << 20
)

// outbox is what one side of a stream has to send. Small messages that wait are one
// frame; large ones have a lane of their own, and the two take turns, so that a small
// one waits for one large one at most.
type outbox struct {
	mu     sync.Mutex
	lanes  [2]lane
	turn   int
	idle   bool          // the writer waits for wake
	wake   chan struct{} // holds one
	closed bool
	limit  int // bytes of a message
}

type lane struct {
	room   *semaphore.Weighted // of the bytes that wait
	frames []queued
	begun  uint64 // frames that were made
	handed uint64 // frames that were given to the connection
}

type queued struct {
	b      *[]byte
	weight int64 // taken of room
}

func newOutbox() *outbox {
	o := &outbox{wake: make(chan struct{}, 1), limit: MaxMessage}
	for i := range o.lanes {
		o.lanes[i].room = semaphore.NewWeighted(waitingSize)
	}
	return o
}

// sealed is a part that has its room in a lane.
type sealed struct {
	lane   *lane
	buffer *[]byte // has part at its end
	part   []byte
	weight int64
}

// reserve waits until there is room for a message of about size bytes. The error is ctx's.
func (o *outbox) reserve(ctx context.Context, size int) (sealed, error) {
	l := &o.lanes[0]
	if size > frameSize {
		l = &o.lanes[1]
	}
	s := sealed{lane: l, weight: min(int64(headroom+size), waitingSize)}
	if err := l.room.Acquire(ctx, s.weight); err != nil {
		return sealed{}, err
	}
	s.buffer = buffers.Get(headroom + size)
	*s.buffer = (*s.buffer)[:headroom]
	return s, nil
}

// pack reserves room for v and encodes it there. Errors: errs.Unavailable where ctx ended
// before there was room; errs.TooLarge; errs.Internal for what cannot be encoded.
func pack[T any](ctx context.Context, o *outbox, f *Format[T], v *T) (sealed, error) {
	s, err := o.reserve(ctx, f.Size(v))
	if err != nil {
		return sealed{}, unsent(err)
	}
	b, err := f.Append(*s.buffer, v)
	if n := len(b) - headroom; err == nil && n > o.limit {
		err = errs.New(errs.TooLarge, "", "A message of %d bytes is above the %d that a kernel and its plugins exchange.", n, o.limit)
	}
	if err != nil {
		s.drop()
		return sealed{}, errs.From(err)
	}
	*s.buffer = b
	return s, nil
}

// drop gives up what reserve gave.
func (s *sealed) drop() {
	s.lane.room.Release(s.weight)
	buffers.Put(s.buffer)
}

// put queues a part, and gives the number of its frame in its lane. It is called with
// mu held, on an outbox that is not closed.
func (o *outbox) put(s *sealed) uint64 {
	l := s.lane
	if l == &o.lanes[1] {
		l.begun++
		*s.buffer = s.part
		l.frames = append(l.frames, queued{s.buffer, s.weight})
	} else {
		b := l.open(len(s.part))
		*b = append(*b, s.part...)
		l.frames[len(l.frames)-1].weight += s.weight
		buffers.Put(s.buffer)
	}
	o.rouse()
	return l.begun
}

// open gives the last frame of the lane if it has space for n bytes more, else a new one.
func (l *lane) open(n int) *[]byte {
	if len(l.frames) > 0 {
		if b := l.frames[len(l.frames)-1].b; len(*b)+n <= frameSize {
			return b
		}
	}
	l.begun++
	b := buffers.Get(0)
	l.frames = append(l.frames, queued{b: b})
	return b
}

// putGone queues that nobody waits for a call any more: some bytes for which no room is
// taken, once per call at most. It is called with mu held.
func (o *outbox) putGone(call uint64) {
	if o.closed {
		return
	}
	b := o.lanes[0].open(headroom)
	*b = appendGone(*b, call)
	o.rouse()
}

func (o *outbox) rouse() {
	if o.idle {
		o.idle = false
		o.wake <- struct{}{}
	}
}

// write gives what waits to send until the outbox is closed or send fails.
func (o *outbox) write(send func(*frame) error) error {
	for {
		l, q, ok := o.take()
		if !ok {
			return nil
		}
		if l == nil {
			<-o.wake
			runtime.Gosched() // whoever can run now may have something for the same frame
			continue
		}
		err := send(&frame{b: q.b})
		l.room.Release(q.weight)
		if err != nil {
			return err
		}
	}
}

// take gives the frame whose turn it is, no lane where none waits, and false once closed.
func (o *outbox) take() (l *lane, q queued, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, q, false
	}
	for range o.lanes {
		o.turn = 1 - o.turn
		if l = &o.lanes[o.turn]; len(l.frames) == 0 {
			continue
		}
		q = l.frames[0]
		l.frames = slices.Delete(l.frames, 0, 1) // there are a few dozen at most
		l.handed++
		return l, q, true
	}
	o.idle = true
	return nil, q, true
}

// close ends write and drops what waits. It is called with mu held, once.
func (o *outbox) close() {
	o.closed = true
	for i := range o.lanes {
		l := &o.lanes[i]
		for _, q := range l.frames {
			l.room.Release(q.weight)
		}
		l.frames = nil
	}
	o.rouse()
}

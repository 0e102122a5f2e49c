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
	// maxTurns is the most frames that who puts something sends itself.
	maxTurns = 8
)

// outbox is what one side of a link has to send. Small messages that wait are one
// frame; large ones have a lane of their own, and the two take turns, so that a small
// one waits for one large one at most.
//
// Who puts something while nobody writes writes what waits, as much as the connection
// takes at once: no other goroutine has to wake. A goroutine of its own sends what is left.
type outbox struct {
	link  writer
	limit int // bytes of a message

	mu      sync.Mutex
	lanes   [2]lane
	turn    int
	writing bool // one goroutine has the link, and looks for more before it leaves
	closed  bool
	rest    sync.WaitGroup // the goroutine that waits for the connection, if there is one
}

// writer is the connection of an outbox.
type writer interface {
	try(b []byte) (int, error) // writes what it can without waiting
	Write(b []byte) (int, error)
}

type lane struct {
	room   *semaphore.Weighted // of the bytes that wait
	frames []queued
	begun  uint64 // frames that were made
	handed uint64 // frames of which the connection may have something
}

type queued struct {
	b      *[]byte
	weight int64 // taken of room
}

func newOutbox(link writer) *outbox {
	o := &outbox{link: link, limit: MaxMessage}
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
	if !l.room.TryAcquire(s.weight) { // where there is room, an answer goes out also if its call has ended
		if err := l.room.Acquire(ctx, s.weight); err != nil {
			return sealed{}, err
		}
	}
	s.buffer = buffers.Get(headroom + size)
	*s.buffer = (*s.buffer)[:headroom]
	return s, nil
}

// pack reserves room for v and encodes it there. Errors: errs.Unavailable where ctx ended
// before there was room; errs.TooLarge; errs.Internal for what cannot be encoded, be it that
// an author's value panics when it is asked.
func pack[T any](ctx context.Context, o *outbox, f *Format[T], v *T) (sealed, error) {
	size, err := sizeOf(f, v)
	if err != nil {
		return sealed{}, err
	}
	s, err := o.reserve(ctx, size)
	if err != nil {
		return sealed{}, unsent(err)
	}
	b, err := encode(f, *s.buffer, v)
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

func sizeOf[T any](f *Format[T], v *T) (n int, err error) {
	defer guard("link", &err)
	return f.Size(v), nil
}

func encode[T any](f *Format[T], b []byte, v *T) (out []byte, err error) {
	defer guard("link", &err)
	return f.Append(b, v)
}

// drop gives up what reserve gave.
func (s *sealed) drop() {
	s.lane.room.Release(s.weight)
	buffers.Put(s.buffer)
}

// put queues a part, and gives the number of its frame in its lane. It is called with
// mu held, on an outbox that is not closed; lead comes behind it.
func (o *outbox) put(s *sealed) uint64 {
	l := s.lane
	if l == &o.lanes[1] {
		l.begun++
		*s.buffer = (*s.buffer)[len(*s.buffer)-len(s.part)-prefix:]
		l.frames = append(l.frames, queued{s.buffer, s.weight})
	} else {
		b := l.open(len(s.part))
		*b = append(*b, s.part...)
		l.frames[len(l.frames)-1].weight += s.weight
		buffers.Put(s.buffer)
	}
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
	b := buffers.Get(prefix)
	l.frames = append(l.frames, queued{b: b})
	return b
}

// putGone queues that nobody waits for a call any more, in the lane of the call, behind
// it: some bytes for which no room is taken, once per call at most. It is called with mu
// held; lead comes behind it.
func (l *lane) putGone(call uint64) {
	b := l.open(headroom)
	*b = appendGone(*b, call)
}

// lead says that nobody writes, and that who asks now does: send comes behind it, and
// behind mu, which is held here.
func (o *outbox) lead() bool {
	if o.writing || o.closed {
		return false
	}
	o.writing = true
	return true
}

// send writes what waits, and never waits itself. Alone says that no other goroutine will
// soon have something for the same frame; else whoever can run goes first.
func (o *outbox) send(alone bool) {
	if !alone {
		runtime.Gosched()
	}
	for range maxTurns {
		l, q := o.take()
		if l == nil {
			return
		}
		n, err := o.link.try(*q.b)
		if err == nil && n < len(*q.b) {
			o.leave(l, q, n)
			return
		}
		l.sent(q)
		if err != nil {
			return // nobody writes to a connection that is broken
		}
	}
	if l, q := o.take(); l != nil {
		o.leave(l, q, 0)
	}
}

// leave has a goroutine send a frame, of which n bytes are sent, and what waits behind it.
func (o *outbox) leave(l *lane, q queued, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		l.sent(q)
		return
	}
	o.rest.Go(func() {
		for ; l != nil; l, q = o.take() {
			_, err := o.link.Write((*q.b)[n:])
			l.sent(q)
			if err != nil {
				return
			}
			n = 0
		}
	})
}

// sent gives free what a frame holds.
func (l *lane) sent(q queued) {
	l.room.Release(q.weight)
	buffers.Put(q.b)
}

// take gives the frame whose turn it is. Where none waits, or the outbox is closed, it
// gives no lane, and who asks writes no more.
func (o *outbox) take() (*lane, queued) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for range o.lanes {
		o.turn = 1 - o.turn
		l := &o.lanes[o.turn]
		if len(l.frames) == 0 {
			continue
		}
		q := l.frames[0]
		l.frames = slices.Delete(l.frames, 0, 1) // there are a few dozen at most
		l.handed++
		finish(*q.b)
		return l, q
	}
	o.writing = false
	return nil, queued{}
}

// close drops what waits. It is called with mu held, once; the link is closed, too.
func (o *outbox) close() {
	o.closed = true
	for i := range o.lanes {
		l := &o.lanes[i]
		for _, q := range l.frames {
			l.sent(q)
		}
		l.frames = nil
	}
}

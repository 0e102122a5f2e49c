package shim

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/status"

	"github.com/dbbasic/station/sdk/errs"
)

// Method is a method of a contract that is called so often that its calls have a link
// for themselves, whose frames pb.Frame describes.
type Method[Req, Res any] struct {
	Name   string
	Req    Format[Req]
	Result Format[Res]
}

// Format is how the messages of a method look as bytes: those of protobuf.
type Format[T any] struct {
	Size   func(*T) int // of what Append appends, within a few dozen bytes per field
	Append func([]byte, *T) ([]byte, error)
	Parse  func([]byte) (T, error) // keeps nothing of the bytes
}

// Caller is the calling side of a method, until its link breaks.
type Caller[Req, Res any] struct {
	calls[Res]
	method *Method[Req, Res]
	spare  sync.Pool // of channels of answers
}

// NewCaller gives the Caller of a method over a link, which it closes when that breaks.
// Who closes the link ends it.
func NewCaller[Req, Res any](conn *net.UnixConn, m *Method[Req, Res]) *Caller[Req, Res] {
	c := &Caller[Req, Res]{method: m, calls: calls[Res]{parse: m.Result.Parse, waiting: map[uint64]waiting[Res]{}, broken: make(chan struct{})}}
	c.link = newLink(conn)
	c.out = newOutbox(c.link)
	go func() { c.end(receive(c.link, c.answer, func() {})) }()
	return c
}

// Last returns once the link has broken, with the reason, or ctx has ended, with nil.
func (s *calls[Res]) Last(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.broken:
		return s.err
	}
}

// Call makes one call. It returns when ctx ends, whether or not the other side answers,
// and the other side is told. Errors: those of the other side; errs.Unavailable, from
// nowhere else, for a call that was surely not sent; and what Settled tells from these.
func (c *Caller[Req, Res]) Call(ctx context.Context, req *Req) (res Res, err error) {
	if err := ctx.Err(); err != nil {
		return res, unsent(err)
	}
	out, err := pack(ctx, c.out, &c.method.Req, req)
	if err != nil {
		return res, err
	}
	var timeout time.Duration
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(deadline), time.Microsecond)
	}
	got, ok := c.spare.Get().(chan answered[Res])
	if !ok {
		got = make(chan answered[Res], 1)
	}
	defer c.spare.Put(got) // nobody sends to it any more
	number, err := c.send(&out, timeout, waiting[Res]{answered: got})
	if err != nil {
		return res, unsent(err)
	}
	select {
	case a := <-got:
		return a.result, a.err
	case <-ctx.Done():
		if !c.forget(number) {
			a := <-got
			return a.result, a.err
		}
		return res, FromStatus(status.FromContextError(ctx.Err()).Err())
	}
}

// Begin makes one call and does not wait for its answer: done gets what Call would give
// under a context without end, on the goroutine that reads all answers, or on the caller's
// where the call cannot be sent. It may begin other calls, and may not wait for one.
func (c *Caller[Req, Res]) Begin(req *Req, done func(Res, error)) {
	var none Res
	out, err := pack(context.Background(), c.out, &c.method.Req, req)
	if err != nil {
		done(none, err)
		return
	}
	if _, err := c.send(&out, 0, waiting[Res]{done: done}); err != nil {
		done(none, unsent(err))
	}
}

// unsent is the error of a call that the other side never gets.
func unsent(err error) error {
	return &errs.Error{Kind: errs.Unavailable, Op: "link", Err: err}
}

// calls is what a Caller does with its link.
type calls[Res any] struct {
	link    *link
	out     *outbox // with its mu, which holds also:
	last    uint64  // the number of the newest call
	waiting map[uint64]waiting[Res]
	err     error // that broke the link

	broken chan struct{} // closed once err is set
	parse  func([]byte) (Res, error)
}

// waiting is who waits for an answer: one of answered and done.
type waiting[Res any] struct {
	answered chan<- answered[Res] // holds one
	done     func(Res, error)
	lane     *lane
	frame    uint64 // of the lane
}

func (w *waiting[Res]) tell(a answered[Res]) {
	if w.done != nil {
		w.done(a.result, a.err)
		return
	}
	w.answered <- a
}

type answered[Res any] struct {
	result Res
	err    error
}

// send sends a call whose answer w gets, or gives the error that broke the link.
func (s *calls[Res]) send(out *sealed, timeout time.Duration, w waiting[Res]) (number uint64, err error) {
	s.out.mu.Lock()
	if s.err != nil {
		s.out.mu.Unlock()
		out.drop()
		return 0, s.err
	}
	s.last++
	number = s.last
	out.part = seal(*out.buffer, fieldMessage, number, timeout)
	w.lane, w.frame = out.lane, s.out.put(out)
	s.waiting[number] = w
	lead, alone := s.out.lead(), len(s.waiting) == 1
	s.out.mu.Unlock()
	if lead {
		s.out.send(alone)
	}
	return number, nil
}

// forget frees what a call holds on both sides. It gives false where the answer is there
// or just coming.
func (s *calls[Res]) forget(number uint64) bool {
	s.out.mu.Lock()
	w, ok := s.waiting[number]
	if !ok {
		s.out.mu.Unlock()
		return false
	}
	delete(s.waiting, number)
	w.lane.putGone(number)
	lead := s.out.lead()
	s.out.mu.Unlock()
	if lead {
		s.out.send(true)
	}
	return true
}

// answer gives an answer to who waits for it.
func (s *calls[Res]) answer(p part) error {
	s.out.mu.Lock()
	w, ok := s.waiting[p.call]
	delete(s.waiting, p.call)
	s.out.mu.Unlock()
	if !ok {
		return nil // who called waits no more
	}
	var a answered[Res]
	var err error
	if p.status == nil {
		a.result, err = s.parse(p.message)
	} else {
		a.err, err = statusFormat.Parse(p.status)
	}
	if err != nil {
		a.err = lostAnswer(err)
	}
	w.tell(a)
	return nil
}

// lostAnswer is the error of a call that was sent and whose answer cannot come.
func lostAnswer(err error) error {
	return &errs.Error{Kind: errs.Unavailable, Op: "link", Err: connectionError{err}}
}

// end answers all who wait: those whose call the connection may have, and those whose
// call was surely not sent.
func (s *calls[Res]) end(err error) {
	s.link.close()
	s.out.mu.Lock()
	s.err = broke(err)
	s.out.close()
	waiting := s.waiting
	s.waiting = nil
	s.out.mu.Unlock()
	close(s.broken) // first: who hears that an outcome is open must not ask this process what it is
	for _, w := range waiting {
		a := answered[Res]{err: lostAnswer(s.err)}
		if w.frame > w.lane.handed {
			a.err = unsent(s.err)
		}
		w.tell(a)
	}
	s.out.rest.Wait()
}

// Broken reports whether the link has broken.
func (s *calls[Res]) Broken() bool {
	select {
	case <-s.broken:
		return true
	default:
		return false
	}
}

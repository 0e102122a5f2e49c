package shim

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/dbbasic/station/sdk/errs"
)

// Method is a method of a contract that is called so often that its calls go together
// over one stream, as pb.Frame describes.
type Method[Req, Res any] struct {
	Name   string // in full, as gRPC has it
	Req    Format[Req]
	Result Format[Res]
}

// Format is how the messages of a method look as bytes: those of protobuf.
type Format[T any] struct {
	Size   func(*T) int // of what Append appends, within a few dozen bytes per field
	Append func([]byte, *T) ([]byte, error)
	Parse  func([]byte) (T, error) // keeps nothing of the bytes
}

// Caller is the calling side of a method. Its stream is opened by the first call, lasts as
// long as the connection, and is opened again by the first call after it broke.
type Caller[Req, Res any] struct {
	conn   grpc.ClientConnInterface
	method *Method[Req, Res]
	mu     sync.Mutex
	stream *calls[Res] // nil where none is open
	spare  sync.Pool   // of channels of answers
}

// NewCaller gives the Caller of a method over a connection.
func NewCaller[Req, Res any](conn grpc.ClientConnInterface, m *Method[Req, Res]) *Caller[Req, Res] {
	return &Caller[Req, Res]{conn: conn, method: m}
}

// Call makes one call. It returns when ctx ends, whether or not the other side answers,
// and the other side is told. Errors: those of the other side; errs.Unavailable, from
// nowhere else, for a call that was surely not sent; and what FromPeer tells from these.
func (c *Caller[Req, Res]) Call(ctx context.Context, req *Req) (res Res, err error) {
	s := c.open()
	out, err := pack(ctx, s.out, &c.method.Req, req)
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
	number, err := s.send(&out, timeout, got)
	if err != nil {
		return res, unsent(err)
	}
	select {
	case a := <-got:
		return a.result, a.err
	case <-ctx.Done():
		if !s.forget(number) {
			a := <-got
			return a.result, a.err
		}
		return res, FromStatus(status.FromContextError(ctx.Err()).Err())
	}
}

// unsent is the error of a call that the other side never gets.
func unsent(err error) error {
	return &errs.Error{Kind: errs.Unavailable, Op: "grpc", Err: err}
}

// open gives the stream that there is, or a new one.
func (c *Caller[Req, Res]) open() *calls[Res] {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream == nil {
		s := &calls[Res]{out: newOutbox(), parse: c.method.Result.Parse, waiting: map[uint64]waiting[Res]{}}
		c.stream = s
		go func() {
			err := s.run(c.conn, c.method.Name)
			c.mu.Lock()
			c.stream = nil
			c.mu.Unlock()
			s.end(err)
		}()
	}
	return c.stream
}

// calls is one stream of the calling side.
type calls[Res any] struct {
	out     *outbox // with its mu, which holds also:
	last    uint64  // the number of the newest call
	waiting map[uint64]waiting[Res]
	err     error // that ended the stream

	parse func([]byte) (Res, error)
}

type waiting[Res any] struct {
	answered chan<- answered[Res] // holds one
	lane     *lane
	frame    uint64 // of the lane
}

type answered[Res any] struct {
	result Res
	err    error
}

// send queues a call whose answer comes to got, or gives the error with which the stream has ended.
func (s *calls[Res]) send(out *sealed, timeout time.Duration, got chan<- answered[Res]) (number uint64, err error) {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if s.err != nil {
		out.drop()
		return 0, s.err
	}
	s.last++
	out.part = seal(*out.buffer, fieldMessage, s.last, timeout)
	s.waiting[s.last] = waiting[Res]{answered: got, lane: out.lane, frame: s.out.put(out)}
	return s.last, nil
}

// forget frees what a call holds on both sides. It gives false where the answer is there
// or just coming.
func (s *calls[Res]) forget(number uint64) bool {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if _, ok := s.waiting[number]; !ok {
		return false
	}
	delete(s.waiting, number)
	s.out.putGone(number)
	return true
}

// run opens the stream and serves it until it breaks; the error says why.
func (s *calls[Res]) run(conn grpc.ClientConnInterface, method string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method,
		grpc.ForceCodecV2(newCodec()), grpc.MaxCallRecvMsgSize(maxFrame), grpc.MaxCallSendMsgSize(maxFrame))
	if err != nil {
		return err
	}
	go func() {
		defer cancel()                                                     // what cannot be written is not to be waited for
		_ = s.out.write(func(f *frame) error { return stream.SendMsg(f) }) // receive says why
	}()
	return receive(stream, s.answer)
}

// receive gives each part of a stream to take, until the stream breaks or has an end.
func receive(stream interface{ RecvMsg(any) error }, take func(part) error) error {
	for {
		var f frame
		if err := stream.RecvMsg(&f); err != nil {
			return err
		}
		for b := f.read.ReadOnlyData(); len(b) > 0; {
			p, rest, err := nextPart(b)
			if err == nil {
				err = take(p)
			}
			if err != nil {
				f.read.Free()
				return err
			}
			b = rest
		}
		f.read.Free()
	}
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
	w.answered <- a
	return nil
}

// lostAnswer is the error of a call that was sent and whose answer cannot come.
func lostAnswer(err error) error {
	return &errs.Error{Kind: errs.Unavailable, Op: "grpc", Err: connectionError{err}}
}

// end answers all who wait: those whose call was given to the connection and those
// whose call was surely not.
func (s *calls[Res]) end(err error) {
	if errors.Is(err, io.EOF) {
		err = errors.New("the other side ended the stream")
	}
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	s.err = err
	s.out.close()
	for _, w := range s.waiting {
		a := answered[Res]{err: lostAnswer(err)}
		if w.frame > w.lane.handed {
			a.err = unsent(err)
		}
		w.answered <- a
	}
	s.waiting = nil
}

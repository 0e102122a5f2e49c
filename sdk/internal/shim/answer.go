package shim

import (
	"context"
	"errors"
	"io"
	"sync"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/dbbasic/station/sdk/errs"
)

const (
	// maxCalls is the most calls that run at once, of a stream and of a server alike.
	maxCalls = 1 << 20
	// maxResting is the most goroutines of a stream that rest between two calls.
	maxResting = 64
)

// Answer serves a method over one stream until its end: each call in a goroutine of its
// own, with a context that ends when who called goes away, at the call's deadline and
// with the stream. A panic is an error of that call alone.
func Answer[Req, Res any](stream grpc.ServerStream, m *Method[Req, Res], do func(context.Context, Req) (Res, error)) error {
	return newAnswers(stream.Context(), m, do).serve(stream)
}

func newAnswers[Req, Res any](ctx context.Context, m *Method[Req, Res], do func(context.Context, Req) (Res, error)) *answers[Req, Res] {
	s := &answers[Req, Res]{
		method: m, do: do, most: maxCalls, out: newOutbox(), running: map[uint64]context.CancelFunc{}, rested: make(chan job[Req]),
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

func (s *answers[Req, Res]) serve(stream grpc.ServerStream) error {
	s.all.Go(func() {
		defer s.cancel()                                                   // no answer can be given any more
		_ = s.out.write(func(f *frame) error { return stream.SendMsg(f) }) // receive says why
	})
	err := receive(stream, s.take)
	s.cancel()
	s.out.mu.Lock()
	s.out.close()
	s.out.mu.Unlock()
	s.all.Wait()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// answers is one stream of the answering side.
type answers[Req, Res any] struct {
	ctx    context.Context // of the stream
	cancel context.CancelFunc
	method *Method[Req, Res]
	do     func(context.Context, Req) (Res, error)
	most   int // calls at once
	all    sync.WaitGroup

	out     *outbox                       // with its mu, which holds also:
	running map[uint64]context.CancelFunc // the calls that somebody waits for
	calls   int                           // that run, waited for or not
	resting int

	rested chan job[Req] // to a goroutine that rests
}

type job[Req any] struct {
	call   uint64
	req    Req
	ctx    context.Context
	cancel context.CancelFunc
	err    error // of a call that is not run
}

// take begins a call, or ends the context of one that nobody waits for.
func (s *answers[Req, Res]) take(p part) error {
	if p.gone {
		s.out.mu.Lock()
		cancel := s.running[p.call]
		delete(s.running, p.call)
		s.out.mu.Unlock()
		if cancel != nil {
			cancel()
		}
		return nil
	}
	j := job[Req]{call: p.call}
	if j.req, j.err = s.method.Req.Parse(p.message); j.err != nil {
		j.err = errs.Wrap(errs.Invalid, s.method.Name, j.err, "The call is malformed.")
	}
	if p.timeout > 0 {
		j.ctx, j.cancel = context.WithTimeout(s.ctx, p.timeout)
	} else {
		j.ctx, j.cancel = context.WithCancel(s.ctx)
	}
	s.out.mu.Lock()
	s.running[p.call] = j.cancel
	if s.calls++; s.calls > s.most {
		j.err = errs.New(errs.Busy, "", "More than %d calls run at once.", s.most)
	}
	s.out.mu.Unlock()
	select {
	case s.rested <- j:
	default:
		s.all.Go(func() { s.work(j) })
	}
	return nil
}

// work runs a call, and then others, so that each does not need to grow a stack.
func (s *answers[Req, Res]) work(j job[Req]) {
	for {
		s.run(&j)
		if !s.rest(+1) {
			return
		}
		j = job[Req]{}
		select {
		case j = <-s.rested:
			s.rest(-1)
		case <-s.ctx.Done():
			return
		}
	}
}

// rest counts the goroutines that rest; false says that there are enough.
func (s *answers[Req, Res]) rest(n int) bool {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if n > 0 && s.resting == maxResting {
		return false
	}
	s.resting += n
	return true
}

func (s *answers[Req, Res]) run(j *job[Req]) {
	var res Res
	err := j.err
	if err == nil {
		res, err = s.guarded(j)
	}
	s.out.mu.Lock()
	_, waited := s.running[j.call]
	delete(s.running, j.call)
	s.calls--
	s.out.mu.Unlock()
	j.cancel()
	if waited {
		s.reply(j.call, &res, err)
	}
}

func (s *answers[Req, Res]) guarded(j *job[Req]) (res Res, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicked(s.method.Name, r)
		}
	}()
	return s.do(j.ctx, j.req)
}

// reply queues an answer, once there is room for it. A stream that ends meanwhile needs none.
func (s *answers[Req, Res]) reply(call uint64, res *Res, err error) {
	var out sealed
	field := protowire.Number(fieldMessage)
	if err == nil {
		out, err = pack(s.ctx, s.out, &s.method.Result, res)
	}
	if err != nil {
		field = fieldStatus
		if out, err = pack(s.ctx, s.out, &statusFormat, &err); err != nil {
			return
		}
	}
	out.part = seal(*out.buffer, field, call, 0)
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if s.out.closed {
		out.drop()
		return
	}
	s.out.put(&out)
}

// statusFormat is how an error crosses: as it does where a call has a stream for itself.
var statusFormat = Format[error]{
	Size: func(*error) int { return 256 },
	Append: func(b []byte, err *error) ([]byte, error) {
		st, _ := status.FromError(ToStatus(*err)) // always is one
		return proto.MarshalOptions{}.MarshalAppend(b, st.Proto())
	},
	Parse: func(b []byte) (error, error) {
		st := new(spb.Status)
		if err := proto.Unmarshal(b, st); err != nil {
			return nil, err
		}
		return FromStatus(status.ErrorProto(st)), nil
	},
}

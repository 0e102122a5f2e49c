package shim

import (
	"context"
	"net"
	"sync"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/dbbasic/station/sdk/errs"
)

const (
	// maxCalls is the most calls that run at once, of a link and of a gRPC server alike.
	maxCalls = 1 << 20
	// maxResting is the most goroutines of a link that rest between two calls.
	maxResting = 64
)

// Answer serves a method over a link until that breaks or is closed: each call in a
// goroutine of its own, with a context that ends when who called goes away, at the call's
// deadline and with the link. A panic is an error of that call alone. The error says why
// it ended; it has closed the link by then.
func Answer[Req, Res any](conn *net.UnixConn, m *Method[Req, Res], do func(context.Context, Req) (Res, error)) error {
	s := newAnswers(conn, m)
	s.do = do
	return s.serve()
}

// AnswerTogether serves a method whose calls are not done beside each other: do gets all
// that came at once, and gives one result each. The goroutine that read them calls it, so
// that none has to wake; who goes away ends nothing.
func AnswerTogether[Req, Res any](conn *net.UnixConn, m *Method[Req, Res], do func([]Req) []Res) error {
	s := newAnswers(conn, m)
	s.together = do
	return s.serve()
}

func newAnswers[Req, Res any](conn *net.UnixConn, m *Method[Req, Res]) *answers[Req, Res] {
	l := newLink(conn)
	s := &answers[Req, Res]{link: l, method: m, most: maxCalls, out: newOutbox(l), running: map[uint64]context.CancelFunc{}, rested: make(chan job[Req])}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

func (s *answers[Req, Res]) serve() error {
	take, taken := s.take, func() {}
	if s.together != nil {
		take, taken = s.gather, s.gathered
	}
	err := receive(s.link, take, taken)
	s.link.close()
	s.cancel()
	s.out.mu.Lock()
	s.out.close()
	s.out.mu.Unlock()
	s.all.Wait()
	s.out.rest.Wait()
	return broke(err)
}

// answers is the answering side of a link.
type answers[Req, Res any] struct {
	link     *link
	ctx      context.Context // of the link
	cancel   context.CancelFunc
	method   *Method[Req, Res]
	do       func(context.Context, Req) (Res, error)
	together func([]Req) []Res // instead of do
	most     int               // calls at once
	all      sync.WaitGroup

	out     *outbox                       // with its mu, which holds also:
	running map[uint64]context.CancelFunc // the calls that somebody waits for
	calls   int                           // that run, waited for or not
	resting int

	rested chan job[Req] // to a goroutine that rests

	numbers []uint64 // of the calls that were gathered
	reqs    []Req
}

// gather takes a call that is done together with others.
func (s *answers[Req, Res]) gather(p part) error {
	if p.gone {
		return nil
	}
	req, err := s.parse(p)
	if err != nil {
		s.reply(s.ctx, p.call, nil, err)
		return nil
	}
	s.numbers, s.reqs = append(s.numbers, p.call), append(s.reqs, req)
	return nil
}

func (s *answers[Req, Res]) parse(p part) (Req, error) {
	req, err := s.method.Req.Parse(p.message)
	if err != nil {
		err = errs.Wrap(errs.Invalid, s.method.Name, err, "The call is malformed.")
	}
	return req, err
}

// gathered does the calls that were gathered.
func (s *answers[Req, Res]) gathered() {
	if len(s.numbers) == 0 {
		return
	}
	var results []Res
	err := func() (err error) {
		defer guard(s.method.Name, &err)
		results = s.together(s.reqs)
		return nil
	}()
	for i, number := range s.numbers {
		if err != nil {
			s.reply(s.ctx, number, nil, err)
		} else {
			s.reply(s.ctx, number, &results[i], nil)
		}
	}
	clear(s.reqs)
	s.numbers, s.reqs = s.numbers[:0], s.reqs[:0]
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
	j.req, j.err = s.parse(p)
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
	s.reply(j.ctx, j.call, &res, err)
	j.cancel()
}

func (s *answers[Req, Res]) guarded(j *job[Req]) (res Res, err error) {
	defer guard(s.method.Name, &err)
	return s.do(j.ctx, j.req)
}

// guard makes a panic of a handler an error.
func guard(method string, err *error) {
	if r := recover(); r != nil {
		*err = panicked(method, r)
	}
}

// reply ends a call: it sends the answer, once there is room for it, unless ctx, the call's,
// ends before. A call that waits for room is one that runs.
func (s *answers[Req, Res]) reply(ctx context.Context, call uint64, res *Res, err error) {
	out, sent := s.packed(ctx, call, res, err)
	s.out.mu.Lock()
	if s.together == nil {
		if _, waited := s.running[call]; !waited && sent {
			out.drop()
			sent = false
		}
		delete(s.running, call)
		s.calls--
	}
	if sent && s.out.closed {
		out.drop()
		sent = false
	}
	if !sent {
		s.out.mu.Unlock()
		return
	}
	s.out.put(&out)
	lead, alone := s.out.lead(), s.calls == 0
	s.out.mu.Unlock()
	if lead {
		s.out.send(alone)
	}
}

// packed gives the answer of a call as a part. False says that ctx has ended, or the link.
func (s *answers[Req, Res]) packed(ctx context.Context, call uint64, res *Res, err error) (out sealed, ok bool) {
	field := protowire.Number(fieldMessage)
	if err == nil {
		out, err = pack(ctx, s.out, &s.method.Result, res)
	}
	if err != nil {
		field = fieldStatus
		why := err
		if out, err = pack(ctx, s.out, &statusFormat, &why); err != nil && ctx.Err() == nil {
			why = errs.Wrap(errs.Internal, s.method.Name, nil, "The call failed, and its error cannot be sent.")
			out, err = pack(ctx, s.out, &statusFormat, &why)
		}
		if err != nil {
			return sealed{}, false
		}
	}
	out.part = seal(*out.buffer, field, call, 0)
	return out, true
}

// statusFormat is how an error crosses: as it does over gRPC.
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

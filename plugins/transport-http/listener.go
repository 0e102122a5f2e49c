package transporthttp

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// limitConns returns a listener that has at most n connections open. While
// there are n, Accept waits, and clients wait in the listener's own queue.
func limitConns(ln net.Listener, n int) *limited {
	return &limited{Listener: ln, slots: make(chan struct{}, n), closed: make(chan struct{}), conns: map[*conn]struct{}{}, counts: &counts{}}
}

type limited struct {
	net.Listener
	slots  chan struct{}
	once   sync.Once
	closed chan struct{}
	open   sync.WaitGroup // one for each connection
	counts *counts
	ending atomic.Bool // end was called
	looks  atomic.Bool // a look at those that rest is to come

	mu    sync.Mutex
	last  time.Time // when the last connection is taken; zero before end
	conns map[*conn]struct{}
}

// Accept waits for a free slot, then for a connection. After end it takes those
// that are in the queue already, and then gives net.ErrClosed.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	default:
		select {
		case l.slots <- struct{}{}:
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
	if l.ending.Load() && !l.hurry() {
		<-l.slots
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		if l.ending.Load() {
			err = net.ErrClosed // no fault after which net/http would try again
		}
		return nil, err
	}
	return l.track(c), nil
}

// track wraps a connection that has just been accepted.
func (l *limited) track(accepted net.Conn) *conn {
	c := newConn(accepted, l)
	l.open.Add(1)
	l.counts.open.Add(1)
	l.counts.accepted.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = struct{}{}
	return c
}

// end stops taking connections. Those that wait for a request are closed if none
// begins within silentTime; the others end with their answers, which say so.
//
// http.Server.Shutdown closes idle connections whatever has just arrived on them,
// also a request that its handler has begun with, and waits 5 s for connections
// that never sent a byte, as browsers open some in advance.
func (l *limited) end() {
	l.mu.Lock()
	l.last = time.Now().Add(silentTime)
	l.ending.Store(true) // before hasten: what a connection sets later keeps to it by itself
	for c := range l.conns {
		c.hasten()
	}
	l.mu.Unlock()
	if !l.hurry() {
		_ = l.Close() // nothing can be done about a listener that does not close
	}
	time.AfterFunc(silentTime, l.release) // an Accept that waits for a slot takes nobody any more
}

// hurry has the next Accept end where no connection is in the queue. It reports
// whether the time for that is not over.
func (l *limited) hurry() bool {
	timed, ok := l.Listener.(interface{ SetDeadline(time.Time) error })
	l.mu.Lock()
	last := l.last
	l.mu.Unlock()
	return ok && time.Now().Before(last) && timed.SetDeadline(time.Now().Add(queueTime)) == nil
}

// lookLater has a look at the connections that rest in restTime, and again until none
// rests. One timer serves them all.
func (l *limited) lookLater() {
	if !l.looks.Load() && l.looks.CompareAndSwap(false, true) {
		time.AfterFunc(restTime, l.look)
	}
}

func (l *limited) look() {
	l.looks.Store(false) // first: whoever rests from now on begins another
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := false
	for c := range l.conns {
		rest = c.look() || rest
	}
	if rest {
		l.lookLater()
	}
}

// Close also ends an Accept that waits for a slot.
func (l *limited) Close() error {
	l.release()
	return l.Listener.Close()
}

// release ends an Accept that waits for a slot.
func (l *limited) release() { l.once.Do(func() { close(l.closed) }) }

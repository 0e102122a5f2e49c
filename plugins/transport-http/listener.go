package transporthttp

import (
	"context"
	"net"
	"net/http"
	"sync"
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
	if l.ending() && !l.hurry() {
		<-l.slots
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		if l.ending() {
			err = net.ErrClosed // no fault after which net/http would try again
		}
		return nil, err
	}
	return l.track(c), nil
}

// track wraps a connection that has just been accepted.
func (l *limited) track(accepted net.Conn) *conn {
	c := &conn{Conn: accepted, of: l, waits: true}
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
	for c := range l.conns {
		c.hasten()
	}
	l.mu.Unlock()
	if !l.hurry() {
		_ = l.Close() // nothing can be done about a listener that does not close
	}
	time.AfterFunc(silentTime, l.release) // an Accept that waits for a slot takes nobody any more
}

func (l *limited) ending() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.last.IsZero()
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

// Close also ends an Accept that waits for a slot.
func (l *limited) Close() error {
	l.release()
	return l.Listener.Close()
}

// release ends an Accept that waits for a slot.
func (l *limited) release() { l.once.Do(func() { close(l.closed) }) }

// conn is a connection that holds a slot, and whose writes end in a time that
// grows with their length, so that a client that does not read cannot keep it.
type conn struct {
	net.Conn
	of   *limited
	once sync.Once

	mu    sync.Mutex
	waits bool // for the first byte of a request
}

// state takes note of what net/http does with the connection.
func (c *conn) state(s http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits = s == http.StateNew || s == http.StateIdle
}

// Read notes that a request begins.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.of.counts.received.Add(int64(n))
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waits = false
	}
	return n, err
}

// hasten gives a connection that waits for a request silentTime.
func (c *conn) hasten() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waits {
		_ = c.Conn.SetReadDeadline(time.Now().Add(silentTime)) // one that is closed needs none
	}
}

// SetReadDeadline gives a connection that waits for a request no more than
// silentTime once the listener ends.
func (c *conn) SetReadDeadline(t time.Time) error {
	ending := c.of.ending()
	c.mu.Lock()
	defer c.mu.Unlock()
	if most := time.Now().Add(silentTime); ending && c.waits && (t.IsZero() || t.After(most)) {
		t = most
	}
	return c.Conn.SetReadDeadline(t)
}

// Write gives each piece graceTime and the time it takes at minRate.
func (c *conn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(allowance(len(b)))); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(b)
	c.of.counts.sent.Add(int64(n))
	return n, err
}

// cut closes the connection, and drops what the system holds for it.
func (c *conn) cut() {
	if lingers, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		_ = lingers.SetLinger(0) // one that is closed has nothing left
	}
	_ = c.Close()
}

type connKey struct{}

// withConn lets connOf find the connection of a request.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connOf gives the connection of a request, nil in a test without one.
func connOf(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}

// CloseWrite lets net/http close gently: the client reads the answer to a
// request that was refused half-way, not a reset.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close frees the slot.
func (c *conn) Close() error {
	defer c.once.Do(c.release)
	return c.Conn.Close()
}

func (c *conn) release() {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	c.of.counts.open.Add(-1)
	<-c.of.slots
	c.of.open.Done()
}

// allowance is how long n bytes may take.
func allowance(n int) time.Duration {
	return graceTime + time.Duration(n/minRate)*time.Second + time.Duration(n%minRate)*time.Second/minRate
}

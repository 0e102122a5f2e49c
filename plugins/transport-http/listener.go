package transporthttp

import (
	"net"
	"sync"
	"time"
)

// limitConns returns a listener that has at most n connections open. While
// there are n, Accept waits, and clients wait in the listener's own queue.
func limitConns(ln net.Listener, n int) *limited {
	return &limited{Listener: ln, slots: make(chan struct{}, n), closed: make(chan struct{}), silent: map[*conn]struct{}{}}
}

type limited struct {
	net.Listener
	slots  chan struct{}
	once   sync.Once
	closed chan struct{}

	mu     sync.Mutex
	silent map[*conn]struct{} // connections that have not sent a byte yet
}

// Accept waits for a free slot, then for a connection.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return l.track(c), nil
}

// track wraps a connection that has just been accepted.
func (l *limited) track(accepted net.Conn) *conn {
	c := &conn{Conn: accepted}
	c.spoke = sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.silent, c)
	})
	c.release = sync.OnceFunc(func() { <-l.slots })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent[c] = struct{}{}
	return c
}

// dismiss gives connections that have sent nothing yet silentTime to do so.
// Browsers open some in advance, and http.Server.Shutdown would wait 5 s for each.
func (l *limited) dismiss() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.silent {
		_ = c.SetReadDeadline(time.Now().Add(silentTime))
	}
}

// Close also ends an Accept that waits for a slot.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// conn is a connection that holds a slot, and whose writes end in a time that
// grows with their length, so that a client that does not read cannot keep it.
type conn struct {
	net.Conn
	spoke   func() // notes the first byte
	release func() // frees the slot
	heard   bool   // net/http has one reader at a time
}

// Read notes that the client has spoken.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.heard {
		c.heard = true
		c.spoke()
	}
	return n, err
}

// Write gives each piece graceTime and the time it takes at minRate.
func (c *conn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(allowance(len(b)))); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
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
	c.spoke()
	defer c.release()
	return c.Conn.Close()
}

// allowance is how long n bytes may take.
func allowance(n int) time.Duration {
	return graceTime + time.Duration(n/minRate)*time.Second + time.Duration(n%minRate)*time.Second/minRate
}

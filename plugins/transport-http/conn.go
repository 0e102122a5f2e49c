package transporthttp

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// conn is a connection that holds a slot, and whose writes end in a time that
// grows with their length, so that a client that does not read cannot keep it.
type conn struct {
	net.Conn
	of   *limited
	once sync.Once
	wake chan struct{} // ends what rests

	mu     sync.Mutex
	waits  bool // for the first byte of a request
	active bool // a request is being read or answered
	closed bool
	rests  bool // a read that looks for the client's end, see rest
	seen   bool // by the last look at those that rest
	reads  deadline
	writes deadline
}

func newConn(c net.Conn, of *limited) *conn {
	return &conn{Conn: c, of: of, waits: true, wake: make(chan struct{}, 1),
		reads: deadline{move: c.SetReadDeadline}, writes: deadline{move: c.SetWriteDeadline}}
}

// state takes note of what net/http does with the connection.
func (c *conn) state(s http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits = s == http.StateNew || s == http.StateIdle
	c.active = s == http.StateActive
}

// Read notes that a request begins.
func (c *conn) Read(b []byte) (n int, err error) {
	if len(b) == 1 {
		if err := c.rest(); err != nil {
			return 0, err
		}
	}
	c.mu.Lock()
	err = c.reads.begin()
	c.mu.Unlock()
	for again := err == nil; again; {
		n, err = c.Conn.Read(b)
		c.mu.Lock()
		again = c.reads.ended(n, err)
		c.waits = c.waits && n == 0
		c.mu.Unlock()
	}
	c.of.counts.received.Add(int64(n))
	return n, err
}

// rest keeps the read of one byte by which net/http hears of a client that goes away
// while its request is answered. It begins one with each request, and breaks it off with
// the answer; nearly always nothing has come. So it reads only where the answer takes
// longer than restTime. The error is that of a deadline: it was broken off.
func (c *conn) rest() error {
	c.mu.Lock()
	if c.rests = c.active && !c.closed && c.reads.due.IsZero(); c.rests {
		c.seen = false
		c.mu.Unlock()
		c.of.lookLater()
		<-c.wake
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	if due := c.reads.due; !due.IsZero() && !time.Now().Before(due) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// lookUp ends a rest, with mu held.
func (c *conn) lookUp() {
	if c.rests {
		c.rests = false
		c.wake <- struct{}{}
	}
}

// look ends a rest that the look before has seen already. It reports whether one goes on.
func (c *conn) look() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen {
		c.lookUp()
	}
	c.seen = true
	return c.rests
}

// hasten gives a connection that waits for a request silentTime.
func (c *conn) hasten() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waits {
		_ = c.reads.until(time.Now().Add(silentTime)) // one that is closed needs none
	}
}

// SetReadDeadline gives a connection that waits for a request no more than
// silentTime once the listener ends.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waits && c.of.ending.Load() {
		if most := time.Now().Add(silentTime); t.IsZero() || t.After(most) {
			t = most
		}
	}
	err := c.reads.until(t)
	c.lookUp()
	return err
}

// SetWriteDeadline lasts until the next Write, which has a deadline of its own.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writes.until(t)
}

// SetDeadline sets both.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Write gives each piece graceTime and the time it takes at minRate.
func (c *conn) Write(b []byte) (sent int, err error) {
	c.mu.Lock()
	c.writes.due = time.Now().Add(allowance(len(b)))
	err = c.writes.begin()
	c.mu.Unlock()
	for again := err == nil; again; {
		var n int
		n, err = c.Conn.Write(b[sent:])
		sent += n
		c.mu.Lock()
		again = c.writes.ended(0, err)
		c.mu.Unlock()
	}
	c.of.counts.sent.Add(int64(sent))
	return sent, err
}

// deadline is when the reads or the writes of a connection end. The system's is moved
// only where a read or a write meets it, and only to an earlier time: what ends too early
// puts it off and goes on. net/http sets some eight deadlines for each request, nearly all
// of them later than the one before, and each would be a timer.
type deadline struct {
	move func(time.Time) error // the system's
	due  time.Time             // as it was asked for; zero means none
	set  time.Time             // the system's
	busy bool                  // something is under way
}

// until asks for another deadline.
func (d *deadline) until(t time.Time) error {
	d.due = t
	if d.busy {
		return d.hurry()
	}
	return nil
}

// begin goes before what is to end.
func (d *deadline) begin() error {
	d.busy = true
	return d.hurry()
}

// hurry moves the system's to a due one that is earlier.
func (d *deadline) hurry() error {
	if d.due.IsZero() || !d.set.IsZero() && !d.due.Before(d.set) {
		return nil
	}
	d.set = d.due
	return d.move(d.set)
}

// ended stands behind what gave n and err. It reports whether that is to go on, since
// its deadline was not due.
func (d *deadline) ended(n int, err error) (again bool) {
	if n == 0 && err != nil && isTimeout(err) && (d.due.IsZero() || time.Now().Before(d.due)) {
		d.set = d.due
		again = d.move(d.set) == nil
	}
	d.busy = again
	return again
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
	c.mu.Lock()
	c.closed = true // nothing looks at it from now on
	c.lookUp()
	c.mu.Unlock()
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

package lines

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

// connection is one client. One goroutine reads its lines, each request has one
// of its own, and the answers leave in the order in which they are ready.
type connection struct {
	*server
	net     *net.UnixConn
	host    host.Host
	station id.Station
	calls   context.Context // of what goes on without the client; ends with Serve
	here    context.Context // of what needs the client: ends with its last line too
	gone    context.CancelFunc

	stopping context.Context // ends when the station stops: nothing waits on for what may come

	writing sync.Mutex

	mu      sync.Mutex
	running map[uint64]*exchange
	closing bool // no request begins any more
	all     sync.WaitGroup
}

func newConnection(s *server, station id.Station, h host.Host, stopping, calls context.Context, conn *net.UnixConn) *connection {
	c := &connection{server: s, net: conn, host: h, station: station, calls: calls, stopping: stopping, running: map[uint64]*exchange{}}
	c.here, c.gone = context.WithCancel(calls)
	return c
}

// serve answers the client until it has sent its last line, or stopping has
// ended, and all requests that have begun are answered.
func (c *connection) serve() {
	defer c.net.Close() //nolint:errcheck // all that was to be written is
	defer context.AfterFunc(c.calls, func() { _ = c.net.Close() })()
	defer context.AfterFunc(c.stopping, c.drain)()
	in := bufio.NewReaderSize(c.net, smallLine)
	for {
		l, err := c.readLine(in)
		if err != nil {
			break
		}
		c.take(l)
	}
	c.gone()
	c.all.Wait()
}

// drain refuses new requests, and ends the connection once those that have begun
// are answered.
func (c *connection) drain() {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.all.Wait()
	_ = c.net.CloseRead() // the reader meets the end; a connection that is closed already needs none
}

// smallLine is the bytes of a line that every connection may have in memory.
const smallLine = 64 << 10

// line is what a client sent up to the end of a line.
type line struct {
	text    []byte
	held    int64 // bytes of MaxHeld that it takes up
	refused error // why text is not there
}

// readLine reads one line. Of one that may not be kept nothing is, and the next
// one is read as if nothing had been.
func (c *connection) readLine(in *bufio.Reader) (l line, err error) {
	_ = c.net.SetReadDeadline(time.Now().Add(c.most.idle)) // fails where reading does
	if _, err := in.Peek(1); err != nil {
		return l, err
	}
	_ = c.net.SetReadDeadline(time.Now().Add(c.most.crossing))
	for {
		part, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			c.server.held.Add(-l.held)
			return l, err
		}
		if l.refused == nil {
			l.refused = c.hold(&l, len(part))
		}
		if l.refused != nil {
			l.text = nil
		} else {
			l.text = append(l.text, part...)
		}
		if err == nil {
			return l, nil
		}
	}
}

// hold takes what another part of a line needs. Errors: errs.TooLarge, errs.Busy,
// after which the line holds nothing.
func (c *connection) hold(l *line, part int) (err error) {
	if len(l.text)+part <= smallLine {
		return nil
	}
	l.held += int64(part)
	all := c.server.held.Add(int64(part))
	switch {
	case len(l.text)+part > c.most.line:
		err = errs.New(errs.TooLarge, "", "A line may have %d bytes.", c.most.line)
	case all > int64(c.most.held):
		err = &errs.Error{Kind: errs.Busy, RetryAfter: time.Second, Message: "Too many large requests are in memory; try again."}
	default:
		return nil
	}
	c.server.held.Add(-l.held)
	l.held = 0
	return err
}

// take begins what a line asks for, or hands a piece of a file to its request.
func (c *connection) take(l line) {
	x := &exchange{connection: c, Request: new(Request), pieces: make(chan piece, 1)}
	err := l.refused
	if err == nil {
		*x.Request, err = c.protocol.Decode(bytes.TrimSuffix(l.text, []byte("\n")))
	}
	if err == nil && x.Do == "" && x.Piece != nil {
		c.deliver(x.ID, piece{x.Piece, l.held})
		return
	}
	if !id.ValidRequest(x.RequestID) {
		x.RequestID = id.NewRequest()
	}
	if err == nil {
		err = c.begin(x)
	}
	if err != nil {
		x.fail(err)
		c.server.held.Add(-l.held)
		return
	}
	go func() {
		defer c.all.Done()
		x.run()
		c.server.held.Add(-l.held)
	}()
}

// begin gives a request its place. Requests are refused rather than left to wait:
// the pieces that those before them wait for come over the same connection.
func (c *connection) begin(x *exchange) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case x.ID == 0 || c.running[x.ID] != nil:
		return errs.New(errs.Invalid, "bad_id", `The "id" of a request is a whole number from 1 that no request on its way has.`)
	case c.closing:
		return errs.New(errs.Unavailable, "", "The station is stopping; nothing was done.")
	case len(c.running) == c.most.calls:
		return &errs.Error{Kind: errs.Busy, RetryAfter: time.Second, Message: "Too many requests of this connection are on their way."}
	}
	c.running[x.ID] = x
	c.all.Add(1)
	return nil
}

// end takes a request off the list, before its last answer leaves: the client may
// use the id again as soon as it has that.
func (c *connection) end(x *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running[x.ID] != x {
		return // it was refused
	}
	delete(c.running, x.ID)
	select {
	case unused := <-x.pieces:
		c.server.held.Add(-unused.held)
	default:
	}
}

// deliver hands a piece to its request. One that comes after the last answer has
// crossed that on its way.
func (c *connection) deliver(request uint64, p piece) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.running[request]
	if x != nil {
		select {
		case x.pieces <- p:
			return
		default: // more than were asked for; which of them count must not be guessed
			c.log.Warn("a client sent a piece of a file that nobody asked for", "request_id", x.RequestID)
			_ = c.net.CloseRead() // ends the connection
		}
	}
	c.server.held.Add(-p.held)
}

// send writes one line. A client that does not read loses its connection.
func (c *connection) send(a *Answer) {
	a.Station = cmp.Or(a.Station, c.station)
	text, err := c.protocol.Encode(a)
	if err != nil {
		c.log.Error("an answer could not be written", "request_id", a.RequestID, "error", err)
		if text, err = c.protocol.Encode(&Answer{ID: a.ID, RequestID: a.RequestID, Station: c.station, Err: &errs.Error{}}); err != nil {
			_ = c.net.Close() // the client must not wait for ever
			return
		}
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.net.SetWriteDeadline(time.Now().Add(c.most.crossing)) // fails where writing does
	if _, err := c.net.Write(append(text, '\n')); err != nil {
		c.log.Debug("a client is gone", "error", err)
		_ = c.net.Close()
	}
}

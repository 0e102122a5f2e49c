package transporthttp

import (
	"container/list"
	"sync"
)

// waiting bounds the answers in memory that clients are taking. Above maxAnswers
// those that have waited longest for their client are broken off: a call is durable
// by then, so that its answer cannot be refused. A client that reads is never the one
// while there is another that does not.
type waiting struct {
	mu    sync.Mutex
	queue list.List // of *leaving; the front has waited longest
	bytes int64     // of all of them
}

// leaving is an answer on its way to a client.
type leaving struct {
	conn  *conn // nil in a test without connections: nothing is broken off
	bytes int64
}

// begin takes an answer of n bytes into account, which took and end go on with, and
// gives the connections that are to be cut for it. The new answer itself is not
// broken off, however large it is.
func (w *waiting) begin(c *conn, n int) (e *list.Element, over []*conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.bytes += int64(n); w.bytes > maxAnswers && w.queue.Len() > 0; {
		if victim := w.remove(w.queue.Front()); victim.conn != nil {
			over = append(over, victim.conn)
		}
	}
	return w.queue.PushBack(&leaving{c, int64(n)}), over
}

// took notes that the client has taken a piece.
func (w *waiting) took(e *list.Element) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue.MoveToBack(e) // does nothing to one that was removed
}

// end gives back what begin took.
func (w *waiting) end(e *list.Element) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(e)
}

// remove takes an answer out, once.
func (w *waiting) remove(e *list.Element) *leaving {
	l := e.Value.(*leaving)
	w.queue.Remove(e)
	w.bytes -= l.bytes
	l.bytes = 0
	return l
}

package transporthttp

import (
	"container/list"
	"sync"
	"time"
)

// stalled is after how long without a piece that its client took an answer may be
// broken off for a look.
const stalled = time.Second

// waiting bounds the answers in memory that clients are taking. Above maxAnswers
// those are broken off whose clients have taken nothing for longest. A look is refused
// rather than that another is broken off whose client took a piece not long ago; a
// call is durable by then, so that its answer cannot be refused.
type waiting struct {
	mu    sync.Mutex
	queue list.List // of *leaving; of the front nothing was taken for longest
	bytes int64     // of all of them
}

// leaving is an answer on its way to a client.
type leaving struct {
	conn  *conn // nil in a test without connections: nothing is broken off
	bytes int64
	moved time.Time // when its client took the last piece
}

// begin takes an answer of n bytes into account, which took and end go on with, and
// says how many it broke off for it. It gives nil for a look that does not fit. The new
// answer itself is not broken off, however large it is.
func (w *waiting) begin(c *conn, n int, look bool) (e *list.Element, broken int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if look && !w.fits(int64(n)) {
		return nil, 0
	}
	for w.bytes += int64(n); w.bytes > maxAnswers && w.queue.Len() > 0; {
		// It is cut before the lock is given back: once end has returned, its
		// connection may be at another request.
		if victim := w.remove(w.queue.Front()); victim.conn != nil {
			broken++
			victim.conn.cut()
		}
	}
	return w.queue.PushBack(&leaving{c, int64(n), time.Now()}), broken
}

// fits says whether n bytes more have room once all that stalled is broken off. What
// is above maxAnswers by itself has room alone.
func (w *waiting) fits(n int64) bool {
	left := w.bytes
	for e := w.queue.Front(); left+n > maxAnswers && e != nil; e = e.Next() {
		l := e.Value.(*leaving)
		if time.Since(l.moved) < stalled {
			return false
		}
		left -= l.bytes
	}
	return true
}

// took notes that the client has taken a piece.
func (w *waiting) took(e *list.Element) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.Value.(*leaving).moved = time.Now()
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

package transporthttp

import (
	"container/list"
	"sync"
)

// waiting bounds the answers in memory that clients are taking. Above maxAnswers
// those are broken off whose clients have taken nothing for longest. For an answer that
// can be refused none is; that of a call cannot, which is durable by then.
type waiting struct {
	mu    sync.Mutex
	queue list.List // of *leaving; of the front nothing was taken for longest
	bytes int64     // of all of them
}

// leaving is an answer on its way to a client.
type leaving struct {
	conn    *conn // nil in a test without connections: nothing is broken off
	bytes   int64
	cutting sync.WaitGroup // its connection is being closed
}

// begin takes an answer of n bytes into account, which took and end go on with, and
// says how many it broke off for it. It gives nil for one that can be refused and does
// not fit. The new answer itself is not broken off, however large it is.
func (w *waiting) begin(c *conn, n int, refusable bool) (e *list.Element, broken int) {
	e, victims := w.add(&leaving{conn: c, bytes: int64(n)}, refusable)
	for _, v := range victims { // without the lock: each waits until the goroutines of the connection have left it
		v.conn.cut()
		v.cutting.Done()
	}
	return e, len(victims)
}

// add gives a new answer its place, and those that are to be broken off for it.
func (w *waiting) add(l *leaving, refusable bool) (e *list.Element, victims []*leaving) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes += l.bytes
	if refusable && w.bytes > maxAnswers && w.queue.Len() > 0 { // what is above maxAnswers by itself has room alone
		w.bytes -= l.bytes
		return nil, nil
	}
	for w.bytes > maxAnswers && w.queue.Len() > 0 {
		if v := w.remove(w.queue.Front()); v.conn != nil {
			v.cutting.Add(1)
			victims = append(victims, v)
		}
	}
	return w.queue.PushBack(l), victims
}

// took notes that the client has taken a piece.
func (w *waiting) took(e *list.Element) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue.MoveToBack(e) // does nothing to one that was removed
}

// end gives back what begin took. Where the answer is being broken off it waits for
// that: once it has returned, the connection may be at another request.
func (w *waiting) end(e *list.Element) {
	w.mu.Lock()
	l := w.remove(e)
	w.mu.Unlock()
	l.cutting.Wait()
}

// remove takes an answer out, once.
func (w *waiting) remove(e *list.Element) *leaving {
	l := e.Value.(*leaving)
	w.queue.Remove(e)
	w.bytes -= l.bytes
	l.bytes = 0
	return l
}

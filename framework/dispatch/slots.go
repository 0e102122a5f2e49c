package dispatch

import (
	"slices"
	"sync"
	"time"
)

// turns is how many who have not run yet go before one who has.
const turns = 16

// slots are the places of scripts that run at the same time. Who finds none free gets
// one in the order of arrival; but a script that ran for long, and gave its place up so
// that others run, waits behind those that did not. So a call that is over at once
// waits for one slice of the long ones, and not for a slice of each.
type slots struct {
	mu     sync.Mutex
	all    int
	free   int
	first  waiters // have not run, or had given their place up in order to wait
	again  waiters // ran for long
	served int     // of first, while one of again waited
}

// waiters are in the order of their arrival. One whose channel is closed has a place.
type waiters []chan struct{}

func newSlots(n int) *slots { return &slots{all: n, free: n} }

// try takes a place if one is free, and says whether it did.
func (s *slots) try() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free == 0 {
		return false
	}
	s.free--
	return true
}

// take waits for a place, and says whether it got one before it was told to give up
// by one of the channels; nil ones never do.
func (s *slots) take(gone <-chan struct{}, late <-chan time.Time) bool {
	s.mu.Lock()
	if s.free > 0 {
		s.free--
		s.mu.Unlock()
		return true
	}
	mine := s.first.join()
	s.mu.Unlock()
	select {
	case <-mine:
		return true
	case <-gone:
	case <-late:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.first.leave(mine)
}

// give gives a place up.
func (s *slots) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if next := s.next(); next != nil {
		close(next)
	} else {
		s.free++
	}
}

// pass gives a place up to one who waits, if there is one, and waits for another.
func (s *slots) pass() {
	s.mu.Lock()
	next := s.next()
	if next == nil {
		s.mu.Unlock()
		return
	}
	mine := s.again.join()
	close(next)
	s.mu.Unlock()
	<-mine
}

// held is how many have a place.
func (s *slots) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all - s.free
}

// next takes out whose turn it is, nil where nobody waits.
func (s *slots) next() chan struct{} {
	if len(s.again) == 0 {
		s.served = 0
		return s.first.pop()
	}
	if len(s.first) > 0 && s.served < turns {
		s.served++
		return s.first.pop()
	}
	s.served = 0
	return s.again.pop()
}

func (w *waiters) join() chan struct{} {
	mine := make(chan struct{})
	*w = append(*w, mine)
	return mine
}

func (w *waiters) pop() chan struct{} {
	if len(*w) == 0 {
		return nil
	}
	next := (*w)[0]
	*w = slices.Delete(*w, 0, 1)
	return next
}

// leave takes one out, and says whether it still waited.
func (w *waiters) leave(mine chan struct{}) bool {
	i := slices.Index(*w, mine)
	if i < 0 {
		return false
	}
	*w = slices.Delete(*w, i, i+1)
	return true
}

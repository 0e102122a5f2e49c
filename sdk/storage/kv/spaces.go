package kv

import (
	"encoding/binary"
	"sync"
	"time"
)

// What has many rows, the life of an object or the bytes of a file, has a space: a
// number that its keys begin with. One row says that a space is doomed, and so
// removes it at once; its own rows are taken away afterwards, piece by piece. A space
// that is being filled is doomed from its first row on, until the transaction that
// makes it something. So what a crash leaves behind is always named.

// newSpace gives the number of a new space, with write held.
func (s *Store) newSpace(w Writer) (uint64, error) {
	s.next++
	return s.next, putNumber(w, "next", s.next)
}

// spaces are those that somebody uses, whose rows stay even where they are doomed.
type spaces struct {
	// found is held for reading from the look that finds a space to its pin, and for
	// writing when the sweeper decides: one that is found is pinned in time.
	found  sync.RWMutex
	mu     sync.Mutex
	pins   map[uint64]int
	waited map[uint64]bool // doomed ones that the sweeper found pinned
}

func (s *Store) pin(space uint64) {
	s.spaces.mu.Lock()
	defer s.spaces.mu.Unlock()
	if s.spaces.pins == nil {
		s.spaces.pins, s.spaces.waited = map[uint64]int{}, map[uint64]bool{}
	}
	s.spaces.pins[space]++
}

// release undoes a pin.
func (s *Store) release(space uint64) {
	s.spaces.mu.Lock()
	defer s.spaces.mu.Unlock()
	if s.spaces.pins[space]--; s.spaces.pins[space] > 0 {
		return
	}
	delete(s.spaces.pins, space)
	if s.spaces.waited[space] {
		delete(s.spaces.waited, space)
		s.sweeper.wake()
	}
}

// free reports whether the rows of a doomed space may go. Nobody can find it any
// more; who found it before has it pinned.
func (s *Store) free(space uint64) bool {
	s.spaces.found.Lock()
	defer s.spaces.found.Unlock()
	s.spaces.mu.Lock()
	defer s.spaces.mu.Unlock()
	if s.spaces.pins[space] == 0 {
		return true
	}
	s.spaces.waited[space] = true
	return false
}

// find is a view that pins the spaces it finds, with the function it is given.
func (s *Store) find(f func(r Reader, pin func(space uint64)) error) (err error) {
	s.spaces.found.RLock()
	defer s.spaces.found.RUnlock()
	var pinned []uint64
	err = s.view(func(r Reader) error {
		return f(r, func(space uint64) {
			s.pin(space)
			pinned = append(pinned, space)
		})
	})
	if err != nil {
		for _, space := range pinned {
			s.release(space)
		}
	}
	return err
}

// sweepEvery is how often the sweeper looks without being woken: for uploads that
// are too old, again at what failed, and whether a database takes changes again.
const sweepEvery = time.Minute

// sweeper is the goroutine that takes doomed spaces away.
type sweeper struct {
	woken chan struct{}
	done  chan struct{}
	ended chan struct{}
	once  sync.Once
}

func (w *sweeper) start(sweep func(stopped func() bool)) {
	w.woken, w.done, w.ended = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	stopped := func() bool {
		select {
		case <-w.done:
			return true
		default:
			return false
		}
	}
	go func() {
		defer close(w.ended)
		tick := time.NewTicker(sweepEvery)
		defer tick.Stop()
		for !stopped() {
			sweep(stopped)
			select {
			case <-w.done:
			case <-w.woken:
			case <-tick.C:
			}
		}
	}()
}

func (w *sweeper) wake() {
	select {
	case w.woken <- struct{}{}:
	default: // it is awake
	}
}

// stop ends it, and waits for the piece that is under way. A second stop does nothing.
func (w *sweeper) stop() {
	if w.done == nil {
		return
	}
	w.once.Do(func() { close(w.done) })
	<-w.ended
}

// sweep takes away each doomed space that nobody uses.
func (s *Store) sweep(stopped func() bool) {
	s.probe()
	s.expire()
	for last := uint64(0); !stopped(); {
		list, err := s.doomed(last)
		if err != nil || len(list) == 0 {
			s.swept(err)
			return
		}
		for _, space := range list {
			last = space
			if !s.free(space) {
				continue
			}
			for done := false; !done && !stopped(); {
				if done, err = s.sweepPiece(space); err != nil {
					s.swept(err)
					return
				}
			}
		}
	}
}

// swept tells of a sweep that failed. What is left is looked at again in a minute.
func (s *Store) swept(err error) {
	if err != nil && !s.dead.Load() {
		s.o.Log.Warn("what is not needed any more could not be taken out of the database", "error", err)
	}
}

// doomed gives doomed spaces behind last.
func (s *Store) doomed(last uint64) (list []uint64, err error) {
	err = s.view(func(r Reader) error {
		return r.Range(doomedKey(last+1), after([]byte{doomedTable}), false, func(k, _ []byte) bool {
			list = append(list, binary.BigEndian.Uint64(k[1:]))
			return len(list) < s.limits.pieceRows
		})
	})
	return list, err
}

// sweepPiece takes away rows of a space, and with the last of them that it is
// doomed. The bytes of its files are doomed with their rows.
func (s *Store) sweepPiece(space uint64) (done bool, err error) {
	dooms := false
	err = s.update(func(w Writer) error {
		still, err := w.Get(doomedKey(space))
		if err != nil || still == nil { // since it was looked for, a commit has made it a file
			done = true
			return err
		}
		var keys [][]byte
		var files []uint64
		size := 0
		prefix := spaceKey(space)
		if err := w.Range(prefix, after(prefix), false, func(k, v []byte) bool {
			keys = append(keys, append([]byte(nil), k...))
			if len(k) > rowPrefix && k[rowPrefix-1] == fileRow {
				if f, ok := parseFile(v); ok && f.bytes != 0 {
					files = append(files, f.bytes)
				}
			}
			size += len(k) + len(v)
			return len(keys) < s.limits.pieceRows && size < 16*s.limits.piece
		}); err != nil {
			return err
		}
		dooms = len(files) > 0
		for _, f := range files {
			if err := w.Put(doomedKey(f), []byte("1")); err != nil {
				return err
			}
		}
		for _, k := range keys {
			if err := w.Delete(k); err != nil {
				return err
			}
		}
		if done = len(keys) < s.limits.pieceRows && size < 16*s.limits.piece; !done {
			return nil
		}
		return w.Delete(doomedKey(space))
	})
	if dooms {
		s.sweeper.wake() // for those that this round has passed
	}
	return done && err == nil, err
}

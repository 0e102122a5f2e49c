package storagetsv

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
)

// mergeTurn is how long a round merges while a full segment waits. It is not
// nothing, or merges would never have their turn under a load that goes on.
const mergeTurn = 100 * time.Millisecond

// mergeAll merges the files of state of the objects that want it, one step after
// the other. A merge that fails loses nothing and holds nobody up: it is tried
// again when a round does everything, that is, once a minute.
func (s *Store) mergeAll(all bool) {
	c := &s.carrier
	c.merges = append(c.merges, s.dirt.takeMerges()...)
	if all {
		c.merges, c.failing = append(c.merges, c.failing...), nil
	}
	for began := time.Now(); len(c.merges) > 0; {
		if !all && len(s.dirt.urgent) > 0 && time.Since(began) > mergeTurn {
			return // a full segment comes first; the rest after its round
		}
		o := c.merges[0]
		c.merges = c.merges[1:]
		if err := s.mergeObject(o); !s.merged(o, err) {
			return
		}
	}
}

// merged notes how an object's merge went. It reports whether the store lives.
func (s *Store) merged(o *object, err error) bool {
	if fe, ok := errors.AsType[fsyncError](err); ok {
		s.end(fe)
		return false
	}
	if err == nil {
		return true
	}
	s.carrier.failing = append(s.carrier.failing, o)
	s.log.Error("merging an object's files of state failed; they stay as they are", "object", o.id, "error", err)
	s.sick(fmt.Sprintf("The storage cannot merge the files of object %q: %v", o.id, err))
	return true
}

// mergeObject does what an object's files of state want: state.tsv into
// middle.tsv, and that into base.tsv. What is not to be relied on is sorted anew.
//
// Nobody but the carrier changes these files, so that they are read and the new
// one written without o.files; it is held where names change, for a moment.
func (s *Store) mergeObject(o *object) error {
	o.mu.Lock()
	o.merge.wanted = false // whoever wants one from here on means the new files
	o.mu.Unlock()
	for to := middle; to >= base; to-- {
		if err := s.mergeWhereDue(o, to); err != nil {
			o.mu.Lock()
			o.merge.wanted = true // it is known to fail
			o.mu.Unlock()
			return err
		}
	}
	return nil
}

func (s *Store) mergeWhereDue(o *object, to level) error {
	v, err := s.openToMerge(o)
	if err != nil {
		return err
	}
	defer v.close()
	if !s.dueInto(v, to) {
		return nil
	}
	for {
		err := s.mergeInto(o, v, to)
		u, ok := errors.AsType[unsortedError](err)
		if !ok {
			return err
		}
		v.tables[u.level].sorted = false
		s.notSorted(o, &v.tables[u.level], true)
	}
}

// dueInto reports whether the level above one is to be merged into it.
func (s *Store) dueInto(v *stateView, to level) bool {
	t := &v.tables[to]
	if t.f != nil && !t.sorted {
		return true
	}
	from := &v.tables[to+1]
	over := s.levels.recent
	if to == base {
		over = s.levels.middleOver(t.size)
	}
	return from.f != nil && from.size > over
}

// openToMerge opens an object's files of state. One that can be no file, a
// directory for example, is moved aside; one with a bad sector stays where it is,
// since most of it can still be saved, and nothing waits for a merge.
func (s *Store) openToMerge(o *object) (*stateView, error) {
	for {
		v, err := s.openState(o)
		bad, ok := errors.AsType[*tableError](err)
		if !ok || !ofFile(err) || errors.Is(err, syscall.EIO) {
			return v, err
		}
		var m mark // state.tsv keeps its own
		o.files.Lock()
		err = s.giveUp(o, o.levelPath(bad.level), &m, bad.err)
		o.files.Unlock()
		if err != nil {
			return nil, err
		}
	}
}

// mergeInto merges the level above one into it: into a new file beside it, synced,
// that takes its place; when that is durable, what was merged is dropped. A crash
// between the two leaves lines in both, and the newer file says the same.
func (s *Store) mergeInto(o *object, v *stateView, to level) error {
	m := merger{s: s, name: o.levelPath(to), aside: o.levelPath(to) + ".tmp"}
	if err := m.write(&v.tables[to+1], &v.tables[to]); err != nil {
		return err
	}
	if to+1 == recent && v.tables[recent].f != nil {
		// Lest a power cut leave a part of it above what was merged from all of it.
		if err := s.syncFile(o.statePath()); err != nil {
			return err
		}
	}
	o.files.Lock()
	err := s.fs.Rename(m.aside, m.name)
	o.files.Unlock()
	if err != nil {
		return err
	}
	s.damage.forget(m.name)
	o.mu.Lock()
	o.merge.unsorted[to] = false
	o.mu.Unlock()
	if err := s.fs.SyncDir(stateDir(o.id)); err != nil {
		return err
	}
	if v.tables[to+1].f == nil {
		return nil
	}
	above := o.levelPath(to + 1)
	var t mark
	o.files.Lock()
	err = s.drop(o, above, &t)
	o.files.Unlock()
	if err == nil {
		s.damage.forget(above)
		if to+1 == recent {
			o.touched.state = mark{names: true}
		} else {
			o.mu.Lock()
			o.merge.unsorted[to+1] = false
			o.mu.Unlock()
		}
	}
	return err
}

// merger writes the lines of two files, as one sorted file, aside.
type merger struct {
	s     *Store
	name  string
	aside string

	f    file
	at   int64  // of buf in the file
	buf  []byte // not written yet
	lost []lostLine
}

// lostLine is a damaged line that the new file does not have.
type lostLine struct {
	t    *table
	at   int64
	size int
	why  string
}

// mergeChunk is about how many bytes a merge writes at a time.
const mergeChunk = 256 << 10

// write writes the file, synced, or leaves none.
func (m *merger) write(tables ...*table) error {
	runs, size := make([]run, 0, len(tables)), int64(len(stateHeader)+maxSeal)
	bad := func(t *table, at int64, line []byte, why string) {
		m.lost = append(m.lost, lostLine{t, at, len(line), why})
	}
	for _, t := range tables {
		if t.f == nil {
			continue
		}
		r, err := t.run(keyRange{}, bad)
		if err != nil {
			return err
		}
		runs, size = append(runs, r), size+t.size
	}
	var err error
	if m.f, err = m.s.fs.Open(m.aside, toCreate); err != nil {
		return err
	}
	m.buf = append(make([]byte, 0, min(size, mergeChunk+mergeChunk/4)), stateHeader...)
	err = m.lines(mergeRuns(runs...))
	if err == nil {
		err = m.keepLost()
	}
	if err != nil {
		return errors.Join(err, m.f.Close(), m.s.fs.Remove(m.aside))
	}
	if err := m.f.Sync(); err != nil {
		_ = m.f.Close()
		return fsyncError{err}
	}
	return m.f.Close()
}

func (m *merger) lines(items *merged) error {
	for {
		it, err := items.next()
		if errors.Is(err, io.EOF) {
			m.buf = appendSeal(m.buf, m.at+int64(len(m.buf)))
			return m.flush()
		}
		if err != nil {
			return err
		}
		if it.how == whole {
			m.buf = append(append(m.buf, it.line...), '\n')
		} else if c, ok := it.parse(); ok { // which a person wrote
			start := len(m.buf)
			m.buf = seal(appendChange(m.buf, &c), start)
		}
		if len(m.buf) >= mergeChunk {
			if err := m.flush(); err != nil {
				return err
			}
		}
	}
}

func (m *merger) flush() error {
	if _, err := m.f.WriteAt(m.buf, m.at); err != nil {
		return err
	}
	m.at += int64(len(m.buf))
	m.buf = m.buf[:0]
	return nil
}

// keepLost copies what the new file does not have: each line on its own, or,
// where many stand one behind the other, all of them as one.
func (m *merger) keepLost() error {
	for i := 0; i < len(m.lost); {
		l := m.lost[i]
		for i++; i < len(m.lost) && len(m.lost) > maxReports && m.lost[i].t == l.t && m.lost[i].at == l.at+int64(l.size)+1; i++ {
			l.size += 1 + m.lost[i].size
		}
		raw := make([]byte, l.size)
		if err := readFull(l.t.f, raw, l.at); err != nil {
			return err
		}
		if err := m.s.keepAside(l.t.name, l.t.f, l.at, raw, l.why); err != nil {
			return err
		}
	}
	return nil
}

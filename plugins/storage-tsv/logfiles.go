package storagetsv

import (
	"bytes"
	"errors"
	"slices"
	"time"
)

// logFiles is what the store keeps in memory of the files of a log: their
// names, and the end of the one that is written.
type logFiles struct {
	closed []logName // oldest first; elements are never changed
	active logEnd
	named  bool // the names of the closed files are durable
}

// logEnd is what the next append to log.tsv has to know.
type logEnd struct {
	known   bool
	name    logName // which the file gets when it is closed; zero while it holds no entry
	size    int64
	newest  int64 // the running maximum at its end; noTime where the log holds no entry
	indexed int64 // where the entry of the last index line begins, or -1
}

// closedError is an error that lies in a closed file of a log.
type closedError struct {
	name logName
	error
}

func (e closedError) Unwrap() error { return e.error }

// knowLog brings o.log up to date with the files: f is the open log.tsv, or nil
// without one. It reads what an append does not leave in memory: after a start
// the names, the last lines of the index, and what stands behind them. The
// caller holds o.files.
func (s *Store) knowLog(o *object, f file, size int64) (*logFiles, error) {
	if err := s.listLog(o); err != nil {
		return nil, err
	}
	if a := &o.log.active; a.known && a.size == size {
		return o.log, nil
	}
	return o.log, s.knowEnd(o, f, size)
}

// listLog reads the names of the closed files where they are not known.
func (s *Store) listLog(o *object) error {
	if o.log != nil {
		return nil
	}
	names, err := s.fs.ReadDir(o.logDir())
	if err := unlessMissing(err); err != nil {
		return err
	}
	// log.tsv was begun after the names of the closed files were made durable. Where
	// it is not there the process before may have ended in between.
	l := &logFiles{named: slices.Contains(names, "log.tsv")}
	var orphans []string
	l.closed, orphans = closedLogs(names)
	for _, n := range orphans {
		s.dropIndex(o.logDir() + "/" + n)
	}
	o.log = l
	return nil
}

// knowEnd reads the end of log.tsv, and completes its index.
func (s *Store) knowEnd(o *object, f file, size int64) error {
	l := o.log
	l.active.known = false
	index, err := s.readAll(o.logIndex())
	if err != nil {
		return err
	}
	x := indexer{newest: noTime, last: -1}
	var good []byte
	from := int64(0)
	if size > 0 {
		begin, ok, err := firstIndexed(index, f, size)
		if err != nil {
			return err
		}
		if ok {
			var last indexLine
			if last, good, err = lastIndexed(index, f, size); err != nil {
				return err
			}
			x.first, x.newest, x.last, from = begin.newest, last.newest, last.at, last.at
		}
	}
	if good == nil && len(l.closed) > 0 {
		if x.newest, err = s.endOfClosed(o, l.closed[len(l.closed)-1]); err != nil {
			return err
		}
	}
	if size > 0 {
		if err := x.follow(f, from, size); err != nil {
			return err
		}
	}
	s.completeIndex(o.logIndex(), index, good, x.lines, size-from)
	l.active = logEnd{known: true, size: size, newest: x.newest, indexed: x.last}
	if x.last >= 0 {
		l.active.name = after(l.closed, x.first)
	}
	return nil
}

// completeIndex puts lines behind the good part of an index. Read is how much
// of the log was read for it.
func (s *Store) completeIndex(name string, index, good, lines []byte, read int64) {
	if len(good) == len(index) && len(lines) == 0 {
		return
	}
	if read > 2*blockSize {
		s.log.Info("an index of a log was missing or did not match; it is made anew from the log", "file", name, "bytes_read", read)
	}
	if len(good)+len(lines) == 0 {
		s.dropIndex(name)
		return
	}
	f, err := s.fs.Open(name, toWrite)
	if err == nil {
		err = f.Truncate(int64(len(good)))
		if err == nil {
			_, err = f.WriteAt(lines, int64(len(good)))
		}
		err = errors.Join(err, f.Close())
	}
	s.indexFailed(name, err)
}

// indexFailed says that an index could not be written, which costs no more than
// time: it is completed when it is next needed.
func (s *Store) indexFailed(name string, err error) {
	if err != nil {
		s.log.Warn("an index of a log could not be written; it is completed when it is needed", "file", name, "error", err)
	}
}

func (s *Store) dropIndex(name string) { s.indexFailed(name, unlessMissing(s.fs.Remove(name))) }

// endOfClosed gives the running maximum at the end of a closed file.
func (s *Store) endOfClosed(o *object, name logName) (int64, error) {
	f, size, err := s.openWhole(o.closedPath(name), toRead)
	if err != nil {
		return 0, closedError{name, err}
	}
	defer f.Close()
	index, err := s.readAll(o.closedIndex(name))
	if err != nil {
		return 0, err
	}
	x, from := indexer{newest: name.time, last: -1}, int64(0)
	last, good, err := lastIndexed(index, f, size)
	if good != nil {
		x.newest, x.last, from = last.newest, last.at, last.at
	}
	if err == nil {
		err = x.follow(f, from, size)
	}
	if err != nil {
		return 0, closedError{name, err}
	}
	s.completeIndex(o.closedIndex(name), index, good, x.lines, size-from)
	return x.newest, nil
}

// carryLog appends the lines of the log, and closes the file wherever it is
// full.
func (s *Store) carryLog(o *object, pending []change) error {
	b := s.carrier.buf[:0]
	for i := range pending {
		b = append(b, pending[i].log...)
	}
	s.carrier.buf = b
	for o.logDone < len(b) {
		err := s.orAnew(o, o.logPath(), &o.touched.log, func() error { return s.appendLog(o, b[o.logDone:]) })
		if err != nil {
			return err
		}
	}
	return nil
}

// appendLog appends as many lines as go into log.tsv, all of these or none,
// and counts them in o.logDone. It closes the file first where that is due.
func (s *Store) appendLog(o *object, lines []byte) error {
	f, l, err := s.openActive(o)
	if err != nil {
		return err
	}
	if s.dueToClose(&l.active) {
		if err := errors.Join(f.Close(), s.closeLog(o)); err != nil {
			return err
		}
		if f, l, err = s.openActive(o); err != nil {
			return err
		}
	}
	defer f.Close()
	a := &l.active
	x := indexer{newest: a.newest, last: a.indexed}
	n, begin := 0, a.size
	if a.size == 0 {
		begin = int64(len(logHeader))
		o.touched.log.names = true
	}
	for line := range bytes.Lines(lines) {
		at := begin + int64(n)
		if n > 0 && at >= s.logSize {
			break
		}
		x.add(line[:len(line)-1], at)
		n += len(line)
	}
	text := lines[:n]
	if a.size == 0 {
		text = append([]byte(logHeader), text...)
	}
	if err := writeAll(f, text, a.size); err != nil {
		return err
	}
	o.touched.log.data = true
	o.logDone += n
	a.size, a.newest, a.indexed = begin+int64(n), x.newest, x.last
	if a.name == (logName{}) && x.last >= 0 {
		a.name = after(l.closed, x.first)
	}
	if len(x.lines) > 0 {
		_, _, err := s.appendLines(o.logIndex(), "", x.lines)
		s.indexFailed(o.logIndex(), err)
		a.known = err == nil
	}
	return nil
}

// openActive opens log.tsv to append to it.
func (s *Store) openActive(o *object) (file, *logFiles, error) {
	if err := s.listLog(o); err != nil {
		return nil, nil, err
	}
	if len(o.log.closed) > 0 && !o.log.named {
		if err := unlessMissing(s.fs.SyncDir(o.logDir())); err != nil {
			return nil, nil, err
		}
		o.log.named = true
	}
	f, size, err := s.openMade(o.logPath())
	if err != nil {
		return nil, nil, err
	}
	l, err := s.knowLog(o, f, size)
	if bad, ok := errors.AsType[closedError](err); ok && ofFile(bad.error) {
		if err = s.giveUpClosed(o, bad); err == nil {
			l, err = s.knowLog(o, f, size)
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, l, nil
}

// giveUpClosed moves a closed file aside that cannot be used.
func (s *Store) giveUpClosed(o *object, bad closedError) error {
	data := o.touched.log.data
	err := s.giveUp(o, o.closedPath(bad.name), &o.touched.log, bad.error)
	o.touched.log.data = data // of log.tsv
	o.log = nil
	return err
}

// dueToClose says whether log.tsv is full, or, where a log is not kept for
// ever, so old that it is time to begin another.
func (s *Store) dueToClose(a *logEnd) bool {
	return a.name != logName{} && (a.size >= s.logSize || s.tooOld(a.name.time, s.logRetention/8))
}

func (s *Store) tooOld(t int64, age time.Duration) bool {
	return s.logRetention > 0 && t < micro(s.now().Add(-age))
}

// closeLog gives log.tsv its last name. Its content is durable before, and the
// name before anything is written to the next one: what a closed file holds is
// never lost, so a replay need not write it again.
func (s *Store) closeLog(o *object) error {
	l := o.log
	name := l.active.name
	if err := s.syncFile(o.logPath()); err != nil {
		return err
	}
	if err := s.fs.Rename(o.logPath(), o.closedPath(name)); err != nil {
		return err
	}
	l.closed, l.named = append(l.closed, name), false
	l.active = logEnd{known: true, newest: l.active.newest, indexed: -1}
	o.touched.log.data = false
	s.damage.forget(o.logPath())
	if err := unlessMissing(s.fs.Rename(o.logIndex(), o.closedIndex(name))); err != nil {
		s.indexFailed(o.closedIndex(name), err)
		s.dropIndex(o.logIndex())
	}
	if err := s.fs.SyncDir(o.logDir()); err != nil {
		return err // openActive tries again
	}
	l.named = true
	return nil
}

// wipeLog drops the files of a log, and nothing that the store has not made.
func (s *Store) wipeLog(o *object) error {
	names, err := s.fs.ReadDir(o.logDir())
	if err != nil && !ofFile(err) {
		return err
	}
	for _, n := range names {
		if !isLogFile(n) {
			continue
		}
		if err := s.drop(o, o.logDir()+"/"+n, &o.touched.log); err != nil {
			return err
		}
	}
	return nil
}

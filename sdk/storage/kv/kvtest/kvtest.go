// Package kvtest is what package kv asks of a database, as a test suite without
// optional parts, and Memory, a database in memory that passes it.
//
//	kvtest.Run(t, func(dir string) (kv.DB, error) { … })
//
// A database that passes makes a storage that passes storagetest; one that does not
// is told here what is wrong, in fewer words. The suite sees a database from outside,
// through closing and opening it. It cannot see what a power cut does to it.
package kvtest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage/kv"
)

// Opener opens the database of a folder. Opened again after a Close it must hold
// what was in it before.
type Opener func(dir string) (kv.DB, error)

// Run runs the suite, one subtest per law, each in a fresh folder.
func Run(t *testing.T, open Opener) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			s := newSubject(t, t, open)
			c.run(s)
			s.close()
		})
	}
}

// report is what a check tells its verdict to: a *testing.T, or in the tests of
// the suite itself a recorder.
type report interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// check is one law. Its run ends by report.Fatalf or by returning.
type check struct {
	name string
	run  func(s *subject)
}

var checks = []check{
	{"RoundTrip", checkRoundTrip},
	{"Order", checkOrder},
	{"RangeEnds", checkRangeEnds},
	{"OwnWrites", checkOwnWrites},
	{"ErrorKeepsNothing", checkError},
	{"ViewIsOfOneMoment", checkMoment},
	{"ViewsAndUpdates", checkConcurrent},
	{"CallerOwnsWhatItPut", checkOwnership},
	{"Large", checkLarge},
	{"Many", checkMany},
	{"OpenedAgain", checkReopen},
	{"OpenedTwice", checkTwice},
}

// patience is how long the suite waits for what must come.
const patience = time.Minute

// waits is after what time an Update counts as one that waits for a View.
const waits = 5 * time.Second

// subject is a database under test.
type subject struct {
	report
	kv.DB
	open Opener
	dir  string
}

func newSubject(t *testing.T, r report, open Opener) *subject {
	s := &subject{report: r, open: open, dir: t.TempDir()}
	s.reopen()
	return s
}

func (s *subject) reopen() {
	s.Helper()
	if s.DB != nil {
		s.close()
	}
	db, err := s.open(s.dir)
	if err != nil {
		s.Fatalf("opening: %v", err)
	}
	s.DB = db
}

func (s *subject) close() {
	s.Helper()
	if err := s.Close(); err != nil {
		s.Fatalf("Close: %v", err)
	}
	s.DB = nil
}

func (s *subject) update(f func(w kv.Writer)) {
	s.Helper()
	if err := s.Update(func(w kv.Writer) error { f(w); return nil }); err != nil {
		s.Fatalf("Update: %v", err)
	}
}

func (s *subject) view(f func(r kv.Reader)) {
	s.Helper()
	if err := s.View(func(r kv.Reader) error { f(r); return nil }); err != nil {
		s.Fatalf("View: %v", err)
	}
}

func (s *subject) put(w kv.Writer, key, value string) {
	s.Helper()
	if err := w.Put([]byte(key), []byte(value)); err != nil {
		s.Fatalf("Put of a key of %d and a value of %d bytes: %v", len(key), len(value), err)
	}
}

func (s *subject) delete(w kv.Writer, key string) {
	s.Helper()
	if err := w.Delete([]byte(key)); err != nil {
		s.Fatalf("Delete %q: %v", key, err)
	}
}

func (s *subject) get(r kv.Reader, key string) string {
	s.Helper()
	v, err := r.Get([]byte(key))
	if err != nil {
		s.Fatalf("Get %.20q: %v", key, err)
	}
	return string(v)
}

// keys gives the keys of a range, with their values behind a "=".
func (s *subject) keys(r kv.Reader, from, to string, down bool, limit int) []string {
	s.Helper()
	var list []string
	if err := r.Range([]byte(from), []byte(to), down, func(k, v []byte) bool {
		list = append(list, string(k)+"="+string(v))
		return len(list) < limit
	}); err != nil {
		s.Fatalf("Range: %v", err)
	}
	return list
}

func (s *subject) equal(what string, got, want any) {
	s.Helper()
	if g, w := fmt.Sprintf("%q", got), fmt.Sprintf("%q", want); g != w {
		s.Errorf("%s: got %.300s, want %.300s", what, g, w)
	}
}

func checkRoundTrip(s *subject) {
	s.view(func(r kv.Reader) {
		if v, err := r.Get([]byte("a")); v != nil || err != nil {
			s.Errorf("Get of a key that is not there gave %q, %v; want nil", v, err)
		}
		s.equal("a range of an empty database", len(s.keys(r, "", "\xff", false, 9)), 0)
	})
	s.update(func(w kv.Writer) { s.put(w, "a", "1"); s.put(w, "b", "2"); s.delete(w, "never") })
	s.update(func(w kv.Writer) { s.put(w, "a", "3"); s.delete(w, "b") })
	s.view(func(r kv.Reader) {
		s.equal("a key that was put twice", s.get(r, "a"), "3")
		s.equal("a key that was deleted", s.get(r, "b"), "")
		s.equal("all", s.keys(r, "a", "z", false, 9), []string{"a=3"})
	})
}

func checkOrder(s *subject) {
	keys := []string{"b", "a", "a\x00", "a\x00\x00", "a\xff", "ab", "é", "z", "\x01", "\x7f", "\x80", "\xfe", "\xfe\xff", strings.Repeat("k", 100)}
	s.update(func(w kv.Writer) {
		for _, k := range keys {
			s.put(w, k, "v")
		}
	})
	slices.Sort(keys)
	var up []string
	for _, k := range keys {
		up = append(up, k+"=v")
	}
	down := slices.Clone(up)
	slices.Reverse(down)
	for range 2 {
		s.view(func(r kv.Reader) {
			s.equal("keys upwards", s.keys(r, "\x00", "\xff", false, 99), up)
			s.equal("keys downwards", s.keys(r, "\x00", "\xff", true, 99), down)
			for i, k := range keys {
				s.equal("up from a key, which is in it", s.keys(r, k, "\xff", false, 3), up[i:min(i+3, len(up))])
				s.equal("down from before a key, which is not in it", s.keys(r, "\x00", k, true, 3), down[len(down)-i:min(len(down), len(down)-i+3)])
			}
		})
		s.reopen()
	}
}

func checkRangeEnds(s *subject) {
	s.update(func(w kv.Writer) {
		for _, k := range []string{"b", "d", "f"} {
			s.put(w, k, k)
		}
	})
	s.view(func(r kv.Reader) {
		for _, c := range []struct {
			from, to string
			want     []string
		}{
			{"a", "g", []string{"b=b", "d=d", "f=f"}}, {"b", "f", []string{"b=b", "d=d"}}, {"c", "e", []string{"d=d"}},
			{"b\x00", "f\x00", []string{"d=d", "f=f"}}, {"c", "d", nil}, {"d", "d", nil}, {"f", "b", nil}, {"x", "z", nil}, {"A", "B", nil},
			{"a", strings.Repeat("\xff", 50), []string{"b=b", "d=d", "f=f"}},
		} {
			s.equal(fmt.Sprintf("upwards from %q to %q", c.from, c.to), s.keys(r, c.from, c.to, false, 9), c.want)
			slices.Reverse(c.want)
			s.equal(fmt.Sprintf("downwards from %q to %q", c.from, c.to), s.keys(r, c.from, c.to, true, 9), c.want)
		}
	})
}

// checkOwnWrites reads in an Update what it has just changed.
func checkOwnWrites(s *subject) {
	s.update(func(w kv.Writer) { s.put(w, "a", "1"); s.put(w, "c", "1"); s.put(w, "e", "1") })
	s.update(func(w kv.Writer) {
		s.put(w, "b", "2")
		s.put(w, "c", "2")
		s.delete(w, "e")
		s.equal("a key that was put", s.get(w, "b"), "2")
		s.equal("a key that was deleted", s.get(w, "e"), "")
		s.equal("a range", s.keys(w, "a", "z", false, 9), []string{"a=1", "b=2", "c=2"})
		s.equal("a range downwards", s.keys(w, "a", "z", true, 9), []string{"c=2", "b=2", "a=1"})
		s.delete(w, "b")
		s.put(w, "e", "3")
		s.equal("a range after more changes", s.keys(w, "a", "z", false, 9), []string{"a=1", "c=2", "e=3"})
	})
	s.view(func(r kv.Reader) { s.equal("afterwards", s.keys(r, "a", "z", false, 9), []string{"a=1", "c=2", "e=3"}) })
}

func checkError(s *subject) {
	s.update(func(w kv.Writer) { s.put(w, "a", "1"); s.put(w, "b", "1") })
	own := errors.New("own")
	if err := s.Update(func(w kv.Writer) error {
		s.put(w, "a", "2")
		s.delete(w, "b")
		s.put(w, "c", "2")
		return own
	}); !errors.Is(err, own) {
		s.Errorf("Update gave %v, want the error of its function", err)
	}
	for range 2 {
		s.view(func(r kv.Reader) {
			s.equal("after an Update that failed", s.keys(r, "a", "z", false, 9), []string{"a=1", "b=1"})
		})
		s.reopen()
	}
	if err := s.View(func(kv.Reader) error { return own }); !errors.Is(err, own) {
		s.Errorf("View gave %v, want the error of its function", err)
	}
	s.update(func(w kv.Writer) { s.put(w, "a", "3") })
	s.view(func(r kv.Reader) { s.equal("a later Update", s.get(r, "a"), "3") })
}

// checkMoment changes the database while a View runs.
func checkMoment(s *subject) {
	s.update(func(w kv.Writer) { s.put(w, "a", "1"); s.put(w, "b", "1") })
	began, changed, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- s.View(func(r kv.Reader) error {
			close(began)
			<-changed
			a, err := r.Get([]byte("a"))
			if err != nil || string(a) != "1" {
				return fmt.Errorf("a key has the value %q, %w", a, err)
			}
			n := 0
			err = r.Range([]byte("a"), []byte("z"), false, func(k, _ []byte) bool { n++; return string(k) != "c" })
			if n != 2 {
				return fmt.Errorf("there are %d keys, %w", n, err)
			}
			return err
		})
	}()
	<-began
	updated := make(chan error, 1)
	go func() {
		updated <- s.Update(func(w kv.Writer) error {
			return errors.Join(w.Put([]byte("a"), []byte("2")), w.Delete([]byte("b")), w.Put([]byte("c"), []byte("2")))
		})
	}()
	var err error
	select {
	case err = <-updated:
		close(changed)
	case <-time.After(waits): // then it waits for the View, which has seen nothing of it
		close(changed)
		err = <-updated
	}
	if err != nil {
		s.Fatalf("Update: %v", err)
	}
	s.view(func(r kv.Reader) {
		s.equal("a View that began after the Update", s.keys(r, "a", "z", false, 9), []string{"a=2", "c=2"})
	})
	if err := <-done; err != nil {
		s.Errorf("a View that began before an Update sees it: %v", err)
	}
}

// checkConcurrent keeps two keys equal while several goroutines look at them: what
// a View sees is one moment, and not older than the last Update before it.
func checkConcurrent(s *subject) {
	s.update(func(w kv.Writer) { s.put(w, "a", "000"); s.put(w, "z", "000") })
	var mu sync.Mutex
	last := "000"
	stop, bad := make(chan struct{}), make(chan error, 4)
	var wg sync.WaitGroup
	look := func() error {
		mu.Lock()
		before := last
		mu.Unlock()
		return s.View(func(r kv.Reader) error {
			a, err := r.Get([]byte("a"))
			z, err2 := r.Get([]byte("z"))
			if err = errors.Join(err, err2); err != nil {
				return err
			}
			if !bytes.Equal(a, z) || string(a) < before {
				return fmt.Errorf("a is %s and z is %s after an Update to %s", a, z, before)
			}
			return nil
		})
	}
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := look(); err != nil {
					bad <- err
					return
				}
			}
		})
	}
	for n := range 200 {
		v := fmt.Sprintf("%03d", n)
		s.update(func(w kv.Writer) { s.put(w, "a", v); s.put(w, "z", v) })
		mu.Lock()
		last = v
		mu.Unlock()
		if err := look(); err != nil { // also without luck in the scheduling
			s.Errorf("a View behind an Update: %v", err)
		}
	}
	close(stop)
	wg.Wait()
	select {
	case err := <-bad:
		s.Errorf("a View beside Updates: %v", err)
	default:
	}
}

func checkOwnership(s *subject) {
	key, value := []byte("key"), []byte("value")
	if err := s.Update(func(w kv.Writer) error { return w.Put(key, value) }); err != nil {
		s.Fatalf("Update: %v", err)
	}
	copy(key, "xxx")
	copy(value, "xxxxx")
	s.update(func(w kv.Writer) { s.put(w, "other", "1") })
	s.view(func(r kv.Reader) {
		s.equal("all, after the caller changed what it put", s.keys(r, "a", "z", false, 9), []string{"key=value", "other=1"})
	})
}

func checkLarge(s *subject) {
	key, value := strings.Repeat("k", kv.MaxKeySize), strings.Repeat("0123456789abcdef", 1<<16)
	s.update(func(w kv.Writer) { s.put(w, key, value); s.put(w, "small", "1") })
	for range 2 {
		s.view(func(r kv.Reader) {
			if got := s.get(r, key); got != value {
				s.Errorf("a value of %d bytes came back with %d, or others", len(value), len(got))
			}
			s.equal("how many there are", len(s.keys(r, "a", "z", false, 9)), 2)
		})
		s.reopen()
	}
	s.update(func(w kv.Writer) { s.delete(w, key) })
	s.view(func(r kv.Reader) { s.equal("the rest", s.keys(r, "a", "z", false, 9), []string{"small=1"}) })
}

// checkMany puts and deletes enough for a tree of several levels, in one Update
// and over many.
func checkMany(s *subject) {
	const n = 20_000
	key := func(i int) string { return fmt.Sprintf("k%06d", i*7919%n) }
	s.update(func(w kv.Writer) {
		for i := range n {
			s.put(w, key(i), strings.Repeat("v", i%50+1))
		}
	})
	s.update(func(w kv.Writer) {
		for i := range n {
			if i%10 != 0 {
				s.delete(w, key(i))
			}
		}
	})
	for i := range 50 {
		s.update(func(w kv.Writer) { s.put(w, fmt.Sprintf("m%d", i), "1") })
	}
	for range 2 {
		s.view(func(r kv.Reader) {
			got := s.keys(r, "k", "l", false, n)
			if len(got) != n/10 || !slices.IsSorted(got) {
				s.Errorf("%d keys are left of %d, or not in order; want %d", len(got), n, n/10)
			}
			s.equal("keys of many Updates", len(s.keys(r, "m", "n", true, n)), 50)
		})
		s.reopen()
	}
}

func checkReopen(s *subject) {
	for i := range 5 {
		s.update(func(w kv.Writer) {
			s.put(w, "n", fmt.Sprint(i))
			s.put(w, fmt.Sprint("k", i), "1")
			s.delete(w, fmt.Sprint("k", i-2))
		})
		s.reopen()
		s.view(func(r kv.Reader) {
			s.equal("a key after opening again", s.get(r, "n"), fmt.Sprint(i))
			s.equal("keys after opening again", len(s.keys(r, "k", "l", false, 9)), min(i+1, 2))
		})
	}
}

// checkTwice opens the database while it is open: it must say so, and not wait
// for ever, nor open it.
func checkTwice(s *subject) {
	s.update(func(w kv.Writer) { s.put(w, "a", "1") })
	type opened struct {
		db  kv.DB
		err error
	}
	second := make(chan opened, 1)
	go func() {
		db, err := s.open(s.dir)
		second <- opened{db, err}
	}()
	select {
	case got := <-second:
		if got.err == nil {
			_ = got.db.Close() // the error is told below
		}
		if !errs.Is(got.err, errs.Unavailable) || errs.From(got.err).CodeOf() != "folder_in_use" {
			s.Errorf("opening a database that is open gave %v, want errs.Unavailable with the code folder_in_use", got.err)
		}
	case <-time.After(patience):
		s.Fatalf("opening a database that is open waits for ever")
	}
	s.update(func(w kv.Writer) { s.put(w, "a", "2") })
	s.reopen()
	s.view(func(r kv.Reader) { s.equal("a key afterwards", s.get(r, "a"), "2") })
}

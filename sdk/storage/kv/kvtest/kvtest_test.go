package kvtest

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage/kv"
)

func TestMemory(t *testing.T) { Run(t, NewMemory().Open) }

// recorder keeps a check's verdict from the test that runs it.
type recorder struct {
	mu   sync.Mutex
	text []string
}

func (*recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = append(r.text, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func verdict(t *testing.T, c check, open Opener) []string {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.run(newSubject(t, r, open))
	}()
	<-done
	return r.text
}

// TestPlantedFaults breaks a correct database in one way at a time. The check that
// is named must see it.
func TestPlantedFaults(t *testing.T) {
	for _, f := range []struct {
		name, check string
		fault       fault
	}{
		{"a Put is lost", "RoundTrip", fault{put: func(w kv.Writer, k, v []byte) error { return nil }}},
		{"a Delete is lost", "RoundTrip", fault{del: func(w kv.Writer, k []byte) error { return nil }}},
		{"an empty value for no key", "RoundTrip", fault{get: func(r kv.Reader, k []byte) ([]byte, error) {
			v, err := r.Get(k)
			return append([]byte{}, v...), err
		}}},
		{"another order", "Order", fault{ranged: func(r kv.Reader, from, to []byte, down bool, use func(k, v []byte) bool) error {
			return inOrder(r, from, to, down, use, func(a, b []byte) int { return bytes.Compare(bytes.ToUpper(a), bytes.ToUpper(b)) })
		}}},
		{"never downwards", "Order", fault{ranged: func(r kv.Reader, from, to []byte, _ bool, use func(k, v []byte) bool) error {
			return r.Range(from, to, false, use)
		}}},
		{"the end is in the range", "RangeEnds", fault{ranged: func(r kv.Reader, from, to []byte, down bool, use func(k, v []byte) bool) error {
			return r.Range(from, append(slices.Clone(to), 0), down, use)
		}}},
		{"the beginning is not in it", "RangeEnds", fault{ranged: func(r kv.Reader, from, to []byte, down bool, use func(k, v []byte) bool) error {
			return r.Range(append(slices.Clone(from), 0), to, down, use)
		}}},
		{"a range that does not stop", "Order", fault{ranged: func(r kv.Reader, from, to []byte, down bool, use func(k, v []byte) bool) error {
			return r.Range(from, to, down, func(k, v []byte) bool { use(k, v); return true })
		}}},
		{"own writes do not show", "OwnWrites", fault{blind: true}},
		{"an error keeps the changes", "ErrorKeepsNothing", fault{keep: true}},
		{"a View sees later Updates", "ViewIsOfOneMoment", fault{live: true}},
		{"a View of the Update before", "ViewsAndUpdates", fault{stale: true}},
		{"the caller's memory is kept", "CallerOwnsWhatItPut", fault{shared: true}},
		{"a value is cut", "Large", fault{put: func(w kv.Writer, k, v []byte) error { return w.Put(k, v[:min(len(v), 64<<10)]) }}},
		{"a Delete in a hundred is lost", "Many", fault{del: func(w kv.Writer, k []byte) error {
			if bytes.HasSuffix(k, []byte("11")) {
				return nil
			}
			return w.Delete(k)
		}}},
		{"nothing is durable", "OpenedAgain", fault{forget: true}},
		{"no lock", "OpenedTwice", fault{open: true}},
	} {
		t.Run(f.name, func(t *testing.T) {
			i := slices.IndexFunc(checks, func(c check) bool { return c.name == f.check })
			if text := verdict(t, checks[i], broken(f.fault)); len(text) == 0 {
				t.Errorf("%s does not see it", f.check)
			}
		})
	}
}

// fault says in which way a database is broken.
type fault struct {
	put    func(w kv.Writer, k, v []byte) error
	del    func(w kv.Writer, k []byte) error
	get    func(r kv.Reader, k []byte) ([]byte, error)
	ranged func(r kv.Reader, from, to []byte, down bool, use func(k, v []byte) bool) error

	blind, keep, live, stale, shared, forget, open bool
}

func broken(f fault) Opener {
	m := NewMemory()
	return func(dir string) (kv.DB, error) {
		db, err := m.Open(dir)
		if f.open && errs.Is(err, errs.Unavailable) {
			m.Crash()
			db, err = m.Open(dir)
		}
		if err != nil {
			return nil, err
		}
		return &faulty{fault: f, DB: db, m: m, dir: dir}, nil
	}
}

type faulty struct {
	fault
	kv.DB
	m   *Memory
	dir string

	mu   sync.Mutex
	view kv.Reader // of the moment before the last Update
}

func (d *faulty) View(f func(kv.Reader) error) error {
	return d.DB.View(func(r kv.Reader) error {
		d.mu.Lock()
		if d.stale && d.view != nil {
			r = d.view
		}
		d.mu.Unlock()
		if d.live {
			r = now{d.m.disks[d.dir]}
		}
		return f(&faultyTx{Reader: r, f: &d.fault})
	})
}

func (d *faulty) Update(f func(kv.Writer) error) error {
	if d.stale {
		tree, _ := d.m.disks[d.dir].owner.snapshot()
		d.mu.Lock()
		d.view = &tx{tree}
		d.mu.Unlock()
	}
	var own error
	err := d.DB.Update(func(w kv.Writer) error {
		t := &faultyTx{Reader: w, w: w, f: &d.fault}
		if d.blind {
			tree, _ := d.m.disks[d.dir].owner.snapshot()
			t.Reader = &tx{tree}
		}
		own = f(t)
		if d.keep {
			return nil
		}
		return own
	})
	if own != nil {
		return own
	}
	return err
}

func (d *faulty) Close() error {
	err := d.DB.Close()
	if d.forget {
		delete(d.m.disks, d.dir)
	}
	return err
}

// now reads a database as it is at each moment.
type now struct{ d *disk }

func (n now) tx() *tx {
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	return &tx{n.d.tree.Copy()}
}

func (n now) Get(k []byte) ([]byte, error) { return n.tx().Get(k) }

func (n now) Range(from, to []byte, down bool, use func(k, v []byte) bool) error {
	return n.tx().Range(from, to, down, use)
}

type faultyTx struct {
	kv.Reader
	w kv.Writer
	f *fault
}

func (t *faultyTx) Get(k []byte) ([]byte, error) {
	if t.f.get != nil {
		return t.f.get(t.Reader, k)
	}
	return t.Reader.Get(k)
}

func (t *faultyTx) Range(from, to []byte, down bool, use func(k, v []byte) bool) error {
	if t.f.ranged != nil {
		return t.f.ranged(t.Reader, from, to, down, use)
	}
	return t.Reader.Range(from, to, down, use)
}

func (t *faultyTx) Put(k, v []byte) error {
	if t.f.put != nil {
		return t.f.put(t.w, k, v)
	}
	if t.f.shared {
		t.w.(*tx).tree.Set(string(k), v)
		return nil
	}
	return t.w.Put(k, v)
}

func (t *faultyTx) Delete(k []byte) error {
	if t.f.del != nil {
		return t.f.del(t.w, k)
	}
	return t.w.Delete(k)
}

// inOrder is a Range in another order.
func inOrder(r kv.Reader, from, to []byte, down bool, use func(k, v []byte) bool, less func(a, b []byte) int) error {
	type row struct{ k, v []byte }
	var rows []row
	if err := r.Range(from, to, false, func(k, v []byte) bool {
		rows = append(rows, row{slices.Clone(k), v})
		return true
	}); err != nil {
		return err
	}
	slices.SortStableFunc(rows, func(a, b row) int { return less(a.k, b.k) })
	if down {
		slices.Reverse(rows)
	}
	for _, row := range rows {
		if !use(row.k, row.v) {
			break
		}
	}
	return nil
}

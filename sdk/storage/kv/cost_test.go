package kv_test

import (
	"context"
	"testing"

	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/kv"
)

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}

// counted counts the rows that are read and written.
type counted struct {
	kv.DB
	rows *int
}

func (c counted) View(f func(kv.Reader) error) error {
	return c.DB.View(func(r kv.Reader) error { return f(countedReader{r, c.rows}) })
}

func (c counted) Update(f func(kv.Writer) error) error {
	return c.DB.Update(func(w kv.Writer) error { return f(countedWriter{countedReader{w, c.rows}, w}) })
}

type countedReader struct {
	r    kv.Reader
	rows *int
}

func (c countedReader) Get(key []byte) ([]byte, error) {
	*c.rows++
	return c.r.Get(key)
}

func (c countedReader) Range(from, to []byte, down bool, use func(k, v []byte) bool) error {
	return c.r.Range(from, to, down, func(k, v []byte) bool {
		*c.rows++
		return use(k, v)
	})
}

type countedWriter struct {
	countedReader
	w kv.Writer
}

func (c countedWriter) Put(key, value []byte) error {
	*c.rows++
	return c.w.Put(key, value)
}

func (c countedWriter) Delete(key []byte) error {
	*c.rows++
	return c.w.Delete(key)
}

// TestCostDoesNotGrow counts the rows of each call, of an object with a hundred keys
// and entries and of one with ten thousand.
func TestCostDoesNotGrow(t *testing.T) {
	rows := 0
	f := newFixture(t)
	_ = f.Close(t.Context())
	f.wrap = func(db kv.DB) kv.DB { return counted{db, &rows} }
	f.open()
	next := uint64(1)
	grow := func(to uint64) {
		for next <= to {
			var batch []storage.Commit
			for ; next <= to && len(batch) < 100; next++ {
				batch = append(batch, commit("a", 1, next))
			}
			f.must(batch...)
		}
	}
	calls := map[string]func(){
		"Commit": func() { f.must(commit("a", 1, next)); next++ },
		"State": func() {
			if _, err := f.State(t.Context(), storage.StateQuery{Object: "a", Prefix: "k5", Limit: 3}); err != nil {
				t.Error(err)
			}
		},
		"Logs": func() {
			q := storage.LogsQuery{Object: "a", Since: moment(next / 2), Until: moment(next/2 + 5), Limit: 3}
			if p, err := f.Logs(t.Context(), q); err != nil || len(p.Entries) != 3 {
				t.Errorf("%+v, %v", p, err)
			}
		},
		"Digest": func() {
			if _, err := f.Digest(t.Context(), ""); err != nil {
				t.Error(err)
			}
		},
		"a new life": func() {
			f.must(commit("a", 2, next))
		},
	}
	order := []string{"Commit", "State", "Logs", "Digest"}
	cost := func(name string) int {
		f.Sweep() // so that the sweeper has nothing to do meanwhile
		before := rows
		calls[name]()
		return rows - before
	}
	few := map[string]int{}
	grow(100)
	for _, name := range order {
		few[name] = cost(name)
	}
	grow(10_000)
	for _, name := range order {
		if got := cost(name); got > few[name]+16 { // Logs halves the range 7 times more, twice
			t.Errorf("%s costs %d rows with 10,000 keys and entries, %d with 100", name, got, few[name])
		}
	}
	before := rows
	f.must(commit("a", 2, next))
	if got := rows - before; got > 60 { // but for a piece of the sweep, which may have begun
		t.Errorf("a new life costs %d rows", got)
	}
	f.swept()
}

package kv_test

import (
	"context"
	"sync"
	"testing"

	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/kv"
)

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}

// tally has the rows of each View and each Update that has ended, in that order.
type tally struct {
	mu             sync.Mutex
	views, updates []int
}

func (t *tally) end(list *[]int, rows *int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*list = append(*list, *rows)
}

// take gives what has ended since the take before.
func (t *tally) take() (views, updates []int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	views, updates = t.views, t.updates
	t.views, t.updates = nil, nil
	return views, updates
}

// counted counts the rows that are read and written.
type counted struct {
	kv.DB
	tally *tally
}

func (c counted) View(f func(kv.Reader) error) error {
	rows := 0
	defer c.tally.end(&c.tally.views, &rows)
	return c.DB.View(func(r kv.Reader) error { return f(countedReader{r, &rows}) })
}

func (c counted) Update(f func(kv.Writer) error) error {
	rows := 0
	defer c.tally.end(&c.tally.updates, &rows)
	return c.DB.Update(func(w kv.Writer) error { return f(countedWriter{countedReader{w, &rows}, w}) })
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
	rows := &tally{}
	f := newFixture(t)
	_ = f.Close(t.Context())
	f.wrap = func(db kv.DB) kv.DB { return counted{db, rows} }
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
	}
	order := []string{"Commit", "State", "Logs", "Digest"}
	cost := func(name string) (sum int) {
		f.Sweep() // so that the sweeper has nothing to do meanwhile
		rows.take()
		calls[name]()
		views, updates := rows.take()
		if name == "Commit" && len(updates) != 1 {
			t.Errorf("a commit is %d transactions", len(updates))
		}
		for _, n := range append(views, updates...) {
			sum += n
		}
		return sum
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
	f.Sweep()
	rows.take()
	f.must(commit("a", 2, next))
	if _, updates := rows.take(); updates[0] < 5 || updates[0] > 60 { // the commit's: the sweep behind it has transactions of its own
		t.Errorf("a new life costs %d rows", updates[0])
	}
	f.swept()
}

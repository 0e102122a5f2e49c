package storagetsv

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// groupOf is how many keys share a prefix in the objects of these benchmarks.
const groupOf = 20

func benchKey(i int) string { return fmt.Sprintf("g%05d.%02d", i/groupOf, i%groupOf) }

// setting is a commit that sets keys to values of 20 bytes.
func setting(sequence uint64, keys ...int) storage.Commit {
	st := hlc.Stamp{Time: hlc.Time(sequence) << 16, Station: here}
	c := storage.Commit{Object: "big", Incarnation: 1, Sequence: sequence, Stamp: st}
	for _, i := range keys {
		c.State = append(c.State, storage.StateChange{Key: benchKey(i), Value: fmt.Appendf(nil, `"%018d"`, sequence), Stamp: st})
	}
	return c
}

func benchStore(b *testing.B, dir string, with ...func(*Store)) *Store {
	s := New(slog.New(slog.DiscardHandler), "test")
	for _, f := range with {
		f(s)
	}
	if err := s.Configure(b.Context(), plugin.Config{Station: here, DataDir: dir}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// fillBig sets n keys in no order, 50 at a time, and gives the last sequence.
func fillBig(b *testing.B, s *Store, n int) uint64 {
	order := rand.New(rand.NewPCG(1, 2)).Perm(n)
	sequence := uint64(0)
	for len(order) > 0 {
		k := min(50, len(order))
		sequence++
		if err := s.Commit(b.Context(), []storage.Commit{setting(sequence, order[:k]...)})[0]; err != nil {
			b.Fatal(err)
		}
		order = order[k:]
	}
	return sequence
}

var benchSizes = []int{100, 10_000, 100_000}

// BenchmarkState asks for the 20 keys of a random prefix, after a restart.
// first-µs is the very first question.
func BenchmarkState(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			s := benchStore(b, dir)
			fillBig(b, s, n)
			if err := s.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
			s = benchStore(b, dir)
			rnd := rand.New(rand.NewPCG(3, 4))
			ask := func() {
				q := storage.StateQuery{Object: "big", Prefix: fmt.Sprintf("g%05d.", rnd.IntN(n/groupOf)), Limit: groupOf}
				if p, err := s.State(b.Context(), q); err != nil || len(p.Items) != groupOf || p.Next != "" {
					b.Fatalf("%d items, next %q, %v", len(p.Items), p.Next, err)
				}
			}
			began := time.Now()
			ask()
			first := time.Since(began)
			b.ReportAllocs()
			for b.Loop() {
				ask()
			}
			b.ReportMetric(float64(first.Microseconds()), "first-µs")
		})
	}
}

// BenchmarkLoad reads the whole state of an object.
func BenchmarkLoad(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			s := benchStore(b, dir)
			fillBig(b, s, n)
			if err := s.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
			s = benchStore(b, dir)
			b.ReportAllocs()
			for b.Loop() {
				if o, err := s.Load(b.Context(), "big"); err != nil || len(o.State) != n {
					b.Fatal(len(o.State), err)
				}
			}
		})
	}
}

package storagetsv

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
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

// BenchmarkSets sets 5,000 keys, 10 to a commit and 8 commits to a batch, in
// turn in an object that has 100,000 keys and in a new one, in two stores. ratio
// is how many sets a second the first makes of those of the second.
func BenchmarkSets(b *testing.B) {
	big := benchStore(b, b.TempDir())
	from := fillBig(b, big, 100_000)
	rnd := rand.New(rand.NewPCG(5, 6))
	sets := func(s *Store, from uint64) time.Duration {
		began := time.Now()
		for i := 0; i < 500; i += 8 {
			var batch []storage.Commit
			for k := range min(8, 500-i) {
				first := rnd.IntN(10_000) * 10
				keys := make([]int, 10)
				for j := range keys {
					keys[j] = first + j
				}
				batch = append(batch, setting(from+uint64(i+k)+1, keys...))
			}
			for _, err := range s.Commit(b.Context(), batch) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		return time.Since(began)
	}
	var full, empty time.Duration
	for b.Loop() {
		full += sets(big, from)
		from += 500
		s := benchStore(b, b.TempDir())
		empty += sets(s, 0)
		if err := s.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(5000*float64(b.N)/full.Seconds(), "sets/s")
	b.ReportMetric(empty.Seconds()/full.Seconds(), "ratio")
}

// BenchmarkWritten sets single keys of an object with 100,000, a round of the
// carrier every 100: written is how many bytes go into the files of state for each
// byte of a line that is set.
func BenchmarkWritten(b *testing.B) {
	dir := b.TempDir()
	s := benchStore(b, dir)
	from := fillBig(b, s, 100_000)
	if err := s.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	var bytes int64
	s = benchStore(b, dir, func(s *Store) {
		s.manual = true
		s.openFS = func(dir string) (fsys, error) {
			f, err := openOS(dir)
			return &writtenFS{f, &bytes}, err
		}
	})
	rnd := rand.New(rand.NewPCG(7, 8))
	var lines int64
	for b.Loop() {
		var batch []storage.Commit
		for range 100 {
			from++
			batch = append(batch, setting(from, rnd.IntN(100_000)))
			lines += int64(len(seal(appendChange(nil, &batch[len(batch)-1].State[0]), 0)))
		}
		for _, err := range s.Commit(b.Context(), batch) {
			if err != nil {
				b.Fatal(err)
			}
		}
		if err := s.round(false); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(bytes)/float64(lines), "written/byte")
}

// writtenFS counts what is written below state/.
type writtenFS struct {
	fsys
	bytes *int64
}

func (c *writtenFS) Open(name string, m mode) (file, error) {
	f, err := c.fsys.Open(name, m)
	if err != nil || !strings.HasPrefix(name, "state/") {
		return f, err
	}
	return writtenFile{f, c.bytes}, nil
}

type writtenFile struct {
	file
	bytes *int64
}

func (c writtenFile) WriteAt(b []byte, at int64) (int, error) {
	*c.bytes += int64(len(b))
	return c.file.WriteAt(b, at)
}

// BenchmarkMergeBase merges a middle.tsv into a base of 64 MiB.
func BenchmarkMergeBase(b *testing.B) {
	dir := b.TempDir()
	s := benchStore(b, dir, func(s *Store) { s.manual = true })
	if err := s.Commit(b.Context(), []storage.Commit{setting(1, 1)})[0]; err != nil {
		b.Fatal(err)
	}
	if err := s.round(false); err != nil {
		b.Fatal(err)
	}
	lines := []byte(stateHeader)
	for i := 0; len(lines) < 64<<20; i++ {
		c := setting(1, i).State[0]
		start := len(lines)
		lines = seal(appendChange(lines, &c), start)
	}
	o := s.objects.get("big")
	if err := s.replaceFile(o.levelPath(base), appendSeal(lines, int64(len(lines))), false); err != nil {
		b.Fatal(err)
	}
	few := seal(appendChange([]byte(stateHeader), &setting(2, 7).State[0]), len(stateHeader))
	for b.Loop() {
		if err := s.replaceFile(o.levelPath(middle), appendSeal(few, int64(len(few))), false); err != nil {
			b.Fatal(err)
		}
		v, err := s.openState(o)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.mergeInto(o, v, base); err != nil {
			b.Fatal(err)
		}
		v.close()
	}
}

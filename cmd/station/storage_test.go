package main_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// The size of the large object of the tests of what the storage costs.
var (
	boundEntries = flag.Int("bound-entries", 20_000, "log entries of the large object")
	boundKeys    = flag.Int("bound-keys", 2_000, "keys of the large object")
)

const (
	boundStation = "bounds"
	batchOf      = 64 // commits that one Commit stores, where the test does not say
	entriesOf    = 10 // log entries of a commit that fills an object
	prefixOf     = 50 // keys that share a prefix
)

// boundStart is the time of an object's first entry; each further one is a second later.
var boundStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func entryTime(n int) time.Time { return boundStart.Add(time.Duration(n) * time.Second) }

// keyPrefix is the prefix of the i-th group of keys; boundKey is the n-th key.
func keyPrefix(i int) string { return fmt.Sprintf("user%06d/", i) }
func boundKey(n int) string  { return fmt.Sprintf("%s%02d", keyPrefix(n/prefixOf), n%prefixOf) }

// store is the bundled storage plugin as a station runs it: the program's own
// process, watched, and reached over gRPC.
type store struct {
	*pluginhost.Storage
	t    *testing.T
	host *pluginhost.Host
	data string
	sup  *pluginhost.Supervisor
}

// newStore starts the storage on an empty folder, until the test ends.
func newStore(t *testing.T) *store {
	t.Helper()
	host, err := pluginhost.New(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := &store{t: t, host: host, data: t.TempDir()}
	s.start()
	t.Cleanup(func() {
		s.sup.Stop()
		host.Close()
	})
	return s
}

// start runs the plugin, and says how long it took until it served.
func (s *store) start() time.Duration {
	s.t.Helper()
	path, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	s.Storage = &pluginhost.Storage{}
	spec := pluginhost.Spec{Kind: plugin.Storage, Name: "tsv", Command: pluginhost.Command{Path: path, Args: []string{"plugin-serve", "storage-tsv"}}}
	began := time.Now()
	s.sup, err = s.host.Supervise(s.t.Context(), spec, s.Use(plugin.Config{Station: boundStation, DataDir: s.data}))
	if err != nil {
		s.t.Fatal(err)
	}
	return time.Since(began)
}

// restart ends the plugin in order and starts it again.
func (s *store) restart() time.Duration {
	s.t.Helper()
	began := time.Now()
	s.sup.Stop()
	s.t.Logf("the storage closed in %v", time.Since(began).Round(time.Millisecond))
	return s.start()
}

// kill ends the plugin with SIGKILL. Its supervisor starts another: kill says how
// long it took until that one served, the supervisor's pause of 100 ms included.
func (s *store) kill() time.Duration {
	s.t.Helper()
	before := s.boot()
	began := time.Now()
	if err := syscall.Kill(s.sup.Status().PID, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	until(s.t, "another storage plugin serves", func() bool {
		b, err := s.Boot(s.t.Context())
		return err == nil && b.Number > before
	})
	return time.Since(began)
}

func (s *store) boot() uint64 {
	s.t.Helper()
	b, err := s.Boot(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return b.Number
}

// object is an object that a test commits to. Its n-th entry,
// from 0, has the time entryTime(n) and the sequence n+1.
type object struct {
	to       *store
	id       id.Object
	boot     uint64
	sequence uint64     // of its last commit
	entries  int        // in its log
	keys     []hlc.Time // the stamp of each key, zero for one that is not there
	rnd      *rand.Rand
}

// newObject gives an object without a commit, of which keys may be set.
func newObject(to *store, name id.Object, keys int) *object {
	return &object{to: to, id: name, boot: to.boot(), keys: make([]hlc.Time, keys), rnd: rand.New(rand.NewPCG(1, 2))}
}

// next begins a commit.
func (o *object) next() storage.Commit {
	o.sequence++
	at := hlc.At(boundStart) + hlc.Time(o.sequence)
	return storage.Commit{Object: o.id, Incarnation: 1, Sequence: o.sequence, Stamp: hlc.Stamp{Time: at, Station: boundStation}}
}

// log adds the next entry to a commit.
func (o *object) log(c *storage.Commit) {
	c.Entries = append(c.Entries, storage.Entry{
		ID:      id.Entry{Station: boundStation, Boot: o.boot, Sequence: uint64(o.entries) + 1},
		Time:    entryTime(o.entries),
		Level:   storage.Info,
		Message: fmt.Sprintf("request %d was answered in %d ms", o.entries, o.entries%97),
		Fields:  []byte(`{"user":"ann","status":200}`),
	})
	o.entries++
}

// set adds a change of the n-th key to a commit.
func (o *object) set(c *storage.Commit, n int) {
	change := storage.StateChange{Key: boundKey(n), Value: fmt.Appendf(nil, `{"visits":%d}`, o.sequence), Stamp: c.Stamp}
	if was := o.keys[n]; was != 0 {
		change.Was = hlc.Stamp{Time: was, Station: boundStation}
	}
	o.keys[n] = c.Stamp.Time
	c.State = append(c.State, change)
}

// commit stores a batch, all of it.
func (o *object) commit(batch []storage.Commit) error {
	done := make(chan []error, 1)
	o.to.Begin(batch, func(results []error) { done <- results })
	for _, err := range <-done {
		if err != nil {
			return fmt.Errorf("object %s: %w", o.id, err)
		}
	}
	return nil
}

// fill logs entries, entriesOf to a commit, and sets all keys, in no order and
// spread over these commits.
func (o *object) fill(entries int) {
	o.to.t.Helper()
	began := time.Now()
	order := o.rnd.Perm(len(o.keys))
	commits := (entries + entriesOf - 1) / entriesOf
	for i := 0; i < commits; {
		var batch []storage.Commit
		for ; i < commits && len(batch) < batchOf; i++ {
			c := o.next()
			for range min(entriesOf, entries-i*entriesOf) {
				o.log(&c)
			}
			for _, n := range order[i*len(order)/commits : (i+1)*len(order)/commits] {
				o.set(&c, n)
			}
			batch = append(batch, c)
		}
		if err := o.commit(batch); err != nil {
			o.to.t.Fatal(err)
		}
	}
	o.to.t.Logf("%s: %d entries and %d keys more in %v", o.id, entries, len(order), time.Since(began).Round(time.Millisecond))
}

// logs gives a page of the object's log.
func (o *object) logs(q storage.LogsQuery) (storage.LogsPage, error) {
	q.Object = o.id
	return o.to.Logs(context.Background(), q)
}

// median sorts a list and gives its middle, of two the lower.
func median[T time.Duration | float64](list []T) T {
	slices.Sort(list)
	return list[(len(list)-1)/2]
}

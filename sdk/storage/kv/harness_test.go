package kv_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/kv"
	"github.com/dbbasic/station/sdk/storage/kv/kvtest"
)

const station = "st-1"

// fixture is a store with small limits over a disk in memory.
type fixture struct {
	*kv.Store
	t     *testing.T
	disk  *kvtest.Memory
	db    kv.DB // what the store has open
	ended atomic.Int64
	wrap  func(kv.DB) kv.DB
}

// open opens the folder "data" of the disk anew.
func (f *fixture) open() {
	f.t.Helper()
	s := kv.New(kv.Options{
		Info: plugin.Info{Name: "memory"},
		Log:  slog.New(slog.NewTextHandler(f.t.Output(), nil)),
		Open: func(string, plugin.Values) (kv.DB, error) {
			db, err := f.disk.Open("data")
			f.db = db
			if f.wrap != nil && err == nil {
				db = f.wrap(db)
			}
			return db, err
		},
		End: func(error) { f.ended.Add(1) },
	})
	s.Small()
	f.Store = s
	if err := s.Configure(f.t.Context(), plugin.Config{Station: station, DataDir: f.t.TempDir()}); err != nil {
		f.t.Fatalf("Configure: %v", err)
	}
	f.t.Cleanup(func() { _ = s.Close(context.Background()) })
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, disk: kvtest.NewMemory()}
	f.open()
	return f
}

// commit gives a commit of one key and one entry.
func commit(object id.Object, incarnation, sequence uint64) storage.Commit {
	return storage.Commit{
		Object: object, Incarnation: incarnation, Sequence: sequence, Stamp: stamp(sequence),
		State:   []storage.StateChange{{Key: fmt.Sprint("k", sequence), Value: fmt.Append(nil, sequence), Stamp: stamp(sequence)}},
		Entries: []storage.Entry{{ID: id.Entry{Station: "other", Boot: 1, Sequence: sequence}, Time: moment(sequence), Level: storage.Info, Message: fmt.Sprint("entry ", sequence)}},
	}
}

func moment(n uint64) time.Time { return time.Unix(1_700_000_000+int64(n), 0).UTC() }

func stamp(n uint64) hlc.Stamp { return hlc.Stamp{Time: hlc.At(moment(n)), Station: station} }

// withFile adds an upload to a commit as a file.
func withFile(c storage.Commit, name string, u storage.Upload) storage.Commit {
	c.Files = append(c.Files, storage.FileChange{Upload: u.ID, File: storage.File{Name: name, Size: u.Size, Hash: u.Hash, Time: moment(1), Stamp: c.Stamp}})
	return c
}

func (f *fixture) must(commits ...storage.Commit) {
	f.t.Helper()
	for i, err := range f.Commit(f.t.Context(), commits) {
		if err != nil {
			f.t.Fatalf("commit %d of object %s: %v", commits[i].Sequence, commits[i].Object, err)
		}
	}
}

// fill commits with these sequences, one batch each.
func (f *fixture) fill(object id.Object, incarnation, from, to uint64) {
	f.t.Helper()
	for n := from; n <= to; n++ {
		f.must(commit(object, incarnation, n))
	}
}

func (f *fixture) upload(content []byte) storage.Upload {
	f.t.Helper()
	u, err := f.WriteFile(f.t.Context(), "a", bytes.NewReader(content))
	if err != nil {
		f.t.Fatalf("WriteFile: %v", err)
	}
	return u
}

func (f *fixture) export(object id.Object) []byte {
	f.t.Helper()
	r, err := f.Export(f.t.Context(), object)
	if err != nil {
		f.t.Fatalf("Export: %v", err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		f.t.Fatalf("reading the export: %v", err)
	}
	return b
}

// until waits for what happens elsewhere.
func (f *fixture) until(what string, ok func() bool) {
	f.t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("not within a minute: %s", what)
		}
	}
}

// swept waits until nothing is doomed, and checks that no row belongs to nothing.
func (f *fixture) swept() {
	f.t.Helper()
	f.until("nothing is doomed", func() bool {
		lost, doomed, err := kv.Lost(f.db)
		if err != nil || len(lost) > 0 {
			f.t.Fatalf("the spaces %v have rows that belong to nothing, %v", lost, err)
		}
		return doomed == 0
	})
}

// digests checks that the digests are those of what the objects hold.
func (f *fixture) digests(objects ...id.Object) {
	f.t.Helper()
	var all storage.Sum
	for _, name := range objects {
		o, err := f.Load(f.t.Context(), name)
		if err != nil {
			f.t.Fatal(err)
		}
		var sum storage.Sum
		for _, c := range o.State {
			sum.Add(storage.StateItem(name, o.Incarnation, c.Key, c.Stamp))
		}
		for _, e := range f.logs(storage.LogsQuery{Object: name, Limit: 1000}) {
			sum.Add(storage.LogItem(name, o.Incarnation, []byte(e.ID.String())))
		}
		d, err := f.Digest(f.t.Context(), name)
		if err != nil || d.Sum != sum {
			f.t.Errorf("the digest of %s is %v, %v; it holds %v", name, d.Sum, err, sum)
		}
		all.Add(sum)
	}
	if d, err := f.Digest(f.t.Context(), ""); err != nil || d.Sum != all {
		f.t.Errorf("the digest of all is %v, %v; they hold %v", d.Sum, err, all)
	}
}

// logs gives all pages of a query.
func (f *fixture) logs(q storage.LogsQuery) (list []storage.Entry) {
	f.t.Helper()
	for {
		p, err := f.Logs(f.t.Context(), q)
		if err != nil {
			f.t.Fatalf("Logs: %v", err)
		}
		list = append(list, p.Entries...)
		if q.Cursor = p.Next; q.Cursor == "" {
			return list
		}
	}
}

package storagetsv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// facts are what a data folder holds, one by one: "a key k1" and its value, "a
// entry st-1.1.3" and its message, "a version 2" and its text, "a file f" and its
// bytes. A version or a file whose bytes are not those that were stored is corrupt.
type facts map[string]string

const corrupt = "corrupt"

// specimen is a data folder of which a test knows what it holds.
type specimen struct {
	fs      *memFS
	commits []storage.Commit
	texts   map[string]string // of uploads
	all     facts
	older   map[string][]string // values that a fact had before
	stamps  map[string]hlc.Stamp
	entries uint64
}

// add commits, and notes what the folder then holds.
func (p *specimen) add(t *testing.T, s *Store, batch ...storage.Commit) {
	t.Helper()
	if err := errors.Join(s.Commit(t.Context(), batch)...); err != nil {
		t.Fatal(err)
	}
	p.commits = append(p.commits, batch...)
	for i := range batch {
		for k, v := range p.factsOf(&batch[i]) {
			if old, ok := p.all[k]; ok {
				p.older[k] = append(p.older[k], old)
			}
			p.all[k] = v
		}
	}
}

func (p *specimen) factsOf(c *storage.Commit) facts {
	f, o := facts{}, string(c.Object)
	for _, ch := range c.State {
		f[o+" key "+ch.Key] = string(ch.Value)
	}
	for _, e := range c.Entries {
		f[o+" entry "+e.ID.String()] = e.Message
	}
	if v := c.Version; v != nil {
		f[o+" version "+strconv.FormatUint(v.Number, 10)] = string(v.Text)
	}
	for _, g := range c.Files {
		f[o+" file "+g.Name] = p.texts[g.Upload]
	}
	return f
}

// rich is a commit that sets keys, and what else the sequence says: a log entry
// always, a version with every second one, a file with every third.
func (p *specimen) rich(t *testing.T, s *Store, name id.Object, n uint64, keys ...string) storage.Commit {
	t.Helper()
	st := hlc.Stamp{Time: hlc.Time(len(p.commits)+1)<<16 | hlc.Time(n), Station: here}
	c := storage.Commit{Object: name, Incarnation: 1, Sequence: n, Stamp: st, RequestID: fmt.Sprintf("r%d", n)}
	for _, k := range keys {
		was := string(name) + " " + k
		c.State = append(c.State, storage.StateChange{Key: k, Value: fmt.Appendf(nil, `"%s%d"`, k, n), Stamp: st, Was: p.stamps[was]})
		p.stamps[was] = st
	}
	p.entries++
	c.Entries = []storage.Entry{{ID: id.Entry{Station: here, Boot: 1, Sequence: p.entries}, Time: time.Unix(int64(1000+n), 0).UTC(),
		Level: storage.Info, Message: fmt.Sprintf("%s did %d", name, n), Fields: []byte(`{"n":1}`)}}
	if n%2 == 1 {
		c.Version = version((n+1)/2, fmt.Sprintf("return %d\n", n))
	}
	if n%3 == 1 {
		text := fmt.Sprintf("content %d of %s", n, name)
		u, err := s.WriteFile(t.Context(), name, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		p.texts[u.ID] = text
		c.Files = []storage.FileChange{{Upload: u.ID, File: storage.File{Name: fmt.Sprintf("f%d.txt", n%2), Type: "text/plain", Size: u.Size, Hash: u.Hash, Time: time.Unix(5, 0).UTC(), Stamp: st}}}
	}
	return c
}

// newSpecimen makes a folder with something in every kind of file: objects a, b
// and c checkpointed, a with state in three files, a log of three files and its
// indexes; and in the journal commits that are not checkpointed: of a and b in two
// segments, pending or carried over as well, or a single batch.
func newSpecimen(t *testing.T, journal string) *specimen {
	t.Helper()
	p := &specimen{fs: newMemFS(), texts: map[string]string{}, all: facts{}, older: map[string][]string{}, stamps: map[string]hlc.Stamp{}}
	s := p.open(t, p.fs, slog.DiscardHandler)
	round := func(z levelSizes) {
		t.Helper()
		s.levels = z
		if err := s.round(true); err != nil {
			t.Fatal(err)
		}
	}
	p.add(t, s, p.rich(t, s, "a", 1, "k1", "k2", "k3", "k4"), p.rich(t, s, "b", 1, "k1"), p.rich(t, s, "c", 1, "k1", "k2"))
	round(levelSizes{})
	p.add(t, s, p.rich(t, s, "a", 2, "k2", "m1"))
	round(levelSizes{recent: 1, middle: 1 << 20})
	p.add(t, s, p.rich(t, s, "a", 3, "k3", "n1"), p.rich(t, s, "b", 2, "k2"), p.rich(t, s, "c", 2, "k2"))
	p.add(t, s, p.rich(t, s, "a", 4, "n2"))
	round(levelSizes{recent: 1 << 20, middle: 1 << 20})
	if err := s.keepCopy("state/a/state.tsv", 7, 2, []byte("an older damage"), "for the test", false); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = p.open(t, p.fs, slog.DiscardHandler)
	p.add(t, s, p.rich(t, s, "c", 3, "k2")) // so that the next segment does not begin the chain
	round(levelSizes{recent: 1 << 20, middle: 1 << 20})
	p.add(t, s, p.rich(t, s, "a", 5, "k1", "p1"), p.rich(t, s, "b", 3, "k2"))
	if journal != "single" {
		p.add(t, s, p.rich(t, s, "a", 6, "p1"))
		p.add(t, s, p.rich(t, s, "a", 7, "p2"), p.rich(t, s, "b", 4, "p1"))
		p.add(t, s, p.rich(t, s, "b", 5, "p2"), p.rich(t, s, "a", 8, "p2", "k1"))
		p.add(t, s, p.rich(t, s, "a", 9, "p3"))
		if len(s.journal.sealed) == 0 || s.journal.active == nil {
			t.Fatal("the journal has no sealed segment, or no active one")
		}
	}
	if journal == "carried" {
		if err := s.carryAll(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.abandon(); err != nil {
		t.Fatal(err)
	}
	p.fs.root.syncAll()
	return p
}

func (p *specimen) open(t *testing.T, m *memFS, log slog.Handler) *Store {
	t.Helper()
	s := New(slog.New(log), "test")
	s.openFS = func(string) (fsys, error) { return m, nil }
	s.fatal = func(err error) { t.Errorf("the store ended itself: %v", err) }
	s.manual, s.segmentSize, s.logSize = true, 1800, 150
	if err := s.Configure(context.Background(), plugin.Config{Station: here, DataDir: "/data"}); err != nil {
		t.Fatalf("Configure: %v", err)
	}
	return s
}

// read gives all that a store says that it holds, read in every way there is.
func (p *specimen) read(t *testing.T, s *Store, digest bool) facts {
	t.Helper()
	got := facts{}
	for _, name := range []id.Object{"a", "b", "c"} {
		o, err := s.Load(t.Context(), name)
		if err != nil {
			t.Fatalf("Load: %v", err)
		}
		diff(t, "State after Load", pages(t, s, storage.StateQuery{Object: name, Limit: 2}), o.State)
		c := storage.Commit{Object: name, State: o.State}
		if c.Entries, err = walk(s, storage.LogsQuery{Object: name, Limit: 2, Oldest: true}); err != nil {
			t.Fatalf("Logs: %v", err)
		}
		back, err := walk(s, storage.LogsQuery{Object: name, Limit: 3})
		if err != nil {
			t.Fatalf("Logs: %v", err)
		}
		slices.Reverse(back)
		diff(t, "log, newest first", back, c.Entries)
		sameRanges(t, s, name, c.Entries)
		maps.Copy(got, p.factsOf(&c))
		p.readVersions(t, s, name, got)
		p.readFiles(t, s, name, got)
		if digest {
			p.readDigest(t, s, o, c.Entries)
		}
	}
	return got
}

func (p *specimen) readVersions(t *testing.T, s *Store, name id.Object, got facts) {
	t.Helper()
	list, err := s.Versions(t.Context(), storage.VersionsQuery{Object: name, Limit: 1000})
	if err != nil {
		t.Fatalf("Versions: %v", err)
	}
	for i := range list {
		v, err := s.Version(t.Context(), name, list[i].Number)
		if err != nil && !errs.Is(err, errs.Corrupt) {
			t.Fatalf("Version: %v", err)
		}
		key := fmt.Sprintf("%s version %d", name, list[i].Number)
		if got[key] = string(v.Text); err != nil {
			got[key] = corrupt
		}
	}
}

func (p *specimen) readFiles(t *testing.T, s *Store, name id.Object, got facts) {
	t.Helper()
	list, err := s.Files(t.Context(), storage.FilesQuery{Object: name, Limit: 1000})
	if err != nil {
		t.Fatalf("Files: %v", err)
	}
	for i := range list {
		key := string(name) + " file " + list[i].Name
		_, r, err := s.ReadFile(t.Context(), name, list[i].Name, 0)
		var b []byte
		if err == nil {
			b, err = io.ReadAll(r)
			_ = r.Close()
		}
		if err != nil && !errs.Is(err, errs.Corrupt) {
			t.Fatalf("ReadFile: %v", err)
		}
		if got[key] = string(b); err != nil {
			got[key] = corrupt
		}
	}
}

// readDigest checks the digest against what was read.
func (p *specimen) readDigest(t *testing.T, s *Store, o storage.Object, log []storage.Entry) {
	t.Helper()
	var want storage.Digest
	for _, ch := range o.State {
		want.Buckets[storage.Bucket(ch.Key)].Add(storage.StateItem(o.Object, o.Incarnation, ch.Key, ch.Stamp))
	}
	for _, e := range log {
		want.Buckets[storage.Bucket(e.ID.String())].Add(storage.LogItem(o.Object, o.Incarnation, []byte(e.ID.String())))
	}
	for _, b := range want.Buckets {
		want.Sum.Add(b)
	}
	got, err := s.Digest(t.Context(), o.Object)
	if err != nil {
		t.Fatalf("Digest: %v", err)
	}
	diff(t, "digest of "+string(o.Object), got, want)
}

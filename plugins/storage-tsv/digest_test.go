package storagetsv

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

const summedUp = "summed up anew"

// wantDigest checks the digests of the objects, and of all, against what Load and
// Logs give. The sums up anew that the test expects are counted in the log.
func (f *folder) wantDigest(s *Store, anew int, names ...id.Object) {
	f.t.Helper()
	before := strings.Count(f.log.String(), summedUp)
	var all storage.Digest
	for _, name := range names {
		o, err := s.Load(f.t.Context(), name)
		if err != nil {
			f.t.Fatal(err)
		}
		want := storage.Digest{}
		for _, c := range o.State {
			want.Buckets[storage.Bucket(c.Key)].Add(storage.StateItem(name, o.Incarnation, c.Key, c.Stamp))
		}
		p, err := s.Logs(f.t.Context(), storage.LogsQuery{Object: name, Limit: 1000})
		if err != nil || p.Next != "" {
			f.t.Fatalf("Logs: next %q, %v", p.Next, err)
		}
		for _, e := range p.Entries {
			want.Buckets[storage.Bucket(e.ID.String())].Add(storage.LogItem(name, o.Incarnation, []byte(e.ID.String())))
		}
		for _, b := range want.Buckets {
			want.Sum.Add(b)
		}
		got, err := s.Digest(f.t.Context(), name)
		if err != nil {
			f.t.Fatal(err)
		}
		diff(f.t, "digest of "+string(name), got, want)
		all.Sum.Add(want.Sum)
		all.Buckets[storage.Bucket(string(name))].Add(want.Sum)
	}
	got, err := s.Digest(f.t.Context(), "")
	if err != nil {
		f.t.Fatal(err)
	}
	diff(f.t, "digest of all", got, all)
	if n := strings.Count(f.log.String(), summedUp) - before; n != anew {
		f.t.Errorf("%d digests were summed up anew, want %d", n, anew)
	}
}

// TestDigestIsKept: whatever state an object is in between a commit and its
// checkpoint, before and after a kill, its digest is there without a look at what
// it sums up.
func TestDigestIsKept(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	next := uint64(1)
	step := func() {
		count(t, s, "a", next, next+2)
		count(t, s, "b", next, next+2)
		next += 3
	}
	round := func(all bool) {
		t.Helper()
		if err := s.round(all); err != nil {
			t.Fatal(err)
		}
	}
	for _, then := range []func(){
		func() {},
		func() { round(false) },
		func() { round(false); step() },
		func() { round(true) },
		func() { round(true); step(); round(false); step() },
		func() { f.kill(s); s = f.open() },
		func() { round(false); f.kill(s); s = f.open() },
		func() {
			round(true)
			step()
			round(false)
			step()
			f.kill(s)
			s = f.open()
		},
		// So many that each carry-over writes its file, which then is ahead of the row.
		func() { s.carrier.buckets = maxBuckets; round(false); f.kill(s); s = f.open() },
		func() {
			round(true)
			step()
			f.kill(s)
			s = f.open()
			step()
			round(true)
			f.kill(s)
			s = f.open()
		},
		func() { _ = s.Close(t.Context()); s = f.open() },
	} {
		step()
		then()
		f.wantDigest(s, 0, "a", "b")
	}
	first := numbered("a", next)
	first.Incarnation, first.State[0].Was = 2, first.State[1].Was
	if err := s.Commit(t.Context(), []storage.Commit{first})[0]; err != nil {
		t.Fatal(err)
	}
	f.wantDigest(s, 0, "a", "b")
	round(true)
	f.kill(s)
	s = f.open()
	f.wantDigest(s, 0, "a", "b")
}

// TestDigestAfterDamage: damage and edits by hand make a digest that fits what is left.
func TestDigestAfterDamage(t *testing.T) {
	flip := func(b []byte) []byte { b[len(b)-20] ^= 1; return b }
	unsum := func(b []byte) []byte { // the last line as an editor leaves it, with another stamp
		i := bytes.LastIndexByte(bytes.TrimSuffix(b, []byte{'\n'}), '\n') + 1
		cols := bytes.Split(b[i:], []byte{'\t'})
		cols[2] = []byte("7.7.st-1")
		return append(slices.Concat(b[:i:i], bytes.Join(cols[:3], []byte{'\t'})), '\n')
	}
	for _, c := range []struct {
		file  string
		edit  func([]byte) []byte
		anew  int // times that a digest is summed up after the edit,
		again int // and after the next start, which meets what is still damaged
	}{
		{"state/a/state.tsv", flip, 1, 1},
		{"logs/a/log.tsv", flip, 1, 1},
		{"state/a/state.tsv", unsum, 1, 1},
		{"state/a/digest.tsv", flip, 1, 0},
		{"state/a/digest.tsv", func(b []byte) []byte { return b[:len(b)/2] }, 1, 0},
		{"state/a/digest.tsv", nil, 1, 0},
		{"objects.tsv", flip, 1, 0},
	} {
		t.Run(c.file, func(t *testing.T) {
			f := newFolder(t)
			s := f.open()
			count(t, s, "b", 1, 4)
			if err := s.round(true); err != nil {
				t.Fatal(err)
			}
			count(t, s, "a", 1, 4)
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if c.edit == nil {
				if err := os.Remove(f.path(c.file)); err != nil {
					t.Fatal(err)
				}
			} else {
				f.write(c.file, c.edit(f.read(c.file)))
			}
			s = f.open()
			f.wantDigest(s, c.anew, "a", "b")
			f.wantDigest(s, 0, "a", "b")
			more := counting("a", s.objects.get("a").look().sequence+1)
			more.State[0].Key = "new"
			more.Entries[0].ID.Boot = 99
			if err := s.Commit(t.Context(), []storage.Commit{more})[0]; err != nil {
				t.Fatal(err)
			}
			f.wantDigest(s, 0, "a", "b")
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			s = f.open()
			f.wantDigest(s, c.again, "a", "b")
		})
	}
}

package storagetsv

import (
	"errors"
	"flag"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

var updateFormat = flag.Bool("update", false, "write the folder of TestFormat1 anew; never for a format that has been released")

// formatFolder is a data folder as format 1 was when it was first released. Every
// later version must go on reading it, and all that it holds: whoever changes the
// format keeps this folder, and this test as it is, and adds another of each.
const formatFolder = "testdata/format-1"

func stampAt(ms, counter uint64) hlc.Stamp {
	return hlc.Stamp{Time: hlc.Time(ms<<16 | counter), Station: here}
}

// What the folder holds, as the calls that made it gave it.
var (
	formatTime = time.Date(2026, 11, 23, 20, 15, 30, 123456000, time.UTC)

	formatState = map[id.Object][]storage.StateChange{
		"counter": {
			{Key: "deleted", Stamp: stampAt(40, 0), Deleted: true},
			{Key: "gone", Stamp: stampAt(20, 0), Deleted: true},
			{Key: "in base", Value: []byte(`{"a":[1,2.5,null]}`), Stamp: stampAt(10, 0)},
			{Key: "in middle", Value: []byte(`"two\nlines"`), Stamp: stampAt(20, 0)},
			{Key: "in state", Value: []byte(`"ü\t\\"`), Stamp: stampAt(30, 7)},
			{Key: "n", Value: []byte("5"), Stamp: stampAt(50, 0)},
			{Key: "tab\tand\nline\x01\\", Value: []byte("true"), Stamp: stampAt(10, 0)},
		},
		"other": {
			{Key: "by hand", Value: []byte(`"typed"`), Stamp: stampAt(77, 0)},
			{Key: "k", Value: []byte("2"), Stamp: stampAt(30, 0)},
		},
	}
	formatLog = map[id.Object][]storage.Entry{
		"counter": {
			{ID: id.Entry{Station: here, Boot: 1, Sequence: 1}, Time: formatTime, Level: storage.Info, Message: "in a closed file"},
			{ID: id.Entry{Station: here, Boot: 1, Sequence: 2}, Time: formatTime.Add(time.Second), Level: storage.Debug, Message: "tab\tline\nbyte\xff\x00", Fields: []byte(`{"n":1}`)},
			{ID: id.Entry{Station: "st-2", Boot: 9, Sequence: 3}, Time: formatTime.Add(-time.Hour), Level: storage.Critical, Message: "late, of another station"},
			{ID: id.Entry{Station: here, Boot: 2, Sequence: 4}, Time: formatTime.Add(time.Minute), Level: storage.Warning, Message: "in the journal", Fields: []byte(`{"s":"ü"}`)},
		},
		"other": {{ID: id.Entry{Station: here, Boot: 1, Sequence: 5}, Time: formatTime, Level: storage.Error, Message: ""}},
	}
	formatVersions = []storage.Version{ // of "counter"
		{Number: 1, Time: formatTime, Author: "ann", Message: "first\tone", Hash: "0805bfdc02e872ed322a4a4e440ae985f3a4335f4dd59f3d373dfaf2a68a4a3c", Text: []byte("return 1\n")},
		{Number: 2, Time: formatTime, Author: "bob", Hash: "6e1fb0fa16c1ed633ec81e8f36e20e86eb0d7b3707549d9d743d10fd21b697f0", Text: []byte("-- \xff not UTF-8\r\nreturn 2")},
		{Number: 3, Time: formatTime.Add(time.Second), Message: "in the journal", Hash: "81601798d0003c4635401ad3597563e9d0c8275b5b7672130c281baf6d4c9b11", Text: []byte("return 3\t")},
	}
	formatFiles = []storage.File{ // of "counter"
		{Name: ".hidden", Type: "text/plain", Size: 6, Hash: "e564b4081d7a9ea4b00dada53bdae70c99b87b6fce869f0c3dd4d2bfa1e53e1c", Time: formatTime, Stamp: stampAt(10, 0)},
		{Name: "empty", Hash: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", Time: formatTime, Stamp: stampAt(20, 0)},
		{Name: "index.tsv", Type: "text/tab-separated-values", Size: 8, Hash: "18a9ebc838e755bc2a91261376c0a6c1cd48d42f47243cc368871b425ebdf00c", Time: formatTime, Stamp: stampAt(50, 0)},
		{Name: "old", Time: formatTime, Stamp: stampAt(30, 7), Deleted: true},
	}
	formatBytes = map[string]string{".hidden": "hidden", "empty": "", "index.tsv": "a\tb\r\n\x00\xff\n"}
	formatRows  = []storage.ObjectInfo{
		{Object: "counter", Incarnation: 1, Sequence: 5, Head: 3, Hash: "81601798d0003c4635401ad3597563e9d0c8275b5b7672130c281baf6d4c9b11"},
		{Object: "other", Incarnation: 2, Sequence: 2},
	}
	formatSums = map[id.Object]string{"counter": "3b27fc37b948522d21de2f6007b3e7a5", "other": "0aaa0040b5c90d2c69a3756328993312"} // of the digests
)

// writeFormat1 makes the folder.
func writeFormat1(t *testing.T, dir string) {
	t.Helper()
	open := func() *Store {
		return openStore(t, plugin.Config{Station: here, DataDir: dir}, func(s *Store) {
			s.manual, s.segmentSize, s.logSize = true, 4<<10, 150
		})
	}
	s := open()
	was := map[string]hlc.Stamp{}
	commit := func(c storage.Commit, keys ...string) {
		t.Helper()
		c.RequestID, c.Source, c.HomeEpoch = "r\t"+string(c.Object), 2, 3
		for _, kv := range keys {
			k, v, _ := strings.Cut(kv, "=")
			ch := storage.StateChange{Key: k, Value: []byte(v), Stamp: c.Stamp, Was: was[string(c.Object)+k], Deleted: v == ""}
			if ch.Deleted {
				ch.Value = nil
			}
			c.State = append(c.State, ch)
			was[string(c.Object)+k] = c.Stamp
		}
		for i := range c.Files {
			f := &c.Files[i]
			if f.Stamp = c.Stamp; f.Deleted {
				continue
			}
			u, err := s.WriteFile(t.Context(), c.Object, strings.NewReader(formatBytes[f.Name]))
			if err != nil {
				t.Fatal(err)
			}
			f.Upload = u.ID
		}
		if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
			t.Fatal(err)
		}
	}
	round := func(z levelSizes) {
		t.Helper()
		s.levels = z
		if err := s.round(true); err != nil {
			t.Fatal(err)
		}
	}
	file := func(i int) storage.FileChange { return storage.FileChange{File: formatFiles[i]} }
	old := file(0)
	old.Name, old.Size, old.Hash = "old", 0, formatFiles[1].Hash
	log := formatLog["counter"]
	commit(storage.Commit{Object: "other", Incarnation: 1, Sequence: 1, Stamp: stampAt(10, 0)}, "k=1", "lost=1")
	clear(was)
	commit(storage.Commit{Object: "counter", Incarnation: 1, Sequence: 1, Stamp: stampAt(10, 0), Entries: log[:1], Version: &formatVersions[0],
		Files: []storage.FileChange{file(0), old}}, `in base={"a":[1,2.5,null]}`, "tab\tand\nline\x01\\=true", "n=1", "gone=1")
	round(levelSizes{})
	commit(storage.Commit{Object: "counter", Incarnation: 1, Sequence: 2, Stamp: stampAt(20, 0), Entries: log[1:2], Version: &formatVersions[1],
		Files: []storage.FileChange{file(1)}}, `in middle="two\nlines"`, "gone=", "n=2")
	round(levelSizes{recent: 1, middle: 1 << 20})
	commit(storage.Commit{Object: "counter", Incarnation: 1, Sequence: 3, Stamp: stampAt(30, 7), Entries: log[2:3],
		Files: []storage.FileChange{file(3)}}, `in state="ü\t\\"`, "deleted=1")
	commit(storage.Commit{Object: "other", Incarnation: 2, Sequence: 2, Stamp: stampAt(30, 0), Entries: formatLog["other"]}, "k=2")
	round(levelSizes{recent: 1 << 20, middle: 1 << 20})
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	edited := filepath.Join(dir, "state/other/state.tsv")
	b, err := os.ReadFile(edited)
	if err := errors.Join(err, os.WriteFile(edited, append(b, "by hand\t\"typed\"\t77.0.st-1\ncut sho"...), 0o600)); err != nil {
		t.Fatal(err)
	}
	s = open()
	if _, err := s.Load(t.Context(), "other"); err != nil { // the last line has no end: damaged/lines.tsv is made
		t.Fatal(err)
	}
	commit(storage.Commit{Object: "counter", Incarnation: 1, Sequence: 4, Stamp: stampAt(40, 0)}, "deleted=")
	commit(storage.Commit{Object: "counter", Incarnation: 1, Sequence: 5, Stamp: stampAt(50, 0), Entries: log[3:], Version: &formatVersions[2],
		Files: []storage.FileChange{file(2)}}, "n=5")
	if err := errors.Join(s.keepSpare(), s.abandon()); err != nil {
		t.Fatal(err)
	}
}

// TestFormat1 opens a folder that an earlier version wrote.
func TestFormat1(t *testing.T) {
	if *updateFormat {
		if err := os.RemoveAll(formatFolder); err != nil {
			t.Fatal(err)
		}
		made := filepath.Join(t.TempDir(), "data")
		writeFormat1(t, made)
		if err := os.CopyFS(formatFolder, os.DirFS(made)); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for _, pattern := range []string{"*", "*/*", "*/*/*"} {
		list, err := filepath.Glob(filepath.Join(formatFolder, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range list {
			if info, err := os.Stat(name); err == nil && !info.IsDir() {
				names = append(names, strings.TrimPrefix(filepath.ToSlash(name), formatFolder+"/"))
			}
		}
	}
	slices.Sort(names)
	diff(t, "the kinds of files", names, []string{
		"damaged/lines.tsv", "files/counter/%.hidden", "files/counter/.upload-2-1", "files/counter/empty", "files/counter/index.tsv",
		"journal/000001.tsv", "journal/spare.tsv", "lock",
		"logs/counter/log-20261123T201530.123456Z.idx", "logs/counter/log-20261123T201530.123456Z.tsv", "logs/counter/log.idx", "logs/counter/log.tsv",
		"logs/other/log.idx", "logs/other/log.tsv", "objects.tsv",
		"state/counter/base.tsv", "state/counter/digest.tsv", "state/counter/middle.tsv", "state/counter/state.tsv", "state/other/digest.tsv", "state/other/state.tsv",
		"station.tsv", "versions/counter/metadata.tsv", "versions/counter/v1.lua", "versions/counter/v2.lua"})

	f := newFolder(t)
	if err := errors.Join(os.MkdirAll(filepath.Dir(f.config.DataDir), 0o700), os.CopyFS(f.config.DataDir, os.DirFS(formatFolder))); err != nil {
		t.Fatal(err)
	}
	s := f.open()
	if b, err := s.Boot(t.Context()); err != nil || b.Number != 3 || b.High != stampAt(50, 0).Time {
		t.Errorf("boot %+v, %v; want number 3, high 50", b, err)
	}
	f.wantFormat1(s) // with the journal,
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wantFormat1(f.open()) // and from the files alone
	if strings.Contains(f.log.String(), "damage:") {
		t.Errorf("damage:\n%s", f.log.String())
	}
}

func (f *folder) wantFormat1(s *Store) {
	t := f.t
	t.Helper()
	rows, err := s.Objects(t.Context(), storage.ObjectsQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "objects", rows, formatRows)
	for i, name := range slices.Sorted(maps.Keys(formatState)) {
		o, err := s.Load(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		diff(t, "row of "+string(name), o.ObjectInfo, formatRows[i])
		diff(t, "state of "+string(name), o.State, formatState[name])
		live := slices.DeleteFunc(slices.Clone(formatState[name]), func(c storage.StateChange) bool { return c.Deleted })
		diff(t, "keys of "+string(name), pages(t, s, storage.StateQuery{Object: name, Limit: 2}), live)
		for _, oldest := range []bool{true, false} {
			log, err := walk(s, storage.LogsQuery{Object: name, Limit: 1, Oldest: oldest})
			if err != nil {
				t.Fatal(err)
			}
			if !oldest {
				slices.Reverse(log)
			}
			diff(t, "log of "+string(name), log, formatLog[name])
		}
		sameRanges(t, s, name, formatLog[name])
		d, err := s.Digest(t.Context(), name)
		if err != nil || d.Sum.String() != formatSums[name] {
			t.Errorf("the digest of %s is %s, %v; want %s", name, d.Sum, err, formatSums[name])
		}
	}
	for _, want := range formatVersions {
		got, err := s.Version(t.Context(), "counter", want.Number)
		if err != nil {
			t.Fatal(err)
		}
		diff(t, "version", got, want)
	}
	files, err := s.Files(t.Context(), storage.FilesQuery{Object: "counter", Limit: 1000, Tombstones: true})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "files", files, formatFiles)
	for name, want := range formatBytes {
		_, r, err := s.ReadFile(t.Context(), "counter", name, 0)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || string(b) != want {
			t.Errorf("file %q is %q, %v; want %q", name, b, err, want)
		}
	}
}

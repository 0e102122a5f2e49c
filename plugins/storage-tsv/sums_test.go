package storagetsv

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

// The checks that TestEveryByte cannot tell from each other, or whose case no
// single damaged byte makes, one by one.

// wantSealed checks that each line which a folder holds has its checksum.
func wantSealed(t *testing.T, m *memFS) {
	t.Helper()
	kinds := map[string]int{}
	for _, name := range m.files() {
		dir, _, _ := strings.Cut(name, "/")
		if ext := path.Ext(name); ext != ".tsv" && ext != ".idx" || path.Base(name) == "spare.tsv" {
			continue
		}
		for i, line := range bytes.Split(usedPart(m.find(name).data), []byte{'\n'}) {
			header := i == 0 && bytes.HasSuffix(line, []byte("\tcrc")) || name == stationFile && i == 0
			if len(line) == 0 || header || dir == "journal" && bytes.HasPrefix(line, []byte("batch\t")) {
				continue
			}
			kinds[dir+path.Ext(name)]++
			if !sealedLine(line) {
				t.Errorf("%s: a line without its checksum: %q", name, line)
			}
		}
	}
	for _, k := range []string{"damaged.tsv", "files.tsv", "journal.tsv", "logs.tsv", "logs.idx", "state.tsv", "versions.tsv", "objects.tsv.tsv", "station.tsv.tsv"} {
		if kinds[k] == 0 {
			t.Errorf("no lines in %s", k)
		}
	}
}

// TestEveryLineIsSealed: what the store writes never looks as if a person had.
func TestEveryLineIsSealed(t *testing.T) {
	p := newSpecimen(t, "carried")
	m := p.fs.after(killed, nil)
	s := p.open(t, m, slog.DiscardHandler)
	n := m.find("state/b/state.tsv") // which the merge below seals
	n.data = append(n.data, "by hand\t1\t9.0.st-1\n"...)
	s.levels = levelSizes{}
	c := numbered("b", s.objects.get("b").look().sequence+1)
	c.Incarnation = 1
	if err := errors.Join(s.Commit(t.Context(), []storage.Commit{c})[0], s.round(true)); err != nil {
		t.Fatal(err)
	}
	if err := s.forgetSum(s.objects.get("c")); err != nil {
		t.Fatal(err)
	}
	r, err := s.Export(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Import(t.Context(), "copy", r); err != nil {
		t.Fatal(err)
	}
	v, err := s.openState(s.objects.get("copy"))
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	if !v.tables[base].sorted {
		t.Error("an imported file of state has no seal")
	}
	more := numbered("copy", s.objects.get("copy").look().sequence+1)
	more.Stamp.Time = 1 << 40
	more.Version = version(s.objects.get("copy").look().head+1, "return 1")
	more.State[0].Stamp, more.State[1].Stamp = more.Stamp, more.Stamp
	if err := s.Commit(t.Context(), []storage.Commit{more})[0]; err != nil { // so that the journal is not empty
		t.Fatal(err)
	}
	wantSealed(t, m)
	if err := s.abandon(); err != nil {
		t.Fatal(err)
	}
	// A torn tail, so that a line says that one was cut off.
	last := m.find(segmentName(s.journal.segment))
	last.data = append(usedPart(last.data), "commit\ttorn"...)
	s = p.open(t, m, slog.DiscardHandler)
	if err := s.abandon(); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(m.find(segmentName(s.journal.segment)).data, cutLine) || !sealedLine(bytes.TrimSuffix(cutLine, []byte{'\n'})) {
		t.Error("no line that says that a tail was cut off")
	}
	wantSealed(t, m)
}

// TestDamagedLineOfAnIndex: a line whose columns can be read and whose checksum is
// wrong names no file, however the file is asked for.
func TestDamagedLineOfAnIndex(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	put(t, s, 1, map[string]string{"f": "content", "g": "other"})
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.write("files/a/index.tsv", bytes.Replace(f.read("files/a/index.tsv"), []byte("f\ttext/plain"), []byte("f\ttext/plaim"), 1))
	s = f.open()
	wantFiles(t, s, map[string]string{"g": "other"})
	if _, err := readFile(s, "f"); !errs.Is(err, errs.NotFound) {
		t.Errorf("got %v, want errs.NotFound", err)
	}
}

// TestEmptiedContent: no byte is read of an empty file, and its hash is compared.
func TestEmptiedContent(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	put(t, s, 1, map[string]string{"f": "content"})
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	line := bytes.Replace(f.read("files/a/index.tsv"), []byte("\t7\t"), []byte("\t0\t"), 1) // by hand, the hash forgotten
	f.write("files/a/index.tsv", append(line[:bytes.LastIndexByte(line, '\t')], '\n'))
	f.write("files/a/f", nil)
	if _, err := readFile(f.open(), "f"); !errs.Is(err, errs.Corrupt) {
		t.Errorf("got %v, want errs.Corrupt", err)
	}
}

// TestContentCutWhileRead: the rest of a file that becomes shorter is damage, and
// no failure of the disk.
func TestContentCutWhileRead(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	put(t, s, 1, map[string]string{"f": "content"})
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	_, r, err := s.ReadFile(t.Context(), "a", "f", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if err := os.Truncate(f.path("files/a/f"), 3); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !errs.Is(err, errs.Corrupt) {
		t.Errorf("got %v, want errs.Corrupt", err)
	}
}

// TestUploadLostBeforeItsTurn: the carry-over says what it could not place, also
// where nobody reads the file.
func TestUploadLostBeforeItsTurn(t *testing.T) {
	for how, damage := range map[string]func(string) error{
		"its bytes are lost":            os.Remove,
		"it has 3 bytes, 7 were stored": func(p string) error { return os.Truncate(p, 3) },
	} {
		f := newFolder(t)
		s := f.open()
		c := putting(t, s, 1, map[string]string{"f": "content"})
		if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(damage(f.path(uploadPath("a", c.Files[0].Upload))), s.round(true)); err != nil {
			t.Fatal(err)
		}
		f.logged("damage: a file is not what was stored", "file=files/a/f", how)
	}
}

// TestExportOfDamage: what is damaged does not travel as if it were whole.
func TestExportOfDamage(t *testing.T) {
	for how, damage := range map[string]func(string) error{
		"removed": os.Remove,
		"cut":     func(p string) error { return os.Truncate(p, 3) },
		"longer":  func(p string) error { return os.WriteFile(p, []byte("Content, and more"), 0o600) },
		"flipped": func(p string) error { return os.WriteFile(p, []byte("Content"), 0o600) },
	} {
		t.Run(how, func(t *testing.T) {
			f := newFolder(t)
			s := f.open()
			put(t, s, 1, map[string]string{"f": "content"})
			if err := errors.Join(s.round(true), damage(f.path("files/a/f"))); err != nil {
				t.Fatal(err)
			}
			r, err := s.Export(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(r); !errs.Is(err, errs.Corrupt) {
				t.Errorf("got %v, want errs.Corrupt", err)
			}
		})
	}
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 3)
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	f.write("logs/a/log.tsv", bytes.Replace(f.read("logs/a/log.tsv"), []byte("st-1.1.2\t"), []byte("st-1.1.7\t"), 1))
	r, err := s.Export(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Import(t.Context(), "b", r); err != nil {
		t.Fatal(err)
	}
	if log, err := walk(s, storage.LogsQuery{Object: "b", Limit: 10}); err != nil || len(log) != 2 {
		t.Errorf("the copy has %d entries, %v; want 2", len(log), err)
	}
}

// TestDamagedEntryIsWrittenAgain: of an entry that the journal still holds a
// damaged line is not taken for its line, where a typed one keeps the log from being cut.
func TestDamagedEntryIsWrittenAgain(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 3)
	if err := s.round(false); err != nil {
		t.Fatal(err)
	}
	f.kill(s)
	log := f.read("logs/a/log.tsv")
	at := bytes.Index(log, []byte("st-1.1.2\t"))
	log[at+bytes.IndexByte(log[at:], '\n')-1] ^= 1 // its checksum
	f.write("logs/a/log.tsv", append(log, "st-1.1.77\t2026-01-02T03:04:05Z\tINFO\ttyped\t\n"...))
	s = f.open()
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	got, err := walk(s, storage.LogsQuery{Object: "a", Limit: 10, Oldest: true})
	if err != nil || len(got) != 4 || !slices.ContainsFunc(got, func(e storage.Entry) bool { return e.ID.Sequence == 2 }) {
		t.Errorf("the log is %v, %v", got, err)
	}
}

// TestLogEditedWhileItIsKnown: the place where the next lines go is never taken
// from memory where the file has another size.
func TestLogEditedWhileItIsKnown(t *testing.T) {
	f := newFolder(t)
	s := f.small(300_000)
	want := []storage.Entry{logged(t, s, "a", 1, 1000, 10)}
	if err := s.round(false); err != nil {
		t.Fatal(err)
	}
	typed := want[0]
	typed.ID.Sequence, typed.Message = 77, "typed"
	f.write("logs/a/log.tsv", append(appendEntry(f.read("logs/a/log.tsv"), &typed), '\n'))
	want = append(want, typed, logged(t, s, "a", 2, 1001, 10))
	if err := s.round(false); err != nil {
		t.Fatal(err)
	}
	wantLog(t, s, "a", want)
}

// TestIndexLineStands: an index line counts where an entry of its id begins.
func TestIndexLineStands(t *testing.T) {
	entry := func(n uint64, message string) string {
		e := counting("a", n).Entries[0]
		e.Message = message
		return string(seal(appendEntry(nil, &e), 0))
	}
	one, two, three := entry(1, "the id st-1.1.3\t"), entry(22, "m"), entry(3, "m")
	log := logHeader + one + two + "x" + three
	broken := strings.Replace(log, "\nst-1.1.22\t", "xst-1.1.22\t", 1) // the newline before it
	at := func(text string) int64 { return int64(strings.Index(log, text)) }
	for _, c := range []struct {
		what, log string
		at        int64
		id        string
		want      bool
	}{
		{"an entry", log, at("st-1.1.22\t"), "st-1.1.22", true},
		{"an entry behind a newline that was destroyed", broken, at("st-1.1.22\t"), "st-1.1.22", true},
		{"another entry", log, at("st-1.1.1\t"), "st-1.1.22", false},
		{"another entry whose id is as long", log, at("st-1.1.1\t"), "st-1.1.3", false},
		{"an entry whose id begins so", log, at("st-1.1.22\t"), "st-1.1.2", false},
		{"an id within a line", log, at("xst-1.1.3\t") + 1, "st-1.1.3", false},
		{"behind the end", log, int64(len(log)) - 3, "st-1.1.3", false},
	} {
		if got, err := (indexLine{at: c.at, id: []byte(c.id)}).stands(strings.NewReader(c.log), int64(len(c.log))); err != nil || got != c.want {
			t.Errorf("%s: %v, %v", c.what, got, err)
		}
	}
}

// TestEndsOfAnIndex: of the lines of an index those count, from its end and from its
// begin, that are whole and name the entry at their offset.
func TestEndsOfAnIndex(t *testing.T) {
	log := []byte(logHeader)
	var lines [3][]byte
	for n := range lines {
		e, at := counting("a", uint64(n+1)).Entries[0], len(log)
		log = seal(appendEntry(log, &e), at)
		lines[n] = appendIndexLine(nil, indexLine{int64(at), micro(e.Time), []byte(e.ID.String())})
	}
	size := int64(len(log))
	// A power cut took an entry and left its index line; another entry has its place.
	other := appendIndexLine(nil, indexLine{int64(len(logHeader)), 0, []byte("st-1.1.9")})
	torn := lines[0][:len(lines[0])-1]
	for _, c := range []struct {
		what  string
		index []byte
		first bool
		good  int // bytes up to the last line that counts
	}{
		{"whole", bytes.Join(lines[:], nil), true, len(lines[0]) + len(lines[1]) + len(lines[2])},
		{"a last line of another entry", slices.Concat(lines[0], lines[1], other), true, len(lines[0]) + len(lines[1])},
		{"a last line without its newline", slices.Concat(lines[0], lines[1][:len(lines[1])-1]), true, len(lines[0])},
		{"one line without its newline", torn, false, 0},
		{"a first line of another entry", slices.Concat(other, lines[0]), false, len(other) + len(lines[0])},
		{"not the first entry", lines[1], false, len(lines[1])},
		{"nothing", nil, false, 0},
	} {
		_, good, err := lastIndexed(c.index, bytes.NewReader(log), size)
		if err != nil || len(good) != c.good {
			t.Errorf("%s: %d bytes are good, %v; want %d", c.what, len(good), err, c.good)
		}
		if _, ok, err := firstIndexed(c.index, bytes.NewReader(log), size); err != nil || ok != c.first {
			t.Errorf("%s: the first line counts: %v, %v; want %v", c.what, ok, err, c.first)
		}
	}
}

// TestDamagedIndexedEntry: a search that does not come by an entry which the index
// names does not rely on that index.
func TestDamagedIndexedEntry(t *testing.T) {
	log, x := []byte(logHeader), indexer{newest: noTime, last: -1}
	for n := range uint64(3) {
		e := counting("a", n+1).Entries[0]
		e.Time, e.Message = time.Unix(int64(1000+n), 0).UTC(), strings.Repeat("x", blockSize)
		start := len(log)
		log = seal(appendEntry(log, &e), start)
		x.add(log[start:len(log)-1], int64(start))
	}
	good, t3 := bytes.Clone(log), micro(time.Unix(1002, 0))
	log[len(log)-2] ^= 1
	size := int64(len(log))
	if _, err := seek(bytes.NewReader(good), size, x.lines, noTime, t3); err != nil {
		t.Errorf("the log as it was: %v", err)
	}
	if at, err := seek(bytes.NewReader(log), size, x.lines, noTime, t3); !errors.Is(err, errIndex) {
		t.Errorf("found at %d, %v; want errIndex", at, err)
	}
}

// TestBucketsThatAreNotWhole: a file of buckets counts with each of its lines, and
// with its sum.
func TestBucketsThatAreNotWhole(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	name := "state/a/digest.tsv"
	count(t, s, "a", 1, 3)
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	o, older := s.objects.get("a"), f.read(name)
	lines := bytes.SplitAfter(older, []byte("\n"))
	for what, b := range map[string][]byte{
		"no header":        bytes.Join(lines[1:], nil),
		"no end":           bytes.Join(lines[:len(lines)-2], nil),
		"lines behind it":  slices.Concat(older, lines[2]),
		"an edited line":   bytes.Replace(older, lines[2], append(lines[2][:bytes.LastIndexByte(lines[2], '\t'):len(lines[2])-10], '\n'), 1),
		"a damaged header": append([]byte("B"), older[1:]...),
	} {
		f.write(name, b)
		if got, err := s.readBuckets(o); got != nil || err != nil {
			t.Errorf("%s: taken, %v", what, err)
		}
	}
	f.write(name, older)
	count(t, s, "a", 4, 6)
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	f.write(name, older) // whole, and of another time
	f.wantDigest(s, 1, "a")
	if err := s.round(true); err != nil {
		t.Fatal(err)
	}
	f.kill(s)
	f.write(name, older)
	s = f.open()
	count(t, s, "a", 7, 7)
	if err := s.round(false); err != nil {
		t.Fatal(err)
	}
	if s.objects.get("a").look().summed {
		t.Error("a carry-over goes on with buckets that do not fit the sum")
	}
	f.wantDigest(s, 1, "a")
}

// TestMovedLines: a file of state in which a person has moved lines, so that its
// seal stands where it says, is not searched by halving.
func TestMovedLines(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	var keys []string
	for i := range 1000 {
		keys = append(keys, fmt.Sprintf("k%03d", i))
	}
	setKeys(t, s, 1, keys...)
	s.levels = levelSizes{}
	if err := errors.Join(s.round(true), s.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(f.read("state/a/base.tsv"), []byte("\n"))
	first := 1 + len(keys)/4
	f.write("state/a/base.tsv", bytes.Join(slices.Concat(lines[:1], lines[first:1+len(keys)], lines[1:first], lines[1+len(keys):]), nil))
	p, err := f.open().State(t.Context(), storage.StateQuery{Object: "a", After: "k799", Limit: 1000})
	if err != nil || len(p.Items) != 200 {
		t.Errorf("%d keys behind k799, %v; want 200", len(p.Items), err)
	}
}

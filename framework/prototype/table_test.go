package prototype

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/storage"
)

func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1]), ModTime: time.Date(2023, 1, 2, 3, 4, 5, 6789, time.UTC)}
	}
	return m
}

// state reads a state.tsv and gives key=value, with what was reported.
func state(t *testing.T, text string) (string, *Report) {
	t.Helper()
	r := NewReport(nil)
	changes, err := opened(t, files("state/a/state.tsv", text), r).Objects()[0].State(r)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, c := range changes {
		fmt.Fprintf(&b, "%s=%s ", c.Key, c.Value)
	}
	return strings.TrimSpace(b.String()), r
}

func TestState(t *testing.T) {
	for name, c := range map[string]struct {
		text, want             string
		repeated, mended, left int
	}{
		"columns in any order":                   {"Value\ttimestamp\t KEY \n1\t\ta\n", "a=1", 0, 0, 0},
		"no rows":                                {"key\tvalue\n", "", 0, 0, 0},
		"a header that does not end":             {"key\tvalue", "", 0, 0, 0},
		"the last row of a key wins":             {"key\tvalue\na\t1\nb\t2\na\t3\na\t\n", `a="" b=2`, 2, 0, 0},
		"a key that is named like the header":    {"key\tvalue\nkey\tvalue\n", `key="value"`, 0, 0, 0},
		"a torn row with all columns":            {"key\tvalue\na\t1\na\t2", "a=2", 1, 1, 0},
		"a torn row without a value":             {"key\tvalue\na\t1\nb", "a=1", 0, 0, 1},
		"a stray quote never replaces":           {"key\tvalue\na\t1\na\t\"2\nb\t3\n", "a=1 b=3", 0, 0, 1},
		"a stray quote where nothing else is":    {"key\tvalue\na\t\"2\nb\t3\n", `a="\"2" b=3`, 0, 1, 0},
		"a whole row replaces a stray quote":     {"key\tvalue\na\t\"2\na\t3\n", "a=3", 1, 1, 0},
		"a key of 512 bytes and one of 513":      {"key\tvalue\n" + strings.Repeat("k", 512) + "\t1\n" + strings.Repeat("k", 513) + "\t2\n", strings.Repeat("k", 512) + "=1", 0, 0, 1},
		"a row without a value column":           {"key\tvalue\na\nb\t1\n", "b=1", 0, 0, 1},
		"without a header":                       {"a\t1\nb\t2\n", "a=1 b=2", 0, 1, 0},
		"two columns of one name":                {"key\tvalue\tvalue\na\t1\t2\n", "a=1", 0, 2, 0},
		"two times, of which the very name wins": {"updated_at\tkey\tvalue\ttimestamp\nsoon\ta\t1\t2024-01-01T00:00:00Z\n", "a=1", 0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, r := state(t, c.text)
			if got != c.want {
				t.Errorf("state %s, want %s", got, c.want)
			}
			counts := [3]int{r.Objects()[0].Repeated, r.Count(State, Mended), r.Count(State, Left)}
			if want := [3]int{c.repeated, c.mended, c.left}; counts != want {
				t.Errorf("repeated, mended, left: %v, want %v: %v", counts, want, r.Problems(State))
			}
		})
	}
}

func entries(t *testing.T, text string) ([]string, *Report) {
	t.Helper()
	r := NewReport(nil)
	var got []string
	for e, err := range opened(t, files("logs/a/log.tsv", text), r).Objects()[0].Entries(r) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s", e.Time.Format("15:04:05"), e.Level, e.Message, e.Fields))
	}
	return got, r
}

func TestLevels(t *testing.T) {
	for text, want := range map[string]storage.Level{
		"DEBUG": storage.Debug, "INFO": storage.Info, "WARNING": storage.Warning, "ERROR": storage.Error, "CRITICAL": storage.Critical,
		"debug": storage.Debug, "Warn": storage.Warning, "TRACE": storage.Debug, "FATAL": storage.Critical, "notice": storage.Info, "40": storage.Error, "error\t": storage.Error, "?": storage.Info,
	} {
		got, r := entries(t, "level\tmessage\n"+string(appendPython(nil, []string{text, "m"}, "\n", false)))
		fields := ""
		if text != string(want) {
			fields = string(appendValue([]byte(`{"original_level":`), text)) + "}"
		}
		if w := "00:00:00 " + string(want) + " m " + fields; got[0] != w {
			t.Errorf("%q: %s, want %s", text, got[0], w)
		}
		if noted := len(r.objects["a"].order) > 0; noted != (fields != "") {
			t.Errorf("%q: reported %v", text, noted)
		}
	}
}

func TestEntryIDAndIDAreTwoColumns(t *testing.T) {
	got, _ := entries(t, "id\ttime\tmessage\tlevel\tentry_id\ttimestamp\n7\tnoon\tm\tINFO\te1\t2024-01-01T01:02:03Z\n")
	if want := `01:02:03 INFO m {"id":7,"original_id":"e1","time":"noon"}`; got[0] != want {
		t.Errorf("got %s, want %s", got[0], want)
	}
}

// TestLogIsStreamed reads the first entries of a log of a tebibyte.
func TestLogIsStreamed(t *testing.T) {
	row := "2024-01-31T10:20:30Z\tINFO\tcalled\tada\n"
	f := &endless{text: []byte(row), left: 1 << 40}
	r := NewReport(nil)
	o := opened(t, f, r).Objects()[0]
	if o.LogBytes != 1<<40 {
		t.Errorf("the log has %d bytes", o.LogBytes)
	}
	n := 0
	for e, err := range o.Entries(r) {
		if err != nil || n > 0 && (e.Message != "called" || string(e.Fields) != `{"user":"ada"}`) {
			t.Fatalf("%+v, %v", e, err)
		}
		if n++; n == 10_000 {
			break
		}
	}
	if read := 1<<40 - f.left; read > 1<<20 || r.Objects()[0].Bytes != read || r.Objects()[0].Entries != n {
		t.Errorf("%d bytes read for %d entries; the report says %+v", read, n, r.Objects()[0])
	}
	if !f.closed {
		t.Error("the log was not closed")
	}
}

// endless is a file system with one long log, made as it is read.
type endless struct {
	text   []byte
	at     int
	left   int64
	header bool
	closed bool
}

func (e *endless) Open(name string) (fs.File, error) {
	dir := func() (fs.File, error) { return files("logs/a/log.tsv", "").Open(name) }
	if name != "logs/a/log.tsv" {
		return dir()
	}
	return e, nil
}

func (e *endless) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := fs.ReadDir(files("logs/a/log.tsv", ""), name)
	for i, d := range all {
		if d.Name() == "log.tsv" {
			all[i] = fs.FileInfoToDirEntry(sized{must(d.Info())})
		}
	}
	return all, err
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

type sized struct{ fs.FileInfo }

func (sized) Size() int64 { return 1 << 40 }

func (e *endless) Stat() (fs.FileInfo, error) { return nil, fs.ErrInvalid }
func (e *endless) Close() error               { e.closed = true; return nil }
func (e *endless) Read(b []byte) (int, error) {
	n := 0
	if !e.header {
		e.header = true
		n = copy(b, "timestamp\tlevel\tmessage\tuser\n")
	}
	for n < len(b) && e.left > int64(n) {
		c := copy(b[n:], e.text[e.at:])
		e.at = (e.at + c) % len(e.text)
		n += c
	}
	e.left -= int64(n)
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func TestVersions(t *testing.T) {
	large := strings.Repeat("x", maxRow+1)
	fsys := files("versions/a/v3.txt", "three", "versions/a/v1.lua", "", "versions/a/v12.py", "twelve", "versions/a/v4.txt", large,
		"versions/a/metadata.tsv", "number\tsha256\tcomment\tdate\n3\t"+storage.Hash([]byte("three"))[:12]+"\tm\t2024-01-01\n12\tsha1:5a5d2e5\tbad\tsoon\nv1\td41d8cd98f00b204e9800998ecf8427e\t\t\n")
	r := NewReport(nil)
	o := opened(t, fsys, r).Objects()[0]
	var got []storage.Version
	for v, err := range o.Versions(r) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	when := time.Date(2023, 1, 2, 3, 4, 5, 6000, time.UTC)
	want := []storage.Version{
		{Number: 1, Time: when, Hash: storage.Hash(nil), Text: []byte{}},
		{Number: 2, Time: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), Message: "m (version 3 of the prototype)", Hash: storage.Hash([]byte("three")), Text: []byte("three")},
		{Number: 3, Time: when, Message: "bad (version 12 of the prototype)", Hash: storage.Hash([]byte("twelve")), Text: []byte("twelve")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var problems []string
	for _, p := range r.Problems(Versions) {
		problems = append(problems, fmt.Sprint(p.File[len("versions/a/"):], " ", p.Line, " ", p.Outcome))
	}
	// The time of 12; number 3; 4 is too long, has no row; hash and number of 12.
	wantProblems := []string{"metadata.tsv 3 mended", "v3.txt 0 mended", "v4.txt 0 left", "v12.py 0 mended", "v12.py 0 mended"}
	if diff := cmp.Diff(wantProblems, problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if b := r.Objects()[0].Bytes; b != o.VersionBytes {
		t.Errorf("read %d bytes of %d", b, o.VersionBytes)
	}
}

// TestReportIsBounded has more and longer problems than a report keeps.
func TestReportIsBounded(t *testing.T) {
	told, bytes := 0, 0
	r := NewReport(func(p Problem) { told++; bytes += len(p.Raw) })
	long := strings.Repeat("v", 10_000)
	text := "key\tvalue\tother\n" + strings.Repeat("\t"+long+"\n", 250) + strings.Repeat("k\tv\t"+long+"\n", 7)
	if _, err := opened(t, files("state/a/state.tsv", text), r).Objects()[0].State(r); err != nil {
		t.Fatal(err)
	}
	if r.Count(State, Left) != 250 || r.Count(State, Mended) != 7 || told != 257 || bytes < 257*len(long) {
		t.Errorf("left %d, mended %d, told of %d with %d bytes", r.Count(State, Left), r.Count(State, Mended), told, bytes)
	}
	var b strings.Builder
	n, err := r.WriteTo(&b)
	if err != nil || n != int64(b.Len()) || n > 100*3*maxRaw {
		t.Errorf("wrote %d of %d bytes: %v", n, b.Len(), err)
	}
	if len(r.Problems(State)) != 100 || !strings.Contains(b.String(), "and 157 more") || !strings.Contains(b.String(), "10001 bytes") {
		t.Errorf("kept %d problems:\n%.2000s", len(r.Problems(State)), b.String())
	}
}

// FuzzTables holds what any table becomes to what a store demands.
func FuzzTables(f *testing.F) {
	for _, s := range []string{"key\tvalue\na\t1\n", "\ufeffentry_id\ttimestamp\tlevel\tmessage\tx\t\r\n1\t1700000000.5\tinfo\t\"a\nb\"\t\xff\r\ny",
		"version_id\tmessage\n1\t\"\n2\ta\tb\n", "a\tb", "", "message\tmessage\tcolumn_2\n\n\"\t\t\t\t5\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := NewReport(func(p Problem) { _ = p.String() })
		fsys := files("state/a/state.tsv", string(text), "logs/a/log.tsv", string(text), "versions/a/metadata.tsv", string(text), "versions/a/v1.txt", string(text))
		o := opened(t, fsys, r).Objects()[0]
		changes, err := o.State(r)
		for _, c := range changes {
			if c.Key == "" || len(c.Key) > 512 || !utf8.ValidString(c.Key) || !json.Valid(c.Value) || !utf8.Valid(c.Value) {
				t.Errorf("key %q = %q", c.Key, c.Value)
			}
		}
		for e, err := range o.Entries(r) {
			var fields map[string]any
			if err != nil || levels[string(e.Level)] != e.Level || e.Time.Year() < 0 || e.Time.Year() > 9999 || e.Time != micro(e.Time) {
				t.Errorf("entry %+v, %v", e, err)
			}
			if e.Fields != nil && (json.Unmarshal(e.Fields, &fields) != nil || !utf8.Valid(e.Fields) || len(fields) == 0 || len(fields) != bytes.Count(names(e.Fields), []byte{'\n'})) {
				t.Errorf("fields %q of %q", e.Fields, text)
			}
		}
		for v, err := range o.Versions(r) {
			if err != nil || v.Number != 1 || !bytes.Equal(v.Text, text) {
				t.Errorf("version %+v, %v", v, err)
			}
		}
		if _, werr := r.WriteTo(io.Discard); err != nil || werr != nil {
			t.Error(err, werr)
		}
	})
}

// names gives the names of a JSON object, one a line, repeated ones too.
func names(object []byte) []byte {
	var b []byte
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	for i := -1; ; i++ {
		token, err := d.Token()
		if err != nil || token == json.Delim('}') {
			return b
		}
		if i >= 0 && i%2 == 0 {
			b = append(b, '\n')
		}
	}
}

func BenchmarkEntries(b *testing.B) {
	var text []byte
	text = append(text, "entry_id\ttimestamp\tlevel\tmessage\tuser\tms\r\n"...)
	for i := range 10_000 {
		text = appendPython(text, []string{fmt.Sprint("e", i), "2024-01-31T10:20:30.123456", "INFO", "the object was called", "ada", "12.5"}, "\r\n", false)
	}
	fsys := files("logs/a/log.tsv", string(text))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r := NewReport(nil)
		f, err := Open(fsys, r)
		if err != nil {
			b.Fatal(err)
		}
		for _, err := range f.Objects()[0].Entries(r) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

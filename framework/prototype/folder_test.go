package prototype

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

var update = flag.Bool("update", false, "write the golden files anew")

func opened(t testing.TB, fsys fs.FS, r *Report) *Folder {
	t.Helper()
	f, err := Open(fsys, r)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// dump reads everything of a folder and gives it as text, with the report.
func dump(t testing.TB, fsys fs.FS, r *Report) string {
	t.Helper()
	var b strings.Builder
	for _, o := range opened(t, fsys, r).Objects() {
		fmt.Fprintf(&b, "== %s\n", o.ID)
		changes, err := o.State(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			fmt.Fprintf(&b, "state %q = %s", c.Key, c.Value)
			if !c.Time.IsZero() {
				fmt.Fprintf(&b, " at %s", c.Time.Format(time.RFC3339Nano))
			}
			fmt.Fprintln(&b)
		}
		for e, err := range o.Entries(r) {
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "entry %s %s %q %s\n", e.Time.Format(time.RFC3339Nano), e.Level, e.Message, e.Fields)
		}
		for v, err := range o.Versions(r) {
			if err != nil {
				t.Fatal(err)
			}
			if v.Hash != storage.Hash(v.Text) {
				t.Errorf("version %d of %s has the hash %s", v.Number, o.ID, v.Hash)
			}
			when := v.Time.Format(time.RFC3339Nano)
			if v.Time.Year() > 2024 {
				when = "(time of the file)"
			}
			fmt.Fprintf(&b, "version %d %s by %q: %q: %q\n", v.Number, when, v.Author, v.Message, v.Text)
		}
		for _, f := range o.Files(r) {
			fmt.Fprintf(&b, "file %q %s %d %q\n", f.Name, f.Type, f.Size, content(t, f))
		}
		if got, want := r.object(o).Bytes, o.StateBytes+o.LogBytes+o.VersionBytes; got != want {
			t.Errorf("%s: read %d bytes of %d", o.ID, got, want)
		}
	}
	fmt.Fprintln(&b, "== report")
	if n, err := r.WriteTo(&b); err != nil || n == 0 {
		t.Fatalf("WriteTo: %d, %v", n, err)
	}
	return b.String()
}

func content(t testing.TB, f File) string {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFolder(t *testing.T) {
	got := dump(t, os.DirFS("testdata/folder"), NewReport(nil))
	if *update {
		if err := os.WriteFile("testdata/folder.golden", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/folder.golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("run go test -update if this is wanted (-want +got):\n%s", diff)
	}
}

// TestNothingIsLost looks for every text of the hand-written folder, torn and
// damaged ones too, in what was taken or in the report.
func TestNothingIsLost(t *testing.T) {
	var problems strings.Builder
	out := dump(t, os.DirFS("testdata/folder"), NewReport(func(p Problem) { fmt.Fprintln(&problems, p) }))
	for _, text := range []string{
		"only a value", "lost", `say \"hi\"`, "and\\tmore", `\xe9t\xe9`, `\xff\xfe`, "007", "torn", "ada", "bob", "nameless", "kept", "FATAL", "custom", "31.01.2024",
		"123456789Z", `latin \xe9`, `caf\\xe9`, "ten", "eleven", "lost quote", "two lines", "2024-01-3\"", strings.Repeat("0", 64), "replaced", "no text", "no number",
		"v07.txt", "v5.py", "notes.md", "log.tsv.1", "state/README", "config.json", "files/broken/sub", strings.Repeat("k", 513), "yesterday",
	} {
		if !strings.Contains(out, text) {
			t.Errorf("%q is neither in what was taken nor in the report", text)
		}
	}
	for line := range strings.Lines(problems.String()) {
		if !strings.Contains(out, strings.TrimSpace(line)) {
			t.Errorf("told of %s, which the report does not show", line)
		}
	}
}

func TestNotAPrototype(t *testing.T) {
	for name, c := range map[string]struct {
		fsys fs.FS
		want string
	}{
		"empty":        {fstest.MapFS{}, "none of the folders"},
		"other":        {fstest.MapFS{"src/main.go": {}}, "none of the folders"},
		"a file":       {fstest.MapFS{"state": {}}, "none of the folders"},
		"this station": {fstest.MapFS{"station.tsv": {}, "state/a/state.tsv": {}}, "of this station"},
	} {
		_, err := Open(c.fsys, NewReport(nil))
		if e, ok := errors.AsType[*errs.Error](err); !ok || e.Kind != errs.Invalid || !strings.Contains(e.Message, c.want) {
			t.Errorf("%s: got %v, want an errs.Invalid with %q", name, err, c.want)
		}
	}
	if _, err := OpenDir(filepath.Join(t.TempDir(), "missing"), NewReport(nil)); err == nil {
		t.Error("a folder that does not exist was opened")
	}
	for _, part := range parts {
		opened(t, fstest.MapFS{string(part): {Mode: fs.ModeDir}}, NewReport(nil))
	}
}

func TestObjectIDs(t *testing.T) {
	long := strings.Repeat("l", 129)
	fsys := fstest.MapFS{}
	for _, name := range []string{"counter", "Counter", "COUNTER", "a b", "A_B", ".hidden", "__x", "größe", "日本", long, "x..y"} {
		fsys["state/"+name+"/state.tsv"] = &fstest.MapFile{Data: []byte("key\tvalue\nname\t" + name + "\n")}
	}
	fsys["logs/Zoo/log.tsv"] = &fstest.MapFile{Data: []byte("message\nhi\n")}
	r := NewReport(nil)
	got := map[string]string{}
	for _, o := range opened(t, fsys, r).Objects() {
		got[string(o.ID)] = o.Name
	}
	want := map[string]string{"counter": "counter", "a_b": "A_B", "hidden": ".hidden", "x": "__x", "gr__e": "größe", long[:128]: long, "x..y": "x..y", "zoo": "Zoo"}
	want["gr__e"] = "größe"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("id → name (-want +got):\n%s", diff)
	}
	var left []string
	for _, p := range r.Problems(Layout) {
		if p.Outcome == Left {
			left = append(left, p.File)
		}
	}
	if diff := cmp.Diff([]string{"*/COUNTER", "*/Counter", "*/a b", "*/日本"}, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// TestOddFiles has what only a real folder can: links, a socket, and names
// that are not UTF-8.
func TestOddFiles(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) {
		t.Helper()
		must(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	write("files/a/plain.txt", "plain")
	write("files/a/new\nline.txt", "newline")
	write("files/a/new\tline.txt", "tab")
	write("files/a/new_line.txt", "underscore")
	write(`files/a/back\slash.txt`, "backslash")
	write("files/a/"+strings.Repeat("ü", 120)+".tar.gz", "long")
	write("logs/a/log.tsv", "message\nhi\n")
	if err := os.WriteFile(filepath.Join(dir, "files/a/caf\xe9.html"), []byte("latin"), 0o644); err != nil {
		t.Skipf("this file system takes UTF-8 names only: %v", err)
	}
	must(os.WriteFile(filepath.Join(outside, "state.tsv"), []byte("key\tvalue\nsecret\t1\n"), 0o644))
	must(os.Symlink(filepath.Join(outside, "state.tsv"), filepath.Join(dir, "files/a/link")))
	must(os.Symlink(outside, filepath.Join(dir, "versions")))
	must(os.Mkdir(filepath.Join(dir, "state"), 0o755))
	write("other/state.tsv", "key\tvalue\nsecret\t1\n")
	must(os.Symlink("../other", filepath.Join(dir, "state/a"))) // an object that is there, and nothing leads outside
	must(os.Symlink(outside, filepath.Join(dir, "state/b")))
	must(os.Mkdir(filepath.Join(dir, "files/a/sub"), 0o755))
	l, err := net.Listen("unix", filepath.Join(dir, "files/a/s"))
	must(err)
	t.Cleanup(func() { must(l.Close()) })

	r := NewReport(nil)
	f, err := OpenDir(dir, r)
	must(err)
	t.Cleanup(func() { must(f.Close()) })
	if n := len(f.Objects()); n != 1 {
		t.Fatalf("%d objects, want a alone", n)
	}
	o := f.Objects()[0]
	if changes, err := o.State(r); err != nil || len(changes) > 0 {
		t.Errorf("state through a link: %v, %v", changes, err)
	}
	got := map[string]string{}
	for _, f := range o.Files(r) {
		got[f.Name] = f.Type + " " + content(t, f)
	}
	want := map[string]string{
		"plain.txt": "text/plain; charset=utf-8 plain", "new_line.txt": "text/plain; charset=utf-8 underscore", "back_slash.txt": "text/plain; charset=utf-8 backslash", "new_line-2.txt": "text/plain; charset=utf-8 tab",
		"new_line-3.txt": "text/plain; charset=utf-8 newline", "caf_.html": "text/html; charset=utf-8 latin", strings.Repeat("ü", 98) + ".gz": "application/gzip long",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	var left []string
	for _, k := range kinds {
		for _, p := range r.Problems(k) {
			if p.Outcome == Left {
				left = append(left, p.File)
			}
		}
	}
	slices.Sort(left)
	if diff := cmp.Diff([]string{"files/a/link", "files/a/s", "files/a/sub", "other", "state/a", "state/b", "versions"}, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

func TestUnreadableIsAnError(t *testing.T) {
	base := fstest.MapFS{
		"state/a/state.tsv": {Data: []byte("key\tvalue\na\t1\n")}, "logs/a/log.tsv": {Data: []byte("level\tmessage\nINFO\thi\n")},
		"versions/a/metadata.tsv": {Data: []byte("version_id\tmessage\n1\tx\n")}, "versions/a/v1.txt": {Data: []byte("x")}, "files/a/f": {},
	}
	for name := range base {
		t.Run(name, func(t *testing.T) {
			r := NewReport(nil)
			o := opened(t, failing{base, name}, r).Objects()[0]
			var failed []error
			if _, err := o.State(r); err != nil {
				failed = append(failed, err)
			}
			for _, err := range o.Entries(r) {
				if err != nil {
					failed = append(failed, err)
				}
			}
			for _, err := range o.Versions(r) {
				if err != nil {
					failed = append(failed, err)
				}
			}
			for _, f := range o.Files(r) {
				if c, err := f.Open(); err != nil {
					failed = append(failed, err)
				} else if _, err := io.ReadAll(c); err != nil {
					failed = append(failed, errs.Wrap(errs.Unavailable, "", err, "Reading %s.", f.path))
				}
			}
			if len(failed) != 1 || errs.KindOf(failed[0]) != errs.Unavailable || !errors.Is(failed[0], io.ErrClosedPipe) {
				t.Errorf("got the errors %v, want one errs.Unavailable", failed)
			}
		})
	}
}

// failing is a file system in which one file opens and cannot be read.
type failing struct {
	fs.FS
	name string
}

func (f failing) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if err == nil && name == f.name {
		return unreadableFile{file}, nil
	}
	return file, err
}

type unreadableFile struct{ fs.File }

func (unreadableFile) Read(b []byte) (int, error) { return iotest.ErrReader(io.ErrClosedPipe).Read(b) }

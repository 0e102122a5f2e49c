package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/archive"
)

// counting is a script whose calls leave state and log entries.
const counting = `function POST() state.set("n", (state.get("n") or 0) + 1) log.info("counted", {n = state.get("n")}) end
function GET() return tostring(state.get("n") or 0) end`

// porter gives the host of a bench, with its memory as what objects go through.
func (b *bench) porter() *Host {
	return &Host{objects: b.objects, dispatch: b.objects.dispatch, archives: b.objects.store.(frail), streams: newStreams(1, 1)}
}

func (b *bench) export(object id.Object) []byte {
	b.t.Helper()
	r, err := b.porter().Export(b.t.Context(), object)
	b.must(err)
	archive, err := io.ReadAll(r)
	b.must(errors.Join(err, r.Close()))
	return archive
}

func (b *bench) importAs(object id.Object, archive []byte) (host.Published, error) {
	return b.porter().Import(b.t.Context(), object, bytes.NewReader(archive))
}

func (b *bench) post(object id.Object) {
	b.t.Helper()
	_, err := b.objects.dispatch.Invoke(b.t.Context(), host.Call{Object: object, Method: "POST", RequestID: "r"})
	b.must(err)
}

// unpacked is an archive, without the lines that say whose it is and as of which commit.
func unpacked(t *testing.T, b []byte) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	if err := archive.Read(bytes.NewReader(b), unpack{all}); err != nil {
		t.Fatal(err)
	}
	return all
}

type unpack struct{ to map[string][]string }

func (u unpack) add(part string, v any) { u.to[part] = append(u.to[part], fmt.Sprintf("%+v", v)) }

func (u unpack) Begin(h archive.Header) error {
	h.Object, h.Sequence = "", 0
	u.add("header", h)
	return nil
}
func (u unpack) State(c storage.StateChange) error { u.add("state", c); return nil }
func (u unpack) Version(v storage.Version) error   { u.add("versions", v); return nil }
func (u unpack) Entry(e storage.Entry) error       { u.add("log", e); return nil }
func (u unpack) File(f storage.File, r io.Reader) error {
	content, err := io.ReadAll(r)
	u.add("files", f)
	u.add("contents", content)
	return err
}

// TestExportImport: what is imported is what was exported, and goes on from there:
// live, with its file, after a restart too.
func TestExportImport(t *testing.T) {
	b := newBench(t, "a.lua", counting)
	b.must(b.put("a", counting+"\n-- two"))
	for range 3 {
		b.post("a")
	}
	whole := b.export("a")
	done, err := b.importAs("b", whole)
	if want := (host.Published{Version: 2, Hash: storage.Hash([]byte(counting + "\n-- two"))}); err != nil || done != want {
		t.Fatalf("%+v, %v, want %+v", done, err, want)
	}
	if got := b.answer("b"); got != "3" {
		t.Errorf("the import answers %q", got)
	}
	if d := cmp.Diff(unpacked(t, whole), unpacked(t, b.export("b"))); d != "" {
		t.Errorf("what was imported is not what was exported (-exported +then):\n%s", d)
	}
	if got := b.file("b.lua"); got != counting+"\n-- two" {
		t.Errorf("its file holds %q", got)
	}
	b.post("b")
	b.post("a")
	for range 2 {
		b.expect("a", "4")
		b.expect("b", "4")
		b.wantVersions("b", counting, counting+"\n-- two")
		if n := strings.Count(b.entries("b"), "counted"); n != 4 {
			t.Errorf("the log has %d entries, want 4:\n%s", n, b.entries("b"))
		}
		b.restart()
	}
	b.save("b.lua", counting+"\n-- three")
	b.until("a save is a version", func() bool { return len(b.versions("b")) == 3 })
}

// TestImportWhereSomethingIs: an id that is taken, or was, is refused before a byte
// is read.
func TestImportWhereSomethingIs(t *testing.T) {
	b := newBench(t, "a.lua", counting, "gone.lua", counting, "removed.lua", counting, "lib/m.lua", "return {}")
	b.rest()
	whole := b.export("a")
	b.must(b.delete(t.Context(), host.Deletion{Object: "gone"}))
	b.must(os.Remove(b.path("removed.lua")))
	b.expect("removed", "not_found")
	for object, code := range map[id.Object]string{
		"a": "object_exists", "gone": "object_exists", "removed": "object_exists", "lib_m": "module", "lib_new": "module", "../a": "bad_object_id",
	} {
		_, err := b.porter().Import(t.Context(), object, untouched{t})
		if e := errs.From(err); e.CodeOf() != code {
			t.Errorf("an import as %q gives %v, want %s", object, err, code)
		}
	}
	if _, err := b.porter().Export(t.Context(), "lib_m"); errs.From(err).CodeOf() != "module" {
		t.Errorf("the export of a module gives %v", err)
	}
	for _, object := range []id.Object{"none", "gone", "removed"} {
		if _, err := b.porter().Export(t.Context(), object); !errs.Is(err, errs.NotFound) {
			t.Errorf("the export of %q gives %v", object, err)
		}
	}
	if _, err := b.importAs("b", whole); err != nil {
		t.Error(err)
	}
}

// untouched fails the test where it is read.
type untouched struct{ *testing.T }

func (r untouched) Read([]byte) (int, error) {
	r.Error("something was read of an import that cannot be")
	return 0, io.EOF
}

// wantNothing wants neither storage nor a client to know of an object.
func (b *bench) wantNothing(after string, object id.Object) {
	b.t.Helper()
	o, err := b.objects.store.(frail).Load(b.t.Context(), object) // past the mailbox, which remembers
	b.must(err)
	if o.Sequence != 0 || b.answer(object) != "not_found" {
		b.t.Fatalf("%s leaves %+v, which answers %q", after, o.ObjectInfo, b.answer(object))
	}
}

// made gives an archive with one thing that the test puts into it.
func made(t *testing.T, change func(*contents)) []byte {
	t.Helper()
	stamp := hlc.Stamp{Time: 1 << 16, Station: "s1"}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	text := []byte(counting)
	c := &contents{
		Header:   archive.Header{Object: "a", Incarnation: 1, Sequence: 5, Head: 1},
		state:    []storage.StateChange{{Key: "n", Value: []byte("7"), Stamp: stamp}},
		versions: []storage.Version{{Number: 1, Time: at, Hash: storage.Hash(text), Text: text}},
		entry:    storage.Entry{ID: id.Entry{Station: "s1", Boot: 1, Sequence: 1}, Time: at, Level: storage.Info, Message: "m"},
		file:     storage.File{Name: "f", Size: 1, Hash: storage.Hash([]byte("x")), Time: at, Stamp: stamp},
		content:  strings.NewReader("x"),
	}
	change(c)
	var out bytes.Buffer
	w, err := archive.NewWriter(&out, c.Header)
	if err == nil {
		err = errors.Join(w.State(c.state), w.Versions(c.versions, func(n uint64) ([]byte, error) {
			for _, v := range c.versions {
				if v.Number == n {
					return v.Text, nil
				}
			}
			return nil, errs.New(errs.NotFound, "", "no version %d", n)
		}), w.Files([]storage.File{c.file}, func(*storage.File) (io.ReadCloser, error) { return io.NopCloser(c.content), nil }),
			w.Entry(&c.entry), w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return append(out.Bytes(), c.behind...)
}

type contents struct {
	archive.Header
	state    []storage.StateChange
	versions []storage.Version
	entry    storage.Entry
	file     storage.File
	content  io.Reader
	behind   string
}

func (c *contents) text(source string) {
	v := &c.versions[len(c.versions)-1]
	v.Text, v.Hash = []byte(source), storage.Hash([]byte(source))
}

// TestImportRefused: what a station could not have is refused, whatever is wrong with
// it, and nothing is left of it.
func TestImportRefused(t *testing.T) {
	b := newBench(t, "lib/there.lua", "return {}")
	b.rest()
	l := dispatch.DefaultLimits()
	future := hlc.Stamp{Time: hlc.At(time.Now().Add(time.Hour)), Station: "s1"}
	for name, c := range map[string]struct {
		change func(*contents)
		code   string
		says   string
	}{
		"a script that does not compile": {func(c *contents) { c.text("function") }, "source_invalid", ""},
		"a script that does not load":    {func(c *contents) { c.text("error('no')") }, "source_invalid", "no"},
		"a script that is too large":     {func(c *contents) { c.text(strings.Repeat(" ", 1<<20)) }, "source_too_large", ""},
		"a script that needs a module":   {func(c *contents) { c.text("require 'there' require 'missing'") }, "source_invalid", "'missing'"},
		"no source":                      {func(c *contents) { c.Head, c.versions = 0, nil }, "bad_archive", "no source"},
		"a newer version than there is":  {func(c *contents) { c.Head = 2 }, "bad_archive", "newest version"},
		"an older version than there is": {func(c *contents) {
			c.versions = append(c.versions, c.versions[0])
			c.versions[1].Number = 2
		}, "bad_archive", "newest version"},
		"a key that is none":                  {func(c *contents) { c.state[0].Key = strings.Repeat("k", storage.MaxKey+1) }, "bad_archive", ""},
		"a value that is no JSON":             {func(c *contents) { c.state[0].Value = []byte("{") }, "bad_archive", "not JSON"},
		"a value that is too large":           {func(c *contents) { c.state[0].Value = fmt.Appendf(nil, "%q", strings.Repeat("v", 256<<10)) }, "import_too_large", "value"},
		"a key of tomorrow":                   {func(c *contents) { c.state[0].Stamp = future }, "bad_archive", "in the future"},
		"a file of tomorrow":                  {func(c *contents) { c.file.Stamp = future }, "bad_archive", "in the future"},
		"fields that are no object":           {func(c *contents) { c.entry.Fields = []byte("[1]") }, "bad_archive", "JSON object"},
		"a boot that none can follow":         {func(c *contents) { c.entry.ID.Boot = 1<<64 - 1 }, "bad_archive", "log entry"},
		"a boot that leaves few":              {func(c *contents) { c.entry.ID.Boot = 2 + maxBootAhead }, "bad_archive", "boot 4294967298"},
		"an entry that none can follow":       {func(c *contents) { c.entry.ID.Sequence = 1<<64 - 1 }, "bad_archive", "log entry"},
		"an entry that is too large":          {func(c *contents) { c.entry.Message = strings.Repeat("m", l.Staged+1) }, "import_too_large", "log entry"},
		"a sequence that none can follow":     {func(c *contents) { c.Sequence = 1<<64 - 1 }, "bad_archive", ""},
		"an incarnation that none can follow": {func(c *contents) { c.Incarnation = 1<<64 - 1 }, "bad_archive", ""},
		"a head that none can follow":         {func(c *contents) { c.Head, c.versions[0].Number = 1<<63, 1<<63 }, "bad_archive", ""},
		"an object of a cluster":              {func(c *contents) { c.HomeEpoch = 1 }, "bad_archive", "cluster"},
		"too many keys that are gone": {func(c *contents) {
			c.state = nil
			for i := range l.State/(64+storage.MaxKey) + 1 {
				key := fmt.Sprintf("%0*d", storage.MaxKey, i)
				c.state = append(c.state, storage.StateChange{Key: key, Deleted: true, Stamp: hlc.Stamp{Time: 1, Station: "s1"}})
			}
		}, "import_too_large", "state"},
		"something behind its end": {func(c *contents) { c.behind = "x" }, "bad_archive", "follows"},
		"much behind its end":      {func(c *contents) { c.behind = strings.Repeat("\x00", 64<<10) }, "bad_archive", "follows"},
		"too much state": {func(c *contents) {
			value := fmt.Appendf(nil, "%q", strings.Repeat("v", 250<<10))
			c.state = nil
			for i := range l.State/len(value) + 1 {
				c.state = append(c.state, storage.StateChange{Key: fmt.Sprintf("k%06d", i), Value: value, Stamp: hlc.Stamp{Time: 1, Station: "s1"}})
			}
		}, "import_too_large", "state"},
		"a file that is too large": {func(c *contents) {
			c.file.Size, c.content = l.File+1, io.LimitReader(zeros{}, l.File+1)
			c.file.Hash = strings.Repeat("0", 64) // it is refused before that is known
		}, "import_too_large", "file"},
	} {
		_, err := b.importAs("x", made(t, c.change))
		if e := errs.From(err); e == nil || e.CodeOf() != c.code || !strings.Contains(e.Text(), c.says) {
			t.Errorf("%s gives %v, want %s with %q", name, err, c.code, c.says)
		}
		b.wantNothing(name, "x")
	}
	whole := made(t, func(*contents) {})
	for n := range len(whole) / 256 {
		_, err := b.importAs("x", whole[:n*256])
		if n*256 < len(whole)-1024-512+1 && errs.From(err).CodeOf() != "bad_archive" {
			t.Errorf("the first %d bytes of %d give %v", n*256, len(whole), err)
		}
		if err == nil {
			b.must(b.delete(t.Context(), host.Deletion{Object: "x"}))
			break
		}
	}
	broken := errs.New(errs.Unavailable, "gone", "The client is gone.")
	if _, err := b.porter().Import(t.Context(), "y", io.MultiReader(bytes.NewReader(whole), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("a reader that fails behind the whole gives %v", err)
	}
	raw := errors.New("broken")
	if _, err := b.porter().Import(t.Context(), "y", io.MultiReader(bytes.NewReader(whole[:2000]), failing{raw})); !errors.Is(err, raw) {
		t.Errorf("a reader that fails gives %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.porter().Import(ctx, "y", bytes.NewReader(whole)); err == nil {
		t.Error("an import that was given up is one")
	}
	b.wantNothing("an import that failed", "y")
	if _, err := b.importAs("y", append(bytes.Clone(whole), make([]byte, 10<<10)...)); err != nil {
		t.Errorf("an archive in a whole block of tar gives %v", err)
	}
	b.expect("y", "7")
}

// TestImportAtTheLimits: an object with the highest numbers that an archive may name
// goes on from them, and the station from the boot: it is called, has versions, is
// exported and ends. A few below them it is imported again, on its station too.
func TestImportAtTheLimits(t *testing.T) {
	b := newBench(t)
	b.rest()
	high := func(less uint64, boot uint64) []byte {
		return made(t, func(c *contents) {
			c.Incarnation, c.Sequence, c.Head = maxNumber-less, maxNumber-less, maxNumber-less
			c.versions[0].Number = maxNumber - less
			c.entry.ID.Boot, c.entry.ID.Sequence = boot, maxNumber-less
		})
	}
	at, err := b.objects.store.(frail).Boot(t.Context())
	b.must(err)
	for object, archive := range map[id.Object][]byte{
		"most": high(0, at.Number+maxBootAhead), "now": high(0, at.Number), "nearly": high(100, at.Number+maxBootAhead),
	} {
		_, err := b.importAs(object, archive)
		b.must(err)
		for i := range 3 {
			b.post(object)
			b.expect(object, fmt.Sprint(8+i))
			b.must(b.put(object, counting+fmt.Sprint("\n--", i)))
			b.restart()
		}
		versions, err := b.objects.store.Versions(t.Context(), storage.VersionsQuery{Object: object, Limit: 10})
		if err != nil || len(versions) != 4 || versions[0].Number != versions[3].Number+3 || versions[0].Number < maxNumber-97 || versions[0].Number >= 1<<53 {
			t.Errorf("%s has the versions %+v, %v", object, versions, err)
		}
		whole := b.export(object)
		if object == "nearly" {
			_, err := b.importAs("again", whole)
			b.must(err)
			b.post("again")
			b.expect("again", "11")
		}
		b.must(b.delete(t.Context(), host.Deletion{Object: object}))
	}
	now, err := b.objects.store.(frail).Boot(t.Context())
	if err != nil || now.Number < at.Number+maxBootAhead || now.Number > at.Number+maxBootAhead+20 {
		t.Errorf("the station is at boot %d, %v", now.Number, err)
	}
}

// TestKilledAfterTheImport: what storage has of an import is in service after the
// next start, with its file.
func TestKilledAfterTheImport(t *testing.T) {
	b := newBench(t, "a.lua", counting)
	b.rest()
	b.post("a")
	whole := b.export("a")
	if _, err := b.objects.store.(frail).Import(t.Context(), "b", bytes.NewReader(whole)); err != nil {
		t.Fatal(err)
	}
	b.restart()
	b.expect("b", "1")
	if got := b.file("b.lua"); got != counting {
		t.Errorf("its file holds %q", got)
	}
	b.wantVersions("b", counting)
}

// TestImportReserves: while an object is imported nobody else makes or deletes it, and
// a second import is told.
func TestImportReserves(t *testing.T) {
	b := newBench(t, "a.lua", counting)
	b.rest()
	whole := b.export("a")
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := b.porter().Import(t.Context(), "b", r)
		done <- err
	}()
	_, err := w.Write(whole[:1000])
	b.must(err)
	_, again := b.importAs("b", whole)
	for what, err := range map[string]error{
		"a second import": again, "a source": b.put("b", counting), "a deletion": b.delete(t.Context(), host.Deletion{Object: "b"}),
	} {
		if errs.From(err).CodeOf() != "import_runs" {
			t.Errorf("%s meanwhile gives %v", what, err)
		}
	}
	b.must(b.put("c", counting)) // others are not held up
	_, err = w.Write(whole[1000:])
	b.must(errors.Join(err, w.Close(), <-done))
	b.must(b.put("b", counting+"\n-- two"))
	b.wantVersions("b", counting, counting+"\n-- two")
}

// tidying is a storage that has to remove what an import left, until it is told.
type tidying struct {
	frail
	begun chan struct{}
	done  chan struct{}
}

func (s tidying) Import(ctx context.Context, object id.Object, r io.Reader) (storage.ObjectInfo, error) {
	info, err := s.frail.Import(ctx, object, r)
	if err != nil {
		s.begun <- struct{}{}
		<-s.done
	}
	return info, err
}

// TestImportAgain: a client that broke off may send its archive again at once. What is
// left of the first time is waited for, and not longer than the client waits.
func TestImportAgain(t *testing.T) {
	b := newBench(t, "a.lua", counting)
	b.rest()
	whole := b.export("a")
	h, s := b.porter(), tidying{b.objects.store.(frail), make(chan struct{}), make(chan struct{})}
	h.archives = s
	start := func(ctx context.Context, r io.Reader) <-chan error {
		done := make(chan error, 1)
		go func() { _, err := h.Import(ctx, "b", r); done <- err }()
		return done
	}
	first := start(t.Context(), io.MultiReader(bytes.NewReader(whole[:2000]), failing{io.ErrUnexpectedEOF}))
	<-s.begun
	ctx, cancel := context.WithCancel(t.Context())
	gone, second := start(ctx, untouched{t}), start(t.Context(), bytes.NewReader(whole))
	b.until("three imports are there", func() bool { return len(h.streams.imports) == 3 })
	cancel()
	if err := <-gone; !errs.Is(err, errs.Unavailable) {
		t.Errorf("an import whose client is gone gives %v", err)
	}
	close(s.done)
	if err := <-first; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the first import gives %v", err)
	}
	b.must(<-second)
	b.expect("b", "0")
}

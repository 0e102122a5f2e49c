package kernel

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// lose has storage say that of the text of a version.
func (b *bench) lose(object id.Object, number uint64, err error) {
	b.lost.Store(lostVersion{object, number}, err)
}

var (
	errDamaged  = errs.New(errs.Corrupt, "", "The text of a version does not match its hash.")
	errRowLost  = errs.New(errs.NotFound, "", "There is no such version.")
	errDiskSaid = errs.New(errs.Unavailable, "", "The data of an object cannot be read.")
)

// told gives the metadata of an object.
func (b *bench) told(object id.Object) host.Metadata {
	b.t.Helper()
	h := &Host{objects: b.objects, dispatch: b.dispatch, store: b.store.(frail)}
	m, err := h.Metadata(b.t.Context(), host.MetadataQuery{Object: object})
	b.must(err)
	return m
}

// TestStartWithDamagedObjects: objects that storage cannot give keep no other from
// starting. They say why, and come back once they can be read.
func TestStartWithDamagedObjects(t *testing.T) {
	b := newBench(t, "damaged.lua", returns("one"), "unread.lua", returns("one"), "good.lua", returns("good"),
		"uses.lua", "require 'm'\n"+returns("uses"), "lib/m.lua", "return {}")
	b.rest()
	b.must(b.putAndDie("damaged", returns("two")))
	b.must(b.putAndDie("unread", returns("two")))
	b.end()
	b.write("lib/m.lua", "return {1}")
	b.lose("damaged", 2, errDamaged)
	b.lose("unread", 2, errDiskSaid)
	b.lose("lib_m", 1, errDiskSaid)
	b.start()
	b.expect("good", "good")
	for object, why := range map[id.Object]error{"damaged": errDamaged, "unread": errDiskSaid} {
		if got := b.answer(object); got != "out_of_service" {
			t.Errorf("%s answers %q", object, got)
		}
		m := b.told(object)
		if m.Trouble == nil || m.Trouble.Kind != host.Pending || m.Trouble.Serving != 0 || !strings.Contains(m.Trouble.Message, errs.From(why).Text()) {
			t.Errorf("the metadata of %s is %+v, with the trouble %+v", object, m, m.Trouble)
		}
		if !strings.Contains(b.log.String(), "object="+string(object)) {
			t.Errorf("the station's log does not name %s:\n%s", object, b.log)
		}
		if page, err := b.page(host.ObjectsQuery{Prefix: string(object)}); err != nil || len(page.Objects) != 1 {
			t.Errorf("%s is not listed: %v, %v", object, page, err)
		}
	}
	if log := b.log.String(); strings.Count(log, "level=ERROR") != 2 || strings.Contains(log, "level=WARN") || strings.Count(log, "object is out of service") != 2 {
		t.Errorf("of two objects the station's log says:\n%s", log)
	}
	b.lost.Clear()
	for range 2 {
		b.expect("damaged", "two")
		b.expect("unread", "two")
		b.expect("uses", "uses")
		b.restart()
	}
	if n := strings.Count(b.log.String(), "object is in service again"); n != 2 {
		t.Errorf("the station's log says %d times that an object is back:\n%s", n, b.log)
	}
	if m := b.told("damaged"); m.Trouble != nil || m.Versions != 2 {
		t.Errorf("then its metadata is %+v", m)
	}
}

// withheld waits until an object is out of service, in trouble that is tried again.
func (b *bench) withheld(object id.Object) {
	b.t.Helper()
	b.until("it is out of service", func() bool {
		return b.answer(object) == "out_of_service" && b.troubleOf(object).Kind == host.Pending
	})
	if got, err := b.host().Source(b.t.Context(), object); errs.From(err).CodeOf() != host.OutOfService || got.Text != nil {
		b.t.Errorf("the source of an object that is out of service is %+v, with the error %v", got, err)
	}
}

// TestFilesOfAWithheldObject: an object that is out of service gives its files, listed
// and read.
func TestFilesOfAWithheldObject(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"))
	b.rest()
	_, err := hostOf(b, 1).PutFile(t.Context(), host.NewFile{Object: "a", Name: "f", Type: "text/plain"}, strings.NewReader("content"))
	b.must(err)
	b.must(b.putAndDie("a", returns("two")))
	b.lose("a", 2, errDamaged)
	b.restart()
	b.withheld("a")
	h := hostOf(b, 1)
	page, err := h.Files(t.Context(), host.FilesQuery{Object: "a"})
	b.must(err)
	if len(page.Files) != 1 {
		t.Fatalf("it lists %+v", page.Files)
	}
	r, err := h.ReadFile(t.Context(), "a", "f", page.Files[0].Hash, 0)
	b.must(err)
	text, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || string(text) != "content" {
		t.Errorf("the file reads %q, %v", text, err)
	}
}

// TestMendAWithheldObject: a source is put over one that storage has lost, where its
// file is as it was, was edited meanwhile, or lies inside the program.
func TestMendAWithheldObject(t *testing.T) {
	for _, how := range []string{"as it was", "edited", "inside"} {
		t.Run(how, func(t *testing.T) {
			b := newBench(t, "a.lua", returns("one"))
			if how == "inside" {
				b.updated("a.lua", returns("one"))
			}
			b.must(b.putAndDie("a", returns("two")))
			b.end()
			if how == "edited" {
				b.write("a.lua", returns("edited"))
			}
			b.lose("a", 2, errDamaged)
			b.start()
			b.withheld("a")
			newest := storage.Hash([]byte(returns("two")))
			if m := b.told("a"); m.Hash != newest || m.Version != 0 {
				t.Errorf("the metadata is %+v", m)
			}
			_, err := b.publish(t.Context(), host.Publication{Object: "a", Text: []byte(returns("three")), IfMatch: newest})
			b.must(err)
			b.expect("a", "three")
			want := host.TroubleKind("")
			if how == "edited" {
				want = host.Conflict // as after any put beside an edit
			}
			if got := b.troubleOf("a"); got.Kind != want || got.Kind != "" && got.Serving != 3 {
				t.Errorf("then the trouble is %+v", got)
			}
			if got, err := b.host().Source(t.Context(), "a"); err != nil || got.Version != 3 {
				t.Errorf("then its source is %+v, with the error %v", got, err)
			}
			b.restart()
			b.expect("a", "three")
		})
	}
}

// TestPutBesideTroubleInside: a conflict with a text inside the program goes on, and
// tells which version serves, until a version has that text.
func TestPutBesideTroubleInside(t *testing.T) {
	b := newInside(t, "a.lua", returns("one"))
	b.must(b.put("a", returns("two")))
	b.updated("a.lua", returns("other"))
	b.must(b.put("a", returns("three")))
	if got := b.troubleOf("a"); got.Kind != host.Conflict || got.Serving != 3 {
		t.Errorf("the trouble is %+v", got)
	}
	b.must(b.put("a", returns("other")))
	if got := b.troubleOf("a"); got.Kind != "" {
		t.Errorf("the trouble of a version that has the text is %+v", got)
	}
}

// TestStartWithALostVersion: the text or the row of a version that the file holds too
// is lost, which keeps nobody from serving it.
func TestStartWithALostVersion(t *testing.T) {
	for _, why := range []error{errDamaged, errRowLost} {
		b := newBench(t, "a.lua", returns("one"))
		b.rest()
		b.lose("a", 1, why)
		b.restart()
		b.expect("a", "one")
		b.rest()
		if got := b.troubleOf("a"); got.Kind != "" {
			t.Errorf("%v: the trouble is %+v", why, got)
		}
		b.save("a.lua", returns("two"))
		b.expect("a", "two")
	}
}

// TestStartWithALostRow: where not even the hash is left of the version that the file
// may hold, the newest one serves and the file stays as it is.
func TestStartWithALostRow(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"), "b.lua", returns("one"))
	b.rest()
	b.must(b.putAndDie("a", returns("two")))
	b.must(b.putAndDie("b", returns("two")))
	b.end()
	b.lose("a", 1, errRowLost)
	b.lose("b", 1, errDamaged) // whose hash is left
	b.start()
	b.expect("a", "two")
	b.expect("b", "two")
	b.rest()
	if got := b.troubleOf("a"); got.Kind != host.Conflict || got.Serving != 2 || b.file("a.lua") != returns("one") {
		t.Errorf("the file holds %q, and the trouble is %+v", b.file("a.lua"), got)
	}
	if got := b.troubleOf("b"); got.Kind != "" || b.file("b.lua") != returns("two") {
		t.Errorf("the file of b holds %q, and the trouble is %+v", b.file("b.lua"), got)
	}
	b.must(os.Remove(b.path("a.lua")))
	b.until("the file is written anew", func() bool {
		text, err := os.ReadFile(b.path("a.lua"))
		return err == nil && string(text) == returns("two")
	})
}

// TestStartWithoutAFile: an object whose file is not there comes back as one does that
// has one, and nothing is empty meanwhile.
func TestStartWithoutAFile(t *testing.T) {
	b := newBench(t, "good.lua", returns("good"))
	b.must(b.putAndDie("a", returns("one")))
	b.lose("a", 1, errDiskSaid)
	b.restart()
	b.withheld("a")
	b.lost.Clear()
	b.expect("a", "one")
	b.until("the file is written", func() bool { _, err := os.Stat(b.path("a.lua")); return err == nil })
	b.until("the trouble is over", func() bool { return b.troubleOf("a").Kind == "" })
}

// TestStartWithAnUnreadableFile: an object or a module whose file cannot be read, and
// that storage does not give either, comes back once storage does.
func TestStartWithAnUnreadableFile(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"), "uses.lua", "require 'm'\n"+returns("uses"), "lib/m.lua", "return {}")
	b.rest()
	b.end()
	for _, name := range []string{"a.lua", "lib/m.lua"} {
		b.must(os.Remove(b.path(name)))
		b.must(os.Symlink(b.dir, b.path(name)))
	}
	b.write("uses.lua", "require 'm'\n"+returns("used"))
	b.lose("a", 1, errDiskSaid)
	b.lose("lib_m", 1, errDiskSaid)
	b.start()
	b.withheld("a")
	b.withheld("uses")
	if log := b.log.String(); strings.Count(log, "level=ERROR") != 3 || strings.Count(log, "module is out of service") != 1 {
		t.Errorf("of two objects and a module the station's log says:\n%s", log)
	}
	asked := b.lost.asked.Load()
	b.until("all are tried again", func() bool { return b.lost.asked.Load() > asked+6 })
	b.withheld("a")
	b.lost.Clear()
	b.expect("a", "one")
	b.expect("uses", "used")
	for _, object := range []id.Object{"a", "lib_m"} {
		b.until("the file is what is wrong", func() bool {
			got := b.troubleOf(object)
			return got.Kind == host.Refused && got.Serving == 1 && strings.Contains(got.Message, "the file cannot be read")
		})
	}
	b.must(os.Remove(b.path("a.lua")))
	b.write("a.lua", returns("two"))
	b.expect("a", "two")
}

// TestTroubleOfAnUnreadableFile: that the start could not read a file is told as it is
// of one that becomes so later, where a version serves and where none loads.
func TestTroubleOfAnUnreadableFile(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"), "lib/m.lua", "return {}")
	b.rest()
	text := []byte(broken)
	_, _, err := b.dispatch.Publish(t.Context(), dispatch.Publication{Proposal: cluster.Proposal{Object: "none", Version: storage.Version{
		Time: time.Now().UTC().Truncate(time.Microsecond), Author: "someone", Hash: storage.Hash(text), Text: text,
	}}})
	b.must(err)
	b.end()
	for _, name := range []string{"a.lua", "lib/m.lua", "none.lua"} {
		b.must(errors.Join(os.RemoveAll(b.path(name)), os.Symlink(b.dir, b.path(name))))
	}
	b.start()
	b.expect("a", "one")
	b.expect("none", "out_of_service")
	for object, serving := range map[id.Object]uint64{"a": 1, "lib_m": 1, "none": 0} {
		m := b.told(object)
		if m.Trouble == nil || m.Trouble.Kind != host.Refused || m.Trouble.Serving != serving || m.Trouble.File == "" || !strings.Contains(m.Trouble.Message, "the file cannot be read") {
			t.Errorf("the metadata of %s has the trouble %+v", object, m.Trouble)
		}
	}
	b.must(os.Remove(b.path("none.lua")))
	b.save("none.lua", returns("mended"))
	b.expect("none", "mended")
	b.until("the trouble is over", func() bool { return b.troubleOf("none").Kind == "" })
}

// TestStartWithAForeignObject: an object of which storage takes no change of this
// station serves what is stored of it.
func TestStartWithAForeignObject(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"), "good.lua", returns("good"))
	b.rest()
	info := b.info("a")
	b.must(b.store.(frail).Commit(t.Context(), []storage.Commit{{
		Object: "a", Incarnation: 1, Sequence: info.Sequence + 1, Stamp: hlc.Stamp{Time: hlc.At(time.Now()), Station: "s1"}, HomeEpoch: 7,
	}})[0])
	b.end()
	b.write("a.lua", returns("two"))
	b.start()
	b.expect("good", "good")
	b.expect("a", "one")
	if m := b.told("a"); m.Trouble == nil || m.Trouble.Serving != 1 || !strings.Contains(m.Trouble.Message, "home epoch 7") {
		t.Errorf("the metadata is %+v, with the trouble %+v", m, m.Trouble)
	}
}

// TestStartWithoutStorage: a storage that serves none of the objects ends the start.
func TestStartWithoutStorage(t *testing.T) {
	full := hook(func([]storage.Commit) error { return errs.New(errs.Unavailable, "", "The disk is full.") })
	b := newBench(t)
	b.end()
	b.write("a.lua", returns("one"))
	b.write("b.lua", returns("two"))
	b.before.Store(&full)
	if err := b.begin(); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("the start gives %v", err)
	}
	b.before.Store(nil)
	b.restart()
	b.expect("a", "one")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&beginning{o: b.objects}).one(ctx, beginner{begin: func(context.Context) error { return errDiskSaid }}); err == nil {
		t.Error("a start that was ended goes on")
	}
}

// silent answers nobody for a time.
type silent struct {
	sources
	until time.Time
}

func (s silent) Objects(context.Context, storage.ObjectsQuery) ([]storage.ObjectInfo, error) {
	if time.Now().Before(s.until) {
		return nil, errDiskSaid
	}
	return nil, nil
}

// TestStartWaitsForAnotherStorage: the time in which storage answers nobody counts
// against none of the objects, and counts once for all.
func TestStartWaitsForAnotherStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const outage = 40 * time.Second
		o := newObjects(nil, silent{until: time.Now().Add(outage)}, nil, slog.New(slog.DiscardHandler))
		end := time.Now().Add(time.Second)
		b := &beginning{o: o, until: end}
		var all sync.WaitGroup
		for _, name := range []string{"m", "n"} {
			tries := 0
			all.Go(func() {
				at := place{object: id.Object("lib_" + name), module: name}
				err := b.one(t.Context(), beginner{at: at, begin: func(context.Context) error {
					if tries++; tries == 1 {
						return errDiskSaid
					}
					return nil
				}})
				if err != nil || tries != 2 {
					t.Errorf("%s was tried %d times, with the error %v", name, tries, err)
				}
			})
		}
		all.Wait()
		if moved := b.until.Sub(end).Round(time.Second); moved != outage {
			t.Errorf("the end of the start was moved by %v, want %v", moved, outage)
		}
	})
}

// TestStartTriesAgainAfterSilence: how long a try hangs counts against no object,
// whichever try that is and however long the start has taken until then.
func TestStartTriesAgainAfterSilence(t *testing.T) {
	const silence = onePatience + time.Second // after which a storage is killed
	for _, c := range []struct {
		name  string
		tries []time.Duration // how long each takes that fails
	}{{"at once", []time.Duration{silence}}, {"later", []time.Duration{0, silence}}, {"late in the start", []time.Duration{patience + silence}}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newObjects(nil, silent{}, nil, slog.New(slog.DiscardHandler))
				tries := 0
				err := (&beginning{o: o}).one(t.Context(), beginner{at: place{object: "lib_m", module: "m"}, begin: func(context.Context) error {
					if tries++; tries > len(c.tries) {
						return nil
					}
					time.Sleep(c.tries[tries-1])
					return errDiskSaid
				}})
				if err != nil || tries != len(c.tries)+1 || len(o.troubles) > 0 {
					t.Errorf("it was tried %d times, with the error %v and the trouble %+v", tries, err, o.troubles)
				}
			})
		})
	}
}

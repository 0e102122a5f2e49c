package kernel

import (
	"context"
	"strings"
	"testing"
	"time"

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
	b.lost.Clear()
	for range 2 {
		b.expect("damaged", "two")
		b.expect("unread", "two")
		b.expect("uses", "uses")
		b.restart()
	}
	if m := b.told("damaged"); m.Trouble != nil || m.Versions != 2 {
		t.Errorf("then its metadata is %+v", m)
	}
}

// TestStartWithALostText: the text of a version that the file holds too is lost, which
// keeps nobody from serving it.
func TestStartWithALostText(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"))
	b.rest()
	b.lose("a", 1, errDamaged)
	b.restart()
	b.expect("a", "one")
	b.save("a.lua", returns("two"))
	b.expect("a", "two")
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
	if err := (&beginning{o: b.objects, until: time.Now().Add(time.Minute)}).one(ctx, beginner{begin: func(context.Context) error { return errDiskSaid }}); err == nil {
		t.Error("a start that was ended goes on")
	}
}

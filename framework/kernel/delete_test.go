package kernel

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/framework/catalogue"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

func (b *bench) kill(object id.Object) error {
	return b.delete(b.t.Context(), host.Deletion{Object: object})
}

// wantLife checks the texts of an object's present life, and the number of the first.
func (b *bench) wantLife(object id.Object, first uint64, want ...string) {
	b.t.Helper()
	list, err := b.store.Versions(b.t.Context(), storage.VersionsQuery{Object: object, Limit: storage.MaxPage})
	b.must(err)
	var texts []string
	for i := range list {
		v, err := b.store.Version(b.t.Context(), object, first+uint64(i))
		b.must(err)
		texts = append(texts, string(v.Text))
	}
	if d := cmp.Diff(want, texts); d != "" {
		b.t.Errorf("versions of %s from %d on (-want +got):\n%s\n%s", object, first, d, b.log)
	}
}

// gone checks that an object and every trace of its file are.
func (b *bench) gone(object id.Object) {
	b.t.Helper()
	b.expect(object, "not_found")
	entries, err := os.ReadDir(b.dir)
	b.must(err)
	for _, e := range entries {
		if strings.Contains(e.Name(), string(object)+".lua") {
			b.t.Errorf("of %s there is still the file %s", object, e.Name())
		}
	}
}

// TestDelete: nothing of an object is left but its numbers, neither now nor after a
// restart, and what is made under its id begins empty.
func TestDelete(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"), "b.lua", returns("b"), "lib/m.lua", "return {}")
	b.rest()
	b.must(b.put("a", returns("two")))
	b.must(b.kill("a"))
	b.gone("a")
	b.restart()
	b.gone("a")
	b.save("a.lua", returns("three"))
	b.expect("a", "three")
	b.wantLife("a", 3, returns("three"))
	b.must(b.kill("a"))
	b.must(b.put("a", returns("two")))
	b.expect("a", "two")
	b.wantLife("a", 4, returns("two"))
	if got := b.file("a.lua"); got != returns("two") {
		t.Errorf("the file holds %q", got)
	}
	b.restart()
	b.expect("a", "two")

	b.must(b.kill("a"))
	b.save("a.lua", broken) // there is no older version to fall back to
	b.expect("a", "source_invalid")
	b.restart()
	b.expect("a", "source_invalid")
	b.must(b.kill("a"))
	b.gone("a")

	b.must(os.Remove(b.path("b.lua")))
	b.expect("b", "not_found")
	b.must(b.kill("b")) // its data is there
	b.restart()
	for object, want := range map[id.Object]errs.Kind{"b": errs.NotFound, "a": errs.NotFound, "none": errs.NotFound, "lib_m": errs.Conflict, "lib_n": errs.NotFound} {
		if err := b.kill(object); !errs.Is(err, want) {
			t.Errorf("deleting %s: %v, want kind %v", object, err, want)
		}
	}
	b.save("b.lua", returns("again"))
	b.expect("b", "again")
	b.wantLife("b", 2, returns("again"))
	if err := b.delete(t.Context(), host.Deletion{Object: "b", IfMatch: storage.Hash([]byte(returns("b")))}); !errs.Is(err, errs.Precondition) {
		t.Errorf("deleting another version: %v", err)
	}
	b.must(b.delete(t.Context(), host.Deletion{Object: "b", IfMatch: storage.Hash([]byte(returns("again")))}))
	b.gone("b")
}

// TestDeleteWithTrouble: what the file holds goes too, whatever that is, and another
// script that waited for the id has it then.
func TestDeleteWithTrouble(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"))
	b.save("a.lua", broken)
	b.until("the text is refused", func() bool { return b.troubleOf("a").Kind == host.Refused })
	b.must(b.kill("a"))
	b.gone("a")
	if got := b.troubleOf("a"); got.Kind != "" {
		t.Errorf("the trouble stays: %+v", got)
	}

	b.save("c_d.lua", returns("first"))
	b.expect("c_d", "first")
	b.save("c/d.lua", returns("second"))
	b.until("it waits", func() bool { return strings.Contains(b.log.String(), "c_d.lua and c/d.lua would both be the object") })
	b.must(b.kill("c_d"))
	b.expect("c_d", "second")
	b.wantLife("c_d", 2, returns("second"))

	b.must(os.Symlink("d.lua", b.path("c/link.lua")))
	b.expect("c_link", "second")
	b.must(b.kill("c_link"))
	b.expect("c_link", "not_found")
	if got := b.file("c/d.lua"); got != returns("second") {
		t.Errorf("where the link led there is %q", got)
	}

	b.must(os.Remove(b.path("c/d.lua")))
	b.must(os.Mkdir(b.path("c/d.lua"), 0o755))
	if err := b.kill("c_d"); errs.From(err).CodeOf() != "file_in_the_way" {
		t.Errorf("what lies in the way of the file: %v", err)
	}
	b.rest()
	b.expect("c_d", "second")
}

// TestDeleteWhileStopping: a deletion that arrived before the transports have drained is
// answered, though nobody watches the files any more.
func TestDeleteWhileStopping(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"))
	b.rest()
	b.stop()
	began := time.Now()
	b.must(b.kill("a"))
	if took := time.Since(began); took > settleTime/2 {
		t.Errorf("the deletion took %v", took)
	}
}

// dieDeleting begins to delete an object and is killed: before the deletion is stored,
// or between that and the removal of the file.
func (b *bench) dieDeleting(object id.Object, stored bool) {
	b.t.Helper()
	a := catalogue.Aside{Path: string(object) + ".lua", Life: max(b.info(object).Incarnation, 1) + 1}
	b.must(b.setAside(a))
	if stored {
		b.must(b.dispatch.Delete(b.t.Context(), object))
	}
	b.end()
	if _, err := os.Stat(b.path(a.Path)); !errors.Is(err, os.ErrNotExist) {
		b.t.Fatalf("the file is not aside: %v", err)
	}
}

// TestKilledWhileDeleting: a station that is killed has deleted an object or it has not.
func TestKilledWhileDeleting(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"), "gone.lua", returns("gone"), "b.lua", returns("b"), "saved.lua", returns("old"))
	b.dieDeleting("a", false)
	b.start()
	b.expect("a", "one")
	b.wantVersions("a", returns("one"))
	if got := b.file("a.lua"); got != returns("one") {
		t.Errorf("the file holds %q", got)
	}

	b.dieDeleting("gone", true)
	b.start()
	b.gone("gone")
	b.restart()
	b.gone("gone")

	b.dieDeleting("saved", true) // and saved before the station comes back
	b.save("saved.lua", returns("new"))
	b.start()
	b.expect("saved", "new")
	b.wantLife("saved", 2, returns("new"))

	b.dieDeleting("b", false)
	b.save("b.lua", returns("newer"))
	b.start()
	b.expect("b", "newer")
	b.wantVersions("b", returns("b"), returns("newer"))

	// An edit that is no version yet comes back too.
	b.save("a.lua", broken)
	b.until("the text is refused", func() bool { return b.troubleOf("a").Kind == host.Refused })
	b.dieDeleting("a", false)
	b.start()
	b.expect("a", "one")
	if got := b.file("a.lua"); got != broken {
		t.Errorf("the file holds %q", got)
	}
}

// TestSavedWhileDeleting: a text that is saved meanwhile is a new object's.
func TestSavedWhileDeleting(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"), "b.lua", returns("b"))
	b.before.Store(new(hook(func(batch []storage.Commit) error {
		if batch[0].Incarnation == 2 && batch[0].Object == "a" && batch[0].Version == nil {
			b.save("a.lua", returns("two"))
		}
		return nil
	})))
	b.must(b.kill("a"))
	b.expect("a", "two")
	b.rest()
	b.wantLife("a", 2, returns("two"))
	b.save("b.lua", returns("b2")) // nobody has looked at it yet
	b.must(b.kill("b"))
	b.expect("b", "b2")
	b.rest()
	if got := b.file("b.lua"); got != returns("b2") {
		t.Errorf("the file holds %q", got)
	}
	b.restart()
	b.expect("a", "two")
	b.expect("b", "b2")
}

// TestDeletionThatIsNotStored: what storage refuses changes nothing, and what it does
// not answer for is found out.
func TestDeletionThatIsNotStored(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"), "b.lua", returns("b"))
	b.rest()
	failing := func(object id.Object) *hook {
		return new(hook(func(batch []storage.Commit) error {
			if batch[0].Object == object && batch[0].Incarnation == 2 {
				return errs.New(errs.Unavailable, "", "not now")
			}
			return nil
		}))
	}
	b.before.Store(failing("a"))
	if err := b.kill("a"); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a deletion that was not stored: %v", err)
	}
	if got := b.answer("a"); got != "one" {
		t.Errorf("the object answers %s", got)
	}
	if got := b.file("a.lua"); got != returns("one") {
		t.Errorf("the file holds %q", got)
	}
	b.down.Store(true)
	if err := b.kill("a"); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a deletion without storage: %v", err)
	}
	b.down.Store(false)
	b.rest()
	b.expect("a", "one")
	b.wantVersions("a", returns("one"))

	b.before.Store(nil)
	b.after.Store(failing("b"))
	if err := b.kill("b"); !errs.Is(err, errs.Unknown) {
		t.Errorf("a deletion without an answer: %v", err)
	}
	b.gone("b")
	b.after.Store(nil)
	b.must(b.put("b", returns("again")))
	b.wantLife("b", 2, returns("again"))
}

// TestRacingDeletions: puts, saves, deletions and calls at the same time. An object is
// there with its file or gone with it, and no number comes twice. A save that a put
// came before is in conflict, and stays.
func TestRacingDeletions(t *testing.T) {
	b := newBench(t, "a.lua", returns("begin"))
	var all sync.WaitGroup
	var mu sync.Mutex
	numbers := map[uint64]int{}
	const rounds = 40
	all.Go(func() {
		for i := range rounds {
			done, err := b.publish(t.Context(), host.Publication{Object: "a", Text: []byte(returns(fmt.Sprint("put ", i)))})
			if err != nil {
				t.Errorf("put %d: %v", i, err)
			}
			mu.Lock()
			numbers[done.Version]++
			mu.Unlock()
		}
	})
	all.Go(func() {
		for range rounds {
			if err := b.kill("a"); err != nil && !errs.Is(err, errs.NotFound) {
				t.Errorf("deletion: %v", err)
			}
		}
	})
	all.Go(func() {
		for i := range rounds / 4 {
			b.save("a.lua", returns(fmt.Sprint("save ", i)))
		}
	})
	all.Go(func() {
		for range rounds * 10 {
			if got := b.answer("a"); got != "not_found" && !strings.HasPrefix(got, "put ") && !strings.HasPrefix(got, "save ") && got != "begin" {
				t.Errorf("a call answers %q", got)
			}
		}
	})
	all.Wait()
	b.rest()
	for n, times := range numbers {
		if times > 1 {
			t.Errorf("version %d was made %d times", n, times)
		}
	}
	check := func() {
		t.Helper()
		b.until("the object is there with its file, or gone with it", func() bool {
			text, err := os.ReadFile(b.path("a.lua"))
			s, missing := b.find("a")
			if err != nil || missing != nil {
				return os.IsNotExist(err) && missing != nil
			}
			trouble := b.troubleOf("a")
			return string(text) == string(s.source.Text) ||
				trouble.Kind == host.Conflict && trouble.Hash == storage.Hash(text) && strings.Contains(string(text), "save ")
		})
	}
	check()
	info := b.info("a")
	b.restart()
	check()
	now := b.info("a")
	now.Sequence = info.Sequence // a conflict is told in the log of the object at each start
	if now != info {
		t.Errorf("a restart made %+v of %+v", now, info)
	}
	b.must(b.put("a", returns("at last")))
	b.expect("a", "at last")
	b.must(b.kill("a"))
	b.gone("a")
}

// TestCallsWhileDeleting: a call that has begun ends as it would, and what it wrote
// goes with the object.
func TestCallsWhileDeleting(t *testing.T) {
	b := newBench(t, "a.lua", "function GET() state.set('n', 1) return 'done' end")
	b.rest()
	entered, leave := make(chan struct{}), make(chan struct{})
	b.before.Store(new(hook(func(batch []storage.Commit) error {
		if batch[0].Object == "a" && len(batch[0].State) > 0 {
			close(entered)
			<-leave
		}
		return nil
	})))
	answers, deleted := make(chan string, 1), make(chan error, 1)
	go func() { answers <- b.answer("a") }()
	<-entered
	go func() { deleted <- b.kill("a") }()
	b.until("the deletion waits", func() bool {
		b.locks.mu.Lock()
		defer b.locks.mu.Unlock()
		return b.locks.held["a"] != nil
	})
	close(leave)
	if got, err := <-answers, <-deleted; got != "done" || err != nil {
		t.Errorf("the call that had begun answered %q, and the deletion %v", got, err)
	}
	b.must(b.put("a", "function GET() return tostring(state.get('n')) end"))
	b.expect("a", "nil")
}

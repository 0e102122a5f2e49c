package kernel

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/catalogue"
	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// How a file and the versions stand to each other, in each case that there is.
func TestCompare(t *testing.T) {
	for _, c := range []struct {
		file, head, held string
		want             standing
	}{
		{"", "", "", nothing}, {"a", "", "", edited}, {"a", "a", "", inStep}, {"a", "a", "a", inStep}, {"a", "a", "b", inStep},
		{"b", "a", "", edited}, {"b", "a", "a", edited}, {"b", "a", "b", behind}, {"c", "a", "b", conflict},
		{"", "a", "a", removed}, {"", "a", "b", behind}, {"", "a", "", behind},
	} {
		if got := compare(c.file, c.head, c.held); got != c.want {
			t.Errorf("file %q, newest %q, held %q: %v, want %v", c.file, c.head, c.held, got, c.want)
		}
	}
}

// Each way of saving makes one version, which serves.
func TestSavesAreLive(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"), "other.lua", returns("other"))
	b.expect("a", "one")
	b.save("a.lua", returns("two"))
	t.Logf("a save by rename was live after %v", b.expect("a", "two"))
	b.write("a.lua", returns("three"))
	t.Logf("a save in place was live after %v", b.expect("a", "three"))
	f, err := os.OpenFile(b.path("a.lua"), os.O_WRONLY|os.O_TRUNC, 0)
	b.must(err)
	for _, part := range strings.SplitAfter(returns("four"), " ") { // each of which is longer than what compiles
		_, err := f.WriteString(part)
		b.must(err)
		time.Sleep(catalogue.Quiet / 4)
	}
	b.must(f.Close())
	b.expect("a", "four")
	b.must(os.Chtimes(b.path("a.lua"), time.Now(), time.Now()))
	b.rest()
	b.wantVersions("a", returns("one"), returns("two"), returns("three"), returns("four"))
	b.save("sub/new.lua", returns("new"))
	b.expect("sub_new", "new")
	b.wantVersions("other", returns("other"))
	if info := b.info("a"); info.Working != 4 {
		t.Errorf("the file is known to hold version %d", info.Working)
	}
	b.restart()
	b.expect("a", "four")
	b.wantVersions("a", returns("one"), returns("two"), returns("three"), returns("four"))
}

// Of 200 quick saves the last is served, and none that was served is minted twice
// or comes after a newer one.
func TestQuickSaves(t *testing.T) {
	b := newBench(t, "a.lua", returns("begin"))
	began := time.Now()
	for i := range 200 {
		if i%3 == 0 {
			b.write("a.lua", returns(fmt.Sprint(i)))
		} else {
			b.save("a.lua", returns(fmt.Sprint(i)))
		}
		if i%50 == 49 {
			time.Sleep(2 * catalogue.Quiet)
		}
	}
	took := time.Since(began) // a file may have been left alone once in each Quiet of it
	b.expect("a", "199")
	b.rest()
	last := -1
	all := b.versions("a")
	for _, text := range all[1:] {
		var n int
		if _, err := fmt.Sscanf(text, `function GET() return "%d"`, &n); err != nil || n <= last {
			t.Errorf("after save %d: %q", last, text)
		}
		last = n
	}
	if most := 6 + int(took/catalogue.Quiet); last != 199 || len(all) < 3 || len(all) > most {
		t.Errorf("%d versions in %v, the last of save %d; want %d at most", len(all), took, last, most)
	}
}

// A text that does not load changes nothing that is served, and says why.
func TestBrokenSave(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"))
	b.save("a.lua", broken)
	b.until("the text is refused", func() bool { return b.troubleOf("a").Kind == host.Refused })
	got := b.troubleOf("a")
	if got.Line != 2 || got.File != "a.lua" || got.Message == "" || got.Serving != 1 || got.Hash != storage.Hash([]byte(broken)) {
		t.Errorf("the trouble is %+v", got)
	}
	b.until("the object's log says so", func() bool { return strings.Contains(b.entries("a"), `ERROR a.lua:2: `) })
	b.must(os.Chtimes(b.path("a.lua"), time.Now(), time.Now()))
	b.rest()
	if n := strings.Count(b.entries("a"), "ERROR"); n != 1 {
		t.Errorf("the object's log says it %d times", n)
	}
	b.expect("a", "one")
	b.restart()
	b.expect("a", "one")
	if got := b.troubleOf("a"); got.Kind != host.Refused {
		t.Errorf("after a restart the trouble is %+v", got)
	}
	b.save("a.lua", "error('top')")
	b.until("what raises when it loads is refused", func() bool { return strings.Contains(b.troubleOf("a").Message, "top") })
	b.save("a.lua", returns("two"))
	b.expect("a", "two")
	if got := b.troubleOf("a"); got.Kind != "" {
		t.Errorf("the trouble stays: %+v", got)
	}
	b.wantVersions("a", returns("one"), returns("two"))

	b.save("new.lua", broken)
	b.expect("new", "source_invalid")
	b.save("new.lua", returns("mended"))
	b.expect("new", "mended")
	b.wantVersions("new", returns("mended"))
}

// An empty file is an editor between two steps, while the station runs and when it starts.
func TestEmptyFile(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"))
	b.write("a.lua", "")
	b.rest()
	b.expect("a", "one")
	b.restart()
	b.expect("a", "one")
	b.wantVersions("a", returns("one"))
	b.write("a.lua", returns("two"))
	b.expect("a", "two")
	b.wantVersions("a", returns("one"), returns("two"))
}

// Without its file an object is out of service, with all its data; with it, it goes
// on where it was.
func TestRemovalAndReturn(t *testing.T) {
	b := newBench(t, "a.lua", "function GET() return tostring(state.get('n')) end\nfunction PUT() state.incr('n') end", "b.lua", returns("b"))
	_, err := b.dispatch.Invoke(t.Context(), host.Call{Object: "a", Method: "PUT", RequestID: "r"})
	b.must(err)
	b.expect("a", "1")
	one := b.file("a.lua")
	b.must(os.Remove(b.path("a.lua")))
	b.expect("a", "not_found")
	page, err := b.page(host.ObjectsQuery{Prefix: "a"})
	if err != nil || len(page.Objects) > 0 {
		t.Errorf("it is listed: %v, %v", page, err)
	}
	b.save("a.lua", one)
	b.expect("a", "1")
	b.must(os.Remove(b.path("a.lua")))
	b.expect("a", "not_found")
	b.restart()
	b.expect("a", "not_found")
	b.expect("b", "b")
	if _, err := os.Stat(b.path("a.lua")); err == nil {
		t.Error("the start has written the file that was removed")
	}
	two := one + "\n"
	b.save("a.lua", two)
	b.expect("a", "1")
	b.wantVersions("a", one, two)
	b.must(os.Rename(b.path("a.lua"), b.path("gone")))
	b.end()
	b.must(os.Rename(b.path("gone"), b.path("a.lua")))
	b.start()
	b.expect("a", "1")
	b.wantVersions("a", one, two)
}

// A save over HTTP replaces the file, and is one version. What stands in the file is
// based on the version that it was known to hold.
func TestSaveOverHTTP(t *testing.T) {
	b := newBench(t, "sub/a.lua", returns("one"))
	b.must(os.Chmod(b.path("sub/a.lua"), 0o600))
	b.rest()
	b.must(b.put("sub_a", returns("two")))
	b.must(b.put("sub_a", returns("three")))
	if got := b.file("sub/a.lua"); got != returns("three") {
		t.Errorf("the file holds %q", got)
	}
	if info, err := os.Stat(b.path("sub/a.lua")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	b.must(b.put("made", returns("made")))
	b.expect("made", "made")
	if got := b.file("made.lua"); got != returns("made") {
		t.Errorf("the new file holds %q", got)
	}
	b.rest()
	b.wantVersions("sub_a", returns("one"), returns("two"), returns("three"))
	b.wantVersions("made", returns("made"))
	b.save("sub/a.lua", returns("four"))
	b.expect("sub_a", "four")
	b.restart()
	b.expect("sub_a", "four")
	b.expect("made", "made")
	b.wantVersions("sub_a", returns("one"), returns("two"), returns("three"), returns("four"))
}

// An edit that is based on an older version than the newest reverts nothing: it is
// left alone and shown, and goes away with its file or with the newest text.
func TestConflict(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"))
	inConflict := func() {
		t.Helper()
		b.until("the conflict shows", func() bool { return b.troubleOf("a").Kind == host.Conflict })
	}
	b.write("a.lua", returns("edit")) // not told yet
	b.must(b.put("a", returns("two")))
	inConflict()
	b.expect("a", "two")
	if got := b.file("a.lua"); got != returns("edit") {
		t.Errorf("the file holds %q", got)
	}
	b.until("the object's log tells of it", func() bool { return strings.Contains(b.entries("a"), "source_conflict") })
	b.must(b.put("a", returns("three")))
	b.save("a.lua", returns("edited more"))
	b.rest()
	inConflict()
	b.restart()
	inConflict()
	b.expect("a", "three")
	b.wantVersions("a", returns("one"), returns("two"), returns("three"))

	b.must(os.Remove(b.path("a.lua"))) // gives the edit up
	b.until("the file is written anew", func() bool {
		text, err := os.ReadFile(b.path("a.lua"))
		return err == nil && string(text) == returns("three")
	})
	b.until("the conflict is over", func() bool { return b.troubleOf("a").Kind == "" })
	b.expect("a", "three")
	b.write("a.lua", returns("edit"))
	b.must(b.put("a", returns("four")))
	inConflict()
	b.save("a.lua", returns("four"))
	b.until("the conflict is over", func() bool { return b.troubleOf("a").Kind == "" })
	b.save("a.lua", returns("five"))
	b.expect("a", "five")
	b.wantVersions("a", returns("one"), returns("two"), returns("three"), returns("four"), returns("five"))
}

// Saves over HTTP and of the file at the same time: every version is a text that was
// saved, none comes twice, the numbers have no gap, and the file holds the newest
// version or is in conflict.
func TestRacingSaves(t *testing.T) {
	b := newBench(t, "a.lua", returns("begin"))
	var both sync.WaitGroup
	const rounds = 60
	both.Go(func() {
		for i := range rounds {
			if err := b.put("a", returns(fmt.Sprint("put ", i))); err != nil {
				t.Errorf("put %d: %v", i, err)
			}
			time.Sleep(7 * time.Millisecond)
		}
	})
	both.Go(func() {
		for i := range rounds / 10 {
			b.save("a.lua", returns(fmt.Sprint("save ", i)))
			time.Sleep(3 * catalogue.Quiet / 2)
		}
	})
	both.Wait()
	b.rest()
	all := b.versions("a")
	seen := map[string]int{}
	puts := 0
	for i, text := range all {
		if first, twice := seen[text]; twice {
			t.Errorf("version %d is version %d again: %s", i+1, first, text)
		}
		seen[text] = i + 1
		if strings.Contains(text, "put ") {
			if puts++; !strings.Contains(text, fmt.Sprintf("\"put %d\"", puts-1)) {
				t.Errorf("put %d was followed by %s", puts-2, text)
			}
		}
	}
	if puts != rounds {
		t.Errorf("%d of %d puts are versions", puts, rounds)
	}
	newest := all[len(all)-1]
	b.until("file and newest version are the same, or in conflict", func() bool {
		return b.file("a.lua") == newest && b.troubleOf("a").Kind == "" || b.file("a.lua") != newest && b.troubleOf("a").Kind == host.Conflict
	})
	t.Logf("%d versions; %v", len(all), b.troubleOf("a"))
}

// A station that was killed between a version and its file brings the file up to it.
func TestKilledBeforeTheFile(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"))
	b.must(b.putAndDie("a", returns("two")))
	b.must(b.putAndDie("made", returns("made")))
	b.restart()
	for path, want := range map[string]string{"a.lua": returns("two"), "made.lua": returns("made")} {
		if got := b.file(path); got != want {
			t.Errorf("%s holds %q", path, got)
		}
	}
	b.expect("a", "two")
	b.expect("made", "made")
	b.restart()
	b.wantVersions("a", returns("one"), returns("two"))
	b.wantVersions("made", returns("made"))

	// Killed after the file and before that is known.
	b.must(b.putAndDie("a", returns("three")))
	b.end()
	b.write("a.lua", returns("three"))
	b.start()
	b.expect("a", "three")
	if info := b.info("a"); info.Working != 3 {
		t.Errorf("the file is known to hold version %d", info.Working)
	}
	b.save("a.lua", returns("four"))
	b.expect("a", "four")
	b.wantVersions("a", returns("one"), returns("two"), returns("three"), returns("four"))
}

// An edit that storage cannot take waits for it.
func TestPending(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"))
	b.down.Store(true)
	b.save("a.lua", returns("two"))
	b.until("the edit is pending", func() bool { return b.troubleOf("a").Kind == host.Pending })
	b.expect("a", "one")
	b.down.Store(false)
	b.expect("a", "two")
	b.until("nothing is pending", func() bool { return b.troubleOf("a").Kind == "" })
	b.wantVersions("a", returns("one"), returns("two"))
}

// Of two scripts with one id the second is left out while the first is there.
func TestTwoFilesOneID(t *testing.T) {
	b := newBench(t, "a_b.lua", returns("first"))
	b.save("a/b.lua", returns("second"))
	b.until("both are named", func() bool {
		return strings.Contains(b.log.String(), "a_b.lua and a/b.lua would both be the object")
	})
	b.expect("a_b", "first")
	b.must(os.Remove(b.path("a_b.lua")))
	b.expect("a_b", "second")
	b.must(os.Rename(b.path("a/b.lua"), b.path("a_b.lua"))) // it moves
	b.rest()
	b.expect("a_b", "second")
	b.wantVersions("a_b", returns("first"), returns("second"))
}

// A call that has begun ends on the version that it began with.
func TestCallsEndOnTheirVersion(t *testing.T) {
	b := newBench(t, "a.lua", "function GET() local began = time.now() while time.now() - began < 1 do end return 'one' end")
	answers := make(chan string, 1)
	go func() { answers <- b.answer("a") }()
	b.save("a.lua", returns("two"))
	b.expect("a", "two")
	if got := <-answers; got != "one" {
		t.Errorf("the call that had begun answered %q", got)
	}
}

// A saved module is live in all objects that use it, and in none that does not load
// with it.
func TestModulesAreLive(t *testing.T) {
	uses := func(more string) string {
		return "local m = require 'm'\n" + more + "\nfunction GET() return m.text end"
	}
	module := func(text string) string { return fmt.Sprintf("return { text = %q, old = true }", text) }
	b := newBench(t, "lib/m.lua", module("one"), "a.lua", uses(""), "choosy.lua", uses("assert(m.old, 'too new')"), "plain.lua", returns("plain"))
	b.expect("a", "one")
	b.save("lib/m.lua", module("two"))
	t.Logf("a module was live after %v", b.expect("a", "two"))
	b.expect("choosy", "two")

	b.save("lib/m.lua", "return { text = 'three' }")
	b.expect("a", "three")
	b.until("the other says why", func() bool { return strings.Contains(b.troubleOf("choosy").Message, "too new") })
	b.expect("choosy", "two")

	b.save("lib/m.lua", "return {")
	b.until("a broken module is refused", func() bool { return b.troubleOf("lib_m").Kind == host.Refused })
	b.expect("a", "three")

	b.save("lib/m.lua", module("four"))
	b.expect("a", "four")
	b.expect("choosy", "four")
	if t1, t2 := b.troubleOf("choosy"), b.troubleOf("lib_m"); t1.Kind != "" || t2.Kind != "" {
		t.Errorf("trouble stays: %+v, %+v", t1, t2)
	}
	b.must(os.Remove(b.path("lib/m.lua")))
	b.until("what uses a module that is gone says so", func() bool { return strings.Contains(b.troubleOf("a").Message, "there is no module") })
	b.expect("a", "four")
	b.save("lib/m.lua", module("five"))
	b.expect("a", "five")
	b.until("and then no more", func() bool { return b.troubleOf("a").Kind == "" && b.troubleOf("choosy").Kind == "" })

	b.save("early.lua", "local late = require 'late'\nfunction GET() return late end")
	b.expect("early", "source_invalid")
	b.save("lib/late.lua", "return 'there'")
	b.expect("early", "there")
	b.rest()
	b.wantVersions("early", "local late = require 'late'\nfunction GET() return late end")
	b.wantVersions("plain", returns("plain"))
	if n := len(b.versions("a")); n != 5 {
		t.Errorf("a has %d versions, want 5: one of each text of the module that it loads with", n)
	}
	if n := len(b.versions("choosy")); n != 4 {
		t.Errorf("choosy has %d versions, want 4", n)
	}
	b.restart()
	b.expect("a", "five")
	if n := len(b.versions("a")); n != 5 {
		t.Errorf("a restart made %d versions of a", n-5)
	}
	if info := b.info("a"); info.Working != info.Head {
		t.Errorf("the file of a is known to hold version %d of %d", info.Working, info.Head)
	}
}

// A file that cannot be replaced keeps no version from serving, and that shows; a file
// that cannot be read changes nothing.
func TestFileInTheWay(t *testing.T) {
	b := newBench(t, "real/a.lua", returns("one"), "b.lua", returns("b"))
	b.must(os.Symlink("real/a.lua", b.path("link.lua")))
	b.restart()
	b.expect("link", "one")
	b.must(b.put("link", returns("two")))
	b.expect("link", "two")
	if got := b.troubleOf("link"); got.Kind != host.Behind || !strings.Contains(got.Message, "link") {
		t.Errorf("the trouble is %+v", got)
	}
	if got := b.file("real/a.lua"); got != returns("one") {
		t.Errorf("where the link leads there is %q", got)
	}
	b.restart()
	b.expect("link", "two")
	b.must(os.Remove(b.path("link.lua")))
	b.until("a file takes the place of the link", func() bool {
		info, err := os.Lstat(b.path("link.lua"))
		return err == nil && info.Mode().IsRegular() && b.troubleOf("link").Kind == ""
	})
	b.wantVersions("link", returns("one"), returns("two"))
	b.wantVersions("real_a", returns("one"))

	b.must(os.Remove(b.path("b.lua")))
	b.must(os.Mkdir(b.path("b.lua"), 0o755)) // with no moment without it to be told
	b.must(os.WriteFile(b.path("b.lua/x.lua"), []byte(returns("x")), 0o644))
	b.expect("b.lua_x", "x")
	b.until("what stands there is no script", func() bool { return strings.Contains(b.troubleOf("b").Message, "regular") })
	b.expect("b", "b")
}

// What was imported from the prototype and is no Lua gets no file; what is stored and
// loads does.
func TestImported(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	for object, text := range map[id.Object]string{"python": "def GET(): pass", "lua": returns("lua")} {
		_, _, err := b.dispatch.Publish(ctx, dispatch.Publication{Proposal: cluster.Proposal{Object: object, Version: storage.Version{
			Time: time.Now(), Hash: storage.Hash([]byte(text)), Text: []byte(text),
		}}})
		b.must(err)
	}
	for range 2 {
		b.restart()
		b.expect("lua", "lua")
		b.expect("python", "not_found")
		if _, err := os.Stat(b.path("python.lua")); err == nil {
			t.Fatal("Python became a script")
		}
	}
	b.save("python.lua", returns("now Lua"))
	b.expect("python", "now Lua")
	b.wantVersions("python", "def GET(): pass", returns("now Lua"))
}

// Without a folder nothing is watched.
func TestNoFolder(t *testing.T) {
	b := newBench(t)
	b.end()
	o := newObjects(b.dispatch, b.store, nil, slog.New(slog.DiscardHandler))
	o.live(t.Context())()
}

package kernel

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
)

// program gives the scripts inside a program, as path and text.
func program(files ...string) fstest.MapFS {
	inside := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		inside[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return inside
}

// newInside starts a station whose scripts lie inside its program.
func newInside(t *testing.T, files ...string) *bench {
	t.Helper()
	b := newBench(t)
	b.updated(files...)
	return b
}

// updated starts the station again from a program with other scripts inside.
func (b *bench) updated(files ...string) {
	b.t.Helper()
	b.end()
	b.inside = program(files...)
	b.start()
}

// writtenOut starts the station again with its scripts in a folder, into which its
// program has written those that it has.
func (b *bench) writtenOut() {
	b.t.Helper()
	b.end()
	for name, f := range b.inside.(fstest.MapFS) {
		b.write(name, string(f.Data))
	}
	b.inside = nil
	b.start()
}

func TestScriptsInsideTheProgram(t *testing.T) {
	b := newInside(t, "sub/a.lua", "require 'm'\n"+returns("one"), "lib/m.lua", "return {}", "README.md", "no script")
	b.expect("sub_a", "one")
	s, err := b.find("sub_a")
	b.must(err)
	if s.info.Path != "sub/a.lua" || s.info.Version != 1 || len(s.uses) != 1 {
		t.Errorf("in service is %+v with the modules %v", s.info, s.uses)
	}
	b.restart()
	b.expect("sub_a", "one")
	b.wantVersions("sub_a", "require 'm'\n"+returns("one"))
	b.wantVersions("lib_m", "return {}")
}

// TestPutOverInside: what is put is the newest version, whatever the program has.
func TestPutOverInside(t *testing.T) {
	b := newInside(t, "a.lua", returns("one"))
	b.must(b.put("a", returns("put")))
	b.must(b.put("new", returns("new")))
	b.expect("a", "put")
	for range 2 {
		b.restart()
		b.expect("a", "put")
		b.expect("new", "new")
	}
	b.wantVersions("a", returns("one"), returns("put"))
	b.wantVersions("new", returns("new"))
	_, err := b.host().Rollback(t.Context(), host.Rollback{Object: "a", Version: 1})
	b.must(err)
	b.expect("a", "one")
	b.restart()
	b.expect("a", "one")
	b.wantVersions("a", returns("one"), returns("put"), returns("one"))
}

// TestUpdatedProgram: another text inside a newer program is an edit of the version
// that the text before it was.
func TestUpdatedProgram(t *testing.T) {
	b := newInside(t, "a.lua", returns("one"), "b.lua", returns("one"), "c.lua", returns("one"), "gone.lua", returns("gone"), "kept.lua", returns("gone"))
	b.must(b.put("b", returns("put")))
	b.must(b.put("c", returns("two")))
	b.must(b.put("kept", returns("kept")))
	two := []string{"a.lua", returns("two"), "b.lua", returns("two"), "c.lua", returns("two"), "added.lua", returns("added")}
	for range 2 {
		b.updated(two...)
		b.expect("a", "two")
		b.expect("b", "put")
		b.expect("c", "two")
		b.expect("added", "added")
		b.expect("gone", "not_found")
		b.expect("kept", "kept")
		if got := b.troubleOf("b"); got.Kind != host.Conflict || got.Serving != 2 || !strings.Contains(got.Message, "the text inside this program is a change of version 1, and the newest is version 2") {
			t.Errorf("the trouble of b is %+v", got)
		}
		if got := b.troubleOf("a").Kind + b.troubleOf("c").Kind; got != "" {
			t.Errorf("a or c is in trouble: %s", got)
		}
	}
	b.wantVersions("a", returns("one"), returns("two"))
	b.wantVersions("b", returns("one"), returns("put"))
	b.wantVersions("c", returns("one"), returns("two"))
	b.updated("a.lua", broken)
	b.expect("a", "two")
	if got := b.troubleOf("a"); got.Kind != host.Refused || got.Serving != 2 {
		t.Errorf("the trouble of a is %+v", got)
	}
}

// TestWrittenOut: with a folder the station goes on where it was without one.
func TestWrittenOut(t *testing.T) {
	b := newInside(t, "a.lua", returns("one"), "b.lua", returns("b"))
	b.must(b.put("a", returns("put")))
	b.must(b.put("new", returns("new")))
	b.writtenOut()
	b.expect("a", "put")
	b.expect("b", "b")
	b.expect("new", "new")
	if got := b.file("a.lua") + b.file("new.lua") + b.file("b.lua"); got != returns("put")+returns("new")+returns("b") {
		t.Errorf("the files hold %q", got)
	}
	b.save("b.lua", returns("saved"))
	b.expect("b", "saved")
	b.wantVersions("a", returns("one"), returns("put"))
	b.wantVersions("b", returns("b"), returns("saved"))
	b.wantVersions("new", returns("new"))
}

// TestWithoutItsFolder: a station that is started where its scripts folder is not
// reverts nothing that was saved in it.
func TestWithoutItsFolder(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"), "own.lua", returns("own"))
	b.save("a.lua", returns("saved"))
	b.expect("a", "saved")
	b.updated("a.lua", returns("one"))
	b.expect("a", "saved")
	b.expect("own", "not_found")
	if !strings.Contains(b.log.String(), "objects are out of service") {
		t.Errorf("the log does not tell of the object without a script:\n%s", b.log)
	}
	b.must(b.put("a", returns("put")))
	b.end()
	b.inside = nil
	b.start()
	b.expect("a", "put")
	b.expect("own", "own")
	b.wantVersions("a", returns("one"), returns("saved"), returns("put"))
	b.wantVersions("own", returns("own"))
}

// TestDeleteInside: what would be back at the next start is not deleted.
func TestDeleteInside(t *testing.T) {
	b := newInside(t, "a.lua", returns("one"))
	b.must(b.put("new", returns("new")))
	if err := b.kill("a"); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "station init") {
		t.Errorf("deleting a gives %v", err)
	}
	b.must(b.kill("new"))
	b.restart()
	b.expect("a", "one")
	b.expect("new", "not_found")
	b.must(b.put("new", returns("again")))
	b.restart()
	b.expect("new", "again")
}

func TestTwoScriptsInsideWithOneID(t *testing.T) {
	if _, err := list(Config{Bundled: program("a/b.lua", returns("x"), "a_b.lua", returns("y"))}); err == nil || !strings.Contains(err.Error(), "rename one of them") {
		t.Errorf("got %v", err)
	}
}

package kernel

import (
	"os"
	"strings"
	"testing"

	"github.com/dbbasic/station/sdk/host"
)

// TestStartWithDrafts: what a killed station had begun to write goes where its text is
// stored or its object was deleted. What may be the only copy of a text stays, and
// keeps nobody from starting.
func TestStartWithDrafts(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"), "gone.lua", returns("gone"))
	b.rest()
	b.must(b.put("a", returns("two")))
	b.must(b.kill("gone"))
	const left = "had begun to write is left under a hidden name"
	for _, c := range []struct {
		what, name, text string
		stays            bool
	}{
		{"the newest version", ".a.lua.station", returns("two"), false},
		{"an older version", ".a.lua.station", returns("one"), false},
		{"a part of the newest version", ".a.lua.station", returns("two")[:10], false},
		{"nothing", ".a.lua.station", "", false},
		{"a save", ".a.lua.station", returns("saved"), true},
		{"a text of a deleted object", ".gone.lua.station", returns("gone"), false},
		{"a text of no object", ".none.lua.station", returns("none"), true},
	} {
		b.end()
		b.write(c.name, c.text)
		said := strings.Count(b.log.String(), left)
		b.start()
		if b.expect("a", "two"); b.file("a.lua") != returns("two") {
			t.Errorf("%s: the file holds %q", c.what, b.file("a.lua"))
		}
		text, err := os.ReadFile(b.path(c.name))
		if stays := err == nil; stays != c.stays || stays && string(text) != c.text {
			t.Errorf("%s: the draft is %q, %v", c.what, text, err)
		}
		if says := strings.Count(b.log.String(), left) > said; says != c.stays {
			t.Errorf("%s: that it is left is said: %v\n%s", c.what, says, b.log)
		}
		if c.stays {
			b.must(os.Remove(b.path(c.name)))
		}
	}
}

// TestStartWithStrayFiles: hidden files that cannot be dealt with keep nobody from
// starting, and an object whose file does not come back serves what is stored.
func TestStartWithStrayFiles(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"), "b.lua", returns("b"))
	b.dieDeleting("a", false)
	b.must(os.Remove(b.path(".a.lua.deleted-2")))
	for _, name := range []string{".a.lua.deleted-2", ".b.lua.station", ".No Id.lua.deleted-2"} {
		b.must(os.Symlink(b.dir, b.path(name)))
	}
	b.start()
	b.expect("b", "b")
	b.expect("a", "one")
	if got := b.troubleOf("a"); got.Kind != host.Refused || got.Serving != 1 {
		t.Errorf("the trouble of an object whose file did not come back is %+v", got)
	}
	for _, part := range []string{"path=.b.lua.station", "path=a.lua", "No Id.lua"} {
		if !strings.Contains(b.log.String(), part) {
			t.Errorf("the log does not tell of %s:\n%s", part, b.log)
		}
	}
}

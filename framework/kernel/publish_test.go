package kernel

import (
	"os"
	"strings"
	"testing"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/storage"
)

// TestPublish: what is refused changes nothing, neither version nor file nor what
// serves.
func TestPublish(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"), "lib/m.lua", "return {}")
	b.rest()
	publish := func(p host.Publication) (host.Published, error) { return b.publish(t.Context(), p) }
	long := strings.Repeat("x", host.MaxMessage+1)
	for name, c := range map[string]struct {
		p    host.Publication
		kind errs.Kind
		line int
	}{
		"does not compile":     {host.Publication{Object: "a", Text: []byte(broken)}, errs.Source, 2},
		"does not load":        {host.Publication{Object: "a", Text: []byte("\n\nerror('no')")}, errs.Source, 3},
		"does not exist yet":   {host.Publication{Object: "new", Text: []byte(broken)}, errs.Source, 2},
		"an unknown module":    {host.Publication{Object: "a", Text: []byte("require 'none'")}, errs.Source, 1},
		"another version":      {host.Publication{Object: "a", Text: []byte(returns("x")), IfMatch: storage.Hash(nil)}, errs.Precondition, 0},
		"no version at all":    {host.Publication{Object: "new", Text: []byte(returns("x")), IfMatch: storage.Hash(nil)}, errs.Precondition, 0},
		"a module":             {host.Publication{Object: "lib_m", Text: []byte("return 1")}, errs.Conflict, 0},
		"a new module":         {host.Publication{Object: "lib_n", Text: []byte("return 1")}, errs.Conflict, 0},
		"a long message":       {host.Publication{Object: "a", Text: []byte(returns("x")), Message: long}, errs.Invalid, 0},
		"a long author":        {host.Publication{Object: "a", Text: []byte(returns("x")), Author: long}, errs.Invalid, 0},
		"an author of no text": {host.Publication{Object: "a", Text: []byte(returns("x")), Author: "\xff"}, errs.Invalid, 0},
	} {
		_, err := publish(c.p)
		if e := errs.From(err); e == nil || e.Kind != c.kind || e.Line != c.line {
			t.Errorf("%s: %+v, want %v at line %d", name, e, c.kind, c.line)
		}
	}
	b.wantVersions("a", returns("one"))
	b.expect("a", "one")
	b.expect("new", "not_found")
	if _, err := os.Stat(b.path("new.lua")); err == nil {
		t.Error("the file of a script that does not load was written")
	}
	if got := b.troubleOf("a").Kind; got != "" {
		t.Errorf("the file of a is in trouble: %s", got)
	}

	done, err := publish(host.Publication{Object: "a", Text: []byte(returns("two")), IfMatch: storage.Hash([]byte(returns("one")))})
	if err != nil || done != (host.Published{Version: 2, Hash: storage.Hash([]byte(returns("two"))), Minted: true}) {
		t.Errorf("%+v, %v", done, err)
	}
	b.expect("a", "two")
	if done, err = publish(host.Publication{Object: "a", Text: []byte(returns("two"))}); err != nil || done.Version != 2 || done.Minted {
		t.Errorf("the same text again: %+v, %v", done, err)
	}
	b.wantVersions("a", returns("one"), returns("two"))
}

// TestPublishPutsBack: an object whose file was removed is in service again with any
// text, also the one that it had.
func TestPublishPutsBack(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"))
	b.rest()
	for _, text := range []string{returns("one"), returns("two")} {
		b.must(os.Remove(b.path("a.lua")))
		b.expect("a", "not_found")
		b.must(b.put("a", text))
		b.rest()
		if got := b.file("a.lua"); got != text {
			t.Errorf("the file holds %q, want %q", got, text)
		}
		if _, err := b.find("a"); err != nil {
			t.Error(err)
		}
	}
	b.expect("a", "two")
	b.wantVersions("a", returns("one"), returns("two"))
}

package catalogue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAside: a file that was set aside is no script and is told so, and goes or comes
// back; what was saved meanwhile stays.
func TestAside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "a.lua")
	write := func(text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil && want != "" || string(got) != want {
			t.Errorf("the file holds %q, %v; want %q", got, err, want)
		}
	}
	write("one")
	f := listed(t, dir)
	a := Aside{Path: "sub/a.lua", Life: 7}
	set := func(text string) {
		t.Helper()
		if err := f.SetAside(a, []byte(text)); err != nil {
			t.Fatal(err)
		}
		holds("")
		if l, err := List(dir); err != nil || len(l.Scripts)+len(l.Skipped) > 0 || cmp.Diff([]Aside{a}, l.Aside) != "" {
			t.Errorf("a file that is aside is listed as %+v, %v", l, err)
		}
	}
	back := func(want bool) {
		t.Helper()
		if got, err := f.PutBack(a); got != want || err != nil {
			t.Errorf("PutBack gives %v, %v; want %v", got, err, want)
		}
		if l, err := List(dir); err != nil || len(l.Aside) > 0 {
			t.Errorf("what is aside is left: %+v, %v", l.Aside, err)
		}
	}
	if err := f.SetAside(a, []byte("other")); !errors.Is(err, ErrNotReplaced) {
		t.Errorf("another text: %v", err)
	}
	holds("one")
	set("one")
	back(true)
	holds("one")
	if s, err := f.Read(a.Path); err != nil || string(s.Text) != "one" {
		t.Errorf("what was put back reads %q, %v", s.Text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	set("one")
	write("two")
	back(false)
	holds("two")
	set("two")
	write("three")
	set("three") // over what a killed station left
	if err := errors.Join(f.Discard(a), f.Discard(a)); err != nil {
		t.Error(err)
	}
	holds("")
	back(false)
	if err := f.SetAside(a, []byte("three")); !errors.Is(err, ErrNotReplaced) {
		t.Errorf("no file: %v", err)
	}
	if err := f.SetAside(Aside{Path: "../a.lua", Life: 1}, nil); err == nil {
		t.Error("a path leads out of the folder")
	}
}

// TestDrafts: what a station that was killed had begun to write is told, and goes alone or
// with the deletion of its script.
func TestDrafts(t *testing.T) {
	dir := t.TempDir()
	write := func() {
		t.Helper()
		for _, name := range []string{"sub/a.lua", "sub/.a.lua.station", "sub/.notes.station", "sub/b.lua.station"} {
			path := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("x"), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	drafts := func() []string {
		t.Helper()
		l, err := List(dir)
		if err != nil {
			t.Fatal(err)
		}
		return l.Drafts
	}
	write()
	f := listed(t, dir)
	if diff := cmp.Diff([]string{"sub/.a.lua.station"}, drafts()); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"sub/a.lua", "sub/.notes.station", "sub/b.lua.station", "../.a.lua.station"} {
		if err := f.RemoveDraft(bad); err == nil {
			t.Errorf("%s was removed", bad)
		}
	}
	if err := f.RemoveDraft("sub/.a.lua.station"); err != nil || len(drafts()) > 0 {
		t.Errorf("a draft is left: %v", err)
	}
	write()
	if err := f.Discard(Aside{Path: "sub/a.lua", Life: 7}); err != nil || len(drafts()) > 0 {
		t.Errorf("the draft of a deleted script is left: %v", err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "sub")); err != nil || len(left) != 3 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestAsideNames: of hidden files those alone that a station has set aside.
func TestAsideNames(t *testing.T) {
	for _, a := range []Aside{{"a.lua", 1}, {"sub/b.lua", 18446744073709551615}, {"a.deleted-3.lua", 2}} {
		if got, ok := asideOf(a.name()); got != a || !ok {
			t.Errorf("%s is read as %+v, %v", a.name(), got, ok)
		}
	}
	for _, name := range []string{
		"a.lua", ".a.lua", ".a.lua.station", ".a.lua.deleted-", ".a.lua.deleted-x", ".a.lua.deleted-01", ".a.lua.deleted--1", "a.lua.deleted-1",
		".a.deleted-1", "..a.lua.deleted-1", ".a.lua.deleted-1/b.lua", ".hidden/.a.lua.deleted-1", fmt.Sprintf(".a.lua.deleted-%d0", uint64(1<<63)),
	} {
		if a, ok := asideOf(name); ok {
			t.Errorf("%s is taken for %+v", name, a)
		}
	}
}

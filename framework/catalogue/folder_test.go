package catalogue

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	f := listed(t, dir)
	check := func(name, want string) {
		t.Helper()
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != want {
			t.Errorf("%s holds %q, %v; want %q", name, text, err, want)
		}
	}
	if err := f.Replace("a/b/new.lua", nil, []byte("one")); err != nil {
		t.Fatal(err)
	}
	check("a/b/new.lua", "one")
	path := filepath.Join(dir, "a/b/new.lua")
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	// What a station left that was killed while it wrote.
	if err := os.WriteFile(filepath.Join(dir, "a/b/.new.lua.station"), []byte("torn"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := f.Replace("a/b/new.lua", []byte("one"), []byte("two")); err != nil {
		t.Fatal(err)
	}
	check("a/b/new.lua", "two")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	for _, old := range [][]byte{[]byte("one"), nil} {
		if err := f.Replace("a/b/new.lua", old, []byte("three")); !errors.Is(err, ErrNotReplaced) {
			t.Errorf("a file that holds another text than %q: %v", old, err)
		}
	}
	check("a/b/new.lua", "two")
	if err := f.Replace("gone.lua", []byte("one"), []byte("two")); !errors.Is(err, ErrNotReplaced) {
		t.Errorf("a file that is not there: %v", err)
	}
	for _, bad := range []string{"../x.lua", "/tmp/x.lua", "UPPER.lua"} {
		if err := f.Replace(bad, nil, []byte("x")); err == nil {
			t.Errorf("%s was written", bad)
		}
	}
	left, err := os.ReadDir(filepath.Join(dir, "a/b"))
	if err != nil || len(left) != 1 {
		t.Errorf("there is left %v, %v", left, err)
	}
}

// A save that comes while the station replaces the file is not lost, whichever comes first.
func TestReplaceRacingASave(t *testing.T) {
	dir := t.TempDir()
	f := listed(t, dir)
	path, aside := filepath.Join(dir, "a.lua"), filepath.Join(dir, "a.lua~")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Error(err)
		}
	}
	replaced := 0
	for i := range 2000 {
		old := []byte("old")
		if write(path, "old"); i%4 == 0 {
			old = nil
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		write(aside, "saved")
		saved := make(chan error, 1)
		go func() {
			for range i % 50 * 200 { // some time, from none to as much as a replacement takes
				runtime.Gosched()
			}
			saved <- os.Rename(aside, path)
		}()
		err := f.Replace("a.lua", old, []byte("new"))
		if err == nil {
			replaced++
		} else if !errors.Is(err, ErrNotReplaced) {
			t.Fatalf("round %d: %v", i, err)
		}
		if err := <-saved; err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "saved" {
			t.Fatalf("round %d: the file holds %q, %v: the save is lost", i, text, err)
		}
	}
	t.Logf("%d of 2000 were replaced before the save", replaced)
}

// listed opens a folder with the scripts that there are.
func listed(t testing.TB, dir string) *Folder {
	t.Helper()
	l, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := OpenFolder(dir, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // it may be closed already
	return f
}

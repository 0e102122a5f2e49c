package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage/kv"
)

// TestLockedDatabase: who opens a database that is open is told who has it.
func TestLockedDatabase(t *testing.T) {
	dir := t.TempDir()
	db, err := openDatabase(dir, "objects.db")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	_, err = openDatabase(dir, "objects.db")
	if want := fmt.Sprintf("objects.db is in use by process %d.", os.Getpid()); !errs.Is(err, errs.Unavailable) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("opening it again gives %v; want errs.Unavailable that ends in %q", err, want)
	}
}

// TestFileOption: the file stays in the data folder.
func TestFileOption(t *testing.T) {
	for _, file := range []string{"", ".", "..", "../objects.db", "a/b", "/objects.db"} {
		s := fresh(t)
		err := s.Configure(t.Context(), plugin.Config{Station: "here", DataDir: t.TempDir(), Options: map[string]string{"file": file}})
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "The option file is") {
			t.Errorf("the file %q gives %v, want errs.Invalid", file, err)
		}
	}
}

// TestFullDisk: a commit that finds no room is errs.Unavailable, and the next that
// does is stored.
func TestFullDisk(t *testing.T) {
	db, err := openDatabase(t.TempDir(), "objects.db")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	put := func(value []byte) error {
		return db.Update(func(w kv.Writer) error { return w.Put([]byte("key"), value) })
	}
	if err := put([]byte("old")); err != nil {
		t.Fatal(err)
	}
	restore := limitFiles(t, 64<<10)
	err = put(make([]byte, 1<<20))
	restore()
	if !errs.Is(err, errs.Unavailable) {
		t.Fatalf("a change without room gives %v, want errs.Unavailable", err)
	}
	if err := db.View(func(r kv.Reader) error {
		v, err := r.Get([]byte("key"))
		if string(v) != "old" {
			t.Errorf("the key has %d bytes afterwards", len(v))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := put([]byte("new")); err != nil {
		t.Errorf("a change with room again: %v", err)
	}
}

// limitFiles keeps files of this process from growing beyond a size, in bytes.
func limitFiles(t *testing.T, size uint64) (restore func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limit := before
	limit.Cur = size
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
	}
}

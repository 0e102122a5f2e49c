package kernel

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// A file at the limit is taken, one byte more is not, and no more than that is read.
func TestBounded(t *testing.T) {
	if n, err := io.Copy(io.Discard, &bounded{r: strings.NewReader("12345"), most: 5, left: 5}); n != 5 || err != nil {
		t.Errorf("5 bytes of 5: %d, %v", n, err)
	}
	source := strings.NewReader("1234567890")
	n, err := io.Copy(io.Discard, &bounded{r: source, most: 5, left: 5})
	if e := errs.From(err); e == nil || e.Kind != errs.TooLarge || e.Code != "file_too_large" || source.Len() != 4 {
		t.Errorf("10 bytes of 5: %d, %v; %d are left", n, err, source.Len())
	}
	if n, err := io.Copy(io.Discard, &bounded{r: zeros{}, most: 1 << 20, left: 1 << 20}); n > 1<<20 || !errs.Is(err, errs.TooLarge) {
		t.Errorf("bytes without end: %d, %v", n, err)
	}
	broken := errors.New("broken")
	if _, err := io.Copy(io.Discard, &bounded{r: io.MultiReader(strings.NewReader("1"), failing{broken}), most: 5, left: 5}); !errors.Is(err, broken) {
		t.Errorf("a reader's error became %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A file is read by its hash, and only so many at once.
func TestReadFile(t *testing.T) {
	s := storagetest.NewMemory().Open(t, plugin.Config{Station: "s1", DataDir: "d"})
	h := &Host{files: s, objects: &objects{all: map[id.Object]served{"a": {}}}, streams: newStreams(1, 2)}
	u, err := s.WriteFile(t.Context(), "a", strings.NewReader("content"))
	if err != nil {
		t.Fatal(err)
	}
	stamp := storage.FileChange{Upload: u.ID, File: storage.File{Name: "f", Size: u.Size, Hash: u.Hash}}
	stamp.Stamp.Time, stamp.Stamp.Station = 1, "s1"
	c := storage.Commit{Object: "a", Incarnation: 1, Sequence: 1, Stamp: stamp.Stamp, Files: []storage.FileChange{stamp}}
	if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
		t.Fatal(err)
	}
	read := func(object id.Object, name, hash string, from int64) (string, io.Closer, error) {
		r, err := h.ReadFile(t.Context(), object, name, hash, from)
		if err != nil {
			return "", nil, err
		}
		b, err := io.ReadAll(r)
		return string(b), r, err
	}
	wantCode := func(what string, err error, code string) {
		t.Helper()
		if errs.From(err).CodeOf() != code {
			t.Errorf("%s gives %v, want %s", what, err, code)
		}
	}
	got, first, err := read("a", "f", u.Hash, 3)
	if got != "tent" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for range 3 { // none of these keeps a place
		_, _, err = read("a", "f", storage.Hash([]byte("other")), 0)
		wantCode("another hash", err, "file_changed")
		_, _, err = read("a", "g", u.Hash, 0)
		wantCode("another name", err, "file_changed")
		_, _, err = read("b", "f", u.Hash, 0)
		wantCode("another object", err, "not_found")
		_, _, err = read("a", "f", u.Hash, 8)
		wantCode("an offset behind the end", err, "bad_offset")
	}
	_, second, err := read("a", "f", u.Hash, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = read("a", "f", u.Hash, 0)
	wantCode("a third reader of two", err, "busy")
	if errs.From(err).RetryAfter <= 0 {
		t.Error("a busy station does not say when to come back")
	}
	if err := errors.Join(first.Close(), first.Close(), second.Close()); err != nil {
		t.Error(err)
	}
	if got, _, err = read("a", "f", u.Hash, 0); got != "content" || err != nil {
		t.Errorf("after the others have ended: %q, %v", got, err)
	}
}

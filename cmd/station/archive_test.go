package main_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// awkward is an object with something awkward in every field.
const awkward = `function POST()
  state.set("tab\tnew\nline\\", {a = "\0\r\n\t\\", b = json.array()})
  state.set("ü\226\128\168", "") state.set("gone", 1) state.set("number", 0.1)
  log.warning("a\tb\nc\\ \0 ü", {["field\t\n"] = "\r\\n", n = 1})
  log.info("")
  files.put("name ü.txt", "one\r\n\0\255")
  files.put("empty", "") files.put("gone", "x")
end
function DELETE() state.delete("gone") files.delete("gone") log.error("deleted") end
function GET() return tostring(state.get("number")) end`

// parts are those of an archive, but for the one that says of which commit it is.
func parts(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	all := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Name != "object.tsv" {
			all[h.Name] = string(text)
		}
	}
	return all
}

// bytesOf makes a request and gives what came.
func (s *station) bytesOf(method, path string, body io.Reader, want int) []byte {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := client(s.t).Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // it is read to its end
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		s.t.Fatalf("%s %s: %d %.200q, %v; want %d", method, path, res.StatusCode, b, err, want)
	}
	return b
}

// TestArchives takes an object from a station on tsv to one on bolt and back, under
// other names: it is the same everywhere, and goes on.
func TestArchives(t *testing.T) {
	work, scripts := workFolder(t)
	other, _ := workFolder(t)
	if err := errors.Join(
		os.WriteFile(filepath.Join(scripts, "awkward.lua"), []byte(awkward), 0o600),
		os.WriteFile(filepath.Join(other, "station.hcl"), []byte(boltConfig(t)), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	onTSV, onBolt := launchIn(t, work), launchIn(t, other)
	text, err := json.Marshal(map[string]string{"code": awkward + "\r\n-- ü\ttwo", "author": "ü\t\\", "message": "line 1\nline 2\t"})
	if err != nil {
		t.Fatal(err)
	}
	onTSV.exchange(http.MethodPut, "/objects/awkward?source=true", bytes.NewReader(text), 0, "Content-Type", "application/json")
	onTSV.bytesOf(http.MethodPost, "/objects/awkward", nil, http.StatusNoContent)
	onTSV.bytesOf(http.MethodDelete, "/objects/awkward", nil, http.StatusNoContent)
	first := onTSV.bytesOf(http.MethodGet, "/objects/awkward?export=true", nil, http.StatusOK)
	onBolt.bytesOf(http.MethodPut, "/objects/moved?import=true", bytes.NewReader(first), http.StatusOK)
	second := onBolt.bytesOf(http.MethodGet, "/objects/moved?export=true", nil, http.StatusOK)
	onTSV.bytesOf(http.MethodPut, "/objects/back?import=true", bytes.NewReader(second), http.StatusOK)
	third := onTSV.bytesOf(http.MethodGet, "/objects/back?export=true", nil, http.StatusOK)
	want := parts(t, first)
	if len(want) < 8 {
		t.Fatalf("the archive has the parts %v", want)
	}
	for name, got := range map[string][]byte{"on bolt": second, "on tsv again": third} {
		if d := cmp.Diff(want, parts(t, got)); d != "" {
			t.Errorf("the object %s (-exported +then):\n%s", name, d)
		}
	}
	for s, object := range map[*station]string{onTSV: "back", onBolt: "moved"} {
		if got := s.bytesOf(http.MethodGet, "/objects/"+object, nil, http.StatusOK); string(got) != "0.1" {
			t.Errorf("%s answers %q", object, got)
		}
		s.bytesOf(http.MethodPost, "/objects/"+object, nil, http.StatusNoContent)
		s.bytesOf(http.MethodPut, "/objects/"+object+"?import=true", bytes.NewReader(first), http.StatusConflict)
		s.bytesOf(http.MethodPut, "/objects/cut?import=true", bytes.NewReader(first[:len(first)/2]), http.StatusBadRequest)
		s.bytesOf(http.MethodGet, "/objects/cut", nil, http.StatusNotFound)
		s.end()
	}
}

// TestImportKilled kills the storage, then the kernel, in the middle of an import:
// nothing is left of it, and the next one is whole.
func TestImportKilled(t *testing.T) {
	work, scripts := workFolder(t)
	if err := os.WriteFile(filepath.Join(scripts, "awkward.lua"), []byte(awkward), 0o600); err != nil {
		t.Fatal(err)
	}
	s := launchIn(t, work)
	s.bytesOf(http.MethodPost, "/objects/awkward", nil, http.StatusNoContent)
	whole := s.bytesOf(http.MethodGet, "/objects/awkward?export=true", nil, http.StatusOK)
	c := client(t)
	for _, victim := range []string{"storage", "kernel"} {
		w, answer := s.beginImport(c, "half", whole[:len(whole)-2048]) // all but the end
		until(t, "the import runs", func() bool {
			select {
			case err := <-answer:
				t.Fatalf("the import was answered before its end: %v", err)
			default:
			}
			return s.importRuns(c, "half")
		})
		if storage := s.pluginOf("storage-tsv"); victim == "kernel" {
			s.kill()
		} else if err := syscall.Kill(storage, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		} else {
			until(t, "the storage is started again", func() bool { p := s.pluginOf("storage-tsv"); return p != 0 && p != storage })
		}
		_ = w.CloseWithError(errors.New("the client goes away"))
		if err := <-answer; err == nil {
			t.Errorf("the import succeeded whose %s was killed", victim)
		}
		if victim == "kernel" {
			s = launchIn(t, work)
		}
		until(t, "the station is ready", func() bool { return get(t.Context(), c, s.url+"/health/ready").status == http.StatusOK })
		s.bytesOf(http.MethodGet, "/objects/half", nil, http.StatusNotFound)
	}
	s.bytesOf(http.MethodPut, "/objects/half?import=true", bytes.NewReader(whole), http.StatusOK)
	if d := cmp.Diff(parts(t, whole), parts(t, s.bytesOf(http.MethodGet, "/objects/half?export=true", nil, http.StatusOK))); d != "" {
		t.Errorf("the import that followed (-exported +then):\n%s", d)
	}
	s.end()
}

// beginImport sends an archive of which begun is the first part, and whose rest is
// what is written to w. The answer is nil for one that succeeded.
func (s *station) beginImport(c *http.Client, object string, begun []byte) (w *io.PipeWriter, answer <-chan error) {
	r, w := io.Pipe()
	failed := make(chan error, 1)
	go func() {
		defer r.Close() //nolint:errcheck // it has no error
		req, err := http.NewRequest(http.MethodPut, s.url+"/objects/"+object+"?import=true", r)
		if err != nil {
			failed <- err
			return
		}
		res, err := c.Do(req)
		if err == nil {
			_ = res.Body.Close() // its status is enough
			if res.StatusCode >= 400 {
				err = errors.New(res.Status)
			}
		}
		failed <- err
	}()
	_, _ = w.Write(begun) // an error has its answer
	return w, failed
}

// importRuns reports whether an import of the object has begun: it cannot be deleted.
func (s *station) importRuns(c *http.Client, object string) bool {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodDelete, s.url+"/objects/"+object+"?object=true", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // it is read to its end
	b, err := io.ReadAll(res.Body)
	return err == nil && strings.Contains(string(b), "import_runs")
}

// TestLargeArchive exports an object with ten large files into an import of the same
// station. No process holds what passes through it.
func TestLargeArchive(t *testing.T) {
	plainOnly(t)
	work, scripts := workFolder(t)
	if err := os.WriteFile(filepath.Join(scripts, "large.lua"), []byte("function GET() end"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := launchIn(t, work)
	move := func(to string) {
		res, err := client(t).Get(s.url + "/objects/large?export=true")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }() // it is read to its end
		s.exchange(http.MethodPut, "/objects/"+to+"?import=true", res.Body, 0)
	}
	s.putTen("large", 1<<20) // settles what grows once
	move("settled")
	s.putTen("large", *eachFile)
	before, peaks := s.memory(), s.resetPeaks()
	began := time.Now()
	move("moved")
	t.Logf("%d MiB out and in again took %v", 10**eachFile>>20, time.Since(began).Round(time.Millisecond))
	s.checkGrowth("an archive", before, peaks())
	s.readTen("moved", *eachFile)
	s.end()
}

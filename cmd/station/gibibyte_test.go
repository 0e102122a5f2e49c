package main_test

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var eachFile = flag.Int64("each-file", 1600<<10, "bytes of each of the ten files of TestTenFiles")

// streamMemory is how much a process may grow while 1 GiB passes through it.
const streamMemory = 32 << 20

// TestTenFiles sends ten files in one form, and again each by itself, and reads all of
// them, whole and in part. No process holds what passes through it.
func TestTenFiles(t *testing.T) {
	plainOnly(t)
	work, scripts := workFolder(t)
	const source = `function POST(request, call) for _, f in pairs(call.files) do files.put(f.name, f) end end`
	for _, name := range []string{"ten_formed", "ten_put"} {
		if err := os.WriteFile(filepath.Join(scripts, name+".lua"), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := launchIn(t, work)
	s.sendTen("ten_formed", 1<<20) // settles what grows once
	s.putTen("ten_put", 1<<20)
	s.readTen("ten_formed", 1<<20)
	s.readTen("ten_put", 1<<20)
	before := s.memory()
	peaks := s.resetPeaks()
	for _, pass := range []struct {
		what string
		run  func(object string, each int64)
		of   string
	}{
		{"a form of ten files", s.sendTen, "ten_formed"}, {"ten files by PUT", s.putTen, "ten_put"},
		{"the files of the form", s.readTen, "ten_formed"}, {"the files of PUT", s.readTen, "ten_put"},
	} {
		began := time.Now()
		pass.run(pass.of, *eachFile)
		t.Logf("%s, %d MiB each, took %v", pass.what, *eachFile>>20, time.Since(began).Round(time.Millisecond))
		s.checkGrowth(pass.what, before, peaks())
	}
	s.end()
}

// checkGrowth compares what processes had at most while something passed through them.
func (s *station) checkGrowth(what string, before, peaks memories) {
	s.t.Helper()
	for name, peak := range peaks {
		s.t.Logf("  %s: %d KiB before, %d KiB more at most", name, before[name]>>10, (peak-before[name])>>10)
		if *strict && peak-before[name] > streamMemory {
			s.t.Errorf("%s: %s grew by %d KiB", what, name, (peak-before[name])>>10)
		}
	}
}

// resetPeaks forgets what processes had in memory at most; peaks gives it from then on,
// nothing where the system does not say.
func (s *station) resetPeaks() (peaks func() memories) {
	s.t.Helper()
	pids := s.members()
	for name, pid := range pids {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
			s.t.Logf("the peak of %s cannot be reset: %v", name, err)
			return func() memories { return nil }
		}
	}
	return func() memories {
		m := memories{}
		for name, pid := range pids {
			m[name] = highWater(pid)
		}
		return m
	}
}

// tenth gives the bytes of one of ten files.
func tenth(n int, each int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{byte(n)}), each)
}

// sendTen uploads ten files in one form.
func (s *station) sendTen(object string, each int64) {
	s.t.Helper()
	r, w := io.Pipe()
	form := multipart.NewWriter(w)
	go func() {
		var err error
		for n := 0; n < 10 && err == nil; n++ {
			var part io.Writer
			if part, err = form.CreateFormFile(fmt.Sprintf("f%d", n), fmt.Sprintf("f%d", n)); err == nil {
				_, err = io.Copy(part, tenth(n, each))
			}
		}
		if err == nil {
			err = form.Close()
		}
		_ = w.CloseWithError(err) // always nil
	}()
	s.exchange(http.MethodPost, "/objects/"+object, r, http.StatusNoContent, "Content-Type", form.FormDataContentType())
}

// putTen puts ten files, each by a request.
func (s *station) putTen(object string, each int64) {
	s.t.Helper()
	for n := range 10 {
		s.exchange(http.MethodPut, fmt.Sprintf("/objects/%s?file=f%d", object, n), tenth(n, each), 0, "Content-Type", "application/octet-stream")
	}
}

// readTen reads ten files, and the second half of each.
func (s *station) readTen(object string, each int64) {
	s.t.Helper()
	for n := range 10 {
		path := fmt.Sprintf("/objects/%s?file=f%d", object, n)
		whole, half := sha256.New(), sha256.New()
		if _, err := io.Copy(whole, tenth(n, each)); err != nil {
			s.t.Fatal(err)
		}
		r := tenth(n, each)
		if _, err := io.CopyN(io.Discard, r, each/2); err != nil {
			s.t.Fatal(err)
		}
		if _, err := io.Copy(half, r); err != nil {
			s.t.Fatal(err)
		}
		if got := s.exchange(http.MethodGet, path, nil, http.StatusOK); got != hex.EncodeToString(whole.Sum(nil)) {
			s.t.Errorf("%s came back as another file", path)
		}
		if got := s.exchange(http.MethodGet, path, nil, http.StatusPartialContent, "Range", fmt.Sprintf("bytes=%d-", each/2)); got != hex.EncodeToString(half.Sum(nil)) {
			s.t.Errorf("%s came back with another second half", path)
		}
	}
}

// exchange makes a request with headers, wants a status, 0 for 200 or 201, and gives the
// hash of what came.
func (s *station) exchange(method, path string, body io.Reader, want int, headers ...string) string {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	c := client(s.t)
	c.Timeout = 10 * time.Minute // for what a full disk takes
	res, err := c.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // it is read to its end
	h := sha256.New()
	var text strings.Builder
	_, err = io.Copy(io.MultiWriter(h, &capped{&text}), res.Body)
	if ok := res.StatusCode == want || want == 0 && (res.StatusCode == http.StatusOK || res.StatusCode == http.StatusCreated); err != nil || !ok {
		s.t.Fatalf("%s %s: %d %.200q, %v", method, path, res.StatusCode, text.String(), err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// capped keeps the beginning of what is written.
type capped struct{ *strings.Builder }

// Write implements io.Writer.
func (c *capped) Write(p []byte) (int, error) {
	if c.Len() < 1000 {
		_, _ = c.Builder.Write(p[:min(len(p), 1000)]) // to memory
	}
	return len(p), nil
}

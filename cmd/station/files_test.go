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
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var fileSize = flag.Int64("file-size", 8<<20, "bytes of the file that TestLargeFile uploads and reads")

// flatMemory is how much the memory of a process may grow while a large file
// passes through it. The buffers of gRPC and HTTP, and the garbage of chunks,
// are in it; a file of 100 MiB that somebody holds is not.
const flatMemory = 48 << 20

// TestLargeFile uploads a file and reads it back. No process holds it meanwhile.
func TestLargeFile(t *testing.T) {
	plainOnly(t)
	work, scripts := workFolder(t)
	const source = `
function POST(request, call) return { hash = files.put("large", call.files.f).hash } end
function GET() return files.response("large") end`
	if err := os.WriteFile(filepath.Join(scripts, "large.lua"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	s := launchIn(t, work)
	all, err := processes(s.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	watched := map[string]int{"kernel": s.cmd.Process.Pid}
	for name, pid := range plugins(all) {
		watched[name] = pid
	}
	s.sendLarge(1 << 20) // settles what grows once
	s.readLarge()
	before, stop := map[string]int64{}, make(chan struct{})
	peaks := map[string]*atomic.Int64{}
	for name, pid := range watched {
		before[name], peaks[name] = memory(pid), &atomic.Int64{}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			for name, pid := range watched {
				if m := memory(pid); m > peaks[name].Load() {
					peaks[name].Store(m)
				}
			}
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	began := time.Now()
	sent := s.sendLarge(*fileSize)
	up := time.Since(began)
	began = time.Now()
	got := s.readLarge()
	down := time.Since(began)
	close(stop)
	<-done
	if got != sent {
		t.Errorf("the file came back with the hash %s, it was sent with %s", got, sent)
	}
	for name := range watched {
		grew := peaks[name].Load() - before[name]
		t.Logf("%s: %d KiB before, %d KiB more at most", name, before[name]>>10, grew>>10)
		if *strict && grew > flatMemory {
			t.Errorf("%s grew by %d KiB while a file of %d KiB passed through it", name, grew>>10, *fileSize>>10)
		}
	}
	t.Logf("%d MiB up in %v, down in %v", *fileSize>>20, up.Round(time.Millisecond), down.Round(time.Millisecond))
	s.end()
}

// sendLarge uploads n bytes and gives their hash, which the station must have found too.
func (s *station) sendLarge(n int64) string {
	s.t.Helper()
	r, w := io.Pipe()
	form := multipart.NewWriter(w)
	h := sha256.New()
	go func() {
		part, err := form.CreateFormFile("f", "f")
		if err == nil {
			_, err = io.Copy(part, io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{1}), n), h))
		}
		if err == nil {
			err = form.Close()
		}
		_ = w.CloseWithError(err) // always nil
	}()
	res, err := client(s.t).Post(s.url+"/objects/large", form.FormDataContentType(), r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // it is read to its end
	body, err := io.ReadAll(res.Body)
	sum := hex.EncodeToString(h.Sum(nil))
	if want := fmt.Sprintf(`{"hash":%q}`, sum); err != nil || string(body) != want {
		s.t.Fatalf("%d %s, %v; want %s", res.StatusCode, body, err, want)
	}
	return sum
}

// readLarge reads the file and gives the hash of what came.
func (s *station) readLarge() string {
	s.t.Helper()
	res, err := client(s.t).Get(s.url + "/objects/large")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // it is read to its end
	h := sha256.New()
	if _, err := io.Copy(h, res.Body); err != nil || res.StatusCode != http.StatusOK {
		s.t.Fatalf("%d, %v", res.StatusCode, err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// memory gives the bytes of a process that are in memory, 0 where ps knows none.
func memory(pid int) int64 {
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0
	}
	kib, _ := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return kib << 10
}

package main_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptAwait polls, since a file that was saved is live a little later.
func scriptAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: await METHOD PATH PATTERN")
	}
	want, err := regexp.Compile("(?m)" + args[2])
	ts.Check(err)
	var last string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		last, err = exchange(args[0], ts.Getenv("URL")+args[1])
		ts.Check(err)
		if want.MatchString(last) {
			return
		}
	}
	ts.Fatalf("%s %s gave no %q, but at last\n%s", args[0], args[1], args[2], last)
}

// exchange gives status, headers and body of an answer as one text.
func exchange(method, url string) (string, error) {
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }() // it was read to its end, or the connection is lost
	body, err := io.ReadAll(resp.Body)
	var header strings.Builder
	_ = resp.Header.Write(&header) // to memory
	return fmt.Sprintf("%d\n%s\n%s", resp.StatusCode, header.String(), body), err
}

// saving is a station whose one script is saved while it runs.
type saving struct {
	*station
	t   *testing.T
	dir string
}

func newSaving(t *testing.T) *saving {
	s := &saving{t: t, dir: t.TempDir()}
	if err := os.Mkdir(filepath.Join(s.dir, "scripts"), 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *saving) start() {
	s.t.Helper()
	path, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(path, "serve", "--listen", "127.0.0.1:0")
	cmd.Dir = s.dir
	s.station = launch(s.t, cmd)
}

// save replaces the script by one that answers n.
func (s *saving) save(n int) {
	s.t.Helper()
	path := filepath.Join(s.dir, "scripts", "a.lua")
	if err := os.WriteFile(path+"~", fmt.Appendf(nil, "function GET() return { count = %d } end\n", n), 0o644); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		s.t.Fatal(err)
	}
}

func (s *saving) answers(n int) bool {
	a := get(s.t.Context(), http.DefaultClient, s.url+"/objects/a")
	return a.status == http.StatusOK && a.count == n
}

// TestSavedIsLive measures the time from the last write to the first answer of the
// new version, with the request that asks for it.
func TestSavedIsLive(t *testing.T) {
	s := newSaving(t)
	s.save(0)
	s.start()
	var worst, sum time.Duration
	const saves = 20
	for n := 1; n <= saves; n++ {
		s.save(n)
		took := until(t, fmt.Sprintf("save %d is live", n), func() bool { return s.answers(n) })
		worst, sum = max(worst, took), sum+took
	}
	t.Logf("%d saves were live after %v on average", saves, (sum / saves).Round(time.Millisecond))
	within(t, "the slowest save", worst, 250*time.Millisecond)
}

// TestKilledWhileSaving kills a station again and again while its script is saved:
// the last save is served after each start, and the versions are saves in their
// order, numbered without a gap.
func TestKilledWhileSaving(t *testing.T) {
	s := newSaving(t)
	n := 0
	for range 5 {
		s.save(n)
		s.start()
		for end := time.Now().Add(time.Duration(200+rand.IntN(300)) * time.Millisecond); time.Now().Before(end); {
			n++
			s.save(n)
			time.Sleep(time.Duration(rand.IntN(250)) * time.Millisecond)
		}
		s.kill()
	}
	s.start()
	until(t, fmt.Sprintf("save %d is live", n), func() bool { return s.answers(n) })
	s.end()
	last := -1
	for v := 1; ; v++ {
		text, err := os.ReadFile(filepath.Join(s.dir, "data/versions/a", fmt.Sprintf("v%d.lua", v)))
		if os.IsNotExist(err) {
			t.Logf("%d saves are %d versions", n+1, v-1)
			break
		}
		var saved int
		if _, scanErr := fmt.Sscanf(string(text), "function GET() return { count = %d }", &saved); err != nil || scanErr != nil || saved <= last {
			t.Fatalf("version %d after that of save %d: %q, %v", v, last, text, err)
		}
		last = saved
	}
	if last != n {
		t.Errorf("the newest version is save %d, want %d", last, n)
	}
}

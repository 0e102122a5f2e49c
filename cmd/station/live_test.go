package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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

func scriptWaitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: waitfile FILE [PATTERN]")
	}
	pattern, err := regexp.Compile("(?m)" + strings.Join(args[1:], ""))
	ts.Check(err)
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && pattern.Match(text) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s does not match %s (%v): %s", args[0], pattern, err, text)
		}
	}
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

// saved is the script that answers n.
func saved(n int) string { return fmt.Sprintf("function GET() return { count = %d } end\n", n) }

func (s *saving) path() string { return filepath.Join(s.dir, "scripts", "a.lua") }

// save replaces the script by one that answers n.
func (s *saving) save(n int) {
	s.t.Helper()
	path := s.path()
	if err := os.WriteFile(path+"~", []byte(saved(n)), 0o644); err != nil {
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
	all := s.versions()
	t.Logf("%d saves are %d versions", n+1, len(all))
	if newest := all[len(all)-1]; newest != n {
		t.Errorf("the newest version is save %d, want %d", newest, n)
	}
}

// versions gives the saves that the stored versions are, numbered from 1 without a gap,
// and each later than the one before.
func (s *saving) versions() (all []int) {
	s.t.Helper()
	for v := 1; ; v++ {
		text, err := os.ReadFile(filepath.Join(s.dir, "data/versions/a", fmt.Sprintf("v%d.lua", v)))
		if os.IsNotExist(err) && v > 1 {
			return all
		}
		var n int
		if _, scanErr := fmt.Sscanf(string(text), "function GET() return { count = %d }", &n); err != nil || scanErr != nil || len(all) > 0 && n <= all[len(all)-1] {
			s.t.Fatalf("version %d after those of the saves %v: %q, %v", v, all, text, err)
		}
		all = append(all, n)
	}
}

// put saves the script that answers n over HTTP, and says whether that was acknowledged.
func (s *saving) put(n int) bool {
	body, err := json.Marshal(map[string]string{"code": saved(n)})
	if err != nil {
		s.t.Error(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPut, s.url+"/objects/a?source=true", bytes.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }() // nothing of it is read
	return resp.StatusCode == http.StatusOK
}

// TestKilledWhilePutting kills a station again and again while its script is saved over
// HTTP, now and then between a version and its file. After each start the file holds the
// newest version, which serves; every save that was acknowledged is a version, once.
func TestKilledWhilePutting(t *testing.T) {
	s := newSaving(t)
	var acknowledged []int
	n, behind := 0, 0
	for range 8 {
		s.start()
		until(t, "the file holds what is served", func() bool {
			text, err := os.ReadFile(s.path())
			var now int
			if _, scanErr := fmt.Sscanf(string(text), "function GET() return { count = %d }", &now); err != nil || scanErr != nil {
				// nothing is acknowledged yet, and the kill may have come before anything was stored
				return len(acknowledged) == 0 && (n == 0 || get(t.Context(), http.DefaultClient, s.url+"/objects/a").status == http.StatusNotFound)
			}
			if last := len(acknowledged); last > 0 && now < acknowledged[last-1] {
				t.Fatalf("the file holds save %d, and save %d was acknowledged", now, acknowledged[last-1])
			}
			return s.answers(now)
		})
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			time.Sleep(time.Duration(20+rand.IntN(60)) * time.Millisecond)
			s.kill()
		}()
		for {
			n++
			if !s.put(n) {
				break
			}
			acknowledged = append(acknowledged, n)
		}
		<-killed
		if text, err := os.ReadFile(s.path()); len(acknowledged) > 0 && err == nil && string(text) != saved(acknowledged[len(acknowledged)-1]) {
			behind++ // or ahead, with a version that was not acknowledged
		}
	}
	s.start()
	s.end()
	all := s.versions()
	for _, n := range acknowledged {
		if !slices.Contains(all, n) {
			t.Errorf("save %d was acknowledged and is no version", n)
		}
	}
	if text, err := os.ReadFile(s.path()); err != nil || string(text) != saved(all[len(all)-1]) {
		t.Errorf("the file holds %q, %v, and the newest version is save %d", text, err, all[len(all)-1])
	}
	t.Logf("%d of %d saves were acknowledged, %d are versions; after %d of 8 kills the file was not the last of those that were", len(acknowledged), n, len(all), behind)
}

// remove deletes the object over HTTP, and says whether that was acknowledged.
func (s *saving) remove() bool {
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodDelete, s.url+"/objects/a?object=true", nil)
	if err != nil {
		s.t.Error(err)
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }() // nothing of it is read
	return resp.StatusCode == http.StatusOK
}

// serves gives the save that the running station serves, 0 where there is no object, and
// waits until the file is that one or gone.
func (s *saving) serves() (n int) {
	s.t.Helper()
	until(s.t, "the file is what is served", func() bool {
		a := get(s.t.Context(), http.DefaultClient, s.url+"/objects/a")
		text, err := os.ReadFile(s.path())
		if a.status == http.StatusNotFound {
			n = 0
			return os.IsNotExist(err)
		}
		n = a.count
		return a.status == http.StatusOK && err == nil && string(text) == saved(n)
	})
	return n
}

// TestKilledWhileDeleting kills a station again and again while its object is made and
// deleted over HTTP. After each start the object is as the last change left it that was
// acknowledged, or the one that was on its way, and nothing lies beside its file.
func TestKilledWhileDeleting(t *testing.T) {
	s := newSaving(t)
	s.save(1)
	n, last, onItsWay := 1, 1, 1 // 0 stands for no object
	acknowledged, undecided := 0, 0
	for range 8 {
		s.start()
		now := s.serves()
		if now != last && now != onItsWay {
			t.Fatalf("save %d is served (0: none); %d was acknowledged, and %d on its way", now, last, onItsWay)
		}
		if now != last {
			undecided++
		}
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			time.Sleep(time.Duration(10+rand.IntN(60)) * time.Millisecond)
			s.kill()
		}()
		for last = now; ; last = onItsWay {
			done := false
			if onItsWay = 0; last > 0 {
				done = s.remove()
			} else {
				n++
				onItsWay = n
				done = s.put(n)
			}
			if !done {
				break
			}
			acknowledged++
		}
		<-killed
	}
	s.start()
	s.serves()
	names, err := os.ReadDir(filepath.Dir(s.path()))
	for _, f := range names {
		if f.Name() != "a.lua" {
			t.Errorf("in the scripts folder there is %s", f.Name())
		}
	}
	if err != nil {
		t.Error(err)
	}
	s.end()
	t.Logf("%d changes were acknowledged; %d of 8 that were on their way are stored", acknowledged, undecided)
}

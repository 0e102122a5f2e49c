package main_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/plugins/transport-http/badrequests"
)

// TestBadRequests sends what no client should send, as bytes, so that no library
// mends it. Each gets the answer that is documented, and nothing is written.
func TestBadRequests(t *testing.T) {
	work := t.TempDir()
	scripts := filepath.Join(work, "scripts")
	if err := os.Mkdir(scripts, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, source := range badrequests.Objects {
		if err := os.WriteFile(filepath.Join(scripts, name+".lua"), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	furnish(t, work)
	s := launchIn(t, work)
	before, stored := s.everything(), digests(t, work)
	if len(before) < 3*len(badrequests.Objects) || len(stored) < 10 {
		t.Fatalf("there is nothing to change: %d answers, %d files", len(before), len(stored))
	}
	n := 0
	for _, r := range badrequests.All() {
		n++
		if problem := s.sendBad(r); problem != "" {
			t.Errorf("%s: %s", r.Name, problem)
		}
	}
	t.Logf("%d requests", n)
	if d := cmp.Diff(before, s.everything()); d != "" {
		t.Errorf("what the station answers has changed:\n%s", d)
	}
	if log := s.logs.String(); strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
		t.Error("the station has logged faults of its own")
	}
	s.end()
	if d := cmp.Diff(stored, digests(t, work)); d != "" {
		t.Errorf("the data folder has changed:\n%s", d)
	}
}

// furnish gives the objects what there is to change, and ends the station, so that
// all of it has its place in the data folder.
func furnish(t *testing.T, work string) {
	t.Helper()
	s := launchIn(t, work)
	defer s.end()
	put := func(method, path, contentType, body string, want int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", contentType)
		res, err := client(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }() // it is not read
		if res.StatusCode != want {
			t.Fatalf("%s %s: %d", method, path, res.StatusCode)
		}
	}
	put("POST", "/objects/target", "text/plain", "x", 200)
	for name, content := range map[string]string{
		"f": "0123456789", "evil.html": "<script>alert(1)</script>",
		"evil.svg": `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`,
	} {
		kind := map[string]string{".html": "text/html", ".svg": "image/svg+xml", "": "text/plain"}[filepath.Ext(name)]
		put("PUT", "/objects/album", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=f; filename="+name+
			"\r\nContent-Type: "+kind+"\r\n\r\n"+content+"\r\n--b--\r\n", 204)
	}
}

// everything is what the station answers about its objects.
func (s *station) everything() map[string]string {
	s.t.Helper()
	all := map[string]string{}
	look := func(path string) {
		a := get(s.t.Context(), client(s.t), s.url+path)
		if a.status != http.StatusOK {
			s.t.Fatalf("GET %s: %d %s", path, a.status, a.body)
		}
		all[path] = a.body
	}
	look("/objects")
	for name := range badrequests.Objects {
		for _, flag := range []string{"source", "state", "logs", "versions", "metadata"} {
			look("/objects/" + name + "?" + flag + "=true")
		}
	}
	for _, name := range []string{"f", "evil.svg", "evil.html"} {
		look("/objects/album?name=" + name)
	}
	return all
}

// digests gives the SHA-256 of each file that an object has in the data folder, and of
// each script. The journal is none of them.
func digests(t *testing.T, work string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, top := range []string{"scripts", "data/state", "data/logs", "data/versions", "data/files"} {
		err := filepath.WalkDir(filepath.Join(work, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(content)
			all[strings.TrimPrefix(path, work)] = hex.EncodeToString(sum[:])
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// sendBad sends a request, and says what is wrong with what comes back.
func (s *station) sendBad(r badrequests.Request) string {
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close() }() // all was read, or it is of no use
	_ = conn.SetDeadline(time.Now().Add(patience))
	half := conn.(interface{ CloseWrite() error })
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(conn, r.Text) // the station may refuse it half-way
		if r.Cut {
			_ = half.CloseWrite() // or it is gone already
		}
	}()
	in := bufio.NewReader(conn)
	res, err := readNext(in)
	if err != nil {
		return err.Error()
	}
	problem := r.Judge(res.Response, res.body)
	var then []int
	if res.StatusCode == r.Status {
		_ = half.CloseWrite() // or it is gone already
		for {
			more, err := readNext(in)
			if err != nil {
				break
			}
			then = append(then, more.StatusCode)
		}
		<-sent
	}
	if problem == "" && !slices.Equal(then, r.Then) {
		problem = fmt.Sprintf("behind it came answers with %v, want %v", then, r.Then)
	}
	return problem
}

type wholeAnswer struct {
	*http.Response
	body string
}

// readNext reads an answer, those aside that say 100.
func readNext(in *bufio.Reader) (wholeAnswer, error) {
	for {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return wholeAnswer{}, err
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close() // it was read
		if err != nil || res.StatusCode != http.StatusContinue {
			return wholeAnswer{res, string(body)}, err
		}
	}
}

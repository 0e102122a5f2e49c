package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// TestListsArePrintedWhole: whatever a list is printed as, all its pages are, as if
// they were one, and no more than was asked for.
func TestListsArePrintedWhole(t *testing.T) {
	const all = 5
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		q := r.URL.Query()
		from, _ := strconv.Atoi(q.Get("cursor")) // 0 for the first page
		limit, err := strconv.Atoi(q.Get("limit"))
		if err != nil {
			t.Errorf("%s has no limit", r.URL)
		}
		kind, open, shut, element := "objects", '[', ']', `{"object_id":"e%d"}`
		switch {
		case q.Has("state"):
			kind, open, shut, element = "state", '{', '}', `"e%d":"<&>"`
		case q.Has("files"):
			kind, element = "files", `{"name":"e%d"}`
		case q.Has("versions"):
			kind, element = "versions", `{"version_id":%d}`
		}
		var page []string
		for i := from; i < min(from+min(limit, 2), all); i++ {
			page = append(page, fmt.Sprintf(element, i))
		}
		fmt.Fprintf(w, `{"status":"ok","%s":%c%s%c,"count":%d`, kind, open, strings.Join(page, ","), shut, len(page))
		if next := from + len(page); next < all {
			fmt.Fprintf(w, `,"next_cursor":"%d"`, next)
		}
		fmt.Fprintln(w, "}")
	}))
	t.Cleanup(srv.Close)
	for command, want := range map[string]string{
		"ls":                `{"status":"ok","objects":[{"object_id":"e0"},{"object_id":"e1"},{"object_id":"e2"},{"object_id":"e3"},{"object_id":"e4"}],"count":5}`,
		"state ls x":        `{"status":"ok","state":{"e0":"<&>","e1":"<&>","e2":"<&>","e3":"<&>","e4":"<&>"},"count":5}`,
		"files ls x":        `{"status":"ok","files":[{"name":"e0"},{"name":"e1"},{"name":"e2"},{"name":"e3"},{"name":"e4"}],"count":5}`,
		"versions x -n 0":   `{"status":"ok","versions":[{"version_id":0},{"version_id":1},{"version_id":2},{"version_id":3},{"version_id":4}],"count":5}`,
		"versions x -n 3":   `{"status":"ok","versions":[{"version_id":0},{"version_id":1},{"version_id":2}],"count":3}`,
		"versions x -n 200": `{"status":"ok","versions":[{"version_id":0},{"version_id":1},{"version_id":2},{"version_id":3},{"version_id":4}],"count":5}`,
	} {
		for _, f := range formats {
			var out, fault bytes.Buffer
			args := append(strings.Fields(command), "-o", f, "--url", srv.URL)
			if code := execute(t.Context(), args, &out, &fault); code != exitOK {
				t.Errorf("station %v: exit code %d, %s", args, code, fault.String())
			}
			if f == string(asJSON) {
				if out.String() != want+"\n" {
					t.Errorf("station %v prints %s want %s", args, out.String(), want)
				}
			} else if rows := strings.Count(out.String(), "\n") - 1; rows != strings.Count(want, ":")-strings.Count(want, `"status":`)-2 {
				t.Errorf("station %v prints\n%s", args, out.String())
			}
		}
	}
	if len(asked) < 6*3*2 {
		t.Errorf("only %d pages were asked for", len(asked))
	}
}

// A page without its list, and an error behind the first page, are errors.
func TestBrokenPages(t *testing.T) {
	pages := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/none"):
			fmt.Fprint(w, `{"status":"ok","count":0}`)
		case r.URL.Query().Get("cursor") == "":
			fmt.Fprint(w, `{"status":"ok","versions":[],"next_cursor":"a"}`)
		default:
			pages++
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"status":"error","error":"It is gone.","code":"no_such_object"}`)
		}
	}))
	t.Cleanup(srv.Close)
	for base, want := range map[string]int{srv.URL: exitNotFound, srv.URL + "/none": exitUnreachable} {
		var out, fault bytes.Buffer
		if code := execute(t.Context(), []string{"versions", "x", "-o", "json", "--url", base}, &out, &fault); code != want {
			t.Errorf("%s: exit code %d, want %d: %s", base, code, want, fault.String())
		}
	}
	if pages != 1 {
		t.Errorf("the second page was asked for %d times", pages)
	}
}

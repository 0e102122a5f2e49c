package main_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The sizes of the bundled objects that are compared with small ones. CI runs
// the defaults; make soak runs more.
var (
	users = flag.Int("users", 200, "users of the large advanced_auth")
	posts = flag.Int("posts", 300, "posts of the large advanced_blog")
)

const (
	tokenLimit = 1.2 // of a token check among many users, times its cost with one
	listLimit  = 1.5 // of a page of many posts, times its cost with smallPosts
	smallPosts = 100
)

// userSeed and postSeed are put behind a bundled script to fill its state in
// the ways that the script has for one user and one post.
const (
	userSeed = `
function PATCH(request)
  local tokens = json.array()
  for i = request.from, request.to do
    local name = ("user%06d"):format(i)
    state.set("user:" .. name, { username = name, email = name .. "@example.com", created_at = time.iso(),
      password_hash = "$argon2id$v=19$m=19456,t=2,p=1$" .. ("A"):rep(22) .. "$" .. ("A"):rep(43) })
    state.incr("users")
    tokens[#tokens + 1] = issue(name, time.now()).token
  end
  return { status = "ok", made = tokens }
end
`
	postSeed = `
function PATCH(request)
  local answer = json.array()
  for i = request.from, request.to do
    local content = ("What post %d says of the sea. "):format(i):rep(30)
    if i % 100 == 50 then content = content .. "A needle lies here." end
    local post, wrong = create("author" .. i % 3, { title = ("Title %d"):format(i * 7919 % 10007), content = content, tags = { "sea", "t" .. i % 10 } })
    if not post then error(wrong.message) end
    answer[#answer + 1] = tostring(post.id)
  end
  return { status = "ok", made = answer }
end
`
)

// fill makes an object with the text of a bundled script, and fills it by a
// seed before that text is the newest version. It gives what the seed gave.
func (s *station) fill(object, script, seed string, n int) []string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "scripts", script))
	if err != nil {
		s.t.Fatal(err)
	}
	c := client(s.t)
	publish := func(code string) {
		if a := s.tell(c, "PUT", object, "?source=true", map[string]any{"code": code}); a.status != http.StatusOK {
			s.t.Fatalf("%s: %d %s", object, a.status, a.body)
		}
	}
	publish(string(text) + seed)
	var all []string
	for from := 1; from <= n; from += 200 {
		a := s.tell(c, "PATCH", object, "", map[string]any{"from": from, "to": min(n, from+199)})
		if a.Status != "ok" {
			s.t.Fatalf("%s: %d %s", object, a.status, a.body)
		}
		all = append(all, a.Made...)
	}
	publish(string(text))
	return all
}

// compareCost asks two objects in turns, and gives how many times the median of
// the large one is that of the small one.
func (s *station) compareCost(what string, limit float64, ask func(large bool, k int)) {
	s.t.Helper()
	times := 31
	if *strict {
		times = 301
	}
	var took [2][]time.Duration
	for k := range times {
		for i := range took {
			i = (i + k) % 2 // so that neither always comes first
			began := time.Now()
			ask(i == 1, k)
			took[i] = append(took[i], time.Since(began))
		}
	}
	small, large := median(took[0]), median(took[1])
	ratio := float64(large) / float64(small)
	s.t.Logf("%s: %v small, %v large, %.2f times", what, small, large, ratio)
	if *strict && ratio > limit {
		s.t.Errorf("%s costs %.2f times as much in the large object, more than %v", what, ratio, limit)
	}
}

// TestTokenCheckCost: a token is checked among many users as it is with one.
func TestTokenCheckCost(t *testing.T) {
	plainOnly(t)
	s := start(t, t.TempDir(), "--scripts", scriptsCopy(t))
	tokens := [2][]string{s.fill("auth_small", "advanced/auth.lua", userSeed, 1), s.fill("auth_large", "advanced/auth.lua", userSeed, *users)}
	var v struct{ State struct{ Users, Tokens int } }
	s.read("/objects/auth_large?state=true&prefix=users", &v)
	if len(tokens[1]) != *users || v.State.Users != *users {
		t.Fatalf("%d tokens, state %+v; want %d", len(tokens[1]), v, *users)
	}
	c := client(t)
	s.compareCost("a token check", tokenLimit, func(large bool, k int) {
		object, n := "auth_small", 0
		if large {
			object, n = "auth_large", k*7919%*users
		}
		i := map[bool]int{true: 1}[large]
		if a := s.tell(c, "GET", object, "?token="+tokens[i][n], nil); a.Status != "ok" {
			t.Fatalf("%s: %d %s", object, a.status, a.body)
		}
	})
	s.end()
}

// scriptsCopy is a folder with the bundled scripts, which a test may change.
func scriptsCopy(t *testing.T) string {
	_, scripts := workFolder(t)
	return scripts
}

// list is a page of the blog.
type list struct {
	Posts []struct {
		ID      int
		Title   string
		Excerpt string
	}
	Pagination struct {
		Total, Offset, Scanned int
		HasMore                bool `json:"has_more"`
		Next                   string
	}
}

// TestBlogCost: a page is listed among many posts as it is among few, whatever
// it is sorted by; a page far in and a search of all posts stay within a call.
func TestBlogCost(t *testing.T) {
	plainOnly(t)
	s := start(t, t.TempDir(), "--scripts", scriptsCopy(t))
	s.fill("blog_small", "advanced/blog.lua", postSeed, smallPosts)
	s.fill("blog_large", "advanced/blog.lua", postSeed, *posts)
	c := client(t)
	ask := func(object, query string) (l list) {
		a := s.tell(c, "GET", object, query, nil)
		if err := json.Unmarshal([]byte(a.body), &l); err != nil || a.Status != "ok" {
			t.Fatalf("%s%s: %d %s", object, query, a.status, a.body)
		}
		return l
	}
	for _, query := range []string{"", "?sort=oldest", "?sort=title", "?author=author1", "?author=author2&sort=oldest", "?author=author0&sort=title"} {
		s.compareCost("20 posts, "+query, listLimit, func(large bool, _ int) {
			object := map[bool]string{false: "blog_small", true: "blog_large"}[large]
			if l := ask(object, query); len(l.Posts) != 20 || !l.Pagination.HasMore {
				t.Fatalf("%s%s: %+v", object, query, l)
			}
		})
	}

	began := time.Now()
	l := ask("blog_large", fmt.Sprintf("?offset=%d", *posts-5))
	within(t, "a page at the end", time.Since(began), time.Second)
	if len(l.Posts) != 5 || l.Posts[0].ID != 5 || l.Pagination.Total != *posts || l.Pagination.HasMore {
		t.Errorf("the last page: %+v", l)
	}
	began = time.Now()
	found, scanned, next := 0, 0, ""
	for {
		l = ask("blog_large", "?search=NEEDLE&limit=1&after="+next)
		found, scanned = found+l.Pagination.Total, scanned+l.Pagination.Scanned
		if next = l.Pagination.Next; next == "" {
			break
		}
	}
	within(t, fmt.Sprintf("a search of %d posts", scanned), time.Since(began), 5*time.Second)
	if found != *posts/100 || scanned != *posts {
		t.Errorf("%d posts were found among %d, want %d among %d", found, scanned, *posts/100, *posts)
	}
	s.end()
}

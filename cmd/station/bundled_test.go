package main_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// said is what a bundled object answered.
type said struct {
	status  int
	body    string
	Status  string
	Message string
	Token   string
	Made    []string
}

// tell sends an object a request as JSON, where it has one.
func (s *station) tell(c *http.Client, method, object, query string, request any) said {
	s.t.Helper()
	text, raw := request.(string)
	body := []byte(text)
	if !raw && request != nil {
		var err error
		if body, err = json.Marshal(request); err != nil {
			s.t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"/objects/"+object+query, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := io.ReadAll(resp.Body)
	if closeErr := resp.Body.Close(); err != nil || closeErr != nil {
		s.t.Fatal(err, closeErr)
	}
	a := said{status: resp.StatusCode, body: string(answer)}
	if a.status == http.StatusOK {
		if err := json.Unmarshal(answer, &a); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, object, err, answer)
		}
	}
	return a
}

// register makes a user and gives a token of theirs.
func (s *station) register(c *http.Client, name string) string {
	s.t.Helper()
	a := s.tell(c, "POST", "advanced_auth", "", map[string]any{"action": "register", "username": name, "password": "correct horse", "email": name + "@example.com"})
	if a.Status != "ok" || len(a.Token) != 43 {
		s.t.Fatalf("register %s: %d %s", name, a.status, a.body)
	}
	return a.Token
}

// form is a request that an object takes, and the fields in which it looks.
type form struct {
	object, method, fields string
	request                map[string]any
}

// TestBundledRefusals puts what no field may be into each field of each bundled
// object: every answer is one of the object's own that says what is wrong, and
// nothing is stored.
func TestBundledRefusals(t *testing.T) {
	s := start(t, t.TempDir())
	c := client(t)
	token := s.register(c, "ada")
	const demo = "demo_token_1"
	for _, post := range []struct {
		object  string
		request map[string]any
	}{
		{"tutorial_05_user_registry", map[string]any{"user_id": "ada", "email": "ada@example.com", "name": "Ada"}},
		{"tutorial_06_task_queue", map[string]any{"title": "Sweep"}},
		{"advanced_blog", map[string]any{"token": demo, "title": "Sea", "content": "Water"}},
	} {
		if a := s.tell(c, "POST", post.object, "", post.request); a.Status != "ok" {
			t.Fatalf("%s: %d %s", post.object, a.status, a.body)
		}
	}
	forms := []form{
		{"tutorial_04_calculator", "GET", "a b operation", map[string]any{"a": 1, "b": 2, "operation": "add"}},
		{"tutorial_05_user_registry", "POST", "user_id email name", map[string]any{"user_id": "bob", "email": "bob@example.com", "name": "Bob"}},
		{"tutorial_05_user_registry", "GET", "user_id", nil},
		{"tutorial_05_user_registry", "GET", "after", nil},
		{"tutorial_05_user_registry", "PUT", "user_id email name", map[string]any{"user_id": "ada", "email": "a@b", "name": "A"}},
		{"tutorial_05_user_registry", "DELETE", "user_id", nil},
		{"tutorial_06_task_queue", "POST", "title priority description", map[string]any{"title": "x"}},
		{"tutorial_06_task_queue", "GET", "task_id", nil},
		{"tutorial_06_task_queue", "GET", "status priority", nil},
		{"tutorial_06_task_queue", "PUT", "task_id status", map[string]any{"task_id": 1, "status": "COMPLETED"}},
		{"tutorial_06_task_queue", "DELETE", "task_id", nil},
		{"advanced_auth", "POST", "action username password email", map[string]any{"action": "register", "username": "bob", "password": "correct horse", "email": "b@c"}},
		{"advanced_auth", "POST", "username password", map[string]any{"username": "ada", "password": "correct horse"}},
		{"advanced_auth", "GET", "token user", map[string]any{"token": token}},
		{"advanced_auth", "PUT", "token email", map[string]any{"token": token, "email": "b@c"}},
		{"advanced_auth", "PUT", "token password old_password", map[string]any{"token": token, "password": "battery staple", "old_password": "correct horse"}},
		{"advanced_auth", "DELETE", "token delete_account", map[string]any{"token": token}},
		{"advanced_auth", "DELETE", "token password", map[string]any{"token": token, "delete_account": true, "password": "correct horse"}},
		{"advanced_blog", "POST", "token title content tags", map[string]any{"token": demo, "title": "x", "content": "y"}},
		{"advanced_blog", "GET", "id", nil},
		{"advanced_blog", "GET", "author tag search sort limit offset", nil},
		{"advanced_blog", "GET", "after", map[string]any{"search": "x"}},
		{"advanced_blog", "PUT", "token id title content tags", map[string]any{"token": demo, "id": 1, "title": "x"}},
		{"advanced_blog", "DELETE", "token id", map[string]any{"token": demo, "id": 1}},
	}
	before := s.states(forms)
	sent := 0
	for _, f := range forms {
		for field := range strings.FieldsSeq(f.fields) {
			for _, hostile := range hostileValues {
				if f.takes(field, hostile) {
					continue
				}
				query, body := f.with(t, field, hostile)
				a := s.tell(c, f.method, f.object, query, body)
				if sent++; a.Status != "error" || a.Message == "" || len(a.body) > 1024 {
					t.Errorf("%s %s with %s=%.60v: %d %.200s", f.method, f.object, field, hostile, a.status, a.body)
				}
			}
		}
		for _, body := range []any{nil, "[]", "[1,2]", `"x"`, "5", "null", `{"action":"destroy","op":"` + strings.Repeat("x", 4096) + `"}`} {
			a := s.tell(c, f.method, f.object, "", body)
			if sent++; a.status != http.StatusOK || f.method != "GET" && a.Status != "error" {
				t.Errorf("%s %s with the body %.60v: %d %.200s", f.method, f.object, body, a.status, a.body)
			}
		}
	}
	for object, state := range s.states(forms) {
		if state != before[object] {
			t.Errorf("the state of %s changed from %.300s to %.300s", object, before[object], state)
		}
	}
	t.Logf("%d requests", sent)
	s.end()
}

// hostileValues are JSON that no field may be; a string that begins with ? is a
// query parameter.
var hostileValues = []any{
	true, nil, []any{1}, map[string]any{"a": []any{map[string]any{}}}, -1.5, 1e300, "\x00", "?\x00", "a\u2028\x01b",
	strings.Repeat("ü", 60_000), "?" + strings.Repeat("x", 40_000),
}

// takes says which of these values are good ones for a field.
func (f form) takes(field string, value any) bool {
	_, number := value.(float64)
	text, _ := value.(string)
	return number && (field == "a" || field == "b") || field == "content" && strings.HasPrefix(text, "?x")
}

// with gives the request of a form with another value of a field.
func (f form) with(t *testing.T, field string, value any) (query string, body map[string]any) {
	t.Helper()
	body = map[string]any{}
	for k, v := range f.request {
		body[k] = v
	}
	if text, ok := value.(string); ok && strings.HasPrefix(text, "?") {
		delete(body, field)
		return "?" + url.Values{field: {text[1:]}}.Encode(), body
	}
	body[field] = value
	return "", body
}

// states gives the state of each object of the forms, as JSON.
func (s *station) states(forms []form) map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for _, f := range forms {
		if all[f.object] == "" {
			var v json.RawMessage
			s.read("/objects/"+f.object+"?state=true", &v)
			all[f.object] = string(v)
		}
	}
	return all
}

// TestRacingRegisters: of many who register one name at the same time one gets
// it, and the counts are those of one user with one token.
func TestRacingRegisters(t *testing.T) {
	s := start(t, t.TempDir())
	c := client(t)
	const racers = 8
	answers := make([]said, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			name := []string{"Ada", "ada"}[i%2]
			answers[i] = s.tell(c, "POST", "advanced_auth", "", map[string]any{"action": "register", "username": name, "password": "correct horse", "email": "a@b"})
		})
	}
	wg.Wait()
	won := 0
	for _, a := range answers {
		switch {
		case a.Status == "ok":
			won++
		case !strings.Contains(a.Message, "already exists"):
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	var v struct{ State map[string]json.RawMessage }
	s.read("/objects/advanced_auth?state=true", &v)
	if won != 1 || string(v.State["users"]) != "1" || string(v.State["tokens"]) != "1" || len(v.State) != 6 {
		t.Errorf("%d won; the state is %s", won, v.State)
	}
	s.end()
}

// TestLoginTime: a login takes as long for a name that nobody has as for a wrong
// password, so that its time does not tell which names exist.
func TestLoginTime(t *testing.T) {
	s := start(t, t.TempDir())
	c := client(t)
	s.register(c, "ada")
	var took [2][]time.Duration
	for range 7 {
		for i, name := range []string{"ada", "nobody"} {
			began := time.Now()
			a := s.tell(c, "POST", "advanced_auth", "", map[string]any{"username": name, "password": "wrong horse"})
			took[i] = append(took[i], time.Since(began))
			if a.Message != "invalid username or password" {
				t.Fatalf("%s: %d %s", name, a.status, a.body)
			}
		}
	}
	known, unknown := median(took[0]), median(took[1])
	t.Logf("a wrong password: %v, an unknown name: %v", known, unknown)
	if *strict && (unknown < known/2 || known < unknown/2) {
		t.Errorf("a login takes %v for a name that exists, %v for one that does not", known, unknown)
	}
	s.end()
}

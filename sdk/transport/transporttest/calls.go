package transporttest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/plugintest"
	"github.com/dbbasic/station/sdk/plugin"
)

// checkPlugin: who the transport is, and that it is well while it serves.
func checkPlugin(t testing.TB, h Harness) {
	s := newStation(t, h)
	info := h.New(t).Info()
	if info.Name == "" || info.Kind != plugin.Transport {
		t.Errorf("Info = %+v, want a name and the kind %q", info, plugin.Transport)
	}
	r := s.serve()
	s.host.Answer("a", Answer{Echo: true})
	do(t, s.dial(), Request{Object: "a", Method: "GET"})
	ctx, cancel := within(t)
	defer cancel()
	if health := r.transport.Health(ctx); !health.OK {
		t.Errorf("Health = %+v while serving", health)
	}
}

// checkOptions: what can be set is declared, and all else is refused.
func checkOptions(t testing.TB, h Harness) {
	plugintest.CheckOptions(t.Context(), t, func() plugin.Plugin { return h.New(t) }, Config)
}

// checkFigures: what the transport counts is sound and never falls.
func checkFigures(t testing.TB, h Harness) {
	s := newStation(t, h)
	s.host.Answer("a", Answer{Echo: true})
	r := s.serve()
	plugintest.CheckFigures(t.Context(), t, r.transport, func() {
		c := s.dial()
		defer c.Close()
		for range 3 {
			do(t, c, Request{Object: "a", Method: "POST", Type: "application/json", Body: []byte(`{"n":1}`)})
		}
	})
}

// checkMethods: every method arrives, with the fields that came with it.
func checkMethods(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		object := id.Object("m_" + strings.ToLower(method))
		kernel.Answer(object, Answer{Result: host.Result{Status: 200}})
		r := Request{Object: string(object), Method: method, Query: []host.Field{{Name: "a", Value: "1"}}, RequestID: "r-" + method}
		if slices.Contains([]string{"POST", "PUT", "PATCH"}, method) {
			r.Type, r.Body = "application/json", []byte(`{"n":1}`)
		}
		res := do(t, c, r)
		if res.Status != 200 || res.RequestID != r.RequestID || res.Station != Config.Station {
			t.Errorf("%s answered %+v, want 200 with request id %s of station %s", method, res, r.RequestID, Config.Station)
		}
		got := only(t, kernel, object)
		want := host.Call{Object: object, Method: method, Query: r.Query, Type: r.Type, Body: r.Body, RequestID: r.RequestID}
		ignore := cmpopts.IgnoreFields(host.Call{}, "Path", "Header", "Caller", "Deadline", "FormToken")
		if diff := cmp.Diff(want, got, ignore, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s reached the host changed (-want +got):\n%s", method, diff)
		}
	}
	if n := kernel.WithoutDeadline(); n > 0 {
		t.Errorf("%d calls reached the host without a deadline", n)
	}
}

// only gives the one call of an object.
func only(t testing.TB, kernel *Host, object id.Object) host.Call {
	t.Helper()
	calls := kernel.Calls(object)
	if len(calls) != 1 {
		t.Fatalf("the host got %d calls of %q, want 1", len(calls), object)
	}
	return calls[0]
}

// checkQuery: order, repetition and every character survive.
func checkQuery(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Answer("q", Answer{Echo: true})
	query := []host.Field{
		{Name: "b", Value: "2"}, {Name: "a", Value: "1"}, {Name: "b", Value: "3"}, {Name: "empty", Value: ""},
		{Name: "a&b=c", Value: "d&e=f;g+h i%20#?/\\\"'"}, {Name: "ключ", Value: "naïve ✓ \U0001F642"},
		{Name: "control", Value: "\x00\t\r\n\x7f"}, {Name: "b", Value: "1"},
	}
	do(t, c, Request{Object: "q", Method: "GET", Query: query})
	if diff := cmp.Diff(query, only(t, kernel, "q").Query); diff != "" {
		t.Errorf("the query reached the host changed (-sent +got):\n%s", diff)
	}
}

// checkHeaders: headers pass in both directions, repeated ones in order, under their
// canonical names; credentials do not.
func checkHeaders(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Answer("h", Answer{Result: host.Result{Status: 200, Body: []byte("text"), Header: []host.Field{
		{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
		{Name: "X-Many", Value: "one"}, {Name: "X-Many", Value: "two"}, {Name: "X-One", Value: "a, b; c=\"d\""},
	}}})
	res := do(t, c, Request{Object: "h", Method: "GET", Header: []host.Field{
		{Name: "X-Sent", Value: "one"}, {Name: "x-sent", Value: "two"}, {Name: "x-oTHER", Value: "a, b"},
		{Name: "Authorization", Value: "Basic eA=="}, {Name: "cookie", Value: "a=b"}, {Name: "Proxy-Authorization", Value: "x"},
	}})
	got := only(t, kernel, "h").Header
	for _, name := range withheld {
		if v := values(got, name); len(v) > 0 {
			t.Errorf("%s reached the host as %q: no script may see it", name, v)
		}
	}
	for name, want := range map[string][]string{"X-Sent": {"one", "two"}, "X-Other": {"a, b"}} {
		if diff := cmp.Diff(want, values(got, name)); diff != "" {
			t.Errorf("%s reached the host changed (-sent +got):\n%s", name, diff)
		}
	}
	for name, want := range map[string][]string{
		"Content-Type": {"text/plain; charset=utf-8"}, "X-Many": {"one", "two"}, "X-One": {"a, b; c=\"d\""},
	} {
		if diff := cmp.Diff(want, values(res.Header, name)); diff != "" {
			t.Errorf("%s reached the client changed (-set +got):\n%s", name, diff)
		}
	}
}

// checkAddress: "@station" becomes Call.Station, and the answer names the
// station that ran the call.
func checkAddress(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Answer("a.b-c_d", Answer{Result: host.Result{Status: 200, Station: "there"}})
	res := do(t, c, Request{Object: "a.b-c_d@there", Method: "GET"})
	if got := only(t, kernel, "a.b-c_d"); got.Station != "there" {
		t.Errorf("the host was asked for station %q, want %q", got.Station, "there")
	}
	if res.Station != "there" {
		t.Errorf("the answer names station %q, want %q", res.Station, "there")
	}
}

// checkCaller: who reaches the listener of a station without accounts runs it,
// and nothing that a client sends says otherwise.
func checkCaller(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Answer("c", Answer{Echo: true})
	do(t, c, Request{Object: "c", Method: "POST", Type: "application/json",
		Body:   []byte(`{"user":"eve","roles":["root"],"Caller":{"User":"eve"},"Chain":["x"]}`),
		Header: []host.Field{{Name: "X-User", Value: "eve"}, {Name: "X-Roles", Value: "root"}}})
	got := only(t, kernel, "c")
	if diff := cmp.Diff(id.Caller{Roles: []string{id.RoleOperator}}, got.Caller); diff != "" {
		t.Errorf("the caller is wrong (-want +got):\n%s", diff)
	}
	if len(got.Chain) > 0 {
		t.Errorf("a client set the chain: %v", got.Chain)
	}
}

// checkFormTokens: a token is for one object, and no client chooses it.
func checkFormTokens(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	seen := map[string]id.Object{"chosen": "a client"}
	for _, object := range []id.Object{"f", "f2", "g"} {
		kernel.Answer(object, Answer{Echo: true})
		do(t, c, Request{Object: string(object), Method: "GET", Query: []host.Field{{Name: "form_token", Value: "chosen"}}})
		token := only(t, kernel, object).FormToken
		if of, ok := seen[token]; ok && token != "" {
			t.Errorf("the object %q has the form token %q of %q", object, token, of)
		}
		seen[token] = object
	}
}

// checkRequestIDs: a valid id is used, any other replaced by a fresh valid one.
func checkRequestIDs(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Answer("r", Answer{Echo: true})
	seen := map[string]bool{}
	for _, sent := range []string{"a", "Az09._-", strings.Repeat("x", 128), "", "", "has space", "a/b", "ü", strings.Repeat("x", 129)} {
		res := do(t, c, Request{Object: "r", Method: "GET", RequestID: sent})
		calls := kernel.Calls("r")
		arrived := calls[len(calls)-1].RequestID
		valid := sent != "" && id.ValidRequest(sent)
		switch {
		case res.RequestID != arrived:
			t.Errorf("the client got request id %q, the host %q", res.RequestID, arrived)
		case valid && arrived != sent:
			t.Errorf("the valid request id %q became %q", sent, arrived)
		case !valid && (arrived == sent || !id.ValidRequest(arrived)):
			t.Errorf("the request id %q became %q, want a fresh valid one", sent, arrived)
		case seen[arrived]:
			t.Errorf("the request id %q was given twice", arrived)
		}
		seen[arrived] = true
	}
	if res := do(t, c, Request{Object: "unknown", Method: "GET", RequestID: "of-an-error"}); res.RequestID != "of-an-error" {
		t.Errorf("an error carries request id %q, want %q", res.RequestID, "of-an-error")
	}
}

// checkBodies: bodies pass in both directions byte for byte, with their type.
func checkBodies(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Answer("echo", Answer{Echo: true})
	for name, body := range map[string][]byte{
		"no bytes": {}, "all bytes": allBytes(1), "1 MiB": allBytes(1 << 12),
		"a line": []byte("a line\n"), "crlf": []byte("\r\n\r\n"), "JSON": []byte(` {"a" : 1.0} `),
	} {
		res := do(t, c, Request{Object: "echo", Method: "POST", Type: "application/x-test", Body: body})
		calls := kernel.Calls("echo")
		arrived := calls[len(calls)-1]
		if !bytes.Equal(arrived.Body, body) {
			t.Errorf("%s: %d bytes were sent, %d reached the host, or others", name, len(body), len(arrived.Body))
		}
		if !bytes.Equal(res.Body, body) {
			t.Errorf("%s: %d bytes were answered, %d reached the client, or others", name, len(body), len(res.Body))
		}
		if len(body) > 0 && (arrived.Type != "application/x-test" || !slices.Equal(values(res.Header, "Content-Type"), []string{"application/x-test"})) {
			t.Errorf("%s: the type reached the host as %q and the client as %q", name, arrived.Type, values(res.Header, "Content-Type"))
		}
	}
}

// allBytes gives all 256 byte values, n times over.
func allBytes(n int) []byte {
	one := make([]byte, 256)
	for i := range one {
		one[i] = byte(i)
	}
	return bytes.Repeat(one, n)
}

// checkBodyTooLarge: a body over the limit is refused before the host sees it.
func checkBodyTooLarge(t testing.TB, h Harness) {
	if h.TooLarge < 1<<20 {
		t.Fatalf("Harness.TooLarge = %d, want more than 1 MiB: a transport has a limit above that", h.TooLarge)
	}
	kernel, c := start(t, h)
	kernel.Answer("big", Answer{Echo: true})
	res := do(t, c, Request{Object: "big", Method: "POST", Type: "application/x-test", Body: make([]byte, h.TooLarge)})
	if res.Status != 413 || res.Code != "too_large" || res.Message == "" {
		t.Errorf("a body of %d bytes got %d %q %q, want 413 too_large and a message", h.TooLarge, res.Status, res.Code, res.Message)
	}
	if n := len(kernel.Calls("")); n > 0 {
		t.Errorf("the host got %d calls with a body that is too large", n)
	}
	if res := do(t, c, Request{Object: "big", Method: "POST", Body: []byte("small")}); res.Status != 200 {
		t.Errorf("after a body that was too large, a small one got %d", res.Status)
	}
}

// checkMalformedIDs: what is no id gets a 400 and never reaches the host.
func checkMalformedIDs(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	for _, object := range []string{
		"", ".", "..", "../etc", "a/b", "/a", "A", "a b", ".a", "_a", "-a", "ü", "a\x00", "a\n", "a%2fb", "a?b", "a#b",
		"@", "@here", "a@", "a@B", "a@b.c", "a@b@c", "a@../b", strings.Repeat("a", 129), "a@" + strings.Repeat("b", 129),
	} {
		res := do(t, c, Request{Object: object, Method: "GET"})
		if res.Status != 400 || res.Code == "" || res.Message == "" {
			t.Errorf("%q got %d %q %q, want 400 with code and message", object, res.Status, res.Code, res.Message)
		}
	}
	for _, call := range kernel.Calls("") {
		t.Errorf("a malformed id reached the host as %q at %q", call.Object, call.Station)
	}
}

// checkStatuses: what an object answers is sent as it is, errors too.
func checkStatuses(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	for _, status := range []int{200, 201, 202, 204, 301, 304, 400, 404, 409, 418, 500, 503} {
		want := host.Result{Status: status, Header: []host.Field{{Name: "Content-Type", Value: "text/plain"}}, Body: []byte("of the object")}
		if status == 204 || status == 304 {
			want.Header, want.Body = nil, nil
		}
		kernel.Answer("s", Answer{Result: want})
		res := do(t, c, Request{Object: "s", Method: "GET"})
		if res.Status != status || !bytes.Equal(res.Body, want.Body) || res.Code != "" {
			t.Errorf("%d %q came as %d %q with code %q", status, want.Body, res.Status, res.Body, res.Code)
		}
	}
}

// checkUnavailable: while the kernel cannot answer, clients get a 503; then
// all is well again.
func checkUnavailable(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Answer("u", Answer{Echo: true})
	for range 2 {
		kernel.Down(true)
		if res := do(t, c, Request{Object: "u", Method: "GET"}); res.Status != 503 || res.Code != errs.Unavailable.String() {
			t.Errorf("a host that is down gave %d %q, want 503 %q", res.Status, res.Code, errs.Unavailable)
		}
		kernel.Down(false)
		if res := do(t, c, Request{Object: "u", Method: "GET"}); res.Status != 200 {
			t.Errorf("a host that is up again gave %d, want 200", res.Status)
		}
	}
}

// checkConcurrent: each caller gets its own answer.
func checkConcurrent(t testing.TB, h Harness) {
	const callers, rounds = 64, 10
	kernel, c := start(t, h)
	kernel.Answer("echo", Answer{Echo: true})
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for round := range rounds {
				body := fmt.Appendf(nil, "%d-%d", caller, round)
				ctx, cancel := within(t)
				res, err := c.Do(ctx, Request{Object: "echo", Method: "POST", Type: "application/x-test", Body: body, RequestID: string(body)})
				cancel()
				if err != nil || !bytes.Equal(res.Body, body) || res.RequestID != string(body) {
					t.Errorf("caller %s got the answer %q with request id %q, error %v", body, res.Body, res.RequestID, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := len(kernel.Calls("echo")); n != callers*rounds {
		t.Errorf("the host got %d calls, want %d", n, callers*rounds)
	}
}

// checkSlow: a call that takes long holds up no other.
func checkSlow(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	release := make(chan struct{})
	kernel.Answer("slow", Answer{Hold: release, Echo: true})
	kernel.Answer("fast", Answer{Echo: true})
	slow := begin(t, c, Request{Object: "slow", Method: "POST", Body: []byte("slow")})
	eventually(t, "the slow call reaches the host", func() bool { return len(kernel.Calls("slow")) == 1 })
	fast := begin(t, c, Request{Object: "fast", Method: "GET"})
	select {
	case o := <-fast:
		if o.err != nil || o.Status != 200 {
			t.Errorf("beside a slow call, a fast one got %d, error %v", o.Status, o.err)
		}
	case <-time.After(patience(t)):
		t.Errorf("a fast call waits for a slow one")
	}
	close(release)
	if res := wait(t, "the slow call", slow); string(res.Body) != "slow" {
		t.Errorf("the slow call got %d %q", res.Status, res.Body)
	}
}

package kernel

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// host gives the bench as transports see it.
func (b *bench) host() *Host {
	return &Host{
		station: "s1", version: "test", dispatch: b.dispatch, objects: b.objects, store: b.store.(frail).Storage, log: slog.New(slog.DiscardHandler),
		testing: make(chan struct{}, TestRuns),
	}
}

var operator = id.Caller{Roles: []string{id.RoleOperator}}

func (b *bench) metadata(object id.Object) host.Metadata {
	b.t.Helper()
	m, err := b.host().Metadata(b.t.Context(), host.MetadataQuery{Object: object, Caller: operator})
	b.must(err)
	return m
}

// TestMetadata: what a script declares, and what there is of its object.
func TestMetadata(t *testing.T) {
	text := `object = { name = "Notes", version = 1.5, author = "ada", actions = { "clear" }, tags = { "a", "b" }, nested = { x = { y = json.null } },
	  fn = print, nan = 0/0, huge = string.rep("x", 70000), [1] = "no field" }
	function clear() end
	function GET() state.set("k", 1) log.info("one") end`
	b := newBench(t, "sub/notes.lua", text)
	b.rest()
	b.expect("sub_notes", "")
	want := host.Metadata{
		Object: "sub_notes", Path: "sub/notes.lua", Version: 1, Hash: storage.Hash([]byte(text)),
		Declared: []byte(`{"actions":["clear"],"author":"ada","name":"Notes","nested":{"x":{"y":null}},"tags":["a","b"],"version":"1.5"}`),
		Methods:  []string{"GET", "HEAD", "POST", "OPTIONS"}, Versions: 1, Keys: []string{"k"},
	}
	got := b.metadata("sub_notes")
	want.Entries = got.Entries // it was called until it answered
	if d := cmp.Diff(want, got); d != "" || got.Entries == 0 {
		t.Errorf("%d entries; (-want +got):\n%s", got.Entries, d)
	}
	for object, kind := range map[id.Object]errs.Kind{"none": errs.NotFound, "A": errs.Invalid, "../a": errs.Invalid} {
		if _, err := b.host().Metadata(t.Context(), host.MetadataQuery{Object: object}); !errs.Is(err, kind) {
			t.Errorf("%s: %v", object, err)
		}
	}
	b.save("plain.lua", returns("plain"))
	b.expect("plain", "plain")
	b.rest() // it answers before it is listed
	if got := b.metadata("plain"); got.Declared != nil || got.Trouble != nil || got.Keys != nil {
		t.Errorf("a script that declares nothing: %+v", got)
	}
}

// TestMetadataIsBounded: fields of a script, entries and keys are counted up to a
// bound, and that more are there is said.
func TestMetadataIsBounded(t *testing.T) {
	b := newBench(t, "a.lua", `object = {}
	for i = 1, 100 do object["f" .. i] = string.rep("x", 1000) end
	function GET() for i = 1, 250 do state.set("k" .. #state.keys() .. "-" .. i, i) log.info("x") end return tostring(#state.keys()) end`)
	b.rest()
	for n := 250; n <= 1250; n += 250 {
		r, err := b.dispatch.Invoke(t.Context(), host.Call{Object: "a", Method: "GET", RequestID: "r"})
		if err != nil || string(r.Body) != fmt.Sprint(n) {
			t.Fatalf("%d keys: %s, %v", n, r.Body, err)
		}
		m := b.metadata("a")
		if bound := min(n, host.MaxCounted); len(m.Keys) != bound || m.Entries != uint64(bound) || m.MoreKeys != (n > bound) || m.MoreEntries != (n > bound) || !slices.IsSorted(m.Keys) {
			t.Errorf("of %d: %d keys, more %v; %d entries, more %v", n, len(m.Keys), m.MoreKeys, m.Entries, m.MoreEntries)
		}
		var fields map[string]string
		if err := json.Unmarshal(m.Declared, &fields); err != nil || len(m.Declared) > host.MaxDeclared || len(fields) < 60 {
			t.Errorf("%d bytes declare %d fields, %v", len(m.Declared), len(fields), err)
		}
	}
}

// TestMetadataCountsLives: the versions that are there count, not their numbers.
func TestMetadataCountsLives(t *testing.T) {
	b := newBench(t)
	b.rest()
	made := 0
	for life, versions := range []int{1, 3, 1, 7, 2} {
		for n := 1; n <= versions; n++ {
			made++
			b.must(b.put("a", returns(fmt.Sprint(made))))
			if m := b.metadata("a"); m.Versions != uint64(n) || m.Version != uint64(made) {
				t.Errorf("in life %d after %d versions of %d: %d of %d", life+1, n, made, m.Versions, m.Version)
			}
		}
		b.must(b.kill("a"))
	}
}

// TestMetadataShowsTrouble: what is wrong with the file shows, and is gone once mended.
func TestMetadataShowsTrouble(t *testing.T) {
	b := newBench(t, "a.lua", returns("one"), "lib/m.lua", "return {}", "new.lua", broken)
	b.rest()
	shows := func(object id.Object, want *host.Trouble) {
		t.Helper()
		var got *host.Trouble
		b.until("the trouble shows", func() bool {
			got = b.metadata(object).Trouble
			return (got == nil) == (want == nil) && (got == nil || got.Kind == want.Kind)
		})
		if got == nil {
			return
		}
		if got.Time.IsZero() || got.Message == "" {
			t.Errorf("%+v", got)
		}
		want.Time, want.Message = got.Time, got.Message
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", object, d)
		}
	}
	hash := func(text string) string { return storage.Hash([]byte(text)) }
	refused := &host.Trouble{Kind: host.Refused, Hash: hash(broken), File: "new.lua", Line: 2}
	shows("new", refused)
	if m := b.metadata("new"); m.Version != 0 || m.Declared != nil || m.Methods != nil {
		t.Errorf("a script that has never loaded: %+v", m)
	}
	m, err := b.host().Metadata(t.Context(), host.MetadataQuery{Object: "new"})
	if err != nil || m.Trouble == nil || m.Trouble.Line != 0 {
		t.Errorf("who may not see the source learns %+v, %v", m.Trouble, err)
	}

	b.save("a.lua", broken)
	shows("a", &host.Trouble{Kind: host.Refused, Hash: hash(broken), File: "a.lua", Line: 2, Serving: 1})
	b.save("a.lua", returns("two"))
	shows("a", nil)

	b.save("a.lua", returns("edit"))
	b.must(b.put("a", returns("three")))
	shows("a", &host.Trouble{Kind: host.Conflict, Hash: hash(returns("edit")), File: "a.lua", Serving: 3})
	b.must(os.Remove(b.path("a.lua")))
	shows("a", nil)

	b.down.Store(true)
	b.save("a.lua", returns("four"))
	shows("a", &host.Trouble{Kind: host.Pending, Hash: hash(returns("four")), File: "a.lua", Serving: 3})
	b.down.Store(false)
	shows("a", nil)

	b.save("lib/m.lua", "return {")
	shows("lib_m", &host.Trouble{Kind: host.Refused, Hash: hash("return {"), File: "lib/m.lua", Line: 1, Serving: 1})
	b.save("lib/m.lua", "return 1")
	shows("lib_m", nil)

	b.must(os.Remove(b.path("a.lua")))
	b.must(os.Symlink("new.lua", b.path("a.lua")))
	b.must(os.WriteFile(b.path("new.lua"), []byte(returns("four")), 0o644))
	b.must(b.put("a", returns("five")))
	shows("a", &host.Trouble{Kind: host.Behind, Hash: hash(returns("four")), File: "a.lua", Serving: 5})
}

// TestMetadataOfABusyObject: it waits for no call.
func TestMetadataOfABusyObject(t *testing.T) {
	b := newBench(t, "a.lua", "function GET() state.set('n', 1) return 'done' end")
	b.rest()
	entered, leave := make(chan struct{}), make(chan struct{})
	b.before.Store(new(hook(func(batch []storage.Commit) error {
		if batch[0].Object == "a" {
			close(entered)
			<-leave
		}
		return nil
	})))
	answers := make(chan string, 1)
	go func() { answers <- b.answer("a") }()
	<-entered
	if m := b.metadata("a"); m.Version != 1 || len(m.Methods) != 3 || len(m.Keys) != 0 {
		t.Errorf("%+v", m)
	}
	close(leave)
	if got := <-answers; got != "done" {
		t.Errorf("the call answered %q", got)
	}
}

// TestReadsOfModules: a module is read as an object is, and only that.
func TestReadsOfModules(t *testing.T) {
	b := newBench(t, "lib/util/m.lua", "return 1", "a.lua", "require 'util.m'\n"+returns("a"))
	b.rest()
	b.save("lib/util/m.lua", "return 2")
	h := b.host()
	ctx := t.Context()
	const m = id.Object("lib_util_m")
	b.until("the module's source is the newest", func() bool {
		s, err := h.Source(ctx, m)
		b.must(err)
		return s.Version == 2 && string(s.Text) == "return 2" && s.Hash == storage.Hash(s.Text)
	})
	list, err := h.Versions(ctx, storage.VersionsQuery{Object: m, Limit: 10})
	if err != nil || len(list) != 2 {
		t.Errorf("versions: %v, %v", list, err)
	}
	if v, err := h.Version(ctx, m, 1); err != nil || string(v.Text) != "return 1" {
		t.Errorf("version 1: %s, %v", v.Text, err)
	}
	if diff, err := h.Diff(ctx, host.DiffQuery{Object: m, From: 1}); err != nil || !strings.Contains(string(diff), "\n-return 1\n") || !strings.Contains(string(diff), "\n+return 2\n") {
		t.Errorf("diff: %s, %v", diff, err)
	}
	if _, err := h.Logs(ctx, storage.LogsQuery{Object: m, Limit: 10}); err != nil {
		t.Error(err)
	}
	if got := b.metadata(m); got.Path != "lib/util/m.lua" || got.Versions != 2 || got.Version != 2 || got.Methods != nil || got.Declared != nil {
		t.Errorf("metadata: %+v", got)
	}
	for what, read := range map[string]func() error{
		"a call":     func() error { _, err := h.Invoke(ctx, host.Call{Object: m, Method: "GET"}); return err },
		"its state":  func() error { _, err := h.State(ctx, host.StateQuery{Object: m}); return err },
		"its tests":  func() error { _, err := h.Test(ctx, m); return err },
		"no version": func() error { _, err := h.Version(ctx, m, 3); return err },
		"no module":  func() error { _, err := h.Source(ctx, "lib_none"); return err },
	} {
		if err := read(); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, change := range map[string]func() error{
		"publish": func() error {
			_, err := h.Publish(ctx, host.Publication{Object: m, Text: []byte("return 3")})
			return err
		},
		"rollback": func() error { _, err := h.Rollback(ctx, host.Rollback{Object: m, Version: 1}); return err },
		"delete":   func() error { return h.Delete(ctx, host.Deletion{Object: m}) },
	} {
		if err := change(); !errs.Is(err, errs.Conflict) {
			t.Errorf("%s: %v", what, err)
		}
	}
	b.restart()
	if s, err := b.host().Source(ctx, m); err != nil || s.Version != 2 {
		t.Errorf("after a restart: %+v, %v", s, err)
	}
	b.must(os.Remove(b.path("lib/util/m.lua")))
	b.until("a module without its file is gone", func() bool {
		_, err := b.host().Source(ctx, m)
		return errs.Is(err, errs.NotFound)
	})
}

// TestDiff: which versions are compared, and which are none.
func TestDiff(t *testing.T) {
	b := newBench(t, "sub/a.lua", "function GET()\n  return 'one'\nend\n")
	b.rest()
	b.must(b.put("sub_a", "function GET()\n  return 'two'\nend\n"))
	h := b.host()
	want := "--- sub/a.lua\tversion 1\n+++ sub/a.lua\tversion 2\n@@ -1,3 +1,3 @@\n function GET()\n-  return 'one'\n+  return 'two'\n end\n"
	for _, q := range []host.DiffQuery{{From: 1, To: 2}, {From: 1}} {
		q.Object = "sub_a"
		if got, err := h.Diff(t.Context(), q); err != nil || string(got) != want {
			t.Errorf("%+v: %v\n%s", q, err, got)
		}
	}
	if got, err := h.Diff(t.Context(), host.DiffQuery{Object: "sub_a", From: 2}); err != nil || len(got) > 0 {
		t.Errorf("of the newest to itself: %q, %v", got, err)
	}
	for _, c := range []struct {
		q    host.DiffQuery
		kind errs.Kind
	}{
		{host.DiffQuery{Object: "sub_a", From: 1, To: 3}, errs.NotFound}, {host.DiffQuery{Object: "sub_a", From: 3}, errs.NotFound},
		{host.DiffQuery{Object: "none", From: 1}, errs.NotFound}, {host.DiffQuery{Object: "sub_a"}, errs.Invalid}, {host.DiffQuery{Object: "..", From: 1}, errs.Invalid},
	} {
		if _, err := h.Diff(t.Context(), c.q); !errs.Is(err, c.kind) {
			t.Errorf("%+v: %v, want kind %v", c.q, err, c.kind)
		}
	}
}

package transporttest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Versions gives versions of an object that has data.
func (h *Host) Versions(ctx context.Context, q storage.VersionsQuery) ([]storage.Version, error) {
	d, err := h.look(ctx, q.Object)
	if err != nil {
		return nil, err
	}
	if q.Limit < 1 || q.Limit > storage.MaxPage {
		return nil, errs.New(errs.Invalid, "", "The limit is out of range.")
	}
	var list []storage.Version
	for _, v := range slices.Backward(d.Versions) {
		if v.Text = nil; q.Before == 0 || v.Number < q.Before {
			list = append(list, v)
		}
	}
	list, _ = first(list, q.Limit)
	return list, nil
}

// Version gives a version of an object that has data.
func (h *Host) Version(ctx context.Context, object id.Object, number uint64) (storage.Version, error) {
	d, err := h.look(ctx, object)
	if err != nil {
		return storage.Version{}, err
	}
	for _, v := range d.Versions {
		if v.Number == number {
			return v, nil
		}
	}
	return storage.Version{}, errs.New(errs.NotFound, "no_such_version", "There is no version %d.", number)
}

// Publish keeps the publication, and gives the object that text; unless the object
// answers with an error.
func (h *Host) Publish(ctx context.Context, p host.Publication) (host.Published, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.enter(ctx); err != nil {
		return host.Published{}, err
	}
	h.published = append(h.published, p)
	if err := h.answers[p.Object].Err; err != nil {
		return host.Published{}, err
	}
	d := h.data[p.Object]
	if p.IfMatch != "" && p.IfMatch != d.Source.Hash {
		return host.Published{}, errs.New(errs.Precondition, "", "The change is of another version.")
	}
	v := storage.Version{Number: d.Source.Version + 1, Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		Author: p.Author, Message: p.Message, Hash: storage.Hash(p.Text), Text: p.Text}
	d.Info.Object, d.Info.Version = p.Object, v.Number
	d.Source = host.Source{Object: p.Object, Version: v.Number, Hash: v.Hash, Text: p.Text}
	d.Versions = append(slices.Clone(d.Versions), v)
	h.data[p.Object] = d
	return host.Published{Version: v.Number, Hash: v.Hash, Minted: true}, nil
}

// Rollback publishes the text of an older version.
func (h *Host) Rollback(ctx context.Context, r host.Rollback) (host.Published, error) {
	v, err := h.Version(ctx, r.Object, r.Version)
	if err != nil {
		return host.Published{}, err
	}
	return h.Publish(ctx, host.Publication{Object: r.Object, Text: v.Text, Author: r.Author, Message: r.Message})
}

// Diff gives what stands for a diff: both texts, as they are; nothing where they are
// the same.
func (h *Host) Diff(ctx context.Context, q host.DiffQuery) ([]byte, error) {
	if q.To == 0 {
		d, err := h.look(ctx, q.Object)
		if err != nil {
			return nil, err
		}
		q.To = uint64(len(d.Versions))
	}
	from, err := h.Version(ctx, q.Object, q.From)
	if err != nil {
		return nil, err
	}
	to, err := h.Version(ctx, q.Object, q.To)
	if err != nil || from.Number == to.Number {
		return nil, err
	}
	return fmt.Appendf(nil, "--- %d\n+++ %d\n-%s\n+%s\n", from.Number, to.Number, from.Text, to.Text), nil
}

// Delete keeps the deletion, and the object has no data any more; unless it answers
// with an error.
func (h *Host) Delete(ctx context.Context, d host.Deletion) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.enter(ctx); err != nil {
		return err
	}
	h.deleted = append(h.deleted, d)
	if err := h.answers[d.Object].Err; err != nil {
		return err
	}
	was, ok := h.data[d.Object]
	switch {
	case !ok:
		return noObject(d.Object)
	case d.IfMatch != "" && d.IfMatch != was.Source.Hash:
		return errs.New(errs.Precondition, "", "The newest version is another.")
	}
	delete(h.data, d.Object)
	return nil
}

// Metadata gives that of an object that has data.
func (h *Host) Metadata(ctx context.Context, q host.MetadataQuery) (host.Metadata, error) {
	d, err := h.look(ctx, q.Object)
	if t := d.Metadata.Trouble; t != nil && !q.Caller.Has(id.RoleOperator) {
		hidden := *t
		hidden.Line = 0
		d.Metadata.Trouble = &hidden
	}
	return d.Metadata, err
}

// Deleted gives the deletions that have arrived.
func (h *Host) Deleted() []host.Deletion {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.deleted)
}

// Published gives the publications that have arrived, rollbacks among them.
func (h *Host) Published() []host.Publication {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.published)
}

// change makes a change that must be answered.
func change(t testing.TB, c Client, ch Change) Changed {
	t.Helper()
	ctx, cancel := within(t)
	defer cancel()
	res, err := c.Change(ctx, ch)
	if err != nil {
		t.Fatalf("%+v got no answer: %v", ch, err)
	}
	return res
}

// checkVersions: the list, whole and in pages, and each version with its text.
func checkVersions(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Add(sample("a"))
	kernel.Add(Data{Info: host.ObjectInfo{Object: "empty"}})
	all := sample("a").Versions
	list := slices.Clone(all)
	slices.Reverse(list)
	for i := range list {
		list[i].Text, list[i].Uses = nil, nil
	}
	for _, q := range []struct {
		read  Read
		want  []storage.Version
		pages int
	}{
		{Read{What: Versions, Object: "a"}, list, 1},
		{Read{What: Versions, Object: "a", Limit: 2}, list, 2},
		{Read{What: Versions, Object: "empty"}, nil, 1},
	} {
		var got []storage.Version
		n := pages(t, c, q.read, func(p Reading) { got = append(got, p.Versions...) })
		compare(t, q.read, q.want, got, q.pages, n)
	}
	for _, v := range all {
		got := read(t, c, Read{What: Version, Object: "a", Number: v.Number})
		v.Uses = nil
		if d := cmp.Diff([]storage.Version{v}, got.Versions); got.Status != 200 || d != "" {
			t.Errorf("version %d: status %d, changed on its way (-want +got):\n%s", v.Number, got.Status, d)
		}
	}
	if n := kernel.WithoutDeadline(); n > 0 {
		t.Errorf("%d reads reached the host without a deadline", n)
	}
}

// checkDiffs: a diff arrives unchanged, of the versions that were asked for.
func checkDiffs(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Add(sample("a"))
	for _, q := range []host.DiffQuery{{From: 1, To: 3}, {From: 3, To: 1}, {From: 1}, {From: 2, To: 2}} {
		q.Object = "a"
		want, err := kernel.Diff(t.Context(), q)
		must(t, err)
		got := read(t, c, Read{What: Diff, Object: "a", Number: q.From, To: q.To})
		if got.Status != 200 || string(got.Diff) != string(want) || got.RequestID == "" || got.Station != Config.Station {
			t.Errorf("%+v: status %d and %q, want %q", q, got.Status, got.Diff, want)
		}
	}
}

// checkMetadata: metadata arrives whole, whatever a script declares.
func checkMetadata(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	whole := host.Metadata{
		Object: "a", Path: "dir/a.lua", Version: 3, Hash: strings.Repeat("ab", 32), Methods: []string{"GET", "HEAD"},
		Declared: []byte(`{"actions":["start"],"author":"ü <b>","name":"A \"name\"","nested":{"list":[1,null,true]},"version":"1.0"}`),
		Versions: 2, Entries: host.MaxCounted, MoreEntries: true, Keys: []string{"a", "ü\n\"<&"}, MoreKeys: true,
		Trouble: &host.Trouble{
			Kind: host.Refused, Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Hash: strings.Repeat("cd", 32),
			File: "lib/m.lua", Line: 7, Message: "\"ü\" expected\nnear <eof>", Serving: 2,
		},
	}
	for _, m := range []host.Metadata{whole, {Object: "lib_m", Path: "lib/m.lua", Version: 1, Hash: whole.Hash, Versions: 1}} {
		kernel.Add(Data{Info: host.ObjectInfo{Object: m.Object}, Metadata: m})
		got := read(t, c, Read{What: Metadata, Object: string(m.Object)})
		if d := cmp.Diff(m, got.Metadata, cmpopts.EquateEmpty()); got.Status != 200 || d != "" {
			t.Errorf("%s: status %d, changed on its way (-want +got):\n%s", m.Object, got.Status, d)
		}
	}
	for _, name := range []string{"object_id", "version_count", "trouble"} { // what a station may say cannot be said by a script
		m := host.Metadata{Object: "liar", Path: "liar.lua", Declared: fmt.Appendf(nil, `{"%s":{"kind":"conflict"}}`, name)}
		kernel.Add(Data{Info: host.ObjectInfo{Object: "liar"}, Metadata: m})
		got := read(t, c, Read{What: Metadata, Object: "liar"}).Metadata
		if got.Object != "liar" || got.Versions != 0 || got.Trouble != nil {
			t.Errorf("a script that declares %s is told as %+v", name, got)
		}
	}
	if n := kernel.WithoutDeadline(); n > 0 {
		t.Errorf("%d reads reached the host without a deadline", n)
	}
}

// checkDeletions: a deletion arrives, with its condition.
func checkDeletions(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	for _, object := range []id.Object{"a", "b"} {
		kernel.Add(sample(object))
	}
	kernel.Answer("stays", Answer{Err: errs.New(errs.Conflict, "module", "It is a module.")})
	for _, q := range []struct {
		deletion host.Deletion
		status   int
		code     string
	}{
		{host.Deletion{Object: "a"}, 200, ""},
		{host.Deletion{Object: "a"}, 404, "no_such_object"},
		{host.Deletion{Object: "b", IfMatch: strings.Repeat("cd", 32)}, 412, "precondition_failed"},
		{host.Deletion{Object: "b", IfMatch: sample("b").Source.Hash}, 200, ""},
		{host.Deletion{Object: "stays"}, 409, "module"},
		{host.Deletion{Object: "../a"}, 400, "bad_object_id"},
	} {
		got := change(t, c, Change{Delete: &q.deletion})
		if got.Status != q.status || got.Code != q.code || q.status == 200 && (got.Object != q.deletion.Object || got.Version != 0) {
			t.Errorf("%+v is answered with %+v, want %d %q", q.deletion, got, q.status, q.code)
		}
	}
	if got := read(t, c, Read{What: Objects}); len(got.Objects) > 0 {
		t.Errorf("there are %+v", got.Objects)
	}
	if n := len(kernel.Deleted()); n != 5 {
		t.Errorf("%d deletions reached the host, want 5: all but the malformed one", n)
	}
	if n := kernel.WithoutDeadline(); n > 0 {
		t.Errorf("%d deletions reached the host without a deadline", n)
	}
	kernel.Down(true)
	if got := change(t, c, Change{Delete: &host.Deletion{Object: "b"}}); got.Status != 503 || got.Code != "unavailable" {
		t.Errorf("a deletion at a host that is down gave %d %q, want 503 unavailable", got.Status, got.Code)
	}
}

// checkChanges: a source arrives unchanged, with what is said of it, and its object
// need not exist.
func checkChanges(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	text := []byte("-- ü <b> & \"quoted\"\nfunction GET()\r\n\treturn '\\'\nend\n")
	one := host.Publication{Object: "new", Text: text, Author: "ü & <me>", Message: "line 1\nline 2\t\"\\"}
	two := host.Publication{Object: "new", Text: []byte("return 2"), IfMatch: storage.Hash(text)}
	want := []host.Publication{one, two, {Object: "new", Text: text, Author: "a", Message: "b"}}
	for i, ch := range []Change{{Publish: &one}, {Publish: &two}, {Rollback: &host.Rollback{Object: "new", Version: 1, Author: "a", Message: "b"}}} {
		got := change(t, c, ch)
		if got.Status != 200 || got.Version != uint64(i+1) || got.Object != "new" || got.RequestID == "" || got.Station != Config.Station {
			t.Errorf("change %d is answered with %+v, want version %d of new", i+1, got, i+1)
		}
	}
	if d := cmp.Diff(want, kernel.Published(), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("what reached the host (-want +got):\n%s", d)
	}
	if got := read(t, c, Read{What: Source, Object: "new"}); got.Source.Version != 3 || string(got.Source.Text) != string(text) {
		t.Errorf("the source then is %+v", got.Source)
	}
	if n := kernel.WithoutDeadline(); n > 0 {
		t.Errorf("%d changes reached the host without a deadline", n)
	}
}

// checkChangeErrors: changes fail as calls do.
func checkChangeErrors(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	kernel.Add(sample("a"))
	kernel.Answer("bad", Answer{Err: &errs.Error{Kind: errs.Source, Code: "does_not_load", Message: "script.lua:3: no", Line: 3, Traceback: "stack traceback"}})
	publish := func(object id.Object, match string) Change {
		return Change{Publish: &host.Publication{Object: object, Text: []byte("return 1"), IfMatch: match}}
	}
	back := func(object id.Object, version uint64) Change {
		return Change{Rollback: &host.Rollback{Object: object, Version: version}}
	}
	for _, q := range []struct {
		change Change
		status int
		code   string
		line   int
	}{
		{publish("bad", ""), 422, "does_not_load", 3},
		{publish("a", "0000"), 412, "precondition_failed", 0},
		{publish("A", ""), 400, "bad_object_id", 0},
		{publish("../a", ""), 400, "bad_object_id", 0},
		{back("none", 1), 404, "no_such_object", 0},
		{back("a", 9), 404, "no_such_version", 0},
		{back("A", 1), 400, "bad_object_id", 0},
	} {
		got := change(t, c, q.change)
		if got.Status != q.status || got.Code != q.code || got.Line != q.line || got.Message == "" {
			t.Errorf("%+v %+v gave %d %q line %d %q, want %d %q line %d and a message",
				q.change.Publish, q.change.Rollback, got.Status, got.Code, got.Line, got.Message, q.status, q.code, q.line)
		}
	}
	if d := cmp.Diff(sample("a").Source, read(t, c, Read{What: Source, Object: "a"}).Source); d != "" {
		t.Errorf("refused changes changed the source (-want +got):\n%s", d)
	}
	kernel.Down(true)
	for _, ch := range []Change{publish("a", ""), back("a", 1)} {
		if got := change(t, c, ch); got.Status != 503 || got.Code != "unavailable" {
			t.Errorf("a change at a host that is down gave %d %q, want 503 unavailable", got.Status, got.Code)
		}
	}
}

package dispatch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

// write puts a file as the kernel does: asked for, put aside, then stored.
func (s *station) write(t *testing.T, f host.NewFile, content string) (host.StoredFile, error) {
	t.Helper()
	life, err := s.TakesFile(t.Context(), f)
	if err != nil {
		return host.StoredFile{}, err
	}
	u, err := s.disk.WriteFile(t.Context(), f.Object, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return s.PutFile(t.Context(), f, life, u)
}

func set(key, value string) host.StateChange {
	return host.StateChange{Object: "a", Key: key, Value: []byte(value), RequestID: "op-1"}
}

func gone(key string) host.StateDeletion {
	return host.StateDeletion{Object: "a", Key: key, RequestID: "op-2"}
}

// said gives an object's log without what differs from run to run.
func (s *station) said(t *testing.T, name id.Object) []string {
	t.Helper()
	var all []string
	for _, e := range s.logs(t, name) {
		all = append(all, fmt.Sprintf("%s %s %s", e.Level, e.Message, e.Fields))
	}
	return all
}

// A warm script reads what an operator has set, a cold one too, and each change is one
// commit with one entry in the log.
func TestOperatorsState(t *testing.T) {
	m := storagetest.NewMemory()
	s := newStationOver(t, m, dispatch.DefaultLimits())
	s.put(t, "a", counter)
	s.mustCount(t, "a", "GET")
	if err := s.SetState(t.Context(), set("count", "41")); err != nil {
		t.Fatal(err)
	}
	if n := s.mustCount(t, "a", "GET"); n != 42 {
		t.Errorf("the warm script counts on to %d, want 42", n)
	}
	if err := s.DeleteState(t.Context(), gone("count")); err != nil {
		t.Fatal(err)
	}
	if n := s.mustCount(t, "a", "PUT"); n != 0 {
		t.Errorf("the warm script reads %d of a deleted key", n)
	}
	err := s.DeleteState(t.Context(), gone("count"))
	if e := errs.From(err); e == nil || e.Kind != errs.NotFound || e.CodeOf() != "no_such_key" {
		t.Errorf("a key that is not there: %v", err)
	}
	wantKind(t, s.SetState(t.Context(), host.StateChange{Object: "none", Key: "k", Value: []byte("1")}), errs.NotFound)
	want := []string{
		`INFO up {"request_id":"r1","n":1}`, `INFO state set {"request_id":"op-1","by":"operator","key":"count","size":2}`,
		`INFO up {"request_id":"r1","n":42}`, `INFO state deleted {"request_id":"op-2","by":"operator","key":"count"}`,
	}
	if got := s.said(t, "a"); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the log says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if err := s.SetState(t.Context(), set("count", "7")); err != nil {
		t.Fatal(err)
	}
	m.Crash()
	again := newStationOver(t, m, dispatch.DefaultLimits())
	again.put(t, "a", counter)
	if n := again.mustCount(t, "a", "GET"); n != 8 {
		t.Errorf("after a start the script counts on to %d, want 8", n)
	}
}

// Changes of an operator and calls of scripts are one at a time: nothing is lost, and a
// state over its limit is refused and left as it was.
func TestOperatorsStateHasItsTurn(t *testing.T) {
	limits := dispatch.DefaultLimits()
	limits.State = 400
	s := newStation(t, limits, nil)
	s.put(t, "a", counter)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			if err := s.SetState(context.Background(), set("other", fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			if _, err := s.call("a", "GET"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := s.mustCount(t, "a", "PUT"); n != 50 {
		t.Errorf("50 calls counted to %d beside an operator's changes", n)
	}
	err := s.SetState(t.Context(), set("large", `"`+strings.Repeat("x", 300)+`"`))
	if e := errs.From(err); e == nil || e.Kind != errs.TooLarge || e.CodeOf() != "state_limit" {
		t.Errorf("a state that is full: %v", err)
	}
	page, err := s.State(t.Context(), host.StateQuery{Object: "a"})
	if err != nil || len(page.Items) != 2 {
		t.Errorf("the state is %q, %v", page.Items, err)
	}
}

// An operator's change leaves nothing behind where it cannot be stored, and the next
// one goes through.
func TestOperatorsChangeThatIsNotStored(t *testing.T) {
	g := newGate()
	s := newStation(t, dispatch.DefaultLimits(), func(m *storagetest.Memory) { m.OnCommit = g.hook })
	s.put(t, "a", counter)
	first := make(chan error, 1)
	go func() { first <- s.SetState(context.Background(), set("count", "1")) }()
	await(t, g.entered)
	reading := s.start("a", "PUT") // it has seen what is not durable
	select {
	case err := <-first:
		t.Fatalf("answered before storage: %v", err)
	case r := <-reading:
		t.Fatalf("a call that read the change was answered before storage: %v", r)
	case <-time.After(20 * time.Millisecond):
	}
	g.verdict <- errs.New(errs.Unavailable, "", "full")
	wantKind(t, await(t, first), errs.Unavailable)
	wantKind(t, await(t, reading).err, errs.Unavailable)
	if n := s.mustCount(t, "a", "PUT"); n != 0 {
		t.Errorf("a call reads %d of what was not stored", n)
	}
	for range 4 {
		g.verdict <- nil
	}
	if err := s.SetState(t.Context(), set("count", "2")); err != nil {
		t.Fatal(err)
	}
	if n := s.mustCount(t, "a", "PUT"); n != 2 {
		t.Errorf("then a call reads %d, want 2", n)
	}
}

// An operator waits like any caller: behind the queue's limit, and until its deadline.
func TestOperatorsChangeWaits(t *testing.T) {
	limits := dispatch.DefaultLimits()
	limits.Waiting, limits.Time = 1, 3*time.Second // in which all that follows is seen
	s := newStation(t, limits, nil)
	s.put(t, "a", counter)
	spinning := s.start("a", "POST", host.Field{Name: "how", Value: "spin"})
	until(t, "the call runs", func() bool {
		st, err := s.Status("a")
		return err == nil && st.Running && st.Queued == 0
	})
	late := make(chan error, 1)
	go func() { late <- s.SetState(context.Background(), set("k", "1")) }()
	until(t, "the change waits", func() bool { st, err := s.Status("a"); return err == nil && st.Queued == 1 })
	busy := s.SetState(t.Context(), set("k", "2"))
	if e := errs.From(busy); e == nil || e.Kind != errs.Busy || e.RetryAfter <= 0 {
		t.Errorf("a change for a full mailbox: %v", busy)
	}
	if err := await(t, late); err != nil && !errs.Is(err, errs.Timeout) {
		t.Errorf("the change that waited: %v", err)
	}
	wantKind(t, await(t, spinning).err, errs.Timeout)
	until(t, "nothing runs", func() bool { st, err := s.Status("a"); return err == nil && !st.Running })
	if st, err := s.Status("a"); err != nil || st != (host.Status{Object: "a", Warm: true}) {
		t.Errorf("an object that rests: %+v, %v", st, err)
	}
	_, err := s.Status("none")
	wantKind(t, err, errs.NotFound)
}

// Files of an operator are files of the object: scripts see them at once, and they see
// those of scripts.
func TestOperatorsFiles(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	s.put(t, "a", drive)
	if _, err := s.call("a", "GET"); err != nil {
		t.Fatal(err)
	}
	file := func(name, match string, absent bool) host.NewFile {
		return host.NewFile{Object: "a", Name: name, Type: "text/plain", IfMatch: match, IfAbsent: absent, RequestID: "op-1"}
	}
	seen := func(want string) {
		t.Helper()
		r, err := s.call("a", "GET")
		if err != nil || string(r.Body) != want {
			t.Fatalf("the script sees %q, %v; want %q", r.Body, err, want)
		}
	}
	stored, err := s.write(t, file("x", "", true), "one")
	if err != nil || !stored.New || stored.Hash != storage.Hash([]byte("one")) || stored.Size != 3 || stored.Type != "text/plain" || stored.Time.IsZero() {
		t.Fatalf("%+v, %v", stored, err)
	}
	seen("x=one")
	for _, f := range []host.NewFile{file("x", "", true), file("x", storage.Hash([]byte("two")), false), file("y", host.AnyFile, false), file("y", stored.Hash, false)} {
		_, err := s.write(t, f, "no")
		wantKind(t, err, errs.Precondition)
	}
	if stored, err = s.write(t, file("x", stored.Hash, false), "two"); err != nil || stored.New {
		t.Fatalf("%+v, %v", stored, err)
	}
	seen("x=two")
	remove := func(name, match string) error {
		return s.DeleteFile(t.Context(), host.FileDeletion{Object: "a", Name: name, IfMatch: match, RequestID: "op-2"})
	}
	wantKind(t, remove("x", storage.Hash([]byte("one"))), errs.Precondition)
	wantKind(t, remove("y", ""), errs.NotFound)
	if err := remove("x", stored.Hash); err != nil {
		t.Fatal(err)
	}
	seen("")
	var what []map[string]any
	for _, e := range s.logs(t, "a") {
		fields := map[string]any{"message": e.Message}
		if err := json.Unmarshal(e.Fields, &fields); err != nil {
			t.Fatal(err)
		}
		what = append(what, fields)
	}
	if len(what) != 3 || what[0]["message"] != "file put" || what[0]["name"] != "x" || what[0]["size"] != 3.0 || what[0]["by"] != "operator" ||
		what[1]["hash"] != stored.Hash || what[2]["message"] != "file deleted" || what[2]["request_id"] != "op-2" {
		t.Errorf("the log says %v", what)
	}
}

// What an object has no room for leaves no file and no upload.
func TestOperatorsFileLimits(t *testing.T) {
	limits := dispatch.DefaultLimits()
	limits.File, limits.Files, limits.FileCount = 10, 15, 2
	s, w := newDrive(t, limits, nil)
	s.put(t, "a", drive)
	for _, c := range []struct{ name, content, code string }{
		{"1", "0123456789", ""}, {"2", "012345", "files_limit"}, {"2", "01234567890", "file_limit"}, {"2", "01234", ""},
		{"3", "", "file_count_limit"}, {"1", "0", ""},
	} {
		_, err := s.write(t, host.NewFile{Object: "a", Name: c.name}, c.content)
		e := errs.From(err)
		if c.code == "" && err != nil || c.code != "" && (e == nil || e.Kind != errs.TooLarge || e.CodeOf() != c.code) {
			t.Errorf("%s with %d bytes: %v, want %q", c.name, len(c.content), err, c.code)
		}
	}
	if len(w.dropped) != 2 {
		t.Errorf("%d uploads were dropped, want the two that no file was made of", len(w.dropped))
	}
	if r, err := s.call("a", "GET"); err != nil || string(r.Body) != "1=0 2=01234" {
		t.Errorf("the files are %q, %v", r.Body, err)
	}
}

// A file whose object is deleted while it arrives is none, of no life of the object.
func TestOperatorsFileOfADeletedObject(t *testing.T) {
	for _, again := range []bool{false, true} {
		s, w := newDrive(t, dispatch.DefaultLimits(), nil)
		s.put(t, "a", drive)
		f := host.NewFile{Object: "a", Name: "x"}
		life, err := s.TakesFile(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		u, err := s.disk.WriteFile(t.Context(), "a", strings.NewReader("content"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		want := errs.NotFound
		if again {
			want = errs.Conflict
			s.put(t, "a", drive)
		}
		_, err = s.PutFile(t.Context(), f, life, u)
		wantKind(t, err, want)
		list, err := s.disk.Files(t.Context(), storage.FilesQuery{Object: "a", Limit: 10})
		if err != nil || len(list) > 0 || len(w.dropped) != 1 || w.dropped[0] != u.ID {
			t.Errorf("made again %v: files %v, %v, dropped %v of %v", again, list, err, w.dropped, u.ID)
		}
	}
}

// A file whose bytes are gone when it is to be made, as they are after a restart of
// storage, is the sender's to send again. The station's log says so in a line: it may be
// that storage does not take what it gave.
func TestOperatorsFileIsLost(t *testing.T) {
	s, said := newStation(t, dispatch.DefaultLimits(), nil), &strings.Builder{}
	o := s.Options
	o.Log = slog.New(slog.NewTextHandler(said, nil))
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Dispatcher = dispatch.New(o)
	s.put(t, "a", drive)
	f := host.NewFile{Object: "a", Name: "x"}
	life, err := s.TakesFile(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	u, err := s.disk.WriteFile(t.Context(), "a", strings.NewReader("content"))
	if err == nil {
		err = s.disk.DropUpload(t.Context(), "a", u.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.PutFile(t.Context(), f, life, u)
	if e := errs.From(err); e.CodeOf() != "upload_lost" || e.HTTPStatus() != http.StatusServiceUnavailable {
		t.Errorf("the file is %v, want upload_lost", err)
	}
	if _, err := s.write(t, f, "again"); err != nil {
		t.Errorf("sent again it is %v", err)
	}
	if err := s.Close(t.Context()); err != nil || strings.Count(said.String(), "\n") != 1 ||
		!strings.Contains(said.String(), `level=WARN msg="uploaded bytes are gone" object=a request_id=`) || !strings.Contains(said.String(), "There is no upload") {
		t.Errorf("%v; the station's log says %s", err, said)
	}
}

package kernel

import (
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/storage"
)

const keeps = `
function GET() local names = {} for i, f in ipairs(files.list()) do names[i] = f.name end return table.concat(names, " ") end
function PUT() return json.encode(state.get("k", json.null)) end`

// hostOf gives the kernel of a bench as its transports see it.
func hostOf(b *bench, uploads int) *Host {
	store := b.dispatch.Store.(frail)
	return &Host{station: "s1", dispatch: b.dispatch, objects: b.objects, files: store, store: store, log: b.objects.log, streams: newStreams(uploads, 10)}
}

// fails wants an error of a kind and a code, empty for the kind's own.
func fails(t *testing.T, what string, err error, kind errs.Kind, code string) {
	t.Helper()
	if e := errs.From(err); e == nil || e.Kind != kind || code != "" && e.CodeOf() != code {
		t.Errorf("%s: %v, want %v %q", what, err, kind, code)
	}
}

// touched is a reader that knows whether anybody read.
type touched struct {
	io.Reader
	yes atomic.Bool
}

func (r *touched) Read(p []byte) (int, error) { r.yes.Store(true); return r.Reader.Read(p) }

// Nothing is read of a file that the object does not take, and nothing is left of one
// that ends early, is too large, or whose object goes while it arrives.
func TestPutFileLeavesNothing(t *testing.T) {
	b := newBench(t, "a.lua", keeps, "lib/m.lua", "return 1")
	b.rest()
	h := hostOf(b, 1)
	if _, err := h.PutFile(t.Context(), host.NewFile{Object: "a", Name: "there"}, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		file host.NewFile
		kind errs.Kind
	}{
		"no object":        {host.NewFile{Object: "none", Name: "f"}, errs.NotFound},
		"a module":         {host.NewFile{Object: "lib_m", Name: "f"}, errs.NotFound},
		"no id":            {host.NewFile{Object: "../a", Name: "f"}, errs.Invalid},
		"no name":          {host.NewFile{Object: "a"}, errs.Invalid},
		"a path":           {host.NewFile{Object: "a", Name: "../f"}, errs.Invalid},
		"no type":          {host.NewFile{Object: "a", Name: "f", Type: "a\nb"}, errs.Invalid},
		"no request id":    {host.NewFile{Object: "a", Name: "f", RequestID: "a b"}, errs.Invalid},
		"one that is":      {host.NewFile{Object: "a", Name: "there", IfAbsent: true}, errs.Precondition},
		"one that is none": {host.NewFile{Object: "a", Name: "f", IfMatch: host.AnyFile}, errs.Precondition},
	} {
		r := &touched{Reader: strings.NewReader("x")}
		_, err := h.PutFile(t.Context(), c.file, r)
		fails(t, what, err, c.kind, "")
		if r.yes.Load() {
			t.Errorf("%s: the file was read", what)
		}
	}
	broken := errors.New("broken")
	if _, err := h.PutFile(t.Context(), host.NewFile{Object: "a", Name: "f"}, io.MultiReader(strings.NewReader("x"), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("a reader's error became %v", err)
	}
	h.dispatch.Limits.File = 10 // nobody runs
	_, err := h.PutFile(t.Context(), host.NewFile{Object: "a", Name: "f"}, zeros{})
	fails(t, "bytes without end", err, errs.TooLarge, "file_too_large")

	arriving, going := io.Pipe()
	begun, done := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := h.PutFile(t.Context(), host.NewFile{Object: "a", Name: "late"}, arriving)
		done <- err
	}()
	go func() { _, _ = io.WriteString(going, "begin"); close(begun) }()
	<-begun
	_, err = h.PutFile(t.Context(), host.NewFile{Object: "a", Name: "f"}, strings.NewReader("x"))
	fails(t, "a second file at once", err, errs.Busy, "")
	if err := h.Delete(t.Context(), host.Deletion{Object: "a"}); err != nil {
		t.Fatal(err)
	}
	_ = going.Close()
	fails(t, "an object that went", <-done, errs.NotFound, "")
	list, err := h.files.Files(t.Context(), storage.FilesQuery{Object: "a", Limit: 10})
	if err != nil || len(list) > 0 {
		t.Errorf("files %v, %v", list, err)
	}
	_, err = h.Files(t.Context(), host.FilesQuery{Object: "a"})
	fails(t, "the files of no object", err, errs.NotFound, "")
}

// Files are listed in pages of any size, and one by its whole name.
func TestFilesOfAnObject(t *testing.T) {
	b := newBench(t, "a.lua", keeps)
	b.rest()
	h := hostOf(b, 1)
	names := []string{"a", "a b", "ab", "b"}
	for _, name := range names {
		if _, err := h.PutFile(t.Context(), host.NewFile{Object: "a", Name: name, Type: "text/plain"}, strings.NewReader(name)); err != nil {
			t.Fatal(err)
		}
	}
	b.expect("a", strings.Join(names, " "))
	for _, c := range []struct {
		q    host.FilesQuery
		want string
		more bool
	}{
		{host.FilesQuery{}, "a,a b,ab,b", false}, {host.FilesQuery{Limit: 4}, "a,a b,ab,b", false}, {host.FilesQuery{Limit: 3}, "a,a b,ab", true},
		{host.FilesQuery{Prefix: "a", Limit: 3}, "a,a b,ab", false}, {host.FilesQuery{After: "a b", Limit: storage.MaxPage}, "ab,b", false},
		{host.FilesQuery{Name: "a", HasName: true}, "a", false}, {host.FilesQuery{Prefix: "c"}, "", false},
	} {
		c.q.Object = "a"
		page, err := h.Files(t.Context(), c.q)
		var got []string
		for _, f := range page.Files {
			if f.Hash != storage.Hash([]byte(f.Name)) || f.Size != int64(len(f.Name)) || f.Type != "text/plain" || f.Time.IsZero() {
				t.Errorf("the file %+v", f)
			}
			got = append(got, f.Name)
		}
		if err != nil || strings.Join(got, ",") != c.want || page.More != c.more {
			t.Errorf("%+v gives %q, more %v, %v; want %q, %v", c.q, got, page.More, err, c.want, c.more)
		}
	}
	_, err := h.Files(t.Context(), host.FilesQuery{Object: "a", Name: "a ", HasName: true})
	fails(t, "a part of a name", err, errs.NotFound, "no_such_file")
	_, err = h.Files(t.Context(), host.FilesQuery{Object: "a", Limit: storage.MaxPage + 1})
	fails(t, "a limit that is none", err, errs.Invalid, "bad_limit")
	if err := h.DeleteFile(t.Context(), host.FileDeletion{Object: "a", Name: "ab"}); err != nil {
		t.Fatal(err)
	}
	b.expect("a", "a a b b")
}

// Values are checked before they have a turn, and stored as scripts store them.
func TestSetStateOfAnObject(t *testing.T) {
	b := newBench(t, "a.lua", keeps)
	b.rest()
	h := hostOf(b, 1)
	set := func(key, value string) error {
		return h.SetState(t.Context(), host.StateChange{Object: "a", Key: key, Value: []byte(value)})
	}
	if err := set("k", ` { "b" : 1.0, "a" : [ ] } `); err != nil {
		t.Fatal(err)
	}
	r, err := h.dispatch.Invoke(t.Context(), host.Call{Object: "a", Method: "PUT"})
	if err != nil || string(r.Body) != `{"a":[],"b":1}` {
		t.Errorf("the script reads %q, %v", r.Body, err)
	}
	fails(t, "no value", set("k", ""), errs.Invalid, "bad_json")
	fails(t, "half a value", set("k", "["), errs.Invalid, "bad_json")
	fails(t, "a number that loses digits", set("k", "9007199254740994"), errs.Refused, "bad_value")
	fails(t, "a large value", set("k", `"`+strings.Repeat("x", 256<<10)+`"`), errs.TooLarge, "value_limit")
	fails(t, "no key", set("", "1"), errs.Invalid, "bad_key")
	fails(t, "a key of no text", set("\xff", "1"), errs.Invalid, "bad_key")
	fails(t, "a long key", set(strings.Repeat("k", storage.MaxKey+1), "1"), errs.TooLarge, "key_limit")
	fails(t, "no object", h.SetState(t.Context(), host.StateChange{Object: "none", Key: "k", Value: []byte("1")}), errs.NotFound, "")
	fails(t, "no object", h.DeleteState(t.Context(), host.StateDeletion{Object: "none", Key: "k"}), errs.NotFound, "")
	fails(t, "no key", h.DeleteState(t.Context(), host.StateDeletion{Object: "a", Key: "none"}), errs.NotFound, "no_such_key")
	page, err := h.State(t.Context(), host.StateQuery{Object: "a"})
	if err != nil || len(page.Items) != 1 {
		t.Errorf("the state is %q, %v", page.Items, err)
	}
	if err := set(strings.Repeat("k", storage.MaxKey), "1"); err != nil {
		t.Errorf("a key at its limit: %v", err)
	}
	if s, err := h.Status(t.Context(), "a"); err != nil || s != (host.Status{Object: "a", Warm: true}) {
		t.Errorf("the status is %+v, %v", s, err)
	}
}

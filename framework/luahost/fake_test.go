package luahost

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/storage"
)

// fake is an Object over a map.
type fake struct {
	state map[string]string
	logs  []entry
	err   error // of the next Set, Delete or Log
	others
	fakeFiles
}

type entry struct {
	Level           storage.Level
	Message, Fields string
}

func newFake() *fake { return &fake{state: map[string]string{}} }

func (f *fake) Get(key string) ([]byte, bool) {
	v, ok := f.state[key]
	return []byte(v), ok
}

func (f *fake) Set(key string, value []byte) error {
	if f.err == nil {
		f.state[key] = string(value)
	}
	return f.err
}

func (f *fake) Delete(key string) error {
	delete(f.state, key)
	return f.err
}

func (f *fake) Range(prefix, after string, reverse bool, yield func(string, []byte) bool) {
	var keys []string
	for k := range f.state {
		if strings.HasPrefix(k, prefix) && (after == "" || !reverse && k > after || reverse && k < after) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	if reverse {
		slices.Reverse(keys)
	}
	for _, k := range keys {
		if !yield(k, []byte(f.state[k])) {
			return
		}
	}
}

func (f *fake) Log(level storage.Level, message string, fields []byte) error {
	f.logs = append(f.logs, entry{level, message, string(fields)})
	return f.err
}

var _ Object = (*fake)(nil)

// quick are limits under which no hostile script takes long.
func quick() Limits {
	l := DefaultLimits()
	l.Steps = 3_000_000
	return l
}

func load(t testing.TB, source string) *VM {
	t.Helper()
	return loadWith(t, source, quick())
}

func loadWith(t testing.TB, source string, limits Limits) *VM {
	t.Helper()
	p, err := Compile([]byte(source))
	if err != nil {
		t.Fatalf("Compile: %v", err)
	}
	vm, err := p.NewVM(limits, nil)
	if err != nil {
		t.Fatalf("NewVM: %v\n%s", err, errs.From(err).Traceback)
	}
	t.Cleanup(vm.Close)
	return vm
}

func loadFile(t testing.TB, name string) *VM {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("..", "..", "scripts", "tutorial", name))
	if err != nil {
		t.Fatal(err)
	}
	return load(t, string(source))
}

func request(method string) Request {
	return Request{
		Call:    host.Call{Object: "tutorial_01_hello", Method: method, Path: "/objects/tutorial_01_hello", RequestID: "r-1"},
		Station: "alpha", Version: 7, Now: time.Unix(1_700_000_000, 250_000_000),
	}
}

// get runs a GET whose function has this body.
func get(t testing.TB, o *fake, body string) (Result, *errs.Error) {
	t.Helper()
	return callSource(t, o, "function GET(request, call) "+body+"\nend")
}

func callSource(t testing.TB, o *fake, source string) (Result, *errs.Error) {
	t.Helper()
	r, err := load(t, source).Call(context.Background(), o, request("GET"))
	return r, errs.From(err)
}

// want checks a GET's body.
func want(t testing.TB, o *fake, body, answer string) {
	t.Helper()
	r, err := get(t, o, body)
	if err != nil {
		t.Errorf("%s: %v\n%s", body, err, err.Traceback)
		return
	}
	if string(r.Body) != answer {
		t.Errorf("%s\n got %s\nwant %s", body, r.Body, answer)
	}
}

// wantError checks the kind of a GET's error and a part of its text.
func wantError(t testing.TB, o *fake, body string, kind errs.Kind, part string) *errs.Error {
	t.Helper()
	r, err := get(t, o, body)
	switch {
	case err == nil:
		t.Errorf("%s\n got %q, want the error %v", body, clip(string(r.Body), 200), kind)
	case err.Kind != kind || !strings.Contains(err.Error()+" "+err.CodeOf(), part):
		t.Errorf("%s\n got %v %q (%s), want %v with %q", body, err.Kind, err.Error(), err.CodeOf(), kind, part)
	}
	return err
}

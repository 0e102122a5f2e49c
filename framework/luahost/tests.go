package luahost

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/errs"
)

// What the tests of one script may be.
const (
	MaxTests    = 1000 // functions
	MaxTestName = 128  // bytes of the name of one
)

// testPrefix begins the names of the global functions that are tests.
const testPrefix = "test_"

// Tests gives the names of the script's tests, which are its global functions
// test_*, in the order in which they stand in the script. Errors: errs.Source
// (test_limit) for more than MaxTests, or a name of more than MaxTestName bytes
// or that is not UTF-8.
func (vm *VM) Tests() ([]string, error) {
	type test struct {
		name string
		line int
	}
	var found []test
	for key, value := vm.globals.Next(lua.LNil); key != lua.LNil; key, value = vm.globals.Next(key) {
		name, named := key.(lua.LString)
		fn, callable := value.(*lua.LFunction)
		if !named || !callable || !strings.HasPrefix(string(name), testPrefix) {
			continue
		}
		if len(name) > MaxTestName || !utf8.ValidString(string(name)) || len(found) == MaxTests {
			return nil, errs.New(errs.Source, "test_limit",
				"The script has more than %d tests, or one whose name is longer than %d bytes or not UTF-8.", MaxTests, MaxTestName)
		}
		t := test{name: string(name)}
		if fn.Proto != nil {
			t.line = fn.Proto.LineDefined
		}
		found = append(found, t)
	}
	slices.SortFunc(found, func(a, b test) int { return cmp.Or(a.line-b.line, strings.Compare(a.name, b.name)) })
	names := make([]string, len(found))
	for i := range found {
		names[i] = found[i].name
	}
	return names, nil
}

// Test runs one of the script's tests under the limits of a call, with r.Call's
// payload as its request. A test that returns "skip" is skipped, and the second
// value that it returns is the reason; what else it returns means nothing. In
// the text of the test itself pcall catches a `fail`. Errors are those of Call;
// errs.NotFound where there is no such test. The VM of a test is to be closed:
// what the test left in the script's locals is not of a call.
func (vm *VM) Test(ctx context.Context, o Object, r Request, name string) (skipped bool, reason string, err error) {
	if vm.spent {
		return false, "", errs.New(errs.Internal, "", "The VM of a failed call was used again.")
	}
	fn, ok := vm.globals.RawGetString(name).(*lua.LFunction)
	if !ok || !strings.HasPrefix(name, testPrefix) {
		return false, "", errs.New(errs.NotFound, "no_such_test", "The script has no test %q.", clip(name, 64))
	}
	vm.enter(ctx, o, &r)
	defer vm.end()
	vm.test = fn.Proto
	defer func() { vm.test = nil }()
	payload, bad := vm.payloadTable()
	if bad != nil {
		return false, "", bad
	}
	if bad := vm.invoke(fn, payload); bad != nil {
		return false, "", bad
	}
	first, second := vm.state.Get(-3), vm.state.Get(-2)
	vm.state.SetTop(0)
	vm.spent = true
	if first != lua.LString("skip") {
		return false, "", nil
	}
	if second != lua.LNil {
		reason = clip(second.String(), maxMessage)
	}
	return true, reason, nil
}

// refusal gives what a pcall in a test catches of a `fail`: its arguments by
// name, nil where the error is none or the pcall does not stand in the text of
// the test. Everywhere else a `fail` ends the call, also within what a test
// calls, so that a handler does in a test what it does in a call. L is the
// thread that pcall runs in, after the unwinding.
func (vm *VM) refusal(L *lua.LState) *lua.LTable {
	e := vm.meter.err
	if vm.test == nil || e == nil || e.Kind != errs.Refused {
		return nil
	}
	frame, ok := L.GetStack(1)
	if !ok {
		return nil
	}
	caller, err := L.GetInfo("f", frame, lua.LNil)
	fn, isFunction := caller.(*lua.LFunction)
	if err != nil || !isFunction || fn.Proto == nil || !contains(vm.test, fn.Proto) {
		return nil
	}
	vm.meter.resume()
	vm.meter.charge(L, 200) // as for any error that is caught
	t := L.CreateTable(0, 3)
	t.RawSetString("status", lua.LNumber(e.HTTPStatus()))
	t.RawSetString("code", lua.LString(e.CodeOf()))
	t.RawSetString("message", lua.LString(e.Text()))
	return t
}

// contains reports whether inner is outer or one of the functions written in it.
func contains(outer, inner *lua.FunctionProto) bool {
	return outer == inner || slices.ContainsFunc(outer.FunctionPrototypes, func(p *lua.FunctionProto) bool { return contains(p, inner) })
}

// resume lets a call go on that was stopped.
func (m *meter) resume() {
	m.err, m.due = nil, min(m.steps+interval, m.limit+1)
}

// placed finds the place of a script's error: at the front of a text, and anywhere in it.
var (
	placedFirst = regexp.MustCompile(`^(` + regexp.QuoteMeta(chunk) + `|lib/[^:\s]+\.lua):(?:(\d+):)? `)
	placed      = regexp.MustCompile(`(^|[\s"'(\[])` + regexp.QuoteMeta(chunk) + `:`)
)

// Place takes the place from the front of an error's message. module is the
// file of a module, lib/{name}.lua, and empty where the place is the script itself
// or there is none; line is 0 where there is none.
func Place(message string) (module string, line int, rest string) {
	m := placedFirst.FindStringSubmatch(message)
	if m == nil {
		return "", 0, message
	}
	if m[1] != chunk {
		module = m[1]
	}
	if m[2] != "" {
		line, _ = strconv.Atoi(m[2])
	}
	return module, line, message[len(m[0]):]
}

// Named gives a text, such as a traceback, with the path of the script in place
// of the name that all scripts have in it.
func Named(text, path string) string {
	return placed.ReplaceAllString(text, "${1}"+strings.ReplaceAll(path, "$", "$$")+":")
}

package luahost

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"
)

// parseStub gives the stub as the parser reads it.
func parseStub(t *testing.T) []ast.Stmt {
	t.Helper()
	stmts, err := parse.Parse(bytes.NewReader(Stub()), "stub")
	if err != nil {
		t.Fatalf("the stub is no Lua: %v", err)
	}
	return stmts
}

// nameOf gives "a.b" of an expression.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.IdentExpr:
		return e.Value
	case *ast.AttrGetExpr:
		return nameOf(e.Object) + "." + e.Key.(*ast.StringExpr).Value
	}
	return "?"
}

// TestStubNamesTheFunctions: the stub declares each registered function once,
// and no other.
func TestStubNamesTheFunctions(t *testing.T) {
	var names []string
	for _, s := range parseStub(t) {
		if f, ok := s.(*ast.FuncDefStmt); ok {
			names = append(names, nameOf(f.Name.Func))
		}
	}
	slices.Sort(names)
	if d := cmp.Diff(Functions(), names); d != "" {
		t.Errorf("registered (-) and in the stub (+):\n%s", d)
	}
}

// TestStubNamesTheValues: so it does for the values that are no functions, and
// for the libraries, which it declares before what is in them.
func TestStubNamesTheValues(t *testing.T) {
	var got, want []string
	seen := map[string]bool{}
	for _, s := range parseStub(t) {
		var e ast.Expr
		switch s := s.(type) {
		case *ast.AssignStmt:
			e = s.Lhs[0]
			got = append(got, nameOf(e))
			seen[nameOf(e)] = true
		case *ast.FuncDefStmt:
			e = s.Name.Func
		}
		if library, _, ok := strings.Cut(nameOf(e), "."); ok && !seen[library] {
			t.Errorf("%s stands before its library", nameOf(e))
		}
	}
	want = append(want, "_G")
	for _, b := range shared().globals {
		switch v := b.value.(type) {
		case *lua.LFunction:
		case *lua.LTable:
			want = append(want, b.name)
			v.Metatable.(*lua.LTable).RawGetString("__index").(*lua.LTable).ForEach(func(key, value lua.LValue) {
				if value.Type() != lua.LTFunction {
					want = append(want, b.name+"."+key.String())
				}
			})
		default:
			want = append(want, b.name)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("registered (-) and in the stub (+):\n%s", d)
	}
}

var (
	paramForm  = regexp.MustCompile(`^(\.\.\.|[a-z_][a-z0-9_]*\??) \S`)
	returnForm = regexp.MustCompile(`^\S+ (\.\.\.|[a-z_0-9]+)$`)
)

// TestReferencesHaveTheForm: every entry says what it does in one line, and its
// parameters and results are what LuaCATS takes.
func TestReferencesHaveTheForm(t *testing.T) {
	for _, list := range references {
		for _, f := range list {
			if f.doc == "" || !strings.HasSuffix(f.doc, ".") || strings.Contains(f.doc, "\n") {
				t.Errorf("%s: its text is %q", f.name, f.doc)
			}
			for i, p := range f.params {
				if !paramForm.MatchString(p) || strings.HasPrefix(p, "... ") && i != len(f.params)-1 {
					t.Errorf("%s: the parameter %q", f.name, p)
				}
			}
			for _, r := range f.returns {
				if !returnForm.MatchString(strings.ReplaceAll(r, ", ", ",")) {
					t.Errorf("%s: the result %q", f.name, r)
				}
			}
		}
	}
}

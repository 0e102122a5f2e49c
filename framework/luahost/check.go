package luahost

import (
	"fmt"

	"github.com/yuin/gopher-lua/ast"
)

// absent names the globals of later versions of the API. A script that reads
// one without defining it does not compile, so that its author learns of it
// from the save and not from the first call.
var absent = map[string]bool{
	"schedule": true, "events": true, "http": true,
}

// maxNesting is how deeply statements and expressions may nest. The compiler
// recurses over the tree without a bound of its own.
const maxNesting = 1000

// watched reports whether the checker follows a name.
func watched(name string) bool { return absent[name] || name == requireName }

// check gives the modules that a script names, and finds its first line that
// cannot work and says why; an empty message means that none was found. On its
// way it settles the loops, see jumps.go.
func check(stmts *[]ast.Stmt) (requires []use, line int, message string) {
	c := &checker{defined: map[string]bool{}}
	c.block(stmts)
	if c.deep > 0 {
		return nil, c.deep, fmt.Sprintf("nested more than %d levels deep", maxNesting)
	}
	for _, u := range c.uses {
		switch {
		case c.defined[u.name]:
		case u.name == requireName:
			return nil, u.line, "`require` takes the name of a module in quotes, and is no value"
		default:
			return nil, u.line, fmt.Sprintf("`%s` is not available in this version", u.name)
		}
	}
	if c.defined[requireName] {
		return nil, 0, "" // a function of the script's own
	}
	for i, r := range c.requires {
		name, ok := moduleName(r.name)
		if !ok {
			return nil, r.line, fmt.Sprintf("'%s' is no name of a module: use a-z, 0-9, '_' and '-', and '.' between folders", clip(r.name, 64))
		}
		c.requires[i].name = name
	}
	return c.requires, 0, ""
}

type checker struct {
	locals   []string // the visible local names that are watched, innermost last
	uses     []use
	requires []use
	defined  map[string]bool // globals that the script assigns
	depth    int
	deep     int // line where nesting went too deep, 0 if it did not
}

type use struct {
	name string
	line int
}

func (c *checker) enter(line int) bool {
	if c.depth++; c.depth > maxNesting && c.deep == 0 {
		c.deep = max(line, 1)
	}
	return c.deep == 0
}

func (c *checker) declare(names ...string) {
	for _, n := range names {
		if watched(n) {
			c.locals = append(c.locals, n)
		}
	}
}

func (c *checker) visible(name string) bool {
	for _, l := range c.locals {
		if l == name {
			return true
		}
	}
	return false
}

// scope runs f and forgets the locals that it declared.
func (c *checker) scope(f func()) {
	n := len(c.locals)
	f()
	c.locals = c.locals[:n]
}

func (c *checker) block(stmts *[]ast.Stmt) {
	c.scope(func() { c.stmts(stmts) })
}

func (c *checker) stmts(stmts *[]ast.Stmt) {
	for _, s := range *stmts {
		if c.enter(s.Line()) {
			c.stmt(s)
		}
		c.depth--
	}
	settleLabels(stmts)
}

func (c *checker) stmt(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.AssignStmt:
		c.exprs(s.Rhs)
		for _, e := range s.Lhs {
			c.target(e)
		}
	case *ast.LocalAssignStmt:
		c.local(s)
	case *ast.FuncCallStmt:
		c.expr(s.Expr)
	case *ast.DoBlockStmt:
		c.block(&s.Stmts)
	case *ast.WhileStmt:
		c.expr(s.Condition)
		c.block(&s.Stmts)
		settleWhile(s)
	case *ast.RepeatStmt:
		c.scope(func() { c.stmts(&s.Stmts); c.expr(s.Condition) })
		settleBody(&s.Stmts, s)
	case *ast.IfStmt:
		c.expr(s.Condition)
		c.block(&s.Then)
		c.block(&s.Else)
	case *ast.NumberForStmt:
		c.exprs([]ast.Expr{s.Init, s.Limit, s.Step})
		c.scope(func() { c.declare(s.Name); c.stmts(&s.Stmts) })
	case *ast.GenericForStmt:
		c.exprs(s.Exprs)
		c.scope(func() { c.declare(s.Names...); c.stmts(&s.Stmts) })
		settleBody(&s.Stmts, s)
	case *ast.FuncDefStmt:
		if s.Name.Receiver != nil {
			c.expr(s.Name.Receiver)
		} else {
			c.target(s.Name.Func)
		}
		c.expr(s.Func)
	case *ast.ReturnStmt:
		c.exprs(s.Exprs)
	}
}

// local handles `local a, b = …`; a function sees its own name, other values do not.
func (c *checker) local(s *ast.LocalAssignStmt) {
	if len(s.Exprs) == 1 && len(s.Names) == 1 {
		if _, ok := s.Exprs[0].(*ast.FunctionExpr); ok {
			c.declare(s.Names...)
			c.exprs(s.Exprs)
			return
		}
	}
	c.exprs(s.Exprs)
	c.declare(s.Names...)
}

// target handles what an assignment writes to.
func (c *checker) target(e ast.Expr) {
	if name, ok := e.(*ast.IdentExpr); ok {
		if watched(name.Value) && !c.visible(name.Value) {
			c.defined[name.Value] = true
		}
		return
	}
	c.expr(e)
}

func (c *checker) exprs(es []ast.Expr) {
	for _, e := range es {
		c.expr(e)
	}
}

func (c *checker) expr(e ast.Expr) {
	if e == nil {
		return
	}
	if c.enter(e.Line()) {
		c.inner(e)
	}
	c.depth--
}

func (c *checker) inner(e ast.Expr) {
	switch e := e.(type) {
	case *ast.IdentExpr:
		if watched(e.Value) && !c.visible(e.Value) {
			c.uses = append(c.uses, use{e.Value, e.Line()})
		}
	case *ast.AttrGetExpr:
		c.expr(e.Object)
		c.expr(e.Key)
	case *ast.TableExpr:
		for _, f := range e.Fields {
			c.expr(f.Key)
			c.expr(f.Value)
		}
	case *ast.FuncCallExpr:
		if name := c.required(e); name != nil {
			c.requires = append(c.requires, use{name.Value, e.Line()})
			return
		}
		c.expr(e.Func)
		c.expr(e.Receiver)
		c.exprs(e.Args)
	case *ast.FunctionExpr:
		c.scope(func() { c.declare(e.ParList.Names...); c.stmts(&e.Stmts) })
	default:
		c.operator(e)
	}
}

// required gives the name in a call `require "name"`, nil for any other call.
func (c *checker) required(e *ast.FuncCallExpr) *ast.StringExpr {
	fn, ok := e.Func.(*ast.IdentExpr)
	if !ok || fn.Value != requireName || c.visible(requireName) || len(e.Args) != 1 {
		return nil
	}
	name, _ := e.Args[0].(*ast.StringExpr)
	return name
}

func (c *checker) operator(e ast.Expr) {
	switch e := e.(type) {
	case *ast.LogicalOpExpr:
		c.exprs([]ast.Expr{e.Lhs, e.Rhs})
	case *ast.RelationalOpExpr:
		c.exprs([]ast.Expr{e.Lhs, e.Rhs})
	case *ast.StringConcatOpExpr:
		c.exprs([]ast.Expr{e.Lhs, e.Rhs})
	case *ast.ArithmeticOpExpr:
		c.exprs([]ast.Expr{e.Lhs, e.Rhs})
	case *ast.UnaryMinusOpExpr:
		c.expr(e.Expr)
	case *ast.UnaryNotOpExpr:
		c.expr(e.Expr)
	case *ast.UnaryLenOpExpr:
		c.expr(e.Expr)
	}
}

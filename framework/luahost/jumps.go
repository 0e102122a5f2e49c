package luahost

import (
	"slices"

	"github.com/yuin/gopher-lua/ast"
)

// The compiler of the library replaces a jump that leads to a jump by one that
// leads where that one does. It goes through the code from the front, so where
// the second jump lies behind the first it has been replaced already, and is
// read as what it no longer is: the function goes on anywhere. What leads back
// is the end of a loop, and goto. So nothing that these lead to may begin with a
// jump: where it might, an instruction without effect is put in front.

// settleWhile does that for a while loop.
func settleWhile(s *ast.WhileStmt) {
	switch begin := asCondition(s.Condition); begin {
	case noJump:
		return
	case maybeJump: // nothing can stand in front of a condition, so it moves into the loop
		end := &ast.IfStmt{Condition: s.Condition, Else: []ast.Stmt{at(&ast.BreakStmt{}, s)}}
		s.Stmts = slices.Insert(s.Stmts, 0, at[ast.Stmt](end, s))
		condition := &ast.TrueExpr{}
		condition.SetLine(s.Condition.Line())
		s.Condition = condition
	}
	settleBody(&s.Stmts, s)
}

// settleBody does it for what a loop runs.
func settleBody(body *[]ast.Stmt, loop ast.Stmt) {
	if len(*body) > 0 && firstOf((*body)[0]) != noJump {
		*body = slices.Insert(*body, 0, noEffect(loop))
	}
}

// settleLabels does it for the labels of a block. Those at its end are not led back
// to, and a goto passes locals only where nothing stands behind its label.
func settleLabels(block *[]ast.Stmt) {
	end := true
	for i := len(*block) - 1; i >= 0; i-- {
		label, ok := (*block)[i].(*ast.LabelStmt)
		if ok && !end {
			*block = slices.Insert(*block, i+1, noEffect(label))
		}
		end = end && ok
	}
}

// noEffect is `do local _ = true end`, with the line of a statement.
func noEffect(of ast.Stmt) ast.Stmt {
	value := &ast.TrueExpr{}
	value.SetLine(of.Line())
	local := &ast.LocalAssignStmt{Names: []string{"_"}, Exprs: []ast.Expr{value}}
	return at(&ast.DoBlockStmt{Stmts: []ast.Stmt{at(local, of)}}, of)
}

func at[S ast.Stmt](s S, of ast.Stmt) S {
	s.SetLine(of.Line())
	s.SetLastLine(of.Line())
	return s
}

// beginning says what the code of a part of a script begins with.
type beginning int

const (
	maybeJump beginning = iota // it may be a jump
	noJump                     // no jump, for certain
	noCode                     // there is no code
)

// firstOf gives the beginning of a statement.
func firstOf(s ast.Stmt) beginning {
	switch s := s.(type) {
	case *ast.LocalAssignStmt:
		if len(s.Exprs) == 0 {
			return noJump
		}
		return asValue(s.Exprs[0])
	case *ast.AssignStmt:
		if _, ok := s.Rhs[0].(*ast.IdentExpr); !ok && len(s.Lhs) == 1 { // x = x is no code
			return both(s.Lhs[0], s.Rhs[0])
		}
	case *ast.FuncCallStmt:
		return asValue(s.Expr)
	case *ast.FuncDefStmt:
		return noJump
	case *ast.NumberForStmt:
		return asValue(s.Init)
	case *ast.GenericForStmt:
		return asValue(s.Exprs[0])
	case *ast.IfStmt:
		return asCondition(s.Condition)
	}
	return maybeJump
}

// asValue gives the beginning of an expression whose value is wanted.
func asValue(e ast.Expr) beginning {
	switch e := e.(type) {
	case *ast.TrueExpr, *ast.FalseExpr, *ast.NilExpr, *ast.NumberExpr, *ast.StringExpr, *ast.Comma3Expr,
		*ast.IdentExpr, *ast.FunctionExpr, *ast.TableExpr:
		return noJump
	case *ast.AttrGetExpr:
		return both(e.Object, e.Key)
	case *ast.FuncCallExpr:
		if e.Func != nil {
			return asValue(e.Func)
		}
		return asValue(e.Receiver)
	case *ast.RelationalOpExpr:
		return both(e.Lhs, e.Rhs)
	case *ast.ArithmeticOpExpr:
		return both(e.Lhs, e.Rhs)
	case *ast.StringConcatOpExpr:
		return both(e.Lhs, e.Rhs)
	case *ast.UnaryMinusOpExpr:
		return asValue(e.Expr)
	case *ast.UnaryLenOpExpr:
		return asValue(e.Expr)
	}
	return maybeJump // `and`, `or`, `not`
}

// both is for what has two parts, the first of which may need no code.
func both(l, r ast.Expr) beginning {
	if asValue(l) == noJump {
		return asValue(r)
	}
	return maybeJump
}

// asCondition gives the beginning of an expression by which the script goes one
// way or another.
func asCondition(e ast.Expr) beginning {
	switch e := e.(type) {
	case *ast.TrueExpr, *ast.NumberExpr, *ast.StringExpr:
		return noCode
	case *ast.FalseExpr, *ast.NilExpr:
		return maybeJump
	case *ast.UnaryNotOpExpr:
		return operand(e.Expr)
	case *ast.LogicalOpExpr:
		return operand(e.Lhs)
	}
	return asValue(e)
}

// operand is asCondition where a constant may be a jump, or nothing.
func operand(e ast.Expr) beginning {
	if asCondition(e) == noJump {
		return noJump
	}
	return maybeJump
}

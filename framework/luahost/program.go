package luahost

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"

	"github.com/dbbasic/station/sdk/errs"
)

// chunk is the name of every script in messages: "script.lua:3: …".
const chunk = "script.lua"

// Program is a compiled script or module. It does not change, so VMs and
// goroutines share it.
type Program struct {
	Env Env // what env.get gives; to be set before the first NewVM, nil for nothing

	proto    *lua.FunctionProto
	chunk    string
	requires []use   // the modules that the text itself names
	modules  Modules // those that it runs with, see Link
}

// Compile parses and compiles a script. Errors: errs.Source, with the line, for
// text that is no Lua, or that uses an API which this version lacks;
// source_too_large above MaxSource bytes.
func Compile(source []byte) (*Program, error) { return compileAs(chunk, source) }

func compileAs(chunk string, source []byte) (p *Program, err error) {
	if len(source) > MaxSource {
		return nil, errs.New(errs.Source, "source_too_large",
			"The script has %d bytes; at most %d are allowed.", len(source), MaxSource)
	}
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, errs.Wrap(errs.Source, "luahost.Compile", fmt.Errorf("panic: %v", r),
				"The compiler cannot handle this script.")
		}
	}()
	source = bytes.TrimPrefix(source, []byte("\xef\xbb\xbf"))
	stmts, err := parse.Parse(bytes.NewReader(source), chunk)
	if err != nil {
		return nil, syntaxError(chunk, err, 1+bytes.Count(source, []byte("\n")))
	}
	requires, line, message := check(&stmts)
	if message != "" {
		return nil, errorIn(chunk, line, message)
	}
	proto, err := compile(chunk, stmts)
	if err != nil {
		return nil, err
	}
	return &Program{proto: proto, chunk: chunk, requires: requires}, nil
}

func compile(chunk string, stmts []ast.Stmt) (*lua.FunctionProto, error) {
	proto, err := lua.Compile(stmts, chunk)
	if c, ok := errors.AsType[*lua.CompileError](err); ok {
		return nil, errorIn(chunk, c.Line, c.Message)
	}
	if err != nil {
		return nil, errorIn(chunk, 0, err.Error())
	}
	fit(proto)
	return proto, nil
}

// fit gives back the room that the library's compiler takes for each function, for 1,024
// instructions and more: nine tenths of what a program holds else.
func fit(p *lua.FunctionProto) {
	p.Code = exact(p.Code)
	p.Constants = exact(p.Constants)
	p.FunctionPrototypes = exact(p.FunctionPrototypes)
	p.DbgSourcePositions = exact(p.DbgSourcePositions)
	p.DbgLocals = exact(p.DbgLocals)
	p.DbgCalls = exact(p.DbgCalls)
	p.DbgUpvalues = exact(p.DbgUpvalues)
	for _, f := range p.FunctionPrototypes {
		fit(f)
	}
}

// exact gives a copy without room; an empty one would keep the room of s.
func exact[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return append(make([]T, 0, len(s)), s...)
}

// syntaxError turns the parser's error, which has a form of its own, into ours.
func syntaxError(chunk string, err error, lines int) *errs.Error {
	p, ok := errors.AsType[*parse.Error](err)
	if !ok {
		return errorIn(chunk, 0, err.Error())
	}
	message, near := strings.TrimSpace(p.Message), clip(p.Token, 64)
	if p.Pos.Line == parse.EOF {
		return errorIn(chunk, lines, message+" at the end of the script")
	}
	if near != "" {
		message += " near '" + near + "'"
	}
	return errorIn(chunk, p.Pos.Line, message)
}

// sourceError is the error of a script as a whole.
func sourceError(message string) *errs.Error { return errorIn(chunk, 0, message) }

// errorIn is errs.Source with chunk and line in front, as Lua writes it.
func errorIn(chunk string, line int, message string) *errs.Error {
	at := chunk + ": "
	if line > 0 {
		at = fmt.Sprintf("%s:%d: ", chunk, line)
	}
	return &errs.Error{Kind: errs.Source, Message: at + clip(message, maxMessage), Line: line}
}

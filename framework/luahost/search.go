package luahost

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// startIndex reads the argument init of find and match: where in a text of
// size bytes the search begins, from 0; a start behind the end finds nothing.
func startIndex(L *lua.LState, size int) int {
	switch i := L.OptInt(3, 1); {
	case i > 0:
		return i - 1
	case i < 0:
		return max(i+size, 0)
	}
	return 0
}

func stringFind(L *lua.LState) int {
	s, pattern := L.CheckString(1), L.CheckString(2)
	from := startIndex(L, len(s))
	if L.ToBool(4) || !strings.ContainsAny(pattern, "^$*+?.()[%-") {
		start := indexFrom(L, s, pattern, from)
		if start < 0 {
			L.Push(lua.LNil)
			return 1
		}
		L.Push(lua.LNumber(start + 1))
		L.Push(lua.LNumber(start + len(pattern)))
		return 2
	}
	m := newMatcher(L, s, pattern)
	start, end, ok := m.next(from)
	if !ok {
		L.Push(lua.LNil)
		return 1
	}
	L.Push(lua.LNumber(start + 1))
	L.Push(lua.LNumber(end))
	return 2 + m.pushCaptures()
}

// indexFrom finds sub in s from an index on. It looks at the meter on its way.
func indexFrom(L *lua.LState, s, sub string, from int) int {
	meter := of(L).meter
	meter.charge(L, len(sub)/16)
	piece := max(64<<10, len(sub))
	for ; from+len(sub) <= len(s); from += piece {
		part := s[from:min(len(s), from+piece+len(sub)-1)]
		i := strings.Index(part, sub)
		if i >= 0 {
			meter.charge(L, i/16)
			return from + i
		}
		meter.charge(L, len(part)/16)
	}
	return -1
}

func stringMatch(L *lua.LState) int {
	s, pattern := L.CheckString(1), L.CheckString(2)
	from := startIndex(L, len(s))
	m := newMatcher(L, s, pattern)
	start, end, ok := m.next(from)
	if !ok {
		L.Push(lua.LNil)
		return 1
	}
	return m.pushMatch(start, end)
}

// stringGmatch gives an iterator that finds each match when it is asked for.
// The subject and the pattern are its upvalues, so that whoever weighs the VM's
// values finds them; beside them it has a number.
func stringGmatch(L *lua.LState) int {
	s, pattern := L.CheckString(1), L.CheckString(2)
	checkPattern(L, pattern)
	reserve(L, 256) // the iterator
	from := 0
	L.Push(L.NewClosure(func(L *lua.LState) int {
		if from > len(s) {
			return 0
		}
		rest, anchored := strings.CutPrefix(pattern, "^")
		m := matcher{L: L, meter: of(L).meter, text: s, pattern: rest, anchored: anchored}
		start, end, ok := m.next(from)
		if !ok || anchored {
			from = len(s) + 1
		} else {
			from = max(end, start+1)
		}
		if !ok {
			return 0
		}
		return m.pushMatch(start, end)
	}, lua.LString(s), lua.LString(pattern)))
	return 1
}

// pushMatch pushes the captures of a match, the whole of it if there are none.
func (m *matcher) pushMatch(start, end int) int {
	if m.captures == 0 {
		m.L.Push(part(m.L, m.text, start, end))
		return 1
	}
	return m.pushCaptures()
}

func (m *matcher) pushCaptures() int {
	for i := range m.captures {
		m.L.Push(m.captured(i))
	}
	return m.captures
}

// captured gives the value of capture i: a part of the text, or a position.
func (m *matcher) captured(i int) lua.LValue {
	c := m.capture[i]
	if c.length == position {
		return lua.LNumber(c.start + 1)
	}
	return part(m.L, m.text, c.start, c.start+c.length)
}

// stringGsub replaces matches. What is not replaced is copied once, and the
// text is copied when the first replacement is made.
func stringGsub(L *lua.LState) int {
	s, pattern := L.CheckString(1), L.CheckString(2)
	replacement := replacementOf(L)
	most := len(s) + 1
	if L.Get(4) != lua.LNil {
		most = L.CheckInt(4)
	}
	m := newMatcher(L, s, pattern)
	out := output{L: L}
	count, copied := 0, 0
	for from := 0; count < most; count++ {
		start, end, ok := m.next(from)
		if !ok {
			break
		}
		if replacement.write(&out, &m, copied, start, end) {
			copied = end
		}
		if from = max(end, start+1); m.anchored {
			from = len(s) + 1
		}
	}
	if copied == 0 && out.size() == 0 { // nothing was replaced
		L.Push(lua.LString(s))
	} else {
		out.write(s[copied:])
		L.Push(out.value())
	}
	L.Push(lua.LNumber(count))
	return 2
}

// replacement is the third argument of gsub.
type replacement struct {
	template string
	plain    bool       // the template has no %
	value    lua.LValue // a table or a function, nil where there is a template
}

func replacementOf(L *lua.LState) replacement {
	switch v := L.Get(3).(type) {
	case *lua.LTable, *lua.LFunction:
		return replacement{value: v}
	case lua.LString, lua.LNumber:
		of(L).meter.charge(L, len(v.String())/64)
		return replacement{template: v.String(), plain: !strings.Contains(v.String(), "%")}
	default:
		L.ArgError(3, "string, number, table or function expected, got "+v.Type().String())
		return replacement{}
	}
}

// write writes the text from copied up to the match and what stands for the
// match, and reports whether it did: nil and false leave the match as it is.
func (r *replacement) write(out *output, m *matcher, copied, start, end int) bool {
	if r.value == nil {
		out.write(m.text[copied:start])
		if r.plain {
			out.write(r.template)
		} else {
			r.expand(out, m, start, end)
		}
		return true
	}
	switch v := r.ask(m, start, end).(type) {
	case lua.LString, lua.LNumber:
		out.write(m.text[copied:start])
		out.write(v.String())
		return true
	default:
		if lua.LVAsBool(v) {
			m.L.RaiseError("invalid replacement value (a %s)", v.Type())
		}
		return false
	}
}

// ask gives what the function or table has for a match.
func (r *replacement) ask(m *matcher, start, end int) lua.LValue {
	L := m.L
	if t, ok := r.value.(*lua.LTable); ok {
		if m.captures == 0 {
			return L.GetTable(t, part(L, m.text, start, end))
		}
		return L.GetTable(t, m.captured(0))
	}
	L.Push(r.value)
	L.Call(m.pushMatch(start, end), 1)
	v := L.Get(-1)
	L.Pop(1)
	return v
}

// expand writes the template: %0 is the match, %1 to %9 are its captures, %%
// is a %, and any other % stands for itself.
func (r *replacement) expand(out *output, m *matcher, start, end int) {
	for rest := r.template; ; {
		text, after, found := strings.Cut(rest, "%")
		m.step(1 + len(text)/64)
		out.write(text)
		switch {
		case !found:
			return
		case strings.HasPrefix(after, "%"):
			out.write("%")
			rest = after[1:]
		case after != "" && isDigit(after[0]):
			r.expandCapture(out, m, int(after[0])-'1', start, end)
			rest = after[1:]
		default:
			out.write("%")
			rest = after
		}
	}
}

func (r *replacement) expandCapture(out *output, m *matcher, i, start, end int) {
	switch {
	case i < 0, i == 0 && m.captures == 0:
		out.write(m.text[start:end])
	case i >= m.captures:
		m.L.RaiseError("invalid capture index %%%d in the replacement", i+1)
	case m.capture[i].length == position:
		out.write(lua.LNumber(m.capture[i].start + 1).String())
	default:
		c := m.capture[i]
		out.write(m.text[c.start : c.start+c.length])
	}
}

package luahost

import (
	"html"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// htmlEscape is escape(s): what is text in an element and in a quoted attribute.
func htmlEscape(L *lua.LState) int {
	s := L.CheckString(1)
	L.Push(lua.LString(escaped(L, s)))
	return 1
}

// escaped escapes s and charges for it.
func escaped(L *lua.LState, s string) string {
	meter := of(L).meter
	meter.charge(L, 1+len(s)/16)
	special := 0
	for i := range len(s) {
		switch s[i] {
		case '&', '<', '>', '"', '\'':
			special++
		}
	}
	if special == 0 {
		return s
	}
	reserve(L, len(s)+4*special)
	return html.EscapeString(s)
}

// htmlRender is render(template, values).
func htmlRender(L *lua.LState) int {
	source := L.CheckString(1)
	values := L.OptTable(2, L.CreateTable(0, 0))
	if len(source) > maxTemplate {
		L.ArgError(1, "the template is longer than 256 KiB")
	}
	vm := of(L)
	vm.meter.charge(L, 16+len(source)/4)
	tags := strings.Count(source, "{{")
	reserve(L, 2*nodeSize*tags)
	nodes, err := parseTemplate(source, 2*tags+1)
	if err != nil {
		L.RaiseError("html.render: %s", err.Error())
	}
	r := renderer{L: L, vm: vm, nodes: nodes, scopes: []lua.LValue{values}}
	r.run(0, len(nodes))
	reserve(L, len(r.out))
	L.Push(lua.LString(r.out))
	return 1
}

// renderer writes the nodes of a template. Values are read as plain data:
// metatables have no part in it.
type renderer struct {
	L      *lua.LState
	vm     *VM
	nodes  []node
	scopes []lua.LValue // where names are looked up, innermost last
	out    []byte
}

func (r *renderer) run(from, to int) {
	for i := from; i < to; i++ {
		r.vm.meter.charge(r.L, 1)
		switch n := &r.nodes[i]; n.kind {
		case textNode:
			r.write(n.text)
		case valueNode:
			r.write(escaped(r.L, r.text(n)))
		case rawNode:
			r.write(r.text(n))
		case sectionNode:
			r.section(n, i+1)
			i = n.end - 1
		case invertedNode:
			if isFalse(r.lookup(n.text)) {
				r.run(i+1, n.end)
			}
			i = n.end - 1
		}
	}
}

// section writes the nodes of a section once for each item of a list, once for
// any other value that is not false.
func (r *renderer) section(n *node, from int) {
	v := r.lookup(n.text)
	if isFalse(v) {
		return
	}
	t, ok := v.(*lua.LTable)
	if !ok || t.Len() == 0 {
		r.refuseCode(n, v)
		r.within(v, from, n.end)
		return
	}
	for i := 1; i <= t.Len(); i++ {
		r.vm.meter.charge(r.L, 1)
		r.within(t.RawGetInt(i), from, n.end)
	}
}

func (r *renderer) within(scope lua.LValue, from, to int) {
	r.scopes = append(r.scopes, scope)
	r.run(from, to)
	r.scopes = r.scopes[:len(r.scopes)-1]
}

// isFalse reports whether a section of v is left out.
func isFalse(v lua.LValue) bool {
	if t, ok := v.(*lua.LTable); ok {
		key, _ := t.Next(lua.LNil)
		return key == lua.LNil
	}
	return v == null || lua.LVIsFalse(v)
}

// lookup finds a name: its first part in the innermost scope that has it, what
// stands behind a dot in the value before the dot. LNil if there is none.
func (r *renderer) lookup(name string) lua.LValue {
	if name == "." {
		return r.scopes[len(r.scopes)-1]
	}
	first, rest, dotted := strings.Cut(name, ".")
	var v lua.LValue = lua.LNil
	for i := len(r.scopes) - 1; i >= 0 && v == lua.LNil; i-- {
		r.vm.meter.charge(r.L, 1)
		v = fieldOf(r.scopes[i], first)
	}
	for dotted {
		r.vm.meter.charge(r.L, 1)
		first, rest, dotted = strings.Cut(rest, ".")
		v = fieldOf(v, first)
	}
	return v
}

func fieldOf(v lua.LValue, name string) lua.LValue {
	if t, ok := v.(*lua.LTable); ok {
		return t.RawGetString(name)
	}
	return lua.LNil
}

// text gives the text of a value: none for nil and json.null.
func (r *renderer) text(n *node) string {
	v := r.lookup(n.text)
	if v == lua.LNil || v == null {
		return ""
	}
	if _, ok := v.(*lua.LTable); ok {
		r.L.RaiseError("html.render: line %d of the template: %s is a table", n.line, n)
	}
	r.refuseCode(n, v)
	return v.String()
}

// refuseCode raises where a value is no data.
func (r *renderer) refuseCode(n *node, v lua.LValue) {
	switch v.Type() {
	case lua.LTFunction, lua.LTUserData, lua.LTThread:
		r.L.RaiseError("html.render: line %d of the template: %s is a %s", n.line, n, v.Type())
	}
}

// write adds to what was rendered; the room for it doubles, so that each byte
// is reserved about twice however many parts there are.
func (r *renderer) write(s string) {
	r.vm.meter.charge(r.L, len(s)/16)
	if need := len(r.out) + len(s); need > cap(r.out) {
		room := max(need, min(2*cap(r.out), r.vm.limits.Memory))
		reserve(r.L, room)
		r.out = append(make([]byte, 0, room), r.out...)
	}
	r.out = append(r.out, s...)
}

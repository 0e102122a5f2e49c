package luahost

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
)

const (
	maxDepth = 128     // levels of nesting in JSON, both ways
	maxWhole = 1 << 53 // above it whole numbers lose digits
)

// encoder writes Lua values as canonical JSON: keys sorted by their bytes, no
// spaces, whole numbers up to 2^53 as digits alone, other numbers in the
// shortest form that reads back the same. It is reused, so that a warm VM
// encodes without allocating.
type encoder struct {
	buf    []byte
	max    int  // bytes that buf may have
	strict bool // refuse numbers that a store cannot keep: whole ones above 2^53
	lossy  bool // replace invalid UTF-8 where it is else refused

	fields  []field       // of the objects being written, outermost first
	parents []*lua.LTable // the tables being written, to find cycles
}

type field struct {
	key   string
	value lua.LValue
}

// encodeError says which value cannot be JSON. Its path is built while the
// encoder returns, so that the good case pays nothing for it.
type encodeError struct {
	path  string
	text  string
	large bool // the value is too long, not wrong
}

// at gives "root.items[3].x: text".
func (e *encodeError) at(root string) string {
	return clip(root+e.path, 200) + ": " + e.text
}

func refuse(format string, args ...any) *encodeError {
	return &encodeError{text: fmt.Sprintf(format, args...)}
}

// encode writes v from the start of the buffer. The bytes are good until the
// next encode.
func (e *encoder) encode(v lua.LValue, maximum int, strict, lossy bool) ([]byte, *encodeError) {
	e.buf, e.fields, e.parents = e.buf[:0], e.fields[:0], e.parents[:0]
	e.max, e.strict, e.lossy = maximum, strict, lossy
	if err := e.value(v); err != nil {
		clear(e.fields[:cap(e.fields)]) // keep nothing of the script alive
		clear(e.parents[:cap(e.parents)])
		return nil, err
	}
	return e.buf, nil
}

func (e *encoder) value(v lua.LValue) *encodeError {
	switch v := v.(type) {
	case lua.LString:
		if err := e.text(string(v)); err != nil {
			return err
		}
	case lua.LNumber:
		if err := e.number(float64(v)); err != nil {
			return err
		}
	case lua.LBool:
		e.buf = strconv.AppendBool(e.buf, bool(v))
	case *lua.LTable:
		if err := e.table(v); err != nil {
			return err
		}
	default:
		if v != null && v != lua.LNil {
			return refuse("a %s is no JSON value", v.Type())
		}
		e.buf = append(e.buf, "null"...)
	}
	if len(e.buf) > e.max {
		return &encodeError{text: fmt.Sprintf("longer than %d bytes as JSON", e.max), large: true}
	}
	return nil
}

func (e *encoder) number(f float64) *encodeError {
	switch {
	case math.IsNaN(f):
		return refuse("NaN is no JSON value")
	case math.IsInf(f, 0):
		return refuse("an infinite number is no JSON value")
	case e.strict && math.Abs(f) > maxWhole:
		return refuse("whole numbers above 2^53 lose digits; store them as strings")
	}
	e.buf = appendNumber(e.buf, f)
	return nil
}

// appendNumber writes a finite number.
func appendNumber(b []byte, f float64) []byte {
	abs := math.Abs(f)
	if abs <= maxWhole && f == math.Trunc(f) {
		return strconv.AppendInt(b, int64(f), 10) // -0 becomes 0
	}
	if abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'e', -1, 64)
}

func (e *encoder) table(t *lua.LTable) *encodeError {
	if len(e.parents) == maxDepth {
		return refuse("nested more than %d levels deep", maxDepth)
	}
	if slices.Contains(e.parents, t) {
		return refuse("the table contains itself")
	}
	e.parents = append(e.parents, t)
	err := e.content(t)
	e.parents = e.parents[:len(e.parents)-1]
	return err
}

func (e *encoder) content(t *lua.LTable) *encodeError {
	n := t.MaxN()
	if n == 0 {
		key, value := t.Next(lua.LNil)
		switch {
		case key != lua.LNil:
			return e.object(t, key, value)
		case isArray(t):
			e.buf = append(e.buf, "[]"...)
		default:
			e.buf = append(e.buf, "{}"...)
		}
		return nil
	}
	if key, _ := t.Next(lua.LNumber(n)); key != lua.LNil {
		return refuse("has the key %s beside those of a sequence", keyText(key))
	}
	return e.array(t, n)
}

func (e *encoder) array(t *lua.LTable, n int) *encodeError {
	c := byte('[')
	for i := 1; i <= n; i++ {
		e.buf = append(e.buf, c)
		c = ','
		v := t.RawGetInt(i)
		if v == lua.LNil {
			err := refuse("a sequence has no holes")
			err.path = index(i)
			return err
		}
		if err := e.value(v); err != nil {
			err.path = index(i) + err.path
			return err
		}
	}
	e.buf = append(e.buf, ']')
	return nil
}

// object writes the fields of t, of which key and value are the first.
func (e *encoder) object(t *lua.LTable, key, value lua.LValue) *encodeError {
	if isArray(t) {
		return refuse("has the key %s but is marked as an array", keyText(key))
	}
	base := len(e.fields)
	for ; key != lua.LNil; key, value = t.Next(key) {
		name, ok := key.(lua.LString)
		if !ok {
			return refuse("the key %s is no string", keyText(key))
		}
		e.fields = append(e.fields, field{string(name), value})
	}
	slices.SortFunc(e.fields[base:], func(a, b field) int { return strings.Compare(a.key, b.key) })
	c := byte('{')
	for i := base; i < len(e.fields); i++ {
		f := e.fields[i]
		e.buf = append(e.buf, c)
		c = ','
		if err := e.text(f.key); err != nil {
			err.text = "a key is not UTF-8"
			return err
		}
		e.buf = append(e.buf, ':')
		if err := e.value(f.value); err != nil {
			err.path = member(f.key) + err.path
			return err
		}
	}
	e.buf = append(e.buf, '}')
	clear(e.fields[base:])
	e.fields = e.fields[:base]
	return nil
}

func (e *encoder) text(s string) *encodeError {
	if len(s) > e.max-len(e.buf) {
		return &encodeError{text: fmt.Sprintf("longer than %d bytes as JSON", e.max), large: true}
	}
	e.buf = append(e.buf, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				if !e.lossy {
					return refuse("the string is not UTF-8 at byte %d", i+1)
				}
				e.buf = append(append(e.buf, s[from:i]...), "\uFFFD"...)
				from = i + 1
			}
			i += size
			continue
		}
		if c < ' ' || c == '"' || c == '\\' {
			e.buf = appendEscape(append(e.buf, s[from:i]...), c)
			from = i + 1
		}
		i++
	}
	e.buf = append(append(e.buf, s[from:]...), '"')
	return nil
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

// member gives ".name", or ["any name"] for a key that is no identifier.
func member(key string) string {
	for i := range len(key) {
		c := key[i] | 0x20
		if !(c >= 'a' && c <= 'z' || key[i] == '_' || i > 0 && key[i] >= '0' && key[i] <= '9') {
			return "[" + strconv.Quote(clip(key, 40)) + "]"
		}
	}
	if key == "" {
		return `[""]`
	}
	return "." + key
}

func keyText(k lua.LValue) string {
	if s, ok := k.(lua.LString); ok {
		return strconv.Quote(clip(string(s), 40))
	}
	if n, ok := k.(lua.LNumber); ok {
		return n.String()
	}
	return "of type " + k.Type().String()
}

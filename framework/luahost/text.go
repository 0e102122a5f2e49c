package luahost

import (
	"strings"
	"unicode"
	"unicode/utf8"
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// part gives s[i:j] as a value of its own: were it a view of s, one byte would
// keep all of s in memory, which nobody sees who weighs a script's values.
func part(L *lua.LState, s string, i, j int) lua.LValue {
	switch n := j - i; n {
	case 0:
		return emptyText
	case 1:
		return oneByte[s[i]]
	case len(s):
		return lua.LString(s)
	default:
		reserve(L, n)
		return lua.LString(strings.Clone(s[i:j]))
	}
}

var emptyText lua.LValue = lua.LString("")

// oneByte has each text of one byte, which is what walks over texts make most.
var oneByte = func() (t [256]lua.LValue) {
	for i := range t {
		t[i] = lua.LString([]byte{byte(i)})
	}
	return t
}()

// output is a text that a builtin makes piece by piece. Its memory is reserved
// before it grows.
type output struct {
	L   *lua.LState
	buf []byte
}

func (o *output) size() int { return len(o.buf) }

func (o *output) charge(n int) { of(o.L).meter.charge(o.L, n) }

func (o *output) write(s string) {
	if len(o.buf)+len(s) > cap(o.buf) {
		o.grow(len(s))
	}
	o.buf = append(o.buf, s...)
}

func (o *output) writeByte(c byte) {
	if len(o.buf) == cap(o.buf) {
		o.grow(1)
	}
	o.buf = append(o.buf, c)
}

// grow makes room for n bytes more, and doubles the room as far as the limit allows.
func (o *output) grow(n int) {
	need := len(o.buf) + n
	room := max(need, min(max(2*cap(o.buf), 64), of(o.L).limits.Memory))
	reserve(o.L, room)
	buf := make([]byte, len(o.buf), room)
	copy(buf, o.buf)
	o.buf = buf
}

// value gives the text, to which nothing is written any more. It takes the
// buffer as it is, unless more than half of that is empty.
func (o *output) value() lua.LValue {
	if len(o.buf) < cap(o.buf)/2 {
		reserve(o.L, len(o.buf))
		return lua.LString(o.buf)
	}
	return lua.LString(unsafe.String(unsafe.SliceData(o.buf), len(o.buf)))
}

// metered charges a function of the library for its arguments: for their
// number, and for the bytes of texts, which the library may read as numbers.
func metered(fn lua.LGFunction) lua.LGFunction {
	return func(L *lua.LState) int {
		top := L.GetTop()
		n := top / 8
		for i := 1; i <= top; i++ {
			if s, ok := L.Get(i).(lua.LString); ok {
				n += len(s) / 16
			}
		}
		of(L).meter.charge(L, n)
		return fn(L)
	}
}

func stringByte(L *lua.LState) int {
	s := L.CheckString(1)
	first := fromEnd(L.OptInt(2, 1), len(s))
	last := min(fromEnd(L.OptInt(3, first), len(s)), len(s))
	first = max(first, 1)
	for i := first; i <= last; i++ {
		of(L).meter.charge(L, 1)
		L.Push(lua.LNumber(s[i-1]))
	}
	return max(last-first+1, 0)
}

// fromEnd reads an index of a text; a negative one counts from the end.
func fromEnd(i, size int) int {
	if i < 0 {
		return max(i+size+1, 0)
	}
	return i
}

func stringChar(L *lua.LState) int {
	b := make([]byte, L.GetTop())
	of(L).meter.charge(L, len(b)/8)
	reserve(L, len(b))
	for i := range b {
		b[i] = byte(L.CheckInt(i + 1))
	}
	L.Push(lua.LString(b))
	return 1
}

func stringSub(L *lua.LState) int {
	s := L.CheckString(1)
	first := max(fromEnd(L.CheckInt(2), len(s)), 1)
	last := min(fromEnd(L.OptInt(3, -1), len(s)), len(s))
	if first > last {
		L.Push(emptyText)
	} else {
		L.Push(part(L, s, first-1, last))
	}
	return 1
}

func stringReverse(L *lua.LState) int {
	s := L.CheckString(1)
	reserve(L, len(s))
	b := make([]byte, len(s))
	for i := range b {
		b[i] = s[len(s)-1-i]
	}
	L.Push(lua.LString(unsafe.String(unsafe.SliceData(b), len(b))))
	return 1
}

// inCase gives string.lower and string.upper. They know all of Unicode; bytes
// that are no UTF-8 stay as they are.
func inCase(convert func(rune) rune) lua.LGFunction {
	var ascii [utf8.RuneSelf]byte
	for c := range ascii {
		ascii[c] = byte(convert(rune(c)))
	}
	return func(L *lua.LState) int {
		s, out := L.CheckString(1), output{L: L}
		out.grow(len(s))
		for i, due := 0, 0; i < len(s); {
			if i >= due {
				out.charge(4)
				due = i + 64
			}
			if c := s[i]; c < utf8.RuneSelf {
				out.writeByte(ascii[c])
				i++
				continue
			}
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				out.writeByte(s[i])
			} else {
				out.write(string(convert(r)))
			}
			i += n
		}
		L.Push(out.value())
		return 1
	}
}

var stringLower, stringUpper = inCase(unicode.ToLower), inCase(unicode.ToUpper)

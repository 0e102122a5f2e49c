package luahost

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
)

// decoder reads JSON text (RFC 8259) into Lua values: null as json.null, each
// array as a marked table, each number as float64. Of a repeated key the last
// counts. Text that is not UTF-8, or nested too deeply, is an error.
type decoder struct {
	L     *lua.LState
	meter *meter // what is made is charged here, if anywhere
	data  []byte
	pos   int
	depth int
}

type syntax struct {
	pos  int
	text string
}

func (e *syntax) Error() string { return fmt.Sprintf("malformed JSON at byte %d: %s", e.pos+1, e.text) }

func newDecoder(L *lua.LState, data []byte) (d decoder, done func()) {
	d = decoder{L: L, meter: threadOf(L).meter(), data: data}
	if d.meter == nil {
		return d, func() {}
	}
	held := d.meter.mem.held
	return d, func() { d.meter.mem.held = held }
}

// made charges for n bytes of the value. Where they end the call the value
// is given up with an error that nobody sees.
func (d *decoder) made(n int) *syntax {
	if d.meter != nil && !d.meter.hold(n) {
		return d.fail("there is no memory for it")
	}
	return nil
}

// decode reads one value and nothing behind it. Where the memory of the call
// ends, so does the call: the meter says so.
func decode(L *lua.LState, data []byte) (lua.LValue, error) {
	d, done := newDecoder(L, data)
	defer done()
	d.space()
	v, err := d.value()
	if err == nil {
		err = d.end()
	}
	if err != nil {
		return lua.LNil, err // the caller gets no typed nil
	}
	return v, nil
}

// decodeInto reads an object's fields into t and reports true; a value of
// another type it returns.
func decodeInto(L *lua.LState, data []byte, t *lua.LTable) (v lua.LValue, object bool, err error) {
	d, done := newDecoder(L, data)
	defer done()
	d.space()
	if d.peek() != '{' {
		v, err = decode(L, data)
		return v, false, err
	}
	if e := d.objectInto(t); e != nil {
		return lua.LNil, false, e
	}
	if e := d.end(); e != nil {
		return lua.LNil, false, e
	}
	return lua.LNil, true, nil
}

func (d *decoder) fail(text string) *syntax { return &syntax{d.pos, text} }

func (d *decoder) end() *syntax {
	d.space()
	if d.pos < len(d.data) {
		return d.fail("text behind the value")
	}
	return nil
}

// peek gives the next byte, or 0 at the end.
func (d *decoder) peek() byte {
	if d.pos < len(d.data) {
		return d.data[d.pos]
	}
	return 0
}

func (d *decoder) space() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

func (d *decoder) value() (lua.LValue, *syntax) {
	switch c := d.peek(); {
	case c == '"':
		s, err := d.text()
		return lua.LString(s), err
	case c == '{':
		t := d.L.CreateTable(0, 4)
		return t, d.objectInto(t)
	case c == '[':
		return d.array()
	case c == '-', c >= '0' && c <= '9':
		n, err := d.number()
		return lua.LNumber(n), err
	case c == 't':
		return lua.LTrue, d.word("true")
	case c == 'f':
		return lua.LFalse, d.word("false")
	case c == 'n':
		return null, d.word("null")
	case d.pos >= len(d.data):
		return lua.LNil, d.fail("the text ends early")
	}
	return lua.LNil, d.fail("a value should begin here")
}

func (d *decoder) word(w string) *syntax {
	if len(d.data)-d.pos < len(w) || string(d.data[d.pos:d.pos+len(w)]) != w {
		return d.fail("a value should begin here")
	}
	d.pos += len(w)
	return nil
}

func (d *decoder) enter() *syntax {
	if d.depth++; d.depth > maxDepth {
		return d.fail(fmt.Sprintf("nested more than %d levels deep", maxDepth))
	}
	d.pos++
	d.space()
	return nil
}

func (d *decoder) objectInto(t *lua.LTable) *syntax {
	if err := d.enter(); err != nil {
		return err
	}
	defer func() { d.depth-- }()
	if err := d.made(tableSize + mapBytes); err != nil {
		return err
	}
	if d.peek() == '}' {
		d.pos++
		return nil
	}
	if err := d.made(4 * keyBytes); err != nil {
		return err
	}
	for {
		if d.peek() != '"' {
			return d.fail("a key should begin here")
		}
		key, err := d.text()
		if err != nil {
			return err
		}
		d.space()
		if d.peek() != ':' {
			return d.fail("a ':' should stand here")
		}
		d.pos++
		d.space()
		v, err := d.value()
		if err == nil {
			err = d.made(keyBytes + len(key))
		}
		if err != nil {
			return err
		}
		t.RawSetString(key, v)
		if last, err := d.next('}'); last || err != nil {
			return err
		}
	}
}

func (d *decoder) array() (lua.LValue, *syntax) {
	if err := d.enter(); err != nil {
		return lua.LNil, err
	}
	defer func() { d.depth-- }()
	if err := d.made(tableSize + 4*itemBytes); err != nil {
		return lua.LNil, err
	}
	t := d.L.CreateTable(4, 0)
	t.Metatable = arrayMark
	if d.peek() == ']' {
		d.pos++
		return t, nil
	}
	for {
		v, err := d.value()
		if err == nil {
			err = d.made(itemBytes)
		}
		if err != nil {
			return lua.LNil, err
		}
		t.Append(v)
		if last, err := d.next(']'); last || err != nil {
			return t, err
		}
	}
}

// next steps over a comma, or over the closing byte and says so.
func (d *decoder) next(closing byte) (last bool, err *syntax) {
	d.space()
	switch c := d.peek(); {
	case c == closing && d.pos < len(d.data):
		d.pos++
		return true, nil
	case c == ',':
		d.pos++
		d.space()
		return false, nil
	}
	return false, d.fail("a ',' or '" + string(closing) + "' should stand here")
}

// digits steps over at least one digit.
func (d *decoder) digits() bool {
	from := d.pos
	for c := d.peek(); c >= '0' && c <= '9'; c = d.peek() {
		d.pos++
	}
	return d.pos > from
}

func (d *decoder) number() (float64, *syntax) {
	from := d.pos
	if d.peek() == '-' {
		d.pos++
	}
	if d.peek() == '0' {
		d.pos++
	} else if !d.digits() {
		return 0, d.fail("a digit should stand here")
	}
	whole := true
	if d.peek() == '.' {
		whole = false
		d.pos++
		if !d.digits() {
			return 0, d.fail("a digit should stand here")
		}
	}
	if d.peek()|0x20 == 'e' {
		whole = false
		d.pos++
		if c := d.peek(); c == '+' || c == '-' {
			d.pos++
		}
		if !d.digits() {
			return 0, d.fail("a digit should stand here")
		}
	}
	b := d.data[from:d.pos]
	if whole && len(b) <= 17 {
		n := small(b)
		if n == maxWhole+1 || n == -maxWhole-1 { // the one that would read as a number that may be stored, and is another: it reads as its other neighbour
			n += n / (maxWhole + 1)
		}
		return float64(n), nil
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		d.pos = from
		return 0, d.fail("the number is out of range")
	}
	return f + 0, nil
}

// small reads at most 17 bytes of digits, with or without a minus.
func small(b []byte) int64 {
	var n int64
	for _, c := range b {
		if c != '-' {
			n = n*10 + int64(c-'0')
		}
	}
	if b[0] == '-' {
		return -n
	}
	return n
}

func (d *decoder) text() (string, *syntax) {
	d.pos++ // the quote
	from := d.pos
	ascii := true
	for ; d.pos < len(d.data); d.pos++ {
		switch c := d.data[d.pos]; {
		case c == '"':
			s := d.data[from:d.pos]
			if !ascii && !utf8.Valid(s) {
				return "", d.fail("the string is not UTF-8")
			}
			d.pos++
			return string(s), d.made(boxSize + len(s))
		case c == '\\':
			return d.escaped(from)
		case c < ' ':
			return "", d.fail("a control character in a string")
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", d.fail("the text ends in a string")
}

// escaped reads a string that began at from and has its first backslash here.
func (d *decoder) escaped(from int) (string, *syntax) {
	b := append(make([]byte, 0, 2*(d.pos-from)+16), d.data[from:d.pos]...)
	for d.pos < len(d.data) {
		c := d.data[d.pos]
		d.pos++
		switch {
		case c == '"':
			if !utf8.Valid(b) {
				return "", d.fail("the string is not UTF-8")
			}
			return string(b), d.made(boxSize + len(b))
		case c < ' ':
			return "", d.fail("a control character in a string")
		case c != '\\':
			b = append(b, c)
		default:
			var err *syntax
			if b, err = d.escape(b); err != nil {
				return "", err
			}
		}
	}
	return "", d.fail("the text ends in a string")
}

// escape reads what follows a backslash.
func (d *decoder) escape(b []byte) ([]byte, *syntax) {
	c := d.peek()
	d.pos++
	switch c {
	case '"', '\\', '/':
		return append(b, c), nil
	case 'b':
		return append(b, '\b'), nil
	case 'f':
		return append(b, '\f'), nil
	case 'n':
		return append(b, '\n'), nil
	case 'r':
		return append(b, '\r'), nil
	case 't':
		return append(b, '\t'), nil
	case 'u':
		if r, ok := d.hex(); ok {
			return utf8.AppendRune(b, d.pair(r)), nil
		}
	}
	return nil, d.fail("an unknown escape in a string")
}

// pair completes a surrogate; one that stands alone becomes U+FFFD.
func (d *decoder) pair(r rune) rune {
	if !utf16.IsSurrogate(r) {
		return r
	}
	at := d.pos
	if d.peek() == '\\' {
		if d.pos++; d.peek() == 'u' {
			d.pos++
			if low, ok := d.hex(); ok {
				if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
					return both
				}
			}
		}
	}
	d.pos = at
	return utf8.RuneError
}

func (d *decoder) hex() (rune, bool) {
	if len(d.data)-d.pos < 4 {
		return 0, false
	}
	var r rune
	for _, c := range d.data[d.pos : d.pos+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	d.pos += 4
	return r, true
}

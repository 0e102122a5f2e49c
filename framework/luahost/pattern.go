package luahost

import (
	"math/bits"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

const (
	// maxCaptures is how many captures a pattern may have, as in Lua 5.1.
	maxCaptures = 32
	// maxPatternDepth is how deep a match may recurse, as in Lua 5.2: once for
	// the begin and once for the end of each capture, and once for each
	// quantifier. It bounds the Go stack that a pattern can take.
	maxPatternDepth = 200
)

// The length of a capture that has none.
const (
	unclosed = -1
	position = -2
)

// matcher matches one pattern against one string. The algorithm is that of
// Lua 5.1 (lstrlib.c, do_match): it walks over the pattern's text, makes nothing
// and backtracks. Each of its steps is one of the call's, so that no pattern
// runs outside of the meter.
//
// The pattern has passed checkPattern, hence it is well-formed wherever the
// matcher looks.
type matcher struct {
	L        *lua.LState
	meter    *meter
	text     string
	pattern  string // without its anchor
	anchored bool
	steps    int // made and not charged yet
	depth    int
	captures int // begun
	capture  [maxCaptures]struct{ start, length int }
}

// newMatcher checks the pattern, so that a malformed one raises whatever the text.
func newMatcher(L *lua.LState, text, pattern string) matcher {
	checkPattern(L, pattern)
	rest, anchored := strings.CutPrefix(pattern, "^")
	return matcher{L: L, meter: of(L).meter, text: text, pattern: rest, anchored: anchored}
}

// checkPattern raises where a pattern is malformed.
func checkPattern(L *lua.LState, pattern string) {
	of(L).meter.charge(L, len(pattern)/8)
	if problem := patternProblem(pattern); problem != "" {
		L.RaiseError("%s", problem)
	}
}

// patternProblem says what is wrong with a pattern, and nothing if it is well-formed.
func patternProblem(p string) string {
	captures := 0
	var open uint32 // a bit for each capture that is not closed
	for i := 0; i < len(p); {
		switch p[i] {
		case '(':
			if captures == maxCaptures {
				return "too many captures"
			}
			if i+1 < len(p) && p[i+1] == ')' {
				i++
			} else {
				open |= 1 << captures
			}
			captures++
		case ')':
			if open == 0 {
				return "invalid pattern capture"
			}
			open &^= 1 << (bits.Len32(open) - 1)
		case '[':
			end := setEnd(p, i)
			if end < 0 {
				return "malformed pattern (missing ']')"
			}
			i = end - 1
		case '%':
			if i+1 == len(p) {
				return "malformed pattern (ends with '%')"
			}
			i++
			switch c := p[i]; {
			case c == 'b':
				if i += 2; i >= len(p) {
					return "malformed pattern (missing arguments to '%b')"
				}
			case c == 'f':
				if i+1 == len(p) || p[i+1] != '[' {
					return "missing '[' after '%f' in pattern"
				}
			case c >= '0' && c <= '9':
				if n := int(c) - '1'; n < 0 || n >= captures || open&(1<<n) != 0 {
					return "invalid capture index"
				}
			}
		}
		i++
	}
	if open != 0 {
		return "unfinished capture"
	}
	return ""
}

// setEnd gives the index behind the set that begins at p[i], -1 if it has no end.
func setEnd(p string, i int) int {
	i++
	if i < len(p) && p[i] == '^' {
		i++
	}
	for first := true; i < len(p); first = false {
		switch c := p[i]; {
		case c == ']' && !first:
			return i + 1
		case c == '%':
			i++
		}
		i++
	}
	return -1
}

// next finds the first match that begins at from or later. An anchored pattern
// matches at from or nowhere.
func (m *matcher) next(from int) (start, end int, ok bool) {
	end = -1
	for start = from; start <= len(m.text); start++ {
		m.captures = 0
		if end = m.match(start, 0); end >= 0 || m.anchored {
			break
		}
	}
	m.settle()
	return start, end, end >= 0
}

// step counts n steps, and charges for them from time to time.
func (m *matcher) step(n int) {
	if m.steps += n; m.steps >= 64 {
		m.settle()
	}
}

//go:noinline // so that step is inlined
func (m *matcher) settle() {
	n := m.steps
	m.steps = 0
	m.meter.charge(m.L, n)
}

// match matches the pattern from index p on at index s of the text. It gives
// where the match ends, -1 if there is none.
func (m *matcher) match(s, p int) int {
	if m.depth++; m.depth > maxPatternDepth {
		m.L.RaiseError("pattern too complex")
	}
	end := m.walk(s, p)
	m.depth--
	return end
}

// walk is match without the count: it goes over what needs no recursion.
func (m *matcher) walk(s, p int) int {
	for p < len(m.pattern) {
		m.step(1)
		switch c := m.pattern[p]; {
		case c == '(':
			if m.pattern[p+1] == ')' {
				return m.begin(s, p+2, position)
			}
			return m.begin(s, p+1, unclosed)
		case c == ')':
			return m.close(s, p+1)
		case c == '$' && p+1 == len(m.pattern):
			if s == len(m.text) {
				return s
			}
			return -1
		case c == '%' && m.pattern[p+1] == 'b':
			s, p = m.balanced(s, m.pattern[p+2], m.pattern[p+3]), p+4
		case c == '%' && m.pattern[p+1] == 'f':
			end := m.itemEnd(p + 2)
			s, p = m.frontier(s, p+2, end), end
		case c == '%' && isDigit(m.pattern[p+1]):
			s, p = m.again(s, int(m.pattern[p+1]-'1')), p+2
		default:
			end := m.itemEnd(p)
			if end < len(m.pattern) {
				switch m.pattern[end] {
				case '*':
					return m.longest(s, p, end, 0)
				case '+':
					return m.longest(s, p, end, 1)
				case '-':
					return m.shortest(s, p, end)
				case '?':
					if m.single(s, p, end) {
						if e := m.match(s+1, end+1); e >= 0 {
							return e
						}
					}
					p = end + 1
					continue
				}
			}
			if !m.single(s, p, end) {
				return -1
			}
			s, p = s+1, end
		}
		if s < 0 {
			return -1
		}
	}
	return s
}

// begin begins a capture at s, and takes it back if the rest does not match.
func (m *matcher) begin(s, p, length int) int {
	m.capture[m.captures].start, m.capture[m.captures].length = s, length
	m.captures++
	end := m.match(s, p)
	if end < 0 {
		m.captures--
	}
	return end
}

// close ends the innermost open capture at s.
func (m *matcher) close(s, p int) int {
	i := m.captures - 1
	for m.capture[i].length != unclosed {
		i--
	}
	m.capture[i].length = s - m.capture[i].start
	end := m.match(s, p)
	if end < 0 {
		m.capture[i].length = unclosed
	}
	return end
}

// longest matches the item p..end as often as it can, at least least times,
// and then the rest; it gives up one after the other until that matches.
func (m *matcher) longest(s, p, end, least int) int {
	n := 0
	if m.pattern[p] == '.' {
		n = len(m.text) - s
		m.step(n / 64)
	} else {
		for m.single(s+n, p, end) {
			m.step(1)
			n++
		}
	}
	for ; n >= least; n-- {
		m.step(1)
		if e := m.match(s+n, end+1); e >= 0 {
			return e
		}
	}
	return -1
}

// shortest matches the rest, after as few of the item p..end as it needs.
func (m *matcher) shortest(s, p, end int) int {
	for {
		m.step(1)
		if e := m.match(s, end+1); e >= 0 {
			return e
		}
		if !m.single(s, p, end) {
			return -1
		}
		s++
	}
}

// balanced gives where the balanced text at s ends, as %b has it.
func (m *matcher) balanced(s int, first, last byte) int {
	if s >= len(m.text) || m.text[s] != first {
		return -1
	}
	depth := 1
	for s++; s < len(m.text); s++ {
		m.step(1)
		switch m.text[s] {
		case last:
			if depth--; depth == 0 {
				return s + 1
			}
		case first:
			depth++
		}
	}
	return -1
}

// frontier gives s if the set p..end begins to hold there, as %f has it. Before
// and behind the text there is a zero byte.
func (m *matcher) frontier(s, p, end int) int {
	var before, after byte
	if s > 0 {
		before = m.text[s-1]
	}
	if s < len(m.text) {
		after = m.text[s]
	}
	if m.inSet(before, p, end) || !m.inSet(after, p, end) {
		return -1
	}
	return s
}

// again matches what capture i took. A position took nothing that could match.
func (m *matcher) again(s, i int) int {
	c := m.capture[i]
	if c.length == position {
		return -1
	}
	m.step(c.length / 64)
	if !strings.HasPrefix(m.text[s:], m.text[c.start:c.start+c.length]) {
		return -1
	}
	return s + c.length
}

// itemEnd gives the index behind the single-character item at p.
func (m *matcher) itemEnd(p int) int {
	switch m.pattern[p] {
	case '%':
		return p + 2
	case '[':
		end := setEnd(m.pattern, p)
		m.step((end - p) / 16)
		return end
	}
	return p + 1
}

// single reports whether the item p..end matches the byte at s.
func (m *matcher) single(s, p, end int) bool {
	if s >= len(m.text) {
		return false
	}
	switch m.pattern[p] {
	case '.':
		return true
	case '%':
		return inClass(m.text[s], m.pattern[p+1])
	case '[':
		return m.inSet(m.text[s], p, end)
	}
	return m.pattern[p] == m.text[s]
}

// inSet reports whether c is in the set p..end.
func (m *matcher) inSet(c byte, p, end int) bool {
	m.step((end - p) / 16)
	set, in := m.pattern[p+1:end-1], true
	if set[0] == '^' {
		set, in = set[1:], false
	}
	for i := 0; i < len(set); i++ {
		switch {
		case set[i] == '%':
			i++
			if inClass(c, set[i]) {
				return in
			}
		case i+2 < len(set) && set[i+1] == '-':
			if set[i] <= c && c <= set[i+2] {
				return in
			}
			i += 2
		case set[i] == c:
			return in
		}
	}
	return !in
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// inClass reports whether c is of a class such as 'a' in %a. A capital is the
// complement; what names no class stands for itself.
func inClass(c, class byte) bool {
	lower := class | 0x20
	in, ok := classes[c], classBit(lower)
	if !isLetter(class) || ok == 0 {
		return c == class
	}
	return (in&ok != 0) == (class == lower)
}

func isLetter(c byte) bool { c |= 0x20; return c >= 'a' && c <= 'z' }

// classBit gives the bit of a class in classes, 0 for what is none.
func classBit(lower byte) uint16 {
	switch lower {
	case 'a':
		return 1
	case 'c':
		return 2
	case 'd':
		return 4
	case 'l':
		return 8
	case 'p':
		return 16
	case 's':
		return 32
	case 'u':
		return 64
	case 'w':
		return 128
	case 'x':
		return 256
	case 'z':
		return 512
	}
	return 0
}

// classes has the classes of each byte, those of C's ASCII.
var classes = func() (t [256]uint16) {
	for c := range 128 {
		b := byte(c)
		for class, in := range map[byte]bool{
			'a': isLetter(b), 'c': c < 0x20 || c == 0x7f, 'd': isDigit(b), 'l': c >= 'a' && c <= 'z',
			'p': c > 0x20 && c < 0x7f && !isLetter(b) && !isDigit(b),
			's': c == ' ' || c >= '\t' && c <= '\r', 'u': c >= 'A' && c <= 'Z',
			'w': isLetter(b) || isDigit(b), 'x': isDigit(b) || b|0x20 >= 'a' && b|0x20 <= 'f', 'z': c == 0,
		} {
			if in {
				t[c] |= classBit(class)
			}
		}
	}
	return t
}()

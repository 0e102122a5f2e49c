package prototype

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxWhole is 2^53, above which whole numbers lose digits.
const maxWhole = 1 << 53

// appendValue writes a cell as canonical JSON: as a number where the text is
// Python's own spelling of one that a station keeps exactly, else as a string.
// The text is valid UTF-8.
func appendValue(b []byte, text string) []byte {
	if f, ok := number(text); ok {
		return appendNumber(b, f)
	}
	return appendString(b, text)
}

// number reads a text that Python's str would give for an int within ±2^53 or
// for a finite float. What str would spell otherwise is no number: 007, +5,
// 1_000, 1.50, 1e5, "-0", " 5". Neither is -0.0, since the station's numbers
// have no negative zero, nor nan and inf.
func number(text string) (float64, bool) {
	if text == "" || len(text) > 24 || text[0] != '-' && (text[0] < '0' || text[0] > '9') {
		return 0, false
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return float64(n), n >= -maxWhole && n <= maxWhole && strconv.FormatInt(n, 10) == text
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) || f == 0 && math.Signbit(f) {
		return 0, false
	}
	return f, pythonFloat(f) == text
}

// pythonFloat is Python's repr of a finite float: the shortest digits that read
// back the same, with an exponent below 1e-4 and from 1e16 on, and always with a
// point or an exponent.
func pythonFloat(f float64) string {
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// appendNumber writes a number as scripts store it: whole ones up to 2^53 as
// digits alone, others in the shortest form that reads back the same.
func appendNumber(b []byte, f float64) []byte {
	abs := math.Abs(f)
	switch {
	case abs <= maxWhole && f == math.Trunc(f):
		return strconv.AppendInt(b, int64(f), 10)
	case abs >= 1e-6 && abs < 1e21:
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'e', -1, 64)
}

// appendString writes a JSON string as scripts store it: control characters,
// quotes and backslashes escaped, all else as it is.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, `\u00`...)
			b = appendHex(b, c)
		}
	}
	return append(append(b, s[from:]...), '"')
}

// escapeInvalid gives the text with each byte that is not part of valid UTF-8
// as \xHH, and whether there was one.
func escapeInvalid(s string) (string, bool) {
	if utf8.ValidString(s) {
		return s, false
	}
	var b []byte
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			b = appendHex(append(b, `\x`...), s[0])
		} else {
			b = append(b, s[:n]...)
		}
		s = s[n:]
	}
	return string(b), true
}

func appendHex(b []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	return append(b, hex[c>>4], hex[c&15])
}

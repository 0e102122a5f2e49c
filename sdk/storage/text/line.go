// Package text is how what an object holds is written as lines that cat, an
// editor and diff understand: the escapes of a column, the checksum of a line,
// and the columns of keys, log entries, versions and files. Archives are made of
// it (package archive), and the bundled storage plugin keeps its files in it; any
// other may.
package text

import (
	"bytes"
	"hash/crc32"
	"time"
	"unicode/utf8"
)

// Castagnoli is the table of CRC-32C, the checksum of lines.
var Castagnoli = crc32.MakeTable(crc32.Castagnoli)

const hexDigits = "0123456789abcdef"

// Append appends s so that it stands in one column of one line: \t \n \r
// \\ as in LinearTSV, any other control byte and any byte that is not part of
// valid UTF-8 as \xHH. What comes out is valid UTF-8.
func Append[T string | []byte](b []byte, s T) []byte {
	done := 0 // s[:done] has been appended
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '\\' && c < 0x7f {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		b = append(b, s[done:i]...)
		switch c {
		case '\t':
			b = append(b, '\\', 't')
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\\':
			b = append(b, '\\', '\\')
		default:
			b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		done = i
	}
	return append(b, s[done:]...)
}

// Parse undoes Append; ok is false for a backslash that begins no escape.
func Parse(col []byte) (s []byte, ok bool) {
	i := bytes.IndexByte(col, '\\')
	if i < 0 {
		return bytes.Clone(col), true
	}
	s = append(make([]byte, 0, len(col)), col[:i]...)
	for ; i < len(col); i++ {
		if col[i] != '\\' {
			s = append(s, col[i])
			continue
		}
		if i++; i == len(col) {
			return nil, false
		}
		switch col[i] {
		case 't':
			s = append(s, '\t')
		case 'n':
			s = append(s, '\n')
		case 'r':
			s = append(s, '\r')
		case '\\':
			s = append(s, '\\')
		case 'x':
			if i+2 >= len(col) {
				return nil, false
			}
			h, l := unhex(col[i+1]), unhex(col[i+2])
			if h < 0 || l < 0 {
				return nil, false
			}
			s = append(s, byte(h<<4|l))
			i += 2
		default:
			return nil, false
		}
	}
	return s, true
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// AppendHex32 appends eight lower-case hex digits.
func AppendHex32(b []byte, n uint32) []byte {
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, hexDigits[n>>shift&15])
	}
	return b
}

// ParseHex32 reads exactly eight lower-case hex digits.
func ParseHex32(b []byte) (n uint32, ok bool) {
	if len(b) != 8 {
		return 0, false
	}
	for _, c := range b {
		d := unhex(c)
		if d < 0 {
			return 0, false
		}
		n = n<<4 | uint32(d)
	}
	return n, true
}

// Seal ends the line that begins at start: a tab, the CRC-32C of the line
// before that tab, a newline.
func Seal(b []byte, start int) []byte {
	sum := crc32.Checksum(b[start:], Castagnoli)
	b = append(b, '\t')
	b = AppendHex32(b, sum)
	return append(b, '\n')
}

// Verdict is what a line's checksum says of it.
type Verdict int

// The verdicts, from best to worst.
const (
	Whole   Verdict = iota // as it was written
	ByHand                 // without a checksum: somebody edited it
	Damaged                // a wrong checksum or a wrong number of columns
)

// Split cuts a line without its newline into its columns, which share its
// memory. A Whole line has len(cols) columns and a checksum.
//
// A person's editor may end lines in \r\n; no escaped line holds a \r. Such a
// line is taken, as one that was edited.
func Split(line []byte, cols [][]byte) Verdict {
	if cut, ok := bytes.CutSuffix(line, []byte{'\r'}); ok {
		return max(ByHand, splitColumns(cut, cols))
	}
	return splitColumns(line, cols)
}

func splitColumns(line []byte, cols [][]byte) Verdict {
	n, rest := 0, line
	for n < len(cols) {
		col, after, more := bytes.Cut(rest, []byte{'\t'})
		cols[n] = col
		n++
		if !more {
			if n == len(cols) {
				return ByHand
			}
			return Damaged
		}
		rest = after
	}
	sum, ok := ParseHex32(rest)
	if !ok || sum != crc32.Checksum(line[:len(line)-len(rest)-1], Castagnoli) {
		return Damaged
	}
	return Whole
}

// timeLayout is RFC 3339 with microseconds, in UTC.
const timeLayout = "2006-01-02T15:04:05.000000Z07:00"

// AppendTime appends a time, in UTC.
func AppendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(b, timeLayout)
	}
	hour, minute, second := t.Clock()
	b = append(appendTwo(appendTwo(b, year/100), year%100), '-')
	b = append(appendTwo(b, int(month)), '-')
	b = append(appendTwo(b, day), 'T')
	b = append(appendTwo(b, hour), ':')
	b = append(appendTwo(b, minute), ':')
	b = append(appendTwo(b, second), '.')
	micro := t.Nanosecond() / 1000
	b = appendTwo(appendTwo(appendTwo(b, micro/10000), micro/100%100), micro%100)
	return append(b, 'Z')
}

// appendTwo appends two digits.
func appendTwo(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

// ParseTime also takes what a person may write: any RFC 3339 time.
func ParseTime(b []byte) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, string(b))
	return t.UTC().Truncate(time.Microsecond), err == nil
}

package text

import (
	"bytes"
	"testing"
	"time"
	"unicode/utf8"
)

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "a", "\t\n\r\\", "\x00\xff", "ü\\x41", "日本\x7f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := Append(nil, s)
		if bytes.ContainsAny(b, "\t\n\r\x00") || !utf8.Valid(b) {
			t.Errorf("%q became %q", s, b)
		}
		if back, ok := Parse(b); !ok || string(back) != s {
			t.Errorf("%q became %q, which is read as %q", s, b, back)
		}
		if read, ok := Parse([]byte(s)); ok { // any text of a person's
			if again, ok := Parse(Append(nil, read)); !ok || !bytes.Equal(again, read) {
				t.Errorf("%q was read as %q, and that as %q", s, read, again)
			}
		}
	})
}

// FuzzTime: a time is written as package time writes it.
func FuzzTime(f *testing.F) {
	for _, s := range []int64{0, 1764280000, -1, -62167219201, -62167219200, 253402300799, 253402300800} {
		f.Add(s, int64(999_999_999), 3600)
		f.Add(s, int64(1000), -3600)
	}
	f.Fuzz(func(t *testing.T, seconds, nanoseconds int64, zone int) {
		at := time.Unix(seconds, nanoseconds).In(time.FixedZone("", zone%86400))
		if got, want := string(AppendTime(nil, at)), at.UTC().Format(timeLayout); got != want {
			t.Errorf("%v became %q, want %q", at, got, want)
		}
	})
}

// TestSplit: a checksum is eight digits, and of the line before it.
func TestSplit(t *testing.T) {
	line := string(Seal([]byte("k\t1"), 0))
	line = line[:len(line)-1]
	for what, c := range map[string]struct {
		line string
		want Verdict
	}{
		"as it was written": {line, Whole},
		"without":           {"k\t1", ByHand},
		"with another end":  {line + "\r", ByHand},
		"another value":     {"k\t2" + line[3:], Damaged},
		"another digit":     {line[:len(line)-1] + "x", Damaged},
		"a digit more":      {"k\t1\t0" + line[4:], Damaged},
		"a column more":     {string(Seal([]byte("k\t1\t2"), 0)[:14]), Damaged},
		"a column less":     {"k", Damaged},
	} {
		if got := Split([]byte(c.line), make([][]byte, 2)); got != c.want {
			t.Errorf("%s: %d, want %d", what, got, c.want)
		}
	}
}

package text

import (
	"bytes"
	"testing"
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

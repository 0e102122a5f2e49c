package id

import (
	"regexp"
	"strings"
	"testing"
)

var (
	objectForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,127}$`)
	stationForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,127}$`)
	requestForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)
)

// FuzzParse compares the parsers with the forms that the documentation gives.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "a", "tutorial_03_counter", "a.b-c", ".hidden", "..", "a/b", "A", "é", "a\x00", "-a", strings.Repeat("a", 128), strings.Repeat("a", 129),
		"counter@station1", "a@", "@b", "a@b@c", "a@b.c", "station1.1.42", "s.01.1", "s.1", "s.1.2.3", "s.-1.1", "s.18446744073709551616.1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if o, err := ParseObject(s); (err == nil) != objectForm.MatchString(s) || err == nil && string(o) != s {
			t.Errorf("ParseObject(%q) = %q, %v", s, o, err)
		}
		if st, err := ParseStation(s); (err == nil) != stationForm.MatchString(s) || err == nil && string(st) != s {
			t.Errorf("ParseStation(%q) = %q, %v", s, st, err)
		}
		if ValidRequest(s) != requestForm.MatchString(s) {
			t.Errorf("ValidRequest(%q) = %v", s, ValidRequest(s))
		}
		name, at, found := strings.Cut(s, "@")
		o, st, err := ParseAddress(s)
		if want := objectForm.MatchString(name) && (!found || stationForm.MatchString(at)); (err == nil) != want || err == nil && (string(o) != name || string(st) != at) {
			t.Errorf("ParseAddress(%q) = %q, %q, %v", s, o, st, err)
		}
		if e, err := ParseEntry(s); err == nil && e.String() != s {
			t.Errorf("ParseEntry(%q) = %v, which reads differently", s, e)
		}
	})
}

func TestEntry(t *testing.T) {
	e := Entry{Station: "station1", Boot: 3, Sequence: 18446744073709551615}
	if got, err := ParseEntry(e.String()); err != nil || got != e {
		t.Errorf("ParseEntry(%q) = %v, %v", e, got, err)
	}
}

func TestNewRequest(t *testing.T) {
	a, b := NewRequest(), NewRequest()
	if !ValidRequest(a) || a >= b {
		t.Errorf("ids %q, %q: want valid ones that rise", a, b)
	}
}

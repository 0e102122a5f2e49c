package luahost

import (
	"strings"
	"testing"

	"github.com/dbbasic/station/sdk/errs"
)

// A value of an operator is stored, or refused, as a script's would be.
func TestStateValue(t *testing.T) {
	limits := DefaultLimits()
	limits.Value = 64
	long := strings.Repeat("x", 62)
	for _, c := range []struct{ text, want, code, says string }{
		{text: ` { "b" : [ 1.0 , {} , [] , null ] , "a" : "ü\u00fc\n" } `, want: `{"a":"üü\n","b":[1,{},[],null]}`},
		{text: `null`, want: `null`},
		{text: `[]`, want: `[]`},
		{text: `-0`, want: `0`},
		{text: `9007199254740992`, want: `9007199254740992`},
		{text: `"` + long + `"`, want: `"` + long + `"`},
		{text: `"` + strings.Repeat(`\u00fc`, 31) + `"`, want: `"` + strings.Repeat("ü", 31) + `"`},
		{text: strings.Repeat(" \n", 1000) + "1", want: `1`},
		{text: `{"a":1,"a":2}`, want: `{"a":2}`},

		{text: ``, code: "bad_json"},
		{text: ` `, code: "bad_json"},
		{text: `{"a":`, code: "bad_json", says: "byte 6"},
		{text: `1 2`, code: "bad_json", says: "text behind the value"},
		{text: `NaN`, code: "bad_json"},
		{text: `1e999`, code: "bad_json"},
		{text: "\"\xff\"", code: "bad_json", says: "UTF-8"},
		{text: `"\`, code: "bad_json"},
		{text: `{"a":[1,{"b":9007199254740994}]}`, code: "bad_value", says: "value.a[2].b: whole numbers above 2^53"},
		{text: `9007199254740993`, code: "bad_value", says: "whole numbers above 2^53"},
		{text: `-9007199254740993`, code: "bad_value", says: "whole numbers above 2^53"},
		{text: `-9007199254740992`, want: `-9007199254740992`},
		{text: `"x` + long + `"`, code: "value_limit"},
		{text: `"` + strings.Repeat(`\u00fc`, 32) + `"`, code: "value_limit"},
		{text: `[` + strings.Repeat(`[],`, 1<<20), code: "value_limit"},
	} {
		got, err := StateValue([]byte(c.text), limits)
		if c.code == "" {
			if err != nil || string(got) != c.want {
				t.Errorf("%.60q gives %.100q, %v; want %q", c.text, got, err, c.want)
			}
			continue
		}
		e := errs.From(err)
		if e == nil || e.CodeOf() != c.code || !strings.Contains(e.Text(), c.says) {
			t.Errorf("%.60q gives %.100q, %v; want %s with %q", c.text, got, err, c.code, c.says)
		}
	}
	limits.Value = 1 << 10
	if _, err := StateValue([]byte(strings.Repeat("[", 200)+strings.Repeat("]", 200)), limits); errs.From(err).CodeOf() != "bad_json" {
		t.Errorf("200 levels give %v", err)
	}
}

// What does not fit costs nothing but the look at its bytes.
func TestStateValueMakesNothingOfWhatDoesNotFit(t *testing.T) {
	text := []byte("[" + strings.Repeat("[],", 1<<20) + "1]")
	if n := testing.AllocsPerRun(1, func() { _, _ = StateValue(text, DefaultLimits()) }); n > 10 {
		t.Errorf("%v allocations for a value of %d bytes that is refused", n, len(text))
	}
}

func FuzzStateValue(f *testing.F) {
	for _, s := range []string{`{"a":[1,"\u00fc\ud83d\ude00"]}`, `"\\u0041"`, `[[],{}]`, `1e-7`, `"\`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		once, err := StateValue(text, DefaultLimits())
		if err != nil {
			return
		}
		twice, err := StateValue(once, DefaultLimits())
		if err != nil || string(twice) != string(once) {
			t.Errorf("%q became %q, and that %q, %v", text, once, twice, err)
		}
	})
}

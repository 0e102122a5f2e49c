package prototype

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestValues(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "5": "5", "-5": "-5", "1042": "1042", "9007199254740992": "9007199254740992", "-9007199254740992": "-9007199254740992",
		"1.5": "1.5", "-0.25": "-0.25", "3.0": "3", "0.0": "0", "0.1": "0.1", "1e-07": "1e-07", "1.5e-10": "1.5e-10", "0.0001": "0.0001", "1e-05": "0.00001",
		"1e+16": "10000000000000000", "1.7976931348623157e+308": "1.7976931348623157e+308", "5e-324": "5e-324", "1700000000.123456": "1700000000.123456",
		"1e+22": "1e+22", "9007199254740993.0": `"9007199254740993.0"`,

		"": `""`, "007": `"007"`, "-007": `"-007"`, "+5": `"+5"`, "1_000": `"1_000"`, " 5": `" 5"`, "5 ": `"5 "`, "5\n": `"5\n"`, "-": `"-"`, "-0": `"-0"`, "-0.0": `"-0.0"`,
		"1.50": `"1.50"`, "1.": `"1."`, ".5": `".5"`, "1e5": `"1e5"`, "1E+16": `"1E+16"`, "1e+016": `"1e+016"`, "1e-7": `"1e-7"`, "1e+400": `"1e+400"`, "100000.0e0": `"100000.0e0"`,
		"0.00001": `"0.00001"`, "0x10": `"0x10"`, "0b1": `"0b1"`, "1e": `"1e"`,
		"nan": `"nan"`, "NaN": `"NaN"`, "inf": `"inf"`, "-inf": `"-inf"`, "Infinity": `"Infinity"`, "-Infinity": `"-Infinity"`,
		"9007199254740993": `"9007199254740993"`, "-9007199254740993": `"-9007199254740993"`, "12345678901234567890": `"12345678901234567890"`,
		"0.1000000000000000055511151231257827": `"0.1000000000000000055511151231257827"`, "10000000000000000.0": `"10000000000000000.0"`,
		"True": `"True"`, "False": `"False"`, "true": `"true"`, "None": `"None"`, "null": `"null"`, `{"a": 1}`: `"{\"a\": 1}"`, "[1]": `"[1]"`, `"5"`: `"\"5\""`, "1,5": `"1,5"`,
		"(1+2j)": `"(1+2j)"`, "٣": `"٣"`, "\x00\x1f\x7f\\é\u2028": "\"\\u0000\\u001f\x7f\\\\é\u2028\"", "\t\r\n": `"\t\r\n"`,
	} {
		if got := string(appendValue(nil, text)); got != want {
			t.Errorf("%q becomes %s, want %s", text, got, want)
		}
	}
}

// TestPythonFloat compares with what repr of Python 3.11.7 gave.
func TestPythonFloat(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0.0", 1: "1.0", 0.1: "0.1", 1e15: "1000000000000000.0", 1e16: "1e+16", 123456789012345680: "1.2345678901234568e+17", 1e-4: "0.0001", 0.00001: "1e-05",
		1e100: "1e+100", 1.5e-7: "1.5e-07", -2.5: "-2.5", 9999999999999998: "9999999999999998.0", math.SmallestNonzeroFloat64: "5e-324",
	} {
		if got := pythonFloat(f); got != want {
			t.Errorf("%g is %s in Python, not %s", f, want, got)
		}
	}
}

// TestValuesKeepTheirText says in one law what the table shows: a number gives
// back its text by Python's spelling, a string by itself.
func TestValuesKeepTheirText(t *testing.T) {
	texts := rapid.OneOf(rapid.String(), rapid.StringMatching(`[-+]?[0-9]{1,18}(\.[0-9]{1,3})?(e[-+]?[0-9]{1,3})?`),
		rapid.Map(rapid.Int64(), func(n int64) string { return strconv.FormatInt(n, 10) }), rapid.Map(rapid.Float64(), pythonFloat))
	rapid.Check(t, func(t *rapid.T) {
		text := texts.Draw(t, "text")
		var v any
		if err := json.Unmarshal(appendValue(nil, text), &v); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		switch v := v.(type) {
		case string:
			if v != text {
				t.Fatalf("%q became %q", text, v)
			}
		case float64:
			if pythonFloat(v) != text && strconv.FormatInt(int64(v), 10) != text {
				t.Fatalf("%q became %v", text, v)
			}
		}
	})
}

func TestFloatsOfPythonAreNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64().Draw(t, "f")
		var got float64
		if err := json.Unmarshal(appendValue(nil, pythonFloat(f)), &got); f != 0 && (err != nil || got != f) {
			t.Fatalf("%g became %g, %v", f, got, err)
		}
	})
}

func TestMoments(t *testing.T) {
	for text, want := range map[string]string{
		"2024-01-31T10:20:30.123456":       "2024-01-31T10:20:30.123456Z naive",
		"2024-01-31T10:20:30.123456+00:00": "2024-01-31T10:20:30.123456Z",
		"2024-01-31 10:20:30.5+02:00":      "2024-01-31T08:20:30.5Z",
		"2024-01-31T10:20:30Z":             "2024-01-31T10:20:30Z",
		"2024-01-31t10:20:30z":             "2024-01-31T10:20:30Z",
		"2024-01-31T10:20:30+0530":         "2024-01-31T04:50:30Z",
		"2024-01-31T10:20:30-03":           "2024-01-31T13:20:30Z",
		"2024-01-31 10:20:30,789":          "2024-01-31T10:20:30.789Z naive",
		"2024-01-31T10:20":                 "2024-01-31T10:20:00Z naive",
		"2024-01-31":                       "2024-01-31T00:00:00Z naive",
		" 2024-01-31T10:20:30Z ":           "2024-01-31T10:20:30Z",
		"2024-01-31T10:20:30.123456789Z":   "2024-01-31T10:20:30.123456Z finer",
		"2024-01-31T10:20:30.123456000Z":   "2024-01-31T10:20:30.123456Z",
		"1700000000":                       "2023-11-14T22:13:20Z",
		"1700000000.25":                    "2023-11-14T22:13:20.25Z",
		"1700000000.1234567":               "2023-11-14T22:13:20.123456Z finer",
		"999999999":                        "2001-09-09T01:46:39Z",
		"9999-12-31T23:59:59Z":             "9999-12-31T23:59:59Z",
		"9999-12-31T23:59:59-01:00":        "none", // the year 10000
		"0000-01-01T00:00:00+01:00":        "none",
		"":                                 "none",
		"yesterday":                        "none",
		"20240131":                         "none", // a date, or 1970
		"1700000000000":                    "none", // milliseconds, or the year 55840
		"1700000000.":                      "none",
		"-1700000000":                      "none",
		"2024-02-30T10:20:30Z":             "none",
		"2024-01-31T24:00:00Z":             "none",
		"2024-01-31T10:20:60Z":             "none",
		"31.01.2024 10:20":                 "none",
	} {
		got := "none"
		if m, ok := parseMoment(text); ok {
			got = m.time.Format(time.RFC3339Nano)
			if m.naive {
				got += " naive"
			}
			if m.finer {
				got += " finer"
			}
		}
		if got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

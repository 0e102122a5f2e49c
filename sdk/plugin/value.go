package plugin

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Type is how the text of an option's value is read.
type Type string

// The types of options. A value travels as text, which is the same wherever it
// was written: in a file, a variable or a flag.
const (
	String   Type = "string"   // any UTF-8, or one of OneOf
	Bool     Type = "bool"     // true or false
	Integer  Type = "integer"  // decimal, of 64 bits
	Duration Type = "duration" // 0 or more, as time.ParseDuration takes it, or a whole number of days such as 30d; what 0 means is the option's affair
	List     Type = "list"     // of strings, as a JSON array
)

var allowed = map[Type]string{
	String:   "text",
	Bool:     "true or false",
	Integer:  "a whole number",
	Duration: "a time such as 90s, 720h or 30d, or 0",
	List:     `a list of texts such as ["a", "b"]`,
}

// maxDays is the longest time that a time.Duration holds, in days.
const maxDays = 106_751

// read gives what parses a value of the type; nil for a type that is none.
func (t Type) read() func(text string) (value any, ok bool) {
	switch t {
	case String:
		return func(text string) (any, bool) { return text, utf8.ValidString(text) }
	case Bool:
		return func(text string) (any, bool) { return text == "true", text == "true" || text == "false" }
	case Integer:
		return func(text string) (any, bool) {
			n, err := strconv.ParseInt(text, 10, 64)
			return n, err == nil
		}
	case Duration:
		return readDuration
	case List:
		return readList
	}
	return nil
}

func readDuration(text string) (any, bool) {
	if digits, ok := strings.CutSuffix(text, "d"); ok {
		days, err := strconv.ParseUint(digits, 10, 64)
		return time.Duration(days) * 24 * time.Hour, err == nil && days <= maxDays
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0
}

func readList(text string) (any, bool) {
	list := []*string{} // null is no string
	if !utf8.ValidString(text) || json.Unmarshal([]byte(text), &list) != nil || list == nil {
		return nil, false
	}
	out := make([]string, len(list))
	for i, s := range list {
		if s == nil {
			return nil, false
		}
		out[i] = *s
	}
	return out, true
}

// ListText is the text of a list's value.
func ListText(list []string) string {
	if list == nil {
		list = []string{}
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // there is no list of strings that it does not write
	}
	return string(text)
}

// Values are the parsed values of a schema's options by name. Its methods panic
// for a name that the schema does not declare with that type: the plugin asks
// for what it has not declared.
type Values map[string]any

// String gives the value of a String.
func (v Values) String(name string) string { return value[string](v, name) }

// Bool gives the value of a Bool.
func (v Values) Bool(name string) bool { return value[bool](v, name) }

// Integer gives the value of an Integer.
func (v Values) Integer(name string) int64 { return value[int64](v, name) }

// Duration gives the value of a Duration.
func (v Values) Duration(name string) time.Duration { return value[time.Duration](v, name) }

// List gives the value of a List.
func (v Values) List(name string) []string { return value[[]string](v, name) }

func value[T any](v Values, name string) T {
	out, ok := v[name].(T)
	if !ok {
		panic(fmt.Sprintf("plugin: no option %q of type %T was declared", name, out))
	}
	return out
}

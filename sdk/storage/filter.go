package storage

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dbbasic/station/sdk/errs"
)

// CheckLogs says why a query of a log is none, whatever is stored. Errors: errs.Invalid.
func CheckLogs(q *LogsQuery) error {
	if err := CheckLimit(q.Limit); err != nil {
		return err
	}
	for _, l := range q.Levels {
		if !l.Known() {
			return errs.New(errs.Invalid, "bad_level", "%q is not a log level.", l)
		}
	}
	switch {
	case !q.Since.IsZero() && !q.Until.IsZero() && q.Until.UnixMicro() < q.Since.UnixMicro():
		return errs.New(errs.Invalid, "bad_time", "The end of the time range, %s, is before its beginning, %s.",
			q.Until.UTC().Format(time.RFC3339Nano), q.Since.UTC().Format(time.RFC3339Nano))
	case len(q.Text) > MaxText:
		return errs.New(errs.Invalid, "bad_text", "The text to look for has %d bytes; at most %d are allowed.", len(q.Text), MaxText)
	case len(q.Fields) > MaxFields:
		return errs.New(errs.Invalid, "bad_field", "There are %d filters of fields; at most %d are allowed.", len(q.Fields), MaxFields)
	}
	return nil
}

// LogFilter says which entries of a range a query asks for: its Levels, Text and
// Fields. It is for one goroutine.
type LogFilter struct {
	levels []Level
	text   []byte // in lower case
	fields []FieldFilter
	buf    []byte
}

// NewLogFilter gives the filter of a query.
func NewLogFilter(q *LogsQuery) *LogFilter {
	return &LogFilter{levels: q.Levels, text: appendLower(nil, []byte(q.Text)), fields: q.Fields}
}

// TakesLevel reports whether entries of a level are asked for.
func (f *LogFilter) TakesLevel(l Level) bool {
	return len(f.levels) == 0 || slices.Contains(f.levels, l)
}

// Takes reports whether the entry is asked for.
func (f *LogFilter) Takes(e *Entry) bool {
	if !f.TakesLevel(e.Level) {
		return false
	}
	if len(f.text) == 0 && len(f.fields) == 0 {
		return true
	}
	found := len(f.text) == 0 || f.contains([]byte(e.Message))
	if found && len(f.fields) == 0 || len(e.Fields) == 0 {
		return found && len(f.fields) == 0
	}
	var values map[string]json.RawMessage
	if json.Unmarshal(e.Fields, &values) != nil {
		return false // it is JSON, or it would not have been stored
	}
	for _, w := range f.fields {
		if v, ok := values[w.Name]; !ok || fieldText(v) != w.Value {
			return false
		}
	}
	for _, v := range values {
		found = found || f.contains([]byte(fieldText(v)))
	}
	return found
}

func (f *LogFilter) contains(s []byte) bool {
	f.buf = appendLower(f.buf[:0], s)
	return bytes.Contains(f.buf, f.text)
}

// fieldText is the text of a field: what a string says, of any other value its
// compact JSON.
func fieldText(v json.RawMessage) string {
	switch v[0] {
	case '"':
		var s string
		if json.Unmarshal(v, &s) == nil {
			return s
		}
	case '{', '[':
		var b bytes.Buffer
		if json.Compact(&b, v) == nil {
			return b.String()
		}
	}
	return strings.TrimSpace(string(v))
}

// appendLower appends s in lower case; bytes that are not UTF-8 stay.
func appendLower(b, s []byte) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			b = append(b, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(b, c)
		} else {
			b = utf8.AppendRune(b, unicode.ToLower(r))
		}
		i += n
	}
	return b
}

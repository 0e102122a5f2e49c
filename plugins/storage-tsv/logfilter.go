package storagetsv

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

// checkLogs says why a query is none, whatever is stored. Errors: errs.Invalid.
func checkLogs(q *storage.LogsQuery) error {
	if err := checkLimit(q.Limit); err != nil {
		return err
	}
	for _, l := range q.Levels {
		if !l.Known() {
			return errs.New(errs.Invalid, "bad_level", "%q is not a log level.", l)
		}
	}
	switch {
	case !q.Since.IsZero() && !q.Until.IsZero() && micro(q.Until) < micro(q.Since):
		return errs.New(errs.Invalid, "bad_time", "The end of the time range, %s, is before its beginning, %s.",
			appendTime(nil, q.Until), appendTime(nil, q.Since))
	case len(q.Text) > storage.MaxText:
		return errs.New(errs.Invalid, "bad_text", "The text to look for has %d bytes; at most %d are allowed.", len(q.Text), storage.MaxText)
	case len(q.Fields) > storage.MaxFields:
		return errs.New(errs.Invalid, "bad_field", "There are %d filters of fields; at most %d are allowed.", len(q.Fields), storage.MaxFields)
	}
	return nil
}

// logFilter says which entries of a range a query asks for.
type logFilter struct {
	levels []storage.Level
	text   []byte // in lower case
	fields []storage.FieldFilter
	buf    []byte
}

func newLogFilter(q *storage.LogsQuery) logFilter {
	return logFilter{levels: q.Levels, text: appendLower(nil, []byte(q.Text)), fields: q.Fields}
}

func (f *logFilter) takesLevel(l storage.Level) bool {
	return len(f.levels) == 0 || slices.Contains(f.levels, l)
}

// takes reports whether the entry is asked for.
func (f *logFilter) takes(e *storage.Entry) bool {
	if !f.takesLevel(e.Level) {
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

func (f *logFilter) contains(s []byte) bool {
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

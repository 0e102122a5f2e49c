package storagetest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/dbbasic/station/sdk/storage"
)

// timeRange gives the entries that a query's times select: from and before to.
// It is what the law says, in the plainest way.
func timeRange(entries []storage.Entry, q storage.LogsQuery) (from, to int) {
	var newest time.Time
	for i, e := range entries {
		if i == 0 || micro(e.Time).After(newest) {
			newest = micro(e.Time)
		}
		if !q.Since.IsZero() && newest.Before(micro(q.Since)) {
			from = i + 1
		}
		if q.Until.IsZero() || newest.Before(micro(q.Until)) {
			to = i + 1
		}
	}
	return from, max(from, to)
}

// asked reports whether an entry passes the filters of a query.
func asked(e storage.Entry, q storage.LogsQuery) bool {
	fields := map[string]string{}
	if len(e.Fields) > 0 {
		var values map[string]json.RawMessage
		if err := json.Unmarshal(e.Fields, &values); err != nil {
			return false
		}
		for name, v := range values {
			fields[name] = textOf(v)
		}
	}
	found := strings.Contains(lower(e.Message), lower(q.Text))
	for _, v := range fields {
		found = found || strings.Contains(lower(v), lower(q.Text))
	}
	for _, f := range q.Fields {
		v, ok := fields[f.Name]
		found = found && ok && v == f.Value
	}
	return found && (len(q.Levels) == 0 || slices.Contains(q.Levels, e.Level))
}

func textOf(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil && v[0] == '"' {
		return s
	}
	var b bytes.Buffer
	if err := json.Compact(&b, v); err != nil {
		return ""
	}
	return b.String()
}

// lower is the lower case of what is UTF-8 in s; other bytes stay.
func lower(s string) string {
	var b strings.Builder
	for i, r := range s {
		if r == '\uFFFD' && !strings.HasPrefix(s[i:], "\uFFFD") {
			b.WriteByte(s[i])
		} else {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

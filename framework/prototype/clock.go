package prototype

import (
	"strconv"
	"strings"
	"time"
)

// moment is a time as the prototype wrote it.
type moment struct {
	time  time.Time // UTC, microseconds
	naive bool      // the text names no zone; it was taken as UTC
	finer bool      // digits behind the microseconds were cut
}

// layouts are the forms of ISO 8601 that Python's datetime and logging write.
// Go reads a fraction, behind a point or a comma, without its being in the layout.
var layouts = []struct {
	text  string
	naive bool
}{
	{"2006-01-02T15:04:05Z07:00", false},
	{"2006-01-02T15:04:05Z0700", false},
	{"2006-01-02T15:04:05Z07", false},
	{"2006-01-02T15:04Z07:00", false},
	{"2006-01-02T15:04:05", true},
	{"2006-01-02T15:04", true},
	{"2006-01-02", true},
}

// parseMoment reads ISO 8601, with "T" or a space before the time of day, or
// seconds since 1970 of 9 or 10 digits (1973 to 2286), with or without a
// fraction. Fewer digits may be a date like 20240131, more may be milliseconds:
// those are not guessed at. Years outside 0 to 9999 cannot be stored.
func parseMoment(text string) (moment, bool) {
	text = strings.TrimSpace(text)
	if m, ok := parseEpoch(text); ok {
		return m, true
	}
	if len(text) > 10 && (text[10] == ' ' || text[10] == 't') {
		text = text[:10] + "T" + text[11:]
	}
	if zoned, ok := strings.CutSuffix(text, "z"); ok {
		text = zoned + "Z"
	}
	zoned := len(text) > 10 && strings.ContainsAny(text[10:], "Z+-")
	for _, l := range layouts {
		if l.naive == zoned {
			continue // a failed time.Parse costs more than all else of a row
		}
		t, err := time.Parse(l.text, text)
		if err != nil {
			continue
		}
		t = t.UTC()
		if t.Year() < 0 || t.Year() > 9999 {
			return moment{}, false
		}
		m := moment{time: t.Truncate(time.Microsecond), naive: l.naive}
		m.finer = finer(text)
		return m, true
	}
	return moment{}, false
}

func parseEpoch(text string) (moment, bool) {
	whole, fraction, point := strings.Cut(text, ".")
	if len(whole) < 9 || len(whole) > 10 || !digits(whole) || point && !digits(fraction) {
		return moment{}, false
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return moment{}, false
	}
	micro, err := strconv.ParseInt((fraction + "000000")[:6], 10, 64)
	if err != nil {
		return moment{}, false
	}
	return moment{time: time.Unix(n, micro*1000).UTC(), finer: finer(text)}, true
}

// finer reports whether a fraction of a second has digits but zeros behind the
// sixth. The first point or comma of a time stands before its fraction.
func finer(text string) bool {
	i := strings.IndexAny(text, ".,")
	if i < 0 {
		return false
	}
	end := i + 1
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	return end-i > 7 && strings.Trim(text[i+7:end], "0") != ""
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

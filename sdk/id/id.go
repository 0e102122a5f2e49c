// Package id holds the names that every contract shares: objects, stations,
// log entries and callers. Text becomes one of these types only through Parse
// functions, so that a value of the type is always safe as a file name.
package id

import (
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/dbbasic/station/sdk/errs"
)

// MaxLength is the most bytes that an object or station id has.
const MaxLength = 128

// Object is the id of an object: [a-z0-9][a-z0-9_.-]{0,127}. It contains no
// separator and does not begin with a dot.
type Object string

// Station is the id of a station, of the same form as Object without dots:
// [a-z0-9][a-z0-9_-]{0,127}. (A dot separates the parts of an Entry.)
type Station string

// ParseObject checks an object id; anything malformed is errs.Invalid.
func ParseObject(s string) (Object, error) {
	if !valid(s, true) {
		return "", errs.New(errs.Invalid, "bad_object_id",
			"%q is not an object id: use 1 to %d of a-z, 0-9, '_', '.' and '-', beginning with a letter or digit.", clip(s), MaxLength)
	}
	return Object(s), nil
}

// ParseStation checks a station id; anything malformed is errs.Invalid.
func ParseStation(s string) (Station, error) {
	if !valid(s, false) {
		return "", errs.New(errs.Invalid, "bad_station_id",
			"%q is not a station id: use 1 to %d of a-z, 0-9, '_' and '-', beginning with a letter or digit.", clip(s), MaxLength)
	}
	return Station(s), nil
}

// ParseAddress splits "object" or "object@station"; the station is empty
// where none is named. Anything malformed is errs.Invalid.
func ParseAddress(s string) (Object, Station, error) {
	name, at, found := strings.Cut(s, "@")
	o, err := ParseObject(name)
	if err != nil || !found {
		return o, "", err
	}
	st, err := ParseStation(at)
	return o, st, err
}

func valid(s string, dot bool) bool {
	if len(s) == 0 || len(s) > MaxLength {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case i > 0 && (c == '_' || c == '-' || dot && c == '.'):
		default:
			return false
		}
	}
	return true
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// Entry names one log entry of an object for ever: the station that wrote it,
// the boot of that station's storage, and the entry's place, from 1, among
// those the object wrote there in that boot.
type Entry struct {
	Station  Station
	Boot     uint64
	Sequence uint64
}

// String gives "<station>.<boot>.<sequence>".
func (e Entry) String() string { return string(e.AppendTo(nil)) }

// AppendTo appends the text form.
func (e Entry) AppendTo(b []byte) []byte {
	b = append(b, e.Station...)
	b = append(b, '.')
	b = strconv.AppendUint(b, e.Boot, 10)
	b = append(b, '.')
	return strconv.AppendUint(b, e.Sequence, 10)
}

// ParseEntry reads the text form; anything malformed is errs.Invalid.
func ParseEntry(s string) (Entry, error) {
	bad := func() (Entry, error) {
		return Entry{}, errs.New(errs.Invalid, "bad_entry_id", "%q is not a log entry id of the form station.boot.sequence.", clip(s))
	}
	st, rest, _ := strings.Cut(s, ".")
	boot, seq, _ := strings.Cut(rest, ".")
	if !valid(st, false) {
		return bad()
	}
	b, err := strconv.ParseUint(boot, 10, 64)
	if err != nil || strconv.FormatUint(b, 10) != boot {
		return bad()
	}
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != seq {
		return bad()
	}
	return Entry{Station: Station(st), Boot: b, Sequence: n}, nil
}

// Caller is who makes a call, as the transport vouches for it. The payload
// can never change it.
type Caller struct {
	User  string   // empty while the station has no accounts
	Roles []string // RoleOperator may see source, state and logs
}

// RoleOperator is the role of somebody who runs the station.
const RoleOperator = "operator"

// Has reports whether the caller has the role.
func (c Caller) Has(role string) bool {
	for _, r := range c.Roles {
		if r == role {
			return true
		}
	}
	return false
}

// NewRequest gives a request id that no other call has: a UUIDv7, whose order
// is about that of time.
func NewRequest() string { return uuid.Must(uuid.NewV7()).String() }

// ValidRequest reports whether s can be a request id: 1 to 128 of A-Z, a-z,
// 0-9, '.', '_' and '-'.
func ValidRequest(s string) bool {
	if len(s) == 0 || len(s) > MaxLength {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

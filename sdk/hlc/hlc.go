// Package hlc is the hybrid logical clock of a station (Kulkarni, Demirbas
// et al., "Logical Physical Clocks", 2014): 48 bits of wall-clock milliseconds
// and 16 bits of counter, with the station id as the tie-break, so that any two
// stamps of different changes are ordered the same way everywhere.
package hlc

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
)

// Time is the 64-bit part of a stamp: milliseconds since 1970 in the upper 48
// bits, a counter in the lower 16.
type Time uint64

// MaxTime is the largest time; a clock that reaches it stays there.
const MaxTime = ^Time(0)

// At gives the first Time of a wall-clock instant.
func At(t time.Time) Time { return Time(t.UnixMilli()) << 16 }

// Milli is the wall-clock part, in milliseconds since 1970.
func (t Time) Milli() int64 { return int64(t >> 16) }

// Counter is the logical part.
func (t Time) Counter() uint16 { return uint16(t) }

// Wall is the wall-clock part as a UTC time.
func (t Time) Wall() time.Time { return time.UnixMilli(t.Milli()).UTC() }

// Stamp orders changes of one key across stations.
type Stamp struct {
	Time    Time
	Station id.Station
}

// Compare is -1, 0 or +1: by time, then by station.
func (s Stamp) Compare(o Stamp) int {
	switch {
	case s.Time < o.Time:
		return -1
	case s.Time > o.Time:
		return 1
	}
	return strings.Compare(string(s.Station), string(o.Station))
}

// String gives "<milliseconds>.<counter>.<station>".
func (s Stamp) String() string { return string(s.AppendTo(nil)) }

// AppendTo appends the text form.
func (s Stamp) AppendTo(b []byte) []byte {
	b = strconv.AppendInt(b, s.Time.Milli(), 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, uint64(s.Time.Counter()), 10)
	b = append(b, '.')
	return append(b, s.Station...)
}

// Parse reads the text form; anything malformed is errs.Invalid.
func Parse(s string) (Stamp, error) {
	ms, rest, _ := strings.Cut(s, ".")
	ct, st, _ := strings.Cut(rest, ".")
	m, err1 := strconv.ParseUint(ms, 10, 48)
	c, err2 := strconv.ParseUint(ct, 10, 16)
	_, err3 := id.ParseStation(st)
	if err1 != nil || err2 != nil || err3 != nil {
		return Stamp{}, errs.New(errs.Invalid, "bad_stamp", "%q is not a stamp of the form milliseconds.counter.station.", s)
	}
	return Stamp{Time: Time(m<<16 | c), Station: id.Station(st)}, nil
}

// Clock hands out times, each later than any it has handed out or observed,
// and as close to the wall clock as that allows. It is safe for concurrent use.
type Clock struct {
	now  func() time.Time
	mu   sync.Mutex
	last Time
}

// NewClock gives a clock over a wall clock, such as time.Now, which begins
// after high: the highest time that the station is known to have used.
func NewClock(now func() time.Time, high Time) *Clock {
	return &Clock{now: now, last: high}
}

// Next is a time later than every one before, and the wall-clock instant that
// was read for it (one reading serves both).
func (c *Clock) Next() (Time, time.Time) {
	wall := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := At(wall); t > c.last {
		c.last = t
	} else if c.last < MaxTime {
		c.last++ // the counter runs over into the milliseconds, which keeps the order
	}
	return c.last, wall
}

// Observe moves the clock past a time that was seen elsewhere.
func (c *Clock) Observe(t Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t > c.last {
		c.last = t
	}
}

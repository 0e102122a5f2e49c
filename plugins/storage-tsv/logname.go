package storagetsv

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// logName names one file of a log, also the one that is still written. It is
// the effective time of the file's first entry, and which of the files of that
// time it is. The zero logName is that of a file without an entry.
type logName struct {
	time int64 // microseconds since 1970
	n    int   // from 1
}

// noTime is before the time of every entry.
const noTime = math.MinInt64

// The first and the last time that a name can show.
var firstTime, lastTime = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro(), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro() - 1

// micro gives a time as a log counts it. What a person may write beyond the years
// 0 and 9999 counts as their end.
func micro(t time.Time) int64 {
	switch y := t.UTC().Year(); {
	case y < 0:
		return firstTime
	case y > 9999:
		return lastTime
	}
	return t.UnixMicro()
}

// after gives the name of the file that follows the closed ones and whose first
// entry has the effective time t.
func after(closed []logName, t int64) logName {
	if len(closed) > 0 {
		if last := closed[len(closed)-1]; t <= last.time {
			return logName{last.time, last.n + 1}
		}
	}
	return logName{t, 1}
}

func (n logName) compare(m logName) int {
	return cmp.Or(cmp.Compare(n.time, m.time), cmp.Compare(n.n, m.n))
}

// logNameLayout sorts as text as the times do.
const logNameLayout = "log-20060102T150405.000000Z"

// base is the name of the closed file without its extension. The names of one
// time sort as text up to the ninth; the store sorts them as numbers.
func (n logName) base() string {
	b := time.UnixMicro(n.time).UTC().Format(logNameLayout)
	if n.n > 1 {
		b += "_" + strconv.Itoa(n.n)
	}
	return b
}

func parseLogName(base string) (logName, bool) {
	stamp, digits, more := strings.Cut(base, "_")
	t, err := time.Parse(logNameLayout, stamp)
	n := logName{t.UnixMicro(), 1}
	if err == nil && more {
		n.n, err = strconv.Atoi(digits)
	}
	return n, err == nil && n.base() == base
}

// String is how a cursor names the file.
func (n logName) String() string {
	return strconv.FormatInt(n.time, 10) + "_" + strconv.Itoa(n.n)
}

func parseLogCursor(s string) (n logName, ok bool) {
	t, digits, ok := strings.Cut(s, "_")
	at, err1 := strconv.ParseInt(t, 10, 64)
	k, err2 := strconv.Atoi(digits)
	n = logName{at, k}
	return n, ok && err1 == nil && err2 == nil && n.String() == s
}

func (o *object) logDir() string   { return "logs/" + string(o.id) }
func (o *object) logIndex() string { return o.logDir() + "/log.idx" }

func (o *object) closedPath(n logName) string  { return o.logDir() + "/" + n.base() + ".tsv" }
func (o *object) closedIndex(n logName) string { return o.logDir() + "/" + n.base() + ".idx" }

// isLogFile says whether the store makes files of that name in a log's folder.
func isLogFile(name string) bool {
	base, closed := strings.CutSuffix(strings.TrimSuffix(name, ".tmp"), ".idx")
	if !closed {
		base = strings.TrimSuffix(name, ".tsv")
		closed = base != name
	}
	_, ok := parseLogName(base)
	return closed && (ok || base == "log")
}

// closedLogs gives the closed files of a log among the names of its folder,
// oldest first, and the indexes that belong to no file.
func closedLogs(names []string) (closed []logName, orphans []string) {
	for _, f := range names {
		base, ok := strings.CutSuffix(f, ".tsv")
		if n, is := parseLogName(base); ok && is {
			closed = append(closed, n)
		}
		if base, ok := strings.CutSuffix(f, ".idx"); ok && isLogFile(f) && !slices.Contains(names, base+".tsv") {
			orphans = append(orphans, f)
		}
	}
	slices.SortFunc(closed, logName.compare)
	return closed, orphans
}

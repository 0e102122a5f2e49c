package storagetsv

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// The header lines of the files, and how many columns come before the checksum.
const (
	stateHeader    = "key\tvalue\tstamp\tcrc\n"
	logHeader      = "entry_id\ttimestamp\tlevel\tmessage\tfields\tcrc\n"
	versionsHeader = "number\ttimestamp\tauthor\tmessage\thash\tcrc\n"
	objectsHeader  = "object\tincarnation\tsequence\thome_epoch\thead\thash\tstamp_high\tdigest\tcrc\n"

	stateColumns    = 3
	logColumns      = 5
	versionsColumns = 5
	objectsColumns  = 8
)

// tip is the end of an object's history: what the next commit must follow.
type tip struct {
	incarnation, sequence, epoch, head uint64

	hash string   // of version head, empty where an older incarnation made it
	high hlc.Time // the highest stamp time

	digest storage.Sum // of the object, where summed
	summed bool
}

func appendChange(b []byte, c *storage.StateChange) []byte {
	b = appendText(b, c.Key)
	b = append(b, '\t')
	if !c.Deleted {
		b = appendText(b, c.Value)
	}
	b = append(b, '\t')
	return c.Stamp.AppendTo(b)
}

// appendJournalChange appends a change as the journal has it: with the stamp of
// what it replaces, or nothing.
func appendJournalChange(b []byte, c *storage.StateChange) []byte {
	b = append(appendChange(append(b, "state\t"...), c), '\t')
	if c.Was == (hlc.Stamp{}) {
		return b
	}
	return c.Was.AppendTo(b)
}

func parseJournalChange(cols [][]byte) (c storage.StateChange, ok bool) {
	c, ok = parseChange(cols[:stateColumns], whole)
	if was := cols[stateColumns]; len(was) > 0 {
		var err error
		c.Was, err = hlc.Parse(string(was))
		ok = ok && err == nil
	}
	return c, ok
}

// parseChange reads a line of state.tsv. What the store wrote itself is JSON; what
// a person wrote may not be.
func parseChange(cols [][]byte, how verdict) (c storage.StateChange, ok bool) {
	key, ok1 := text(cols[0])
	value, ok2 := text(cols[1])
	stamp, err := hlc.Parse(string(cols[2]))
	if !ok1 || !ok2 || err != nil || len(key) == 0 || len(key) > maxKey || !utf8.Valid(key) {
		return c, false
	}
	c = storage.StateChange{Key: string(key), Value: value, Stamp: stamp}
	if len(value) == 0 {
		c.Value, c.Deleted = nil, true
	}
	return c, how == whole || c.Deleted || validJSON(value)
}

func appendEntry(b []byte, e *storage.Entry) []byte {
	b = append(e.ID.AppendTo(b), '\t')
	b = append(appendTime(b, e.Time), '\t')
	b = append(append(b, e.Level...), '\t')
	b = append(appendText(b, e.Message), '\t')
	return appendText(b, e.Fields)
}

// parseEntry reads a line of log.tsv. What the store wrote itself has a JSON
// object as fields; what a person wrote may not.
func parseEntry(cols [][]byte, how verdict) (e storage.Entry, ok bool) {
	n, err := id.ParseEntry(string(cols[0]))
	t, ok1 := parseTime(cols[1])
	message, ok2 := text(cols[3])
	fields, ok3 := text(cols[4])
	level := storage.Level(cols[2])
	if err != nil || !ok1 || !ok2 || !ok3 || !level.Known() {
		return e, false
	}
	e = storage.Entry{ID: n, Time: t, Level: level, Message: string(message)}
	if len(fields) > 0 {
		if how != whole && !isJSONObject(fields) {
			return e, false
		}
		e.Fields = fields
	}
	return e, true
}

func appendVersion(b []byte, v *storage.Version) []byte {
	b = append(strconv.AppendUint(b, v.Number, 10), '\t')
	b = append(appendTime(b, v.Time), '\t')
	b = append(appendText(b, v.Author), '\t')
	b = append(appendText(b, v.Message), '\t')
	return append(b, v.Hash...)
}

func parseVersion(cols [][]byte) (v storage.Version, ok bool) {
	n, ok1 := number(cols[0])
	t, ok2 := parseTime(cols[1])
	author, ok3 := text(cols[2])
	message, ok4 := text(cols[3])
	if !ok1 || !ok2 || !ok3 || !ok4 || len(cols[4]) != 64 || n == 0 {
		return v, false
	}
	return storage.Version{Number: n, Time: t, Author: string(author), Message: string(message), Hash: string(cols[4])}, true
}

func appendRow(b []byte, o id.Object, t *tip) []byte {
	b = append(append(b, o...), '\t')
	for _, n := range [...]uint64{t.incarnation, t.sequence, t.epoch, t.head} {
		b = append(strconv.AppendUint(b, n, 10), '\t')
	}
	b = append(append(b, t.hash...), '\t')
	b = append(strconv.AppendUint(b, uint64(t.high), 10), '\t')
	if t.summed {
		b = t.digest.AppendTo(b)
	}
	return b
}

func parseRow(cols [][]byte) (o id.Object, t tip, ok bool) {
	o, err := id.ParseObject(string(cols[0]))
	if err != nil || len(cols[5]) != 0 && len(cols[5]) != 64 {
		return o, t, false
	}
	t.hash = string(cols[5])
	var high uint64
	for i, p := range [...]*uint64{1: &t.incarnation, 2: &t.sequence, 3: &t.epoch, 4: &t.head, 6: &high} {
		if p == nil {
			continue
		}
		if *p, ok = number(cols[i]); !ok {
			return o, t, false
		}
	}
	t.high = hlc.Time(high)
	if len(cols[7]) > 0 {
		if t.digest, t.summed = storage.ParseSum(cols[7]); !t.summed {
			return o, t, false
		}
	}
	return o, t, t.incarnation > 0
}

func number(b []byte) (uint64, bool) {
	n, err := strconv.ParseUint(string(b), 10, 64)
	return n, err == nil
}

func validJSON(b []byte) bool { return json.Valid(b) && utf8.Valid(b) }

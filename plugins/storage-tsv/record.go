package storagetsv

import (
	"bytes"
	"strconv"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// The header line of objects.tsv, and how many columns come before the checksum.
const (
	objectsHeader  = "object\tincarnation\tsequence\thome_epoch\thead\thash\tstamp_high\tdigest\tcrc\n"
	objectsColumns = 8
)

// tip is the end of an object's history: what the next commit must follow.
type tip struct {
	incarnation, sequence, epoch, head uint64

	working uint64 // the version that the script file holds, 0 where that is not known

	hash string   // of version head, empty where an older incarnation made it
	high hlc.Time // the highest stamp time

	digest storage.Sum // of the object, where summed
	summed bool
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

func appendRow(b []byte, o id.Object, t *tip) []byte {
	b = append(append(b, o...), '\t')
	for _, n := range [...]uint64{t.incarnation, t.sequence, t.epoch} {
		b = append(strconv.AppendUint(b, n, 10), '\t')
	}
	b = append(appendHead(b, t), '\t')
	b = append(append(b, t.hash...), '\t')
	b = append(strconv.AppendUint(b, uint64(t.high), 10), '\t')
	if t.summed {
		b = t.digest.AppendTo(b)
	}
	return b
}

// appendHead appends the newest version and, where it is known, the one that the
// script file holds: "7" or "7 file@6".
func appendHead(b []byte, t *tip) []byte {
	b = strconv.AppendUint(b, t.head, 10)
	if t.working > 0 {
		b = strconv.AppendUint(append(b, " file@"...), t.working, 10)
	}
	return b
}

func parseHead(b []byte, t *tip) (ok bool) {
	head, working, has := bytes.Cut(b, []byte(" file@"))
	if t.head, ok = number(head); ok && has {
		t.working, ok = number(working)
		ok = ok && t.working > 0
	}
	return ok
}

func parseRow(cols [][]byte) (o id.Object, t tip, ok bool) {
	o, err := id.ParseObject(string(cols[0]))
	if err != nil || len(cols[5]) != 0 && len(cols[5]) != 64 {
		return o, t, false
	}
	t.hash = string(cols[5])
	var high uint64
	if !parseHead(cols[4], &t) {
		return o, t, false
	}
	for i, p := range [...]*uint64{1: &t.incarnation, 2: &t.sequence, 3: &t.epoch, 6: &high} {
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

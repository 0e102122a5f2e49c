package storagetsv

import (
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

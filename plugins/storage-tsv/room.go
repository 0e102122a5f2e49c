package storagetsv

import (
	"slices"

	"github.com/dbbasic/station/sdk/storage"
)

// room is memory for what the commits of a batch leave pending, taken at once
// for all of them, since small pieces cost more than what is put into them. A
// piece stays until the last commit in it has been carried over: no longer than
// the journal keeps the batch, so that it is bounded as the journal is.
type room struct {
	bytes []byte
	state []storage.StateChange
	sums  []bucketSum
}

// span is where something stands in the lines of a batch.
type span struct{ from, to int }

// entryRoom is about what a line of a log holds beside its message and fields.
const entryRoom = 96

// roomFor gives room for all of the commits.
func roomFor(commits []storage.Commit) room {
	size, changes, sums := 0, 0, 0
	for i := range commits {
		c := &commits[i]
		changes += len(c.State)
		sums += len(c.State) + len(c.Entries)
		for k := range c.State {
			size += len(c.State[k].Value)
		}
		for k := range c.Entries {
			e := &c.Entries[k]
			size += entryRoom + len(e.ID.Station) + len(e.Message) + len(e.Fields)
		}
	}
	return room{make([]byte, 0, size), make([]storage.StateChange, 0, changes), make([]bucketSum, 0, sums)}
}

// bytesFor gives n bytes, of none yet.
func (r *room) bytesFor(n int) []byte {
	if cap(r.bytes)-len(r.bytes) < n {
		r.bytes = make([]byte, 0, n) // the lengths above are guesses where columns have escapes
	}
	at := len(r.bytes)
	r.bytes = r.bytes[:at+n]
	return r.bytes[at : at : at+n]
}

// entries gives the lines of entries as a log holds them, from where their
// columns stand in the lines of the journal.
func (r *room) entries(lines []byte, spans []span) []byte {
	if len(spans) == 0 {
		return nil
	}
	size := 0
	for _, e := range spans {
		size += e.to - e.from + len("\t00000000\n")
	}
	b := r.bytesFor(size)
	for _, e := range spans {
		start := len(b)
		b = seal(append(b, lines[e.from:e.to]...), start)
	}
	return b
}

// changes gives a copy that shares no memory.
func (r *room) changes(of []storage.StateChange) []storage.StateChange {
	if len(of) == 0 {
		return nil
	}
	at := len(r.state)
	r.state = append(r.state, of...)
	mine := slices.Clip(r.state[at:])
	for i := range mine {
		if v := mine[i].Value; len(v) > 0 {
			mine[i].Value = append(r.bytesFor(len(v)), v...)
		}
	}
	return mine
}

// sumsOf gives what a commit adds to its object's digest.
func (r *room) sumsOf(c *storage.Commit) []bucketSum {
	at := len(r.sums)
	r.sums = appendSums(r.sums, c)
	return slices.Clip(r.sums[at:])
}

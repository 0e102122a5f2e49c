package prototype

import (
	"errors"
	"io"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/dbbasic/station/sdk/storage"
)

// maxKey is the most bytes of a key.
const maxKey = 512

// Change sets one key. Its stamp is empty: whoever stores it gives it one.
type Change struct {
	storage.StateChange
	Time time.Time // of the row, zero where it has none
}

var (
	stateColumns = []string{"key", "value", "timestamp"}
	timeNames    = map[string]string{"time": "timestamp", "date": "timestamp", "created_at": "timestamp", "updated_at": "timestamp", "modified": "timestamp"}
)

// State gives the object's keys in the order of their bytes, each with the
// value of its last row. A row with a stray quote never replaces a whole one.
// What the store cannot hold is left and reported: a key that is empty, longer
// than 512 bytes or not UTF-8, and a value that is not UTF-8. Errors:
// errs.Unavailable.
func (o *Object) State(r *Report) ([]Change, error) {
	if !o.state {
		return nil, nil
	}
	t, err := o.openTable(State, "state.tsv", r, stateColumns, timeNames)
	if err != nil {
		return nil, err
	}
	defer t.close()
	state := map[string]Change{}
	for {
		row, err := t.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if t.stateRow(row, state) {
			t.counts.Repeated++
		}
	}
	t.counts.Keys += len(state)
	changes := make([]Change, 0, len(state))
	for _, key := range slices.Sorted(maps.Keys(state)) {
		changes = append(changes, state[key])
	}
	return changes, nil
}

// stateRow takes a row into the state. It says whether that replaced a value.
func (t *table) stateRow(row *row, state map[string]Change) bool {
	key, _ := t.cell(row, "key")
	value, ok := t.cell(row, "value")
	_, repeated := state[key]
	done := "not taken"
	if repeated {
		done = "not taken; the key keeps the value of an earlier row"
	}
	reason := ""
	switch {
	case key == "":
		reason = "the key is empty"
	case len(key) > maxKey:
		reason = "the key is longer than 512 bytes"
	case !utf8.ValidString(key):
		reason = "the key is not UTF-8"
	case !ok:
		reason = "the row has no value"
	case !utf8.ValidString(value):
		reason = "the value is not UTF-8"
	case repeated && row.form == unbalanced:
		reason = strayQuote
	}
	if reason != "" {
		t.problem(Left, row, reason, done)
		return false
	}
	if row.form == unbalanced {
		t.problem(Mended, row, strayQuote, "the line was taken as it stands")
	}
	if more := t.unknown(row); more != "" {
		t.problem(Mended, row, "the row has more than a key, a value and a time", "the rest was not taken: "+more)
	}
	state[key] = Change{StateChange: storage.StateChange{Key: key, Value: appendValue(nil, value)}, Time: t.rowTime(row)}
	return repeated
}

// rowTime reads the time of a row of state; it is zero where there is none.
func (t *table) rowTime(row *row) time.Time {
	text, _ := t.cell(row, "timestamp")
	if text == "" {
		return time.Time{}
	}
	m, ok := parseMoment(text)
	if !ok {
		t.problem(Mended, row, "its time cannot be read", "taken without a time")
	}
	t.noteMoment(row, m)
	return m.time
}

func (t *table) noteMoment(row *row, m moment) {
	if m.naive {
		t.note(row, "times without a zone were taken as UTC")
	}
	if m.finer && t.kind != Logs {
		t.note(row, "times were cut to microseconds")
	}
}

package dispatch

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

// transaction is what one call reads and writes. Writes go to the live state
// at once, where the call itself reads them, and are undone from old values.
type transaction struct {
	o         *object
	now       time.Time
	requestID string

	touched []change
	index   map[string]int // of touched, made when that grows long
	staged  int            // bytes written, also those that were overwritten
	entries []storage.Entry

	files        []fileWas
	touchedFiles map[string]bool // the names in files
	written      int64           // bytes of files
	made         []string        // uploads of the script's own
	version      *storage.Version
	working      uint64 // the version that the script file holds; 0: as before
	ends         bool   // the object's life; a new one begins
	nesting      nesting
}

// change remembers what a key was before the call.
type change struct {
	key string
	old []byte
	had bool
}

var _ luahost.Object = (*transaction)(nil)

// changeOverhead is what a change of a key, a log entry or a change of a file counts
// beside its own bytes of Limits.Staged, and of a commit: storage takes some
// microseconds for each, however short.
const changeOverhead = 256

// keyOverhead is what a key counts of Limits.State beside its own bytes and those
// of its value: about what it takes in memory.
const keyOverhead = 64

// StateSize is what a key counts of Limits.State, from the bytes of the key and of its value.
func StateSize(key, value int) int { return key + value + keyOverhead }

// indexFrom is the number of touched keys from which a map finds them faster.
const indexFrom = 16

func (tx *transaction) empty() bool {
	return len(tx.touched) == 0 && len(tx.entries) == 0 && len(tx.files) == 0 && tx.version == nil && tx.working == 0
}

// Get implements luahost.Object.
func (tx *transaction) Get(key string) ([]byte, bool) { return tx.o.live.get(key) }

// Set implements luahost.Object.
func (tx *transaction) Set(key string, value []byte) error {
	if err := tx.charge(len(key) + len(value) + changeOverhead); err != nil {
		return err
	}
	tx.touch(key)
	tx.o.live.put(key, value)
	if limit := tx.o.d.Limits.State; tx.o.live.bytes > limit {
		return errs.New(errs.Limit, "state_limit", "The object's state would exceed %d bytes.", limit)
	}
	return nil
}

// Delete implements luahost.Object.
func (tx *transaction) Delete(key string) error {
	if err := tx.charge(len(key) + changeOverhead); err != nil {
		return err
	}
	tx.touch(key)
	tx.o.live.put(key, nil)
	return nil
}

// Range implements luahost.Object.
func (tx *transaction) Range(prefix, after string, reverse bool, yield func(key string, value []byte) bool) {
	tx.o.live.scan(prefix, after, reverse, yield)
}

// Log implements luahost.Object.
func (tx *transaction) Log(level storage.Level, message string, fields []byte) error {
	if err := tx.charge(len(message) + len(fields) + changeOverhead); err != nil {
		return err
	}
	return tx.append(level, message, fields)
}

func (tx *transaction) append(level storage.Level, message string, fields []byte) error {
	fields, err := withRequestID(fields, tx.requestID)
	if err != nil {
		return err
	}
	tx.entries = append(tx.entries, storage.Entry{
		Time: time.Now().UTC().Truncate(time.Microsecond), Level: level, Message: message, Fields: fields,
	})
	return nil
}

func (tx *transaction) charge(n int) error {
	tx.staged += n
	if limit := tx.o.d.Limits.Staged; tx.staged > limit {
		return errs.New(errs.Limit, "staged_limit", "The call would write more than %d bytes.", limit)
	}
	return nil
}

// touch remembers what a key was, once.
func (tx *transaction) touch(key string) {
	if tx.index != nil {
		if _, ok := tx.index[key]; ok {
			return
		}
		tx.index[key] = len(tx.touched)
	} else {
		for i := range tx.touched {
			if tx.touched[i].key == key {
				return
			}
		}
	}
	old, had := tx.o.live.get(key)
	tx.touched = append(tx.touched, change{key: key, old: old, had: had})
	if tx.index == nil && len(tx.touched) == indexFrom {
		tx.index = make(map[string]int, 2*indexFrom)
		for i := range tx.touched {
			tx.index[tx.touched[i].key] = i
		}
	}
}

// undo takes back the changes of state and files. What was logged stays.
func (tx *transaction) undo() {
	for _, u := range tx.touched {
		if u.had {
			tx.o.live.put(u.key, u.old)
		} else {
			tx.o.live.put(u.key, nil)
		}
	}
	tx.touched, tx.index = nil, nil
	tx.undoFiles()
}

// logFailure adds the entry that tells people why a call failed, where the
// script ran at all.
func (tx *transaction) logFailure(err error) {
	e := errs.From(err)
	fields := map[string]any{"code": e.CodeOf()}
	level := storage.Error
	switch e.Kind {
	case errs.Refused:
		level = storage.Warning
		fields["status"] = e.HTTPStatus()
	case errs.Script, errs.Limit, errs.Timeout:
	default:
		return
	}
	if e.Traceback != "" {
		fields["traceback"] = e.Traceback
	}
	if e.Line > 0 {
		fields["line"] = e.Line
	}
	encoded, encErr := json.Marshal(fields)
	if encErr == nil {
		encErr = tx.append(level, e.Text(), encoded)
	}
	if encErr != nil {
		tx.o.d.Log.Error("a failure could not be logged", "object", tx.o.id, "error", encErr)
	}
}

var requestIDKey = []byte(`"request_id"`)

// withRequestID puts the request id into the fields of an entry. It is the
// station's word: a field of that name by the script is dropped.
func withRequestID(fields []byte, requestID string) ([]byte, error) {
	if requestID == "" {
		return fields, nil
	}
	if bytes.Contains(fields, requestIDKey) {
		var all map[string]json.RawMessage
		if err := json.Unmarshal(fields, &all); err != nil {
			return nil, errs.Wrap(errs.Internal, "dispatch.Log", err, "The fields of a log entry are no JSON object.")
		}
		delete(all, "request_id")
		cleaned, err := json.Marshal(all)
		if err != nil {
			return nil, errs.Wrap(errs.Internal, "dispatch.Log", err, "The fields of a log entry cannot be encoded.")
		}
		fields = cleaned
	}
	out := make([]byte, 0, len(fields)+len(requestID)+20)
	out = append(out, '{')
	out = append(append(out, requestIDKey...), ':')
	out = strconv.AppendQuote(out, requestID) // its bytes were checked: JSON quotes them alike
	if len(fields) > 2 {
		out = append(append(out, ','), fields[1:]...)
		return out, nil
	}
	return append(out, '}'), nil
}

package storage

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
)

// MaxKey is the most bytes of a key.
const MaxKey = 512

// Tip is the end of an object's history: what its next commit has to follow. The
// zero value is that of an object without a commit.
type Tip struct {
	Incarnation uint64
	Sequence    uint64
	HomeEpoch   uint64
	Head        uint64 // number of the newest source version, across incarnations
}

// Check says why a commit does not follow; failed says that an earlier commit
// of the object in the same batch was not stored. What CheckCommit says is said
// before. Errors: errs.StaleEpoch, errs.OutOfSequence, errs.Invalid.
func (t *Tip) Check(c *Commit, failed bool) error {
	switch {
	case c.Incarnation < t.Incarnation:
		return errs.New(errs.StaleEpoch, "", "Object %q is in incarnation %d; the change is of incarnation %d.", c.Object, t.Incarnation, c.Incarnation)
	case c.Incarnation == t.Incarnation && c.HomeEpoch < t.HomeEpoch:
		return errs.New(errs.StaleEpoch, "", "Object %q is in home epoch %d; the change is of epoch %d.", c.Object, t.HomeEpoch, c.HomeEpoch)
	case failed:
		return errs.New(errs.OutOfSequence, "", "An earlier change of object %q was not stored.", c.Object)
	case c.Sequence != t.Sequence+1:
		return errs.New(errs.OutOfSequence, "", "The next sequence of object %q is %d, not %d.", c.Object, t.Sequence+1, c.Sequence)
	case c.Version != nil && c.Version.Number != t.Head+1:
		return errs.New(errs.Invalid, "", "The next version of object %q is %d, not %d.", c.Object, t.Head+1, c.Version.Number)
	case c.Working > t.Head && (c.Version == nil || c.Working != c.Version.Number):
		return errs.New(errs.Invalid, "", "The script file of object %q cannot hold version %d: there is none.", c.Object, c.Working)
	}
	return nil
}

// CheckCommit is the part of a commit's validity that does not depend on what
// is stored. The kernel has checked ids and values before; a store that wrote what
// it cannot read again would lose it. Errors: errs.Invalid.
func CheckCommit(c *Commit) error {
	if _, err := id.ParseObject(string(c.Object)); err != nil {
		return err
	}
	if c.Incarnation == 0 || c.Sequence == 0 {
		return errs.New(errs.Invalid, "", "Incarnations and sequences begin at 1.")
	}
	if !validStamp(c.Stamp) {
		return errs.New(errs.Invalid, "", "The stamp of a change of object %q names no station.", c.Object)
	}
	for i := range c.State {
		if err := checkChange(&c.State[i]); err != nil {
			return err
		}
	}
	if twice(len(c.State), func(i int) string { return c.State[i].Key }) {
		return errs.New(errs.Invalid, "", "One change of object %q names a key twice.", c.Object)
	}
	for i := range c.Entries {
		if err := checkEntry(&c.Entries[i]); err != nil {
			return err
		}
	}
	if v := c.Version; v != nil {
		if v.Number == 0 || v.Hash != Hash(v.Text) || !validYear(v.Time) {
			return errs.New(errs.Invalid, "", "The number, time or hash of version %d of object %q is wrong.", v.Number, c.Object)
		}
		if err := CheckUses(v.Uses); err != nil {
			return err
		}
	}
	return checkFiles(c)
}

func checkChange(c *StateChange) error {
	switch {
	case len(c.Key) == 0 || len(c.Key) > MaxKey || !utf8.ValidString(c.Key):
		return errs.New(errs.Invalid, "bad_key", "A key is 1 to %d bytes of UTF-8.", MaxKey)
	case c.Deleted && len(c.Value) > 0:
		return errs.New(errs.Invalid, "", "The deletion of key %q has a value.", c.Key)
	case !c.Deleted && !ValidJSON(c.Value):
		return errs.New(errs.Invalid, "", "The value of key %q is not JSON.", c.Key)
	case !validStamp(c.Stamp):
		return errs.New(errs.Invalid, "", "The stamp of key %q names no station.", c.Key)
	case c.Was != hlc.Stamp{} && (!validStamp(c.Was) || c.Was.Compare(c.Stamp) >= 0):
		return errs.New(errs.Invalid, "", "Key %q would be replaced by an earlier change.", c.Key)
	}
	return nil
}

func checkEntry(e *Entry) error {
	_, err := id.ParseStation(string(e.ID.Station))
	switch {
	case err != nil || e.ID.Boot == 0 || e.ID.Sequence == 0:
		return errs.New(errs.Invalid, "bad_entry_id", "%q is not the id of a log entry.", e.ID)
	case !e.Level.Known():
		return errs.New(errs.Invalid, "", "%q is not a log level.", e.Level)
	case !validYear(e.Time):
		return errs.New(errs.Invalid, "", "The time of log entry %q is out of range.", e.ID)
	case len(e.Fields) > 0 && !IsJSONObject(e.Fields):
		return errs.New(errs.Invalid, "", "The fields of log entry %q are not a JSON object.", e.ID)
	}
	return nil
}

func checkFiles(c *Commit) error {
	for i := range c.Files {
		f := &c.Files[i]
		if err := CheckFile(&f.File); err != nil {
			return err
		}
		if f.Deleted != (f.Upload == "") {
			return errs.New(errs.Invalid, "no_upload", "There is no upload %q of object %q.", f.Upload, c.Object)
		}
	}
	if twice(len(c.Files), func(i int) string { return c.Files[i].Name }) {
		return errs.New(errs.Invalid, "", "One change of object %q names a file twice.", c.Object)
	}
	return nil
}

// twice reports whether two of n names are the same.
func twice(n int, name func(i int) string) bool {
	if n <= 8 {
		for i := range n {
			for j := range i {
				if name(i) == name(j) {
					return true
				}
			}
		}
		return false
	}
	seen := make(map[string]struct{}, n)
	for i := range n {
		seen[name(i)] = struct{}{}
	}
	return len(seen) != n
}

func validStamp(s hlc.Stamp) bool {
	_, err := id.ParseStation(string(s.Station))
	return err == nil
}

func validYear(t time.Time) bool {
	y := t.UTC().Year()
	return y >= 0 && y <= 9999
}

// CheckLimit says why a number is no Limit of a query. Errors: errs.Invalid.
func CheckLimit(n int) error {
	if n < 1 || n > MaxPage {
		return errs.New(errs.Invalid, "bad_limit", "A limit is 1 to %d, not %d.", MaxPage, n)
	}
	return nil
}

// ValidJSON reports whether b is one JSON value in UTF-8.
func ValidJSON(b []byte) bool { return json.Valid(b) && utf8.Valid(b) }

// IsJSONObject reports whether b is a JSON object in UTF-8.
func IsJSONObject(b []byte) bool {
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c == '{' && ValidJSON(b)
		}
	}
	return false
}

package storagetest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"unicode/utf8"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// checkCommit is the part of a commit's validity that does not depend on what
// is stored. Its errors are errs.Invalid.
func checkCommit(c *storage.Commit) error {
	if _, err := id.ParseObject(string(c.Object)); err != nil {
		return err
	}
	if c.Incarnation == 0 || c.Sequence == 0 {
		return errs.New(errs.Invalid, "", "Incarnations and sequences begin at 1.")
	}
	if !validStamp(c.Stamp) {
		return errs.New(errs.Invalid, "", "The stamp names no station.")
	}
	keys := map[string]bool{}
	for _, ch := range c.State {
		switch {
		case len(ch.Key) == 0 || len(ch.Key) > 512 || !utf8.ValidString(ch.Key):
			return errs.New(errs.Invalid, "", "A key is 1 to 512 bytes of UTF-8.")
		case keys[ch.Key]:
			return errs.New(errs.Invalid, "", "The key %q stands twice in one commit.", ch.Key)
		case ch.Deleted && len(ch.Value) > 0, !ch.Deleted && !validJSON(ch.Value):
			return errs.New(errs.Invalid, "", "The value of %q is not JSON.", ch.Key)
		case !validStamp(ch.Stamp):
			return errs.New(errs.Invalid, "", "The stamp of %q names no station.", ch.Key)
		}
		keys[ch.Key] = true
	}
	for _, e := range c.Entries {
		if err := checkEntry(e); err != nil {
			return err
		}
	}
	if v := c.Version; v != nil {
		if sum := sha256.Sum256(v.Text); v.Number == 0 || v.Hash != hex.EncodeToString(sum[:]) || !validYear(v.Time.UTC().Year()) {
			return errs.New(errs.Invalid, "", "The version's number, time or hash is wrong.")
		}
		if err := storage.CheckUses(v.Uses); err != nil {
			return err
		}
	}
	return checkFiles(c)
}

func checkEntry(e storage.Entry) error {
	_, err := id.ParseStation(string(e.ID.Station))
	switch {
	case err != nil || e.ID.Boot == 0 || e.ID.Sequence == 0:
		return errs.New(errs.Invalid, "", "%q is not an entry id.", e.ID)
	case !e.Level.Known():
		return errs.New(errs.Invalid, "", "%q is not a log level.", e.Level)
	case !validYear(e.Time.UTC().Year()):
		return errs.New(errs.Invalid, "", "The entry's time is out of range.")
	case len(e.Fields) > 0 && (!validJSON(e.Fields) || firstByte(e.Fields) != '{'):
		return errs.New(errs.Invalid, "", "The entry's fields are not a JSON object.")
	}
	return nil
}

func validStamp(s hlc.Stamp) bool {
	_, err := id.ParseStation(string(s.Station))
	return err == nil
}

func validJSON(b []byte) bool { return json.Valid(b) && utf8.Valid(b) }

func validYear(y int) bool { return y >= 0 && y <= 9999 }

// firstByte is the first byte of valid JSON that is not white space.
func firstByte(b []byte) byte {
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c
		}
	}
	return 0
}

package storagetsv

import (
	"time"

	"github.com/dbbasic/station/sdk/storage"
	forms "github.com/dbbasic/station/sdk/storage/text"
)

// The lines of the store are those of package text of the sdk, which archives
// share. These are short names for its parts.
type verdict = forms.Verdict

const (
	whole   = forms.Whole
	byHand  = forms.ByHand
	damaged = forms.Damaged

	stateHeader    = forms.StateHeader
	logHeader      = forms.LogHeader
	versionsHeader = forms.VersionsHeader
	indexHeader    = forms.FilesHeader

	stateColumns    = forms.StateColumns
	logColumns      = forms.LogColumns
	versionsColumns = forms.VersionsColumns
	indexColumns    = forms.FilesColumns
)

var castagnoli = forms.Castagnoli

func appendText[T string | []byte](b []byte, s T) []byte { return forms.Append(b, s) }
func text(col []byte) ([]byte, bool)                     { return forms.Parse(col) }
func appendNumber(b []byte, n uint64) []byte             { return forms.AppendNumber(b, n) }
func number(b []byte) (uint64, bool)                     { return forms.ParseNumber(b) }
func appendTime(b []byte, t time.Time) []byte            { return forms.AppendTime(b, t) }
func appendMicro(b []byte, us int64) []byte              { return forms.AppendTime(b, time.UnixMicro(us)) }
func parseTime(b []byte) (time.Time, bool)               { return forms.ParseTime(b) }
func appendHex32(b []byte, n uint32) []byte              { return forms.AppendHex32(b, n) }
func parseHex32(b []byte) (uint32, bool)                 { return forms.ParseHex32(b) }
func seal(b []byte, start int) []byte                    { return forms.Seal(b, start) }
func split(line []byte, cols [][]byte) verdict           { return forms.Split(line, cols) }

func appendChange(b []byte, c *storage.StateChange) []byte { return forms.AppendChange(b, c) }
func appendEntry(b []byte, e *storage.Entry) []byte        { return forms.AppendEntry(b, e) }
func appendVersion(b []byte, v *storage.Version) []byte    { return forms.AppendVersion(b, v) }
func appendFile(b []byte, f *storage.File) []byte          { return forms.AppendFile(b, f) }

func parseChange(cols [][]byte, how verdict) (storage.StateChange, bool) {
	return forms.ParseChange(cols, how)
}

func parseEntry(cols [][]byte, how verdict) (storage.Entry, bool) { return forms.ParseEntry(cols, how) }
func parseVersion(cols [][]byte) (storage.Version, bool)          { return forms.ParseVersion(cols) }
func parseFile(cols [][]byte) (storage.File, bool)                { return forms.ParseFile(cols) }

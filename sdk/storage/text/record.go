package text

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// The first lines of tables of keys, entries, versions and files, and how many
// columns come before the checksum.
const (
	StateHeader    = "key\tvalue\tstamp\tcrc\n"
	LogHeader      = "entry_id\ttimestamp\tlevel\tmessage\tfields\tcrc\n"
	VersionsHeader = "number\ttimestamp\tauthor\tmessage\thash\tcrc\n"
	FilesHeader    = "name\ttype\tsize\thash\ttimestamp\tstamp\tcrc\n"

	StateColumns    = 3
	LogColumns      = 5
	VersionsColumns = 5
	FilesColumns    = 6
)

// AppendNumber appends a decimal number.
func AppendNumber(b []byte, n uint64) []byte { return strconv.AppendUint(b, n, 10) }

// ParseNumber reads a decimal number.
func ParseNumber(b []byte) (uint64, bool) {
	n, err := strconv.ParseUint(string(b), 10, 64)
	return n, err == nil
}

// AppendChange appends the columns of a key: its Was is not among them.
func AppendChange(b []byte, c *storage.StateChange) []byte {
	b = append(Append(b, c.Key), '\t')
	if !c.Deleted {
		b = Append(b, c.Value)
	}
	return c.Stamp.AppendTo(append(b, '\t'))
}

// ParseChange reads the columns of a key; an empty value is a tombstone. What a
// program wrote is JSON; what a person wrote may not be, and is looked at.
func ParseChange(cols [][]byte, how Verdict) (c storage.StateChange, ok bool) {
	key, ok1 := Parse(cols[0])
	value, ok2 := Parse(cols[1])
	stamp, err := hlc.Parse(string(cols[2]))
	if !ok1 || !ok2 || err != nil || len(key) == 0 || len(key) > storage.MaxKey || !utf8.Valid(key) {
		return c, false
	}
	c = storage.StateChange{Key: string(key), Value: value, Stamp: stamp}
	if len(value) == 0 {
		c.Value, c.Deleted = nil, true
	}
	return c, how == Whole || c.Deleted || storage.ValidJSON(value)
}

// AppendEntry appends the columns of a log entry.
func AppendEntry(b []byte, e *storage.Entry) []byte {
	b = append(e.ID.AppendTo(b), '\t')
	b = append(AppendTime(b, e.Time), '\t')
	b = append(append(b, e.Level...), '\t')
	b = append(Append(b, e.Message), '\t')
	return Append(b, e.Fields)
}

// ParseEntry reads the columns of a log entry. What a program wrote has a JSON
// object as fields; what a person wrote may not, and is looked at.
func ParseEntry(cols [][]byte, how Verdict) (e storage.Entry, ok bool) {
	n, err := id.ParseEntry(string(cols[0]))
	t, ok1 := ParseTime(cols[1])
	message, ok2 := Parse(cols[3])
	fields, ok3 := Parse(cols[4])
	level := storage.Level(cols[2])
	if err != nil || !ok1 || !ok2 || !ok3 || !level.Known() {
		return e, false
	}
	e = storage.Entry{ID: n, Time: t, Level: level, Message: string(message)}
	if len(fields) > 0 {
		if how != Whole && !storage.IsJSONObject(fields) {
			return e, false
		}
		e.Fields = fields
	}
	return e, true
}

// AppendVersion appends the columns of a version, its text aside. The modules
// that it uses follow its hash: "<hash> lib_text@3 lib_time@1".
func AppendVersion(b []byte, v *storage.Version) []byte {
	b = append(AppendNumber(b, v.Number), '\t')
	b = append(AppendTime(b, v.Time), '\t')
	b = append(Append(b, v.Author), '\t')
	b = append(Append(b, v.Message), '\t')
	b = append(b, v.Hash...)
	for _, u := range v.Uses {
		b = append(append(b, ' '), u.Module...)
		b = AppendNumber(append(b, '@'), u.Version)
	}
	return b
}

// ParseVersion reads the columns of a version.
func ParseVersion(cols [][]byte) (v storage.Version, ok bool) {
	n, ok1 := ParseNumber(cols[0])
	t, ok2 := ParseTime(cols[1])
	author, ok3 := Parse(cols[2])
	message, ok4 := Parse(cols[3])
	hash, rest, more := bytes.Cut(cols[4], []byte(" "))
	if !ok1 || !ok2 || !ok3 || !ok4 || len(hash) != 64 || n == 0 {
		return v, false
	}
	v = storage.Version{Number: n, Time: t, Author: string(author), Message: string(message), Hash: string(hash)}
	for more {
		var use []byte
		use, rest, more = bytes.Cut(rest, []byte(" "))
		module, number, _ := bytes.Cut(use, []byte("@"))
		n, ok := ParseNumber(number)
		if !ok || len(v.Uses) == storage.MaxUses {
			return storage.Version{}, false
		}
		v.Uses = append(v.Uses, storage.Use{Module: id.Object(module), Version: n})
	}
	return v, storage.CheckUses(v.Uses) == nil
}

// AppendFile appends the columns of a file.
func AppendFile(b []byte, f *storage.File) []byte {
	b = append(Append(b, f.Name), '\t')
	b = append(Append(b, f.Type), '\t')
	b = append(AppendNumber(b, uint64(f.Size)), '\t')
	b = append(append(b, f.Hash...), '\t')
	b = append(AppendTime(b, f.Time), '\t')
	return f.Stamp.AppendTo(b)
}

// ParseFile reads the columns of a file; an empty hash is a tombstone. The name
// has passed storage.CheckFile, whoever wrote it.
func ParseFile(cols [][]byte) (f storage.File, ok bool) {
	name, ok1 := Parse(cols[0])
	media, ok2 := Parse(cols[1])
	size, ok3 := ParseNumber(cols[2])
	t, ok4 := ParseTime(cols[4])
	stamp, err := hlc.Parse(string(cols[5]))
	f = storage.File{Name: string(name), Type: string(media), Size: int64(size), Hash: string(cols[3]), Time: t, Stamp: stamp, Deleted: len(cols[3]) == 0}
	return f, ok1 && ok2 && ok3 && ok4 && err == nil && size < 1<<62 && storage.CheckFile(&f) == nil
}

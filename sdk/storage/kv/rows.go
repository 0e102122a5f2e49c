package kv

import (
	"encoding/binary"
	"strconv"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/text"
)

// Keys begin with the table that they are of.
const (
	metaTable   = 'm' // name: value
	objectTable = 'o' // object: record
	bucketTable = 'g' // bucket: what it holds of all objects
	doomedTable = 'd' // space: that it is to be taken away
	spaceTable  = 's' // space and row
)

// Rows of a space that holds one life of an object. A space that holds the bytes
// of a file has a row of each chunk, under its number.
const (
	stateRow   = 'k' // key: its line
	entryRow   = 'l' // position: the newest time up to it, and its line
	versionRow = 'v' // number: its line
	sourceRow  = 't' // number: the text; none where that is empty
	fileRow    = 'f' // name: its line, and the space of its bytes
	sumRow     = 'b' // bucket: what it holds of the object
)

// formatVersion is the version of the rows that this package writes, and the newest it reads.
const formatVersion = 1

// chunkSize is how many bytes of a file stand in one row.
const chunkSize = 256 << 10

func key(table byte, name string) []byte { return append([]byte{table}, name...) }

func objectKey(o id.Object) []byte { return key(objectTable, string(o)) }

func bucketKey(b uint8) []byte { return []byte{bucketTable, b} }

func doomedKey(space uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{doomedTable}, space)
}

func spaceKey(space uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{spaceTable}, space)
}

func rowKey(space uint64, row byte, name string) []byte {
	return append(append(spaceKey(space), row), name...)
}

func numberKey(space uint64, row byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(spaceKey(space), row), n)
}

func sumKey(space uint64, b uint8) []byte { return append(spaceKey(space), sumRow, b) }

func chunkKey(space, n uint64) []byte {
	return binary.BigEndian.AppendUint64(spaceKey(space), n)
}

// rowPrefix is how many bytes stand before the name in the key of a row.
const rowPrefix = 1 + 8 + 1

// after gives the first key behind all that begin with prefix.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; ; i-- { // a key begins with a letter, so that this ends
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
}

// sealed ends a line as package text does, without the newline.
func sealed(b []byte) []byte {
	b = text.Seal(b, 0)
	return b[:len(b)-1]
}

// cut gives the columns of a line that was written by a program and is whole.
func cut(line []byte, columns int) (cols [][]byte, ok bool) {
	cols = make([][]byte, columns)
	return cols, text.Split(line, cols) == text.Whole
}

func corrupt(object id.Object, what string) error {
	return errs.New(errs.Corrupt, "", "What the database holds of object %q is damaged: %s.", object, what)
}

// meta is what a database knows of itself.
type meta struct {
	format  uint64
	station id.Station
	boot    uint64
	floor   uint64   // boots up to this one are not given out
	high    hlc.Time // the highest stamp time
	next    uint64   // the space that is made next
}

func readMeta(r Reader) (m meta, err error) {
	station, err := r.Get(key(metaTable, "station"))
	m.station = id.Station(station)
	for name, to := range map[string]*uint64{"format": &m.format, "boot": &m.boot, "floor": &m.floor, "high": (*uint64)(&m.high), "next": &m.next} {
		v, gerr := r.Get(key(metaTable, name))
		if err == nil {
			err = gerr
		}
		n, ok := text.ParseNumber(v)
		if err == nil && !ok && v != nil {
			err = errs.New(errs.Corrupt, "", "What the database says of itself is damaged: %s is %q.", name, v)
		}
		*to = n
	}
	return m, err
}

func (m *meta) put(w Writer) error {
	if err := w.Put(key(metaTable, "station"), []byte(m.station)); err != nil {
		return err
	}
	for name, n := range map[string]uint64{"format": m.format, "boot": m.boot, "floor": m.floor, "high": uint64(m.high), "next": m.next} {
		if err := putNumber(w, name, n); err != nil {
			return err
		}
	}
	return nil
}

func putNumber(w Writer, name string, n uint64) error {
	return w.Put(key(metaTable, name), strconv.AppendUint(nil, n, 10))
}

// record is the row of an object: where its history stands.
type record struct {
	storage.Tip
	hash     string // of version Head, empty where an older incarnation made it
	working  uint64
	space    uint64      // of its present life
	ownBoot  uint64      // the boot that own is of
	own      uint64      // the highest sequence of an entry of this station and boot
	entries  uint64      // how many entries its life has
	newest   int64       // the newest time of them, in microseconds
	contents storage.Sum // of its digest
}

const recordColumns = 12

func (r *record) append(b []byte) []byte {
	for _, n := range [...]uint64{r.Incarnation, r.Sequence, r.HomeEpoch, r.Head} {
		b = append(text.AppendNumber(b, n), '\t')
	}
	b = append(append(b, r.hash...), '\t')
	for _, n := range [...]uint64{r.working, r.space, r.ownBoot, r.own, r.entries} {
		b = append(text.AppendNumber(b, n), '\t')
	}
	b = append(strconv.AppendInt(b, r.newest, 10), '\t')
	return sealed(r.contents.AppendTo(b))
}

func parseRecord(line []byte) (r record, ok bool) {
	cols, ok := cut(line, recordColumns)
	if !ok {
		return r, false
	}
	for i, to := range map[int]*uint64{0: &r.Incarnation, 1: &r.Sequence, 2: &r.HomeEpoch, 3: &r.Head, 5: &r.working, 6: &r.space, 7: &r.ownBoot, 8: &r.own, 9: &r.entries} {
		if *to, ok = text.ParseNumber(cols[i]); !ok {
			return r, false
		}
	}
	r.hash = string(cols[4])
	var err error
	if r.newest, err = strconv.ParseInt(string(cols[10]), 10, 64); err != nil {
		return r, false
	}
	r.contents, ok = storage.ParseSum(cols[11])
	return r, ok
}

// readRecord gives the row of an object; nil where there is none.
func readRecord(r Reader, o id.Object) (*record, error) {
	line, err := r.Get(objectKey(o))
	if err != nil || line == nil {
		return nil, err
	}
	rec, ok := parseRecord(line)
	if !ok {
		return nil, corrupt(o, "its row cannot be read")
	}
	return &rec, nil
}

func (r *record) info(o id.Object) storage.ObjectInfo {
	return storage.ObjectInfo{Object: o, Incarnation: r.Incarnation, Sequence: r.Sequence, Head: r.Head, Hash: r.hash, Working: r.working}
}

func stateLine(c *storage.StateChange) []byte { return sealed(text.AppendChange(nil, c)) }

func parseState(line []byte) (storage.StateChange, bool) {
	cols, ok := cut(line, text.StateColumns)
	if !ok {
		return storage.StateChange{}, false
	}
	return text.ParseChange(cols, text.Whole)
}

// entryLine is an entry behind the newest time of the log up to it.
func entryLine(newest int64, e *storage.Entry) []byte {
	line := sealed(text.AppendEntry(nil, e))
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(line)), uint64(newest)), line...)
}

// newestAt gives the newest time of a log up to the entry of a row.
func newestAt(row []byte) (int64, bool) {
	if len(row) < 8 {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(row)), true
}

func parseEntry(row []byte) (storage.Entry, bool) {
	if len(row) < 8 {
		return storage.Entry{}, false
	}
	cols, ok := cut(row[8:], text.LogColumns)
	if !ok {
		return storage.Entry{}, false
	}
	return text.ParseEntry(cols, text.Whole)
}

func versionLine(v *storage.Version) []byte { return sealed(text.AppendVersion(nil, v)) }

func parseVersion(line []byte) (storage.Version, bool) {
	cols, ok := cut(line, text.VersionsColumns)
	if !ok {
		return storage.Version{}, false
	}
	return text.ParseVersion(cols)
}

// file is what a row says of a file: its bytes are in a space of their own, 0 for
// a tombstone.
type file struct {
	storage.File
	bytes uint64
}

func (f *file) line() []byte {
	return sealed(text.AppendNumber(append(text.AppendFile(nil, &f.File), '\t'), f.bytes))
}

func parseFile(line []byte) (f file, ok bool) {
	cols, ok := cut(line, text.FilesColumns+1)
	if !ok {
		return f, false
	}
	f.File, ok = text.ParseFile(cols[:text.FilesColumns])
	n, okay := text.ParseNumber(cols[text.FilesColumns])
	f.bytes = n
	return f, ok && okay
}

// readFile gives the row of a file; nil where there is none.
func readFile(r Reader, o id.Object, space uint64, name string) (*file, error) {
	line, err := r.Get(rowKey(space, fileRow, name))
	if err != nil || line == nil {
		return nil, err
	}
	f, ok := parseFile(line)
	if !ok {
		return nil, corrupt(o, "the row of file "+strconv.Quote(name)+" cannot be read")
	}
	return &f, nil
}

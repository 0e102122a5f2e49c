// Package archive is how an object travels and is kept as one stream: a tar
// file whose parts are text that cat, an editor and diff understand, but for
// what people put into files.
//
//	object.tsv             name value crc: format, object, incarnation, sequence, home_epoch, head
//	state.tsv              key value stamp crc, in the order of the keys, tombstones included
//	versions/metadata.tsv  number timestamp author message hash crc, oldest first; modules in use follow the hash: "hash lib_text@3"
//	versions/v1.lua …      the source texts
//	files/index.tsv        name type size hash timestamp stamp crc, in the order of the names, tombstones included
//	files/000001 …         the bytes of each line of the index that is no tombstone, in that order
//	logs/000001.tsv …      entry_id timestamp level message fields crc, oldest first, about 1 MiB each
//	end.tsv                name value crc: keys, versions, files, entries
//
// Lines are those of package text. The parts stand in this order, and the last
// one says how many there were of each, so that a stream that was cut is noticed.
// Names of parts are the archive's own: nothing in it is a path.
package archive

import (
	"github.com/dbbasic/station/sdk/id"
)

// Format is the version of the format that this package writes, and the newest it reads.
const Format = 1

// Header says which object an archive holds, as of which commit.
type Header struct {
	Object      id.Object
	Incarnation uint64
	Sequence    uint64
	HomeEpoch   uint64
	Head        uint64 // number of the newest source version, 0 without one
}

// The names of the parts.
const (
	objectPart  = "object.tsv"
	statePart   = "state.tsv"
	metaPart    = "versions/metadata.tsv"
	indexPart   = "files/index.tsv"
	endPart     = "end.tsv"
	valueHeader = "name\tvalue\tcrc\n"

	valueColumns = 2
)

// logPart is about how many bytes of lines one part of the log has.
const logPart = 1 << 20

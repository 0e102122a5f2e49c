package kv

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dbbasic/station/sdk/id"
)

// Small makes pages, transactions and chunks small, so that little data has many.
func (s *Store) Small() {
	s.limits = limits{rows: 20, bytes: 4 << 10, time: time.Minute, piece: 1000, pieceRows: 5, chunk: 300}
}

// Sweep takes away what is doomed and not in use, as the sweeper does.
func (s *Store) Sweep() { s.sweep(func() bool { return false }) }

// StateKey, EntryKey and ChunkKey give keys of rows of an object's present life.
func StateKey(r Reader, o id.Object, name string) []byte {
	return rowKey(must(r, o).space, stateRow, name)
}

func EntryKey(r Reader, o id.Object, n uint64) []byte {
	return numberKey(must(r, o).space, entryRow, n)
}

func SourceKey(r Reader, o id.Object, n uint64) []byte {
	return numberKey(must(r, o).space, sourceRow, n)
}

func ChunkKey(r Reader, o id.Object, name string, n uint64) []byte {
	f, err := readFile(r, o, must(r, o).space, name)
	if err != nil || f == nil {
		panic(fmt.Sprint("no file ", name, err))
	}
	return chunkKey(f.bytes, n)
}

func must(r Reader, o id.Object) *record {
	rec, err := readRecord(r, o)
	if err != nil || rec == nil {
		panic(fmt.Sprint("no object ", o, err))
	}
	return rec
}

// Lost names the spaces that have rows and belong to nothing: neither an object's,
// nor a file's, nor doomed. Doomed is how many are.
func Lost(db DB) (lost []uint64, doomed int, err error) {
	err = db.View(func(r Reader) error {
		known, found := map[uint64]bool{}, map[uint64]bool{}
		if err := r.Range([]byte{doomedTable}, after([]byte{doomedTable}), false, func(k, _ []byte) bool {
			known[binary.BigEndian.Uint64(k[1:])] = true
			doomed++
			return true
		}); err != nil {
			return err
		}
		var lives []uint64
		if err := r.Range([]byte{objectTable}, after([]byte{objectTable}), false, func(_, v []byte) bool {
			rec, _ := parseRecord(v)
			lives = append(lives, rec.space)
			return true
		}); err != nil {
			return err
		}
		lives = append(lives, keysOf(known)...) // what is doomed names its files, too
		for _, space := range lives {
			known[space] = true
			from := rowKey(space, fileRow, "")
			if err := r.Range(from, after(from), false, func(_, v []byte) bool {
				f, _ := parseFile(v)
				known[f.bytes] = true
				return true
			}); err != nil {
				return err
			}
		}
		if err := r.Range([]byte{spaceTable}, after([]byte{spaceTable}), false, func(k, _ []byte) bool {
			found[binary.BigEndian.Uint64(k[1:])] = true
			return true
		}); err != nil {
			return err
		}
		for space := range found {
			if !known[space] {
				lost = append(lost, space)
			}
		}
		return nil
	})
	return lost, doomed, err
}

func keysOf(m map[uint64]bool) (list []uint64) {
	for k := range m {
		list = append(list, k)
	}
	return list
}

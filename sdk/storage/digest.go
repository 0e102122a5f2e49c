package storage

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
)

// Sum is a hash of a set that does not depend on the order in which its items
// came, and from which an item can be taken out again: two lanes of 64 bits, each
// the sum of its items' hashes modulo 2^64 (the additive multiset hash of Clarke
// et al., "Incremental Multiset Hash Functions and Their Application to Memory
// Integrity Checking", 2003). It finds differences between stations that trust
// each other; it does not withstand one that forges items.
type Sum [2]uint64

// Add puts the items of o in.
func (s *Sum) Add(o Sum) { s[0] += o[0]; s[1] += o[1] }

// Sub takes the items of o out.
func (s *Sum) Sub(o Sum) { s[0] -= o[0]; s[1] -= o[1] }

// String gives 32 hex digits.
func (s Sum) String() string { return string(s.AppendTo(nil)) }

// AppendTo appends the text form.
func (s Sum) AppendTo(b []byte) []byte {
	return hex.AppendEncode(b, s.appendRaw(nil))
}

// ParseSum reads the text form.
func ParseSum(text []byte) (s Sum, ok bool) {
	var raw [sumSize]byte
	if len(text) != 2*len(raw) {
		return s, false
	}
	if _, err := hex.Decode(raw[:], text); err != nil {
		return s, false
	}
	return sumFrom(raw[:]), true
}

const sumSize = 16 // bytes

func (s Sum) appendRaw(b []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, s[0]), s[1])
}

func sumFrom(b []byte) Sum { return Sum{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])} }

// Buckets is how many parts a digest divides its items into.
const Buckets = 256

// Digest sums up what replicas of an object have to agree on: its present keys
// with their stamps, tombstones included, and the ids of its log entries. Sum is
// the sum of all Buckets, which tell where two digests differ.
type Digest struct {
	Sum     Sum
	Buckets [Buckets]Sum
}

// StateItem is the item of one key of an object's state, as of a stamp. A stamp
// names one change, so that the value needs no hash.
func StateItem(object id.Object, incarnation uint64, key string, stamp hlc.Stamp) Sum {
	b := appendLife(object, incarnation, 's')
	b = append(append(b, key...), 0)
	return sumOf(stamp.AppendTo(b))
}

// LogItem is the item of one log entry of an object; entry is its id's text.
func LogItem(object id.Object, incarnation uint64, entry []byte) Sum {
	return sumOf(append(appendLife(object, incarnation, 'l'), entry...))
}

func appendLife(object id.Object, incarnation uint64, kind byte) []byte {
	b := make([]byte, 0, 256)
	b = append(append(b, object...), 0)
	return append(binary.BigEndian.AppendUint64(b, incarnation), kind)
}

func sumOf(b []byte) Sum {
	h := sha256.Sum256(b)
	return sumFrom(h[:])
}

// Bucket says which bucket an item is in: of an object's digest by its key or
// entry id, of a whole store's by its object's id. It is the low byte of FNV-1a.
func Bucket[T string | []byte](name T) uint8 {
	const offset, prime = 2166136261, 16777619 // of FNV-1a with 32 bits
	h := uint32(offset)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * prime
	}
	return uint8(h)
}

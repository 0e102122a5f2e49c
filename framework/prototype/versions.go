package prototype

import (
	"crypto/md5"  //nolint:gosec // to recognise a hash of the prototype, not to protect anything
	"crypto/sha1" //nolint:gosec // as md5
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/storage"
)

// text is a source text in the folder.
type text struct {
	name string
	size int64
	time time.Time
}

// endings are those of source texts; of several texts of one number the first counts.
var endings = []string{".txt", ".py", ".lua"}

var (
	versionColumns = []string{"version_id", "timestamp", "author", "message", "hash"}
	versionAliases = map[string]string{
		"version": "version_id", "number": "version_id", "id": "version_id", "time": "timestamp", "date": "timestamp", "created_at": "timestamp",
		"user": "author", "comment": "message", "description": "message", "sha256": "hash", "content_hash": "hash", "checksum": "hash",
	}
)

// hasText takes a file vN.txt, vN.py or vN.lua, N without leading zeros.
func (o *Object) hasText(info fs.FileInfo) bool {
	for _, ending := range endings {
		digits, ok := strings.CutSuffix(info.Name(), ending)
		n, isNumber := versionNumber(digits)
		if !ok || !isNumber || !strings.HasPrefix(digits, "v") {
			continue
		}
		o.texts[n] = append(o.texts[n], text{info.Name(), info.Size(), micro(info.ModTime())})
		return true
	}
	return false
}

// chooseTexts keeps one text of each number.
func (s *survey) chooseTexts(o *Object) {
	rank := func(t text) int {
		return slices.IndexFunc(endings, func(e string) bool { return strings.HasSuffix(t.name, e) })
	}
	for _, n := range slices.Sorted(maps.Keys(o.texts)) {
		all := o.texts[n]
		slices.SortFunc(all, func(a, b text) int { return rank(a) - rank(b) })
		for _, t := range all[1:] {
			s.left(Versions, o.ID, o.path(Versions, t.name), "there is also "+all[0].name+", which was taken as this version")
		}
		o.texts[n] = all[:1]
		o.VersionBytes += all[0].size
	}
}

// versionNumber reads 7 or v7.
func versionNumber(s string) (uint64, bool) {
	s = strings.TrimPrefix(s, "v")
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && strconv.FormatUint(n, 10) == s
}

// metadata is a row of metadata.tsv.
type metadata struct {
	storage.Version // Time is zero where it cannot be read, Hash as it stands
	line            int
	raw             string
}

// Versions gives the object's source versions, oldest first, numbered from 1
// without gaps. Where that is not the number in the prototype, the message ends
// in "(version N of the prototype)". A text without a row has its file's time; a
// row without a text is left and reported. Hash is that of the text: a hash in the
// row that is not (SHA-256, SHA-1 or MD5, or the first 7 digits or more) is
// reported. One text is in memory at a time, and all of metadata.tsv. An error
// ends it: errs.Unavailable.
func (o *Object) Versions(r *Report) iter.Seq2[storage.Version, error] {
	return func(yield func(storage.Version, error) bool) {
		rows, err := o.readMetadata(r)
		if err != nil {
			yield(storage.Version{}, err)
			return
		}
		next := uint64(1)
		for _, n := range slices.Sorted(maps.Keys(o.texts)) {
			v, ok, err := o.version(r, n, next, rows[n])
			if err != nil {
				yield(storage.Version{}, err)
				return
			}
			if !ok {
				continue
			}
			next++
			r.object(o).Versions++
			if !yield(v, nil) {
				return
			}
		}
	}
}

// version reads the text of number n of the prototype and makes it the version next.
func (o *Object) version(r *Report, n, next uint64, m *metadata) (storage.Version, bool, error) {
	text := o.texts[n][0]
	file := o.path(Versions, text.name)
	problem := func(out Outcome, reason, done, raw string) {
		r.add(Problem{Object: o.ID, Kind: Versions, Outcome: out, File: file, Reason: reason, Done: done, Raw: raw})
	}
	source, ok, err := readAll(o.fsys, file, maxRow)
	if err != nil {
		return storage.Version{}, false, err
	}
	r.object(o).Bytes += text.size
	if !ok {
		problem(Left, fmt.Sprintf("the text is longer than %d bytes", maxRow), "not taken", "")
		return storage.Version{}, false, nil
	}
	var v storage.Version
	if m != nil {
		v = m.Version
		if v.Hash != "" && !sameHash(v.Hash, source) {
			problem(Mended, fmt.Sprintf("the text does not have the hash in line %d of metadata.tsv", m.line), "taken with the hash that it has", v.Hash)
		}
	} else {
		problem(Mended, "the text has no row in metadata.tsv", "taken with the time of its file", "")
	}
	if v.Time.IsZero() {
		v.Time = text.time
	}
	if n != next {
		v.Message = strings.TrimPrefix(fmt.Sprintf("%s (version %d of the prototype)", v.Message, n), " ")
		problem(Mended, "numbers begin at 1 and have no gaps", fmt.Sprintf("taken as version %d, its old number in the message", next), "")
	}
	v.Number, v.Text, v.Hash = next, source, storage.Hash(source)
	return v, true, nil
}

// readMetadata gives the rows of metadata.tsv by their numbers, the last one
// of each, and reports the others and those without a text.
func (o *Object) readMetadata(r *Report) (map[uint64]*metadata, error) {
	all := map[uint64]*metadata{}
	if !o.metadata {
		return all, nil
	}
	t, err := o.openTable(Versions, "metadata.tsv", r, versionColumns, versionAliases)
	if err != nil {
		return nil, err
	}
	defer t.close()
	left := func(line int, raw, reason string) {
		r.add(Problem{Object: o.ID, Kind: Versions, Outcome: Left, File: t.path, Line: line, Reason: reason, Done: "not taken", Raw: raw})
	}
	for {
		row, err := t.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		cell, _ := t.cell(row, "version_id")
		n, ok := versionNumber(cell)
		if !ok {
			left(row.line, string(row.raw), "the row has no version number")
			continue
		}
		if old := all[n]; old != nil {
			left(old.line, old.raw, "a later row has the same number")
		}
		all[n] = t.metadataRow(row)
	}
	for _, n := range slices.Sorted(maps.Keys(all)) {
		if _, ok := o.texts[n]; !ok {
			left(all[n].line, all[n].raw, fmt.Sprintf("version %d has no text", n))
		}
	}
	return all, nil
}

func (t *table) metadataRow(row *row) *metadata {
	m := &metadata{line: row.line, raw: string(row.raw)}
	if row.form == unbalanced {
		t.problem(Mended, row, strayQuote, "the line was taken as it stands")
	}
	if more := t.unknown(row); more != "" {
		t.problem(Mended, row, "the row has cells that a version cannot keep", "the rest was taken without them: "+more)
	}
	m.Author, _ = t.cell(row, "author")
	m.Message, _ = t.cell(row, "message")
	m.Hash, _ = t.cell(row, "hash")
	if when, _ := t.cell(row, "timestamp"); when != "" {
		at, ok := parseMoment(when)
		if !ok {
			t.problem(Mended, row, "its time cannot be read", "taken with the time of the text's file")
		}
		t.noteMoment(row, at)
		m.Time = at.time
	}
	return m
}

// sameHash reports whether a hash as the prototype wrote it is one of the text.
func sameHash(hash string, text []byte) bool {
	hash = strings.ToLower(strings.TrimSpace(hash))
	if _, after, ok := strings.Cut(hash, ":"); ok {
		hash = after
	}
	if len(hash) < 7 {
		return false
	}
	s1, s5 := sha1.Sum(text), md5.Sum(text) //nolint:gosec // as above
	return slices.ContainsFunc([]string{storage.Hash(text), hex.EncodeToString(s1[:]), hex.EncodeToString(s5[:])},
		func(whole string) bool { return strings.HasPrefix(whole, hash) })
}

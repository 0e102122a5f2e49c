package prototype

import (
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/storage"
)

var logColumns = []string{"entry_id", "timestamp", "level", "message"}

var logAliases = map[string]string{"id": "entry_id", "time": "timestamp"}

// levels are the names of other systems, and the numbers of Python's logging,
// as the nearest level of a station. Each other name is INFO.
var levels = map[string]storage.Level{
	"DEBUG": storage.Debug, "TRACE": storage.Debug, "VERBOSE": storage.Debug, "NOTSET": storage.Debug, "10": storage.Debug,
	"INFO": storage.Info, "20": storage.Info,
	"WARNING": storage.Warning, "WARN": storage.Warning, "30": storage.Warning,
	"ERROR": storage.Error, "ERR": storage.Error, "EXCEPTION": storage.Error, "SEVERE": storage.Error, "40": storage.Error,
	"CRITICAL": storage.Critical, "CRIT": storage.Critical, "FATAL": storage.Critical, "ALERT": storage.Critical,
	"PANIC": storage.Critical, "EMERG": storage.Critical, "EMERGENCY": storage.Critical, "50": storage.Critical,
}

// logReader makes entries of rows.
type logReader struct {
	*table
	last      time.Time // of the entry before
	levelName string    // the field for a level that is none
	timeName  string    // the field for a time that cannot be kept
	fields    []logField
}

type logField struct{ name, value string }

// Entries gives the entries of the object's log in the order of the file,
// without ids: whoever stores them gives them theirs. It reads as it goes; memory
// does not grow with the log. An error ends it: errs.Unavailable.
//
// An entry's fields are the columns that are not empty, and entry_id, the id
// that it had. A cell beyond the header is the field column_N, N its place from
// 1. A level that no station has becomes the nearest one, its text the field
// original_level. A time that cannot be read becomes that of the entry before
// (1970 for the first), one with more digits than microseconds is cut; the text is
// then the field original_timestamp. Bytes of a field that are not UTF-8 stand
// in it as \xHH; the message keeps them.
func (o *Object) Entries(r *Report) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		if !o.log {
			return
		}
		t, err := o.openTable(Logs, "log.tsv", r, logColumns, logAliases)
		if err != nil {
			yield(storage.Entry{}, err)
			return
		}
		defer t.close()
		l := &logReader{table: t, last: time.Unix(0, 0).UTC(), levelName: t.unused("original_level"), timeName: t.unused("original_timestamp")}
		for {
			row, err := t.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(storage.Entry{}, err)
				return
			}
			e := l.entry(row)
			t.counts.Entries++
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (l *logReader) entry(row *row) storage.Entry {
	if row.form == unbalanced {
		l.problem(Mended, row, strayQuote, "the line was taken as it stands")
	}
	l.fields = l.fields[:0]
	message, ok := l.cell(row, "message")
	if !ok {
		l.problem(Mended, row, "the row has no message", "taken with an empty one")
	}
	e := storage.Entry{Time: l.time(row), Level: l.level(row), Message: message}
	if old, _ := l.cell(row, "entry_id"); old != "" {
		l.field(row, "original_id", old)
	}
	for i, cell := range row.cells {
		switch {
		case len(cell) == 0:
		case i >= len(l.names):
			l.note(row, "cells beyond the header became fields that are called after their column")
			l.field(row, l.columnName(i), string(cell))
		case !slices.Contains(logColumns, l.names[i]):
			l.field(row, l.names[i], string(cell))
		}
	}
	e.Fields = l.json()
	return e
}

func (l *logReader) time(row *row) time.Time {
	text, _ := l.cell(row, "timestamp")
	m, ok := parseMoment(text)
	switch {
	case !ok:
		l.problem(Mended, row, "its time cannot be read", "taken with the time of the entry before, its own text as the field "+l.timeName)
		m.time = l.last
	case m.finer:
		l.note(row, "times were cut to microseconds; the text became the field "+l.timeName)
	}
	l.noteMoment(row, m)
	if (!ok || m.finer) && text != "" {
		l.field(row, l.timeName, text)
	}
	l.last = m.time
	return m.time
}

func (l *logReader) level(row *row) storage.Level {
	text, _ := l.cell(row, "level")
	level, ok := levels[strings.ToUpper(strings.TrimSpace(text))]
	if !ok {
		level = storage.Info
	}
	if text == string(level) {
		return level
	}
	l.note(row, "levels that a station does not have became the nearest one, their text the field "+l.levelName)
	if text != "" {
		l.field(row, l.levelName, text)
	}
	return level
}

func (l *logReader) field(row *row, name, text string) {
	value, escaped := escapeInvalid(text)
	if escaped {
		l.problem(Mended, row, "the field "+printable(name)+" is not UTF-8", `its bytes that are not were written as \xHH`)
		l.fields = append(l.fields, logField{name, string(appendString(nil, value))})
		return
	}
	l.fields = append(l.fields, logField{name, string(appendValue(nil, value))})
}

// json gives the fields as a canonical JSON object, or nil without any.
func (l *logReader) json() []byte {
	if len(l.fields) == 0 {
		return nil
	}
	slices.SortFunc(l.fields, func(a, b logField) int { return strings.Compare(a.name, b.name) })
	var b []byte
	sep := byte('{')
	for _, f := range l.fields {
		b = appendString(append(b, sep), f.name)
		b = append(append(b, ':'), f.value...)
		sep = ','
	}
	return append(b, '}')
}

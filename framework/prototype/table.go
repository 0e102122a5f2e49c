package prototype

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// strayQuote is what is wrong with an unbalanced row.
const strayQuote = "a quote stands where none can"

// table reads one of the prototype's tables: it finds the columns by the
// header, and reports what is wrong with rows as rows.
type table struct {
	rows   *rows
	file   fs.File
	path   string
	kind   Kind
	object *Object
	report *Report
	counts *Counts

	known   []string       // the columns that have a meaning, in their usual order
	at      map[string]int // known column → its place; absent where there is none
	names   []string       // of all columns, unique; a known column has its known name
	aliases map[string]string
	first   *row // a first row that is no header, until it is given
	read    int64
}

// openTable opens a table and reads its header. Without one the first row is
// data, and the columns are the known ones in their usual order.
func (o *Object) openTable(k Kind, name string, r *Report, known []string, aliases map[string]string) (*table, error) {
	t := &table{path: o.path(k, name), kind: k, object: o, report: r, counts: r.object(o), known: known, aliases: aliases}
	f, err := o.fsys.Open(t.path)
	if err != nil {
		return nil, unreadable(t.path, err)
	}
	t.file, t.rows = f, newRows(f)
	if err := t.header(); err != nil {
		f.Close() //nolint:errcheck,gosec // it was only read, and the error before counts
		return nil, err
	}
	return t, nil
}

func (t *table) close() {
	t.file.Close() //nolint:errcheck,gosec // it was only read
}

func (t *table) header() error {
	row, err := t.rows.next()
	switch {
	case errors.Is(err, io.EOF):
		t.counts.note(t.path, 0, 1, "it is empty, without even a header")
		t.setColumns(nil)
		return nil
	case err != nil:
		return unreadable(t.path, err)
	}
	if t.isHeader(row.cells) {
		t.setColumns(row.cells)
		return nil
	}
	t.known = t.known[:min(len(t.known), max(len(row.cells), 1))]
	t.problem(Mended, row, "the file has no header", "its columns were taken to be "+strings.Join(t.known, ", "))
	t.setColumns(nil)
	t.first = row
	return nil
}

// isHeader reports whether the row names two known columns or more, or nothing else.
func (t *table) isHeader(cells [][]byte) bool {
	n := 0
	for _, c := range cells {
		if name, _ := t.knownName(c); name != "" {
			n++
		}
	}
	return n >= 2 || n > 0 && n == len(cells)
}

// knownName gives the known column that a cell of the header names, or "", and
// whether by another name.
func (t *table) knownName(cell []byte) (name string, alias bool) {
	name = strings.ToLower(strings.TrimSpace(string(cell)))
	if other, ok := t.aliases[name]; ok {
		return other, true
	}
	if slices.Contains(t.known, name) {
		return name, false
	}
	return "", false
}

// setColumns gives every column its name. A second column of a name, and one
// without a name, is called after its place.
func (t *table) setColumns(header [][]byte) {
	t.at = map[string]int{}
	if header == nil {
		for i, name := range t.known {
			t.at[name] = i
			t.names = append(t.names, name)
		}
		return
	}
	t.names = make([]string, len(header))
	for _, other := range []bool{false, true} { // a column of the very name comes before one of another name for it
		for i, cell := range header {
			name, alias := t.knownName(cell)
			if _, twice := t.at[name]; name != "" && alias == other && !twice {
				t.at[name], t.names[i] = i, name
			}
		}
	}
	for i, cell := range header {
		if t.names[i] != "" {
			continue
		}
		name, escaped := escapeInvalid(string(cell))
		if name == "" || slices.Contains(t.names, name) || slices.Contains(t.known, name) {
			name, escaped = t.columnName(i), true
		}
		t.names[i] = name
		if escaped {
			t.problem(Mended, &t.rows.row, fmt.Sprintf("the name of column %d is not UTF-8, empty or another column's", i+1), "the column is called "+strconv.Quote(name))
		}
	}
}

// columnName names a column after its place, from 1, as no other is named.
func (t *table) columnName(i int) string { return t.unused("column_" + strconv.Itoa(i+1)) }

func (t *table) unused(name string) string {
	for slices.Contains(t.names, name) {
		name += "_"
	}
	return name
}

// next gives the next row that can be used, and io.EOF behind the last one.
func (t *table) next() (*row, error) {
	for {
		row, err := t.first, error(nil)
		t.first = nil
		if row == nil {
			row, err = t.rows.next()
		}
		t.counts.Bytes += t.rows.read - t.read
		t.read = t.rows.read
		switch {
		case errors.Is(err, io.EOF):
			t.finish()
			return nil, io.EOF
		case err != nil:
			return nil, unreadable(t.path, err)
		case row.form == tooLong:
			t.problem(Left, row, fmt.Sprintf("the line is longer than %d bytes", maxRow), "not taken; its beginning follows")
		case row.torn && len(row.cells) < len(t.names):
			t.problem(Left, row, "the last line does not end and has not all columns", "not taken")
		case row.torn:
			t.problem(Mended, row, "the last line does not end; it may lack its last characters", "taken, since it has all columns")
			return row, nil
		default:
			return row, nil
		}
	}
}

// finish notes what holds for the file as a whole.
func (t *table) finish() {
	if t.rows.mark {
		t.counts.note(t.path, 0, 1, "it begins with a byte order mark, which was left out")
	}
	if n := min(t.rows.lf, t.rows.crlf); n > 0 {
		t.counts.note(t.path, t.rows.firstOther, n, `lines end in \n and in \r\n; both were taken as line ends`)
	}
}

// cell gives the text of a known column in a row; it is false where the row or
// the table has none.
func (t *table) cell(r *row, name string) (string, bool) {
	i, ok := t.at[name]
	if !ok || i >= len(r.cells) {
		return "", false
	}
	return string(r.cells[i]), true
}

// unknown gives what stands in columns without a known meaning, as "name=text"
// with quoted texts, or "".
func (t *table) unknown(r *row) string {
	var b []byte
	for i, c := range r.cells {
		name := ""
		switch {
		case len(c) == 0:
			continue
		case i >= len(t.names):
			name = t.columnName(i)
		case slices.Contains(t.known, t.names[i]):
			continue
		default:
			name = t.names[i]
		}
		if b != nil {
			b = append(b, ", "...)
		}
		b = strconv.AppendQuote(append(b, printable(name)+"="...), string(c))
	}
	return string(b)
}

func (t *table) problem(out Outcome, r *row, reason, done string) {
	t.report.add(Problem{Object: t.object.ID, Kind: t.kind, Outcome: out, File: t.path, Line: r.line, Reason: reason, Done: done, Raw: string(r.raw)})
}

func (t *table) note(r *row, text string) { t.counts.note(t.path, r.line, 1, text) }

package prototype

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type readRow struct {
	Line  int
	Form  form
	Torn  bool
	Cells []string
	Raw   string
}

func readRows(t interface{ Fatalf(string, ...any) }, src io.Reader) []readRow {
	var all []readRow
	for r := newRows(src); ; {
		row, err := r.next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("next: %v", err)
		}
		got := readRow{Line: row.line, Form: row.form, Torn: row.torn, Raw: string(row.raw)}
		for _, c := range row.cells {
			got.Cells = append(got.Cells, string(c))
		}
		all = append(all, got)
	}
}

func cells(c ...string) []string { return c }

func TestRows(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []readRow
	}{
		{"empty", "", nil},
		{"blank lines", "\n\r\n\n", nil},
		{"plain", "a\tb\nc\t\n", []readRow{{1, whole, false, cells("a", "b"), "a\tb"}, {2, whole, false, cells("c", ""), "c\t"}}},
		{"crlf", "a\tb\r\nc\td\r\n", []readRow{{1, whole, false, cells("a", "b"), "a\tb"}, {2, whole, false, cells("c", "d"), "c\td"}}},
		{"doubled by text mode on Windows", "a\r\r\n\"b\"\r\r\n", []readRow{{1, whole, false, cells("a"), "a"}, {2, whole, false, cells("b"), `"b"`}}},
		{"a carriage return within", "a\rb\tc\n", []readRow{{1, whole, false, cells("a\rb", "c"), "a\rb\tc"}}},
		{"quoted", "\"a\tb\"\t\"c\n\r\nd\"\t\"\"\"e\"\"\"\t\"\"\nf\n", []readRow{
			{1, whole, false, cells("a\tb", "c\n\r\nd", `"e"`, ""), "\"a\tb\"\t\"c\n\r\nd\"\t\"\"\"e\"\"\"\t\"\""}, {4, whole, false, cells("f"), "f"}}},
		{"quoted empty row", "\"\"\n", []readRow{{1, whole, false, cells(""), `""`}}},
		{"mark", "\ufeffa\n\ufeffb\n", []readRow{{1, whole, false, cells("a"), "a"}, {2, whole, false, cells("\ufeffb"), "\ufeffb"}}},
		{"torn", "a\nb\tc", []readRow{{1, whole, false, cells("a"), "a"}, {2, whole, true, cells("b", "c"), "b\tc"}}},
		{"torn behind a tab", "b\t", []readRow{{1, whole, true, cells("b", ""), "b\t"}}},
		{"torn within a line end", "b\r", []readRow{{1, whole, true, cells("b"), "b"}}},
		{"torn behind a quote", "\"b\"", []readRow{{1, whole, true, cells("b"), `"b"`}}},
		{"torn in a quoted line end", "\"b\"\r", []readRow{{1, whole, true, cells("b"), `"b"`}}},
		{"torn in a quoted field", "a\t\"b\nc", []readRow{{1, unbalanced, false, cells("a", `"b`), "a\t\"b"}, {2, whole, true, cells("c"), "c"}}},
		{"one lost quote costs no other row", "a\t\"b\nc\td\ne\t\"f\tg\"\n", []readRow{
			{1, unbalanced, false, cells("a", `"b`), "a\t\"b"}, {2, whole, false, cells("c", "d"), "c\td"}, {3, whole, false, cells("e", "f\tg"), "e\t\"f\tg\""}}},
		{"a quote within", "a\tsay \"hi\"\t\"x\ty\"\nb\n", []readRow{
			{1, unbalanced, false, cells("a", `say "hi"`, "x\ty"), "a\tsay \"hi\"\t\"x\ty\""}, {2, whole, false, cells("b"), "b"}}},
		{"text behind a closing quote", "\"a\"b\tc\nd\n", []readRow{{1, unbalanced, false, cells(`"a"b`, "c"), "\"a\"b\tc"}, {2, whole, false, cells("d"), "d"}}},
		{"a lost quote in the last field", "a\t\"b\"\"\r\nc\r\n", []readRow{{1, unbalanced, false, cells("a", `"b""`), "a\t\"b\"\""}, {2, whole, false, cells("c"), "c"}}},
		{"any bytes", "\xff\x00\t\x7f\n", []readRow{{1, whole, false, cells("\xff\x00", "\x7f"), "\xff\x00\t\x7f"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, src := range map[string]io.Reader{"at once": strings.NewReader(c.text), "byte by byte": iotest.OneByteReader(strings.NewReader(c.text)),
				"with the end": iotest.DataErrReader(strings.NewReader(c.text))} {
				if diff := cmp.Diff(c.want, readRows(t, src)); diff != "" {
					t.Errorf("read %s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

// TestRowsAreBounded has a line above the limit, a quote that no other closes
// within the limit, and rows around them.
func TestRowsAreBounded(t *testing.T) {
	long := strings.Repeat("x", maxRow+1)
	r := newRows(strings.NewReader("a\n" + long + "\nb\t\"open\n" + strings.Repeat("line\n", maxRow/5+1) + "\"" + long + "\n" + long + "\n" + long[:maxRow-1] + "\n" + long + "\nlast\t" + long))
	var forms []string
	lines := 0
	for {
		row, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(row.raw) > maxRow || cap(r.buf) > maxRow {
			t.Fatalf("row of %d bytes in a buffer of %d", len(row.raw), cap(r.buf))
		}
		if string(row.raw) == "line" && row.form == whole {
			lines++
			continue
		}
		forms = append(forms, fmt.Sprint(row.line, row.form, row.torn, len(row.cells)))
	}
	want := []string{"1 0 false 1", "2 2 false 0", "3 1 false 2", fmt.Sprint(maxRow/5+5, " 2 false 0"), fmt.Sprint(maxRow/5+6, " 2 false 0"), fmt.Sprint(maxRow/5+7, " 0 false 1"),
		fmt.Sprint(maxRow/5+8, " 2 false 0"), fmt.Sprint(maxRow/5+9, " 2 true 0")}
	if diff := cmp.Diff(want, forms); diff != "" || lines != maxRow/5+1 {
		t.Errorf("%d short lines; line, form, torn, cells (-want +got):\n%s", lines, diff)
	}
}

func TestReadErrorIsGiven(t *testing.T) {
	r := newRows(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(io.ErrClosedPipe)))
	if _, err := r.next(); err != nil {
		t.Fatal(err)
	}
	if row, err := r.next(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, %v; a row that could not be read to its end is no row", row, err)
	}
}

// appendPython writes a row as csv.writer(delimiter="\t", lineterminator=end)
// of Python 3.11 does; with later set, carriage returns and
// newlines are quoted whatever the line end is.
func appendPython(b []byte, row []string, end string, later bool) []byte {
	special := "\t\"" + end
	if later {
		special += "\r\n"
	}
	for i, c := range row {
		if i > 0 {
			b = append(b, '\t')
		}
		if strings.ContainsAny(c, special) || c == "" && len(row) == 1 {
			b = append(append(append(b, '"'), strings.ReplaceAll(c, `"`, `""`)...), '"')
		} else {
			b = append(b, c...)
		}
	}
	return append(b, end...)
}

// TestPythonWriter fixes the writer above to what the csv module of Python
// 3.11.7 wrote for the same rows.
func TestPythonWriter(t *testing.T) {
	row := []string{"a", "", "t\tb", "n\nl", "c\rr", `q"q`, " s ", `\`, "é"}
	for end, want := range map[string]string{
		"\r\n": "a\t\t\"t\tb\"\t\"n\nl\"\t\"c\rr\"\t\"q\"\"q\"\t s \t\\\té\r\n",
		"\n":   "a\t\t\"t\tb\"\t\"n\nl\"\tc\rr\t\"q\"\"q\"\t s \t\\\té\n",
	} {
		if got := string(appendPython(nil, row, end, false)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := string(appendPython(nil, []string{""}, "\r\n", false)); got != "\"\"\r\n" {
		t.Errorf("a row of one empty cell: %q", got)
	}
}

func TestRowsOfPythonReadBackEqual(t *testing.T) {
	cell := rapid.OneOf(rapid.String(), rapid.StringMatching("[\"\t\r\na]{0,6}"), rapid.Just(""))
	rapid.Check(t, func(t *rapid.T) {
		end := rapid.SampledFrom([]string{"\r\n", "\n"}).Draw(t, "end")
		later := end == "\n" && rapid.Bool().Draw(t, "later")
		table := rapid.SliceOfN(rapid.SliceOfN(cell, 1, 5), 0, 8).Draw(t, "rows")
		var text []byte
		for _, row := range table {
			if last := &row[len(row)-1]; end == "\n" && !later {
				// Written bare; before the newline it cannot be told from a line end.
				*last = strings.TrimRight(*last, "\r")
			}
			text = appendPython(text, row, end, later)
		}
		if bytes.HasPrefix(text, []byte("\ufeff")) {
			t.Skip("begins with a byte order mark")
		}
		src := io.Reader(bytes.NewReader(text))
		if rapid.Bool().Draw(t, "byte by byte") {
			src = iotest.OneByteReader(src)
		}
		var got [][]string
		for _, r := range readRows(t, src) {
			if r.Form != whole || r.Torn {
				t.Fatalf("row %+v of %q", r, text)
			}
			got = append(got, r.Cells)
		}
		if len(table) == 0 {
			table = nil
		}
		if diff := cmp.Diff(table, got); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", text, diff)
		}
	})
}

// FuzzRows holds the reader to what it promises of any bytes: no panic, every
// byte but line ends and the mark in some row, the same rows however the bytes arrive.
func FuzzRows(f *testing.F) {
	for _, s := range []string{"a\tb\r\n", "\"a\n\"\t\"b\"\"\"\n", "a\t\"b\nc\t\"d\"e\n\"f", "\ufeff\r\r\n\"\"\r", "a\"b\t\"c\n\"\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		rows := readRows(t, bytes.NewReader(text))
		if diff := cmp.Diff(rows, readRows(t, iotest.OneByteReader(bytes.NewReader(text)))); diff != "" {
			t.Fatalf("byte by byte:\n%s", diff)
		}
		rest := bytes.TrimPrefix(text, []byte("\ufeff"))
		for _, r := range rows {
			rest = bytes.TrimLeft(rest, "\r\n")
			if raw := strings.TrimLeft(r.Raw, "\r\n"); !bytes.HasPrefix(rest, []byte(raw)) {
				t.Fatalf("row %q is not at %q", r.Raw, rest)
			} else {
				rest = rest[len(raw):]
			}
		}
		if len(bytes.Trim(rest, "\r\n")) > 0 {
			t.Fatalf("%q is in no row", rest)
		}
	})
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/dbbasic/station/sdk/storage/text"
)

// format is how a command prints a list: the flag -o.
type format string

const (
	asTable format = "table"
	asJSON  format = "json" // what the station answers
	asTSV   format = "tsv"  // with the escapes of package text
)

var formats = []string{string(asTable), string(asJSON), string(asTSV)}

// Set implements pflag.Value.
func (f *format) Set(s string) error {
	switch format(s) {
	case asTable, asJSON, asTSV:
		*f = format(s)
		return nil
	}
	return errors.New("it is table, json or tsv")
}

// String implements pflag.Value.
func (f *format) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *format) Type() string { return "format" }

// outputFlag adds -o to a command that prints a list.
func outputFlag(cmd *cobra.Command) *format {
	f := asTable
	cmd.Flags().VarP(&f, "output", "o", "`format` of the list: table, json or tsv")
	complete(cmd, "output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	return &f
}

// rows prints a list as a table or as tab-separated values.
type rows struct {
	to    io.Writer
	table *tabwriter.Writer // nil for tsv
	head  []string          // nil once it is printed
	held  int               // rows of the table that are not printed yet
}

// alignedRows are the rows of a table whose columns have one width, so that a long
// list needs no memory.
const alignedRows = 1000

// newRows begins a list with its head, which is printed with the first row or the end.
func newRows(w io.Writer, f format, head ...string) *rows {
	if f == asTSV {
		return &rows{to: w, head: head}
	}
	for i := range head {
		head[i] = strings.ToUpper(strings.ReplaceAll(head[i], "_", " "))
	}
	return &rows{table: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0), head: head}
}

// add prints a row. What its cells hold stays in them.
func (r *rows) add(cells ...string) {
	if head := r.head; head != nil {
		r.head = nil
		r.add(head...)
	}
	if r.table != nil {
		for i, c := range cells {
			cells[i] = visible(c, "")
		}
		fmt.Fprintln(r.table, strings.Join(cells, "\t"))
		if r.held++; r.held == alignedRows {
			r.held = 0
			_ = r.table.Flush() // as below
		}
		return
	}
	var line []byte
	for i, c := range cells {
		if i > 0 {
			line = append(line, '\t')
		}
		line = text.Append(line, c)
	}
	line = append(line, '\n')
	if isTerminal(r.to) {
		line = []byte(visible(string(line), "\t\n"))
	}
	_, _ = r.to.Write(line) // as with fmt.Fprintln, a reader that is gone ends the program
}

// end prints what is held back, and the head of a list without rows.
func (r *rows) end() error {
	if head := r.head; head != nil {
		r.head = nil
		r.add(head...)
	}
	if r.table != nil {
		return r.table.Flush()
	}
	return nil
}

// isTerminal reports whether people read what is written to w.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// visible writes out the characters that would control a terminal, or change the
// order in which text is read: those that are not in keep. Bytes that are no
// UTF-8 are written out too.
func visible(s, keep string) string {
	controls := func(r rune) bool {
		return r == utf8.RuneError || (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) && !strings.ContainsRune(keep, r)
	}
	if strings.IndexFunc(s, controls) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case r == utf8.RuneError || !controls(r):
			b.WriteString(s[:n])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		s = s[n:]
	}
	return b.String()
}

// screen shows on a terminal what others wrote, lines and tabs included, without
// obeying it.
type screen struct {
	w    io.Writer
	part []byte // of a character whose end is still to come
}

// Write implements io.Writer.
func (s *screen) Write(p []byte) (int, error) {
	all := slices.Concat(s.part, p)
	whole := len(all)
	for i := 1; i < utf8.UTFMax && i <= len(all); i++ {
		if c := all[len(all)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(all[len(all)-i:]) {
				whole = len(all) - i
			}
			break
		}
	}
	s.part = all[whole:]
	_, err := io.WriteString(s.w, visible(string(all[:whole]), "\t\n"))
	return len(p), err
}

// end shows what is left of a cut character, and goes to the next line where the
// text did not.
func (s *screen) end() error {
	_, err := io.WriteString(s.w, visible(string(s.part), ""))
	s.part = nil
	return err
}

// printText prints a text that others wrote: to a terminal so that it controls
// nothing there, else as it is.
func printText(w io.Writer, r io.Reader) error {
	if !isTerminal(w) {
		_, err := io.Copy(w, r)
		return err
	}
	last := lastByte{'\n'}
	s := &screen{w: io.MultiWriter(w, &last)}
	if _, err := io.Copy(s, r); err != nil {
		return err
	}
	if err := s.end(); err != nil || last[0] == '\n' {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

// lastByte keeps the last byte that was written to it.
type lastByte [1]byte

func (l *lastByte) Write(p []byte) (int, error) {
	if len(p) > 0 {
		l[0] = p[len(p)-1]
	}
	return len(p), nil
}

// maxIndented is the most JSON that is indented for people.
const maxIndented = 1 << 20

// printJSON prints JSON: indented to a terminal, else as it is.
func printJSON(w io.Writer, r io.Reader) error {
	if !isTerminal(w) {
		_, err := io.Copy(w, r)
		return err
	}
	head, err := io.ReadAll(io.LimitReader(r, maxIndented+1))
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if len(head) > maxIndented || json.Indent(&b, head, "", "  ") != nil {
		return printText(w, io.MultiReader(bytes.NewReader(head), r))
	}
	return printText(w, &b)
}

// paint colours text where people read it and have not set NO_COLOR.
type paint bool

func painting(w io.Writer) paint {
	return paint(isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
}

// Colours, as terminals number them.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
	grey   = "90"
)

func (p paint) in(colour, s string) string {
	if !p || colour == "" {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

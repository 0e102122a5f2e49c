package prototype

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/dbbasic/station/sdk/id"
)

const (
	maxDetails = 100  // problems of a kind that a report keeps
	maxRaw     = 1024 // bytes of a problem's raw text that it keeps
)

// Kind says in which part of the folder a problem lies.
type Kind string

// The kinds, in the order in which a report prints them.
const (
	Layout   Kind = "layout" // what the folder holds beside the four parts, and names of objects
	State    Kind = "state"
	Logs     Kind = "logs"
	Versions Kind = "versions"
	Files    Kind = "files"
)

var kinds = []Kind{Layout, State, Logs, Versions, Files}

// Outcome is what became of what a problem is about.
type Outcome string

const (
	// Mended was taken, in another form than it had; Done says which.
	Mended Outcome = "mended"
	// Left was not taken: it stands in the prototype's folder only.
	Left Outcome = "left"
	// Noted was taken as it stood, and there is something to know of it.
	Noted Outcome = "noted"
)

// Problem is one thing that could not be taken as it stood.
type Problem struct {
	Object  id.Object // empty for what belongs to none
	Kind    Kind
	Outcome Outcome
	File    string // its path in the folder
	Line    int    // from 1; 0 where the problem is no line's
	Reason  string // what is wrong
	Done    string // what was done
	Raw     string // the text as it stood, any bytes; may be empty
}

// String gives one line that a terminal can show. The raw text is quoted as in Go.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(printable(p.File))
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	fmt.Fprintf(&b, ": %s; %s", p.Reason, p.Done)
	if p.Raw != "" {
		fmt.Fprintf(&b, ": %s", strconv.Quote(p.Raw))
	}
	return b.String()
}

// note is something that holds for many rows of a file.
type note struct {
	line  int // the first
	count int
}

type noteKey struct{ file, text string }

// Counts is what was taken of one object, and what not.
type Counts struct {
	Object   id.Object
	Name     string // of its folders in the prototype
	Keys     int
	Repeated int // rows of a key that a later row of the same key replaced
	Entries  int
	Versions int
	Files    int
	Mended   int   // problems of that outcome
	Left     int   // problems of that outcome
	Noted    int   // problems of that outcome
	Bytes    int64 // read so far of state, log and source texts, for a progress bar

	// Refused says why nothing of the object was taken, whatever was read of it.
	// It is empty for one that was.
	Refused string

	notes map[noteKey]*note
	order []noteKey
}

// Report collects what was taken from a folder and what not. Its counts are
// complete; of the problems of each kind it keeps the first 100, and of a raw
// text the first KiB, so that its memory does not grow with the damage. It is not
// for concurrent use.
type Report struct {
	each    func(Problem)
	objects map[id.Object]*Counts
	order   []*Counts
	details map[Kind][]Problem
	counts  map[Kind]map[Outcome]int
}

// NewReport gives an empty report. each, if it is not nil, is called with every
// problem when it is met, with its whole raw text, so that a caller can write
// all of them to a file.
func NewReport(each func(Problem)) *Report {
	return &Report{each: each, objects: map[id.Object]*Counts{}, details: map[Kind][]Problem{}, counts: map[Kind]map[Outcome]int{}}
}

// Objects gives the counts of each object, in the order of their ids.
func (r *Report) Objects() []Counts {
	all := make([]Counts, len(r.order))
	for i, c := range r.order {
		all[i] = *c
		all[i].notes, all[i].order = nil, nil
	}
	return all
}

// Count gives the number of problems of a kind and outcome.
func (r *Report) Count(k Kind, o Outcome) int { return r.counts[k][o] }

// Problems gives the first 100 problems of a kind.
func (r *Report) Problems(k Kind) []Problem { return r.details[k] }

// Of gives the counts of one object.
func (r *Report) Of(o *Object) Counts {
	c := *r.object(o)
	c.notes, c.order = nil, nil
	return c
}

// Refuse says that nothing of an object was taken, and why: a problem of its
// own, which is Left. What was read of the object does not count in the sums.
func (r *Report) Refuse(o *Object, why string) {
	r.object(o).Refused = why
	r.Add(Problem{Object: o.ID, Kind: Layout, Outcome: Left, File: "*/" + o.Name, Reason: why, Done: "nothing of the object was taken"})
}

func (r *Report) object(o *Object) *Counts {
	c := r.objects[o.ID]
	if c == nil {
		c = &Counts{Object: o.ID, Name: o.Name, notes: map[noteKey]*note{}}
		r.objects[o.ID] = c
		r.order = append(r.order, c)
	}
	return c
}

// Add takes a problem that whoever stores the objects met.
func (r *Report) Add(p Problem) { r.add(p) }

func (r *Report) add(p Problem) {
	if r.each != nil {
		r.each(p)
	}
	if r.counts[p.Kind] == nil {
		r.counts[p.Kind] = map[Outcome]int{}
	}
	r.counts[p.Kind][p.Outcome]++
	if c := r.objects[p.Object]; c != nil {
		switch p.Outcome {
		case Mended:
			c.Mended++
		case Left:
			c.Left++
		case Noted:
			c.Noted++
		}
	}
	if len(r.details[p.Kind]) == maxDetails {
		return
	}
	if len(p.Raw) > maxRaw {
		p.Done += fmt.Sprintf(" (%d bytes, the first %d follow)", len(p.Raw), maxRaw)
		p.Raw = strings.Clone(p.Raw[:maxRaw])
	}
	p.Reason, p.Done = clip(p.Reason), clip(p.Done)
	r.details[p.Kind] = append(r.details[p.Kind], p)
}

// note counts n rows of a file that something holds for.
func (c *Counts) note(file string, line, n int, text string) {
	k := noteKey{file, text}
	if c.notes[k] == nil {
		c.notes[k] = &note{line: line}
		c.order = append(c.order, k)
	}
	c.notes[k].count += n
}

// WriteTo writes the report as text for people.
func (r *Report) WriteTo(w io.Writer) (int64, error) {
	b := &counting{w: bufio.NewWriter(w)}
	r.writeObjects(b)
	for _, k := range kinds {
		total := r.Count(k, Mended) + r.Count(k, Left) + r.Count(k, Noted)
		if total == 0 {
			continue
		}
		fmt.Fprintf(b, "\n%s: %d mended, %d left%s\n", k, r.Count(k, Mended), r.Count(k, Left), noted(r.Count(k, Noted)))
		for _, p := range r.details[k] {
			fmt.Fprintf(b, "  %s\n", p)
		}
		if more := total - len(r.details[k]); more > 0 {
			fmt.Fprintf(b, "  and %d more\n", more)
		}
	}
	if b.err == nil {
		b.err = b.w.Flush()
	}
	return b.n, b.err
}

func (r *Report) writeObjects(w io.Writer) {
	var sum Counts
	refused := 0
	for _, c := range r.order {
		fmt.Fprintf(w, "%s", c.Object)
		if c.Name != string(c.Object) {
			fmt.Fprintf(w, " (was %s)", strconv.Quote(c.Name))
		}
		if c.Refused != "" {
			fmt.Fprintf(w, ": not taken: %s\n", c.Refused)
			refused++
			continue
		}
		fmt.Fprintf(w, ": %s\n", c.line())
		for _, k := range c.order {
			n := c.notes[k]
			fmt.Fprintf(w, "  %s: %s", printable(k.file), k.text)
			if n.line > 0 {
				fmt.Fprintf(w, " (%d, the first in line %d)", n.count, n.line)
			}
			fmt.Fprintln(w)
		}
		sum.Keys += c.Keys
		sum.Repeated += c.Repeated
		sum.Entries += c.Entries
		sum.Versions += c.Versions
		sum.Files += c.Files
		sum.Mended += c.Mended
		sum.Left += c.Left
		sum.Noted += c.Noted
	}
	fmt.Fprintf(w, "%d objects: %s\n", len(r.order)-refused, sum.line())
	if refused > 0 {
		fmt.Fprintf(w, "%d objects were not taken.\n", refused)
	}
	if sum.Versions > 0 {
		fmt.Fprintln(w, "The prototype's sources are Python: they are kept as history and cannot run here.")
	}
}

func (c *Counts) line() string {
	return fmt.Sprintf("%d keys (%d rows replaced by later ones), %d entries, %d versions, %d files; %d mended, %d left%s",
		c.Keys, c.Repeated, c.Entries, c.Versions, c.Files, c.Mended, c.Left, noted(c.Noted))
}

func noted(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d noted", n)
}

type counting struct {
	w   *bufio.Writer
	n   int64
	err error
}

func (c *counting) Write(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.w.Write(p)
	c.n, c.err = c.n+int64(n), err
	return n, err
}

// clip bounds a text that may quote from a row.
func clip(s string) string {
	if len(s) <= maxRaw {
		return s
	}
	return strings.ToValidUTF8(s[:maxRaw], "") + "…"
}

// printable gives a path as it is, or quoted where a terminal could not show it.
func printable(s string) string {
	if q := strconv.Quote(s); q != `"`+s+`"` {
		return q
	}
	return s
}

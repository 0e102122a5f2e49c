package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
)

// String gives the problem on one line, FILE:LINE,COLUMN: text.
func (p Problem) String() string {
	if p.Line == 0 {
		return p.At + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d,%d: %s", p.At, p.Line, p.Column, p.Text)
}

// Lines gives a line for each problem.
func (e *Error) Lines() []string {
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", e.More))
	}
	return lines
}

func sortProblems(list []Problem) {
	slices.SortStableFunc(list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// wrong notes a problem at a place in the file.
func (l *loader) wrong(at hcl.Range, format string, args ...any) {
	file := l.file
	if file == "" {
		file = "configuration"
	}
	l.problems = append(l.problems, Problem{At: file, Line: at.Start.Line, Column: at.Start.Column, Text: oneLine(fmt.Sprintf(format, args...))})
}

// misused notes a problem with a variable or a flag.
func (l *loader) misused(o Override, format string, args ...any) {
	l.problems = append(l.problems, Problem{At: o.At, Text: oneLine(fmt.Sprintf(format, args...)), Usage: true})
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// meant gives " Did you mean …?" where one of the names is close to what was
// written, else nothing.
func meant(written string, names []string) string {
	best, least := "", min(3, len(written))
	if len(written) <= 64 { // no name is longer
		for _, name := range names {
			if d := levenshtein.Distance(written, name, nil); d < least {
				best, least = name, d
			}
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", best)
}

// cut keeps what a file holds from filling a message.
func cut(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}

// listed writes names as people do: "a, b and c".
func listed(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	end := len(names) - 1
	return strings.Join(names[:end], ", ") + " and " + names[end]
}

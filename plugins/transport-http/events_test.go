package transporthttp

import (
	"bufio"
	"io"
	"strings"
)

// event is what a client makes of the lines up to an empty one.
type event struct{ id, name, data, comment string }

// events reads Server-Sent Events as EventSource does: the id stays until there is another.
type events struct {
	lines *bufio.Scanner
	id    string
}

func newEvents(r io.Reader) *events {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 16<<20)
	return &events{lines: s}
}

// next gives the next event, also one without data; more is false at the end.
func (e *events) next() (got event, more bool) {
	for e.lines.Scan() {
		name, value, _ := strings.Cut(e.lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "":
			if e.lines.Text() == "" {
				got.id = e.id
				return got, true
			}
			got.comment = value
		case "id":
			e.id = value
		case "event":
			got.name = value
		case "data":
			got.data += value
		}
	}
	return got, false
}

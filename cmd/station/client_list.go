package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// list is a list of a station that a command prints.
type list struct {
	path   string // has a query where there are pages
	name   string // of the list in what the station answers
	limit  int    // 0 for all
	atOnce int    // how much of it a page holds, 0 if there are no pages
	head   []string
}

// printList prints a list: for JSON what the station answers, as if all pages were
// one, else rows with a head. fill adds those of the page at a path, and says how many
// they are and what the cursor of the next is.
func (c *client) printList(cmd *cobra.Command, f format, l list, fill func(path string, r *rows) (n int, next string, err error)) error {
	if f == asJSON {
		return c.printPages(cmd, l)
	}
	r := newRows(cmd.OutOrStdout(), f, l.head...)
	err := pages(l.path, l.limit, l.atOnce, func(path string) (int, string, error) { return fill(path, r) })
	if err != nil {
		return err
	}
	return r.end()
}

// pages asks for a list page by page, until it has limit of it or, for 0, all. get asks
// for the page at a path, and says how much it holds and what the cursor of the next is,
// empty where there is none.
func pages(path string, limit, atOnce int, get func(path string) (n int, next string, err error)) error {
	got := 0
	for cursor := ""; ; {
		at := path
		if atOnce > 0 {
			at += "&limit=" + strconv.Itoa(pageOf(limit, got, atOnce))
		}
		if cursor != "" {
			at += "&cursor=" + url.QueryEscape(cursor)
		}
		n, next, err := get(at)
		if got += n; err != nil || next == "" || limit > 0 && got >= limit {
			return err
		}
		if next == cursor {
			return errors.New("the station gives the same page again")
		}
		cursor = next
	}
}

// pageOf gives the size of the next page of a list that has a limit, 0 for none.
func pageOf(limit, got, most int) int {
	if limit == 0 {
		return most
	}
	return min(limit-got, most)
}

// printPages prints all pages of a list as one answer of the station. Of a long one
// no more than a page is in memory.
func (c *client) printPages(cmd *cobra.Command, l list) error {
	r, w := io.Pipe()
	defer r.Close() //nolint:errcheck // it ends the writer
	go func() { w.CloseWithError(c.joinPages(cmd.Context(), w, l)) }()
	return printJSON(cmd.OutOrStdout(), r)
}

// joinPages writes the first page with the elements of the others in its list, the
// count of all and no cursor.
func (c *client) joinPages(ctx context.Context, w io.Writer, l list) error {
	var rest []member // of the first page, behind the list
	var end byte      // of the list; 0 before the first page
	count, empty := 0, true
	err := pages(l.path, l.limit, l.atOnce, func(path string) (int, string, error) {
		var page answerObject
		if err := c.ask(ctx, path, &page); err != nil {
			return 0, "", err
		}
		at := page.index(l.name)
		if at < 0 || !isList(page[at].value) {
			return 0, "", unreachableError{fmt.Errorf("%s does not answer like a station: its answer has no list %q", c.base.Redacted(), l.name)}
		}
		elements := page[at].value
		var b bytes.Buffer
		if end == 0 {
			end, rest = elements[len(elements)-1], page[at+1:]
			b.WriteByte('{')
			page[:at].write(&b)
			fmt.Fprintf(&b, "%q:%c", l.name, elements[0])
		}
		n, err := lenOf(elements)
		if err != nil {
			return 0, "", err
		}
		if inner := bytes.TrimSpace(elements[1 : len(elements)-1]); len(inner) > 0 {
			if !empty {
				b.WriteByte(',')
			}
			empty = false
			b.Write(inner)
		}
		count += n
		_, err = w.Write(b.Bytes())
		return n, page.text("next_cursor"), err
	})
	if err != nil {
		return err
	}
	b := bytes.NewBuffer([]byte{end})
	for _, m := range rest {
		switch m.name {
		case "next_cursor":
			continue
		case "count":
			m.value = strconv.AppendInt(nil, int64(count), 10)
		}
		fmt.Fprintf(b, ",%q:%s", m.name, m.value)
	}
	b.WriteString("}\n")
	_, err = w.Write(b.Bytes())
	return err
}

// isList reports whether JSON is an array or an object.
func isList(value json.RawMessage) bool { return value[0] == '[' || value[0] == '{' }

// lenOf gives how many elements an array or an object has.
func lenOf(value json.RawMessage) (int, error) {
	if value[0] == '{' {
		var m map[string]json.RawMessage
		err := json.Unmarshal(value, &m)
		return len(m), err
	}
	var s []json.RawMessage
	err := json.Unmarshal(value, &s)
	return len(s), err
}

// answerObject is a JSON object whose members have their order and their text.
type answerObject []member

type member struct {
	name  string
	value json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *answerObject) UnmarshalJSON(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("it is no JSON object")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var m member
		m.name, _ = name.(string) // it is: More has said so
		if err := d.Decode(&m.value); err != nil {
			return err
		}
		*o = append(*o, m)
	}
	return nil
}

func (o answerObject) index(name string) int {
	for i, m := range o {
		if m.name == name {
			return i
		}
	}
	return -1
}

// text gives a member that is a text, empty where there is none.
func (o answerObject) text(name string) (s string) {
	if i := o.index(name); i >= 0 {
		_ = json.Unmarshal(o[i].value, &s) // what is no text is none
	}
	return s
}

// write writes members, each with a comma behind it.
func (o answerObject) write(b *bytes.Buffer) {
	for _, m := range o {
		fmt.Fprintf(b, "%q:%s,", m.name, m.value)
	}
}

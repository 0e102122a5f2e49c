package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dbbasic/station/sdk/storage/text"
)

// entriesAtOnce bounds a page of a log: an entry has up to 64 KiB.
const entriesAtOnce = 500

// entry is an entry of a log as a station answers it, with its fields in order.
type entry struct {
	raw                        json.RawMessage
	id, timestamp, level, text string
	fields                     []field
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *entry) UnmarshalJSON(raw []byte) error {
	e.raw = append(json.RawMessage(nil), raw...)
	var all answerObject
	if err := json.Unmarshal(raw, &all); err != nil {
		return err
	}
	own := map[string]*string{"entry_id": &e.id, "timestamp": &e.timestamp, "level": &e.level, "message": &e.text}
	for _, m := range all {
		if to := own[m.name]; to == nil {
			e.fields = append(e.fields, field{name: m.name, text: string(m.value), value: m.value})
		} else if err := json.Unmarshal(m.value, to); err != nil {
			return err
		}
	}
	return nil
}

func logsCommand() *cobra.Command {
	var q logsQuery
	cmd := asks(&cobra.Command{
		Use:   "logs ID [FIELD=VALUE]...",
		Short: "Print the log of an object, and follow it",
		Long: `Logs prints the newest entries of an object's log, the oldest of them first: time,
level, message and fields. FIELD=VALUE chooses those with that field. With -o json
each entry is a line of JSON.

With -f it goes on with each entry as it is written, until it is interrupted. A
station that goes away is waited for, and the log continued where it was left.`,
		Example: `  station logs tutorial_03_counter
  station logs tutorial_03_counter --level warning,error -n 10 -o json
  station logs tutorial_02_hello_with_logging user_id=ada --since 2026-01-01T00:00:00Z -q greeted
  station logs tutorial_03_counter -f`,
		Args:              minArgs(1),
		ValidArgsFunction: arguments(objectIDs),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		path, err := objectPath(args[0])
		if err != nil {
			return err
		}
		if q.fields, err = fieldsOf(args[1:], "no FIELD=VALUE"); err != nil {
			return err
		}
		for _, f := range q.fields {
			if f.value != nil {
				return usageError{fmt.Errorf("a field of the log is looked for as a text: write %s=VALUE", visible(f.name, ""))}
			}
		}
		if q.follow {
			return station.followLog(cmd, path, &q)
		}
		return station.logs(cmd, path, &q)
	})
	f := cmd.Flags()
	f.BoolVarP(&q.follow, "follow", "f", false, "go on with what is written, until interrupted")
	f.StringVarP(&q.text, "query", "q", "", "entries with this `text` alone, in the message or a field")
	f.StringVar(&q.since, "since", "", "entries from this `time` on, such as 2026-01-31T12:00:00Z")
	f.StringVar(&q.until, "until", "", "entries before this `time`")
	f.StringVar(&q.level, "level", "", "entries of these levels alone: DEBUG, INFO, WARNING, ERROR, CRITICAL, separated by commas")
	complete(cmd, "level", cobra.FixedCompletions([]string{"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}, cobra.ShellCompDirectiveNoFileComp))
	limitFlag(cmd, &q.limit, 100, "entries")
	q.out = outputFlag(cmd)
	return cmd
}

// logsQuery says which entries are printed, and how.
type logsQuery struct {
	level, text, since, until string
	fields                    []field
	limit                     int
	follow                    bool
	out                       *format
}

// filters are the parameters that choose entries.
func (q *logsQuery) filters() (params []string) {
	for _, p := range [][2]string{{"level", q.level}, {"q", q.text}, {"since", q.since}, {"until", q.until}} {
		if p[1] != "" {
			params = append(params, p[0], p[1])
		}
	}
	for _, f := range q.fields {
		params = append(params, "field."+f.name, f.text)
	}
	return params
}

// logs prints a log: all of it as it comes, or the newest entries turned round.
func (c *client) logs(cmd *cobra.Command, path string, q *logsQuery) error {
	p := newEntries(cmd.OutOrStdout(), *q.out)
	order := "desc"
	if q.limit == 0 {
		order = "asc"
	}
	params := append([]string{"logs", "true", "order", order}, q.filters()...)
	var newest []entry
	err := pages(query(path, params...), q.limit, entriesAtOnce, func(path string) (int, string, error) {
		var page struct {
			Logs []entry
			Next string `json:"next_cursor"`
		}
		err := c.ask(cmd.Context(), path, &page)
		if q.limit > 0 {
			newest = append(newest, page.Logs...)
			return len(page.Logs), page.Next, err
		}
		for i := range page.Logs {
			p.print(&page.Logs[i])
		}
		return len(page.Logs), page.Next, err
	})
	if err != nil {
		return err
	}
	for _, e := range slices.Backward(newest) {
		p.print(&e)
	}
	return nil
}

// entries prints entries of a log.
type entries struct {
	to io.Writer
	paint
	format format
	screen bool
}

func newEntries(w io.Writer, f format) *entries {
	e := &entries{w, painting(w), f, isTerminal(w)}
	if f == asTSV {
		fmt.Fprintln(w, "entry_id\ttimestamp\tlevel\tmessage\tfields")
	}
	return e
}

var levelColours = map[string]string{"DEBUG": grey, "WARNING": yellow, "ERROR": red, "CRITICAL": red}

func (p *entries) print(e *entry) {
	line := ""
	switch p.format {
	case asJSON:
		line = string(e.raw)
	case asTSV:
		line = e.columns()
	default:
		line = p.line(e)
	}
	if p.screen && p.format != asTable { // whose parts are visible each
		line = visible(line, "\t")
	}
	fmt.Fprintln(p.to, line)
}

// line is an entry for people, on one line.
func (p *entries) line(e *entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s  %s", visible(e.timestamp, ""), p.in(levelColours[e.level], fmt.Sprintf("%-8s", visible(e.level, ""))), visible(e.text, ""))
	for _, f := range e.fields {
		b.WriteString("  " + p.in(grey, visible(f.name, "")+"=") + visible(plainValue(f.value), ""))
	}
	return b.String()
}

// plainValue gives a field's JSON, and a text without its quotes where it is one word.
func plainValue(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) == nil && s != "" && !strings.ContainsAny(s, " \t\n\"") && value[0] == '"' {
		return s
	}
	return string(value)
}

// columns is an entry as tab-separated values; its fields are one JSON object.
func (e *entry) columns() string {
	fields := make([]string, len(e.fields))
	for i, f := range e.fields {
		name, _ := json.Marshal(f.name) // a text has no error
		fields[i] = string(name) + ":" + string(f.value)
	}
	var b []byte
	for _, column := range []string{e.id, e.timestamp, e.level, e.text} {
		b = append(text.Append(b, column), '\t')
	}
	return string(text.Append(b, "{"+strings.Join(fields, ",")+"}"))
}
